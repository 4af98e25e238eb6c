//! The targets through which agents are called, and our own reference agent.
//!
//! In: where the agent is, who calls. Out: a connected peer and what happens in its room.
//! Invariant: nothing here knows turns, plans or reports.

pub mod agent;
mod door;
pub mod embedded;
pub mod livekit;
mod own;

pub use door::{AgentStream, Connection, DoorEvent};
pub use own::{OwnAgent, OwnWorker};
