//! The doors to agents, and the reference agent behind one of them.
//!
//! In: where the agent is, who calls. Out: a connected peer and what happens in its room.
//! Holds: nothing here knows turns, plans or reports.

pub mod agent;
mod door;
pub mod embedded;
pub mod livekit;
mod own;

pub use door::{AgentStream, Connection, DoorEvent};
pub use own::{OwnAgent, OwnWorker};
