//! Checks `thresholds` and `health`: the bounds on the agent and on the generator.
//!
//! In: values that passed the schema, the greeting policy, the load, the variants. Out: thresholds
//! in the order of the metrics, bounds of the generator's health, and problems in the [`Checker`];
//! those about an expression point at a character.

use super::checker::{Checker, Zero};
use super::file::{ExpressionFile, HealthFile, OnText, ThresholdFile, ThresholdsFile};
use super::places::join;
use super::problem::Code;
use super::threshold::{Aggregate, On, Threshold};
use super::threshold_parse::{Subject, ThresholdError, parse_subject, parse_threshold};
use super::types::{HealthBounds, Load, Shape, Variant};
use crate::vocab::GreetingPolicy;
use std::time::Duration;

/// Other parts of the scenario that thresholds depend on.
pub(super) struct Around<'a> {
    pub(super) greeting: Option<GreetingPolicy>,
    pub(super) load: &'a Load,
    pub(super) variants: &'a [Variant],
}

impl Checker<'_> {
    pub(super) fn thresholds(
        &mut self,
        file: &ThresholdsFile,
        around: &Around<'_>,
    ) -> Vec<Threshold> {
        let variants: Vec<&str> = around.variants.iter().map(|v| v.name.as_str()).collect();
        let mut thresholds = Vec::new();
        for (key, expressions) in &file.0 {
            let pointer = join("/thresholds", key);
            let subject = match parse_subject(key, &variants) {
                Ok(subject) => subject,
                Err(error) => {
                    self.threshold_problem(&pointer, &error);
                    if let Some(problem) = self.problems.last_mut() {
                        problem.place = self.places.key(&pointer);
                    }
                    continue;
                }
            };
            let unmeasured = subject.metric.name() == "greeting"
                && around.greeting.is_some_and(|p| p != GreetingPolicy::Expect);
            if expressions.is_some() && unmeasured {
                let message = "greetings are measured only with `call.greeting: expect`";
                let hint = "set `call.greeting: expect`, or remove this threshold";
                self.problem_at_key(&pointer, Code::Contradiction, message, hint);
            }
            for (index, expression) in expressions.iter().flatten().enumerate() {
                // `None` if the schema rejected the expression or its variable is unset; neither is
                // reported here.
                let Some(expression) = expression else {
                    continue;
                };
                let pointer = join(&pointer, &index.to_string());
                thresholds.extend(self.threshold(&subject, expression, &pointer, around.load));
            }
        }
        // The sort is stable: the thresholds of one metric keep their order.
        thresholds.sort_by_key(|t: &Threshold| t.metric);
        thresholds
    }

    fn threshold(
        &mut self,
        subject: &Subject,
        file: &ExpressionFile,
        pointer: &str,
        load: &Load,
    ) -> Option<Threshold> {
        let alone = ThresholdFile::default();
        let (text, at, more) = match file {
            ExpressionFile::Plain(text) => (text, pointer.to_owned(), &alone),
            ExpressionFile::Full(more) => {
                let at = join(pointer, "expr");
                (self.need(more.expr.as_ref(), &at)?, at, more)
            }
        };
        let threshold = match parse_threshold(subject.metric, text) {
            Ok(threshold) => threshold,
            Err(error) => {
                self.threshold_problem(&at, &error);
                return None;
            }
        };
        let on = match more.on {
            Some(OnText::Steady) => On::Steady,
            Some(OnText::All) | None => On::All,
        };
        if on == On::Steady && !is_ever_level(load) {
            let message = "the concurrency of this load is never constant: no turn is steady";
            let hint = "add a stage with the same target as the stage before it, or remove `on`";
            self.problem(&join(pointer, "on"), Code::Contradiction, message, hint);
        }
        let delay = self.duration(
            more.delay.as_ref(),
            &join(pointer, "delay"),
            Duration::ZERO,
            Zero::Fine,
        );
        let abort = more.abort_on_fail.unwrap_or(false);
        if more.delay.is_some() && !abort {
            let message = "a threshold that sets `delay` must also set `abort_on_fail: true`";
            let at = join(pointer, "delay");
            self.problem_at_key(
                &at,
                Code::Contradiction,
                message,
                "set `abort_on_fail: true`, or remove `delay`",
            );
        }
        if abort && threshold.aggregate == Aggregate::Avg {
            let message = "`abort_on_fail` cannot be used with `avg`: a threshold on a mean \
                           cannot be judged before the run is over";
            let hint = "use `med` or `p(95)` instead";
            let at = join(pointer, "abort_on_fail");
            self.problem_at_key(&at, Code::Contradiction, message, hint);
        }
        Some(Threshold {
            variant: subject.variant.clone(),
            on,
            abort_after: abort.then_some(delay),
            ..threshold
        })
    }

    pub(super) fn health(&mut self, file: &HealthFile) -> HealthBounds {
        let default = HealthBounds::default();
        HealthBounds {
            tick_lateness: self.duration(
                file.tick_lateness.as_ref(),
                "/health/tick_lateness",
                default.tick_lateness,
                Zero::Refused,
            ),
            own_drops: file.own_drops.unwrap_or(default.own_drops),
            signalling_lateness: self.duration(
                file.signalling_lateness.as_ref(),
                "/health/signalling_lateness",
                default.signalling_lateness,
                Zero::Refused,
            ),
        }
    }

    fn threshold_problem(&mut self, pointer: &str, error: &ThresholdError) {
        self.problem(pointer, Code::BadValue, error.to_string(), error.hint());
        if let Some(problem) = self.problems.last_mut() {
            problem.excerpt = error.excerpt().to_vec();
        }
    }
}

/// Whether the target concurrency is ever constant for some time.
fn is_ever_level(load: &Load) -> bool {
    match &load.shape {
        Shape::Constant | Shape::Arrival(_) => true,
        Shape::Stages(stages) => stages.windows(2).any(|pair| {
            pair[0].target == pair[1].target && pair[1].target > 0 && !pair[1].duration.is_zero()
        }),
    }
}
