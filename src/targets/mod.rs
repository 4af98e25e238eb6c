//! The targets through which agents are called, and our own reference agent.
//!
//! In: the location of the agent, the callers. Out: calls with audio in both directions, and their
//! events. Invariants: nothing here depends on turns, plans or reports. Each target has its own
//! folder, and code outside that folder uses the target only through the traits.

pub(crate) mod agent;
mod caller_handle;
mod clock;
pub(crate) mod embedded;
mod examination;
pub mod in_process;
mod lines;
pub(crate) mod livekit;
mod media;
mod state_folder;
mod target;

pub use target::OwnAgent;

pub(crate) use caller_handle::{CallerHandle, CallerJob, Moment};
pub(crate) use clock::{now, until};
pub(crate) use examination::{
    Encryption, Examination, HttpFacts, Link, Permissions, TlsFault, TokenFault,
};
pub(crate) use media::Media;
pub(crate) use state_folder::state_folder;
pub(crate) use target::{
    CallLine, Connection, Dial, Event, Notice, OpenTarget, Opened, Opening, Target,
};
