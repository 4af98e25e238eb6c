//! The calls that were kept whole, to be listened to.
//!
//! In: the record and the index of the kept audio. Out: one section. Invariants: at most [`CALLS`]
//! calls and [`TURNS`] turns of each are listed, whatever the index says; a turn's link begins to
//! play shortly before its utterance.

use super::super::figures::figure;
use super::super::text::plural;
use super::section::Section;
use super::view::{View, name};
use crate::record::{EVIDENCE_FOLDER, EvidenceCall, EvidencePlace, Ms, Outcome, TurnRecord};
use maud::{Markup, html};

/// Maximum number of calls listed: as many as a run keeps.
const CALLS: usize = 100;
/// Maximum number of turns listed per call.
const TURNS: usize = 100;
/// How long before its utterance a turn's link begins to play, in milliseconds.
const LEAD_MS: f64 = 500.0;

pub(super) fn section(view: &View<'_>) -> Option<Section> {
    let kept = view.record.evidence.as_ref()?;
    if kept.calls.is_empty() {
        return None;
    }
    let left_out = kept.calls_left_out;
    let body = html! {
        p.note {
            "Calls with turns without an answer come first, then those with the slowest reply. Caller left, agent right; a turn's link opens the recording shortly before its utterance."
            @if left_out > 0 { " For lack of room, " (plural(left_out, "call")) " could not be kept." }
        }
        ol.slowest { @for call in kept.calls.iter().take(CALLS) { li { (recording(view, call)) } } }
    };
    Some(Section::new("recordings", "Whole calls", body))
}

fn recording(view: &View<'_>, kept: &EvidenceCall) -> Markup {
    let from = view.turns.partition_point(|t| t.call < kept.call);
    let to = view.turns.partition_point(|t| t.call <= kept.call);
    let turns = view.turns.get(from..to).unwrap_or_default();
    let path = format!("{EVIDENCE_FOLDER}/{}", kept.file);
    let more = kept.turns.len().saturating_sub(TURNS);
    html! {
        figure.timeline {
            figcaption {
                (why(turns))
                " call " (kept.call) ", " (clock(kept.length_ms))
                @if let Some(turn) = turns.first() {
                    @if view.variants { ", " (name(&turn.variant)) }
                    " " code { (name(&turn.room)) }
                }
                @if kept.cut { " " span.flag { "cut" } }
            }
            audio controls preload="none" src=(path) aria-label=(format!("Call {}", kept.call)) {}
            p.note {
                @for (nth, place) in kept.turns.iter().take(TURNS).enumerate() {
                    @if nth > 0 { ", " }
                    (link(&path, place, turns.iter().find(|t| t.turn == place.turn)))
                }
                @if more > 0 { ", and " (plural(more, "more turn")) }
            }
        }
    }
}

/// What is worst about a call.
fn why(turns: &[TurnRecord]) -> Markup {
    let is_open = |t: &&TurnRecord| {
        matches!(
            t.outcome,
            Outcome::Missed | Outcome::Early | Outcome::Failed
        )
    };
    let open = turns.iter().filter(is_open).count();
    let slowest = turns.iter().filter_map(|t| t.ttfa_ms).max();
    html! {
        @match (open, slowest) {
            (0, Some(ttfa)) => { b.number { (figure(Some(ttfa))) " ms" } }
            (0, None) => {}
            _ => { b { (plural(open, "turn")) " without an answer" } }
        }
    }
}

/// A turn, with the time of its utterance in the file.
fn link(path: &str, place: &EvidencePlace, turn: Option<&TurnRecord>) -> Markup {
    let from = (place.started_ms.as_f64() - LEAD_MS).max(0.0) / 1e3;
    html! {
        a href=(format!("{path}#t={from:.1}")) { "turn " (place.turn) " at " (clock(place.started_ms)) }
        @if let Some(turn) = turn {
            @match turn.ttfa_ms {
                Some(ttfa) => { " (" (figure(Some(ttfa))) " ms)" }
                None => { " (" (turn.outcome.name()) ")" }
            }
        }
    }
}

/// A length in minutes and seconds: `2:05.3`.
fn clock(ms: Ms) -> String {
    let tenths = (ms.as_f64().max(0.0) / 100.0).round() as u64;
    let (minutes, rest) = (tenths / 600, tenths % 600);
    format!("{minutes}:{:02}.{}", rest / 10, rest % 10)
}
