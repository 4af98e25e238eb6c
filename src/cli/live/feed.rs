//! Updates the live metrics from the run's events.
//!
//! In: the run's events. Out: updated metrics. Invariants: an active call is counted in exactly
//! one state, and in none once it is over; a turn is counted once, however often it is amended;
//! once the run is stopping, the target concurrency is 0, and calls that the stop prevents are not
//! counted as offered.

use super::shown::RunLabels;
use crate::call::Phase;
use crate::net::DurationQuantiles;
use crate::plan::Plan;
use crate::report::prometheus::{CallState, GeneratorHealth, PrometheusMetrics};
use crate::run::{RunEvent, Vitals};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Instant;

pub(super) struct Feed {
    metrics: Arc<PrometheusMetrics>,
    plan: Plan,
    variants: Vec<String>,
    /// Active calls, with the index of their variant and their state.
    calls: HashMap<usize, (usize, CallState)>,
    /// When the first measured call started.
    measured_since: Option<Instant>,
    /// The run has stopped starting calls.
    stopping: bool,
    /// Turns of active calls, by call and turn number, whose agent account has been counted.
    described: HashSet<(usize, usize)>,
}

fn state(phase: Phase) -> Option<CallState> {
    Some(match phase {
        Phase::Joining => CallState::Joining,
        Phase::WaitingForAgent => CallState::WaitingForAgent,
        Phase::Waiting => CallState::Waiting,
        Phase::Speaking => CallState::Speaking,
        Phase::AwaitingReply => CallState::AwaitingReply,
        Phase::Listening => CallState::Listening,
        Phase::Done | Phase::Failed => return None,
    })
}

fn health(vitals: &Vitals) -> GeneratorHealth {
    let of = |late: DurationQuantiles| [late.p50, late.p99, late.max];
    GeneratorHealth {
        tick_lateness: of(vitals.health.tick_lateness),
        signalling_lateness: of(vitals.signalling_lateness),
        unauthenticated: vitals.health.unauthenticated,
        repeated: vitals.health.repeated,
        behind: vitals.health.behind,
        lost_upstream: vitals.health.lost_upstream,
        events_lost: vitals.health.events_lost,
        own_drops: vitals.health.own_drops,
        send_errors: vitals.health.send_errors,
        packets_out: vitals.health.packets_out,
        packets_in: vitals.health.packets_in,
        cpu: vitals.cpu,
        resident_bytes: vitals.resident_bytes,
    }
}

impl Feed {
    pub(super) fn new(shown: &RunLabels<'_>) -> Self {
        let version = env!("CARGO_PKG_VERSION");
        let metrics = PrometheusMetrics::new(shown.scenario, shown.target, version, shown.variants);
        Self {
            metrics: Arc::new(metrics),
            plan: shown.plan.clone(),
            variants: shown.variants.iter().map(|v| (*v).to_owned()).collect(),
            calls: HashMap::new(),
            measured_since: None,
            stopping: false,
            described: HashSet::new(),
        }
    }

    pub(super) fn metrics(&self) -> &Arc<PrometheusMetrics> {
        &self.metrics
    }

    fn goes(&mut self, call: usize, variant: usize, to: Option<CallState>) {
        let before = match to {
            Some(to) => self.calls.insert(call, (variant, to)),
            None => self.calls.remove(&call),
        };
        let name = self.variants.get(variant).map_or("", String::as_str);
        let from = before.map(|(_, state)| state);
        self.metrics.call_moves(name, from, to);
    }

    pub(super) fn take(&mut self, event: &RunEvent) {
        match event {
            RunEvent::CallStarted {
                call,
                variant,
                warmup,
            } => {
                self.goes(*call, *variant, Some(CallState::Joining));
                if !warmup {
                    self.measured_since.get_or_insert_with(Instant::now);
                    self.metrics.call_offered(&self.variants[*variant], true);
                }
            }
            RunEvent::Phase { call, phase } => {
                // A phase reported after the end of its call is ignored.
                if let (Some((variant, _)), Some(to)) = (self.calls.get(call), state(*phase)) {
                    self.goes(*call, *variant, Some(to));
                }
            }
            RunEvent::TurnEnded(turn) => self.metrics.turn_ended(turn),
            RunEvent::TurnAmended(turn) => {
                if turn.agent.is_some() && self.described.insert((turn.call, turn.turn)) {
                    self.metrics.turn_described(turn);
                }
            }
            RunEvent::CallEnded(call) => {
                self.described.retain(|(of, _)| *of != call.call);
                if let Some((variant, _)) = self.calls.get(&call.call) {
                    self.goes(call.call, *variant, None);
                }
                self.metrics.call_ended(call);
            }
            RunEvent::CallDropped(call) if !call.warmup => {
                self.metrics.call_offered(&call.variant, false);
            }
            RunEvent::Vitals(vitals) => {
                self.metrics.health(&health(vitals));
                if let (Some(since), false) = (self.measured_since, self.stopping) {
                    self.metrics.target(self.plan.target_at(since.elapsed()));
                }
            }
            RunEvent::Stopping => {
                self.stopping = true;
                self.metrics.target(0);
            }
            RunEvent::Started { .. }
            | RunEvent::CallDropped(_)
            | RunEvent::CallNotRun(_)
            | RunEvent::Notice(_)
            | RunEvent::PreflightStarted
            | RunEvent::PreflightPassed => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::shown::tests::plan;
    use super::*;
    use crate::net::HealthSnapshot;
    use crate::record::CallRecord;
    use crate::record::fixtures;
    use std::time::Duration;

    fn vitals() -> RunEvent {
        RunEvent::Vitals(Box::new(Vitals {
            health: HealthSnapshot::default(),
            signalling_lateness: DurationQuantiles::default(),
            cpu: Duration::ZERO,
            resident_bytes: 0,
        }))
    }

    #[test]
    fn after_a_stop_the_target_is_zero_and_remaining_calls_are_not_offered() {
        let plan = plan("{calls: 9, concurrency: 3}");
        let mut feed = Feed::new(&RunLabels {
            scenario: "s",
            target: "t",
            variants: &["v"],
            plan: &plan,
        });
        let shown = |feed: &Feed| {
            let text = feed.metrics().text();
            [
                "loadgen_target_calls ",
                "loadgen_calls_offered_total{variant=\"v\"} ",
                "loadgen_calls_dropped_total{variant=\"v\"} ",
            ]
            .map(|series| {
                let value = text.lines().find_map(|l| l.strip_prefix(series));
                value.and_then(|v| v.parse::<f64>().ok()).expect(series)
            })
        };
        let mut run = fixtures::Run::default();
        run.good(1);
        let dropped = CallRecord {
            variant: "v".into(),
            ..run.calls[0].clone()
        };
        let not_run = RunEvent::CallNotRun(Box::new(dropped.clone()));
        let dropped = RunEvent::CallDropped(Box::new(dropped));
        feed.take(&RunEvent::CallStarted {
            call: 0,
            variant: 0,
            warmup: false,
        });
        feed.take(&dropped);
        feed.take(&vitals());
        assert_eq!(shown(&feed), [3.0, 2.0, 1.0]);
        feed.take(&RunEvent::Stopping);
        assert_eq!(shown(&feed), [0.0, 2.0, 1.0]);
        feed.take(&not_run);
        feed.take(&vitals());
        assert_eq!(shown(&feed), [0.0, 2.0, 1.0]);
    }

    #[test]
    fn an_amended_turn_is_counted_once() {
        let plan = plan("{calls: 1}");
        let mut feed = Feed::new(&RunLabels {
            scenario: "s",
            target: "t",
            variants: &["baseline"],
            plan: &plan,
        });
        let mut run = fixtures::Run::default();
        run.bad(fixtures::Outcome::Missed, None);
        let turn = Box::new(run.turns[0].clone());
        feed.take(&RunEvent::TurnEnded(turn.clone()));
        feed.take(&RunEvent::TurnAmended(turn));
        let text = feed.metrics().text();
        let series = "loadgen_turns_total{variant=\"baseline\",outcome=\"missed\"} ";
        let missed = text.lines().find_map(|l| l.strip_prefix(series));
        assert_eq!(missed, Some("1"), "{text}");
    }
}
