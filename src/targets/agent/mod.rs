//! The reference agent: detects the end of speech and replies after an exact delay.
//!
//! In: settings; a LiveKit server's agent endpoint, or a pipe. Out: replies, and a truth file with
//! the timestamps from which each reply was timed. Invariant: `delay` is the `ttfa_wire` that a
//! caller measures over a network without delay: the time from the caller's last speech sample to
//! the first audible decoded sample of the reply.

mod brain;
mod chirps;
mod clip;
mod crowd;
mod delay;
mod dice;
mod edits;
mod faults;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzed;
mod inbound;
mod moment;
mod notice;
mod pipe;
mod script;
mod session_stream;
mod splice;
mod teller;
mod told;
mod truth;
mod visit;
mod voice;
mod worker;

pub(crate) use brain::AgentEnd;
pub(crate) use clip::{Clip, ClipError};
pub(crate) use delay::DelayStream;
pub(crate) use inbound::EndDetection;
pub(crate) use notice::{AgentNotice, Tell};
pub(crate) use pipe::serve_pipe;
pub(in crate::targets) use pipe::{PipeReply, PipeRequest};
pub(crate) use truth::TruthWriter;
pub(crate) use voice::Voice;
pub(crate) use worker::{WorkerOptions, serve_livekit};

use crate::net::Engine;
use crate::vocab::AgentDelay;
use brain::Chances;
use crowd::Crowd;
use dice::Dice;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// The reference agent on media threads.
pub(crate) struct Agent {
    engine: Engine<AgentEnd>,
    calls: AgentCalls,
}

/// State shared by an agent's calls; creates the agent's endpoint of each call.
pub(crate) struct AgentCalls {
    voice: Arc<Voice>,
    delay: AgentDelay,
    seed: u64,
    hearing: EndDetection,
    calls: AtomicU64,
    crowd: Crowd,
    truth: Option<TruthWriter>,
}

impl Agent {
    /// An agent on `threads` media threads.
    ///
    /// # Errors
    /// The operating system refuses threads or descriptors.
    pub(crate) fn new(
        threads: usize,
        voice: Voice,
        delay: AgentDelay,
        seed: u64,
        hearing: EndDetection,
        truth: Option<TruthWriter>,
    ) -> Result<Self, crate::net::NetError> {
        Ok(Self {
            engine: Engine::start(threads)?,
            calls: AgentCalls::new(voice, delay, seed, hearing, truth),
        })
    }

    /// Sets how many concurrent calls the agent handles at full speed; beyond that, every delay
    /// doubles.
    pub(crate) fn with_capacity(mut self, calls: u32) -> Self {
        self.calls.crowd.capacity = Some(calls);
        self
    }

    /// The agent's endpoint of a new call in `room`.
    fn end(&self, room: &str) -> AgentEnd {
        self.calls.end(room)
    }
}

impl AgentCalls {
    /// Creates an agent that has had no call yet.
    pub(crate) fn new(
        voice: Voice,
        delay: AgentDelay,
        seed: u64,
        hearing: EndDetection,
        truth: Option<TruthWriter>,
    ) -> Self {
        Self {
            voice: Arc::new(voice),
            delay,
            seed,
            hearing,
            calls: AtomicU64::new(0),
            crowd: Crowd::default(),
            truth,
        }
    }

    /// The agent's endpoint of a new call in `room`; each call has its own random stream of delays.
    pub(in crate::targets) fn end(&self, room: &str) -> AgentEnd {
        let call = self.calls.fetch_add(1, Relaxed);
        AgentEnd::new(
            room,
            self.voice.clone(),
            Chances {
                delays: DelayStream::new(self.delay, self.seed, call),
                dice: Dice::new(self.seed, call),
                seat: self.crowd.sit(),
            },
            self.hearing,
            self.truth.as_ref().map(TruthWriter::sender),
        )
    }
}
