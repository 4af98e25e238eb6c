//! Searches for the highest concurrency that meets an SLO.
//!
//! In: the verdict on each level measured. Out: the level to measure next, and finally the answer.
//! Invariant: the answer is always confirmed by a separate measurement.

use super::{Distribution, Sample};

/// Confidence level of the interval that must not contain the bound.
const LEVEL: f64 = 0.95;
/// The largest share of turns that may have failed.
pub(crate) const MAX_FAILED: f64 = 0.01;
/// Relative resolution of the answer (never finer than one call).
const RESOLUTION: f64 = 0.025;

/// An SLO: a quantile of the latency must stay below a bound.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Promise {
    /// The quantile, strictly between 0 and 1.
    pub quantile: f64,
    /// The bound that the quantile must stay below.
    pub below: Sample,
}

/// Whether turns meet an SLO.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PromiseVerdict {
    /// The whole interval of the quantile is below the bound.
    Keeps,
    /// No part of the interval is below the bound, or too many turns failed.
    Breaks,
    /// The bound lies within the interval, or there is no interval yet: more turns are needed.
    Unclear,
}

impl Promise {
    /// Judges turns. Failed and missed turns are [`Sample::Infinite`]; `failed` is the number of
    /// failed turns.
    pub(crate) fn judge(&self, turns: &Distribution, failed: usize) -> PromiseVerdict {
        let Ok(interval) = turns.interval(self.quantile, LEVEL) else {
            return PromiseVerdict::Unclear;
        };
        let share = failed as f64 / turns.count().max(1) as f64;
        if interval.lower >= self.below || share > MAX_FAILED {
            PromiseVerdict::Breaks
        } else if interval.upper < self.below {
            PromiseVerdict::Keeps
        } else {
            PromiseVerdict::Unclear
        }
    }

    /// Whether the point estimate meets the SLO; for turns whose verdict remains unclear.
    pub(crate) fn lean(&self, turns: &Distribution) -> bool {
        turns
            .quantile(self.quantile)
            .is_some_and(|q| q < self.below)
    }
}

/// The next step of a search.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SearchStep {
    /// Measure this many calls at once.
    Measure(u32),
    /// Measure this many calls at once again, to confirm the answer.
    Recheck(u32),
    /// `Some`: the largest level that meets the SLO; `None`: not even one call meets it.
    Done(Option<u32>),
}

/// A search for a level between one call and `max`.
#[derive(Debug, Clone)]
pub(crate) struct Search {
    max: u32,
    next: u32,
    /// Levels that meet the SLO, ascending; all below `breaks`.
    kept: Vec<u32>,
    breaks: Option<u32>,
    rechecked: bool,
}

impl Search {
    /// A search that begins at `start`.
    pub(crate) fn new(start: u32, max: u32) -> Self {
        let max = max.max(1);
        Self {
            max,
            next: start.clamp(1, max),
            kept: Vec::new(),
            breaks: None,
            rechecked: false,
        }
    }

    /// The next step.
    pub(crate) fn step(&self) -> SearchStep {
        match (self.best(), self.breaks) {
            (None, Some(1)) => SearchStep::Done(None),
            (Some(keeps), breaks) if self.is_settled(keeps, breaks) => match self.rechecked {
                true => SearchStep::Done(Some(keeps)),
                false => SearchStep::Recheck(keeps),
            },
            _ => SearchStep::Measure(self.next),
        }
    }

    fn is_settled(&self, keeps: u32, breaks: Option<u32>) -> bool {
        let step = ((f64::from(keeps) * RESOLUTION) as u32).max(1);
        breaks.map_or(keeps >= self.max, |b| b.saturating_sub(keeps) <= step)
    }

    /// The largest level so far that meets the SLO.
    pub(crate) fn best(&self) -> Option<u32> {
        self.kept.last().copied()
    }

    /// Records whether the level that [`Search::step`] returned meets the SLO.
    pub(crate) fn measured(&mut self, level: u32, keeps: bool) {
        let again = matches!(self.step(), SearchStep::Recheck(_));
        if keeps {
            self.kept.push(level);
            self.kept.sort_unstable();
            self.rechecked = again;
        } else {
            // A failed re-check withdraws its level and all levels above it.
            self.breaks = Some(self.breaks.map_or(level, |b| b.min(level)));
            self.kept.retain(|k| *k < level);
            self.rechecked = false;
        }
        self.next = match (self.best(), self.breaks) {
            (Some(k), None) => k.saturating_mul(2).min(self.max),
            (None, Some(b)) => (b / 2).max(1),
            (Some(k), Some(b)) => k + (b - k).div_ceil(2),
            (None, None) => self.next,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    /// Searches a system with capacity `capacity`; returns the answer and the number of steps.
    fn search(capacity: u32, start: u32, max: u32) -> (Option<u32>, usize) {
        let mut search = Search::new(start, max);
        for steps in 0..100 {
            match search.step() {
                SearchStep::Measure(level) | SearchStep::Recheck(level) => {
                    assert!((1..=max).contains(&level));
                    search.measured(level, level <= capacity);
                }
                SearchStep::Done(answer) => return (answer, steps),
            }
        }
        panic!("the search never ends for {capacity} from {start} to {max}");
    }

    #[test]
    fn the_search_finds_every_capacity_within_5_percent() {
        for max in [1, 2, 10, 100, 500] {
            for start in [1, 10, 50] {
                for capacity in 0..=max + 3 {
                    let (answer, steps) = search(capacity, start, max);
                    let truth = capacity.min(max);
                    let found = answer.unwrap_or(0);
                    let off = truth.abs_diff(found);
                    let share = (f64::from(truth) * 0.05).max(0.0);
                    assert!(f64::from(off) <= share, "{found} for {truth} of {max}");
                    assert!(found <= truth);
                    assert!(steps <= 18, "{steps} steps");
                }
            }
        }
    }

    #[test]
    fn a_failed_recheck_lowers_the_answer() {
        let mut search = Search::new(10, 100);
        search.measured(10, true);
        search.measured(20, false);
        for level in [15, 18, 19] {
            assert_eq!(search.step(), SearchStep::Measure(level));
            search.measured(level, true);
        }
        assert_eq!(search.step(), SearchStep::Recheck(19));
        search.measured(19, false);
        assert_eq!(search.step(), SearchStep::Recheck(18), "the best one below");
        search.measured(18, true);
        assert_eq!(search.step(), SearchStep::Done(Some(18)));
    }

    #[test]
    fn turns_are_judged_by_the_interval_of_the_quantile() {
        let ms = Duration::from_millis;
        let promise = Promise {
            quantile: 0.95,
            below: Sample::Finite(ms(600)),
        };
        let turns = |fast: usize, slow: usize| -> Distribution {
            let fast = std::iter::repeat_n(ms(400), fast);
            fast.chain(std::iter::repeat_n(ms(800), slow)).collect()
        };
        for (fast, slow, failed, expected) in [
            (200, 0, 0, PromiseVerdict::Keeps),
            (0, 200, 0, PromiseVerdict::Breaks),
            (190, 10, 0, PromiseVerdict::Unclear),
            (20, 0, 0, PromiseVerdict::Unclear),
            (200, 0, 3, PromiseVerdict::Breaks),
            (200, 0, 2, PromiseVerdict::Keeps),
        ] {
            let found = promise.judge(&turns(fast, slow), failed);
            assert_eq!(found, expected, "{fast} fast, {slow} slow, {failed} failed");
        }
        assert!(promise.lean(&turns(96, 4)) && !promise.lean(&turns(94, 6)));
        assert!(!promise.lean(&Distribution::default()));
    }
}
