//! The agent's account of a turn, recorded next to the measurements.
//!
//! In: the account of a turn, its measured result. Out: an [`AgentAccount`]. Invariants: what the
//! agent does not report is absent; the front of the blind spot, the time between the agent's two
//! instants, and the back of the blind spot add up to `ttfa_ms`.

use super::ms::Ms;
use super::spans::SpanRecord;
use crate::account::{Placed, SessionState, Step, ToolAccount, TurnAccount, TurnSpans, WordErrors};
use crate::call::TurnResult;
use crate::vocab::{Pattern, Transcripts};
use serde::{Deserialize, Serialize};
use std::time::{Duration, Instant};

/// The agent's account of a turn. Times in ms; instants are the agent's, placed on the
/// caller's clock and relative to the run's start.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct AgentAccount {
    /// When, according to the agent, the caller stopped speaking.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) heard_end_ms: Option<Ms>,
    /// When the agent began to play its reply out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) started_speaking_ms: Option<Ms>,
    /// Width of the interval that contains each of these two instants. Absent if the agent does not
    /// answer requests: the instants are then the latest possible ones.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) clock_width_ms: Option<Ms>,
    /// The caller stopped speaking → final transcript.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) transcription_delay_ms: Option<Ms>,
    /// The caller stopped speaking → end of turn decided.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) end_of_turn_delay_ms: Option<Ms>,
    /// How long the application's end-of-turn hook ran.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) on_user_turn_completed_delay_ms: Option<Ms>,
    /// Language model: request → first token.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) llm_node_ttft_ms: Option<Ms>,
    /// Language model: request → first sentence.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) llm_node_ttfs_ms: Option<Ms>,
    /// Speech synthesis: first text → first audio.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) tts_node_ttfb_ms: Option<Ms>,
    /// How long the caller waited, as the agent measured it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) e2e_latency_ms: Option<Ms>,
    /// End of speech → arrival of the final transcript at the caller.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) transcript_delay_ms: Option<Ms>,
    /// When the agent sent the request for the reply to its language model.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) model_asked_ms: Option<Ms>,
    /// How long tools ran in the turn; tools that ran at the same time count once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) tool_call_ms: Option<Ms>,
    /// The part of the critical path that the agent's account does not explain.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) unexplained_ms: Option<Ms>,
    /// `ttfa_ms` − `e2e_latency_ms`: the part of the caller's wait that the agent does not measure.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) blind_spot_ms: Option<Ms>,
    /// End of speech → end of speech according to the agent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) blind_spot_front_ms: Option<Ms>,
    /// Start of the reply's playout at the agent → onset at the caller.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) blind_spot_back_ms: Option<Ms>,
    /// The critical path from the end of speech to the onset, in chronological order; its lengths
    /// add up to `ttfa_ms`. The first length is negative if the agent places the end of speech too
    /// early.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) path: Vec<PathStep>,
    /// The tool calls in the turn.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) tools: Vec<ToolRecord>,
    /// The agent's states that began in the turn.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) states: Vec<StateRecord>,
    /// The spans of the agent's traces that began in the turn, by when they began.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) spans: Vec<SpanRecord>,
    /// Width of the interval in which the beginning of the first span lies. Absent without spans, and
    /// if the agent answers no requests: then their instants are the latest possible ones.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) spans_width_ms: Option<Ms>,
    /// Number of further spans of the turn, which are not recorded.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) spans_left_out: Option<usize>,
    /// What the agent understood; absent if transcripts are dropped.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) heard_text: Option<String>,
    /// The transcript of the agent's reply; absent if transcripts are dropped.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) reply_text: Option<String>,
    /// Word errors in the transcript of the caller, if the utterance has a text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) heard_errors: Option<WordErrors>,
    /// Word errors in the transcript of the reply, if the turn has a `reply_text`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) reply_errors: Option<WordErrors>,
    /// Whether the transcript of the reply matches the turn's `reply_matches`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) reply_matches: Option<bool>,
}

/// A step of the critical path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PathStep {
    pub step: Step,
    pub ms: Ms,
}

/// A tool call; instants relative to the run's start.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ToolRecord {
    pub name: String,
    pub began_ms: Ms,
    /// End of the tool call; absent if it had not ended by the end of the turn.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_ms: Option<Ms>,
    #[serde(default)]
    pub failed: bool,
}

/// A state that the agent reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct StateRecord {
    pub state: SessionState,
    /// When the state began, relative to the run's start.
    pub at_ms: Ms,
}

/// The words that the caller and the agent are expected to say in a turn.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct SaidWords<'a> {
    /// The words of the caller's utterance.
    pub utterance: Option<&'a str>,
    /// The expected words of the agent's reply.
    pub reply: Option<&'a str>,
    /// The pattern that the agent's words should match.
    pub pattern: Option<&'a Pattern>,
    pub transcripts: Transcripts,
}

impl AgentAccount {
    /// The record of `account`; instants become relative to `run_start`.
    pub(super) fn new(
        account: &TurnAccount,
        result: &TurnResult,
        words: &SaidWords<'_>,
        run_start: Instant,
    ) -> Self {
        let since = |at: Option<Placed>| at.map(|at| Ms::between(run_start, at.likely()));
        let ms = |length: Option<Duration>| length.map(Ms::from);
        let end = result.speech_end;
        let heard = end
            .zip(result.ttfa)
            .and_then(|(end, ttfa)| end.checked_add(ttfa));
        let started = account.started_speaking;
        let stopped = account.stopped_speaking;
        let between = |from: Option<Instant>, to: Option<Instant>| {
            from.zip(to).map(|(from, to)| Ms::between(from, to))
        };
        Self {
            heard_end_ms: since(stopped),
            started_speaking_ms: since(started),
            clock_width_ms: ms(started.or(stopped).and_then(Placed::width)),
            transcription_delay_ms: ms(account.transcription_delay),
            end_of_turn_delay_ms: ms(account.end_of_turn_delay),
            on_user_turn_completed_delay_ms: ms(account.on_user_turn_completed_delay),
            llm_node_ttft_ms: ms(account.llm_node_ttft),
            llm_node_ttfs_ms: ms(account.llm_node_ttfs),
            tts_node_ttfb_ms: ms(account.tts_node_ttfb),
            e2e_latency_ms: ms(account.e2e_latency),
            transcript_delay_ms: between(end, account.transcribed),
            model_asked_ms: since(account.asked),
            tool_call_ms: ms(tool_time(&account.tools)),
            unexplained_ms: unexplained(account),
            blind_spot_ms: result.ttfa.zip(own_latency(account)).map(|(heard, said)| {
                Ms::from_micros(Ms::from(heard).micros() - Ms::from(said).micros())
            }),
            blind_spot_front_ms: between(end, stopped.map(Placed::likely)),
            blind_spot_back_ms: between(started.map(Placed::likely), heard),
            path: path(account, result),
            tools: account
                .tools
                .iter()
                .map(|tool| ToolRecord {
                    name: tool.name.to_string(),
                    began_ms: Ms::between(run_start, tool.began.likely()),
                    ended_ms: since(tool.ended),
                    failed: tool.failed,
                })
                .collect(),
            states: account
                .states
                .iter()
                .map(|(state, at)| StateRecord {
                    state: *state,
                    at_ms: Ms::between(run_start, at.likely()),
                })
                .collect(),
            ..Self::of_words(account, words)
        }
    }

    /// The figures alone, without texts and lists.
    pub(crate) fn figures(&self) -> Self {
        Self {
            path: Vec::new(),
            tools: Vec::new(),
            states: Vec::new(),
            spans: Vec::new(),
            spans_width_ms: None,
            spans_left_out: None,
            heard_text: None,
            reply_text: None,
            ..self.clone()
        }
    }

    /// Adds the spans of the turn. `zero`: the caller's end of speech.
    pub(super) fn add_spans(&mut self, spans: &TurnSpans, zero: Instant) {
        let first = spans.spans.first();
        self.spans_width_ms = first.and_then(|first| first.began.width()).map(Ms::from);
        self.spans_left_out = Some(spans.left_out).filter(|n| *n > 0);
        let all = spans.spans.iter();
        self.spans = all.map(|placed| SpanRecord::new(placed, zero)).collect();
    }

    /// What the agent understood and said, compared with what it should have.
    fn of_words(account: &TurnAccount, words: &SaidWords<'_>) -> Self {
        let (heard, reply) = (account.heard_text.as_deref(), account.reply_text.as_deref());
        let errors = |said: Option<&str>, text: Option<&str>| WordErrors::between(said?, text?);
        let kept = |text: Option<&str>| {
            let kept = text.filter(|text| !text.is_empty());
            kept.filter(|_| words.transcripts == Transcripts::Keep)
                .map(str::to_owned)
        };
        Self {
            heard_text: kept(heard),
            reply_text: kept(reply),
            heard_errors: errors(words.utterance, heard),
            reply_errors: errors(words.reply, reply),
            reply_matches: words
                .pattern
                .zip(reply)
                .map(|(pattern, text)| pattern.matches(text)),
            ..Self::default()
        }
    }
}

/// The agent's own latency: the figure that it reports, or else the time between its two instants.
fn own_latency(account: &TurnAccount) -> Option<Duration> {
    account.e2e_latency.or_else(|| {
        let (stopped, started) = (account.stopped_speaking?, account.started_speaking?);
        started.likely().checked_duration_since(stopped.likely())
    })
}

/// The unexplained part of the agent's critical path; `None` without a path, and for a
/// speech-to-speech model, whose parts are not known.
fn unexplained(account: &TurnAccount) -> Option<Ms> {
    if account.path.iter().any(|(step, _)| *step == Step::Model) {
        return None;
    }
    let steps = account
        .path
        .iter()
        .filter(|(step, _)| *step == Step::Unexplained);
    let sum: Duration = steps.map(|(_, length)| *length).sum();
    (!account.path.is_empty()).then(|| Ms::from(sum))
}

/// The critical path from the caller's end of speech to the onset. The steps before and after the
/// agent's own steps cover the rest of `ttfa`, so that all steps add up to it.
fn path(account: &TurnAccount, result: &TurnResult) -> Vec<PathStep> {
    let (Some(wire), Some(playout), Some(end), Some(zero)) = (
        result.ttfa_wire,
        result.playout_delay,
        result.speech_end,
        account.stopped_speaking.or(account.turn_over),
    ) else {
        return Vec::new();
    };
    if account.path.is_empty() {
        return Vec::new();
    }
    let step = |step, ms| PathStep { step, ms };
    let front = Ms::between(end, zero.likely());
    let first = match account.stopped_speaking {
        Some(_) => Step::LateEnd,
        None => Step::EndOfTurn,
    };
    let agents = account
        .path
        .iter()
        .map(|(s, length)| step(*s, Ms::from(*length)));
    let mut steps = vec![step(first, front)];
    steps.extend(agents);
    let so_far: i64 = steps.iter().map(|s| s.ms.micros()).sum();
    let delivery = Ms::from_micros(Ms::from(wire).micros() - so_far);
    steps.push(step(Step::Delivery, delivery));
    steps.push(step(Step::Playout, Ms::from(playout)));
    steps.retain(|s| s.ms != Ms::default());
    steps
}

/// Total time for which tools ran; `None` if no tool call ended.
fn tool_time(tools: &[ToolAccount]) -> Option<Duration> {
    let mut spans: Vec<(Instant, Instant)> = tools
        .iter()
        .filter_map(|tool| Some((tool.began.likely(), tool.ended?.likely())))
        .collect();
    spans.sort();
    let mut busy_until = spans.first()?.0;
    let mut sum = Duration::ZERO;
    for (began, ended) in spans {
        sum += ended.saturating_duration_since(began.max(busy_until));
        busy_until = busy_until.max(ended);
    }
    Some(sum)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vocab::{Expect, Outcome};
    use std::time::Duration;

    #[test]
    fn the_blind_spot_is_split_into_front_and_back() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let mut result = TurnResult::unstarted(0, Expect::Respond, Outcome::Replied);
        result.speech_end = Some(at(2_000));
        result.ttfa = Some(Duration::from_millis(1_030));
        let placed = |earliest, latest| Placed {
            earliest: Some(at(earliest)),
            latest: at(latest),
        };
        let account = TurnAccount {
            stopped_speaking: Some(placed(2_028, 2_032)),
            started_speaking: Some(placed(2_820, 2_826)),
            e2e_latency: Some(Duration::from_millis(793)),
            transcribed: Some(at(2_717)),
            ..TurnAccount::default()
        };
        let record = AgentAccount::new(&account, &result, &SaidWords::default(), start);
        let ms = |ms: i64| Some(Ms::from_micros(ms * 1_000));
        assert_eq!(record.heard_end_ms, ms(2_030));
        assert_eq!(record.started_speaking_ms, ms(2_823));
        assert_eq!(record.clock_width_ms, ms(6));
        assert_eq!(record.blind_spot_ms, ms(237));
        assert_eq!(record.blind_spot_front_ms, ms(30));
        assert_eq!(record.blind_spot_back_ms, ms(207));
        assert_eq!(record.transcript_delay_ms, ms(717));
        assert_eq!(record.llm_node_ttft_ms, None);
        assert_eq!(record.unexplained_ms, None);

        // A turn without a reply has no blind spot, but the agent still reported an end of speech.
        result.ttfa = None;
        let missed = AgentAccount::new(&account, &result, &SaidWords::default(), start);
        assert_eq!(missed.blind_spot_ms, None);
        assert_eq!(missed.blind_spot_front_ms, ms(30));
    }
}
