//! The in-process target: the reference agent and its callers in one process, on one clock.
//!
//! Audio is PCM and goes over a channel. There is no socket and no thread besides the runtime, so
//! under a paused clock a whole run takes a fraction of its virtual time, and two runs of one
//! plan have the same records.

mod target;
mod wire;

pub use target::InProcess;
pub use wire::{Befallen, Mishap};
