//! Compares the output of a run with the output that a page of the documentation shows.
//!
//! In: the page, the printed output, the summary of the run. Invariant: figures, intervals and line
//! breaks are ignored; every word must match.

use serde_json::{Value, json};

/// Panics unless `page` shows the printed output. Compares nothing if the machine was so busy that
/// turns are flagged or the generator was late, since a run then prints more.
#[track_caller]
pub fn assert_shown(page: &str, printed: &str, summary: &Value) {
    if summary["flags"] != json!({}) || summary["verdict"]["status"] == "invalid" {
        println!("SKIPPED: the machine was too busy to compare its output with {page}");
        return;
    }
    let text = std::fs::read_to_string(super::in_repo(page)).expect("a page");
    let title = printed.lines().next().expect("a screen");
    let begin = text.find(&format!("```text\n{title}\n"));
    let begin = begin.unwrap_or_else(|| panic!("{page} does not show:\n{printed}"));
    let shown = text[begin..].split("```").nth(1).expect("a fence");
    let shown = shown.trim_start_matches("text");
    assert_eq!(
        words(shown),
        words(printed),
        "{page} differs from:\n{printed}"
    );
}

/// The words of a screen, without its figures and the words that depend on them.
fn words(screen: &str) -> Vec<String> {
    // The run folder has a different name each time.
    let lines = screen.lines().filter(|line| !line.starts_with("report "));
    let text = lines.collect::<Vec<_>>().join(" ");
    let text = without(&without(&text, "[", ']'), "(needs ", ')');
    let mut words = Vec::new();
    let mut all = text.split_whitespace();
    while let Some(word) = all.next() {
        if word == "worth" {
            // The effective sample size, which is shown only if it is below the sample size.
            all.next();
            continue;
        }
        let figure = |c: char| c.is_ascii_digit() || ".,:-TZ+".contains(c);
        let word = match word.contains(|c: char| c.is_ascii_digit()) {
            true => word.replace(figure, ""),
            false => word.trim_end_matches([',', ':', ';', '.']).to_owned(),
        };
        words.extend((!word.is_empty()).then_some(word));
    }
    words
}

/// The text without its parts from `open` to the next `close`.
fn without(text: &str, open: &str, close: char) -> String {
    let mut parts = text.split(open);
    let begin = parts.next().unwrap_or_default().to_owned();
    parts.fold(begin, |kept, part| {
        kept + part.split_once(close).map_or("", |(_, rest)| rest)
    })
}
