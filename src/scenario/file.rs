//! A scenario as written: untrusted, every key optional, strings not yet parsed.
//!
//! In: JSON converted from YAML, without the values that the schema rejects.
//! Out: these types; they also generate the JSON Schema (`loadgen schema`). Invariants: unknown
//! keys are rejected; required values are `Option`s too, so that one mistake does not hide others;
//! the schema lists every metric; `threshold_parse` checks keys with a filter.

use super::behaviour_file::BehaviourFile;
use super::evidence::EvidenceFile;
use super::file_network::{BothFile, NetworkFile};
use super::file_sound::{BackgroundFile, EffectsFile};
use super::sentinels::SentinelsText;
pub(super) use super::texts::{DurationText, PERCENT_PATTERN, PercentText};
use super::turn_file::{BranchFile, PickFile, RepeatFile, WeightFile};
use crate::vocab::observed::{KNOWN_SERIES, MOST_OBSERVED, MOST_SERIES};
use crate::vocab::{
    AccountUse, Anchor, Channel, Decode, DialledAs, Expect, GreetingPolicy, Metric, OnAgentLeft,
    Prices, Transcripts, UtteranceKind,
};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use serde_json::{Map, Number, Value};
use std::borrow::Cow;
use std::collections::BTreeMap;

/// Pattern of names that become part of room and file names.
pub(super) const NAME_PATTERN: &str = "^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$";

/// Pattern of the name of a series.
pub(super) const SERIES_PATTERN: &str = "^[A-Za-z_:][A-Za-z0-9_:]{0,199}$";

/// Number of series of an endpoint that are reserved for the recognised ones.
const FOR_KNOWN: usize = 16;
const _: () = assert!(KNOWN_SERIES.len() <= FOR_KNOWN);
/// Maximum number of series that can be named for an endpoint, besides the recognised ones.
const MOST_NAMED: usize = MOST_SERIES - FOR_KNOWN;

/// The name of a series.
#[derive(Debug, Clone, Deserialize)]
#[serde(transparent)]
pub(super) struct SeriesText(pub(super) String);

impl JsonSchema for SeriesText {
    fn schema_name() -> Cow<'static, str> {
        "Series".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "pattern": SERIES_PATTERN,
            "description": "The name of a series without labels, such as `process_open_fds`."
        })
    }
}

/// A load test of a voice agent: the target, the calls, the load and the thresholds.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "loadgen scenario")]
pub(super) struct ScenarioFile {
    /// Version of this format; 1.
    #[schemars(required, range(min = 1, max = 1))]
    pub(super) version: Option<u8>,
    /// Name in reports and folder names. Default: the file's name without its extension.
    #[schemars(regex(pattern = NAME_PATTERN))]
    pub(super) name: Option<String>,
    /// Seed of everything random: the same seed gives the same plan. Default: 0.
    pub(super) seed: Option<u64>,
    /// Which agent is called, and how.
    #[schemars(required)]
    pub(super) target: Option<TargetFile>,
    /// What callers can say, by name; needed unless they only send texts.
    #[schemars(length(min = 1, max = 1000), extend("minProperties" = 1))]
    pub(super) utterances: Option<BTreeMap<String, Option<UtteranceFile>>>,
    /// Settings and turns of each call.
    #[schemars(required)]
    pub(super) call: Option<CallFile>,
    /// How many calls, and when they start. Default: one call.
    pub(super) load: Option<LoadFile>,
    /// Warm-up calls before the measured ones; they are not counted. Default: none.
    pub(super) warmup: Option<WarmupFile>,
    /// A bad network between the callers and the agent. Default: packets pass unchanged.
    pub(super) network: Option<NetworkFile>,
    /// Calls to loadgen's own reference agent, one per hundred calls, that measure the error of the
    /// figures: `auto`, for an embedded target and private hosts; `on`; `off`. Default: auto.
    pub(super) sentinels: Option<SentinelsText>,
    /// Keep the audio of some turns or calls, to check the measurements by ear. Default: none.
    pub(super) evidence: Option<EvidenceFile>,
    /// Whether to `keep` the transcripts of callers and agents in the run folder, or to `drop` them
    /// once their word errors have been counted. Default: keep.
    pub(super) transcripts: Option<Transcripts>,
    /// Prices of the agent's models. Default: no costs are shown.
    pub(super) prices: Option<Prices>,
    /// Prometheus endpoints, and processes on this machine, to observe once a second while calls
    /// are in progress. Default: none.
    #[schemars(length(min = 1, max = MOST_OBSERVED))]
    pub(super) observe: Option<Vec<Option<ObservedFile>>>,
    /// Conditions that must hold for the run to pass, by metric.
    pub(super) thresholds: Option<ThresholdsFile>,
    /// Bounds on the generator's own health; beyond them a run is invalid. Default: each bound's
    /// own.
    pub(super) health: Option<HealthFile>,
    /// Configurations of the agent to compare under the same load. Default: one, from `target`.
    #[schemars(length(min = 1, max = 100))]
    pub(super) variants: Option<Vec<Option<VariantFile>>>,
    /// Variants from lists of values: each combination is one variant, in which `${matrix.NAME}` in
    /// `target` stands for a value of the list `NAME`. Cannot be combined with `variants`.
    #[schemars(length(min = 1, max = 8), extend("minProperties" = 1))]
    pub(super) matrix: Option<MatrixFile>,
}

/// Where the agent runs and how callers reach it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum TargetKind {
    /// Rooms of a LiveKit server.
    Livekit,
    /// The reference agent, started by loadgen itself.
    Embedded,
}

/// Which agent is called, and how.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct TargetFile {
    /// `livekit`: rooms of a LiveKit server; `embedded`: the reference agent, started by loadgen.
    #[schemars(required)]
    pub(super) kind: Option<TargetKind>,
    /// Address of the LiveKit server, such as `wss://host`. Default: LIVEKIT_URL.
    pub(super) url: Option<String>,
    /// API key of the LiveKit server. Default: LIVEKIT_API_KEY.
    pub(super) api_key: Option<String>,
    /// API secret of the LiveKit server. Default: LIVEKIT_API_SECRET, the recommended place.
    pub(super) api_secret: Option<String>,
    /// Agent to dispatch to every room. Default: the server's automatic dispatch.
    #[schemars(length(min = 1))]
    pub(super) agent_name: Option<String>,
    /// Prefix of room names. Default: loadgen.
    #[schemars(regex(pattern = NAME_PATTERN))]
    pub(super) room_prefix: Option<String>,
    /// Metadata of the dispatch, passed to the agent.
    #[schemars(length(max = 65536))]
    pub(super) metadata: Option<String>,
    /// Metadata of the room, visible to every participant.
    #[schemars(length(max = 65536))]
    pub(super) room_metadata: Option<String>,
    /// Attributes of the caller, visible to the agent.
    pub(super) attributes: Option<BTreeMap<String, Option<String>>>,
    /// Settings of the embedded agent.
    pub(super) agent: Option<AgentFile>,
}

/// Settings of the reference agent.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct AgentFile {
    /// Time from the end of the caller's speech to the first audible sample: a duration,
    /// `uniform(300ms,500ms)`, `normal(400ms,50ms)` or `lognormal(400ms,0.3)`. Default: 400ms.
    pub(super) delay: Option<String>,
    /// Seed of a random delay. Default: the scenario's.
    pub(super) seed: Option<u64>,
    /// Audio of the reply: `tone` or a sound file. Default: tone.
    #[schemars(length(min = 1))]
    pub(super) reply: Option<String>,
    /// Length of the tone. Default: 1.5s.
    pub(super) reply_length: Option<DurationText>,
    /// Audio of the greeting: `tone` or a sound file. Default: no greeting.
    #[schemars(length(min = 1))]
    pub(super) greeting: Option<String>,
    /// Concurrent calls that the agent sustains; beyond that, all delays double. Default: no limit.
    #[schemars(range(min = 1, max = 100_000))]
    pub(super) capacity: Option<u32>,
    /// How the agent behaves, beyond answering after its delay. Default: it answers every turn once
    /// and stops when it is interrupted.
    pub(super) behaviour: Option<BehaviourFile>,
    /// File for the timing of everything that the agent does, relative to the folder of the
    /// scenario; it is truncated first. Default: none.
    #[schemars(length(min = 1))]
    pub(super) truth: Option<String>,
}

/// An utterance that callers can say.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct UtteranceFile {
    /// Sound file, relative to the folder of the scenario; or one of `silence` and `dtmf`.
    #[schemars(length(min = 1))]
    pub(super) file: Option<String>,
    /// Instead of `file`: how long the caller says nothing; 100ms to 10m.
    pub(super) silence: Option<DurationText>,
    /// Instead of `file`: digits (`0`-`9`, `*`, `#`, `A`-`D`, `,` for a pause) that the caller dials
    /// with tones; in quotes.
    #[schemars(length(min = 1, max = 64))]
    pub(super) dtmf: Option<String>,
    /// With `dtmf`: how the digits reach the agent: as `tones` in the audio; as `events`, messages
    /// like those of LiveKit's telephone service (only with `target.kind: livekit`); as `both`.
    /// Default: tones.
    pub(super) dtmf_as: Option<DialledAs>,
    /// How it sounds. Default: as `call.sound` says, key by key.
    pub(super) sound: Option<EffectsFile>,
    /// The words of the utterance; the transcript is compared with them (`wer`).
    pub(super) text: Option<String>,
    /// What it is: `speech`, or something that the agent should not answer: `backchannel`, `cough`,
    /// `noise`, `side_speech`, `music`. Default: speech.
    pub(super) kind: Option<UtteranceKind>,
    /// End of speech in the file. Default: detected by level (ITU-T P.56).
    pub(super) speech_end: Option<DurationText>,
    /// The channel to play. Default: the mean of all channels; if two cancel each other out, the
    /// louder one; if they are two voices, the left one, with a warning.
    pub(super) channel: Option<Channel>,
}

/// Settings and turns of each call.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct CallFile {
    /// `expect`: wait for the agent's first words and measure them; `ignore`: wait until the
    /// agent is silent (at most 5 s if it says nothing); `none`: do not wait.
    /// Default: ignore.
    pub(super) greeting: Option<GreetingPolicy>,
    /// How long to wait for the agent's audio. Default: 30s.
    pub(super) agent_timeout: Option<DurationText>,
    /// Name (or server-given id) of the agent's audio track. Default: its microphone tracks;
    /// if the agent has none, those of unknown source; never `background_audio`.
    #[schemars(length(min = 1, max = 256))]
    pub(super) agent_track: Option<String>,
    /// Identity of the agent's participant. Default: participants of kind AGENT; if there are
    /// none, those of kind STANDARD.
    #[schemars(length(min = 1, max = 256))]
    pub(super) agent_identity: Option<String>,
    /// Whether to use a LiveKit agent's account of its session: `read`: record the account beside
    /// the measurements, and request the agent's usage every few seconds; `ignore`: discard the
    /// account, and send the agent no requests. Default: read.
    pub(super) agent_account: Option<AccountUse>,
    /// What happens if the agent leaves: `follow`: wait for it, or for another one, for up to
    /// `agent_timeout`; `fail`: the call fails. Default: follow.
    pub(super) on_agent_left: Option<OnAgentLeft>,
    /// Frequency in Hz of the tone that the agent answers with instead of a voice; the second
    /// detector looks for this tone. Default: the embedded agent's own tone, else a voice.
    #[schemars(range(min = 100, max = 8000))]
    pub(super) reply_tone: Option<u32>,
    /// How much of the agent's audio is decoded: `always`: all of it; `listening`: until the last
    /// turn has ended; `level`: the same, except packets marked as silence (RFC 6464).
    /// Default: listening.
    pub(super) decode: Option<Decode>,
    /// What counts as a filler ("let me check") at the beginning of a reply: speech of at most
    /// `max`, followed by silence of at least `gap` and then the answer. Default: only speech
    /// after which the agent reports that it is thinking.
    pub(super) filler: Option<FillerFile>,
    /// A silence is awkward if it is the agent's turn to speak and neither side speaks for this
    /// long. Default: 3s.
    pub(super) awkward_silence: Option<DurationText>,
    /// When the caller hangs up, whatever is happening then. Default: after the last turn.
    pub(super) hang_up: Option<HangUpFile>,
    /// How callers sound. Default: as recorded.
    pub(super) sound: Option<EffectsFile>,
    /// Instead of `sound`: a list from which the seed picks one for every call.
    #[schemars(length(min = 1, max = 16))]
    pub(super) sounds: Option<Vec<Option<EffectsFile>>>,
    /// Noise that goes on for the whole call, also while the caller is silent. Default: none.
    pub(super) background: Option<BackgroundFile>,
    /// The turns of the call, in order; at most 1000, with every pass of a loop counted.
    #[schemars(required, length(min = 1, max = 1000))]
    pub(super) turns: Option<Vec<Option<TurnFile>>>,
}

/// A filler at the beginning of a reply.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct FillerFile {
    /// The longest filler; above 0, at most 10s. Default: 1500ms.
    pub(super) max: Option<DurationText>,
    /// The shortest silence between a filler and the answer; 200ms to 60s. Default: 250ms.
    pub(super) gap: Option<DurationText>,
}

impl CallFile {
    /// Pointer of the first text that the caller sends.
    pub(super) fn first_text(&self) -> Option<String> {
        first_text("/call/turns", self.turns.as_deref()?)
    }
}

fn first_text(at: &str, turns: &[Option<TurnFile>]) -> Option<String> {
    let mut turns = turns.iter().enumerate();
    turns.find_map(|(index, turn)| {
        let turn = turn.as_ref()?;
        let at = format!("{at}/{index}");
        match &turn.say_text {
            Some(_) => Some(format!("{at}/say_text")),
            None => first_text(&format!("{at}/turns"), turn.turns.as_deref()?),
        }
    })
}

/// When the caller hangs up.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct HangUpFile {
    /// Time since the start of the call: since media flows and an agent is in the room.
    #[schemars(required)]
    pub(super) after: Option<DurationText>,
}

/// One utterance, or one of several.
// `untagged` is safe here: values that match neither form have been reported and removed.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
pub(super) enum SayFile {
    /// This utterance.
    One(String),
    /// One of these utterances.
    Many(#[schemars(length(min = 1, max = 1000))] Vec<Option<String>>),
    /// One of these utterances, picked by the seed, each as often as its weight says.
    Weighted(
        #[schemars(length(min = 1, max = 1000), extend("minProperties" = 1))]
        BTreeMap<String, Option<WeightFile>>,
    ),
}

/// One text, or one of several.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
pub(super) enum SayTextFile {
    /// This text.
    One(#[schemars(length(min = 1, max = 4000))] String),
    /// One of these texts.
    Many(#[schemars(length(min = 1, max = 1000))] Vec<Option<SentText>>),
}

/// A text to send.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(transparent)]
pub(super) struct SentText(#[schemars(length(min = 1, max = 4000))] pub(super) String);

/// One utterance of the caller and what should follow; or a loop of several turns.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct TurnFile {
    /// Name of the turn, for branches.
    #[schemars(regex(pattern = NAME_PATTERN))]
    pub(super) name: Option<String>,
    /// The utterance to say, or a list to pick one from, or a mapping of utterances to weights.
    /// With `expect: silence` and `hang_up`, the caller may say nothing.
    pub(super) say: Option<SayFile>,
    /// Instead of `say`: a text to send to the agent, or a list to pick one from; at most 4000
    /// characters each. Only with `target.kind: livekit`.
    pub(super) say_text: Option<SayTextFile>,
    /// How to pick from a list: `random`, by the seed; `in_order`, the first call takes the first
    /// entry, the second call the second one, and in a loop every pass the next. Default: random.
    pub(super) pick: Option<PickFile>,
    /// When to say it. Default: the first turn after the greeting (at `call_start` with
    /// `greeting: none`), the others after the previous turn.
    pub(super) start: Option<StartFile>,
    /// What should follow: `respond`, `stop`, `stop_and_respond` (the agent stops, then answers:
    /// one turn with two results), `ignore`, `silence` (the agent says nothing until the timeout)
    /// or `hang_up` (the agent ends the call). Default: respond. With `say_text`, always
    /// `respond_text`.
    pub(super) expect: Option<Expect>,
    /// How long the reply may take, from the end of speech. Default: 10s.
    pub(super) timeout: Option<DurationText>,
    /// Expected words of the reply; its transcript is compared with them (`reply_wer`).
    #[schemars(length(min = 1, max = 4000))]
    pub(super) reply_text: Option<String>,
    /// Regular expression that the transcript of the reply should match somewhere
    /// (`reply_mismatched`).
    #[schemars(length(min = 1, max = 1000))]
    pub(super) reply_matches: Option<String>,
    /// Which turn follows: the first branch whose condition holds. Default, and if none holds: the
    /// next turn in order.
    #[schemars(length(min = 1, max = 100))]
    pub(super) next: Option<Vec<Option<BranchFile>>>,
    /// After this turn, the caller hangs up, at this event: `{}`, when the turn is over;
    /// `{after: agent_speech_start, delay: 1s}`, in the middle of the reply.
    pub(super) hang_up: Option<StartFile>,
    /// A loop: how often `turns` are taken, a number or `{min, max}` for a random one. Takes the
    /// place of everything else.
    pub(super) repeat: Option<RepeatFile>,
    /// The turns of a loop, in order.
    #[schemars(length(min = 1, max = 1000))]
    pub(super) turns: Option<Vec<Option<TurnFile>>>,
}

/// When a turn starts.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct StartFile {
    /// The event to wait for.
    pub(super) after: Option<Anchor>,
    /// With `after: agent_speech_end` or `agent_turn_end`: the silence after which the agent's
    /// speech counts as ended; 200ms to 60s. Default: 700ms.
    pub(super) silence: Option<DurationText>,
    /// Pause after the event: a duration, `{min, max}` for a random one, or `{mean, sd}` for a
    /// normally distributed one. Default: 0s.
    pub(super) delay: Option<DelayFile>,
}

/// A pause: fixed, or random.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
pub(super) enum DelayFile {
    /// Always this long.
    Fixed(DurationText),
    /// Drawn from this distribution.
    Random(RandomDelayFile),
}

/// The distribution of a pause: uniform from `min` to `max`, or normal with `mean` and `sd`.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RandomDelayFile {
    /// The shortest pause.
    pub(super) min: Option<DurationText>,
    /// The longest pause.
    pub(super) max: Option<DurationText>,
    /// The mean of a normal distribution; what falls below zero counts as zero.
    pub(super) mean: Option<DurationText>,
    /// Its standard deviation.
    pub(super) sd: Option<DurationText>,
}

/// How many calls, and when they start.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct LoadFile {
    /// How many calls in all. Default: 1; cannot be combined with `duration`.
    #[schemars(range(min = 1, max = 100_000))]
    pub(super) calls: Option<u32>,
    /// How many calls at once; when one ends, the next one starts. Default: all of them.
    #[schemars(range(min = 1, max = 100_000))]
    pub(super) concurrency: Option<u32>,
    /// The first `concurrency` calls start evenly over this time. Default: 0s.
    pub(super) ramp: Option<DurationText>,
    /// Keep starting calls for this long, instead of `calls`.
    pub(super) duration: Option<DurationText>,
    /// Like `duration`, for runs of several hours.
    pub(super) soak: Option<DurationText>,
    /// Changes of the concurrency: from 0 to the first target, then to the next.
    #[schemars(length(min = 1, max = 100))]
    pub(super) stages: Option<Vec<Option<StageFile>>>,
    /// A sudden spike: `base` calls at once, then `peak`, then `base` again.
    pub(super) spike: Option<SpikeFile>,
    /// Calls arrive at a given rate, whether or not earlier ones have ended.
    pub(super) arrival: Option<ArrivalFile>,
}

/// A linear change of the concurrency, from the previous target to this one.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct StageFile {
    /// How long the change takes; `0s` is immediate.
    #[schemars(required)]
    pub(super) duration: Option<DurationText>,
    /// Concurrent calls at the end of the stage.
    #[schemars(required, range(max = 100_000))]
    pub(super) target: Option<u32>,
}

/// A sudden spike.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct SpikeFile {
    /// Concurrent calls before and after the spike.
    #[schemars(required, range(min = 1, max = 100_000))]
    pub(super) base: Option<u32>,
    /// Concurrent calls during the spike.
    #[schemars(required, range(min = 2, max = 100_000))]
    pub(super) peak: Option<u32>,
    /// Time before the spike. Default: 1m.
    pub(super) before: Option<DurationText>,
    /// Length of the spike. Default: 1m.
    pub(super) hold: Option<DurationText>,
    /// Time after the spike. Default: 1m.
    pub(super) after: Option<DurationText>,
}

/// Spacing of arrivals.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum ProcessText {
    /// Evenly spaced.
    Constant,
    /// Independent of each other: exponential gaps, derived from the seed.
    Poisson,
}

/// Calls that arrive at a given rate.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ArrivalFile {
    /// Calls per second, on average; above 0.
    #[schemars(required, range(min = 0, max = 1000))]
    pub(super) rate: Option<f64>,
    /// Spacing of the arrivals. Default: constant.
    pub(super) process: Option<ProcessText>,
    /// A call that arrives while this many are in progress is dropped and counted. Default: 500.
    #[schemars(range(min = 1, max = 100_000))]
    pub(super) max_concurrent: Option<u32>,
}

/// Bounds of the generator's own health; beyond them a run is invalid.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct HealthFile {
    /// Bound on the 99th percentile of send lateness. Default: 5ms.
    pub(super) tick_lateness: Option<DurationText>,
    /// Maximum number of datagrams that the kernel may drop because loadgen's socket buffers are
    /// full. Default: 0.
    pub(super) own_drops: Option<u64>,
    /// Bound on the 99th percentile of how late signalling timers fire, which delays joins, agent
    /// states and hang-ups. Default: 30ms.
    pub(super) signalling_lateness: Option<DurationText>,
}

/// Calls before the measured ones.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct WarmupFile {
    /// Number of warm-up calls. Default: 0.
    #[schemars(range(max = 10_000))]
    pub(super) calls: Option<u32>,
}

/// A Prometheus endpoint, or a process on this machine.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ObservedFile {
    /// Name in records and reports.
    #[schemars(required, regex(pattern = NAME_PATTERN))]
    pub(super) name: Option<String>,
    /// URL of a Prometheus endpoint, such as `http://127.0.0.1:8081/metrics`.
    pub(super) url: Option<String>,
    /// Series to record besides the recognised ones; values of a series' label sets are added up.
    #[schemars(length(min = 1, max = MOST_NAMED))]
    pub(super) series: Option<Vec<Option<SeriesText>>>,
    /// Id of a process on this machine, instead of `url`.
    #[schemars(range(min = 1, max = 2_147_483_647))]
    pub(super) pid: Option<u32>,
    /// With `pid`: include all descendants of the process. Default: false.
    pub(super) children: Option<bool>,
}

/// The expressions of `thresholds`, by the name of their metric.
#[derive(Debug, Default, Deserialize)]
#[serde(transparent)]
pub(super) struct ThresholdsFile(pub(super) BTreeMap<String, Option<Expressions>>);

type Expressions = Vec<Option<ExpressionFile>>;

/// Pattern of keys with a filter: `ttfa{variant:fast}`.
const FILTERED: &str = "^[^{]*\\{";

impl JsonSchema for ThresholdsFile {
    fn schema_name() -> Cow<'static, str> {
        "ThresholdsFile".into()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let list = generator.subschema_for::<Expressions>();
        let about = |text: &str| {
            let mut list = list.clone();
            list.insert("description".to_owned(), text.into());
            list.to_value()
        };
        let metrics = Metric::ALL.iter();
        let metrics = metrics.map(|m| (m.name().to_owned(), about(m.row().definition)));
        let metrics: Map<String, Value> = metrics.collect();
        json_schema!({
            "type": "object",
            "description": "Conditions by metric: latencies as `p(95)<1500ms`, shares as `rate<0.01`. `ttfa{variant:fast}` applies to one variant.",
            "properties": metrics,
            "patternProperties": { FILTERED: about("The same for one variant.") },
            "additionalProperties": false
        })
    }
}

/// An expression such as `p(95)<1500ms`, or a mapping with `expr` and how to judge it.
// `untagged` is safe here: values that match neither form have been reported and removed.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
pub(super) enum ExpressionFile {
    /// The expression: `p(95)<1500ms`.
    Plain(String),
    /// The expression, and how to judge it.
    Full(ThresholdFile),
}

/// Which turns a threshold applies to.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum OnText {
    /// All measured turns.
    All,
    /// Turns that began while the load was steady.
    Steady,
}

/// An expression and how to judge it.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ThresholdFile {
    /// The expression: `p(95)<1500ms`.
    #[schemars(required)]
    pub(super) expr: Option<String>,
    /// `all`: every measured turn; `steady`: those that began while the load was steady.
    /// Default: all.
    pub(super) on: Option<OnText>,
    /// End the run as soon as the turns refute the threshold. Default: false.
    pub(super) abort_on_fail: Option<bool>,
    /// Do not end the run earlier than this long after the start of the first measured call.
    /// Default: 0s.
    pub(super) delay: Option<DurationText>,
}

/// One configuration of the agent under test.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct VariantFile {
    /// Name in reports.
    #[schemars(required, regex(pattern = NAME_PATTERN))]
    pub(super) name: Option<String>,
    /// Agent to dispatch. Default: the target's.
    #[schemars(length(min = 1))]
    pub(super) agent_name: Option<String>,
    /// Metadata of the dispatch. Default: the target's.
    #[schemars(length(max = 65536))]
    pub(super) metadata: Option<String>,
    /// Metadata of the room, visible to every participant. Default: the target's.
    #[schemars(length(max = 65536))]
    pub(super) room_metadata: Option<String>,
    /// Attributes of the caller, in addition to the target's.
    pub(super) attributes: Option<BTreeMap<String, Option<String>>>,
    /// Address of another LiveKit server. Default: the target's.
    pub(super) url: Option<String>,
    /// API key of that server. Default: the target's.
    pub(super) api_key: Option<String>,
    /// API secret of that server. Default: the target's. Better set in the environment.
    pub(super) api_secret: Option<String>,
    /// Settings of the embedded agent that differ from the target's.
    pub(super) agent: Option<AgentFile>,
    /// How its callers sound, where that differs from the other variants. Default: as in `call`,
    /// key by key.
    pub(super) sound: Option<EffectsFile>,
    /// Noise that goes on for its whole calls. Default: the call's.
    pub(super) background: Option<BackgroundFile>,
    /// The network of its callers. Default: as in `network`.
    pub(super) network: Option<BothFile>,
}

/// Lists of values, by name.
pub(super) type MatrixFile = BTreeMap<String, Option<AxisFile>>;

/// The values of one list.
// `untagged` is safe here, as in `SayFile`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
pub(super) enum AxisFile {
    /// Values that also serve as their names.
    List(#[schemars(length(min = 1, max = 100))] Vec<Option<ValueFile>>),
    /// Values by name.
    Named(#[schemars(length(min = 1, max = 100))] BTreeMap<String, Option<ValueFile>>),
}

/// A value that replaces a reference.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
pub(super) enum ValueFile {
    /// Text, used as it is.
    Text(String),
    /// A number, used as written: `1.10` stays `1.10`.
    Number(Number),
    /// `true` or `false`, used as written.
    Flag(bool),
}

impl ValueFile {
    /// The text that replaces a reference, unless the file spells the value differently.
    pub(super) fn text(&self) -> String {
        match self {
            Self::Text(text) => text.clone(),
            Self::Number(number) => number.to_string(),
            Self::Flag(flag) => flag.to_string(),
        }
    }
}
