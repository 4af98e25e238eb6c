//! Gates that end a run early, once its records refute them.
//!
//! In: gates with `abort_on_fail`, each record as it is made, the calls in progress. Out: the gate
//! that ends the run. Invariants: evaluations are cheap, because each one requires 2 % more records
//! than the one before. A gate is not refuted by chance: each evaluation requires the confidence
//! level [`LEVEL`] and assumes that the missing results of calls in progress will meet the bound,
//! because failing calls end first. Records stay in memory only if there are such gates, and
//! without their texts.

use super::event::RunEvent;
use crate::record::{AgentAccount, CallRecord, OpenCall, SteadySpan, Threshold, TurnRecord};
use std::time::Duration;

/// Confidence level of each evaluation. A run has a few hundred evaluations at most, because each
/// one requires 2 % more records than the one before.
const LEVEL: f64 = 0.999;
/// Factor by which the number of records must grow before the next evaluation.
const MORE: f64 = 1.02;

/// A gate that can end a run.
#[derive(Debug, Clone)]
pub struct AbortGate {
    pub(crate) threshold: Threshold,
    /// Time after the first measured call during which the gate is not evaluated.
    pub(crate) delay: Duration,
}

fn without_texts(turn: &TurnRecord) -> TurnRecord {
    TurnRecord {
        room: String::new(),
        utterance: String::new(),
        playout_model: None,
        agent_track: None,
        agent: turn.agent.as_ref().map(AgentAccount::figures),
        ..turn.clone()
    }
}

/// Evaluates the abort gates during a run.
#[derive(Debug)]
pub(super) struct AbortWatch<'a> {
    gates: &'a [AbortGate],
    calls: Vec<CallRecord>,
    turns: Vec<TurnRecord>,
    /// Number of records at which the next evaluation is due.
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

    /// Keeps the records on which gates are evaluated.
    pub(super) fn take(&mut self, event: &RunEvent) {
        if self.gates.is_empty() {
            return;
        }
        match event {
            RunEvent::TurnEnded(turn) => self.turns.push(without_texts(turn)),
            RunEvent::TurnAmended(turn) => {
                let same = |t: &&mut TurnRecord| (t.call, t.turn) == (turn.call, turn.turn);
                // Searched from the end: a turn is amended soon after it has ended.
                if let Some(known) = self.turns.iter_mut().rev().find(same) {
                    *known = without_texts(turn);
                }
            }
            RunEvent::CallEnded(call) => self.calls.push(CallRecord {
                room: String::new(),
                usage: Vec::new(),
                ..CallRecord::clone(call)
            }),
            _ => {}
        }
    }

    /// The gate that the records so far refute, if any. `since`: time since the first measured
    /// call; `steady`: periods of steady load; `open`: the measured calls in progress.
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
