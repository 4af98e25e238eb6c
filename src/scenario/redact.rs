//! Removes API secrets from a scenario's text, so that the text can be published and still runs.
//!
//! In: the text as written, and the secrets that it resolved to. Out: the text with a variable in
//! place of each secret, or nothing if that cannot be done. Invariant: no secret is in the result,
//! neither as written nor as YAML reads it.

use super::yaml::strip_mark;
use saphyr_parser::{Event, Parser, ScalarStyle, Span};
use std::collections::HashMap;
use std::ops::Range;

/// The key whose values are secret.
const KEY: &str = "api_secret";
/// Replacement for a secret.
const VARIABLE: &str = "${LIVEKIT_API_SECRET}";
/// A shorter secret is replaced only as a value of the key: anywhere else it could be a part of any
/// word. LiveKit requires 32 characters.
const SHORTEST: usize = 8;

/// The text without the values of any `api_secret`, and without `secrets` anywhere else. `None` if
/// a secret would remain, or if the text is not YAML.
pub(crate) fn redacted(text: &str, secrets: &[&str]) -> Option<String> {
    let found = Found::of(strip_mark(text))?;
    let mut all: Vec<String> = found.secrets.clone();
    all.extend(secrets.iter().map(|secret| (*secret).to_owned()));
    all.retain(|secret| secret.chars().count() >= SHORTEST);
    // One secret may be a part of another.
    all.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
    let without = |text: &str| {
        let taken_out = |text: String, secret: &String| text.replace(secret.as_str(), VARIABLE);
        all.iter().fold(text.to_owned(), taken_out)
    };
    // The scalars are clean now; the rest of the text is mostly comments.
    let kept = without(&found.replaced(strip_mark(text), &without));
    // Whatever the text looks like, YAML must read it as before, without the secrets.
    let left = Found::of(&kept)?;
    let same = left.scalars.iter().map(|scalar| scalar.value.as_str());
    let expected: Vec<String> = found.scalars.iter().map(|s| s.clean(&without)).collect();
    (left.secrets.is_empty() && same.eq(expected.iter().map(String::as_str))).then_some(kept)
}

/// A value, or a key.
struct Scalar {
    value: String,
    /// The scalar's byte range in the text.
    place: Range<usize>,
    /// Whether the scalar is a value of the key, directly or through an alias.
    secret: bool,
}

impl Scalar {
    /// The scalar's value without secrets.
    fn clean(&self, without: &dyn Fn(&str) -> String) -> String {
        match self.secret {
            true => VARIABLE.to_owned(),
            false => without(&self.value),
        }
    }
}

/// The scalars that YAML reads in a text, and the secrets among them.
#[derive(Default)]
struct Found {
    /// Values of the key, and defaults in them.
    secrets: Vec<String>,
    scalars: Vec<Scalar>,
}

/// A collection that is being read.
struct Open {
    /// Whether the collection is the value of the key, or within that value.
    secret: bool,
    /// In a mapping: the key whose value comes next.
    key: Option<String>,
    mapping: bool,
}

impl Open {
    /// Whether the next value is secret; takes the key that it belongs to.
    fn takes_secret(&mut self) -> bool {
        let key = self.key.take();
        self.secret || key.is_some_and(|key| key == KEY)
    }

    /// Whether a collection that begins here is secret. If the collection is a key, its value comes
    /// next.
    fn begins_secret(&mut self, is_key: bool) -> bool {
        match is_key {
            true => {
                self.key = Some(String::new());
                self.secret
            }
            false => self.takes_secret(),
        }
    }
}

impl Found {
    fn of(text: &str) -> Option<Self> {
        let bytes = Bytes::of(text);
        let mut found = Self::default();
        let mut open: Vec<Open> = Vec::new();
        // Scalars with an anchor, since an alias to one may be a secret.
        let mut anchors: HashMap<usize, usize> = HashMap::new();
        let mut parser = Parser::new_from_str(text);
        while let Some(event) = parser.next_event() {
            let (event, span) = event.ok()?;
            let is_key = matches!(
                open.last(),
                Some(Open {
                    mapping: true,
                    key: None,
                    ..
                })
            );
            match event {
                Event::Scalar(value, style, anchor, _) => {
                    let number = found.scalars.len();
                    found.scalars.push(Scalar {
                        value: value.to_string(),
                        place: bytes.place(text, span, style),
                        secret: false,
                    });
                    if anchor > 0 {
                        anchors.insert(anchor, number);
                    }
                    match open.last_mut() {
                        Some(mapping) if is_key => mapping.key = Some(value.to_string()),
                        collection => {
                            if collection.is_some_and(Open::takes_secret) {
                                found.is_secret(number);
                            }
                        }
                    }
                }
                Event::Alias(_) if is_key => {
                    // Such a key is never `api_secret`; its value comes next.
                    open.last_mut()
                        .into_iter()
                        .for_each(|mapping| mapping.key = Some(String::new()));
                }
                Event::Alias(anchor) => {
                    let secret = open.last_mut().is_some_and(Open::takes_secret);
                    if let Some(number) = anchors.get(&anchor).filter(|_| secret) {
                        found.is_secret(*number);
                    }
                }
                Event::SequenceStart(..) | Event::MappingStart(..) => {
                    let secret = open
                        .last_mut()
                        .is_some_and(|outer| outer.begins_secret(is_key));
                    open.push(Open {
                        secret,
                        key: None,
                        mapping: matches!(event, Event::MappingStart(..)),
                    });
                }
                Event::SequenceEnd | Event::MappingEnd => drop(open.pop()),
                _ => {}
            }
        }
        Some(found)
    }

    /// Records a value of the key as secret, unless the value is only a reference to a variable.
    fn is_secret(&mut self, number: usize) {
        let scalar = &mut self.scalars[number];
        let value = scalar.value.as_str();
        let inner = value.strip_prefix("${").and_then(|v| v.strip_suffix('}'));
        let variable = inner.filter(|inner| !inner.contains(['$', '{', '}']));
        let literal = match variable {
            Some(variable) => variable.split_once(":-").map_or("", |(_, default)| default),
            None => value,
        };
        if !literal.is_empty() {
            self.secrets.push(literal.to_owned());
            scalar.secret = true;
        }
    }

    /// The text with a variable in place of every secret scalar; the other scalars are passed
    /// through `without`.
    fn replaced(&self, text: &str, without: &dyn Fn(&str) -> String) -> String {
        let (mut kept, mut from) = (String::with_capacity(text.len()), 0);
        for scalar in &self.scalars {
            let clean = scalar.clean(without);
            if clean != scalar.value && scalar.place.start >= from {
                kept.push_str(&text[from..scalar.place.start]);
                // A JSON string is valid YAML anywhere.
                kept.push_str(&serde_json::Value::from(clean).to_string());
                from = scalar.place.end;
            }
        }
        kept.push_str(&text[from..]);
        kept
    }
}

/// The byte offset of each character in a text: the parser counts characters.
struct Bytes(Vec<usize>);

impl Bytes {
    fn of(text: &str) -> Self {
        let starts = text.char_indices().map(|(at, _)| at);
        Self(starts.chain([text.len()]).collect())
    }

    fn at(&self, character: usize) -> usize {
        let end = self.0.last().copied().unwrap_or_default();
        self.0.get(character).copied().unwrap_or(end)
    }

    /// The byte range of a scalar, with its quotes, or with the mark (`|` or `>`) of a block.
    fn place(&self, text: &str, span: Span, style: ScalarStyle) -> Range<usize> {
        let (mut start, end) = (self.at(span.start.index()), self.at(span.end.index()));
        // An anchor or a tag before the text stays.
        while text[start..end].starts_with(['&', '!']) {
            let property = text[start..end].find(char::is_whitespace).unwrap_or(0);
            let rest = text[start + property..end].trim_start();
            if property == 0 {
                break;
            }
            start = end - rest.len();
        }
        if !matches!(style, ScalarStyle::Literal | ScalarStyle::Folded) {
            return start..end;
        }
        // A block's span begins at its text or at its mark, depending on the parser; the line break
        // at its end belongs to what follows.
        let mark = match text[start..].starts_with(['|', '>']) {
            true => start,
            false => mark_before(text, start),
        };
        let block = text[mark..end].trim_end();
        mark..mark + block.len()
    }
}

/// The byte offset of the mark of the block whose text begins at `start`: on the last non-empty
/// line before it, in front of any comment.
fn mark_before(text: &str, start: usize) -> usize {
    let before = text[..start].trim_end();
    let line = before.rfind('\n').map_or(0, |at| at + 1);
    let header = &before[line..];
    let header = header
        .find(" #")
        .map_or(header, |comment| &header[..comment]);
    line + header.rfind(['|', '>']).unwrap_or(header.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "s3cret-s3cret-s3cret-s3cret-s3cr";

    /// The value of the first `api_secret` as YAML reads it.
    fn value(text: &str) -> serde_json::Value {
        let (document, problems) = super::super::yaml::read(text, &|name| {
            (name == "LIVEKIT_API_SECRET").then(|| "from the environment".to_owned())
        });
        assert!(problems.is_empty(), "{problems:?}\n{text}");
        let document = document.expect("a document");
        document.value["target"]["api_secret"].clone()
    }

    #[test]
    fn secrets_in_every_yaml_notation_are_redacted_and_the_scenario_stays_valid() {
        let half = &SECRET[..16];
        let rest = &SECRET[16..];
        let escaped: String = SECRET.bytes().map(|b| format!("\\x{b:02x}")).collect();
        let ways = [
            format!("target: {{kind: livekit, api_secret: {SECRET}}}\n"),
            format!("target:\n  api_secret: {SECRET}\n  kind: livekit\n"),
            format!("target:\n  api_secret: '{SECRET}' # {SECRET}\n"),
            format!("target:\n  \"api_secret\" : \"{SECRET}\"\n"),
            format!("target:\n  \"api\\x5fsecret\": \"{escaped}\"\n"),
            format!("target:\n  api_secret: |-\n    {SECRET}\n  kind: livekit\n"),
            format!("target:\n  api_secret: >-\n    {SECRET}\n\n  kind: livekit\n"),
            format!("target:\n  api_secret: |+2\n    {SECRET}\n"),
            format!("target:\n  api_secret:\n    {SECRET}\n"),
            format!("target:\n  api_secret: \"{half}\\\n    {rest}\"\n"),
            format!("target:\n  api_secret: !!str {SECRET}\n"),
            format!("target:\n  ? api_secret\n  : {SECRET}\n"),
            format!("target:\n  api_secret: ${{LIVEKIT_API_SECRET:-{SECRET}}}\n"),
            format!("target: {{api_secret: \"${{OTHER:-{SECRET}}}\"}}\n"),
            format!("name: &it {SECRET}\ntarget:\n  api_secret: *it\n"),
            format!("base: &base {{api_secret: {SECRET}}}\ntarget: {{api_secret: {SECRET}}}\n"),
            format!("target:\n  api_secret: &here {SECRET}\nother: *here\n"),
            format!("\u{feff}target:\n  api_secret: {SECRET}\n"),
            format!("\u{feff}\u{feff}target:\n  api_secret: {SECRET}\n"),
            format!("# größer, {SECRET}\ntarget: {{url: 'ü', api_secret: {SECRET}}}\n"),
            format!("target: {{\"kind\":\"livekit\",\"api_secret\":\"{SECRET}\"}}"),
            format!("target:\r\n  api_secret: {SECRET}\r\n  kind: livekit\r\n"),
            format!("m: {{api_secret: [{{a: {SECRET}}}, {{b: x}}]}}\n"),
            format!(
                "metadata: | # caller -> agent\n  a {SECRET}\n  b\ntarget:\n  api_secret: {SECRET}\n"
            ),
            format!("target:\n  api_secret: >- # not | this\n\n    {SECRET}\n"),
        ];
        for way in &ways {
            let kept = redacted(way, &[SECRET]).unwrap_or_else(|| panic!("withheld:\n{way}"));
            assert_eq!(redacted(&kept, &[SECRET]).as_ref(), Some(&kept));
            for part in [SECRET, &escaped, half] {
                assert!(!kept.contains(part), "{kept}");
            }
            let left = value(&kept);
            assert!(
                left == "from the environment" || left.is_null(),
                "{left} of\n{kept}"
            );
        }
    }

    #[test]
    fn text_without_secrets_is_unchanged() {
        for text in [
            "target: {kind: livekit, api_key: key, api_secret: '${LIVEKIT_API_SECRET}'}\n",
            "target:\n  api_secret: \"${SECRET:-}\"\n",
            "name: short # a comment\nlist: [1, 2]\n",
        ] {
            assert_eq!(redacted(text, &["short"]).as_deref(), Some(text));
        }
    }

    #[test]
    fn a_list_or_a_mapping_as_a_key_does_not_hide_a_secret() {
        for text in [
            format!("target:\n  ? [a, {{b: c}}]\n  : d\n  api_secret: {SECRET}\n"),
            format!("target:\n  ? a: b\n  ? api_secret\n  : {SECRET}\n"),
            format!("target:\n  ? {{api_secret: {SECRET}}}\n"),
        ] {
            let kept = redacted(&text, &[]).expect("a text");
            assert!(!kept.contains(SECRET), "{kept}");
        }
    }

    #[test]
    fn indirect_secrets_are_redacted_or_the_text_is_withheld() {
        let text = format!("matrix: {{s: [{SECRET}]}}\ntarget: {{api_secret: '${{matrix.s}}'}}\n");
        let kept = redacted(&text, &[SECRET]).expect("a text");
        assert!(!kept.contains(SECRET), "{kept}");
        // This secret is visible only after YAML is parsed, and no key marks it as one.
        let escaped: String = SECRET.bytes().map(|b| format!("\\x{b:02x}")).collect();
        let kept = redacted(&format!("a: \"see {escaped}!\"\n"), &[SECRET]);
        assert_eq!(kept.as_deref(), Some("a: \"see ${LIVEKIT_API_SECRET}!\"\n"));
        assert_eq!(redacted("a: [", &[SECRET]), None);
        let text = format!("k: &k name\nm: {{*k : x, api_secret: {SECRET}}}\n");
        let kept = redacted(&text, &[]).expect("a text");
        assert!(!kept.contains(SECRET), "{kept}");
    }
}
