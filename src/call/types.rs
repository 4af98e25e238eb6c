//! The words of a call: what is asked of it and what came of it.

use super::absence::{Absence, LEFT, UNPUBLISHED};
use crate::audio::Onset;
use crate::audio::opinion::DISAGREEMENT;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// What a turn waits for before its delay runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Anchor {
    /// Media flow, and an agent is in the room.
    CallStart,
    /// The agent's greeting has ended (as the call's greeting policy says).
    Greeting,
    /// The agent began to speak (a barge-in starts from here).
    AgentSpeechStart,
    /// The agent's last audible sample, followed by the turn's [`TurnScript::silence`].
    AgentSpeechEnd,
    /// The agent is silent and says that it listens again; of an agent that tells no state, its
    /// silence.
    AgentTurnEnd,
    /// The previous turn's reply has ended or timed out.
    PreviousTurn,
}

/// What the caller expects of the agent after an utterance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Expect {
    /// A reply.
    Respond,
    /// That the agent, speaking now, stops.
    Stop,
    /// That the agent, speaking now, stops, and answers.
    StopAndRespond,
    /// That the agent carries on as if nothing had been said.
    Ignore,
}

impl Expect {
    /// Whether a reply is asked for.
    pub fn asks_for_answer(self) -> bool {
        matches!(self, Self::Respond | Self::StopAndRespond)
    }

    /// Whether the turn interrupts the agent and measures when it stops.
    pub fn asks_for_stop(self) -> bool {
        matches!(self, Self::Stop | Self::StopAndRespond)
    }
}

/// What an agent says it is doing (LiveKit: the attribute `lk.agent.state`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AgentState {
    /// It is being started.
    Initializing,
    /// It waits for nothing in particular.
    Idle,
    /// It waits for the caller.
    Listening,
    /// It works on an answer, or a tool does.
    Thinking,
    /// It speaks.
    Speaking,
}

/// What happens to a call whose agent leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum OnAgentLeft {
    /// The call goes on: the agent may come back, or another one join, within `agent_timeout`.
    #[default]
    Follow,
    /// The call fails.
    Fail,
}

/// A stream of audio that the caller hears, by a number of its own. One track can be several
/// streams, one after the other.
pub type StreamId = u32;

/// How the caller deals with an agent that speaks first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum GreetingPolicy {
    /// Wait for it and measure it.
    Expect,
    /// Wait until the agent is silent; at most 5 s for one that says nothing.
    Ignore,
    /// Do not wait.
    None,
}

/// One turn as the call's state machine needs it.
#[derive(Debug, Clone, PartialEq)]
pub struct TurnScript {
    /// What to wait for.
    pub anchor: Anchor,
    /// The silence that [`Anchor::AgentSpeechEnd`] waits for.
    pub silence: Duration,
    /// Pause after the anchor.
    pub delay: Duration,
    /// What should follow.
    pub expect: Expect,
    /// How long the reply may take, from the end of speech.
    pub timeout: Duration,
    /// Length of the utterance in 20 ms frames, trailing flush frames included.
    pub frames: usize,
    /// First speech sample, from the start of the utterance.
    pub speech_start: Duration,
    /// End of speech, from the start of the utterance.
    pub speech_end: Duration,
}

/// A call as its state machine needs it.
#[derive(Debug, Clone, PartialEq)]
pub struct CallScript {
    /// Greeting policy.
    pub greeting: GreetingPolicy,
    /// How long to wait for the agent, also for one that has left.
    pub agent_timeout: Duration,
    /// What happens when it leaves.
    pub on_agent_left: OnAgentLeft,
    /// The turns, in order; at least one.
    pub turns: Vec<TurnScript>,
}

/// How a turn ended. Exactly one for every planned turn.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// The agent did what the turn expects. For [`Expect::Respond`], with these figures.
    Replied,
    /// Nothing audible (or no stop) before the timeout.
    Missed,
    /// The agent became audible before the end of speech.
    Early,
    /// The call failed before the turn could end.
    Failed,
    /// The turn was under way when the run was stopped.
    CutOff,
    /// The run was stopped before the turn began.
    NotRun,
}

/// Doubts about a turn's figures; they never change its outcome.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Flag {
    /// The last speech packet left more than 2 ms after it was due.
    LateSend,
    /// The onset is less than 20 dB above the noise floor.
    LowConfidence,
    /// Lost audio touches the onset.
    TouchedByLoss,
    /// The previous turn was missed: this reply may be its late answer.
    AfterMissed,
    /// The reply had not ended when the caller stopped listening.
    ReplyUnfinished,
    /// The anchor never came; the turn started at its bound.
    AnchorTimeout,
    /// Arrival came from user space, not from the kernel.
    UserSpaceStamp,
    /// The second opinion hears no voice (or not the tone that the scenario declares).
    NotSpeech,
    /// The second opinion hears the reply begin more than 60 ms earlier or later.
    OnsetDisputed,
    /// Neither audio nor the agent's state tell whether the agent stopped and answered, or
    /// talked on after a pause.
    SpurtAmbiguous,
    /// The agent was silent when the interruption began.
    NothingToStop,
    /// The reply broke off in mid-word, and the agent fell silent without saying that it stopped.
    ReplyCutOff,
    /// The agent was heard on another track than before.
    TrackChanged,
    /// The agent left the room during the turn, and came back.
    AfterAgentLeft,
}

/// Both readings of a figure that audio and state leave open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Readings {
    /// The shorter one; `None`: the agent was early.
    pub low: Option<Duration>,
    /// The longer one; `None`: it did not come within the turn.
    pub high: Option<Duration>,
}

/// Everything measured in one turn.
#[derive(Debug, Clone, PartialEq)]
pub struct TurnResult {
    /// Index in the call, from 0.
    pub turn: usize,
    /// What was expected.
    pub expect: Expect,
    /// How it ended.
    pub outcome: Outcome,
    /// When the utterance was to start, by anchor + delay; `None` when the call failed before.
    pub planned: Option<Instant>,
    /// Media start T0: sample s of the utterance is captured at T0 + s / rate.
    pub media_start: Option<Instant>,
    /// Capture time of the last speech sample.
    pub speech_end: Option<Instant>,
    /// How much later than due the last speech packet left.
    pub send_lateness: Option<Duration>,
    /// The reply's onset (kept for early replies too).
    pub onset: Option<Onset>,
    /// End of speech → onset on the wire. `None` unless replied with `Respond`.
    pub ttfa_wire: Option<Duration>,
    /// What an adaptive jitter buffer would have held the onset packet back.
    pub playout_delay: Option<Duration>,
    /// `ttfa_wire` + `playout_delay`, exactly.
    pub ttfa: Option<Duration>,
    /// Caller's speech onset → agent's last audible sample, for turns that ask for a stop.
    pub stop: Option<Duration>,
    /// Early reply: how long before the end of speech the agent became audible.
    pub early_by: Option<Duration>,
    /// The reply's last audible sample, where it ended in time.
    pub reply_end: Option<Instant>,
    /// A missed reply that came all the same: end of speech → its onset.
    pub late_reply: Option<Duration>,
    /// Both readings of `ttfa_wire`, where it is open which one is right.
    pub ttfa_readings: Option<Readings>,
    /// Both readings of `stop`, likewise.
    pub stop_readings: Option<Readings>,
    /// The stream that the reply was heard on.
    pub stream: Option<StreamId>,
    /// The track of that stream, as `identity/name`.
    pub track: Option<Arc<str>>,
    /// When another track of the agent's was first heard during the turn.
    pub track_changed: Option<Instant>,
    /// What a second, independent detector says of the onset; `None` where it was not asked.
    pub second: Option<SecondOpinion>,
    /// Cut off: how long the caller had waited since its end of speech, without a reply.
    /// `None` when it was still speaking.
    pub waited: Option<Duration>,
    /// Doubts, sorted, each once.
    pub flags: Vec<Flag>,
}

/// What another detector makes of a reply's beginning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SecondOpinion {
    /// It is what the scenario says the agent answers with: a voice, or a tone.
    pub as_declared: bool,
    /// How far from the onset it hears that begin.
    pub apart: Option<Duration>,
}

impl TurnResult {
    /// The result of a turn that never began: failed with its call, or not run.
    pub(crate) fn unstarted(turn: usize, expect: Expect, outcome: Outcome) -> Self {
        Self {
            turn,
            expect,
            outcome,
            planned: None,
            media_start: None,
            speech_end: None,
            send_lateness: None,
            onset: None,
            ttfa_wire: None,
            playout_delay: None,
            ttfa: None,
            stop: None,
            early_by: None,
            reply_end: None,
            late_reply: None,
            ttfa_readings: None,
            stop_readings: None,
            stream: None,
            track: None,
            track_changed: None,
            second: None,
            waited: None,
            flags: Vec::new(),
        }
    }

    /// End of speech → the first packet of the sending that led to the onset, where that began
    /// after the end of speech.
    pub fn first_packet(&self) -> Option<Duration> {
        let first = self.onset?.segment.first_packet?;
        first.checked_duration_since(self.speech_end?)
    }

    /// First packet with audio → onset, where that packet came after the end of speech.
    pub fn lead_in(&self) -> Option<Duration> {
        let onset = self.onset?;
        let first = onset.segment.first_non_dtx?;
        let after = first.checked_duration_since(self.speech_end?).is_some();
        after.then(|| onset.at.wire().checked_duration_since(first))?
    }

    /// Takes a second opinion in, with the doubts that follow from it.
    pub fn second_opinion(&mut self, second: SecondOpinion) {
        self.second = Some(second);
        if !second.as_declared {
            self.flags.push(Flag::NotSpeech);
        } else if second.apart.is_some_and(|by| by > DISAGREEMENT) {
            self.flags.push(Flag::OnsetDisputed);
        }
        self.flags.sort_unstable();
        self.flags.dedup();
    }
}

/// Everything measured in one call besides its turns.
#[derive(Debug, Clone, PartialEq)]
pub struct CallResult {
    /// Start of the call → signalling joined and media flowing.
    pub join: Option<Duration>,
    /// Start of the call → an agent is in the room.
    pub agent_present: Option<Duration>,
    /// Start of the call → an audio track of the agent is subscribed.
    pub agent_audible: Option<Duration>,
    /// Both ends connected → onset of the agent's first words, with [`GreetingPolicy::Expect`].
    pub greeting: Option<Duration>,
    /// Why the call failed, if it did; [`Failure::Stopped`] when the run was stopped.
    pub failure: Option<Failure>,
    /// Times the caller's own voice came back on the agent's track.
    pub echoes: usize,
    /// One result for every planned turn, in order.
    pub turns: Vec<TurnResult>,
}

/// Why a call failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// The server refused the token.
    #[error("the server refused the token ({detail})")]
    TokenRefused {
        /// What the server said.
        detail: String,
    },
    /// Too many requests or a quota used up.
    #[error("the server refuses more calls: quota or rate limit ({detail})")]
    Quota {
        /// What the server said.
        detail: String,
    },
    /// The address answers, but not as a LiveKit server does.
    #[error("the address does not answer as a LiveKit server ({detail})")]
    NotLiveKit {
        /// What came instead.
        detail: String,
    },
    /// Nothing answers at the address.
    #[error("cannot reach the server ({detail})")]
    Unreachable {
        /// What the system said.
        detail: String,
    },
    /// The server is there, but TLS with it fails: most often its certificate.
    #[error("TLS with the server failed ({detail})")]
    Tls {
        /// What TLS said.
        detail: String,
    },
    /// Signalling did not finish in time.
    #[error("joining took longer than {waited:?}")]
    JoinTimeout {
        /// How long we waited.
        waited: Duration,
    },
    /// ICE or DTLS did not connect.
    #[error("media did not connect within {waited:?}")]
    MediaNotConnected {
        /// How long we waited.
        waited: Duration,
    },
    /// The agent never published audio.
    #[error("no agent with an audio track joined the room within {waited:?}")]
    AgentAbsent {
        /// How long we waited.
        waited: Duration,
    },
    /// An agent is in the room, but has published no audio track.
    #[error("an agent is in the room, but published no audio track by the end of the first turn")]
    AgentSilent,
    /// There is no agent to be heard, and more is known of why.
    #[error("{0}")]
    Absent(Absence),
    /// The agent left before the call was over.
    #[error("the agent left the call")]
    AgentLeft,
    /// The server or the network ended the connection.
    #[error("the connection was lost ({detail})")]
    Dropped {
        /// What was seen.
        detail: String,
    },
    /// The run was stopped by the user.
    #[error("the run was stopped before the call ended")]
    Stopped,
    /// A bug or a limit of this machine (no more file descriptors, …).
    #[error("the generator failed ({detail})")]
    Generator {
        /// What went wrong.
        detail: String,
    },
}

impl Failure {
    /// Stable machine name of the cause, as in `failures[].cause`.
    pub fn cause(&self) -> &'static str {
        match self {
            Self::TokenRefused { .. } => "token_refused",
            Self::Quota { .. } => "quota",
            Self::NotLiveKit { .. } => "not_livekit",
            Self::Unreachable { .. } => "unreachable",
            Self::Tls { .. } => "tls",
            Self::JoinTimeout { .. } => "join_timeout",
            Self::MediaNotConnected { .. } => "media_not_connected",
            Self::AgentAbsent { .. } => "agent_absent",
            Self::AgentSilent => "agent_silent",
            Self::Absent(why) => why.cause(),
            Self::AgentLeft => "agent_left",
            Self::Dropped { .. } => "dropped",
            Self::Stopped => "stopped",
            Self::Generator { .. } => "generator",
        }
    }

    /// What to try next; printed on its own `hint:` line.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::TokenRefused { .. } => {
                "check LIVEKIT_API_KEY and LIVEKIT_API_SECRET against the server's keys, and this machine's clock"
            }
            Self::Quota { .. } => {
                "lower `load.concurrency`, lengthen `load.ramp`, or raise the project's limits"
            }
            Self::NotLiveKit { .. } => {
                "check the URL: LiveKit's signalling port is 7880 on a default server"
            }
            Self::Unreachable { .. } => {
                "is the server running, and is the URL's host and port right?"
            }
            Self::Tls { .. } => {
                "does the server speak TLS (wss://), and is its certificate for this host? name a root of your own in SSL_CERT_FILE"
            }
            Self::JoinTimeout { .. } => {
                "the port answers too slowly or not at all: check the server's load and the URL"
            }
            Self::MediaNotConnected { .. } => {
                "signalling works but no media: check the server's UDP ports, `rtc.node_ip` and firewalls"
            }
            Self::AgentAbsent { .. } => {
                "is an agent worker running on this server, and does `agent_name` match its name?"
            }
            Self::AgentSilent => UNPUBLISHED,
            Self::Absent(why) => why.hint(),
            Self::AgentLeft => LEFT,
            Self::Dropped { .. } => "look at the server's log for this room",
            Self::Stopped => "run it again without stopping it",
            Self::Generator { .. } => {
                "check `ulimit -n` and free memory; otherwise this is a bug worth reporting"
            }
        }
    }
}
