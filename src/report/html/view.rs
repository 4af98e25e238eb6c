//! What the parts of the page look at: a run's records, sorted out once.
//!
//! In: the record of a run. Out: measured turns, concurrency, distributions. Holds: what is
//! measured has no warm-up in it.

use super::super::text::clean;
use crate::record::{CallRecord, Ms, RunRecord, Summary, TurnRecord};
use crate::stats::{Distribution, Sample};

/// Longest name from outside; longer ones are cut.
const LONGEST_NAME: usize = 80;
/// Longest message from outside.
const LONGEST_MESSAGE: usize = 600;

/// A run as the page sees it.
pub(super) struct View<'a> {
    pub(super) record: &'a RunRecord,
    pub(super) summary: &'a Summary,
    /// Every turn, by call and turn; warm-up too.
    pub(super) turns: &'a [TurnRecord],
    pub(super) scenario: Option<&'a str>,
    pub(super) complete: bool,
    /// Turns differ in their variant.
    pub(super) variants: bool,
    /// Calls under way: from each instant on so many.
    steps: Vec<(Ms, usize)>,
}

impl<'a> View<'a> {
    pub(super) fn new(record: &'a RunRecord) -> Self {
        Self {
            record,
            summary: &record.summary,
            turns: &record.turns,
            scenario: record.scenario.as_deref(),
            complete: record.is_complete(),
            variants: record
                .turns
                .windows(2)
                .any(|t| t[0].variant != t[1].variant),
            steps: steps(&record.calls),
        }
    }

    /// Turns that count.
    pub(super) fn measured(&self) -> impl Iterator<Item = &'a TurnRecord> {
        self.turns.iter().filter(|t| t.is_measured())
    }

    /// Turns that count and ask for a reply.
    pub(super) fn asked(&self) -> impl Iterator<Item = &'a TurnRecord> {
        self.measured()
            .filter(|t| t.counts() && t.expect.asks_for_reply())
    }

    /// Of these, turns that got one, with their `ttfa`.
    pub(super) fn replied(&self) -> impl Iterator<Item = (&'a TurnRecord, Ms)> {
        self.asked().filter_map(|t| Some((t, t.ttfa_ms?)))
    }

    /// Calls under way, warm-up calls too: from each instant on so many. Empty where nobody knows.
    pub(super) fn steps(&self) -> &[(Ms, usize)] {
        &self.steps
    }

    /// Calls under way at `at`.
    pub(super) fn calls_at(&self, at: Ms) -> Option<usize> {
        let behind = self.steps.partition_point(|(from, _)| *from <= at);
        self.steps.get(behind.checked_sub(1)?).map(|(_, n)| *n)
    }
}

fn steps(calls: &[CallRecord]) -> Vec<(Ms, usize)> {
    let mut changes: Vec<(Ms, i64)> = calls
        .iter()
        .filter_map(|c| Some((c.started_ms?, c.ended_ms)))
        // One that was under way when the run was cut off has no end.
        .flat_map(|(from, to)| [Some((from, 1)), to.map(|to| (to, -1))])
        .flatten()
        .collect();
    changes.sort_unstable();
    let mut steps: Vec<(Ms, usize)> = Vec::new();
    let mut now = 0;
    for (at, change) in changes {
        now += change;
        let n = usize::try_from(now).unwrap_or(0);
        match steps.last_mut() {
            Some(last) if last.0 == at => last.1 = n,
            _ => steps.push((at, n)),
        }
    }
    steps
}

/// A distribution of times; those that are negative, which no latency is, are left out.
pub(super) fn distribution(times: impl IntoIterator<Item = Ms>) -> Distribution {
    let durations = times.into_iter().filter_map(Ms::duration);
    durations.map(Sample::from).collect()
}

/// A percentile as reports have it.
pub(super) fn percentile(of: &Distribution, p: f64) -> Option<Ms> {
    of.percentile(p).and_then(Ms::from_sample)
}

/// When a turn was: its end of speech, or what is known before that.
pub(super) fn instant(turn: &TurnRecord) -> Option<Ms> {
    turn.speech_end_ms.or(turn.started_ms).or(turn.planned_ms)
}

/// A name from outside.
pub(super) fn name(text: &str) -> String {
    clean(text, LONGEST_NAME)
}

/// A message from outside.
pub(super) fn message(text: &str) -> String {
    clean(text, LONGEST_MESSAGE)
}

/// Seconds of the run.
pub(super) fn seconds(ms: Ms) -> f64 {
    ms.as_f64() / 1e3
}
