//! A LiveKit participant in pure Rust: tokens, signalling, rooms.
//!
//! In: credentials, a room, a peer of the media engine. Out: session events.
//! Invariants: one participant's failure affects no other; secrets appear in no message.

mod address;
mod diagnosis;
mod dispatches;
mod negotiation;
mod rooms;
mod roster;
mod session;
pub(in crate::target) mod signal;
pub(in crate::target) mod state;
mod token;
mod voices;

pub use address::{Address, AddressError};
pub use diagnosis::{Wanted, diagnose};
pub use dispatches::{Dispatched, Dispatches, Job};
pub use rooms::{Rooms, RoomsError};
pub use roster::{Participant, ParticipantKind, Presence, Roster, Section, Source, Track};
pub use session::{Join, Session, SessionCommand, SessionEvent};
pub use token::{Credentials, Dispatch, RoomTicket};
pub(in crate::target) use voices::Voices;
pub use voices::{AgentChoice, Departed, Seen};

/// Chooses the TLS implementation for the process; call it before the first connection.
pub fn install_crypto() {
    // A provider installed earlier in this process is just as good.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
}
