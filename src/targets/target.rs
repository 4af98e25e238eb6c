//! What a target is to a run: a configuration, then an open target, then a connection a call.
//!
//! In: a caller's endpoint. Out: audio frames with their arrival for the endpoint; events, such
//! as the agent's coming and going, for the run. Invariants: a connection ends in at most one
//! [`Event::Closed`], and everything that can go wrong with a call is told by it; what a run left
//! at its target is cleaned up by [`OpenTarget::close`].

use super::media::Media;
use super::seat::Seat;
use crate::audio::Codec;
use crate::call::{AgentState, Failure};
use crate::net::Endpoint;
use crate::vocab::Loss;
use futures_util::future::BoxFuture;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// A target as it is configured.
pub trait Target<E: Endpoint>: fmt::Debug + Send + Sync {
    /// Kind and address, without secrets.
    fn describe(&self) -> String;
    /// The host whose owner has to agree to the load; `None` if the target is on this machine.
    fn host(&self) -> Option<&str>;
    /// How its streams hold their audio, in both directions.
    fn codec(&self) -> Codec {
        Codec::Opus
    }
    /// Makes it ready for calls.
    ///
    /// # Errors
    /// It cannot be reached, or does not start.
    fn open<'a>(&'a self, run: Opening<'a, E>) -> BoxFuture<'a, Result<Opened<E>, Failure>>;
}

/// A target that is ready for calls.
pub type Opened<E> = Box<dyn OpenTarget<E>>;

/// Takes messages for the user.
pub type Notice<'a> = &'a mut (dyn FnMut(String) + Send);

/// What a run gives to a target that it opens.
pub struct Opening<'a, E: Endpoint> {
    /// Id of the run: at least eight letters and digits.
    pub run_id: &'a str,
    /// The run's media threads, for targets whose audio comes over RTP.
    pub media: &'a Media<E>,
    /// Takes messages for the user.
    pub notice: Notice<'a>,
}

/// A call to be made.
#[derive(Debug, Clone, Copy)]
pub struct Dial<'a> {
    /// Number of the call, distinct among the calls under way; `None` for a preflight call.
    pub number: Option<u64>,
    /// Name of its room, from [`OpenTarget::room`].
    pub room: &'a str,
    /// Index of its variant in the scenario.
    pub variant: usize,
    /// Received packets to lose on purpose, and the seed that decides which.
    pub loss: Option<(Loss, u64)>,
}

/// A target that is ready for calls.
pub trait OpenTarget<E: Endpoint>: Send + Sync {
    /// Full name of a call's room, as in the records; other targets than rooms name the call.
    fn room(&self, call: &str) -> String;
    /// Starts to connect a call. Its events tell whether that succeeds.
    fn connect(&self, dial: Dial<'_>, caller: E) -> Line<E>;
    /// What a preflight call for this variant would try; variants with the same answer need only
    /// one. `None`: there is nothing that could be tried.
    fn preflight(&self, _variant: usize) -> Option<Vec<String>> {
        None
    }
    /// Starts one of our own reference agents at this target, beside the agent under test. Calls
    /// to it are made through the open target returned; closing that stops the agent.
    fn own_agent<'a>(&'a self, own: &'a OwnAgent) -> BoxFuture<'a, Result<Opened<E>, Failure>>;
    /// Removes what earlier runs that crashed have left. Called once the target was reached.
    fn clear_crashed<'a>(&'a self, _notice: Notice<'a>) -> BoxFuture<'a, ()> {
        Box::pin(async {})
    }
    /// The call in `room` is over.
    fn forget(&self, _room: String) {}
    /// Removes what the run has left. `refused`: no call of the run was ever accepted.
    fn close<'a>(&'a self, refused: bool, notice: Notice<'a>) -> BoxFuture<'a, ()>;
}

/// A call's line: where its caller is, and its connection.
pub struct Line<E> {
    /// Where the caller is.
    pub seat: Arc<dyn Seat<E>>,
    /// Its connection to the agent.
    pub connection: Box<dyn Connection>,
}

/// A call's connection to its agent.
pub trait Connection: Send {
    /// The next event; `None` when there will be no more. Cancel safe.
    fn event(&mut self) -> BoxFuture<'_, Option<Event>>;
    /// Passes the audio of this track on to the caller, from now on.
    fn listen(&mut self, track: u32);
    /// No longer passes it on.
    fn stop_listening(&mut self, track: u32);
    /// Passes nothing more on: the call is over.
    fn ignore_all(&mut self);
    /// Refines the failure of a call that had no agent, or none that it heard, with what the
    /// target knows about it. `agent_timeout`: how long a call waits for an agent.
    fn explain(&mut self, failure: Failure, _agent_timeout: Duration) -> BoxFuture<'_, Failure> {
        Box::pin(std::future::ready(failure))
    }
    /// Ends the connection.
    fn hang_up(self: Box<Self>) -> BoxFuture<'static, ()>;
}

/// An event of a call's connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// Joined, and media are flowing.
    Joined,
    /// An agent is there, perhaps since before we joined. Reported once for each arrival of each
    /// agent.
    AgentPresent {
        /// Its identity; not sanitized.
        identity: String,
    },
    /// A track that may be the agent's voice can be heard. Reported for every such track,
    /// including those that come later or again.
    AgentTrack {
        /// Its number, distinct within the call; it is heard after [`Connection::listen`].
        track: u32,
        /// Its name for the record; not sanitized.
        name: Arc<str>,
    },
    /// A reported track has ended.
    AgentTrackGone(u32),
    /// A reported track was muted by its publisher, so the absence of audio means nothing.
    AgentTrackMuted(u32),
    /// What the agent says that it is doing: at its arrival, and on every change.
    AgentState(AgentState),
    /// The last agent left; `AgentPresent` may follow.
    AgentLeft,
    /// A message for the user, who sees it once a run.
    Notice(String),
    /// The connection is over.
    Closed(Failure),
}

/// How to start one of our own reference agents as a child process.
#[derive(Debug, Clone)]
pub struct OwnAgent {
    /// Path of the loadgen binary itself.
    pub program: PathBuf,
    /// The agent's settings, as arguments of the `agent` command.
    pub arguments: Vec<String>,
    /// The name by which the agent is dispatched.
    pub name: String,
}
