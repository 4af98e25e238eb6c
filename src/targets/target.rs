//! The interface between a run and its target: a configuration, then an open target, then one
//! connection per call.
//!
//! In: a caller's endpoint. Out: audio frames with their arrival for the endpoint; events, such as
//! an agent joining or leaving, for the run. Invariants: a connection ends in at most one
//! [`Event::Closed`], which carries the call's failure; [`OpenTarget::close`] cleans up what the
//! run left on the target.

use super::caller_handle::CallerHandle;
use super::examination::{Examination, Link};
use super::media::Media;
use crate::account::Claim;
use crate::audio::Codec;
use crate::call::{AgentState, Failure, ReplyText};
use crate::net::{Endpoint, Impairment};
use crate::vocab::ConnectionQuality;
use futures_util::future::BoxFuture;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A target as configured.
pub(crate) trait Target<E: Endpoint>: fmt::Debug + Send + Sync {
    /// Kind and address, without secrets.
    fn describe(&self) -> String;
    /// The host whose owner has to consent to the load; `None` if the target is on this machine.
    fn host(&self) -> Option<&str>;
    /// The codec of the target's audio streams, in both directions.
    fn codec(&self) -> Codec {
        Codec::Opus
    }
    /// Number of file descriptors of this process that a call needs.
    fn descriptors(&self) -> u64;
    /// Minimum number of UDP ports of this machine that a call uses.
    fn ports(&self) -> u64;
    /// Prepares the target for calls.
    ///
    /// # Errors
    /// The target cannot be reached, or does not start.
    fn open<'a>(&'a self, run: Opening<'a, E>) -> BoxFuture<'a, Result<Opened<E>, Failure>>;
    /// Examines the way to the target without a call, step by step; `None` if the target has no
    /// server. Takes at most a minute.
    fn examine(&self) -> BoxFuture<'_, Option<Examination>> {
        Box::pin(std::future::ready(None))
    }
}

/// A target that is ready for calls.
pub(crate) type Opened<E> = Box<dyn OpenTarget<E>>;

/// Receives messages to the user.
pub(crate) type Notice<'a> = &'a mut (dyn FnMut(String) + Send);

/// The parameters with which a run opens a target.
pub(crate) struct Opening<'a, E: Endpoint> {
    /// Id of the run: at least eight letters and digits.
    pub run_id: &'a str,
    /// The run's media threads, for targets with audio over RTP.
    pub media: &'a Media<E>,
    /// Receives messages to the user.
    pub notice: Notice<'a>,
}

/// A call to be made.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Dial<'a> {
    /// Number of the call, unique among the calls in progress; `None` for a preflight call.
    pub number: Option<u64>,
    /// Name of the call's room, from [`OpenTarget::room`].
    pub room: &'a str,
    /// Index of the call's variant in the scenario.
    pub variant: usize,
    /// The simulated network of the call; `None` if packets pass unchanged.
    pub network: Option<&'a Impairment>,
}

/// A target that is ready for calls.
pub(crate) trait OpenTarget<E: Endpoint>: Send + Sync {
    /// Full name of a call's room, as in the records. A target without rooms returns a name for the
    /// call itself.
    fn room(&self, call: &str) -> String;
    /// Starts to connect a call. The connection's events report whether that succeeds.
    fn connect(&self, dial: Dial<'_>, caller: E) -> CallLine<E>;
    /// Identifies what a preflight call for this variant would test. Variants with the same value
    /// share one preflight call. `None` if there is nothing to test.
    fn preflight(&self, _variant: usize) -> Option<Vec<String>> {
        None
    }
    /// Starts one of our own reference agents on this target, alongside the agent under test. The
    /// returned open target makes calls to this agent; closing it stops the agent.
    fn own_agent<'a>(&'a self, own: &'a OwnAgent) -> BoxFuture<'a, Result<Opened<E>, Failure>>;
    /// Removes what crashed runs left behind. Called once the target has been reached.
    fn clear_crashed<'a>(&'a self, _notice: Notice<'a>) -> BoxFuture<'a, ()> {
        Box::pin(async {})
    }
    /// Called when the call in `room` is over.
    fn forget(&self, _room: String) {}
    /// Removes what the run left behind. `refused`: the target accepted no call of the run.
    fn close<'a>(&'a self, refused: bool, notice: Notice<'a>) -> BoxFuture<'a, ()>;
}

/// A call's two handles: one to its caller and one to its connection.
pub(crate) struct CallLine<E> {
    /// Runs jobs on the caller, on its media thread or task.
    pub handle: Arc<dyn CallerHandle<E>>,
    pub connection: Box<dyn Connection>,
}

/// A call's connection to its agent.
pub(crate) trait Connection: Send {
    /// The next event; `None` when there will be no more. Cancel safe.
    fn event(&mut self) -> BoxFuture<'_, Option<Event>>;
    /// Starts passing the audio of this track on to the caller.
    fn listen(&mut self, track: u32);
    /// Stops passing the audio of this track on.
    fn stop_listening(&mut self, track: u32);
    /// Stops passing any audio on, because the call is over.
    fn ignore_all(&mut self);
    /// Sends the text of a turn to the agent; [`Event::TextSent`] or [`Event::Closed`] follows
    /// within seconds. Targets without a chat have no scenario that sends one.
    fn send_text(&mut self, _turn: usize, _text: Arc<str>) {}
    /// Tells the agent that the caller presses a key. Targets that cannot have no scenario that
    /// asks for it.
    fn send_key(&mut self, _key: char) {}
    /// Refines the failure of a call that found no agent, or heard none, with what the target knows
    /// about it. `agent_timeout`: how long a call waits for an agent.
    fn explain(&mut self, failure: Failure, _agent_timeout: Duration) -> BoxFuture<'_, Failure> {
        Box::pin(std::future::ready(failure))
    }
    /// What the connection has learned about its way to the target so far; only for a preflight
    /// call.
    fn link(&mut self) -> BoxFuture<'_, Link> {
        Box::pin(std::future::ready(Link::default()))
    }
    /// Ends the connection.
    fn hang_up(self: Box<Self>) -> BoxFuture<'static, ()>;
}

/// An event of a call's connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Event {
    /// The caller has joined and media is flowing.
    Joined,
    /// An agent is present; it may have joined before us. Reported once each time an agent joins.
    AgentPresent {
        /// The agent's identity; not sanitized.
        identity: String,
    },
    /// A track that may be the agent's voice is available. Reported for every such track, including
    /// those published later or republished.
    AgentTrack {
        /// The track's number, unique within the call; its audio is received after
        /// [`Connection::listen`].
        track: u32,
        /// The track's name for the record; not sanitized.
        name: Arc<str>,
    },
    /// A reported track has ended.
    AgentTrackGone(u32),
    /// A reported track was muted by its publisher, so missing audio does not indicate a failure.
    AgentTrackMuted(u32),
    /// The state that the agent reports: when it joins, and on every change.
    AgentState(AgentState),
    /// The server's rating of the caller's connection.
    Rated(ConnectionQuality),
    /// The agent's claim about its session.
    Claim(Claim),
    /// The text of a turn was sent to the agent.
    TextSent {
        /// The turn, as passed to [`Connection::send_text`].
        turn: usize,
        /// When the last packet of the text was sent.
        at: Instant,
    },
    /// Part of the text of an agent arrived; only after a text was sent.
    ReplyText(ReplyText),
    /// The last agent left; `AgentPresent` may follow.
    AgentLeft,
    /// A message to the user, shown once per run.
    Notice(String),
    /// The connection is over.
    Closed(Failure),
}

/// How to start one of our own reference agents as a child process.
#[derive(Debug, Clone)]
pub struct OwnAgent {
    /// Path of the loadgen binary itself.
    pub(crate) program: PathBuf,
    /// The agent's settings, as arguments of the `agent` command.
    pub(crate) arguments: Vec<String>,
    /// The agent name by which the agent is dispatched.
    pub(crate) name: String,
}
