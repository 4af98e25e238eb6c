//! The critical path of a run's replies: what each reply waited for.
//!
//! In: turn records. Out: the critical path of their replies, step by step. Invariant: the means of
//! the steps add up to the mean `ttfa` of the turns that have a path.

use crate::account::Step;
use crate::record::{Ms, TurnRecord};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The critical path of the replies whose agent reports enough about them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct PathFigures {
    /// Number of replies.
    pub turns: usize,
    /// Mean `ttfa` of these replies.
    pub mean_ms: Ms,
    /// The steps, in the order of a turn; those on no path are left out.
    pub steps: Vec<StepFigures>,
}

/// A step of the critical path.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct StepFigures {
    /// The step.
    pub step: Step,
    /// Mean length of the step over all replies; 0 for a reply without this step.
    pub mean_ms: Ms,
    /// Number of replies in which this was the longest step.
    pub longest: usize,
}

impl PathFigures {
    /// The step that is most often the longest; of equal ones, the first.
    pub(crate) fn longest(&self) -> Option<&StepFigures> {
        self.steps.iter().rev().max_by_key(|step| step.longest)
    }

    /// The figures of these turns; `None` if none has a path.
    pub(super) fn of<'a>(turns: impl IntoIterator<Item = &'a TurnRecord>) -> Option<Self> {
        let paths = turns.into_iter().filter(|t| t.counts());
        let paths = paths.filter_map(|t| Some(&t.agent.as_ref()?.path));
        let mut sums = vec![(0_i64, 0_usize); Step::ALL.len()];
        let mut turns = 0;
        for path in paths.filter(|path| !path.is_empty()) {
            turns += 1;
            let mut own = vec![0_i64; Step::ALL.len()];
            for step in path {
                own[step.step as usize] += step.ms.micros();
            }
            for (sum, own) in sums.iter_mut().zip(&own) {
                sum.0 += own;
            }
            // On a tie, the first step: it is the one to fix first.
            let longest = own.iter().enumerate().rev().max_by_key(|(_, us)| **us);
            if let Some((step, _)) = longest {
                sums[step].1 += 1;
            }
        }
        let mean = |sum: i64| Ms::from_micros((sum as f64 / turns as f64).round() as i64);
        let steps = Step::ALL.iter().zip(&sums);
        let steps = steps.filter(|(_, (sum, longest))| *sum != 0 || *longest > 0);
        (turns > 0).then(|| Self {
            turns,
            mean_ms: mean(sums.iter().map(|(sum, _)| sum).sum()),
            steps: steps
                .map(|(step, (sum, longest))| StepFigures {
                    step: *step,
                    mean_ms: mean(*sum),
                    longest: *longest,
                })
                .collect(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::fixtures::Run;
    use crate::record::{AgentAccount, PathStep};

    #[test]
    fn means_add_up_and_the_longest_step_is_counted() {
        let mut run = Run::default();
        run.good(1);
        let paths: [&[(Step, i64)]; 2] = [
            &[
                (Step::EndOfTurn, 700),
                (Step::Llm, 400),
                (Step::Delivery, 100),
            ],
            &[
                (Step::LateEnd, -20),
                (Step::EndOfTurn, 300),
                (Step::Llm, 300),
            ],
        ];
        for (turn, path) in run.turns.iter_mut().zip(paths) {
            let step = |(step, ms): &(Step, i64)| PathStep {
                step: *step,
                ms: Ms::from_micros(ms * 1_000),
            };
            turn.agent = Some(AgentAccount {
                path: path.iter().map(step).collect(),
                ..AgentAccount::default()
            });
        }
        let figures = PathFigures::of(&run.turns).expect("two paths");
        let shown: Vec<_> = figures.steps.iter().collect();
        let shown = shown
            .iter()
            .map(|s| (s.step.name(), s.mean_ms.micros() / 1_000, s.longest));
        let expected = [
            ("late_end", -10, 0),
            ("end_of_turn", 500, 2),
            ("llm", 350, 0),
            ("delivery", 50, 0),
        ];
        assert_eq!(shown.collect::<Vec<_>>(), expected);
        assert_eq!((figures.turns, figures.mean_ms.micros()), (2, 890_000));
        assert_eq!(PathFigures::of(&run.turns[2..]), None);
    }
}
