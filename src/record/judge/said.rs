//! Word errors: transcripts compared with the expected words.
//!
//! In: call and turn records. Out: the share of wrong words and of wrong replies. Invariant: a
//! figure without a sample is absent.

use crate::record::{CallRecord, TurnRecord};
use crate::stats::{Population, Proportion};
use crate::vocab::Metric;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Level of the confidence intervals.
const LEVEL: f64 = 0.95;

/// Accuracy of the agent's transcripts and of its replies.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct SaidFigures {
    /// Word error rate of the agent's transcripts; absent if no utterance has a text or the agent
    /// reports no transcripts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wer: Option<Rate>,
    /// Word error rate of the agent's replies; absent if no turn has a `reply_text`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reply_wer: Option<Rate>,
    /// Share of replies that do not match `reply_matches`; absent if no turn has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reply_mismatched: Option<Rate>,
}

/// A share, 0 to 1, with its confidence interval at 95 %.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Rate {
    /// Number of hits.
    pub hits: usize,
    /// Number of samples.
    pub of: usize,
    /// The share.
    pub rate: f64,
    /// Lower end of the interval.
    pub lower: f64,
    /// Upper end of the interval.
    pub upper: f64,
}

impl Rate {
    /// The share and its interval; `None` without samples.
    pub(super) fn of(share: &Proportion) -> Option<Self> {
        let interval = share.interval(LEVEL)?;
        Some(Self {
            hits: share.hits(),
            of: share.total(),
            rate: share.value()?,
            lower: interval.lower,
            upper: interval.upper,
        })
    }
}

impl SaidFigures {
    /// The figures of these calls and turns; `None` if there are none.
    pub(super) fn of(calls: &[CallRecord], turns: &[TurnRecord]) -> Option<Self> {
        let rate = |metric: Metric| match metric.population(calls, turns, None) {
            Population::Share(share) => Rate::of(&share),
            Population::Latencies(_) => None,
        };
        let figures = Self {
            wer: rate(Metric::Wer),
            reply_wer: rate(Metric::ReplyWer),
            reply_mismatched: rate(Metric::ReplyMismatched),
        };
        (figures != Self::default()).then_some(figures)
    }

    /// The figures that exist, each with its metric.
    pub(crate) fn named(&self) -> impl Iterator<Item = (Metric, Rate)> {
        let all = [
            (Metric::Wer, self.wer),
            (Metric::ReplyWer, self.reply_wer),
            (Metric::ReplyMismatched, self.reply_mismatched),
        ];
        all.into_iter()
            .filter_map(|(metric, rate)| Some((metric, rate?)))
    }
}
