//! Behaviour of agents other than replies: stopping when interrupted, speaking too early, failing.
//!
//! In: turns, and the failures of the summary. Out: one section for each, if it has any content.

use super::super::figures::figure;
use super::super::talk;
use super::super::text::{grouped, plural};
use super::section::Section;
use super::view::{View, distribution, message, name, percentile};
use crate::record::{EarlyByPause, Expect, FalseInterruptions, Ms, Outcome, TurnRecord};
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
    let kinds = view.summary.conversation.as_ref();
    let kinds = kinds.map_or(&[][..], |talk| &talk.false_interruptions);
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
            (disturbances(kinds))
            (times("After a false interruption: from the agent's last sound to its next one, in ms", "resume", ignore.iter().filter_map(|t| t.resume_ms)))
        }
    };
    Some(Section::new("interruptions", "Interruptions", body))
}

/// What became of the sounds that the agent should ignore, by their kind.
fn disturbances(kinds: &[FalseInterruptions]) -> Markup {
    let heads = [
        "sound",
        "while it spoke",
        "stopped",
        "share stopped",
        "spoke again",
        "how",
        "answered while silent",
        "stayed silent",
    ];
    html! {
        div.scroll tabindex="0" role="group" aria-label="Sounds to ignore" {
            table.figures {
                caption { "Sounds that the agent should ignore (" a href="#def-false_interruption" { "false_interruption" } ")" }
                thead { tr { @for head in heads { th scope="col" { (head) } } } }
                tbody { @for of in kinds { tr {
                    td { (talk::kind(of)) }
                    td { (of.asked) }
                    td { (of.stopped) }
                    td { @match &of.rate { Some(rate) => (talk::rate(rate)), None => "–" } }
                    td { (of.resumed) }
                    td { @match talk::resumptions(of) { Some(how) => (how), None => "–" } }
                    td { (of.spoke) }
                    td { (of.no_chance) }
                } } }
            }
        }
    }
}

/// Early replies by the length of the pause into which they fell: what a short silence before the
/// end of a turn costs.
fn by_pause(classes: &[EarlyByPause]) -> Markup {
    html! {
        @if !classes.is_empty() {
            div.scroll tabindex="0" role="group" aria-label="Early replies by pause" {
                table.figures {
                    caption { "Early replies by the pause of the caller into which they fell" }
                    thead { tr { @for head in ["pauses", "made", "spoken into", "share"] { th scope="col" { (head) } } } }
                    tbody { @for class in classes { tr {
                        td { (talk::lengths(class)) }
                        td { (class.pauses) }
                        td { (class.early) }
                        td { @match &class.rate { Some(rate) => (talk::rate(rate)), None => "–" } }
                    } } }
                }
            }
        }
    }
}

/// Who spoke when: overlap, silences, fillers.
pub(super) fn conversation(view: &View<'_>) -> Option<Section> {
    let talk = view.summary.conversation.as_ref()?;
    let said = talk::sentences(view.summary);
    let seconds = |ms: Ms| format!("{:.1} s", ms.as_f64() / 1e3);
    let body = html! {
        p {
            "Callers spoke for " b { (seconds(talk.floor.caller_ms)) } ", agents for "
            b { (seconds(talk.floor.agent_ms)) } ", both at once for "
            b { (seconds(talk.floor.overlap_ms)) } "."
        }
        dl.conversation { @for (key, text) in said { dt { (key) } dd { (text) } } }
    };
    Some(Section::new("conversation", "Conversation", body))
}

/// Turns in which the agent was audible before the caller had finished.
pub(super) fn early(view: &View<'_>) -> Option<Section> {
    let mut early: Vec<&TurnRecord> = view
        .measured()
        .filter(|t| t.outcome == Outcome::Early && t.expect != Expect::HangUp)
        .collect();
    let talk = view.summary.conversation.as_ref();
    let classes = talk.map_or(&[][..], |talk| &talk.early_by_pause);
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
        (by_pause(classes))
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
