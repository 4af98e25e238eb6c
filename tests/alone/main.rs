//! Integration tests that need the processor: one has it to itself, the others share it.
//!
//! Those that share it mostly wait for speech to be said, and their bounds leave room for each
//! other; `LOADGEN_FULL=1` has tight bounds, and so runs them one after the other.

use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

#[path = "../support/mod.rs"]
pub mod support;

mod capacity;
mod habits;
mod pipeline;
mod scenarios;

static MACHINE: RwLock<()> = RwLock::new(());

/// Waits until no other test of this binary uses the machine, and keeps them away.
fn alone() -> RwLockWriteGuard<'static, ()> {
    MACHINE.write().unwrap_or_else(PoisonError::into_inner)
}

/// The machine, to itself or with others.
enum Machine {
    Alone {
        _guard: RwLockWriteGuard<'static, ()>,
    },
    Shared {
        _guard: RwLockReadGuard<'static, ()>,
    },
}

/// Waits until no test of this binary needs the machine to itself.
fn beside_others() -> Machine {
    match support::full() {
        true => Machine::Alone { _guard: alone() },
        false => Machine::Shared {
            _guard: MACHINE.read().unwrap_or_else(PoisonError::into_inner),
        },
    }
}
