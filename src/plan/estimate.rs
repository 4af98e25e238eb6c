//! Estimates the size of a run: length of a call, number of calls, total call-minutes.
//!
//! In: a scenario. Out: an estimate for agents of typical speed; the assumptions are the constants
//! below. The estimate is shown with the plan and decides whether a large run needs consent.

use super::shape;
use crate::scenario::{CallConfig, Extent, Saying, Scenario, Shape, TurnConfig};
use crate::vocab::{Anchor, Expect, GreetingPolicy};
use std::time::Duration;

/// Time to join a room and find the agent there.
const JOIN: Duration = Duration::from_secs(1);
/// Length of an agent's greeting, or of the wait for a greeting.
const GREETING: Duration = Duration::from_secs(4);
/// Length of an utterance whose file has not been read.
const UTTERANCE: Duration = Duration::from_secs(3);
/// Length of a reply: 1 s before its onset, 3 s of speech, 0.7 s of silence that ends it.
const REPLY: Duration = Duration::from_millis(4_700);

/// The estimated size of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Estimate {
    pub call: Duration,
    /// Number of calls, warm-up calls included.
    pub calls: u64,
    /// From the start of the run to the end of the last call.
    pub run: Duration,
}

impl Estimate {
    /// Total length of all calls, in minutes.
    pub(crate) fn call_minutes(&self) -> f64 {
        self.call.as_secs_f64() * self.calls as f64 / 60.0
    }
}

pub(super) fn estimate(scenario: &Scenario) -> Estimate {
    let call = call_length(&scenario.call, scenario);
    let slots = u64::from(scenario.load.concurrency);
    let rounds = |calls: u64| {
        let rounds = u32::try_from(calls.div_ceil(slots)).unwrap_or(u32::MAX);
        call.saturating_mul(rounds)
    };
    let warmup = u64::from(scenario.warmup);
    let ramp = scenario.load.ramp;
    let (measured, time) = match (&scenario.load.shape, scenario.load.extent) {
        (Shape::Stages(stages), Extent::Duration(duration)) => {
            let calls = shape::area(stages) / call.as_secs_f64().max(1e-3);
            (calls.ceil() as u64 + slots, duration + call)
        }
        (Shape::Arrival(_), _) => {
            let arrivals = shape::arrivals(&scenario.load, scenario.seed);
            let last = arrivals.last().copied().unwrap_or_default();
            (arrivals.len() as u64, last + call)
        }
        (_, Extent::Calls(calls)) => (u64::from(calls), rounds(calls.into()) + ramp),
        (_, Extent::Duration(duration)) => {
            // A new call starts in every slot that becomes free before the end; slots are added
            // during the ramp.
            let busy = duration.saturating_sub(ramp / 2);
            let each = busy.as_nanos().div_ceil(call.as_nanos().max(1)).max(1);
            let each = u64::try_from(each).unwrap_or(u64::MAX);
            (slots.saturating_mul(each), duration + call)
        }
    };
    let run = time
        + if warmup > 0 {
            rounds(warmup)
        } else {
            Duration::ZERO
        };
    Estimate {
        call,
        calls: measured.saturating_add(warmup),
        run,
    }
}

fn call_length(call: &CallConfig, scenario: &Scenario) -> Duration {
    let greeting = match call.greeting {
        GreetingPolicy::None => Duration::ZERO,
        GreetingPolicy::Expect | GreetingPolicy::Ignore => GREETING,
    };
    // Loops of a random length are taken this often on average.
    let taken = |turn: &&TurnConfig| turn.pass.is_none_or(|at| at.pass < at.min.midpoint(at.max));
    let turns = call.turns.iter().filter(taken);
    let length = turns.fold(JOIN + greeting, |total, turn| {
        let said = match &turn.say {
            Saying::Utterances(all) => {
                let lengths = all.iter();
                let lengths = lengths.map(|i| scenario.utterances[*i].length.unwrap_or(UTTERANCE));
                lengths.sum::<Duration>() / all.len().max(1) as u32
            }
            Saying::Texts(_) | Saying::Nothing => Duration::ZERO,
        };
        // A turn that starts during the agent's speech does not wait for that speech to end.
        let reply = match (turn.anchor, turn.expect) {
            (_, Expect::Stop) => Duration::ZERO,
            (_, Expect::Silence) => turn.timeout,
            (Anchor::AgentSpeechStart, _) => REPLY / 2,
            _ => REPLY,
        };
        total + turn.delay.typical() + said + reply
    });
    match call.hang_up {
        Some(after) => length.min(JOIN + after),
        None => length,
    }
}
