//! The table of all metrics: name, kind, unit of observation, definition, where each is shown.
//!
//! Out: [`Metric`], which scenarios, records, reports and the live endpoints all iterate over. A
//! new metric needs a variant and a row here, and its samples in `record/judge/metrics.rs`.

use strum::{EnumString, IntoStaticStr, VariantArray};

/// A metric of a run.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    Hash,
    PartialOrd,
    Ord,
    EnumString,
    IntoStaticStr,
    VariantArray,
)]
#[strum(serialize_all = "snake_case")]
#[expect(missing_docs, reason = "each is defined in its row")]
pub enum Metric {
    Ttfa,
    TtfaWire,
    Playout,
    LeadIn,
    Answer,
    Stop,
    StopWire,
    Resume,
    Overlap,
    HangUp,
    TextTtft,
    TextReply,
    ReplyGap,
    TranscriptionDelay,
    EndOfTurnDelay,
    OnUserTurnCompletedDelay,
    LlmNodeTtft,
    LlmNodeTtfs,
    TtsNodeTtfb,
    ToolCall,
    E2eLatency,
    Unexplained,
    TranscriptDelay,
    BlindSpot,
    BlindSpotFront,
    BlindSpotBack,
    Join,
    AgentPresent,
    AgentAudible,
    Greeting,
    Rtt,
    Jitter,
    Replied,
    Missed,
    Early,
    Failed,
    Wer,
    ReplyWer,
    ReplyMismatched,
    OverlapRatio,
    AwkwardSilence,
    InterruptionIgnored,
    FalseInterruption,
    Stalled,
    Underrun,
    Burst,
    TruncatedHead,
    Clipped,
    LevelJump,
    LossUp,
    LossDown,
}

/// The kind of a metric's values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum MetricKind {
    /// Durations, one per turn or call: `p(95)<1500ms`.
    Latency,
    /// A share of turns: `rate<0.01`.
    Share,
}

/// The unit of observation. Each unit has at most one value of a metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum SampleUnit {
    Turn,
    Call,
    Word,
    Packet,
}

/// Where a metric is shown by default.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Visibility {
    /// On the screen at the end of a run, and in every summary and report.
    First,
    /// In every summary and report; on the screen with `--details`.
    Always,
    /// In every summary; on the screen and in human-readable tables only if it was measured.
    Measured,
    /// In every summary; on the screen and in human-readable tables only if it was measured. On the
    /// screen, all of these metrics share a few lines, which show where the time went according to
    /// the agent.
    Account,
    /// Only if a threshold or a comparison specifies it.
    Asked,
}

/// The properties of a metric.
#[derive(Debug, Clone, Copy)]
pub struct MetricRow {
    /// The kind of the metric's values.
    pub(crate) kind: MetricKind,
    /// The unit of observation.
    pub(crate) about: SampleUnit,
    /// The interval that the metric measures, or the turns whose share it is.
    pub definition: &'static str,
    /// Where it is shown.
    pub(crate) shown: Visibility,
    /// Whether `loadgen compare` compares it by default.
    pub(crate) compared: bool,
}

const fn latency(about: SampleUnit, shown: Visibility, definition: &'static str) -> MetricRow {
    MetricRow {
        kind: MetricKind::Latency,
        about,
        definition,
        shown,
        compared: false,
    }
}

const fn share(definition: &'static str) -> MetricRow {
    MetricRow {
        kind: MetricKind::Share,
        about: SampleUnit::Turn,
        definition,
        shown: Visibility::First,
        compared: true,
    }
}

const fn of_words(definition: &'static str) -> MetricRow {
    MetricRow {
        about: SampleUnit::Word,
        compared: false,
        ..share(definition)
    }
}

/// A share that `loadgen compare` compares only if it is asked to.
const fn asked_share(definition: &'static str) -> MetricRow {
    MetricRow {
        compared: false,
        ..share(definition)
    }
}

/// A share of packets.
const fn of_packets(definition: &'static str) -> MetricRow {
    MetricRow {
        about: SampleUnit::Packet,
        shown: Visibility::Asked,
        ..asked_share(definition)
    }
}

/// A share of broken replies: shown and compared only if a threshold or a comparison asks for it.
const fn broken_share(definition: &'static str) -> MetricRow {
    MetricRow {
        shown: Visibility::Asked,
        ..asked_share(definition)
    }
}

const fn compared(row: MetricRow) -> MetricRow {
    MetricRow {
        compared: true,
        ..row
    }
}

// Definitions of metrics from an agent's account of its turns, and of parts of `ttfa`.
const TRANSCRIPTION_DELAY: &str = "by the agent's own account, from where it places the caller's end of speech until the final transcript";
const END_OF_TURN_DELAY: &str = "by the agent's own account, from where it places the caller's end of speech until its decision that the caller's turn is over; contains transcription_delay";
const ON_USER_TURN_COMPLETED_DELAY: &str = "by the agent's own account, the time that the application's hook at the end of the caller's turn took";
const LLM_NODE_TTFT: &str =
    "by the agent's own account, from the request to the language model until its first token";
const LLM_NODE_TTFS: &str =
    "by the agent's own account, from the request to the language model until its first sentence";
const TTS_NODE_TTFB: &str = "by the agent's own account, from the first text given to speech synthesis until its first audio";
const TOOL_CALL: &str = "by the agent's own account, how long its tools ran in the turn; tools that ran at the same time count once";
const E2E_LATENCY: &str = "by the agent's own account, from where it places the caller's end of speech until the agent began to play its reply out";
const UNEXPLAINED: &str =
    "the part of the agent's critical path that none of its own figures covers";
const TRANSCRIPT_DELAY: &str =
    "from the end of the caller's speech until the arrival of its final transcript at the caller";
const BLIND_SPOT: &str = "the part of ttfa that the agent does not measure: ttfa minus its own e2e_latency, or, if it reports none, minus the time between its two instants";
const BLIND_SPOT_FRONT: &str = "the front of the blind spot: from the end of the caller's speech until where the agent places that end, on the caller's clock";
const BLIND_SPOT_BACK: &str = "the back of the blind spot: from the instant at which the agent began to play its reply out, on the caller's clock, until the caller heard it";
const PLAYOUT: &str = "how long the adaptive jitter buffer of a WebRTC receiver would have held back the onset packet of a reply";
const TTFA_WIRE: &str = "from the end of the caller's speech until the arrival of the packet that holds the onset, plus the onset's offset in its decoded audio";
const TTFA: &str = "time to first audio, mouth to ear: from the end of the caller's speech until the first audible sample of the agent's reply leaves the caller's loudspeaker; ttfa_wire + playout delay, exactly";
const AGENT_AUDIBLE: &str =
    "from the start of the call until the agent's audio track is subscribed";
const GREETING: &str = "from the moment media flows and an agent is present until the onset of the agent's first words, before anybody has spoken to it; only with `greeting: expect`";
const JOIN: &str = "from the start of the call until signalling has joined and media flows";
const AGENT_PRESENT: &str = "from the start of the call until an agent participant is in the room";
const TEXT_TTFT: &str = "from the sending of the caller's text until the arrival of the first piece of the text of the agent's reply; only for turns with `say_text`";
const TEXT_REPLY: &str = "from the sending of the caller's text until the end of the text of the agent's reply; only for turns with `say_text`";
const HANG_UP: &str = "from the end of the caller's speech until the agent has left the call, in turns that ask the agent to hang up";
const LEAD_IN: &str =
    "silence at the head of a reply: from its first packet with audio until its onset";

// Who speaks when.
const ANSWER: &str = "as ttfa, but to the first audible sample of the answer: of what follows a filler at the beginning of the reply, or else of the reply";
const STOP: &str = "from the onset of the caller's interruption until the agent's last audible sample leaves the caller's loudspeaker, in turns that ask the agent to stop; stop_wire + playout delay";
const STOP_WIRE: &str = "from the onset of the caller's interruption until the arrival of the agent's last audible sample, in turns that ask the agent to stop";
const RESUME: &str = "in turns that the agent should ignore but in which it stopped: from its last audible sample until its next one, to the caller's ear";
const OVERLAP: &str = "time in which both the caller and the agent speak, from the start of the turn's utterance until the turn is over; the agent as the caller hears it";
const OVERLAP_RATIO: &str =
    "time in which both speak, as a share of the time in which anybody speaks";
const AWKWARD_SILENCE: &str = "share of turns with a silence of at least `call.awkward_silence` before the end of the reply, after the caller has stopped speaking";
const INTERRUPTION_IGNORED: &str = "share of interruptions that the agent did not obey before the timeout, of those in turns that ask it to stop and in which it was speaking";
const FALSE_INTERRUPTION: &str = "share of turns that the agent should ignore in which it stopped speaking, of those in which it was speaking";

// What the network did.
const RTT: &str = "mean round trip of a call between the caller and the server, by ICE's checks and RTCP reports; only for calls over RTP";
const JITTER: &str = "mean interarrival jitter (RFC 3550) of the packets that the caller received in a call; only for calls over RTP";
const LOSS_UP: &str = "packets of the callers that did not reach the server, as a share of those that its reports cover";
const LOSS_DOWN: &str =
    "packets of the agent's audio that did not reach the callers, as a share of those sent";

// Word error rates, and the share of turns whose reply does not match.
const WER: &str = "word error rate of the agent's transcripts: words replaced, left out or added, as a share of the words of the utterances that have a `text`; at most all words of a turn";
const REPLY_WER: &str =
    "word error rate of the agent's replies against the turns' `reply_text`, as in wer";
const REPLY_MISMATCHED: &str =
    "share of turns with `reply_matches` whose reply's transcript does not match";

// What broke in the audio of replies.
const REPLY_GAP: &str = "the longest stall inside a reply, 0 in a reply without one: a hole of 60 ms or more that packets or inserted silence account for, not the voice";
const STALLED: &str = "share of replies with a stall of 60 ms or more";
const UNDERRUN: &str =
    "share of replies with audio that the modelled jitter buffer was to play before it arrived";
const BURST: &str = "share of replies with audio that arrived 100 ms or more ahead of time";
const TRUNCATED_HEAD: &str = "share of replies that began in mid-voice";
const CLIPPED: &str = "share of replies of whose sound more than 1 % is at full scale";
const LEVEL_JUMP: &str =
    "share of replies whose level changed by 13 dB or more within a talk spurt";

named!(pub for Metric);

impl Metric {
    /// The metric's row of the table. Metrics compared by default do not overlap, so that no effect
    /// is tested twice: `ttfa` contains `ttfa_wire`, and `replied` is the complement of `missed`,
    /// `early` and `failed`.
    pub const fn row(self) -> MetricRow {
        use SampleUnit::{Call, Turn};
        use Visibility::{Account, Always, Asked, First, Measured};
        match self {
            Self::Ttfa => compared(latency(Turn, First, TTFA)),
            Self::TtfaWire => latency(Turn, Always, TTFA_WIRE),
            Self::Playout => latency(Turn, Asked, PLAYOUT),
            Self::LeadIn => latency(Turn, Asked, LEAD_IN),
            Self::Answer => latency(Turn, Measured, ANSWER),
            Self::Stop => compared(latency(Turn, Measured, STOP)),
            Self::StopWire => latency(Turn, Asked, STOP_WIRE),
            Self::Resume => latency(Turn, Measured, RESUME),
            Self::Overlap => latency(Turn, Asked, OVERLAP),
            Self::HangUp => compared(latency(Turn, Measured, HANG_UP)),
            Self::TextTtft => compared(latency(Turn, Measured, TEXT_TTFT)),
            Self::TextReply => latency(Turn, Measured, TEXT_REPLY),
            Self::ReplyGap => latency(Turn, Asked, REPLY_GAP),
            Self::TranscriptionDelay => latency(Turn, Asked, TRANSCRIPTION_DELAY),
            Self::EndOfTurnDelay => latency(Turn, Account, END_OF_TURN_DELAY),
            Self::OnUserTurnCompletedDelay => latency(Turn, Asked, ON_USER_TURN_COMPLETED_DELAY),
            Self::LlmNodeTtft => latency(Turn, Account, LLM_NODE_TTFT),
            Self::LlmNodeTtfs => latency(Turn, Asked, LLM_NODE_TTFS),
            Self::TtsNodeTtfb => latency(Turn, Account, TTS_NODE_TTFB),
            Self::ToolCall => latency(Turn, Account, TOOL_CALL),
            Self::E2eLatency => latency(Turn, Account, E2E_LATENCY),
            Self::Unexplained => latency(Turn, Account, UNEXPLAINED),
            Self::TranscriptDelay => latency(Turn, Asked, TRANSCRIPT_DELAY),
            Self::BlindSpot => latency(Turn, Account, BLIND_SPOT),
            Self::BlindSpotFront => latency(Turn, Asked, BLIND_SPOT_FRONT),
            Self::BlindSpotBack => latency(Turn, Asked, BLIND_SPOT_BACK),
            Self::Join => compared(latency(Call, Always, JOIN)),
            Self::AgentPresent => latency(Call, Always, AGENT_PRESENT),
            Self::AgentAudible => compared(latency(Call, Always, AGENT_AUDIBLE)),
            Self::Greeting => compared(latency(Call, Always, GREETING)),
            Self::Rtt => latency(Call, Measured, RTT),
            Self::Jitter => latency(Call, Measured, JITTER),
            Self::Replied => MetricRow {
                compared: false,
                ..share("share of turns in which the agent did what the turn expects")
            },
            Self::Missed => share(
                "share of turns in which the agent did not do what the turn expects before its timeout",
            ),
            Self::Early => {
                share("share of turns in which the agent was audible before the end of speech")
            }
            Self::Failed => share("share of turns whose call failed before the turn could end"),
            // The texts to match may differ between two runs: compared only if requested.
            Self::Wer => of_words(WER),
            Self::ReplyWer => of_words(REPLY_WER),
            Self::ReplyMismatched => asked_share(REPLY_MISMATCHED),
            Self::OverlapRatio => MetricRow {
                about: SampleUnit::Word,
                ..asked_share(OVERLAP_RATIO)
            },
            Self::AwkwardSilence => asked_share(AWKWARD_SILENCE),
            Self::InterruptionIgnored => asked_share(INTERRUPTION_IGNORED),
            Self::FalseInterruption => asked_share(FALSE_INTERRUPTION),
            Self::Stalled => broken_share(STALLED),
            Self::Underrun => broken_share(UNDERRUN),
            Self::Burst => broken_share(BURST),
            Self::TruncatedHead => broken_share(TRUNCATED_HEAD),
            Self::Clipped => broken_share(CLIPPED),
            Self::LevelJump => broken_share(LEVEL_JUMP),
            Self::LossUp => of_packets(LOSS_UP),
            Self::LossDown => of_packets(LOSS_DOWN),
        }
    }

    /// The metric with this name.
    pub fn named(name: &str) -> Option<Self> {
        name.parse().ok()
    }

    /// Whether the metric comes from the agent's account of a turn, or is computed from it. Such a
    /// metric is known only some time after the end of the turn.
    pub const fn is_from_agent(self) -> bool {
        matches!(
            self,
            Self::TranscriptionDelay
                | Self::EndOfTurnDelay
                | Self::OnUserTurnCompletedDelay
                | Self::LlmNodeTtft
                | Self::LlmNodeTtfs
                | Self::TtsNodeTtfb
                | Self::ToolCall
                | Self::E2eLatency
                | Self::Unexplained
                | Self::TranscriptDelay
                | Self::BlindSpot
                | Self::BlindSpotFront
                | Self::BlindSpotBack
        )
    }

    /// Whether the metric is a share rather than a latency.
    pub const fn is_share(self) -> bool {
        matches!(self.row().kind, MetricKind::Share)
    }

    /// The latencies that every summary shows, in the order of reports.
    pub fn summarized() -> impl Iterator<Item = Self> {
        let shown = |m: &Self| !m.is_share() && m.row().shown != Visibility::Asked;
        Self::ALL.iter().copied().filter(shown)
    }

    /// The metrics that are compared by default.
    pub fn compared() -> impl Iterator<Item = Self> {
        Self::ALL.iter().copied().filter(|m| m.row().compared)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metric_names_are_unique_and_definitions_are_phrases() {
        for &metric in Metric::ALL {
            assert_eq!(Metric::named(metric.name()), Some(metric));
            let text = metric.row().definition;
            let begins = text.chars().next().is_some_and(char::is_lowercase);
            assert!(begins && !text.ends_with('.'), "{metric:?}: {text}");
        }
        assert_eq!(Metric::named("latency"), None);
        assert!(Metric::summarized().any(|m| m == Metric::Stop));
        assert!(Metric::compared().all(|m| m != Metric::TtfaWire));
    }
}
