//! A LiveKit participant in pure Rust: tokens, signalling, rooms, cleanup.
//!
//! In: credentials, a room, a peer of the media engine. Out: a target; session events.
//! Invariants: a participant that fails affects no other participant; no message contains a secret.

mod absence;
mod ask;
mod cause;
mod claims;
mod cleanup;
mod connection;
mod data;
mod diagnosis;
mod dispatches;
mod examine;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzed;
mod ledger;
mod media_failure;
mod negotiation;
mod own;
pub(in crate::targets) mod packets;
mod replies;
mod requests;
pub(in crate::targets) mod resolve;
mod rooms;
mod roster;
mod secrets;
mod session;
pub(in crate::targets) mod signal;
pub(in crate::targets) mod state;
mod streams;
mod target;
mod tls;
mod token;
mod twirp;
mod voices;
mod wire;

pub(crate) use ask::Ask;
pub(crate) use cause::Cause;
pub(crate) use own::OwnWorker;
pub(crate) use roster::{ParticipantKind, Roster};
pub(crate) use session::{Join, Session, SessionCommand, SessionEvent};
pub(crate) use target::Livekit;
pub(crate) use tls::config as tls_config;
pub(crate) use token::{Credentials, Dispatch};
pub(crate) use voices::AgentChoice;

/// Chooses the TLS implementation for the process. Must be called before the first connection.
pub(crate) fn install_crypto() {
    // A provider that was installed earlier in this process is equally suitable.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
}
