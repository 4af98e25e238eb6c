//! Shows the progress of a run on stderr.
//!
//! In: run events. Out: one line that is redrawn, or plain lines if stderr is not a terminal.
//! Invariants: the line counts only what the run has reported; its quantiles cover only replied
//! turns.

use crate::call::Phase;
use crate::cli::console::{self, RedrawnLine};
use crate::record::{CallOutcome, Ms};
use crate::run::RunEvent;
use crate::stats::LiveQuantiles;
use std::collections::HashMap;
use std::time::{Duration, Instant};

/// Time between plain lines.
const PLAIN: Duration = Duration::from_secs(5);

/// Where the progress line is written.
enum Out {
    Redrawn(RedrawnLine),
    Plain { last: Instant },
    Quiet,
}

/// Progress display of a run.
pub(super) struct Progress {
    out: Out,
    total: Option<u64>,
    phases: HashMap<usize, Phase>,
    done: u64,
    failed: u64,
    turns: u64,
    ttfa: LiveQuantiles,
}

impl Progress {
    /// `total`: number of calls, if known; `terminal`: stderr is a terminal; `quiet`: print only
    /// warnings.
    pub(super) fn new(total: Option<u64>, terminal: bool, quiet: bool) -> Self {
        let out = if quiet {
            Out::Quiet
        } else if terminal {
            Out::Redrawn(RedrawnLine::new())
        } else {
            Out::Plain {
                last: Instant::now(),
            }
        };
        Self {
            out,
            total,
            phases: HashMap::new(),
            done: 0,
            failed: 0,
            turns: 0,
            ttfa: LiveQuantiles::new(),
        }
    }

    /// Updates the display from an event.
    pub(super) fn take(&mut self, event: RunEvent) {
        match event {
            RunEvent::Notice(text) => return self.print(&format!("warning: {text}")),
            RunEvent::PreflightStarted => {
                return self.print("preflight call: checking the server and the agent");
            }
            RunEvent::PreflightPassed => return self.print("preflight call passed; starting"),
            RunEvent::Stopping => return self.print("stopping: hanging up, then reporting"),
            RunEvent::CallStarted { call, .. } => {
                self.phases.insert(call, Phase::Joining);
            }
            RunEvent::Phase { call, phase } => {
                self.phases.insert(call, phase);
            }
            RunEvent::TurnEnded(turn) => {
                self.turns += u64::from(turn.outcome.has_ended());
                if let Some(ttfa) = turn.ttfa_ms.and_then(Ms::duration) {
                    self.ttfa.record(ttfa);
                }
            }
            RunEvent::CallEnded(call) => {
                self.phases.remove(&call.call);
                let ended_as = |outcome| u64::from(call.ended_as() == Some(outcome));
                self.done += ended_as(CallOutcome::Completed);
                self.failed += ended_as(CallOutcome::Failed);
            }
            RunEvent::Started { .. }
            | RunEvent::TurnAmended(_)
            | RunEvent::CallDropped(_)
            | RunEvent::CallNotRun(_)
            | RunEvent::Vitals(_) => {}
        }
        self.show();
    }

    fn line(&self) -> String {
        let count = |wanted: &[Phase]| self.phases.values().filter(|p| wanted.contains(p)).count();
        let joining = count(&[Phase::Joining]);
        let total = self.total.map_or_else(String::new, |t| format!("/{t}"));
        let ms =
            |q: Option<Duration>| q.map_or_else(|| "–".into(), |d| format!("{} ms", d.as_millis()));
        format!(
            "calls: joining {joining}, joined {}, speaking {}, waiting {}, done {}{total}, failed {} | turns {}, ttfa p50 {}, p95 {}",
            self.phases.len() - joining,
            count(&[Phase::Speaking]),
            count(&[Phase::AwaitingReply, Phase::WaitingForAgent]),
            self.done,
            self.failed,
            self.turns,
            ms(self.ttfa.p50()),
            ms(self.ttfa.p95()),
        )
    }

    fn show(&mut self) {
        let due = match &self.out {
            Out::Quiet => false,
            Out::Redrawn(_) => true,
            Out::Plain { last } => last.elapsed() >= PLAIN,
        };
        if !due {
            return;
        }
        let line = self.line();
        match &mut self.out {
            Out::Redrawn(shown) => shown.set(line),
            Out::Plain { last } => {
                *last = Instant::now();
                console::say(&line);
            }
            Out::Quiet => {}
        }
    }

    fn print(&self, text: &str) {
        match &self.out {
            Out::Redrawn(line) => line.above(text),
            Out::Plain { .. } => console::say(text),
            // Warnings are printed even when quiet.
            Out::Quiet if text.starts_with("warning") => console::say(text),
            Out::Quiet => {}
        }
    }

    /// Ends the display: clears the terminal line, or prints the plain line once more.
    pub(super) fn finish(mut self) {
        if let Out::Redrawn(line) = &self.out {
            return line.clear();
        }
        // If the run never started, the error message is enough.
        if self.done + self.failed == 0 && self.turns == 0 {
            return;
        }
        if let Out::Plain { last } = &mut self.out {
            *last = last.checked_sub(PLAIN).unwrap_or(*last);
            self.show();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::fixtures;

    #[test]
    fn line_counts_calls_by_state_and_turns() {
        let mut p = Progress::new(Some(3), false, true);
        for call in 0..3 {
            p.take(RunEvent::CallStarted {
                call,
                variant: 0,
                warmup: false,
            });
        }
        p.take(RunEvent::Phase {
            call: 0,
            phase: Phase::Speaking,
        });
        p.take(RunEvent::Phase {
            call: 1,
            phase: Phase::AwaitingReply,
        });
        let mut run = fixtures::Run::default();
        run.good(2).bad(fixtures::Outcome::Missed, None);
        // The first turn of the second call, and a missed turn.
        p.take(RunEvent::TurnEnded(Box::new(run.turns[3].clone())));
        p.take(RunEvent::TurnEnded(Box::new(run.turns[6].clone())));
        p.take(RunEvent::CallEnded(Box::new(run.calls[1].clone())));
        let line = p.line();
        for part in [
            "joining 1",
            "joined 1",
            "speaking 1",
            "done 1/3",
            "failed 0",
            "turns 2",
            "p50 477 ms",
        ] {
            assert!(line.contains(part), "{part} is not in: {line}");
        }
    }
}
