//! Simulates a bad network between a caller and its agent, in both directions.
//!
//! In: a [`NetworkConfig`], a seed, the number of the caller; then the caller's datagrams. Out: when
//! each one arrives, if it does, and a log of that. Invariants: sealed datagrams are held back or
//! dropped at the socket, so everything above it sees what a real network would show; of received
//! datagrams, only those of the other side count.

mod delay;
mod held;
mod link;
mod log;
mod loss;
mod network;

pub(super) use held::HeldDatagram;
pub use link::{Dropped, Kind, Link, LinkKey, Passage};
pub(crate) use log::{LogBatch, LogEntry, LogSink};
pub(super) use network::Network;

use crate::vocab::NetworkConfig;
use std::sync::Arc;
use std::time::Instant;

/// The simulated network of one caller.
#[derive(Debug, Clone)]
pub struct Impairment {
    config: Arc<NetworkConfig>,
    seed: u64,
    caller: u64,
    start: Instant,
    log: Option<LogSink>,
}

impl Impairment {
    /// The network of caller `caller`, who begins to connect at `start`, in a run with this seed.
    pub fn new(config: Arc<NetworkConfig>, seed: u64, caller: u64, start: Instant) -> Self {
        Self {
            config,
            seed,
            caller,
            start,
            log: None,
        }
    }

    /// What happens to each packet goes to `log`.
    pub(crate) fn logged(mut self, log: Option<LogSink>) -> Self {
        self.log = log;
        self
    }

    /// One direction of one of the caller's connections, which are counted from 0.
    pub fn link(&self, down: bool, connection: u16) -> Link {
        let config = match down {
            true => &self.config.down,
            false => &self.config.up,
        };
        let key = LinkKey {
            seed: self.seed,
            caller: self.caller,
            down,
            connection,
        };
        Link::new(config.clone(), key, self.start)
    }

    /// Both directions of one connection, for its socket.
    pub(super) fn network(&self, connection: u16) -> Network {
        let links = (self.link(false, connection), self.link(true, connection));
        Network::new(links, connection, self.log.clone())
    }
}

#[cfg(test)]
mod tests;
