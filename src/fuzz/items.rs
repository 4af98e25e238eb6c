//! Splits a text into items and changes one item: removes, replaces or inserts it.
//!
//! In: an input, and another input as a source of items. Out: a changed input. An item is a line, a
//! line together with the lines indented below it, or an element of a bracketed list. YAML, JSON,
//! `.env` files and HTTP requests consist of such items, so most changes keep the syntax valid.

use super::words::pick;
use rand::{Rng, RngExt as _};
use std::collections::HashSet;
use std::ops::Range;

/// Maximum length of a key; longer text before a `:` or `=` is not a key.
const LONGEST_KEY: usize = 40;

/// A part of a text, without surrounding blanks.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Item {
    place: Range<usize>,
    /// The indentation of a line; none for an element of a list.
    indent: Option<usize>,
}

/// Changes one item, or returns `None` if the chosen change is not possible.
pub(super) fn change_item(input: &[u8], other: &[u8], random: &mut impl Rng) -> Option<Vec<u8>> {
    let own = items(input);
    let old = pick(&own, random)?;
    let place = old.place.clone();
    let donors = items(other);
    match random.random_range(0..6) {
        0 => Some(without(input, place)),
        1 | 2 => {
            let key = key(&input[place.clone()]);
            let same = |new: &&Item| self::key(&other[new.place.clone()]) == key;
            let same: Vec<_> = donors.iter().filter(same).cloned().collect();
            let new = pick(&same, random).or_else(|| pick(&donors, random))?;
            let new = &other[new.place];
            Some([&input[..place.start], new, &input[place.end..]].concat())
        }
        3 => {
            let new = &other[pick(&donors, random)?.place];
            Some(inserted(input, place, new, random.random()))
        }
        _ => {
            // Items of the other input that have the same indentation and a key that this input
            // lacks.
            let known: HashSet<_> = own.iter().map(|i| key(&input[i.place.clone()])).collect();
            let fits = |new: &&Item| {
                let key = key(&other[new.place.clone()]);
                new.indent == old.indent && (key.is_empty() || !known.contains(key))
            };
            let new: Vec<_> = donors.iter().filter(fits).cloned().collect();
            let new = &other[pick(&new, random)?.place];
            Some(inserted(input, place, new, random.random()))
        }
    }
}

/// Inserts an item before or after another item, with that item's separator.
fn inserted(input: &[u8], place: Range<usize>, new: &[u8], is_before: bool) -> Vec<u8> {
    let indent = place.start - blanks(input[..place.start].iter().rev());
    let separator = match input[..indent].last() {
        None | Some(b'\n') => [b"\n", &input[indent..place.start]].concat(),
        Some(_) => b", ".to_vec(),
    };
    let (at, parts) = match is_before {
        true => (place.start, [new, &separator]),
        false => (place.end, [&*separator, new]),
    };
    [&input[..at], parts[0], parts[1], &input[at..]].concat()
}

/// Removes an item and the separator after it or, if there is none, the separator before it.
fn without(input: &[u8], item: Range<usize>) -> Vec<u8> {
    let (before, behind) = (&input[..item.start], &input[item.end..]);
    if let Some(behind) = behind.strip_prefix(b",").or(behind.strip_prefix(b"\n")) {
        return [before, behind].concat();
    }
    let before = before.trim_ascii_end();
    [before.strip_suffix(b",").unwrap_or(before), behind].concat()
}

/// The key of an item such as `key: value`, `"key": value` or `KEY=value`; otherwise empty.
fn key(item: &[u8]) -> &[u8] {
    let end = item.iter().take(LONGEST_KEY);
    let Some(end) = end.into_iter().position(|byte| b":=".contains(byte)) else {
        return b"";
    };
    let is_part = |byte: &u8| byte.is_ascii_alphanumeric() || b" -_\"'".contains(byte);
    match item[..end].iter().all(is_part) {
        true => item[..end].trim_ascii(),
        false => b"",
    }
}

fn items(text: &[u8]) -> Vec<Item> {
    let (mut elements, mut lines) = (Vec::new(), Vec::new());
    // The start of the current element in each open bracket.
    let (mut line, mut open) = (0, Vec::new());
    for (at, byte) in text.iter().enumerate() {
        match (byte, open.last_mut()) {
            (b'{' | b'[' | b'(', _) => open.push(at + 1),
            (b'}' | b']' | b')', Some(from)) => {
                elements.push(*from..at);
                open.pop();
            }
            (b',' | b'\n', Some(from)) => elements.push(std::mem::replace(from, at + 1)..at),
            (b'\n', None) => lines.push(std::mem::replace(&mut line, at + 1)..at),
            _ => {}
        }
    }
    lines.push(line..text.len());
    let blocks = blocks(text, &lines);
    let elements = elements.into_iter().map(|range| (range, false));
    let lines = lines.into_iter().chain(blocks).map(|range| (range, true));
    let all = elements.chain(lines);
    all.filter_map(|(range, is_line)| item(text, range, is_line))
        .collect()
}

/// Lines with the lines that are indented below them.
fn blocks(text: &[u8], lines: &[Range<usize>]) -> Vec<Range<usize>> {
    let mut blocks = Vec::new();
    // The lines whose blocks may continue, each with its indentation.
    let mut open: Vec<(usize, usize)> = Vec::new();
    let mut end = 0;
    for line in lines {
        let indent = blanks(text[line.clone()].iter());
        while let Some((from, _)) = open.pop_if(|(_, outer)| *outer >= indent) {
            blocks.push(from..end);
        }
        open.push((line.start, indent));
        end = line.end;
    }
    blocks.extend(open.into_iter().map(|(from, _)| from..end));
    blocks.retain(|block| text[block.clone()].contains(&b'\n'));
    blocks
}

/// The item within a range; `None` if it is blank.
fn item(text: &[u8], range: Range<usize>, is_line: bool) -> Option<Item> {
    let indent = blanks(text[range.clone()].iter());
    let from = range.start + indent;
    let to = range.end - blanks(text[from..range.end].iter().rev());
    (from < to).then_some(Item {
        place: from..to,
        indent: is_line.then_some(indent),
    })
}

/// The number of blanks at the beginning.
fn blanks<'a>(bytes: impl Iterator<Item = &'a u8>) -> usize {
    bytes
        .take_while(|byte| matches!(byte, b' ' | b'\t'))
        .count()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng as _;
    use rand_chacha::ChaCha8Rng;
    use std::collections::BTreeSet;

    const YAML: &str = "load:\n  spike:\n    peak: 5\n  base: 1\ncall: {a: [1, 2], b: {c: 3}}\n";

    #[test]
    fn lines_blocks_and_elements_are_items() {
        let found = items(YAML.as_bytes());
        let found: BTreeSet<&str> = found.into_iter().map(|item| &YAML[item.place]).collect();
        let expected = BTreeSet::from([
            "load:",
            "load:\n  spike:\n    peak: 5\n  base: 1",
            "spike:",
            "spike:\n    peak: 5",
            "peak: 5",
            "base: 1",
            "call: {a: [1, 2], b: {c: 3}}",
            "a: [1, 2]",
            "1",
            "2",
            "b: {c: 3}",
            "c: 3",
        ]);
        assert_eq!(found, expected);
    }

    #[test]
    fn keys_are_recognised_with_and_without_quotes() {
        let keys = ["a: 1", "\"a\": {\"b\": 1}", "A=b", "{\"a\": 1}", "nothing"];
        let keys = keys.map(|item| String::from_utf8_lossy(key(item.as_bytes())).into_owned());
        assert_eq!(keys, ["a", "\"a\"", "A", "", ""]);
    }

    #[test]
    fn one_item_is_changed_and_the_rest_is_kept() {
        let change = |seed| {
            let random = &mut ChaCha8Rng::seed_from_u64(seed);
            change_item(b"a: [1, 2]\nb: 3\n", b"b: 4\nwarmup: {calls: 2}\n", random)
        };
        let found: BTreeSet<_> = (0..2_000)
            .filter_map(change)
            .map(|text| String::from_utf8(text).expect("text"))
            .collect();
        for text in [
            "b: 3\n",
            "a: [1, 2]\n",
            "a: [ 2]\nb: 3\n",
            "a: [1]\nb: 3\n",
            "a: [1, 2]\nb: 4\n",
            "a: [1, 2]\nwarmup: {calls: 2}\nb: 3\n",
            "a: [1, 2]\nb: 3\nwarmup: {calls: 2}\n",
            "a: [1, 2, calls: 2]\nb: 3\n",
        ] {
            assert!(found.contains(text), "{text:?} in {found:#?}");
        }
    }

    #[test]
    fn an_inserted_line_gets_the_indentation_of_its_neighbour() {
        let text = b"a:\n  - 1\n";
        let place = items(text)
            .into_iter()
            .find(|i| &text[i.place.clone()] == b"- 1");
        let place = place.expect("an item").place;
        let before = inserted(text, place.clone(), b"- 2", true);
        let behind = inserted(text, place, b"- 2", false);
        assert_eq!(
            String::from_utf8(before).expect("text"),
            "a:\n  - 2\n  - 1\n"
        );
        assert_eq!(
            String::from_utf8(behind).expect("text"),
            "a:\n  - 1\n  - 2\n"
        );
    }
}
