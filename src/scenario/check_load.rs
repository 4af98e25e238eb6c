//! Checks `load`: how many calls, and when they start.
//!
//! In: values that passed the schema. Out: a [`Load`], and problems in the [`Checker`].
//! Invariants: a load has exactly one shape; every bound that a dispatcher needs is finite.

use super::checker::{Checker, Zero};
use super::file::{ArrivalFile, LoadFile, ProcessText, SpikeFile, StageFile};
use super::problem::Code;
use super::types::{Arrival, Extent, Load, Process, Shape, Stage};
use std::time::Duration;

/// Maximum number of calls in a load.
pub(super) const MOST_CALLS: f64 = 100_000.0;
/// Default limit of concurrent calls in an open load.
const MAX_CONCURRENT: u32 = 500;

impl Checker<'_> {
    pub(super) fn load(&mut self, file: &LoadFile) -> Load {
        let shapes = [
            ("stages", file.stages.is_some()),
            ("arrival", file.arrival.is_some()),
            ("spike", file.spike.is_some()),
        ];
        let given: Vec<&str> = shapes.iter().filter(|s| s.1).map(|s| s.0).collect();
        if let [first, second, ..] = given[..] {
            let message = format!("`{first}` and `{second}` both set when calls start");
            let at = format!("/load/{second}");
            self.problem_at_key(&at, Code::Contradiction, message, "keep one");
        }
        if let Some(stages) = &file.stages {
            let stages = self.stages(stages);
            return self.staged(file, "stages", stages);
        }
        if let Some(spike) = &file.spike {
            let stages = self.spike(spike);
            return self.staged(file, "spike", stages);
        }
        let ramp = self.duration(file.ramp.as_ref(), "/load/ramp", Duration::ZERO, Zero::Fine);
        let until = self.until(file);
        if let Some(arrival) = &file.arrival {
            return self.arrival(file, arrival, until);
        }
        self.constant(file, ramp, until)
    }

    /// When the load ends, by `duration` or `soak`.
    fn until(&mut self, file: &LoadFile) -> Option<Duration> {
        if file.duration.is_some() && file.soak.is_some() {
            let message = "`duration` and `soak` both set when the load ends";
            self.problem_at_key("/load/soak", Code::Contradiction, message, "keep one");
        }
        let (key, text) = match &file.soak {
            Some(soak) => ("soak", Some(soak)),
            None => ("duration", file.duration.as_ref()),
        };
        let at = format!("/load/{key}");
        let until = self.duration(text, &at, Duration::ZERO, Zero::Refused);
        text?;
        if file.calls.is_some() {
            let message = format!("`calls` and `{key}` both set when the load ends");
            let hint = "keep one; with a time, `concurrency` sets how many calls run at once";
            self.problem_at_key("/load/calls", Code::Contradiction, message, hint);
        }
        Some(until)
    }

    fn constant(&mut self, file: &LoadFile, ramp: Duration, until: Option<Duration>) -> Load {
        if let Some(until) = until {
            if ramp > until && !until.is_zero() {
                let message = "`ramp` is longer than `duration`";
                let hint = "shorten it: `concurrency` would never be reached";
                self.problem("/load/ramp", Code::Contradiction, message, hint);
            }
            return Load {
                extent: Extent::Duration(until),
                concurrency: file.concurrency.unwrap_or(1),
                ramp,
                shape: Shape::Constant,
            };
        }
        let calls = file.calls.unwrap_or(1);
        let concurrency = file.concurrency.unwrap_or(calls);
        if concurrency > calls {
            let message = format!("`concurrency` is {concurrency}, with {calls} calls in all");
            let hint = "lower it, or leave it out: all calls at once is the default";
            self.problem("/load/concurrency", Code::Contradiction, message, hint);
        }
        Load {
            ramp,
            ..Load::calls(calls, concurrency)
        }
    }

    fn stages(&mut self, file: &[Option<StageFile>]) -> Vec<Stage> {
        let mut stages = Vec::new();
        for (index, stage) in file.iter().enumerate() {
            let pointer = format!("/load/stages/{index}");
            let Some(stage) = self.need(stage.as_ref(), &pointer) else {
                continue;
            };
            let at = format!("{pointer}/duration");
            self.need(stage.duration.as_ref(), &at);
            let duration = self.duration(stage.duration.as_ref(), &at, Duration::ZERO, Zero::Fine);
            let target = self.need(stage.target, &format!("{pointer}/target"));
            stages.extend(target.map(|target| Stage { duration, target }));
        }
        stages
    }

    fn spike(&mut self, file: &SpikeFile) -> Vec<Stage> {
        let minute = Duration::from_secs(60);
        let mut time = |text, key: &str| {
            self.duration(text, &format!("/load/spike/{key}"), minute, Zero::Refused)
        };
        let before = time(file.before.as_ref(), "before");
        let hold = time(file.hold.as_ref(), "hold");
        let after = time(file.after.as_ref(), "after");
        let base = self.need(file.base, "/load/spike/base").unwrap_or(1);
        let peak = self.need(file.peak, "/load/spike/peak").unwrap_or(base + 1);
        if peak <= base {
            let message = format!("going from {base} to {peak} calls is not a spike");
            let hint = "`peak` must be above `base`";
            self.problem("/load/spike/peak", Code::Contradiction, message, hint);
        }
        let hold_at =
            |target, time| [Duration::ZERO, time].map(|duration| Stage { duration, target });
        [
            hold_at(base, before),
            hold_at(peak, hold),
            hold_at(base, after),
        ]
        .concat()
    }

    fn staged(&mut self, file: &LoadFile, shape: &str, stages: Vec<Stage>) -> Load {
        let given = [
            ("calls", file.calls.is_some()),
            ("concurrency", file.concurrency.is_some()),
            ("ramp", file.ramp.is_some()),
            ("duration", file.duration.is_some()),
            ("soak", file.soak.is_some()),
        ];
        for (key, _) in given.into_iter().filter(|(_, given)| *given) {
            let message = format!("`{shape}` sets how many calls run at once and for how long");
            let at = format!("/load/{key}");
            self.problem_at_key(&at, Code::Contradiction, message, "leave this out");
        }
        let total: Duration = stages.iter().map(|s| s.duration).sum();
        let most = stages.iter().map(|s| s.target).max().unwrap_or(0);
        if most == 0 || total.is_zero() {
            let at = format!("/load/{shape}");
            let message = "no call would start: all targets are 0, or no time passes";
            let hint = "as in `stages: [{duration: 1m, target: 20}, {duration: 5m, target: 20}]`";
            self.problem(&at, Code::Contradiction, message, hint);
        }
        Load {
            extent: Extent::Duration(total),
            concurrency: most.max(1),
            ramp: Duration::ZERO,
            shape: Shape::Stages(stages),
        }
    }

    fn arrival(&mut self, file: &LoadFile, arrival: &ArrivalFile, until: Option<Duration>) -> Load {
        for (key, given) in [
            ("concurrency", file.concurrency.is_some()),
            ("ramp", file.ramp.is_some()),
        ] {
            if given {
                let message = "in an open load, calls arrive whether or not others have ended";
                let hint = "leave it out; `arrival.max_concurrent` limits the calls at once";
                let at = format!("/load/{key}");
                self.problem_at_key(&at, Code::Contradiction, message, hint);
            }
        }
        let rate = self.need(arrival.rate, "/load/arrival/rate").unwrap_or(1.0);
        let rate_fits = rate.is_finite() && rate > 0.0 && rate <= 1000.0;
        if !rate_fits {
            let message = format!("a rate of {rate} calls a second is out of range");
            let hint = "above 0 and at most 1000, as in `rate: 2.5`";
            self.problem("/load/arrival/rate", Code::BadValue, message, hint);
        }
        let extent = match (file.calls, until) {
            (_, Some(until)) => {
                if rate_fits && until.as_secs_f64() * rate > MOST_CALLS {
                    let message = "this is more than 100000 calls";
                    let hint = "lower `rate`, or shorten the time";
                    self.problem("/load/arrival/rate", Code::Contradiction, message, hint);
                }
                Extent::Duration(until)
            }
            (Some(calls), None) => Extent::Calls(calls),
            (None, None) => {
                let message = "the load has no end";
                let hint = "add `duration: 10m` or `calls: 100` next to `arrival`";
                self.problem("/load/arrival", Code::Contradiction, message, hint);
                Extent::Calls(1)
            }
        };
        Load {
            extent,
            concurrency: arrival.max_concurrent.unwrap_or(MAX_CONCURRENT),
            ramp: Duration::ZERO,
            shape: Shape::Arrival(Arrival {
                rate: if rate_fits { rate } else { 1.0 },
                process: match arrival.process {
                    Some(ProcessText::Poisson) => Process::Poisson,
                    Some(ProcessText::Constant) | None => Process::Constant,
                },
            }),
        }
    }
}
