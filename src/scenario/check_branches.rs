//! Checks the branches between turns: names, conditions, directions.
//!
//! In: the turns of the file, with the loop that each belongs to. Out: where each branch leads,
//! and problems in the [`Checker`]. Invariant: branches lead forwards, so every turn is taken at
//! most once and a call ends.

use super::checker::Checker;
use super::file::TurnFile;
use super::places::join;
use super::problem::{Code, did_you_mean};
use super::turn_file::{BranchFile, ConditionFile};
use super::types::{CallConfig, TargetConfig, TurnConfig};
use crate::vocab::{AccountUse, Pattern, When};

/// What a branch says instead of the name of a turn to end the call.
const HANG_UP: &str = "hang_up";

/// A turn of the file.
pub(super) struct Step<'f> {
    pub(super) file: &'f TurnFile,
    pub(super) pointer: String,
    /// The loop that it belongs to.
    pub(super) group: Option<usize>,
    /// `None` if it has problems.
    pub(super) config: Option<TurnConfig>,
    pub(super) next: Vec<StepBranch>,
}

/// A branch, before loops are unrolled.
pub(super) struct StepBranch {
    pub(super) when: When,
    pub(super) pattern: Option<Pattern>,
    pub(super) go: Target,
}

/// Where a branch leads.
#[derive(Debug, Clone, Copy)]
pub(super) enum Target {
    /// To the step with this index.
    Step(usize),
    HangUp,
}

impl Step<'_> {
    /// Whether one of its branches is always taken.
    pub(super) fn always_branches(&self) -> bool {
        self.next.iter().any(|next| next.when == When::Always)
    }

    /// Whether the file says after which event the turn starts.
    pub(super) fn says_when(&self) -> bool {
        let start = self.file.start.as_ref();
        start.is_some_and(|start| start.after.is_some())
    }
}

impl Checker<'_> {
    /// Checks the names and the branches of all turns.
    pub(super) fn branches(&mut self, steps: &mut [Step<'_>]) {
        self.names(steps);
        for at in 0..steps.len() {
            let (file, pointer) = (steps[at].file, steps[at].pointer.clone());
            let Some(written) = &file.next else { continue };
            if file.hang_up.is_some() {
                let message = "the caller hangs up after this turn, so no other turn follows";
                let hint = "leave out `next`, or write `go: hang_up` in a branch of it";
                let at = join(&pointer, "next");
                self.problem_at_key(&at, Code::Contradiction, message, hint);
            }
            let mut next: Vec<StepBranch> = Vec::new();
            for (n, branch) in written.iter().enumerate() {
                let pointer = format!("{pointer}/next/{n}");
                let Some(branch) = self.need(branch.as_ref(), &pointer) else {
                    continue;
                };
                if next.iter().any(|before| before.when == When::Always) {
                    let message = "this branch is never taken: the one before it has no `if`";
                    let hint = "a branch without `if` is the last one";
                    self.problem(&pointer, Code::Contradiction, message, hint);
                }
                let condition = self.condition(branch, &pointer, steps[at].config.as_ref());
                let go = self.target_of(branch, &pointer, at, steps);
                if let (Some((when, pattern)), Some(go)) = (condition, go) {
                    next.push(StepBranch { when, pattern, go });
                }
            }
            steps[at].next = next;
        }
    }

    fn names(&mut self, steps: &[Step<'_>]) {
        for (at, step) in steps.iter().enumerate() {
            let Some(name) = &step.file.name else {
                continue;
            };
            let pointer = join(&step.pointer, "name");
            let taken = |other: &Step<'_>| other.file.name.as_ref() == Some(name);
            let message = match name.as_str() {
                HANG_UP => "`hang_up` is what a branch says to end the call".to_owned(),
                _ if steps[..at].iter().any(taken) => format!("two turns are named `{name}`"),
                _ => continue,
            };
            let hint = "give the turn another name";
            self.problem(&pointer, Code::Contradiction, message, hint);
        }
    }

    fn condition(
        &mut self,
        branch: &BranchFile,
        pointer: &str,
        turn: Option<&TurnConfig>,
    ) -> Option<(When, Option<Pattern>)> {
        let at = join(pointer, "if");
        let Some(condition) = &branch.when else {
            // A condition that could not be read has been reported.
            let is_written = self.places.origin(&at).is_some();
            return (!is_written).then_some((When::Always, None));
        };
        match condition {
            ConditionFile::Outcome(outcome) => Some((When::Outcome(outcome.outcome()), None)),
            ConditionFile::Reply(reply) => {
                let at_pattern = join(&at, "reply_matches");
                let written = self.need(reply.reply_matches.as_ref(), &at_pattern)?;
                let pattern = self.pattern(written, &at_pattern)?;
                let expect = turn.map(|turn| turn.expect);
                if let Some(expect) = expect
                    && !expect.asks_for_reply()
                    && !expect.asks_for_text()
                {
                    let message = format!(
                        "`reply_matches` needs a reply, but `expect: {}` expects none",
                        expect.name()
                    );
                    let hint = "branch on the outcome: `if: replied`, `if: missed`";
                    self.problem(&at_pattern, Code::Contradiction, message, hint);
                }
                Some((When::ReplyMatches, Some(pattern)))
            }
        }
    }

    /// Where a branch of the turn `from` leads.
    fn target_of(
        &mut self,
        branch: &BranchFile,
        pointer: &str,
        from: usize,
        steps: &[Step<'_>],
    ) -> Option<Target> {
        let at = join(pointer, "go");
        let name = self.need(branch.go.as_ref(), &at)?;
        if name == HANG_UP {
            return Some(Target::HangUp);
        }
        let named = |step: &Step<'_>| step.file.name.as_ref() == Some(name);
        let Some(to) = steps.iter().position(named) else {
            let shown: String = name.chars().take(64).collect();
            let message = format!("there is no turn named `{shown}`");
            let known = steps.iter().filter_map(|step| step.file.name.as_deref());
            let known: Vec<&str> = known.chain([HANG_UP]).collect();
            let hint = did_you_mean(name, known, "turns");
            self.problem(&at, Code::UnknownName, message, hint);
            return None;
        };
        let (loop_from, loop_to) = (steps[from].group, steps[to].group);
        let enters = loop_to.is_some() && loop_to != loop_from;
        let is_head = !steps[..to].iter().any(|step| step.group == loop_to);
        let (message, hint) = if to <= from {
            (
                format!("`{name}` is not a later turn"),
                "branches lead forwards; to take turns again, write a loop: `{repeat: 3, turns: […]}`",
            )
        } else if enters && !is_head {
            (
                format!("`{name}` is in the middle of a loop"),
                "from outside, a branch leads only to the first turn of a loop",
            )
        } else {
            return Some(Target::Step(to));
        };
        self.problem(&at, Code::Contradiction, message, hint);
        None
    }

    /// Checks that the transcripts that branches need are read.
    pub(super) fn transcripts(&mut self, call: Option<&CallConfig>, target: Option<&TargetConfig>) {
        let Some((call, target)) = call.zip(target) else {
            return;
        };
        let by_reply = |turn: &TurnConfig| turn.next.iter().any(|next| next.pattern.is_some());
        if !call.turns.iter().any(by_reply) {
            return;
        }
        if call.agent_account == AccountUse::Ignore {
            let message =
                "with `agent_account: ignore`, no transcript is read, but a branch needs one";
            let hint = "leave it out, or branch on the outcome: `if: missed`";
            let at = "/call/agent_account";
            self.problem(at, Code::Contradiction, message, hint);
        }
        if matches!(target, TargetConfig::Embedded(_)) {
            let message = "the embedded agent has no transcripts, but a branch needs one";
            let hint = "branch on the outcome, or set `target.kind: livekit`";
            self.problem("/target/kind", Code::Contradiction, message, hint);
        }
    }
}
