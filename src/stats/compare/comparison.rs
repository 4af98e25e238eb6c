//! The inputs and results of a comparison: the values of metrics, differences, verdicts.
//!
//! Invariant: if one figure regressed, the verdict on all figures together is a regression
//! ([`Change::of_all`]).

use crate::stats::Sample;

/// Where a value comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SampleOrigin {
    /// The call.
    pub call: usize,
    /// The block of an interleaved run, in which calls of all variants were made side by side and
    /// are compared with each other. `None` if there are no blocks.
    pub block: Option<u64>,
}

/// The values of one metric.
#[derive(Debug, Clone, PartialEq)]
pub enum Values {
    /// Compared by median and p95; infinite if the awaited event never happened.
    Latencies(Vec<(SampleOrigin, Sample)>),
    /// Compared by the share of hits.
    Hits(Vec<(SampleOrigin, bool)>),
}

/// One metric of a baseline or of a candidate.
#[derive(Debug, Clone, PartialEq)]
pub struct Series {
    /// Name of the metric; series with the same name are compared.
    pub metric: String,
    /// The measured values.
    pub values: Values,
    /// Whether a larger value is better; for latencies and most rates it is worse.
    pub more_is_better: bool,
}

/// Bounds on differences that are too small to matter, however certain they are. A difference is
/// noise if it is within any one of them.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Noise {
    /// As a share of the baseline's figure.
    pub(crate) share: f64,
    /// For latencies, in ms.
    pub(crate) ms: f64,
    /// For rates, between 0 and 1.
    pub(crate) rate: f64,
}

/// The settings of a comparison.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CompareSettings {
    /// Differences that do not matter.
    pub noise: Noise,
    /// Confidence level of the intervals, 0.95 by default; the probability of any false alarm is at
    /// most 1 − `level`.
    pub level: f64,
    /// Seed of the permutations.
    pub seed: u64,
}

impl Default for CompareSettings {
    fn default() -> Self {
        let noise = Noise {
            share: 0.05,
            ms: 20.0,
            rate: 0.01,
        };
        Self {
            noise,
            level: 0.95,
            seed: 0,
        }
    }
}

/// A figure that is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Figure {
    /// The median, in ms.
    P50,
    /// The 95th percentile, in ms.
    P95,
    /// A share, 0..=1.
    Rate,
}

/// A verdict.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Change {
    /// Significantly better, by more than the noise.
    Improved,
    /// Significantly worse, by more than the noise.
    Regressed,
    /// The whole confidence interval of the difference is within the noise.
    Unchanged,
    /// The data supports none of the other verdicts.
    Inconclusive,
}

/// The comparison of one figure.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Difference {
    pub(crate) figure: Figure,
    /// Value of the baseline; may be infinite.
    pub(crate) baseline: f64,
    /// Value of the candidate; may be infinite.
    pub(crate) candidate: f64,
    /// Candidate − baseline; 0 if both are infinite.
    pub(crate) by: f64,
    /// Confidence interval of the difference; `None` with too few samples.
    pub interval: Option<(f64, f64)>,
    /// Candidate − baseline of the statistic that the test permutes: the mean rank, the share
    /// beyond the common p95, or the share of hits. Its sign can differ from that of `by`.
    pub(crate) tested: f64,
    /// p-value of the permutation test: how often so large a difference arises by chance.
    pub(crate) p: f64,
    /// The p-value corrected for all tests of the comparison (Holm).
    pub(crate) p_adjusted: f64,
    /// The verdict.
    pub(crate) change: Change,
    /// The number of calls needed, if the verdict is inconclusive and would be inconclusive for any
    /// values of the present number of calls. Never set for the 95th percentile.
    pub(crate) needed: Option<Needed>,
}

/// The number of calls that a comparison needs, if it has too few to be conclusive, whatever their
/// values.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Needed {
    /// The smallest p that this number of calls can reach, corrected for all tests of the
    /// comparison.
    pub best_p: f64,
    /// Number of calls available: of the baseline, of the candidate.
    pub have: [usize; 2],
    /// Number of calls with which the comparison can be conclusive: of the baseline, of the
    /// candidate.
    pub calls: [usize; 2],
    /// Number of blocks available, and number with which the comparison can be conclusive, if calls
    /// are exchanged within blocks.
    pub blocks: Option<[usize; 2]>,
}

/// The comparison of one metric.
#[derive(Debug, Clone, PartialEq)]
pub struct Comparison {
    /// Name of the metric.
    pub metric: String,
    /// One difference per figure.
    pub differences: Vec<Difference>,
    /// The verdict on all figures together, by `Change::of_all`.
    pub change: Change,
}

impl Series {
    /// Number of figures that are compared.
    pub(super) fn figures(&self) -> usize {
        match self.values {
            Values::Latencies(_) => 2,
            Values::Hits(_) => 1,
        }
    }
}

impl Figure {
    /// The figure's name in files.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::P50 => "p50",
            Self::P95 => "p95",
            Self::Rate => "rate",
        }
    }
}

impl Change {
    /// The verdict's name in files.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Improved => "improved",
            Self::Regressed => "regressed",
            Self::Unchanged => "unchanged",
            Self::Inconclusive => "inconclusive",
        }
    }

    /// The verdict on several figures together: regressed if any is, else improved if any is, else
    /// inconclusive if any is or there are none, else unchanged.
    pub(crate) fn of_all(all: impl IntoIterator<Item = Self>) -> Self {
        let all: Vec<Self> = all.into_iter().collect();
        let any = |change| all.contains(&change);
        if any(Self::Regressed) {
            Self::Regressed
        } else if any(Self::Improved) {
            Self::Improved
        } else if any(Self::Inconclusive) || all.is_empty() {
            Self::Inconclusive
        } else {
            Self::Unchanged
        }
    }
}
