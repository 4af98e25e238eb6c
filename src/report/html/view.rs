//! A run's records, prepared once for all parts of the page.
//!
//! In: the record of a run. Out: measured turns, concurrency, distributions. Invariant: measured
//! turns exclude warm-up calls.

use super::super::text::clean;
use crate::record::{CallRecord, Ms, RunRecord, Summary, TurnRecord};
use crate::stats::{Distribution, Sample};

/// Maximum length of a name from outside; longer ones are truncated.
const LONGEST_NAME: usize = 80;
/// Maximum length of a message from outside.
const LONGEST_MESSAGE: usize = 600;

/// A run, prepared for the parts of the page.
pub(super) struct View<'a> {
    pub(super) record: &'a RunRecord,
    pub(super) summary: &'a Summary,
    /// Every turn, sorted by call and turn, warm-up included.
    pub(super) turns: &'a [TurnRecord],
    pub(super) scenario: Option<&'a str>,
    pub(super) complete: bool,
    /// Whether the turns have more than one variant.
    pub(super) variants: bool,
    /// Concurrency: the instants of change, and the number of calls under way from each one on.
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

    pub(super) fn measured(&self) -> impl Iterator<Item = &'a TurnRecord> {
        self.turns.iter().filter(|t| t.is_measured())
    }

    /// Measured turns that ran to their end and expect a reply.
    pub(super) fn asked(&self) -> impl Iterator<Item = &'a TurnRecord> {
        self.measured()
            .filter(|t| t.counts() && t.expect.asks_for_reply())
    }

    /// Turns that expect a reply and got one, with their `ttfa`.
    pub(super) fn replied(&self) -> impl Iterator<Item = (&'a TurnRecord, Ms)> {
        self.asked().filter_map(|t| Some((t, t.ttfa_ms?)))
    }

    /// The instants at which concurrency changes, and the number of calls under way from each one
    /// on, warm-up calls included. Empty if unknown.
    pub(super) fn steps(&self) -> &[(Ms, usize)] {
        &self.steps
    }

    /// Number of calls under way at `at`; `None` before the first call.
    pub(super) fn calls_at(&self, at: Ms) -> Option<usize> {
        let behind = self.steps.partition_point(|(from, _)| *from <= at);
        self.steps.get(behind.checked_sub(1)?).map(|(_, n)| *n)
    }
}

fn steps(calls: &[CallRecord]) -> Vec<(Ms, usize)> {
    let mut changes: Vec<(Ms, i64)> = calls
        .iter()
        .filter_map(|c| Some((c.started_ms?, c.ended_ms)))
        // A call that was under way when the run was cut off has no end.
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

/// A distribution of latencies; negative times are left out.
pub(super) fn distribution(times: impl IntoIterator<Item = Ms>) -> Distribution {
    let durations = times.into_iter().filter_map(Ms::duration);
    durations.map(Sample::from).collect()
}

pub(super) fn percentile(of: &Distribution, p: f64) -> Option<Ms> {
    of.percentile(p).and_then(Ms::from_sample)
}

/// The quantile `q` of items in ascending order; `None` if there are none.
pub(super) fn at_quantile<T>(sorted: &[T], q: f64) -> Option<&T> {
    let rank = (q * sorted.len() as f64 - 1e-9).ceil() as usize;
    sorted.get(rank.max(1) - 1)
}

/// The end of speech of a turn; if there is none, its start or else its planned start.
pub(super) fn instant(turn: &TurnRecord) -> Option<Ms> {
    turn.speech_end_ms.or(turn.started_ms).or(turn.planned_ms)
}

/// Cleans a name from outside.
pub(super) fn name(text: &str) -> String {
    clean(text, LONGEST_NAME)
}

/// Cleans a message from outside.
pub(super) fn message(text: &str) -> String {
    clean(text, LONGEST_MESSAGE)
}

pub(super) fn seconds(ms: Ms) -> f64 {
    ms.as_f64() / 1e3
}
