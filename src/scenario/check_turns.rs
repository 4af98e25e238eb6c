//! Checks `call.turns` as a whole: loops, and the list of turns that they unroll to.
//!
//! In: the entries of the file. Out: the turns of a call in order, with every pass of a loop, and
//! problems in the [`Checker`]. Invariant: at most [`MOST`] turns, however the file repeats them.

use super::check_branches::{Step, Target};
use super::checker::Checker;
use super::file::TurnFile;
use super::places::join;
use super::problem::Code;
use super::turn_file::RepeatFile;
use super::types::{LoopPass, NextTurn, TurnConfig};
use crate::vocab::{Anchor, Branch, Go, GreetingPolicy};
use std::collections::HashMap;

/// Maximum number of turns of a call.
const MOST: usize = 1000;

/// Bounds of the number of passes of a loop.
#[derive(Debug, Clone, Copy)]
struct Passes {
    min: u32,
    max: u32,
}

impl Passes {
    const ONE: Self = Self { min: 1, max: 1 };
}

impl Checker<'_> {
    /// The turns of a call.
    pub(super) fn turns(
        &mut self,
        written: &[Option<TurnFile>],
        greeting: GreetingPolicy,
        utterances: &[&str],
    ) -> Vec<TurnConfig> {
        let (mut steps, mut loops) = (Vec::new(), Vec::new());
        for (index, entry) in written.iter().enumerate() {
            let pointer = format!("/call/turns/{index}");
            let Some(entry) = self.need(entry.as_ref(), &pointer) else {
                continue;
            };
            let Some(passes) = self.passes(entry, &pointer) else {
                let step = self.step(entry, pointer, None, steps.len(), greeting, utterances);
                steps.push(step);
                continue;
            };
            for (at, turn) in entry.turns.iter().flatten().enumerate() {
                let pointer = format!("{pointer}/turns/{at}");
                let Some(turn) = self.need(turn.as_ref(), &pointer) else {
                    continue;
                };
                if self.is_loop(&pointer) {
                    let hint = "write the inner turns out, or make the loops one after another";
                    let message = "a loop inside a loop";
                    self.problem(&pointer, Code::Contradiction, message, hint);
                    continue;
                }
                let group = Some(loops.len());
                let step = self.step(turn, pointer, group, steps.len(), greeting, utterances);
                steps.push(step);
            }
            loops.push(passes);
        }
        self.branches(&mut steps);
        self.unrolled(&steps, &loops)
    }

    fn step<'f>(
        &mut self,
        file: &'f TurnFile,
        pointer: String,
        group: Option<usize>,
        index: usize,
        greeting: GreetingPolicy,
        utterances: &[&str],
    ) -> Step<'f> {
        Step {
            config: self.turn(file, &pointer, index, greeting, utterances),
            file,
            pointer,
            group,
            next: Vec::new(),
        }
    }

    fn is_loop(&self, pointer: &str) -> bool {
        let given = |key| self.places.origin(&join(pointer, key)).is_some();
        given("repeat") || given("turns")
    }

    /// The bounds of the number of passes, if the entry is a loop.
    fn passes(&mut self, file: &TurnFile, pointer: &str) -> Option<Passes> {
        if !self.is_loop(pointer) {
            return None;
        }
        for key in ["repeat", "turns"] {
            if self.places.origin(&join(pointer, key)).is_none() {
                let message = format!("the loop has no `{key}`");
                let hint = "a loop looks like `{repeat: 3, turns: [{say: order}, {say: thanks}]}`";
                self.problem(pointer, Code::MissingKey, message, hint);
            }
        }
        for key in OF_TURN {
            let at = join(pointer, key);
            if self.places.origin(&at).is_some() {
                let message = format!("a loop has no `{key}` of its own");
                let hint = "it belongs to a turn: move it into `turns`";
                self.problem_at_key(&at, Code::Contradiction, message, hint);
            }
        }
        let at = join(pointer, "repeat");
        Some(match file.repeat.as_ref() {
            None => Passes::ONE,
            Some(RepeatFile::Times(times)) => Passes {
                min: *times,
                max: *times,
            },
            Some(RepeatFile::Between(between)) => {
                let (at_min, at_max) = (join(&at, "min"), join(&at, "max"));
                let min = self.need(between.min, &at_min).unwrap_or(1);
                let max = self.need(between.max, &at_max).unwrap_or(min);
                if min > max {
                    let message = "`min` of `repeat` is larger than its `max`";
                    self.problem(&at_min, Code::Contradiction, message, "swap the two");
                }
                Passes {
                    min: min.min(max),
                    max,
                }
            }
        })
    }

    /// The turns with every pass of every loop.
    fn unrolled(&mut self, steps: &[Step<'_>], loops: &[Passes]) -> Vec<TurnConfig> {
        let most = |step: &Step<'_>| step.group.map_or(1, |group| loops[group].max as usize);
        let total: usize = steps.iter().map(most).sum();
        if total > MOST {
            let message = format!("the call has {total} turns with every pass of its loops");
            let hint = format!("at most {MOST} are possible: repeat less often");
            self.problem("/call/turns", Code::BadValue, message, hint);
            return steps
                .iter()
                .filter_map(|step| step.config.clone())
                .collect();
        }
        let order = Order::of(steps, loops);
        self.reached(steps, &order);
        let turns = order.turns.iter().filter_map(|&(at, pass)| {
            let step = &steps[at];
            let turn = step.config.clone()?;
            let is_first = pass > 0 && at == 0 && !step.says_when();
            Some(TurnConfig {
                // Only in the first pass is the first turn without a previous one.
                anchor: if is_first {
                    Anchor::PreviousTurn
                } else {
                    turn.anchor
                },
                next: branches(step, pass, steps, &order),
                pass: step.group.map(|group| LoopPass {
                    group,
                    pass,
                    min: loops[group].min,
                    max: loops[group].max,
                }),
                ..turn
            })
        });
        turns.collect()
    }

    /// Reports the turns that no path leads to.
    fn reached(&mut self, steps: &[Step<'_>], order: &Order) {
        let mut reached = vec![false; order.turns.len()];
        if let Some(first) = reached.first_mut() {
            *first = true;
        }
        for (from, &(at, pass)) in order.turns.iter().enumerate() {
            let step = &steps[at];
            if !reached[from] || step.file.hang_up.is_some() {
                continue;
            }
            for go in step.next.iter().map(|next| next.go) {
                if let Some(to) = order.place(go, (step, pass), steps) {
                    reached[to] = true;
                }
            }
            if !step.always_branches()
                && let Some(next) = reached.get_mut(from + 1)
            {
                *next = true;
            }
        }
        let mut told = Vec::new();
        for (&(at, pass), reached) in order.turns.iter().zip(reached) {
            if reached || told.contains(&at) {
                continue;
            }
            told.push(at);
            let message = match pass {
                0 => "no path leads to this turn".to_owned(),
                _ => format!("no path leads to pass {} of this turn", pass + 1),
            };
            let hint = "every turn before it hangs up or goes elsewhere: name it in a `next`, or leave it out";
            let pointer = steps[at].pointer.clone();
            self.problem(&pointer, Code::Contradiction, message, hint);
        }
    }
}

/// Keys of a turn that a loop does not have.
const OF_TURN: [&str; 11] = [
    "name",
    "say",
    "say_text",
    "pick",
    "start",
    "expect",
    "timeout",
    "reply_text",
    "reply_matches",
    "next",
    "hang_up",
];

/// Every turn of a call, in order: the index of its step, and its pass.
struct Order {
    turns: Vec<(usize, u32)>,
    /// The index of each in `turns`.
    places: HashMap<(usize, u32), usize>,
}

impl Order {
    fn of(steps: &[Step<'_>], loops: &[Passes]) -> Self {
        let mut turns = Vec::new();
        let mut from = 0;
        while from < steps.len() {
            let group = steps[from].group;
            let own = |step: &&Step<'_>| group.is_some() && step.group == group;
            let length = steps[from..].iter().take_while(own).count().max(1);
            let passes = group.map_or(1, |group| loops[group].max);
            for pass in 0..passes {
                turns.extend((from..from + length).map(|at| (at, pass)));
            }
            from += length;
        }
        let places = turns.iter().enumerate().map(|(place, turn)| (*turn, place));
        Self {
            places: places.collect(),
            turns,
        }
    }

    /// The index of the turn that a branch leads to from this pass of a step.
    fn place(
        &self,
        go: Target,
        (from, pass): (&Step<'_>, u32),
        steps: &[Step<'_>],
    ) -> Option<usize> {
        let Target::Step(to) = go else { return None };
        let same = from.group.is_some() && steps[to].group == from.group;
        let pass = if same { pass } else { 0 };
        self.places.get(&(to, pass)).copied()
    }
}

/// The branches of a pass of a step.
fn branches(step: &Step<'_>, pass: u32, steps: &[Step<'_>], order: &Order) -> Vec<NextTurn> {
    let branches = step.next.iter().filter_map(|next| {
        let go = match next.go {
            Target::HangUp => Go::HangUp,
            to @ Target::Step(_) => Go::Turn(order.place(to, (step, pass), steps)?),
        };
        Some(NextTurn {
            branch: Branch {
                when: next.when,
                go,
            },
            pattern: next.pattern.clone(),
        })
    });
    branches.collect()
}
