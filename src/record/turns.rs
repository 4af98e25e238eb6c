//! The record of one turn: a line of the journal and a row of `turns.csv`.
//!
//! In: a [`TurnResult`] and where it belongs. Out: a [`TurnRecord`]. Holds: `ttfa_ms` is
//! `ttfa_wire_ms` + `playout_ms` to the last printed digit; times are relative to the run's start.

use super::{Ms, TURN_VERSION};
use crate::call::{Confidence, Expect, Failure, Flag, Outcome, TurnResult};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::time::Instant;

/// What the caller expected of the agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TurnExpect {
    /// A reply.
    Respond,
    /// That the agent, speaking, stops.
    Stop,
    /// That the agent, speaking, stops, and answers.
    StopAndRespond,
    /// That the agent carries on.
    Ignore,
}

/// How a turn ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TurnOutcome {
    /// The agent did what the turn expects.
    Replied,
    /// Nothing before the timeout.
    Missed,
    /// The agent was audible before the end of speech.
    Early,
    /// The call failed before the turn could end.
    Failed,
}

/// How far the onset can be trusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Trust {
    /// At least 20 dB over the noise floor.
    High,
    /// Less.
    Low,
}

/// A doubt about a turn's figures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TurnFlag {
    /// The last speech packet left more than 2 ms late.
    LateSend,
    /// The onset is less than 20 dB over the noise floor.
    LowConfidence,
    /// Lost audio touches the onset.
    TouchedByLoss,
    /// The turn before was missed: this may be its late answer.
    AfterMissed,
    /// The reply had not ended when the caller stopped listening.
    ReplyUnfinished,
    /// The anchor never came.
    AnchorTimeout,
    /// Arrival was stamped in user space, not by the kernel.
    UserSpaceStamp,
    /// The second opinion hears no voice (or not the tone that the scenario declares).
    NotSpeech,
    /// The second opinion hears the reply begin more than 60 ms earlier or later.
    OnsetDisputed,
    /// Nothing tells whether the agent stopped and answered, or talked on after a pause.
    SpurtAmbiguous,
    /// The agent was silent when the interruption began.
    NothingToStop,
    /// The reply broke off in mid-word, and the agent fell silent.
    ReplyCutOff,
    /// The agent was heard on another track than before.
    TrackChanged,
    /// The agent left the room during the turn, and came back.
    AfterAgentLeft,
}

impl TurnExpect {
    /// As it stands in files.
    pub fn name(self) -> &'static str {
        match self {
            Self::Respond => "respond",
            Self::Stop => "stop",
            Self::StopAndRespond => "stop_and_respond",
            Self::Ignore => "ignore",
        }
    }
}

impl TurnOutcome {
    /// As it stands in files.
    pub fn name(self) -> &'static str {
        match self {
            Self::Replied => "replied",
            Self::Missed => "missed",
            Self::Early => "early",
            Self::Failed => "failed",
        }
    }
}

impl Trust {
    /// As it stands in files.
    pub fn name(self) -> &'static str {
        match self {
            Self::High => "high",
            Self::Low => "low",
        }
    }
}

impl TurnFlag {
    /// As it stands in files.
    pub fn name(self) -> &'static str {
        match self {
            Self::LateSend => "late_send",
            Self::LowConfidence => "low_confidence",
            Self::TouchedByLoss => "touched_by_loss",
            Self::AfterMissed => "after_missed",
            Self::ReplyUnfinished => "reply_unfinished",
            Self::AnchorTimeout => "anchor_timeout",
            Self::UserSpaceStamp => "user_space_stamp",
            Self::NotSpeech => "not_speech",
            Self::OnsetDisputed => "onset_disputed",
            Self::SpurtAmbiguous => "spurt_ambiguous",
            Self::NothingToStop => "nothing_to_stop",
            Self::ReplyCutOff => "reply_cut_off",
            Self::TrackChanged => "track_changed",
            Self::AfterAgentLeft => "after_agent_left",
        }
    }
}

impl From<Expect> for TurnExpect {
    fn from(expect: Expect) -> Self {
        match expect {
            Expect::Respond => Self::Respond,
            Expect::Stop => Self::Stop,
            Expect::StopAndRespond => Self::StopAndRespond,
            Expect::Ignore => Self::Ignore,
        }
    }
}

impl From<&Outcome> for TurnOutcome {
    fn from(outcome: &Outcome) -> Self {
        match outcome {
            Outcome::Replied => Self::Replied,
            Outcome::Missed => Self::Missed,
            Outcome::Early => Self::Early,
            Outcome::Failed => Self::Failed,
        }
    }
}

impl From<Confidence> for Trust {
    fn from(confidence: Confidence) -> Self {
        match confidence {
            Confidence::High => Self::High,
            Confidence::Low => Self::Low,
        }
    }
}

impl From<Flag> for TurnFlag {
    fn from(flag: Flag) -> Self {
        match flag {
            Flag::LateSend => Self::LateSend,
            Flag::LowConfidence => Self::LowConfidence,
            Flag::TouchedByLoss => Self::TouchedByLoss,
            Flag::AfterMissed => Self::AfterMissed,
            Flag::ReplyUnfinished => Self::ReplyUnfinished,
            Flag::AnchorTimeout => Self::AnchorTimeout,
            Flag::UserSpaceStamp => Self::UserSpaceStamp,
            Flag::NotSpeech => Self::NotSpeech,
            Flag::OnsetDisputed => Self::OnsetDisputed,
            Flag::SpurtAmbiguous => Self::SpurtAmbiguous,
            Flag::NothingToStop => Self::NothingToStop,
            Flag::ReplyCutOff => Self::ReplyCutOff,
            Flag::TrackChanged => Self::TrackChanged,
            Flag::AfterAgentLeft => Self::AfterAgentLeft,
        }
    }
}

/// Where a turn belongs; what [`TurnResult`] does not know.
#[derive(Debug, Clone, Copy)]
pub struct TurnContext<'a> {
    /// Index of the call in the plan.
    pub call: usize,
    /// The call's room.
    pub room: &'a str,
    /// Name of the utterance said.
    pub utterance: &'a str,
    /// Name of the agent's configuration.
    pub variant: &'a str,
    /// Block of the plan, where calls are dealt to several variants.
    pub block: Option<u64>,
    /// The call only warms the agent up.
    pub warmup: bool,
    /// Name and version of the jitter-buffer model behind `playout_delay`.
    pub playout_model: &'a str,
    /// Why the call failed, if it did; kept with the turns that failed by it.
    pub failure: Option<&'a Failure>,
}

/// One ended turn. Times in ms, to the microsecond; instants relative to the run's start.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TurnRecord {
    /// [`TURN_VERSION`].
    pub version: u32,
    /// Index of the call in the plan.
    pub call: usize,
    /// The call's room.
    pub room: String,
    /// Index of the turn in its call.
    pub turn: usize,
    /// Name of the utterance said.
    pub utterance: String,
    /// Name of the agent's configuration.
    pub variant: String,
    /// Number of the block that the call belongs to, from 0, where measured calls are dealt to
    /// several variants: within a block they are compared.
    #[serde(default)]
    pub block: Option<u64>,
    /// In the journal and the CSV only: not in metrics, outcomes and gates.
    pub warmup: bool,
    /// Said to loadgen's own agent to measure the generator: in the journal only.
    #[serde(default, skip_serializing_if = "is_false")]
    pub sentinel: bool,
    /// What was expected.
    pub expect: TurnExpect,
    /// How it ended.
    pub outcome: TurnOutcome,
    /// When the utterance was to start.
    pub planned_ms: Option<Ms>,
    /// Media start: when its first sample was captured.
    pub started_ms: Option<Ms>,
    /// Capture time of the last speech sample.
    pub speech_end_ms: Option<Ms>,
    /// Mouth to ear: `ttfa_wire_ms` + `playout_ms`.
    pub ttfa_ms: Option<Ms>,
    /// End of speech → onset on the wire.
    pub ttfa_wire_ms: Option<Ms>,
    /// What an adaptive jitter buffer would have held the onset packet back.
    pub playout_ms: Option<Ms>,
    /// Name and version of that buffer's model, where `playout_ms` is.
    pub playout_model: Option<String>,
    /// Caller's onset → agent's last audible sample.
    pub stop_ms: Option<Ms>,
    /// Early reply: how long before the end of speech.
    pub early_by_ms: Option<Ms>,
    /// When the reply's last audible sample was heard.
    pub reply_end_ms: Option<Ms>,
    /// How late the last speech packet left.
    pub send_lateness_ms: Option<Ms>,
    /// Level of the reply over the noise floor, dB, to a tenth.
    pub snr_db: Option<f64>,
    /// Trust in the onset.
    pub confidence: Option<Trust>,
    /// The onset may have been earlier by up to this much: audio around it was lost.
    pub loss_earlier_ms: Option<Ms>,
    /// End of speech → the first packet of the sending that led to the onset. Absent where the
    /// agent was sending before the caller had finished.
    #[serde(default)]
    pub first_packet_ms: Option<Ms>,
    /// First packet with audio (no DTX) → onset: the reply's silent lead-in. Absent where the
    /// agent sent audio before the caller had finished.
    #[serde(default)]
    pub lead_in_ms: Option<Ms>,
    /// Whether a second, independent detector hears what was declared: a voice, or the tone.
    /// Absent where it was not asked.
    #[serde(default)]
    pub second_opinion: Option<bool>,
    /// How far from the onset it hears that begin.
    #[serde(default)]
    pub second_apart_ms: Option<Ms>,
    /// A loss touches the onset, which may have been later by up to this much.
    #[serde(default)]
    pub loss_later_ms: Option<Ms>,
    /// Doubts, sorted, each once.
    #[serde(default)]
    pub flags: Vec<TurnFlag>,
    /// Cause of the call's failure, for a failed turn.
    pub failure: Option<String>,
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde hands out a reference"
)]
fn is_false(flag: &bool) -> bool {
    !flag
}

impl TurnRecord {
    /// Whether it enters metrics, outcomes and gates.
    pub fn is_measured(&self) -> bool {
        !self.warmup && !self.sentinel
    }

    /// The record of `result`; instants become relative to `run_start`.
    pub fn new(context: &TurnContext<'_>, result: &TurnResult, run_start: Instant) -> Self {
        let since = |instant: Option<Instant>| instant.map(|i| Ms::between(run_start, i));
        let outcome = TurnOutcome::from(&result.outcome);
        // Each part is rounded first and the sum taken of what is printed.
        let wire = result.ttfa_wire.map(Ms::from);
        let playout = result.playout_delay.map(Ms::from);
        let mut flags: Vec<TurnFlag> = result.flags.iter().map(|&f| f.into()).collect();
        flags.sort_unstable();
        flags.dedup();
        Self {
            version: TURN_VERSION,
            call: context.call,
            room: context.room.to_owned(),
            turn: result.turn,
            utterance: context.utterance.to_owned(),
            variant: context.variant.to_owned(),
            block: context.block,
            warmup: context.warmup,
            sentinel: false,
            expect: result.expect.into(),
            outcome,
            planned_ms: since(result.planned),
            started_ms: since(result.media_start),
            speech_end_ms: since(result.speech_end),
            ttfa_ms: wire.zip(playout).map(|(wire, playout)| wire + playout),
            ttfa_wire_ms: wire,
            playout_ms: playout,
            playout_model: playout.map(|_| context.playout_model.to_owned()),
            stop_ms: result.stop.map(Ms::from),
            early_by_ms: result.early_by.map(Ms::from),
            reply_end_ms: since(result.reply_end),
            send_lateness_ms: result.send_lateness.map(Ms::from),
            snr_db: result.onset.and_then(|o| tenth_db(o.snr_db)),
            confidence: result.onset.map(|o| o.confidence.into()),
            loss_earlier_ms: result.onset.and_then(|o| o.earlier_by_loss).map(Ms::from),
            first_packet_ms: result.first_packet().map(Ms::from),
            lead_in_ms: result.lead_in().map(Ms::from),
            second_opinion: result.second.map(|s| s.as_declared),
            second_apart_ms: result.second.and_then(|s| s.apart).map(Ms::from),
            loss_later_ms: result.onset.and_then(|o| o.later_by_loss).map(Ms::from),
            flags,
            failure: (outcome == TurnOutcome::Failed)
                .then(|| context.failure.map(|f| f.cause().to_owned()))
                .flatten(),
        }
    }
}

/// A level to a tenth of a dB; digital silence has none.
fn tenth_db(db: f32) -> Option<f64> {
    db.is_finite()
        .then(|| (f64::from(db) * 10.0).round() / 10.0)
}

/// Turns by outcome.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct TurnCounts {
    /// Turns the plan holds; what the outcomes lack of it belongs to calls that never started.
    pub planned: usize,
    /// The agent did what the turn expects.
    pub replied: usize,
    /// Nothing before the timeout.
    pub missed: usize,
    /// The agent was audible before the end of speech.
    pub early: usize,
    /// The call failed first.
    pub failed: usize,
}

impl TurnCounts {
    /// Counts `outcomes` of `planned` turns.
    pub fn of(planned: usize, outcomes: impl IntoIterator<Item = TurnOutcome>) -> Self {
        let mut counts = Self {
            planned,
            ..Self::default()
        };
        for outcome in outcomes {
            *match outcome {
                TurnOutcome::Replied => &mut counts.replied,
                TurnOutcome::Missed => &mut counts.missed,
                TurnOutcome::Early => &mut counts.early,
                TurnOutcome::Failed => &mut counts.failed,
            } += 1;
        }
        counts
    }

    /// Turns that ended, in whatever way.
    pub fn ended(&self) -> usize {
        self.replied + self.missed + self.early + self.failed
    }
}
