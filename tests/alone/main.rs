//! Integration tests that need the processor, and so run one after the other.
//!
//! In: `--test-threads 1`, as `scripts/test` gives it.

#[path = "../support/mod.rs"]
pub mod support;

mod capacity;
mod habits;
mod pipeline;
mod scenarios;
