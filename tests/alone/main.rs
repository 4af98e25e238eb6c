//! Integration tests that need the CPU to themselves, and so run one after the other.
//!
//! In: `--test-threads 1`, as `scripts/test` passes it.

#[path = "../support/mod.rs"]
pub mod support;

mod capacity;
mod habits;
mod pipeline;
mod scenarios;
