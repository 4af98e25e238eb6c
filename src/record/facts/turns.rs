//! The record of one turn: a line of the journal and a row of `turns.csv`.
//!
//! In: a [`TurnResult`] and its context. Out: a [`TurnRecord`]. Invariants: `ttfa_ms` is
//! `ttfa_wire_ms` + `playout_ms` to the last printed digit; times are relative to the run's start.

use super::account::{AgentAccount, SaidWords};
use super::conversation::ConversationRecord;
use super::level::tenth_db;
use super::ms::Ms;
use super::reply_audio::ReplyAudio;
use crate::account::{TurnAccount, TurnSpans};
use crate::call::{Failure, TurnResult};
use crate::record::TURN_VERSION;
use crate::vocab::{Confidence, Expect, Flag, Outcome, Resumed, UtteranceKind};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::time::Instant;

/// Failure cause of calls and turns that failed because of the generator itself.
pub(in crate::record) const GENERATOR: &str = "generator";
/// Failure cause, in files of version 1, of calls and turns that were cut off when the run was
/// stopped.
pub(in crate::record) const STOPPED: &str = "stopped";

/// The context of a turn, which is not part of its [`TurnResult`].
#[derive(Debug, Clone, Copy)]
pub struct TurnContext<'a> {
    /// Index of the call in the plan.
    pub call: usize,
    /// The call's room.
    pub room: &'a str,
    /// Name of the utterance that the caller speaks.
    pub utterance: &'a str,
    /// Whether that is speech for the agent, or what else it is.
    pub kind: UtteranceKind,
    /// Name of the agent's configuration.
    pub variant: &'a str,
    /// Block of the plan, if calls are distributed over several variants.
    pub block: Option<u64>,
    /// Whether the turn belongs to a warm-up call.
    pub warmup: bool,
    /// Name and version of the jitter-buffer model behind `playout_delay`.
    pub playout_model: &'a str,
    /// The call's failure, if any; recorded with the turns that failed because of it.
    pub failure: Option<&'a Failure>,
}

/// One ended turn. Times in ms, to the microsecond; instants relative to the run's start.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TurnRecord {
    /// Version of the format; [`TURN_VERSION`] in new records.
    pub(crate) version: u32,
    /// Index of the call in the plan.
    pub call: usize,
    /// The call's room.
    pub(crate) room: String,
    /// Index of the turn in its call.
    pub turn: usize,
    /// Name of the utterance that the caller spoke; `say_text` for a text that it sent.
    pub(crate) utterance: String,
    /// What that is, if it is not speech for the agent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) kind: Option<UtteranceKind>,
    /// Name of the agent's configuration.
    pub(crate) variant: String,
    /// Name of the simulated network that the call had, if it has a name: that of a preset, or of a
    /// network of a mix.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) network: Option<String>,
    /// Number of the block that the call belongs to, from 0, if measured calls are distributed over
    /// several variants, which are compared within a block.
    #[serde(default)]
    pub(crate) block: Option<u64>,
    /// The turn belongs to a warm-up call: it is in the journal and the CSV, but not in metrics,
    /// outcomes or gates.
    pub(crate) warmup: bool,
    /// The turn belongs to a sentinel call to loadgen's own agent, which measures the generator: it
    /// is in the journal only.
    #[serde(default, skip_serializing_if = "is_false")]
    pub(crate) sentinel: bool,
    /// What the turn expects.
    pub expect: Expect,
    /// How the turn ended.
    pub outcome: Outcome,
    /// Planned start of the utterance.
    pub(crate) planned_ms: Option<Ms>,
    /// Media start: capture time of the utterance's first sample.
    pub(crate) started_ms: Option<Ms>,
    /// Capture time of the last speech sample.
    pub(crate) speech_end_ms: Option<Ms>,
    /// Mouth-to-ear latency: `ttfa_wire_ms` + `playout_ms`.
    pub ttfa_ms: Option<Ms>,
    /// End of speech → onset on the wire.
    pub ttfa_wire_ms: Option<Ms>,
    /// Playout delay that an adaptive jitter buffer would have added to the onset packet.
    pub playout_ms: Option<Ms>,
    /// Name and version of the model of that jitter buffer; present with `playout_ms`.
    pub(crate) playout_model: Option<String>,
    /// Caller's onset → agent's last audible sample, to the caller's ear. In files of measurement
    /// versions below 3, without the playout delay, as `stop_wire_ms`.
    pub stop_ms: Option<Ms>,
    /// Caller's onset → arrival of the agent's last audible sample.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) stop_wire_ms: Option<Ms>,
    /// For an agent that stopped although it should have carried on: its last audible sample → its
    /// next one, to the caller's ear; absent if it did not resume before the timeout.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) resume_ms: Option<Ms>,
    /// With `resume_ms`: whether it went on with something new, from an earlier place in its reply,
    /// or with its beginning. Absent in files of earlier releases.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) resumed: Option<Resumed>,
    /// End of speech → first sound of the answer, to the caller's ear: of what follows a filler, or
    /// else of the reply.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) answer_ms: Option<Ms>,
    /// The same on the wire.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) answer_wire_ms: Option<Ms>,
    /// Caller's end of speech → the agent has left, for a turn that expects it to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hang_up_ms: Option<Ms>,
    /// Sending of the caller's text → first piece of the reply's text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text_ttft_ms: Option<Ms>,
    /// Sending of the caller's text → end of the reply's text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text_reply_ms: Option<Ms>,
    /// Early reply: how long before the end of speech it began.
    pub(crate) early_by_ms: Option<Ms>,
    /// When the reply's last audible sample was heard.
    pub(crate) reply_end_ms: Option<Ms>,
    /// Send lateness of the last speech packet, or of the text.
    pub send_lateness_ms: Option<Ms>,
    /// Level of the reply above the noise floor, in dB, to a tenth.
    pub(crate) snr_db: Option<f64>,
    /// Confidence in the onset.
    pub(crate) confidence: Option<Confidence>,
    /// The onset may have been earlier by up to this much: audio around it was lost.
    pub loss_earlier_ms: Option<Ms>,
    /// End of speech → first packet of the transmission that led to the onset. Absent if the agent
    /// was already sending before the caller had finished.
    #[serde(default)]
    pub(crate) first_packet_ms: Option<Ms>,
    /// First packet with audio (no DTX) → onset: the reply's silent lead-in. Absent if the agent
    /// sent audio before the caller had finished.
    #[serde(default)]
    pub(crate) lead_in_ms: Option<Ms>,
    /// Whether a second, independent detector found the declared kind of reply: a voice, or the
    /// tone. Absent if that detector did not judge the turn.
    #[serde(default)]
    pub(crate) second_opinion: Option<bool>,
    /// Time between the onset and the start of the reply according to the second detector.
    #[serde(default)]
    pub(crate) second_apart_ms: Option<Ms>,
    /// The onset may have been later by up to this much: audio next to it was lost.
    #[serde(default)]
    pub(crate) loss_later_ms: Option<Ms>,
    /// End of speech → onset on the wire, for a missed turn whose reply came after the timeout.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub late_reply_ms: Option<Ms>,
    /// Lower reading of `ttfa_wire_ms`, if audio and agent state leave it ambiguous; absent if, by
    /// this reading, the agent replied early.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) ttfa_wire_low_ms: Option<Ms>,
    /// Higher reading of `ttfa_wire_ms`; absent if, by this reading, no reply came within the turn.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) ttfa_wire_high_ms: Option<Ms>,
    /// Lower reading of `stop_wire_ms`, like `ttfa_wire_low_ms`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) stop_low_ms: Option<Ms>,
    /// Higher reading of `stop_wire_ms`, like `ttfa_wire_high_ms`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) stop_high_ms: Option<Ms>,
    /// The agent's track that the reply was heard on: `identity/name`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) agent_track: Option<String>,
    /// When another of the agent's tracks first became audible during the turn.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) track_changed_ms: Option<Ms>,
    /// For a turn that was cut off: how long the caller had waited for a reply, from its end of
    /// speech. For a reply in text whose end the caller did not wait for: how long it had waited.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) waited_ms: Option<Ms>,
    /// Who spoke when, and of what parts the reply consists; absent for a turn that did not end,
    /// for one whose caller sent a text, and in files of earlier releases.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) conversation: Option<ConversationRecord>,
    /// What broke in the reply's audio; absent if no talk spurt began in the turn.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) reply_audio: Option<ReplyAudio>,
    /// The agent's account of the turn, if it reports anything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<AgentAccount>,
    /// Doubts about the turn, sorted, each once.
    #[serde(default)]
    pub flags: Vec<Flag>,
    /// Cause of the call's failure, for a failed turn.
    pub(crate) failure: Option<String>,
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde passes a reference"
)]
fn is_false(flag: &bool) -> bool {
    !flag
}

impl TurnRecord {
    /// Whether the turn is included in metrics, outcomes and gates.
    pub(crate) fn is_measured(&self) -> bool {
        !self.warmup && !self.sentinel
    }

    /// Whether the turn is measured and was neither cut off nor left out. In files
    /// of version 1, a turn cut off when the run was stopped is `failed` with the cause `stopped`.
    pub(crate) fn counts(&self) -> bool {
        let stopped = self.failure.as_deref() == Some(STOPPED);
        self.is_measured() && self.outcome.has_ended() && !stopped
    }

    /// The record of `result`; instants become relative to `run_start`.
    pub fn new(context: &TurnContext<'_>, result: &TurnResult, run_start: Instant) -> Self {
        let since = |instant: Option<Instant>| instant.map(|i| Ms::between(run_start, i));
        let outcome = result.outcome;
        // Round each part first, so that the printed sum equals the sum of the printed parts.
        let wire = result.ttfa_wire.map(Ms::from);
        let playout = result.playout_delay.map(Ms::from);
        let stop_wire = result.stop_wire.map(Ms::from);
        let held = result.stop.zip(result.stop_wire);
        let stop_hold = held.map(|(ear, wire)| Ms::from(ear.saturating_sub(wire)));
        let conversation = result.conversation.as_deref();
        let spoken = conversation.zip(result.speech_end);
        Self {
            version: TURN_VERSION,
            call: context.call,
            room: context.room.to_owned(),
            turn: result.turn,
            utterance: context.utterance.to_owned(),
            kind: Some(context.kind).filter(|kind| !kind.is_speech()),
            variant: context.variant.to_owned(),
            network: None,
            block: context.block,
            warmup: context.warmup,
            sentinel: false,
            expect: result.expect,
            outcome,
            planned_ms: since(result.planned),
            started_ms: since(result.media_start),
            speech_end_ms: since(result.speech_end),
            ttfa_ms: wire.zip(playout).map(|(wire, playout)| wire + playout),
            ttfa_wire_ms: wire,
            playout_ms: playout,
            playout_model: playout.map(|_| context.playout_model.to_owned()),
            stop_ms: stop_wire.zip(stop_hold).map(|(wire, hold)| wire + hold),
            stop_wire_ms: stop_wire,
            resume_ms: result.resume.map(Ms::from),
            resumed: result.resumed,
            answer_ms: conversation.and_then(|c| c.answer).map(Ms::from),
            answer_wire_ms: conversation.and_then(|c| c.answer_wire).map(Ms::from),
            hang_up_ms: result.hang_up.map(Ms::from),
            text_ttft_ms: result.text_ttft.map(Ms::from),
            text_reply_ms: result.text_reply.map(Ms::from),
            early_by_ms: result.early_by.map(Ms::from),
            reply_end_ms: since(result.reply_end),
            send_lateness_ms: result.send_lateness.map(Ms::from),
            snr_db: result.onset.and_then(|o| tenth_db(o.snr_db)),
            confidence: result.onset.map(|o| o.confidence),
            loss_earlier_ms: result.onset.and_then(|o| o.earlier_by_loss).map(Ms::from),
            first_packet_ms: result.first_packet().map(Ms::from),
            lead_in_ms: result.lead_in().map(Ms::from),
            second_opinion: result.second.map(|s| s.as_declared),
            second_apart_ms: result.second.and_then(|s| s.apart).map(Ms::from),
            loss_later_ms: result.onset.and_then(|o| o.later_by_loss).map(Ms::from),
            late_reply_ms: result.late_reply.map(Ms::from),
            ttfa_wire_low_ms: result.ttfa_readings.and_then(|r| r.low).map(Ms::from),
            ttfa_wire_high_ms: result.ttfa_readings.and_then(|r| r.high).map(Ms::from),
            stop_low_ms: result.stop_readings.and_then(|r| r.low).map(Ms::from),
            stop_high_ms: result.stop_readings.and_then(|r| r.high).map(Ms::from),
            agent_track: result.track.as_deref().map(str::to_owned),
            track_changed_ms: since(result.track_changed),
            waited_ms: result.waited.map(Ms::from),
            conversation: spoken.map(|(of, end)| ConversationRecord::new(of, end)),
            reply_audio: result.reply_audio.as_ref().map(ReplyAudio::from),
            agent: None,
            flags: sorted(&result.flags),
            failure: (outcome == Outcome::Failed)
                .then(|| context.failure.map(|f| f.cause().to_owned()))
                .flatten(),
        }
    }
}

/// Each flag once, in order.
fn sorted(flags: &[Flag]) -> Vec<Flag> {
    let mut flags = flags.to_vec();
    flags.sort_unstable();
    flags.dedup();
    flags
}

impl TurnRecord {
    /// Adds the agent's account of the turn. `words`: the words that the caller and the agent
    /// are expected to say.
    pub(crate) fn with_account(
        self,
        account: &TurnAccount,
        result: &TurnResult,
        words: &SaidWords<'_>,
        run_start: Instant,
    ) -> Self {
        Self {
            agent: Some(AgentAccount::new(account, result, words, run_start)),
            ..self
        }
    }

    /// Adds the spans of the agent's traces that began in the turn. `zero`: the caller's end of
    /// speech.
    pub(crate) fn with_spans(mut self, spans: &TurnSpans, zero: Instant) -> Self {
        self.agent.get_or_insert_default().add_spans(spans, zero);
        self
    }
}

/// Turns by outcome.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct TurnCounts {
    /// Turns in the plan; those without an outcome belong to calls that were dropped.
    pub planned: usize,
    /// The agent did what the turn expects.
    pub replied: usize,
    /// The agent did not do what the turn expects before the timeout.
    pub missed: usize,
    /// The agent was audible before the end of speech.
    pub early: usize,
    /// The call failed before the turn could end.
    pub failed: usize,
    /// In progress when the run was stopped, or when the caller hung up.
    #[serde(default)]
    pub cut_off: usize,
    /// Never started, because the run was stopped.
    #[serde(default)]
    pub not_run: usize,
    /// Left out by the scenario: jumped over by a branch, after a hang-up, or in a pass that a loop
    /// did not take.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub skipped: usize,
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde passes a reference"
)]
fn is_zero(count: &usize) -> bool {
    *count == 0
}

impl TurnCounts {
    /// Counts `outcomes` of `planned` turns.
    pub(crate) fn of(planned: usize, outcomes: impl IntoIterator<Item = Outcome>) -> Self {
        let mut counts = Self {
            planned,
            ..Self::default()
        };
        for outcome in outcomes {
            *match outcome {
                Outcome::Replied => &mut counts.replied,
                Outcome::Missed => &mut counts.missed,
                Outcome::Early => &mut counts.early,
                Outcome::Failed => &mut counts.failed,
                Outcome::CutOff => &mut counts.cut_off,
                Outcome::NotRun => &mut counts.not_run,
                Outcome::Skipped => &mut counts.skipped,
            } += 1;
        }
        counts
    }

    /// Turns that were neither cut off nor left out.
    pub fn ended(&self) -> usize {
        self.replied + self.missed + self.early + self.failed
    }

    /// Planned turns that have no outcome.
    pub(in crate::record) fn without_outcome(&self) -> usize {
        let counted = self.ended() + self.cut_off + self.not_run + self.skipped;
        self.planned.saturating_sub(counted)
    }
}
