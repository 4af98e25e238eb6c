//! The largest number of calls at once that keeps a promise, found step by step.
//!
//! In: what was measured at each level. Out: the level to measure next, and at the end the
//! answer. Holds: a level that is not clear is measured again before it is judged; the answer is
//! re-checked by a measurement of its own.

use super::{Distribution, Sample};

/// Level of the interval that must be clear of the bound.
const LEVEL: f64 = 0.95;
/// Most turns that may have failed, as a share.
pub const MAX_FAILED: f64 = 0.01;
/// The answer is within this share of the true one (and never finer than one call).
const RESOLUTION: f64 = 0.025;

/// What is promised: a quantile of the latency below a bound.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Promise {
    /// Above 0 and below 1.
    pub quantile: f64,
    /// The quantile must be smaller.
    pub below: Sample,
}

/// How turns stand to a promise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// The quantile's whole interval is below the bound.
    Keeps,
    /// Its whole interval is not, or too many failed.
    Breaks,
    /// The bound lies within the interval: it takes more turns.
    Unclear,
}

impl Promise {
    /// Judges turns, failed and missed ones as [`Sample::Infinite`]; `failed` of them.
    pub fn judge(&self, turns: &Distribution, failed: usize) -> Standing {
        let Ok(interval) = turns.interval(self.quantile, LEVEL) else {
            return Standing::Unclear;
        };
        let share = failed as f64 / turns.count().max(1) as f64;
        if interval.lower >= self.below || share > MAX_FAILED {
            Standing::Breaks
        } else if interval.upper < self.below {
            Standing::Keeps
        } else {
            Standing::Unclear
        }
    }

    /// Judges what stayed unclear, by the point estimate.
    pub fn lean(&self, turns: &Distribution) -> bool {
        turns
            .quantile(self.quantile)
            .is_some_and(|q| q < self.below)
    }
}

/// What to do next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Measure so many calls at once.
    Measure(u32),
    /// Measure the answer once more.
    Recheck(u32),
    /// `Some`: the largest level that keeps the promise; `None`: not even one call does.
    Done(Option<u32>),
}

/// A search between one call and `max`.
#[derive(Debug, Clone)]
pub struct Search {
    max: u32,
    next: u32,
    /// Levels that keep the promise, ascending; all below `breaks`.
    kept: Vec<u32>,
    breaks: Option<u32>,
    rechecked: bool,
}

impl Search {
    /// A search that begins at `start`.
    pub fn new(start: u32, max: u32) -> Self {
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
    pub fn step(&self) -> Step {
        match (self.best(), self.breaks) {
            (None, Some(1)) => Step::Done(None),
            (Some(keeps), breaks) if self.is_settled(keeps, breaks) => match self.rechecked {
                true => Step::Done(Some(keeps)),
                false => Step::Recheck(keeps),
            },
            _ => Step::Measure(self.next),
        }
    }

    fn is_settled(&self, keeps: u32, breaks: Option<u32>) -> bool {
        let step = ((f64::from(keeps) * RESOLUTION) as u32).max(1);
        breaks.map_or(keeps >= self.max, |b| b.saturating_sub(keeps) <= step)
    }

    /// The largest level so far that keeps the promise.
    pub fn best(&self) -> Option<u32> {
        self.kept.last().copied()
    }

    /// Takes in what [`Search::step`] asked for.
    pub fn measured(&mut self, level: u32, keeps: bool) {
        let again = matches!(self.step(), Step::Recheck(_));
        if keeps {
            self.kept.push(level);
            self.kept.sort_unstable();
            self.rechecked = again;
        } else {
            // A re-check that fails takes its level back, and with it all that lies above.
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

    /// Searches a system that carries `capacity`; the answer and the steps it took.
    fn search(capacity: u32, start: u32, max: u32) -> (Option<u32>, usize) {
        let mut search = Search::new(start, max);
        for steps in 0..100 {
            match search.step() {
                Step::Measure(level) | Step::Recheck(level) => {
                    assert!((1..=max).contains(&level));
                    search.measured(level, level <= capacity);
                }
                Step::Done(answer) => return (answer, steps),
            }
        }
        panic!("it never ends for {capacity} from {start} to {max}");
    }

    #[test]
    fn every_capacity_is_found_within_its_share() {
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
    fn a_re_check_that_fails_takes_the_answer_back() {
        let mut search = Search::new(10, 100);
        search.measured(10, true);
        search.measured(20, false);
        for level in [15, 18, 19] {
            assert_eq!(search.step(), Step::Measure(level));
            search.measured(level, true);
        }
        assert_eq!(search.step(), Step::Recheck(19));
        search.measured(19, false);
        assert_eq!(search.step(), Step::Recheck(18), "the best one below");
        search.measured(18, true);
        assert_eq!(search.step(), Step::Done(Some(18)));
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
            (200, 0, 0, Standing::Keeps),
            (0, 200, 0, Standing::Breaks),
            (190, 10, 0, Standing::Unclear),
            (20, 0, 0, Standing::Unclear),
            (200, 0, 3, Standing::Breaks),
            (200, 0, 2, Standing::Keeps),
        ] {
            let found = promise.judge(&turns(fast, slow), failed);
            assert_eq!(found, expected, "{fast} fast, {slow} slow, {failed} failed");
        }
        assert!(promise.lean(&turns(96, 4)) && !promise.lean(&turns(94, 6)));
        assert!(!promise.lean(&Distribution::default()));
    }
}
