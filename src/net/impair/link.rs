//! One direction of a simulated network: what happens to each packet.
//!
//! In: the moments at which packets enter, their kinds and sizes. Out: when each one arrives, if it
//! does. Invariants: the decisions about RTP packets depend only on the seed, the caller, the
//! direction and the number of the packet; all others have random numbers of their own, so that
//! connectivity checks do not change which audio is lost. Pure: time is an argument.

use super::delay::Delays;
use super::loss::LossChain;
use crate::vocab::LinkConfig;
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use std::time::{Duration, Instant};

/// Bytes of the headers of IPv4 and UDP.
const HEADERS: usize = 28;
/// Words of random numbers set aside for each packet: more than it uses.
const WORDS: u128 = 32;

/// What a datagram contains, for the choice of random numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// RTP.
    Media,
    /// RTCP, STUN, DTLS.
    Rest,
}

/// Why a datagram does not arrive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dropped {
    /// By the loss model.
    Loss,
    /// It would have waited in the bottleneck's queue for too long.
    Queue,
    /// During an outage.
    Outage,
}

/// What happens to a datagram.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Passage {
    /// How many datagrams of its kind entered before it.
    pub number: u64,
    /// When it arrives.
    pub arrives: Result<Instant, Dropped>,
    /// It arrives twice at that moment.
    pub twice: bool,
}

/// Which random numbers a link has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LinkKey {
    /// The run's.
    pub seed: u64,
    /// Number of the caller.
    pub caller: u64,
    /// From the server to the caller.
    pub down: bool,
    /// Which of the caller's connections this is, counted from 0.
    pub connection: u16,
}

/// Packets of one kind: their number, and the state of the models.
#[derive(Debug, Clone)]
struct Stream {
    random: ChaCha8Rng,
    number: u64,
    loss: Option<LossChain>,
    delays: Delays,
}

/// The random decisions about one packet.
struct Decisions {
    number: u64,
    is_lost: bool,
    is_twice: bool,
    is_late: bool,
    delay: Duration,
}

impl Stream {
    fn new(config: &LinkConfig, key: LinkKey, kind: Kind) -> Self {
        let mut seed = [0; 32];
        seed[..8].copy_from_slice(&key.seed.to_le_bytes());
        seed[8] = u8::from(key.down);
        seed[9] = u8::from(kind == Kind::Rest);
        seed[10..12].copy_from_slice(&key.connection.to_le_bytes());
        let mut random = ChaCha8Rng::from_seed(seed);
        random.set_stream(key.caller);
        Self {
            random,
            number: 0,
            loss: config.loss.map(LossChain::new),
            delays: Delays::new(config.delay, config.jitter),
        }
    }

    fn decide(&mut self, config: &LinkConfig) -> Decisions {
        let number = self.number;
        self.number += 1;
        self.random.set_word_pos(u128::from(number) * WORDS);
        // Every packet uses all of its draws, whatever is configured.
        let [a, b, c, d, e, f]: [f64; 6] = self.random.random();
        let loss = self.loss.as_mut();
        Decisions {
            number,
            is_lost: loss.is_some_and(|loss| loss.loses([a, b])),
            is_twice: c < config.duplicate,
            is_late: config.reorder.is_some_and(|reorder| d < reorder.share),
            delay: self.delays.next([e, f]),
        }
    }
}

/// One direction of a caller's network.
#[derive(Debug, Clone)]
pub struct Link {
    config: LinkConfig,
    start: Instant,
    media: Stream,
    rest: Stream,
    /// When the bottleneck has sent everything that is in its queue.
    free: Instant,
    /// The latest arrival of a packet that is in order.
    last: Instant,
}

impl Link {
    /// A link whose outages are counted from `start`.
    pub fn new(config: LinkConfig, key: LinkKey, start: Instant) -> Self {
        Self {
            media: Stream::new(&config, key, Kind::Media),
            rest: Stream::new(&config, key, Kind::Rest),
            config,
            start,
            free: start,
            last: start,
        }
    }

    /// What happens to a datagram of `bytes` bytes that enters at `at`.
    pub fn pass(&mut self, at: Instant, kind: Kind, bytes: usize) -> Passage {
        let stream = match kind {
            Kind::Media => &mut self.media,
            Kind::Rest => &mut self.rest,
        };
        let decisions = stream.decide(&self.config);
        let passage = |arrives: Result<Instant, Dropped>, twice| Passage {
            number: decisions.number,
            arrives,
            twice,
        };
        if kind == Kind::Rest && self.config.media_only {
            return passage(Ok(at), false);
        }
        let since = at.saturating_duration_since(self.start);
        if self.config.outages.iter().any(|o| o.covers(since)) {
            return passage(Err(Dropped::Outage), false);
        }
        let Some(sent) = self.through_bottleneck(at, bytes) else {
            return passage(Err(Dropped::Queue), false);
        };
        if decisions.is_lost {
            return passage(Err(Dropped::Loss), false);
        }
        passage(Ok(self.arrival(sent, &decisions)), decisions.is_twice)
    }

    /// When the last bit of a datagram has left the bottleneck; `None` if the queue is full.
    fn through_bottleneck(&mut self, at: Instant, bytes: usize) -> Option<Instant> {
        let Some(bandwidth) = self.config.bandwidth else {
            return Some(at);
        };
        let begins = self.free.max(at);
        if begins - at > bandwidth.queue {
            return None;
        }
        let bits = (bytes + HEADERS) as f64 * 8.0;
        self.free = begins + Duration::from_secs_f64(bits / bandwidth.rate.max(1) as f64);
        Some(self.free)
    }

    fn arrival(&mut self, sent: Instant, decisions: &Decisions) -> Instant {
        let arrival = sent + decisions.delay;
        if let Some(reorder) = self.config.reorder.filter(|_| decisions.is_late) {
            return arrival + reorder.by;
        }
        if self.config.jitter.is_some_and(|jitter| jitter.in_order) {
            self.last = self.last.max(arrival);
            return self.last;
        }
        arrival
    }
}
