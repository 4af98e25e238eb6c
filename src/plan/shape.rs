//! The shape of a load over time: arrivals, target concurrency, and steady spans.
//!
//! In: a load and its seed. Out: instants after the start of the measured calls. Pure.
//! Invariant: the same seed gives the same arrivals, to the microsecond.

use super::draw::{Domain, Draw};
use crate::scenario::{Arrival, Extent, Load, Process, Shape, Stage};
use std::time::Duration;

/// When the calls of an open load arrive; empty for a closed one.
pub(super) fn arrivals(load: &Load, seed: u64) -> Vec<Duration> {
    let Shape::Arrival(arrival) = &load.shape else {
        return Vec::new();
    };
    let all = Gaps::new(*arrival, seed);
    match load.extent {
        Extent::Calls(calls) => all.take(calls as usize).collect(),
        Extent::Duration(until) => all.take_while(|at| *at < until).collect(),
    }
}

/// The arrivals of an open load, in order; practically endless.
struct Gaps {
    arrival: Arrival,
    draw: Draw,
    count: u64,
    seconds: f64,
}

impl Gaps {
    fn new(arrival: Arrival, seed: u64) -> Self {
        Self {
            arrival,
            draw: Draw::new(seed, Domain::Arrival, 0),
            count: 0,
            seconds: 0.0,
        }
    }
}

impl Iterator for Gaps {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        let rate = self.arrival.rate;
        self.seconds = match self.arrival.process {
            Process::Constant => self.count as f64 / rate,
            Process::Poisson => {
                // One of 2^53 steps, never 0, so the logarithm is finite.
                let unit = (self.draw.below(1 << 53) + 1) as f64 / (1u64 << 53) as f64;
                self.seconds - unit.ln() / rate
            }
        };
        self.count += 1;
        // Rounded to the microsecond, so that the last bit of the logarithm makes no difference.
        // With a tiny rate, the sequence ends before its microseconds would overflow a u64.
        let micros = (self.seconds * 1e6).round();
        (micros < u64::MAX as f64).then(|| Duration::from_micros(micros as u64))
    }
}

/// Target concurrency `since` after the start of the stages; `None` once they are over.
pub(super) fn target_at(stages: &[Stage], since: Duration) -> Option<u32> {
    let mut from = (Duration::ZERO, 0);
    for stage in stages {
        let end = from.0 + stage.duration;
        if since < end {
            return Some(between(from, *stage, since));
        }
        from = (end, stage.target);
    }
    None
}

fn between(from: (Duration, u32), stage: Stage, since: Duration) -> u32 {
    let part = (since - from.0).as_secs_f64() / stage.duration.as_secs_f64();
    let (a, b) = (f64::from(from.1), f64::from(stage.target));
    // During a rise to n calls, the k-th call starts when the target reaches k, so the last call
    // starts at the end of the stage.
    (a + (b - a) * part + 1e-9).floor() as u32
}

/// The first instant from `since` on at which the target of the stages reaches `level`.
pub(super) fn next_rise(stages: &[Stage], level: u32, since: Duration) -> Option<Duration> {
    let mut from = (Duration::ZERO, 0u32);
    for stage in stages {
        let end = from.0 + stage.duration;
        if since < end {
            if target_at(stages, since).is_some_and(|now| now >= level) {
                return Some(since);
            }
            if from.1 < level && level <= stage.target {
                let part = f64::from(level - from.1) / f64::from(stage.target - from.1);
                let at = from.0 + stage.duration.mul_f64(part);
                if at >= since {
                    return Some(at);
                }
            }
        }
        from = (end, stage.target);
        // The target equals `stage.target` at `end`; this also covers stages of zero length.
        if since <= end && stage.target >= level {
            return Some(end.max(since));
        }
    }
    None
}

/// Spans in which the load is steady, relative to the start of the measured calls: after the ramp
/// of a constant load, during stages that do not change the target, and always for an open load.
pub(super) fn steady(load: &Load) -> Vec<(Duration, Option<Duration>)> {
    match &load.shape {
        Shape::Constant => vec![(load.ramp, None)],
        Shape::Arrival(_) => vec![(Duration::ZERO, None)],
        Shape::Stages(stages) => {
            let mut spans: Vec<(Duration, Option<Duration>)> = Vec::new();
            let mut from = (Duration::ZERO, 0);
            // Target concurrency of the last span.
            let mut level = 0;
            for stage in stages {
                let end = from.0 + stage.duration;
                if stage.target == from.1 && stage.target > 0 && !stage.duration.is_zero() {
                    match spans.last_mut() {
                        Some(last) if level == stage.target && last.1 == Some(from.0) => {
                            last.1 = Some(end);
                        }
                        _ => spans.push((from.0, Some(end))),
                    }
                    level = stage.target;
                }
                from = (end, stage.target);
            }
            spans
        }
    }
}

/// Call-seconds of the stages: the area under their target.
pub(super) fn area(stages: &[Stage]) -> f64 {
    let mut before = 0;
    let mut area = 0.0;
    for stage in stages {
        let mean = f64::from(before + stage.target) / 2.0;
        area += mean * stage.duration.as_secs_f64();
        before = stage.target;
    }
    area
}

#[cfg(test)]
mod tests {
    use super::*;

    fn s(seconds: f64) -> Duration {
        Duration::from_secs_f64(seconds)
    }

    fn stages(list: &[(u64, u32)]) -> Vec<Stage> {
        list.iter()
            .map(|&(seconds, target)| Stage {
                duration: Duration::from_secs(seconds),
                target,
            })
            .collect()
    }

    #[test]
    fn stages_ramp_up_hold_and_ramp_down() {
        let up_and_down = stages(&[(10, 5), (20, 5), (0, 2), (10, 2), (10, 0)]);
        for (at, target) in [
            (0.0, Some(0)),
            (1.9, Some(0)),
            (2.0, Some(1)),
            (9.9, Some(4)),
            (10.0, Some(5)),
            (29.9, Some(5)),
            (30.0, Some(2)),
            (45.1, Some(0)),
            (50.0, None),
        ] {
            assert_eq!(target_at(&up_and_down, s(at)), target, "at {at} s");
        }
        for (level, since, rise) in [
            (1, 0.0, Some(2.0)),
            (5, 0.0, Some(10.0)),
            (5, 12.0, Some(12.0)),
            (3, 31.0, None),
            (6, 0.0, None),
            (2, 31.0, Some(31.0)),
        ] {
            let found = next_rise(&up_and_down, level, s(since));
            assert_eq!(found, rise.map(s), "{level} from {since} s");
        }
        assert!((area(&up_and_down) - (25.0 + 100.0 + 20.0 + 10.0)).abs() < 1e-9);
    }

    #[test]
    fn stages_of_zero_duration_change_the_target_instantly() {
        let twice = stages(&[(0, 3), (10, 3), (0, 1), (10, 1), (10, 4)]);
        assert_eq!(target_at(&twice, s(0.0)), Some(3));
        assert_eq!(next_rise(&twice, 3, s(0.0)), Some(s(0.0)));
        assert_eq!(next_rise(&twice, 2, s(15.0)), Some(s(20.0 + 10.0 / 3.0)));
        assert_eq!(next_rise(&twice, 4, s(15.0)), Some(s(30.0)));
    }

    #[test]
    fn stages_that_do_not_change_the_target_are_steady() {
        let load = |shape| Load {
            shape,
            ramp: s(3.0),
            ..Load::calls(10, 5)
        };
        let spans = steady(&load(Shape::Stages(stages(&[
            (10, 5),
            (20, 5),
            (5, 5),
            (0, 2),
            (10, 2),
            (10, 0),
            (10, 0),
        ]))));
        assert_eq!(spans, [(s(10.0), Some(s(35.0))), (s(35.0), Some(s(45.0)))]);
        assert_eq!(steady(&load(Shape::Constant)), [(s(3.0), None)]);
    }

    #[test]
    fn arrivals_keep_their_rate_with_even_and_random_spacing() {
        let load = |process, extent| Load {
            extent,
            shape: Shape::Arrival(Arrival { rate: 2.5, process }),
            ..Load::calls(1, 50)
        };
        let even = arrivals(&load(Process::Constant, Extent::Calls(4)), 7);
        assert_eq!(even, [s(0.0), s(0.4), s(0.8), s(1.2)]);
        let hour = Extent::Duration(Duration::from_secs(4 * 3600));
        let random = arrivals(&load(Process::Poisson, hour), 7);
        assert_eq!(random, arrivals(&load(Process::Poisson, hour), 7));
        assert_ne!(random, arrivals(&load(Process::Poisson, hour), 8));
        let n = random.len() as f64;
        assert!((n / 36_000.0 - 1.0).abs() < 0.03, "{n} arrivals");
        // The gaps are exponentially distributed: their standard deviation equals their mean.
        let gaps: Vec<f64> = random
            .windows(2)
            .map(|w| (w[1] - w[0]).as_secs_f64())
            .collect();
        let mean = gaps.iter().sum::<f64>() / gaps.len() as f64;
        let variance = gaps.iter().map(|g| (g - mean).powi(2)).sum::<f64>() / gaps.len() as f64;
        assert!((variance.sqrt() / mean - 1.0).abs() < 0.03);
    }
}
