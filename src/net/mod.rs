//! The media engine: sockets, timers, kernel timestamps, ICE and DTLS (str0m), SRTP.
//!
//! In: endpoints (parties that listen and speak) and their session descriptions.
//! Out: packets on time, arrivals with their timestamps.
//! Invariants: a peer lives on one thread; nothing here depends on LiveKit, turns or files.

mod candidate;
mod claims;
mod clock;
mod endpoint;
mod engine;
mod error;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzed;
mod grid;
mod health;
mod impair;
mod keys;
mod messages;
mod meter;
mod path;
mod peer;
mod rtcp;
mod sdp;
mod socket;
mod srtp;
mod stun;
mod transport;

pub use endpoint::{Endpoint, Outgoing, RtpStream};
pub use engine::{Engine, PeerHandle};
pub use error::NetError;
pub use impair::{Dropped, Impairment, Kind, Link, LinkKey, Passage};
pub use messages::Message;
pub use peer::{Peer, PeerEvent};
pub use sdp::tracks_by_mid;
#[doc(hidden)]
pub use srtp::Context as SrtpContext;
#[doc(hidden)]
pub use srtp::bench_pair as srtp_bench_pair;
pub use transport::{Topology, Transport};

pub(crate) use candidate::Candidate;
pub(crate) use clock::monotonic_ns;
pub(crate) use engine::PeerEvents;
pub(crate) use health::{DurationQuantiles, Durations, HealthSnapshot};
pub(crate) use impair::{LogBatch, LogEntry, LogSink};
pub(crate) use messages::Messages;
