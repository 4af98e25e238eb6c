//! Integration tests whose results depend on the machine's load. However many threads `cargo test`
//! uses, tests that load the machine run alone; tests that mostly wait run at the same time.

use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use support::program::Run;
use support::reports::Reports;

#[path = "../support/mod.rs"]
pub mod support;

mod all_examples;
mod broken;
mod capacity;
mod conversations;
mod habits;
mod models;
mod network;
mod node;
mod pipeline;
mod telemetry;
mod texts;
mod variants;

static MACHINE: RwLock<()> = RwLock::new(());

/// Waits until no other test of this binary is running.
fn alone() -> RwLockWriteGuard<'static, ()> {
    MACHINE.write().unwrap_or_else(PoisonError::into_inner)
}

/// Waits until no test that runs alone is running. The tests that call this make few calls at a
/// time, and their checks allow for each other's load.
fn shared() -> RwLockReadGuard<'static, ()> {
    MACHINE.read().unwrap_or_else(PoisonError::into_inner)
}

/// Sorts and prints the errors of a figure, in ms; returns the median, the 99th percentile and the
/// maximum.
fn show_errors(figure: &str, errors: &mut [f64]) -> [f64; 3] {
    errors.sort_by(f64::total_cmp);
    let last = errors.len().checked_sub(1);
    let last = last.unwrap_or_else(|| panic!("no {figure}"));
    let [p50, p99, max] = [0.5, 0.99, 1.0].map(|q| errors[(last as f64 * q).round() as usize]);
    println!(
        "  {figure}: n {}, error p50 {p50:.2}, p99 {p99:.2}, max {max:.2} ms",
        errors.len()
    );
    [p50, p99, max]
}

/// Repeats a run until every turn is answered, at most three times: on a busy machine a caller or
/// an agent can stall for so long that one utterance becomes two turns.
fn answered(run: impl Fn() -> Run) -> (Run, Reports) {
    let is_answered = |reports: &Reports| {
        let mut turns = reports.turns.iter();
        turns.all(|row| row["outcome"] == "replied")
    };
    let mut attempts = (0..3).map(|_| {
        let run = run();
        let reports = Reports::read(&run.dir().join("run"));
        (run, reports)
    });
    let found = attempts.find(|(_, reports)| is_answered(reports));
    found.expect("in one of three runs, every turn is answered")
}
