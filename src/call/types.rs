//! The script of a call, its results and its failures.

use super::conversation::Conversation;
use super::course::Course;
use super::floor::Floor;
use crate::audio::Onset;
use crate::audio::opinion::DISAGREEMENT;
use crate::vocab::{
    Anchor, Expect, Filler, Flag, GreetingPolicy, OnAgentLeft, Outcome, ReplyCondition, Resumed,
};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Number of an audio stream that the caller receives. One track can produce several streams, one
/// after another.
pub(crate) type StreamId = u32;

/// The script of one turn.
#[derive(Debug, Clone, PartialEq)]
pub struct TurnScript {
    /// The event after which the turn starts.
    pub anchor: Anchor,
    /// The silence that [`Anchor::AgentSpeechEnd`] waits for.
    pub silence: Duration,
    /// Pause after the anchor.
    pub delay: Duration,
    /// The behaviour expected of the agent.
    pub expect: Expect,
    /// Time limit for the reply, from the end of speech.
    pub timeout: Duration,
    /// Length of the utterance in 20 ms frames, trailing flush frames included.
    pub frames: usize,
    /// First speech sample, from the start of the utterance.
    pub speech_start: Duration,
    /// End of speech, from the start of the utterance.
    pub speech_end: Duration,
    /// The stretches of speech between the pauses of the utterance, from its start; without them,
    /// the caller speaks from `speech_start` to `speech_end`.
    pub segments: Option<Arc<[(Duration, Duration)]>>,
    /// What counts as a filler at the beginning of the reply, if the scenario declares it.
    pub filler: Option<Filler>,
    /// A silence of the agent's that is at least this long is awkward.
    pub awkward: Duration,
}

/// The script of one call.
#[derive(Debug, Clone, PartialEq)]
pub struct CallScript {
    /// Whether the agent's greeting is expected, ignored, or not waited for.
    pub greeting: GreetingPolicy,
    /// How long to wait for the agent, at the start of the call and after the agent has left.
    pub agent_timeout: Duration,
    /// Whether the call fails or waits for another agent when the agent leaves.
    pub on_agent_left: OnAgentLeft,
    /// Which turns the call takes, and when the caller hangs up.
    pub course: Course,
    /// The turns, in order; at least one.
    pub turns: Vec<TurnScript>,
}

/// Both readings of a figure that audio and agent state leave ambiguous.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Readings {
    /// The shorter reading; `None`: the agent was early.
    pub low: Option<Duration>,
    /// The longer reading; `None`: the event did not happen within the turn.
    pub high: Option<Duration>,
}

/// Everything measured in one turn.
#[derive(Debug, Clone, PartialEq)]
pub struct TurnResult {
    /// Index in the call, from 0.
    pub(crate) turn: usize,
    /// The behaviour that the turn expected of the agent.
    pub expect: Expect,
    /// How the turn ended.
    pub outcome: Outcome,
    /// Planned start of the utterance (anchor + delay); `None` if the turn was never planned.
    pub(crate) planned: Option<Instant>,
    /// Media start T0: sample s of the utterance is captured at T0 + s / rate.
    pub media_start: Option<Instant>,
    /// Capture time of the last speech sample.
    pub speech_end: Option<Instant>,
    /// Largest send lateness of the packets that carry the end of speech; for a text, the time from
    /// its slot until it was sent.
    pub(crate) send_lateness: Option<Duration>,
    /// The onset that the turn was judged by, early replies included.
    pub onset: Option<Onset>,
    /// End of speech → onset on the wire. `None` unless the turn expects a reply and the reply was
    /// not early.
    pub ttfa_wire: Option<Duration>,
    /// Time for which an adaptive jitter buffer would have held back the onset packet.
    pub(crate) playout_delay: Option<Duration>,
    /// `ttfa_wire` + `playout_delay`, exactly.
    pub(crate) ttfa: Option<Duration>,
    /// Caller's speech onset → arrival of the agent's last audible sample, for turns that expect a
    /// stop, and for turns in which the agent stopped although it should have carried on.
    pub stop_wire: Option<Duration>,
    /// The same to the caller's ear: `stop_wire` plus the time for which a jitter buffer would have
    /// held that sample back.
    pub stop: Option<Duration>,
    /// For an agent that stopped although it should have carried on: its last audible sample →
    /// its next one, to the caller's ear.
    pub(crate) resume: Option<Duration>,
    /// The first of those next samples, on the wire.
    pub(crate) resumed_at: Option<Instant>,
    /// Where in its reply it went on from there; absent if it did not, or if nobody listened.
    pub(crate) resumed: Option<Resumed>,
    /// Who spoke when, and of what parts the reply consists; `None` for a turn that did not end,
    /// and for one whose caller sends a text.
    pub(crate) conversation: Option<Box<Conversation>>,
    /// Caller's end of speech → the agent has left, for turns that expect it to.
    pub hang_up: Option<Duration>,
    /// Sending of the caller's text → first piece of the reply's text, for turns that ask for one.
    pub text_ttft: Option<Duration>,
    /// Sending of the caller's text → end of the reply's text, if it ended while the caller waited.
    pub text_reply: Option<Duration>,
    /// Early reply: how long before the end of speech the agent became audible.
    pub early_by: Option<Duration>,
    /// The reply's last audible sample, if it ended while the caller was listening.
    pub reply_end: Option<Instant>,
    /// End of speech → onset of a reply that came after the turn was judged as missed.
    pub(crate) late_reply: Option<Duration>,
    /// Both readings of `ttfa_wire`, if it is ambiguous.
    pub(crate) ttfa_readings: Option<Readings>,
    /// Both readings of `stop_wire`, if it is ambiguous.
    pub(crate) stop_readings: Option<Readings>,
    /// The stream on which the reply was heard.
    pub(crate) stream: Option<StreamId>,
    /// The track of that stream, as `identity/name`.
    pub(crate) track: Option<Arc<str>>,
    /// When the agent was first heard on a different track during the turn.
    pub(crate) track_changed: Option<Instant>,
    /// A second, independent detector's opinion of the onset; `None` if none was requested.
    pub(crate) second: Option<SecondOpinion>,
    /// For a turn that was cut off: time from the end of speech to the cut-off; `None` if the
    /// caller was still speaking. For a reply in text whose end the caller did not wait for: time
    /// from the sending of the text until the caller stopped waiting.
    pub(crate) waited: Option<Duration>,
    /// What broke in the reply's audio; `None` if no talk spurt began in the turn.
    pub(crate) reply_audio: Option<ReplyCondition>,
    /// Doubts about the figures, sorted, without duplicates.
    pub flags: Vec<Flag>,
}

/// A second detector's findings at the beginning of a reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SecondOpinion {
    /// Whether the sound is of the kind that the scenario declares as the answer: voice or tone.
    pub as_declared: bool,
    /// Distance between the onset and the beginning of the reply according to this detector.
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
            stop_wire: None,
            stop: None,
            resume: None,
            resumed_at: None,
            resumed: None,
            conversation: None,
            hang_up: None,
            text_ttft: None,
            text_reply: None,
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
            reply_audio: None,
            flags: Vec::new(),
        }
    }

    /// End of speech → first packet of the onset's segment; `None` if that packet came before the
    /// end of speech.
    pub(crate) fn first_packet(&self) -> Option<Duration> {
        let first = self.onset?.segment.first_packet?;
        first.checked_duration_since(self.speech_end?)
    }

    /// First packet with audio → onset; `None` if that packet came before the end of speech.
    pub(crate) fn lead_in(&self) -> Option<Duration> {
        let onset = self.onset?;
        let first = onset.segment.first_non_dtx?;
        let after = first.checked_duration_since(self.speech_end?).is_some();
        after.then(|| onset.at.wire().checked_duration_since(first))?
    }

    /// Adds a flag; returns false if the turn already has the flag.
    pub(super) fn flag(&mut self, flag: Flag) -> bool {
        let place = self.flags.binary_search(&flag);
        if let Err(place) = place {
            self.flags.insert(place, flag);
        }
        place.is_err()
    }

    /// Records a second opinion and the flags that follow from it.
    pub(crate) fn second_opinion(&mut self, second: SecondOpinion) {
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
#[derive(Debug, Clone, PartialEq, Default)]
pub struct CallResult {
    /// Start of the call → joined, with media flowing.
    pub(crate) join: Option<Duration>,
    /// Start of the call → an agent is in the room.
    pub(crate) agent_present: Option<Duration>,
    /// Start of the call → an audio track of the agent is subscribed.
    pub(crate) agent_audible: Option<Duration>,
    /// Media flowing and an agent present → onset of the agent's first words, with
    /// [`GreetingPolicy::Expect`].
    pub(crate) greeting: Option<Duration>,
    /// Why the call failed, if it did; [`Failure::Stopped`] when the run was stopped.
    pub(crate) failure: Option<Failure>,
    /// Number of echoes of the caller's own voice on the agent's track.
    pub(crate) echoes: usize,
    /// Who spoke for how long in the call.
    pub(crate) floor: Floor,
    /// From the last speech in the call to its end, if the agent still owed a reply.
    pub(crate) dead_air: Option<Duration>,
    /// One result for every planned turn, in order.
    pub turns: Vec<TurnResult>,
}

impl CallResult {
    /// Whether the caller hung up while something was still in progress: an utterance, the wait for
    /// a reply, or a reply.
    pub(crate) fn broke_off(&self) -> bool {
        let mut taken = self.turns.iter().rev();
        let last = taken.find(|turn| turn.media_start.is_some());
        let open = |turn: &TurnResult| {
            turn.outcome == Outcome::CutOff || turn.flags.contains(&Flag::ReplyUnfinished)
        };
        self.failure.is_none() && last.is_some_and(open)
    }
}

/// A failure whose cause is specific to the target.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct TargetFailure {
    /// Stable machine name of the cause, as in `failures[].cause`.
    pub(crate) cause: &'static str,
    /// Description of the failure, bounded in length and printable.
    pub(crate) message: String,
    /// What to try next.
    pub(crate) hint: &'static str,
    /// Whether the target was not reached or refused the call, which leaves nothing to clean up.
    pub(crate) unreached: bool,
}

/// Why a call failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// A failure that the target reported with its cause.
    #[error("{0}")]
    Target(TargetFailure),
    /// No agent was found in the room, either by its participant kind or by an audio track.
    #[error("no agent with an audio track joined the room within {waited:?}")]
    AgentAbsent {
        /// How long the caller waited.
        waited: Duration,
    },
    /// An agent is in the room, but has published no audio track.
    #[error(
        "an agent is in the room, but had published no audio track by the end of the first turn"
    )]
    AgentSilent,
    /// The other side ended the call: it deleted the room, or removed the caller from it.
    #[error("the connection was lost ({detail})")]
    Ended {
        /// The reason that the server gave.
        detail: String,
    },
    /// The agent left before the call was over.
    #[error("the agent left the call")]
    AgentLeft,
    /// The server or the network ended the connection.
    #[error("the connection was lost ({detail})")]
    Dropped {
        /// The caller's observation, such as the error of the connection.
        detail: String,
    },
    /// The run was stopped by the user.
    #[error("the run was stopped before the call ended")]
    Stopped,
    /// A bug or a limit of this machine (no more file descriptors, …).
    #[error("the generator failed ({detail})")]
    Generator {
        /// Description of the error.
        detail: String,
    },
}

impl Failure {
    /// Stable machine name of the cause, as in `failures[].cause`.
    pub(crate) fn cause(&self) -> &'static str {
        match self {
            Self::Target(failure) => failure.cause,
            Self::AgentAbsent { .. } => "agent_absent",
            Self::AgentSilent => "agent_silent",
            Self::AgentLeft => "agent_left",
            Self::Dropped { .. } | Self::Ended { .. } => "dropped",
            Self::Stopped => "stopped",
            Self::Generator { .. } => "generator",
        }
    }

    /// What to try next; printed on its own `hint:` line.
    pub(crate) fn hint(&self) -> &'static str {
        match self {
            Self::Target(failure) => failure.hint,
            Self::AgentAbsent { .. } => {
                "is an agent worker running on this server, and does `agent_name` match its name?"
            }
            Self::AgentSilent => {
                "look at the agent's log: it joined, but its voice was never published"
            }
            Self::AgentLeft => "look at the agent's log: it closed its session or crashed",
            Self::Dropped { .. } | Self::Ended { .. } => "look at the server's log for this room",
            Self::Stopped => "run it again without stopping it",
            Self::Generator { .. } => {
                "check `ulimit -n` and free memory; otherwise this is a bug worth reporting"
            }
        }
    }
}
