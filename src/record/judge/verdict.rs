//! The verdict on a run: one word, and the reasons for it.
//!
//! In: records, thresholds, how the run ended. Out: a [`Verdict`]. Invariant: a run that is
//! invalid, stopped or broken, has a gate that could not be judged, or has no gate at all, never
//! passes.

use super::gate::{GateResult, GateVerdict, Records, judge};
use super::threshold::Threshold;
use crate::stats::Answer;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How the run ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ending {
    /// All planned calls were over.
    Finished,
    /// The user stopped the run.
    Stopped,
    /// The run was cut off before its end was recorded.
    Cut,
    /// This gate with `abort_on_fail` was refuted.
    Aborted(String),
    /// The run could not be carried out, for this reason.
    Error(String),
}

impl Ending {
    /// Whether the run ended before all planned calls and turns were made.
    pub(in crate::record) fn leaves_out(&self) -> bool {
        matches!(self, Self::Stopped | Self::Cut | Self::Aborted(_))
    }
}

/// Reason given for a run whose end is not in its record.
const INCOMPLETE: &str = "the run is incomplete: loadgen was killed, or is still running; \
                          the figures cover what had ended by then. Possible causes: \
                          too little memory, a CI job's time limit, or a closed terminal";

/// Reason given for a run without gates.
const NOTHING_ASKED: &str = "there is nothing to judge: the scenario has no thresholds";

/// The status of a run. If several apply, the first in this order wins: error, stopped, invalid
/// (because of the run itself), failed, invalid (because a gate is undecided), passed or unasked. A
/// gate that the turns refute takes precedence over calls that never started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// The run is valid and every gate holds.
    Passed,
    /// The run is valid, and there was no gate that it could have failed.
    Unasked,
    /// A gate does not hold.
    Failed,
    /// The generator's own lateness, dropped calls or too few turns rule out a judgement.
    Invalid,
    /// Stopped by the user.
    Stopped,
    /// The run could not be carried out.
    Error,
}

/// The verdict on a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Verdict {
    /// The status of the run.
    pub status: Status,
    /// Why the status is not `passed`, the most important reason first.
    pub(crate) reasons: Vec<String>,
    /// Why the run did not go as planned, whatever its gates say: it was cut off, stopped by the
    /// user or ended by a gate, the generator was late, or it offered less load than planned. Null
    /// if the run went as planned.
    #[serde(default)]
    pub(crate) doubt: Option<String>,
    /// The gate with `abort_on_fail` that ended the run; null if none did.
    #[serde(default)]
    pub(crate) ended_by: Option<String>,
    /// Every gate, in the order of the scenario.
    pub gates: Vec<GateResult>,
}

/// Reasons why a run's figures are less conclusive than planned.
#[derive(Debug, Clone, Default)]
pub(in crate::record) struct Doubts {
    /// Reasons why the figures are not reliable.
    pub(super) invalid: Vec<String>,
    /// Ways in which there was less load than planned; a gate that is refuted nevertheless fails.
    pub(super) missing: Vec<String>,
    /// Failures of calls and turns; reported if there is no gate to judge them.
    pub(super) ungated: Vec<String>,
}

impl Verdict {
    /// Judges the gates and combines the result with how the run went.
    pub(in crate::record) fn of(
        ending: &Ending,
        doubts: Doubts,
        thresholds: &[Threshold],
        records: &Records<'_>,
    ) -> Self {
        let gates: Vec<GateResult> = thresholds.iter().map(|t| judge(t, records)).collect();
        let sentences = |wanted: fn(&GateResult) -> bool| -> Vec<String> {
            let chosen = gates.iter().filter(|g| wanted(g));
            chosen.map(GateResult::sentence).collect()
        };
        let refuted = |g: &GateResult| g.answer() == Answer::Fail.into();
        let (mut status, reason) = ending.says();
        let mut reasons: Vec<String> = reason.into_iter().collect();
        let mut of_the_run = reasons.iter().chain(&doubts.invalid).chain(&doubts.missing);
        let doubt = of_the_run.next().cloned();
        let is_refuted = gates.iter().any(refuted);
        let weighed = [
            (Status::Invalid, doubts.invalid),
            (
                // A gate refuted under less load would also be refuted under the planned load.
                if is_refuted {
                    Status::Failed
                } else {
                    Status::Invalid
                },
                doubts.missing,
            ),
            (
                Status::Failed,
                sentences(|g| g.verdict == GateVerdict::Failed),
            ),
            (
                Status::Invalid,
                sentences(|g| g.verdict == GateVerdict::Undecided),
            ),
        ];
        for (word, why) in weighed {
            if !why.is_empty() {
                status = status.or(Some(word));
                reasons.extend(why);
            }
        }
        let ended_by = match ending {
            Ending::Aborted(gate) => Some(gate.clone()),
            _ => None,
        };
        // A run that a gate ended never passes, even if its last turns changed the gate's answer.
        let status = status.unwrap_or(match ended_by {
            Some(_) => Status::Failed,
            None if gates.is_empty() => Status::Unasked,
            None => Status::Passed,
        });
        if status == Status::Unasked {
            reasons.push(NOTHING_ASKED.to_owned());
            reasons.extend(doubts.ungated);
        }
        Self {
            status,
            reasons,
            doubt,
            ended_by,
            gates,
        }
    }
}

impl Ending {
    /// The status and the reason that follow from the ending alone.
    fn says(&self) -> (Option<Status>, Option<String>) {
        match self {
            Self::Finished => (None, None),
            Self::Stopped => (
                Some(Status::Stopped),
                Some("stopped by the user".to_owned()),
            ),
            Self::Cut => (Some(Status::Invalid), Some(INCOMPLETE.to_owned())),
            Self::Aborted(gate) => (None, Some(format!("ended early: {gate} was refuted"))),
            Self::Error(reason) => (Some(Status::Error), Some(reason.clone())),
        }
    }
}

impl Verdict {
    /// The reasons that are about the run as a whole; each of the others is about a gate.
    pub(crate) fn reasons_of_the_run(&self) -> impl Iterator<Item = &str> {
        let of_gates: Vec<String> = self.gates.iter().map(GateResult::sentence).collect();
        let reasons = self.reasons.iter();
        reasons
            .filter(move |reason| !of_gates.contains(reason))
            .map(String::as_str)
    }

    /// Why the run's figures are not reliable, whatever its gates say; `None` if they are reliable.
    pub(crate) fn against_the_run(&self) -> Option<&str> {
        if self.doubt.is_some() {
            return self.doubt.as_deref();
        }
        // Files of earlier releases have no `doubt`: there, an undecided gate is taken to be the
        // only reason for an invalid run.
        let undecided = |g: &GateResult| g.verdict == GateVerdict::Undecided;
        match self.status {
            Status::Passed | Status::Unasked | Status::Failed => None,
            Status::Invalid if self.gates.iter().any(undecided) => None,
            Status::Invalid | Status::Stopped | Status::Error => {
                let first = self.reasons.first();
                Some(first.map_or("no reason is given", String::as_str))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::fixtures::{Failure, Outcome, Run, facts};
    use crate::record::{ReasonKind, Summary, Threshold};
    use crate::stats::{Aggregate, Gate, Inequality};

    /// Without thresholds, a run reports what went wrong; it is an error if no call completed.
    #[test]
    fn a_run_without_thresholds_is_unasked() {
        let of = |run: &Run| {
            let facts = facts(run.calls.len(), Ending::Finished);
            Summary::build(&facts, &run.calls, &run.turns, &[]).verdict
        };
        let nothing = "there is nothing to judge: the scenario has no thresholds";
        let mut good = Run::default();
        good.good(3);
        let verdict = of(&good);
        assert_eq!(
            (verdict.status, &verdict.reasons[..]),
            (Status::Unasked, &[nothing.to_owned()][..])
        );
        let mut mixed = Run::default();
        mixed
            .good(2)
            .bad(Outcome::Missed, None)
            .bad(Outcome::Failed, Some(Failure::AgentLeft));
        let verdict = of(&mixed);
        assert_eq!(verdict.status, Status::Unasked);
        assert_eq!(
            verdict.reasons,
            [nothing, "1 of 4 calls failed", "3 of 12 turns were missed"]
        );
        assert_eq!(ReasonKind::of(nothing), Some(ReasonKind::Unasked));
        assert_eq!(ReasonKind::of("1 of 4 calls failed"), None);
        assert_eq!(verdict.against_the_run(), None);
        // Every call reached an agent and failed.
        let mut bad = Run::default();
        for _ in 0..2 {
            bad.bad(Outcome::Missed, Some(Failure::AgentLeft));
        }
        let verdict = of(&bad);
        assert_eq!(verdict.status, Status::Error);
        assert_eq!(verdict.reasons, ["no call completed: 2 failed"]);
        // With a gate, the gate judges the run.
        let gate = Gate {
            aggregate: Aggregate::Rate,
            comparison: Inequality::Lt,
            bound: 0.5,
        };
        let gate = Threshold::new("failed", "rate<0.5", gate);
        let facts = facts(2, Ending::Finished);
        let judged = Summary::build(&facts, &bad.calls, &bad.turns, &[gate]);
        assert_eq!(judged.verdict.status, Status::Invalid);
    }

    #[test]
    fn reasons_about_the_run_exclude_those_about_gates() {
        let gate = Gate {
            aggregate: Aggregate::Rate,
            comparison: Inequality::Lt,
            bound: 0.01,
        };
        let gate = Threshold::new("missed", "rate<0.01", gate);
        let mut run = Run::default();
        run.good(3);
        let facts = facts(5, Ending::Finished);
        let verdict = Summary::build(&facts, &run.calls, &run.turns, &[gate]).verdict;
        assert_eq!(verdict.reasons.len(), 2, "{:?}", verdict.reasons);
        let of_the_run: Vec<&str> = verdict.reasons_of_the_run().collect();
        assert_eq!(of_the_run, ["2 of 5 planned calls never started"]);
        assert_eq!(ReasonKind::of(of_the_run[0]), Some(ReasonKind::Dropped));
    }
}
