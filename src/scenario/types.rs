//! A checked scenario: what the file means, with every default filled in.
//!
//! Invariants: turns refer only to existing utterances; there is at least one turn and one
//! variant; a load has exactly one shape; `concurrency` is at least 1 and, for a closed load with
//! [`Extent::Calls`], at most the number of calls.

use super::evidence::EvidenceSelection;
use super::network::Networks;
use super::problem::Place;
use super::sound::{BackgroundConfig, SoundConfig};
use super::threshold::Threshold;
use crate::audio::mix::Digits;
use crate::vocab::{
    AccountUse, AgentDelay, Anchor, Behaviour, Branch, Channel, Decode, DialledAs, Expect, Filler,
    GreetingPolicy, NetworkConfig, OnAgentLeft, Pattern, Prices, Transcripts, UtteranceKind,
};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// A checked scenario.
#[derive(Debug, Clone, PartialEq)]
pub struct Scenario {
    /// Name in reports and folder names; letters, digits, `.`, `_`, `-`.
    pub(crate) name: String,
    /// Seed of everything random.
    pub seed: u64,
    /// Which agent is called.
    pub(crate) target: TargetConfig,
    /// The utterances, by name in ascending order; turns refer to them by index.
    pub(crate) utterances: Vec<UtteranceConfig>,
    /// Settings and turns of each call.
    pub call: CallConfig,
    /// Number of calls, and when they start.
    pub(crate) load: Load,
    /// Calls before the measured ones.
    pub(crate) warmup: u32,
    /// The simulated networks between the callers and the agent.
    pub(crate) networks: Networks,
    /// Whether to make sentinel calls, which measure loadgen's own error.
    pub(crate) sentinels: SentinelPolicy,
    /// Which turns' and calls' audio is kept, if any.
    pub(crate) evidence: Option<EvidenceSelection>,
    /// Whether transcripts are kept.
    pub(crate) transcripts: Transcripts,
    /// Prices of the agent's models, if the file specifies them.
    pub(crate) prices: Option<Prices>,
    /// Endpoints and processes to observe while calls are in progress; names are unique.
    pub(crate) observe: Vec<Observed>,
    /// Thresholds that must be met for the run to pass.
    pub(crate) thresholds: Vec<Threshold>,
    /// Bounds on the generator's own health.
    pub(crate) health: HealthBounds,
    /// Configurations under test; if the file has none, one named `default`.
    pub(crate) variants: Vec<Variant>,
    /// Variables of the file that are unset; empty if the check requires them to be set.
    pub(crate) unset: Vec<UnsetVariable>,
    /// Likely mistakes in the scenario's sound files, in the order of the utterances.
    pub(crate) doubts: Vec<Doubtful>,
}

/// An endpoint or a process to observe.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Observed {
    /// Name in records and reports.
    pub name: String,
    pub source: ObservedSource,
}

/// Where the figures of an [`Observed`] come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ObservedSource {
    /// A Prometheus endpoint.
    Endpoint {
        /// URL for HTTP, without user info and query.
        url: String,
        /// Names of the series to record: the recognised ones, and those that the file lists.
        series: BTreeSet<String>,
    },
    /// A process on this machine.
    Process {
        pid: u32,
        /// Whether to include the descendants of the process.
        children: bool,
    },
}

/// Bounds of the generator's own health; beyond them a run is invalid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct HealthBounds {
    /// Bound on the 99th percentile of send lateness: planned send → handed to the kernel.
    pub tick_lateness: Duration,
    /// Bound on the datagrams that the kernel drops because our sockets' buffers are full.
    pub own_drops: u64,
    /// Bound on the 99th percentile of how late signalling runs: joins, agent states, hang-ups.
    pub signalling_lateness: Duration,
}

impl Default for HealthBounds {
    fn default() -> Self {
        Self {
            tick_lateness: Duration::from_millis(5),
            own_drops: 0,
            signalling_lateness: Duration::from_millis(30),
        }
    }
}

/// A variable that has neither a value nor a default.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct UnsetVariable {
    pub name: String,
    /// Path of the value that needs the variable, such as `target.url`.
    pub path: String,
    /// Place of that value.
    pub place: Place,
}

/// A valid value that is likely to be a mistake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Doubtful {
    /// Path of the value, such as `utterances.order.file`.
    pub path: String,
    /// Place of that value.
    pub place: Place,
    /// Description of the likely mistake, with the file's name.
    pub message: String,
    /// How to correct it.
    pub hint: String,
}

/// Kind of target, with its settings.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum TargetConfig {
    /// Rooms of a LiveKit server.
    Livekit(LivekitConfig),
    /// The reference agent as a child process.
    Embedded(AgentSettings),
}

/// Rooms of a LiveKit server.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct LivekitConfig {
    /// Address, if the file gives one; scheme and host have been checked.
    pub url: Option<String>,
    /// API key, if the file gives one.
    pub api_key: Option<String>,
    /// API secret, if the file gives one.
    pub api_secret: Option<Secret>,
    /// Prefix of room names.
    pub room_prefix: String,
}

/// A string that is never shown.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Secret(pub String);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// Audio that the reference agent plays.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Sound {
    Tone,
    /// This sound file.
    File(PathBuf),
}

/// Settings of the reference agent.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct AgentSettings {
    /// End of the caller's speech to the first audible sample.
    pub delay: AgentDelay,
    /// Seed of a random delay.
    pub seed: u64,
    pub reply: Sound,
    /// Length of the tone.
    pub reply_length: Duration,
    /// Audio of the greeting, if any.
    pub greeting: Option<Sound>,
    /// Concurrent calls that the agent sustains; beyond that, all delays double.
    pub capacity: Option<u32>,
    pub behaviour: Box<Behaviour>,
    /// File for the timing of everything that the agent does.
    pub truth: Option<PathBuf>,
}

/// An utterance that callers can say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct UtteranceConfig {
    pub name: String,
    pub source: UtteranceSource,
    /// How it sounds, where that differs from the call's other utterances.
    pub sound: SoundConfig,
    /// Whether it is speech for the agent, or what else it is.
    pub kind: UtteranceKind,
    /// The words of the utterance; transcripts are compared with them.
    pub text: Option<String>,
    /// Annotated end of speech.
    pub speech_end: Option<Duration>,
    /// The channel to play; `None` for the mean of all channels, unless two cannot be averaged.
    pub channel: Option<Channel>,
    /// Length of the sound, if the file has been read.
    pub length: Option<Duration>,
}

/// Where the audio of an utterance comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum UtteranceSource {
    /// A sound file; its path includes the scenario's folder.
    File(PathBuf),
    /// The caller says nothing for this long.
    Silence(Duration),
    /// The caller dials.
    Dtmf(Digits, DialledAs),
}

/// A sound file that a scenario refers to.
#[derive(Debug, Clone, Copy)]
pub struct SoundFile<'a> {
    /// Path of the file, including the scenario's folder.
    pub(crate) path: &'a Path,
    /// Annotated end of speech.
    pub(crate) speech_end: Option<Duration>,
    /// The channel to play.
    pub(crate) channel: Option<Channel>,
    /// Whether to read the sidecar file next to it; an agent's audio needs no end of speech.
    pub(crate) annotated: bool,
}

impl UtteranceConfig {
    /// The sound file, if the utterance is one.
    pub(crate) fn recording(&self) -> Option<SoundFile<'_>> {
        let UtteranceSource::File(path) = &self.source else {
            return None;
        };
        Some(SoundFile {
            path,
            speech_end: self.speech_end,
            channel: self.channel,
            annotated: true,
        })
    }
}

/// Settings and turns of each call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallConfig {
    pub(crate) greeting: GreetingPolicy,
    /// How long to wait for the agent's audio.
    pub(crate) agent_timeout: Duration,
    /// Name or server-given id of the agent's audio track; `None` selects it by its source.
    pub(crate) agent_track: Option<String>,
    /// Identity of the agent's participant; `None` selects it by its kind.
    pub(crate) agent_identity: Option<String>,
    /// Whether the agent's account of its session is read.
    pub(crate) agent_account: AccountUse,
    /// What happens if the agent leaves.
    pub(crate) on_agent_left: OnAgentLeft,
    /// Frequency of the tone that the agent answers with, in Hz; `None` for a voice.
    pub(crate) reply_tone: Option<u32>,
    /// How much of the agent's audio is decoded.
    pub(crate) decode: Decode,
    /// What counts as a filler at the beginning of a reply.
    pub(crate) filler: Option<Filler>,
    /// A silence of the agent's that is at least this long is awkward.
    pub(crate) awkward_silence: Duration,
    /// When the caller hangs up, from the start of the call, whatever is happening then.
    pub(crate) hang_up: Option<Duration>,
    /// How callers sound; if there are several, the seed picks one for each call.
    pub(crate) sounds: Vec<SoundConfig>,
    /// Noise for the whole call, if any.
    pub(crate) background: Option<BackgroundConfig>,
    /// The turns, at least one; every pass of a loop has its own.
    pub turns: Vec<TurnConfig>,
}

/// One utterance of the caller, and the agent's expected behaviour.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TurnConfig {
    /// Name for branches.
    pub(crate) name: Option<String>,
    /// What the caller says.
    pub(crate) say: Saying,
    /// How one thing is picked from several.
    pub(crate) pick: Pick,
    pub(crate) anchor: Anchor,
    /// Silence after which the agent's speech counts as ended.
    pub(crate) silence: Duration,
    /// Pause after the anchor.
    pub(crate) delay: Delay,
    /// The agent's expected behaviour.
    pub(crate) expect: Expect,
    /// How long the agent may take, from the end of speech.
    pub(crate) timeout: Duration,
    /// Expected words of the reply.
    pub(crate) reply: ReplyWords,
    /// Which turn follows: the first branch whose condition holds, otherwise the next in order.
    pub(crate) next: Vec<NextTurn>,
    /// When the caller hangs up after this turn, if it does; `next` is then empty.
    pub(crate) hang_up: Option<Leaving>,
    /// The pass of the loop that the turn belongs to, if it belongs to one.
    pub(crate) pass: Option<LoopPass>,
}

/// A branch, with the pattern of [`When::ReplyMatches`](crate::vocab::When).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NextTurn {
    pub branch: Branch,
    pub pattern: Option<Pattern>,
}

/// When the caller hangs up after a turn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Leaving {
    pub anchor: Anchor,
    /// Silence after which the agent's speech counts as ended.
    pub silence: Duration,
    /// Pause after the anchor.
    pub delay: Delay,
}

/// A turn's place in a loop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LoopPass {
    /// Index of the loop in the call, from 0.
    pub group: usize,
    /// Number of the pass, from 0.
    pub pass: u32,
    /// Smallest number of passes, at least 1.
    pub min: u32,
    /// Largest number of passes, not below `min`.
    pub max: u32,
}

/// How a turn picks one of the things that it may say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Pick {
    /// By the seed, each equally often.
    Random,
    /// By the seed, each as often as its weight says; at least one weight, none of them zero.
    Weighted(Vec<u32>),
    /// One after another: by the number of the call and, in a loop, of the pass.
    InOrder,
}

/// What the caller says in a turn: one of several things, or nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Saying {
    /// Indices into [`Scenario::utterances`].
    Utterances(Vec<usize>),
    /// Texts, which are sent and not spoken.
    Texts(Vec<Arc<str>>),
    /// Nothing.
    Nothing,
}

impl Saying {
    /// Number of things to pick from.
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Utterances(all) => all.len(),
            Self::Texts(all) => all.len(),
            Self::Nothing => 1,
        }
    }
}

/// What the agent should say in a turn.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct ReplyWords {
    /// The words; the transcript of the reply is compared with them.
    pub text: Option<String>,
    /// Pattern that the transcript of the reply should match.
    pub pattern: Option<Pattern>,
}

impl TurnConfig {
    /// Default for `silence`.
    pub(crate) const SILENCE: Duration = Duration::from_millis(700);
}

/// The length of a pause.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Delay {
    /// Drawn uniformly between `min` and `max`, which is not below `min`; fixed if they are equal.
    Between { min: Duration, max: Duration },
    /// Normally distributed; what falls below zero counts as zero.
    Normal { mean: Duration, sd: Duration },
}

impl Delay {
    /// Always this long.
    pub(crate) fn fixed(delay: Duration) -> Self {
        Self::Between {
            min: delay,
            max: delay,
        }
    }

    /// Its typical length.
    pub(crate) fn typical(self) -> Duration {
        match self {
            Self::Between { min, max } => (min + max) / 2,
            Self::Normal { mean, .. } => mean,
        }
    }
}

/// How many calls, and when they start.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Load {
    /// Number of calls, or how long calls are started.
    pub extent: Extent,
    /// Number of concurrent calls; the maximum if the shape determines the number.
    pub concurrency: u32,
    /// The first `concurrency` calls of a constant shape start evenly over this time.
    pub ramp: Duration,
    /// The rule by which calls start.
    pub shape: Shape,
}

/// The rule by which calls start.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Shape {
    /// A call starts when another one ends: `concurrency` at once (closed model).
    Constant,
    /// The closed model with a changing concurrency: from 0 to the first target, and so on.
    Stages(Vec<Stage>),
    /// Calls arrive at a given rate, whether or not earlier calls have ended (open model).
    Arrival(Arrival),
}

/// A linear change of the concurrency, from the previous target to this one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stage {
    /// How long the change takes; 0 is immediate.
    pub duration: Duration,
    /// Concurrency at the end of the stage.
    pub target: u32,
}

/// Arrivals in an open load.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Arrival {
    /// Calls per second, on average.
    pub rate: f64,
    /// Spacing of arrivals.
    pub process: Process,
}

/// Spacing of arrivals.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Process {
    /// Evenly spaced.
    Constant,
    /// Independent of each other, with exponential gaps.
    Poisson,
}

impl Load {
    /// A constant load of `calls` calls, `concurrency` of them at once.
    pub(crate) fn calls(calls: u32, concurrency: u32) -> Self {
        Self {
            extent: Extent::Calls(calls),
            concurrency,
            ramp: Duration::ZERO,
            shape: Shape::Constant,
        }
    }
}

/// When the run stops starting new calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Extent {
    /// After this many calls.
    Calls(u32),
    /// This long after the start of the first measured call.
    Duration(Duration),
}

/// Whether a run makes sentinel calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub(crate) enum SentinelPolicy {
    /// Only if the target is embedded or its host is private.
    #[default]
    Auto,
    /// Always.
    On,
    /// Never.
    Off,
}

/// One configuration of the agent under test; the target's settings are its defaults.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Variant {
    /// Name in reports.
    pub name: String,
    /// Agent to dispatch; `None` for the server's automatic dispatch.
    pub agent_name: Option<String>,
    pub metadata: Option<String>,
    pub room_metadata: Option<String>,
    pub attributes: BTreeMap<String, String>,
    /// The variant's own server; `None` for the target's.
    pub server: Option<ServerConfig>,
    /// Settings of the variant's own embedded agent; `None` for the target's.
    pub agent: Option<AgentSettings>,
    /// How its callers sound, where that differs from the other variants.
    pub sound: SoundConfig,
    /// Noise for its whole calls; `None` for the call's.
    pub background: Option<BackgroundConfig>,
    /// The network of its callers; `None` for the scenario's.
    pub network: Option<Arc<NetworkConfig>>,
}

/// A variant's own LiveKit server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ServerConfig {
    /// Address; scheme and host have been checked.
    pub url: String,
    /// API key; `None` for the target's.
    pub api_key: Option<String>,
    /// API secret; `None` for the target's.
    pub api_secret: Option<Secret>,
}
