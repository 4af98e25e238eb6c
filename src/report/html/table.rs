//! Every turn, in a table that can be sorted and filtered.
//!
//! In: turns. Out: a section with the turns as JSON, which the page's script draws page by page.
//! Invariants: latencies are whole microseconds, instants whole milliseconds; nothing in the JSON
//! can close the element that contains it; a turn takes about forty bytes.

use super::super::flags::FLAGS;
use super::section::Section;
use super::view::{View, name};
use crate::record::{Expect, Ms, Outcome, TurnRecord};
use maud::{Markup, PreEscaped, html};
use serde::Serialize;

/// The data that the script reads. To be compact, rows are arrays of numbers, named by `columns`.
#[derive(Serialize, Default)]
struct Data {
    rooms: Names,
    utterances: Names,
    variants: Names,
    failures: Names,
    outcomes: Vec<&'static str>,
    expects: Vec<&'static str>,
    flags: Vec<&'static str>,
    columns: Vec<&'static str>,
    turns: Vec<Vec<i64>>,
}

/// A column of the rows: its name in the script, and how to get its number from a turn.
type Column = (&'static str, fn(&TurnRecord, &mut Data) -> i64);

/// Represents a missing value.
const NONE: i64 = -1;

#[rustfmt::skip]
const COLUMNS: &[Column] = &[
    ("call", |t, _| t.call as i64),
    ("turn", |t, _| t.turn as i64),
    ("room", |t, data| data.rooms.of(&t.room)),
    ("utterance", |t, data| data.utterances.of(&t.utterance)),
    ("variant", |t, data| data.variants.of(&t.variant)),
    ("expect", |t, _| place(Expect::ALL, t.expect)),
    ("outcome", |t, _| place(Outcome::ALL, t.outcome)),
    ("wire", |t, _| micros(t.ttfa_wire_ms)),
    ("playout", |t, _| micros(t.playout_ms)),
    // Milliseconds are precise enough to find the turn again, and save three digits.
    ("at", |t, _| super::view::instant(t).map_or(NONE, |ms| ms.micros() / 1_000)),
    ("other", |t, _| micros(t.stop_ms.or(t.early_by_ms))),
    ("flags", |t, _| flags(t)),
    ("failure", |t, data| t.failure.as_ref().map_or(NONE, |f| data.failures.of(f))),
    ("warmup", |t, _| i64::from(t.warmup)),
];

fn place<T: PartialEq>(all: &[T], one: T) -> i64 {
    let at = all.iter().position(|other| *other == one);
    at.map_or(NONE, |i| i as i64)
}

fn micros(ms: Option<Ms>) -> i64 {
    ms.map_or(NONE, Ms::micros)
}

/// One bit for each flag, in the order of [`FLAGS`].
fn flags(turn: &TurnRecord) -> i64 {
    let flags = FLAGS.iter().enumerate();
    let of_turn = flags.filter(|(_, m)| turn.flags.contains(&m.flag));
    of_turn.map(|(bit, _)| 1 << bit).sum()
}

/// Distinct names; rows refer to them by index.
#[derive(Serialize, Default)]
#[serde(transparent)]
struct Names {
    names: Vec<String>,
    #[serde(skip)]
    index: std::collections::HashMap<String, i64>,
}

impl Names {
    fn of(&mut self, text: &str) -> i64 {
        if let Some(index) = self.index.get(text) {
            return *index;
        }
        let index = self.names.len() as i64;
        self.names.push(name(text));
        self.index.insert(text.to_owned(), index);
        index
    }
}

pub(super) fn section(view: &View<'_>) -> Option<Section> {
    if view.turns.is_empty() {
        return None;
    }
    let mut data = Data {
        outcomes: Outcome::ALL.iter().map(|o| o.name()).collect(),
        expects: Expect::ALL.iter().map(|e| e.name()).collect(),
        flags: FLAGS.iter().map(|m| m.flag.name()).collect(),
        columns: COLUMNS.iter().map(|(name, _)| *name).collect(),
        ..Data::default()
    };
    for turn in view.turns {
        let cells = COLUMNS.iter().map(|(_, cell)| cell(turn, &mut data));
        let row = cells.collect();
        data.turns.push(row);
    }
    Some(Section::new("turns", "Every turn", body(&data)))
}

/// JSON that is safe inside a script element: no character in it has a meaning in HTML.
fn json(data: &Data) -> String {
    let text = serde_json::to_string(data).expect("numbers and strings, written to memory");
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '<' | '>' | '&' | '\'' | '\u{2028}' | '\u{2029}' => {
                safe.push_str(&format!("\\u{:04x}", c as u32));
            }
            other => safe.push(other),
        }
    }
    safe
}

fn body(data: &Data) -> Markup {
    html! {
        noscript { p.note { "This table needs JavaScript; " code { "turns.csv" } " next to this file has the same turns." } }
        form.filters #filters hidden role="search" aria-label="Filter the turns" {
            label { "Find " input #find type="search" placeholder="call, room, utterance, flag …" autocomplete="off"; }
            label { "Outcome " select #by-outcome { option value="" { "any" } } }
            label { "Doubts " select #by-flag { option value="" { "any" } } }
            label #variant-label hidden { "Variant " select #by-variant { option value="" { "any" } } }
            output #shown for="find by-outcome by-flag by-variant" {}
        }
        div.scroll tabindex="0" role="group" aria-label="Every turn" {
            table.turns #turn-table hidden {
                caption { "Times in ms. Select a column heading to sort by it, and again to reverse the order." }
                thead { tr #turn-heads {} }
                tbody #turn-rows {}
            }
        }
        nav.pages #pages hidden aria-label="Pages of turns" {
            button #before type="button" { "Previous" }
            span #page {}
            button #after type="button" { "Next" }
        }
        script #turn-data type="application/json" { (PreEscaped(json(data))) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn embedded_json_cannot_close_its_element() {
        let mut data = Data::default();
        for text in [
            "</script><script>alert(1)</script>",
            "<!--<script>",
            "]]>&amp;'\"\u{2028}",
        ] {
            data.rooms.of(text);
        }
        let text = json(&data);
        for forbidden in ['<', '>', '&', '\'', '\u{2028}'] {
            assert!(!text.contains(forbidden), "{forbidden:?} in {text}");
        }
        let back: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(back["rooms"][0], "</script><script>alert(1)</script>");
        assert_eq!(back["rooms"][1], "<!--<script>");
    }
}
