//! Gates that end a run early, once its turns refute them.
//!
//! In: gates with `abort_on_fail`, the records as they come to be, the calls under way. Out: the
//! gate that ends the run. Holds: looking often costs little, since each look waits for a fiftieth
//! more records than the last, and refutes nothing by chance, since each asks for [`LEVEL`] and
//! takes what calls under way owe to keep the bound: those that fail end soonest. Records stay in
//! memory only where there are such gates, without their texts.

use super::event::RunEvent;
use crate::record::{CallRecord, OpenCall, SteadySpan, Threshold, TurnRecord};
use std::time::Duration;

/// Of every look. There are at most some hundreds of them: each sees 2 % more records.
const LEVEL: f64 = 0.999;
/// The next look waits for so many times the records of the last.
const MORE: f64 = 1.02;

/// A gate that can end a run.
#[derive(Debug, Clone)]
pub struct AbortGate {
    /// The gate.
    pub threshold: Threshold,
    /// From the first measured call on it is not looked at for this long.
    pub delay: Duration,
}

fn without_texts(turn: &TurnRecord) -> TurnRecord {
    TurnRecord {
        room: String::new(),
        utterance: String::new(),
        playout_model: None,
        agent_track: None,
        ..turn.clone()
    }
}

/// Looks at them.
#[derive(Debug)]
pub(super) struct AbortWatch<'a> {
    gates: &'a [AbortGate],
    calls: Vec<CallRecord>,
    turns: Vec<TurnRecord>,
    /// Records at which the next look is worth it.
    next: usize,
}

impl<'a> AbortWatch<'a> {
    pub(super) fn new(gates: &'a [AbortGate]) -> Self {
        Self {
            gates,
            calls: Vec::new(),
            turns: Vec::new(),
            next: 1,
        }
    }

    /// Keeps what gates look at.
    pub(super) fn take(&mut self, event: &RunEvent) {
        if self.gates.is_empty() {
            return;
        }
        match event {
            RunEvent::TurnEnded(turn) => self.turns.push(without_texts(turn)),
            RunEvent::TurnAmended(turn) => {
                let same = |t: &&mut TurnRecord| (t.call, t.turn) == (turn.call, turn.turn);
                // A turn is amended soon after it ended.
                if let Some(known) = self.turns.iter_mut().rev().find(same) {
                    *known = without_texts(turn);
                }
            }
            RunEvent::CallEnded(call) => self.calls.push(CallRecord {
                room: String::new(),
                ..CallRecord::clone(call)
            }),
            _ => {}
        }
    }

    /// The gate that the records so far refute, `since` the first measured call. `steady`: when
    /// the load is level; `open`: the measured calls under way.
    pub(super) fn look(
        &mut self,
        since: Duration,
        steady: &[SteadySpan],
        open: impl FnOnce() -> Vec<OpenCall>,
    ) -> Option<&'a AbortGate> {
        let records = self.turns.len() + self.calls.len();
        let due = |gate: &&AbortGate| since >= gate.delay;
        if records < self.next || !self.gates.iter().any(|gate| due(&gate)) {
            return None;
        }
        self.next = (records as f64 * MORE) as usize + 1;
        let open = open();
        let refuted = |gate: &&AbortGate| {
            let gate = &gate.threshold;
            gate.is_refuted(&self.calls, &self.turns, &open, steady, LEVEL)
        };
        self.gates.iter().filter(due).find(refuted)
    }
}
