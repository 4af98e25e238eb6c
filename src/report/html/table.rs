//! Every turn, in a table that can be sorted and filtered.
//!
//! In: turns. Out: a section with the turns as JSON, which the page's script draws page by page.
//! Invariants: latencies are whole microseconds, instants whole milliseconds; nothing in the JSON
//! can close the element that contains it; a turn takes about forty bytes.

use super::super::flags::FLAGS;
use super::parts::Section;
use super::view::{View, name};
use crate::record::{Expect, Ms, Outcome, TurnRecord};
use maud::{Markup, PreEscaped, html};
use serde::Serialize;

/// What the script reads. A row: call, turn, room, utterance, variant, expect, outcome, wire,
/// playout, instant, stop or early by, flags as bits, failure, warm-up; -1 if absent.
#[derive(Serialize, Default)]
struct Data {
    rooms: Names,
    utterances: Names,
    variants: Names,
    failures: Names,
    outcomes: Vec<&'static str>,
    expects: Vec<&'static str>,
    flags: Vec<&'static str>,
    turns: Vec<[i64; 14]>,
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
        ..Data::default()
    };
    for turn in view.turns {
        let row = row(turn, &mut data);
        data.turns.push(row);
    }
    Some(Section::new("turns", "Every turn", body(&data)))
}

fn row(turn: &TurnRecord, data: &mut Data) -> [i64; 14] {
    let place = |at: Option<usize>| at.map_or(-1, |i| i as i64);
    let micros = |ms: Option<Ms>| ms.map_or(-1, Ms::micros);
    let flags = FLAGS
        .iter()
        .enumerate()
        .filter(|(_, m)| turn.flags.contains(&m.flag));
    [
        turn.call as i64,
        turn.turn as i64,
        data.rooms.of(&turn.room),
        data.utterances.of(&turn.utterance),
        data.variants.of(&turn.variant),
        place(Expect::ALL.iter().position(|e| *e == turn.expect)),
        place(Outcome::ALL.iter().position(|o| *o == turn.outcome)),
        micros(turn.ttfa_wire_ms),
        micros(turn.playout_ms),
        // In milliseconds, to save digits: the table shows tenths of a second.
        super::view::instant(turn).map_or(-1, |ms| ms.micros() / 1_000),
        micros(turn.stop_ms.or(turn.early_by_ms)),
        flags.map(|(bit, _)| 1 << bit).sum(),
        turn.failure.as_ref().map_or(-1, |f| data.failures.of(f)),
        i64::from(turn.warmup),
    ]
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
        noscript { p.note { "This table needs JavaScript; " code { "turns.csv" } " beside this file has the same turns." } }
        form.filters #filters hidden role="search" aria-label="Filter the turns" {
            label { "Find " input #find type="search" placeholder="call, room, utterance, flag …" autocomplete="off"; }
            label { "Outcome " select #by-outcome { option value="" { "any" } } }
            label { "Doubts " select #by-flag { option value="" { "any" } } }
            label #variant-label hidden { "Variant " select #by-variant { option value="" { "any" } } }
            output #shown for="find by-outcome by-flag by-variant" {}
        }
        div.scroll tabindex="0" role="group" aria-label="Every turn" {
            table.turns #turn-table hidden {
                caption { "Times in ms. A head sorts by its column; again, the other way round." }
                thead { tr #turn-heads {} }
                tbody #turn-rows {}
            }
        }
        nav.pages #pages hidden aria-label="Pages of turns" {
            button #before type="button" { "Before" }
            span #page {}
            button #after type="button" { "After" }
        }
        script #turn-data type="application/json" { (PreEscaped(json(data))) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_in_the_json_ends_its_element() {
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
