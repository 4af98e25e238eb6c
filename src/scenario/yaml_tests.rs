//! Tests of the YAML reader: places, limits, and hostile input.

use super::*;
use proptest::prelude::*;

fn no_env(_: &str) -> Option<String> {
    None
}

fn messages(text: &str) -> Vec<String> {
    let (_, problems) = read(text, &no_env);
    let line = |p: &Problem| format!("{}:{} {}", p.place.line, p.place.column, p.message);
    problems.iter().map(line).collect()
}

#[test]
fn keys_and_values_have_places() {
    let text = "a: 1\nb:\n  - x\n  - {c: true, d: 1.5}\ne: ~\nf: '1'\ng: 18446744073709551615\n";
    let (document, problems) = read(text, &no_env);
    assert_eq!(problems, []);
    let document = document.expect("valid");
    let expected = serde_json::json!({
        "a": 1, "b": ["x", {"c": true, "d": 1.5}], "e": null, "f": "1", "g": u64::MAX
    });
    assert_eq!(document.value, expected);
    let cases = [
        ("/a", (1, 1), (1, 4)),
        ("/b", (2, 1), (3, 3)),
        ("/b/0", (3, 5), (3, 5)),
        ("/b/1/d", (4, 15), (4, 18)),
        ("/b/1/nothing", (4, 5), (4, 5)),
        ("/nothing", (1, 1), (1, 1)),
    ];
    for (pointer, key, value) in cases {
        let at = document.places.key(pointer);
        assert_eq!((at.line, at.column), key, "key of {pointer}");
        let at = document.places.value(pointer);
        assert_eq!((at.line, at.column), value, "value of {pointer}");
    }
}

#[test]
fn documents_that_are_not_one_plain_mapping_are_refused() {
    let cases = [
        ("", vec!["1:1 the file is empty"]),
        ("# only a comment\n", vec!["1:1 the file is empty"]),
        (
            "a: 1\n---\nb: 2\n",
            vec!["2:1 more than one YAML document in the file"],
        ),
        (
            "a: 1\na: 2\nb: 1\nb: 2\n",
            vec!["2:1 key `a` appears twice", "4:1 key `b` appears twice"],
        ),
        ("{a: 1}: 2\n", vec!["1:1 a key must be plain text"]),
        ("a: !mine 1\n", vec!["1:4 tag `!mine` is not supported"]),
        ("a: !!int x\n", vec!["1:4 `x` does not fit its tag"]),
        ("a: ${\n", vec!["1:4 `${` without a closing `}`"]),
        (
            "a: &x [*x]\n",
            vec!["1:8 an alias to a value containing it"],
        ),
    ];
    for (text, expected) in cases {
        assert_eq!(messages(text), expected, "{text:?}");
    }
}

#[test]
fn errors_are_placed_within_the_file() {
    for (text, line) in [("a: 1\nb", "2:"), ("a: 1\r\nb", "2:"), ("a: [1\n", "2:")] {
        let found = messages(text);
        assert!(found[0].starts_with(line), "{text:?}: {found:?}");
    }
}

#[test]
fn no_value_is_placed_after_the_last_line() {
    for (text, line) in [("\n\n---", 3), ("--- \r\n", 2), ("---", 1)] {
        let (document, problems) = read(text, &no_env);
        assert_eq!(problems, [], "{text:?}");
        let at = document.expect("one value").places.value("");
        assert_eq!(at.line, line, "{text:?}");
    }
}

#[test]
fn syntax_errors_have_a_line() {
    for text in [
        "a: [1\n",
        "a: 'x\n",
        "a: b: c\n",
        "a:\n\t- x\n",
        "a: *nowhere\n",
    ] {
        let (document, problems) = read(text, &no_env);
        assert!(document.is_none(), "{text:?}");
        assert_eq!(problems.len(), 1, "{text:?}: {problems:?}");
        assert!(
            problems[0].message.starts_with("not valid YAML: "),
            "{problems:?}"
        );
        assert!(!problems[0].hint.is_empty());
    }
}

#[test]
fn aliases_stand_for_their_values() {
    let (document, problems) = read("a: &x {b: 1}\nc: *x\n", &no_env);
    assert_eq!(problems, []);
    assert_eq!(document.expect("valid").value["c"]["b"], 1);
}

#[test]
fn oversized_and_deeply_nested_documents_are_refused() {
    let mut laughs = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for i in 1..20 {
        let last = format!("*a{}", i - 1);
        let line = vec![last; 10].join(", ");
        laughs.push_str(&format!("a{i}: &a{i} [{line}]\n"));
    }
    let deep = "[".repeat(500_000);
    let wide = format!("[{}]", "1, ".repeat(200_000));
    let aliased = format!(
        "a: &a {}{}\nb: {}*a{}\n",
        "[".repeat(20),
        "]".repeat(20),
        "[".repeat(20),
        "]".repeat(20)
    );
    let block = (0..200)
        .map(|i| format!("{}k:\n", " ".repeat(i)))
        .collect::<String>();
    let cases = [
        (laughs, "more than 100000 values"),
        (deep, "nested deeper than 32 levels"),
        (wide, "more than 100000 values"),
        (aliased, "nested deeper than 32 levels"),
        (block, "nested deeper than 32 levels"),
    ];
    for (text, message) in cases {
        let (document, problems) = read(&text, &no_env);
        assert!(document.is_none());
        assert_eq!(problems.len(), 1);
        assert_eq!(problems[0].message, message);
        assert_eq!(problems[0].code, Code::TooLarge);
    }
}

proptest! {
    #[test]
    fn arbitrary_text_is_a_document_or_a_problem(text in ".{0,300}") {
        let (document, problems) = read(&text, &no_env);
        prop_assert!(document.is_some() || !problems.is_empty());
    }

    #[test]
    fn yaml_like_text_is_a_document_or_a_problem(text in "[-a-c:{}\\[\\],&*!|>'\"#%?~ \n\t$0-9]{0,200}") {
        let (document, problems) = read(&text, &no_env);
        prop_assert!(document.is_some() || !problems.is_empty());
    }
}
