//! How the conversations of a run went, and what the network did to them, in sentences.
//!
//! In: a summary. Out: titled sentences, the same for every report. Invariant: what did not occur
//! and was not asked for is left out.

use super::figures::figure;
use super::text::{grouped, plural};
use crate::record::{
    BrokenReplies, ConversationFigures, EarlyByPause, FalseInterruptions, InterruptionFigures, Ms,
    RateFigures, Summary,
};
use crate::vocab::Metric;

/// The sentences, each with its key.
pub(super) fn sentences(summary: &Summary) -> Vec<(&'static str, String)> {
    let talk = summary.conversation.iter().flat_map(conversation);
    let broken = summary.broken.iter().flat_map(BrokenReplies::sentences);
    let network = network(summary).map(|text| ("network", text));
    talk.chain(broken.map(|text| ("broken", text)))
        .chain(network)
        .collect()
}

/// Round trip and jitter of the calls, and what happened to their packets.
fn network(summary: &Summary) -> Option<String> {
    let connection = summary.connection.as_ref()?;
    let latency = |metric, name: &str| {
        let of = summary.metrics.get(metric);
        let (p50, p95) = (of.p50_ms?, of.p95_ms?);
        Some(format!("{name} p50 {p50:.1}, p95 {p95:.1} ms"))
    };
    let times = [
        latency(Metric::Rtt, "round trip"),
        latency(Metric::Jitter, "jitter down"),
    ];
    let mut parts: Vec<String> = times.into_iter().flatten().collect();
    parts.extend(connection.words());
    Some(parts.join("; "))
}

fn conversation(talk: &ConversationFigures) -> Vec<(&'static str, String)> {
    let ignored: Vec<String> = talk.false_interruptions.iter().map(disturbance).collect();
    let early: Vec<String> = talk.early_by_pause.iter().filter_map(early).collect();
    [
        (
            "interrupted",
            talk.interruptions.as_ref().map(interruptions),
        ),
        ("to ignore", joined(ignored)),
        ("early", joined(early)),
        ("fillers", fillers(talk)),
        ("silences", silences(talk)),
        ("overlap", overlap(talk)),
    ]
    .into_iter()
    .filter_map(|(key, text)| Some((key, text?)))
    .collect()
}

fn joined(parts: Vec<String>) -> Option<String> {
    (!parts.is_empty()).then(|| parts.join("; "))
}

/// `the agent 40 times: it stopped 38 times, talked on 2 times; in 1 turn it was silent`.
fn interruptions(of: &InterruptionFigures) -> String {
    let mut text = format!(
        "the agent {}: it stopped {}, talked on {}",
        plural(of.asked, "time"),
        plural(of.obeyed, "time"),
        plural(of.ignored, "time")
    );
    if of.no_chance > 0 {
        let turns = plural(of.no_chance, "turn");
        text += &format!("; in {turns} there was nothing to interrupt");
    }
    text
}

/// `cough: the agent stopped 3 of 20 times (15.0 %, 3.2 to 37.9 %), spoke again 2 times (went on
/// 1, began anew 1)`.
fn disturbance(of: &FalseInterruptions) -> String {
    let mut parts = Vec::new();
    if of.asked > 0 {
        let asked = plural(of.asked, "time");
        let rate = of.rate.as_ref().map_or_else(String::new, rate);
        parts.push(format!("the agent stopped {} of {asked}{rate}", of.stopped));
    }
    if of.stopped > 0 {
        let how = resumptions(of).map_or_else(String::new, |how| format!(" ({how})"));
        parts.push(format!("spoke again {}{how}", plural(of.resumed, "time")));
    }
    if of.spoke > 0 {
        parts.push(format!(
            "answered {} although it had been silent",
            plural(of.spoke, "time")
        ));
    }
    if of.no_chance > 0 {
        parts.push(format!("was silent {}", plural(of.no_chance, "time")));
    }
    format!("{}: {}", kind(of), parts.join(", "))
}

/// `went on 12, began anew 3, unclear 1`; `None` if the agent never spoke again.
pub(super) fn resumptions(of: &FalseInterruptions) -> Option<String> {
    let how = of.how.as_ref()?;
    let kinds = [
        (how.went_on, "went on"),
        (how.went_back, "went back"),
        (how.began_anew, "began anew"),
        (how.unknown, "unclear"),
    ];
    let occurred = kinds.into_iter().filter(|(count, _)| *count > 0);
    let words: Vec<String> = occurred.map(|(n, what)| format!("{what} {n}")).collect();
    (!words.is_empty()).then(|| words.join(", "))
}

/// The kind of sound, in words.
pub(super) fn kind(of: &FalseInterruptions) -> String {
    of.kind.name().replace('_', " ")
}

/// ` (15.0 %, 3.2 to 37.9 %)`.
pub(super) fn rate(of: &RateFigures) -> String {
    let percent = |share: f64| format!("{:.1}", share * 100.0);
    let (rate, lower, upper) = (percent(of.rate), percent(of.lower), percent(of.upper));
    format!(" ({rate} %, {lower} to {upper} %)")
}

/// `into 3 of 40 pauses of 400 to 600 ms`; `None` if there were no early replies.
fn early(of: &EarlyByPause) -> Option<String> {
    let rate = of.rate.as_ref().map_or_else(String::new, rate);
    let pauses = plural(of.pauses, "pause");
    let text = format!("into {} of {pauses} {}{rate}", of.early, lengths(of));
    (of.early > 0).then_some(text)
}

/// `of 400 to 600 ms`, `of 1,500 ms or more`.
pub(super) fn lengths(of: &EarlyByPause) -> String {
    let ms = |ms: Ms| grouped(u64::try_from(ms.micros() / 1_000).unwrap_or(0));
    match of.until_ms {
        Some(until) => format!("of {} to {} ms", ms(of.from_ms), ms(until)),
        None => format!("of {} ms or more", ms(of.from_ms)),
    }
}

fn fillers(talk: &ConversationFigures) -> Option<String> {
    let turns = plural(talk.fillers, "turn");
    (talk.fillers > 0).then(|| format!("the reply began with one in {turns}"))
}

/// `awkward in 3 turns, longest 4,210 ms; 2 calls ended without the last reply`.
fn silences(talk: &ConversationFigures) -> Option<String> {
    let mut parts = Vec::new();
    if talk.awkward.count > 0 {
        let longest = figure(Some(talk.awkward.longest_ms));
        let turns = plural(talk.awkward.turns, "turn");
        parts.push(format!("awkward in {turns}, longest {longest} ms"));
    }
    if talk.dead_air.calls > 0 {
        let calls = plural(talk.dead_air.calls, "call");
        parts.push(format!("{calls} ended without the last reply"));
    }
    joined(parts)
}

/// `1.2 % of the speech; the agent came in 4 times, callers 38 times`.
fn overlap(talk: &ConversationFigures) -> Option<String> {
    let share = talk.overlap_ratio.filter(|share| *share > 0.0)?;
    Some(format!(
        "{:.1} % of the speech; the agent came in {}, callers {}",
        share * 100.0,
        plural(talk.floor.agent_came_in, "time"),
        plural(talk.floor.caller_came_in, "time")
    ))
}
