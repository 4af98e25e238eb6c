//! Integration tests that need the processor to themselves, and so run one after another even if
//! `cargo test` starts them in parallel.

use std::sync::{Mutex, MutexGuard, PoisonError};

#[path = "../support/mod.rs"]
pub mod support;

mod capacity;
mod habits;
mod pipeline;
mod scenarios;

static MACHINE: Mutex<()> = Mutex::new(());

/// Waits until no other test of this binary is using the machine.
fn alone() -> MutexGuard<'static, ()> {
    MACHINE.lock().unwrap_or_else(PoisonError::into_inner)
}
