//! What the agent says about a turn, as recorded beside what was heard of it.
//!
//! In: the account of a turn, its measured result. Out: an [`AgentAccount`]. Invariants: what the
//! agent does not say is absent; the front of the blind spot, the agent's own latency between its
//! instants, and the back add up to `ttfa_ms`.

use super::ms::Ms;
use crate::account::{Placed, TurnAccount};
use crate::call::TurnResult;
use serde::{Deserialize, Serialize};
use std::time::{Duration, Instant};

/// What the agent says about a turn. Times in ms; instants are the agent's, placed on the caller's
/// clock and relative to the run's start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct AgentAccount {
    /// Where the agent places the end of the caller's speech.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) heard_end_ms: Option<Ms>,
    /// When the agent began to play its reply out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) started_speaking_ms: Option<Ms>,
    /// Width of the interval in which those instants lie. Absent if the agent answers no requests:
    /// then they are the latest possible ones.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) clock_width_ms: Option<Ms>,
    /// The caller stopped speaking → final transcript.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) transcription_delay_ms: Option<Ms>,
    /// The caller stopped speaking → end of turn decided.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) end_of_turn_delay_ms: Option<Ms>,
    /// Length of the application's hook at the end of the turn.
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
    /// The agent's own figure for how long the caller waited.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) e2e_latency_ms: Option<Ms>,
    /// End of speech → arrival of the final transcript at the caller.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) transcript_delay_ms: Option<Ms>,
    /// The part of `e2e_latency_ms` that neither the end of the turn, the hook, the language model
    /// nor the synthesis accounts for; 0 if they overlap.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) unexplained_ms: Option<Ms>,
    /// `ttfa_ms` − `e2e_latency_ms`: what the caller waited and the agent does not know of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) blind_spot_ms: Option<Ms>,
    /// End of speech → where the agent places it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) blind_spot_front_ms: Option<Ms>,
    /// The agent began to play its reply out → the caller heard it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) blind_spot_back_ms: Option<Ms>,
}

impl AgentAccount {
    /// The record of `account`; instants become relative to `run_start`.
    pub(super) fn new(account: &TurnAccount, result: &TurnResult, run_start: Instant) -> Self {
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
            unexplained_ms: ms(account.unexplained),
            blind_spot_ms: result.ttfa.zip(account.e2e_latency).map(|(heard, said)| {
                Ms::from_micros(Ms::from(heard).micros() - Ms::from(said).micros())
            }),
            blind_spot_front_ms: between(end, stopped.map(Placed::likely)),
            blind_spot_back_ms: between(started.map(Placed::likely), heard),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vocab::{Expect, Outcome};
    use std::time::Duration;

    #[test]
    fn the_blind_spot_has_a_front_and_a_back() {
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
        let record = AgentAccount::new(&account, &result, start);
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

        // A turn without a reply has no blind spot, but still an end of speech that was noticed.
        result.ttfa = None;
        let missed = AgentAccount::new(&account, &result, start);
        assert_eq!(missed.blind_spot_ms, None);
        assert_eq!(missed.blind_spot_front_ms, ms(30));
    }
}
