//! The in-process target: the reference agent and its callers in one process, on one clock.
//!
//! Audio is PCM in in-memory queues. There are no sockets, and no threads besides the runtime's, so
//! under a paused clock a whole run takes a fraction of its virtual time, and two runs of the same
//! plan produce the same records.

mod target;
mod wire;

pub use target::InProcess;
pub use wire::{Befallen, Mishap};
