//! Behaviour of agents other than replies: stopping when interrupted, speaking too early, failing.
//!
//! In: turns, and the failures of the summary. Out: one section for each, if it has any content.

use super::super::figures::figure;
use super::super::text::{grouped, plural};
use super::section::Section;
use super::view::{View, distribution, message, name, percentile};
use crate::record::{Expect, Ms, Outcome, TurnRecord};
use maud::{Markup, html};

/// Maximum number of turns listed individually.
const LISTED: usize = 5;

/// Turns that expect the agent to stop, or to carry on.
pub(super) fn interruptions(view: &View<'_>) -> Option<Section> {
    let of = |wanted: fn(Expect) -> bool| -> Vec<&TurnRecord> {
        let counts = view.measured().filter(|t| t.counts());
        counts.filter(|t| wanted(t.expect)).collect()
    };
    let stop = of(Expect::asks_for_stop);
    let ignore = of(|expect| expect == Expect::Ignore);
    if stop.is_empty() && ignore.is_empty() {
        return None;
    }
    let replied = |turns: &[&TurnRecord]| {
        turns
            .iter()
            .filter(|t| t.outcome == Outcome::Replied)
            .count()
    };
    let stopped = stop.iter().filter(|t| t.stop_ms.is_some()).count();
    let body = html! {
        @if !stop.is_empty() {
            p {
                "Callers interrupted the agent " b { (plural(stop.len(), "time")) } "; it stopped "
                b { (plural(stopped, "time")) } "."
            }
            (times("From the start of the caller's speech to the agent's last sound, in ms", "stop", stop.iter().filter_map(|t| t.stop_ms)))
        }
        @if !ignore.is_empty() {
            p {
                "The agent was expected to carry on " b { (plural(ignore.len(), "time")) } ", and did "
                b { (plural(replied(&ignore), "time")) } "."
            }
        }
    };
    Some(Section::new("interruptions", "Interruptions", body))
}

/// Turns in which the agent was audible before the caller had finished.
pub(super) fn early(view: &View<'_>) -> Option<Section> {
    let mut early: Vec<&TurnRecord> = view
        .measured()
        .filter(|t| t.outcome == Outcome::Early && t.expect != Expect::HangUp)
        .collect();
    if early.is_empty() {
        return None;
    }
    early.sort_by_key(|t| std::cmp::Reverse(t.early_by_ms));
    let body = html! {
        p {
            "In " b { (plural(early.len(), "turn")) } " the agent was audible before the caller had finished. "
            "That is not a latency: these turns are in no quantile."
        }
        (times("How long before the end of speech, in ms", "early", early.iter().filter_map(|t| t.early_by_ms)))
        p.note {
            "The earliest: "
            @for (nth, turn) in early.iter().take(LISTED).enumerate() {
                @if nth > 0 { ", " }
                "call " (turn.call) " turn " (turn.turn) " by " (figure(turn.early_by_ms)) " ms"
            }
            "."
        }
    };
    Some(Section::new("early", "Early replies", body))
}

/// One row of order statistics.
pub(super) fn times(caption: &str, definition: &str, times: impl Iterator<Item = Ms>) -> Markup {
    let of = distribution(times);
    html! {
        @if of.count() > 0 {
            div.scroll tabindex="0" role="group" aria-label=(caption) {
                table.figures {
                    caption { (caption) " (" a href=(format!("#def-{definition}")) { (definition) } ")" }
                    thead { tr { @for head in ["count", "min", "p50", "p90", "p95", "max"] { th scope="col" { (head) } } } }
                    tbody { tr {
                        td { (grouped(of.count() as u64)) }
                        @for p in [0.0, 50.0, 90.0, 95.0, 100.0] { td { (figure(percentile(&of, p))) } }
                    } }
                }
            }
        }
    }
}

/// Failed calls by cause.
pub(super) fn failures(view: &View<'_>) -> Option<Section> {
    let failures = &view.summary.failures;
    if failures.is_empty() {
        return None;
    }
    let body = html! {
        ul.failures { @for failure in failures {
            li {
                h3 { b.count { (plural(failure.count, "call")) } " " code { (name(&failure.cause)) } }
                p { (message(&failure.message)) }
                p.hint { b { "Try: " } (message(&failure.hint)) }
            }
        } }
    };
    Some(Section::new("failures", "Failures", body))
}
