//! Where the samples of every metric come from.
//!
//! In: records. Out: the samples of a metric, of all turns or of some. Invariants: warm-up calls,
//! sentinel calls and turns that the end of the run cut off are in no sample; an awaited event
//! that never happened is +∞; the turns of a call are one group.

use super::conversation::{Disturbed, Interrupted};
use super::samples::{counting_calls, counting_turns, finite, of_call, of_reply_end, of_turn};
use crate::record::{AgentAccount, CallRecord, Ms, ReplyAudio, StreamRecord, TurnRecord};
use crate::stats::{Distribution, Population, Proportion, Sample};
use crate::vocab::{Expect, Metric, Outcome};
use std::collections::BTreeMap;
use std::time::Duration;

/// Where the values of a metric come from.
#[derive(Debug, Clone, Copy)]
pub(in crate::record) enum ValueSource {
    /// A latency of the turns whose expectation satisfies `asked`.
    Turns {
        asked: fn(Expect) -> bool,
        of: fn(&TurnRecord) -> Option<Ms>,
        /// The sample of a turn with or without the latency.
        sample: fn(&TurnRecord, Option<Ms>) -> Option<Sample>,
    },
    /// A latency of calls.
    Calls {
        of: fn(&CallRecord) -> Option<Ms>,
        awaited: bool,
    },
    /// A share of turns: those for which the function is true.
    Share(fn(&TurnRecord) -> bool),
    /// A share of the parts of turns, such as words: the function returns hits and total, or `None`
    /// for a turn that is left out.
    Parts(fn(&TurnRecord) -> Option<(usize, usize)>),
    /// A share of the parts of calls, such as packets, as for [`Self::Parts`].
    PartsOfCalls(fn(&CallRecord) -> Option<(usize, usize)>),
    /// A share of turns that is a property of their call: the turns of a call together count as one
    /// sample.
    ShareOfCalls(fn(&TurnRecord) -> bool),
}

/// A latency that is +∞ for missed and failed turns.
const fn awaited(asked: fn(Expect) -> bool, of: fn(&TurnRecord) -> Option<Ms>) -> ValueSource {
    ValueSource::Turns {
        asked,
        of,
        sample: of_turn,
    }
}

/// A latency of only the turns that have it.
const fn found(of: fn(&TurnRecord) -> Option<Ms>) -> ValueSource {
    ValueSource::Turns {
        asked: |_| true,
        of,
        sample: |_, ms| finite(ms),
    }
}

/// Counts a negative time as 0, so that quantiles are those of all turns.
fn not_negative(ms: Option<Ms>) -> Option<Ms> {
    ms.map(|ms| ms.max(Ms::default()))
}

/// The account of a turn for word metrics; `None` for a failed turn, which is no evidence about
/// speech recognition.
fn understood(turn: &TurnRecord) -> Option<&AgentAccount> {
    turn.agent
        .as_ref()
        .filter(|_| turn.outcome != Outcome::Failed)
}

const fn calls(awaited: bool, of: fn(&CallRecord) -> Option<Ms>) -> ValueSource {
    ValueSource::Calls { of, awaited }
}

/// Packets lost of those expected, in one direction of a call; `None` if none were expected.
fn lost(stream: &StreamRecord) -> Option<(usize, usize)> {
    let expected = usize::try_from(stream.expected).ok().filter(|n| *n > 0)?;
    Some((usize::try_from(stream.lost).ok()?.min(expected), expected))
}

/// A share of the turns for which the function has an answer.
macro_rules! one_of_each {
    ($of:expr) => {
        ValueSource::Parts(|t| {
            let of: fn(&TurnRecord) -> Option<bool> = $of;
            Some((usize::from(of(t)?), 1))
        })
    };
}

/// A share of the replies whose audio was watched.
macro_rules! of_reply {
    ($is:expr) => {
        one_of_each!(|t| {
            let is: fn(&ReplyAudio) -> bool = $is;
            t.reply_audio.as_ref().map(is)
        })
    };
}

/// The time in which both spoke, and the time in which anybody did, in ms.
fn overlap_ratio(turn: &TurnRecord) -> Option<(usize, usize)> {
    let floor = turn.conversation.as_ref()?.floor;
    let ms = |ms: Ms| usize::try_from(ms.micros() / 1_000).unwrap_or(0);
    Some((ms(floor.overlap_ms), ms(floor.speech_ms)))
}

fn interruption_ignored(turn: &TurnRecord) -> Option<bool> {
    match Interrupted::of(turn)? {
        Interrupted::Obeyed => Some(false),
        Interrupted::Ignored => Some(true),
        Interrupted::NoChance => None,
    }
}

fn false_interruption(turn: &TurnRecord) -> Option<bool> {
    match Disturbed::of(turn)? {
        Disturbed::WentOn => Some(false),
        Disturbed::Stopped => Some(true),
        Disturbed::Spoke | Disturbed::NoChance => None,
    }
}

impl ValueSource {
    /// The sample that a turn adds, if any.
    pub(in crate::record) fn of_turn(self, turn: &TurnRecord) -> Option<Sample> {
        match self {
            Self::Turns { asked, .. } if !asked(turn.expect) => None,
            Self::Turns { of, sample, .. } => sample(turn, of(turn)),
            _ => None,
        }
    }

    /// The sample that a call adds, if any.
    pub(in crate::record) fn of_call(self, call: &CallRecord) -> Option<Sample> {
        match self {
            Self::Calls { of, awaited } if awaited => of_call(call, of(call)),
            Self::Calls { of, .. } => finite(of(call)),
            _ => None,
        }
    }

    /// Whether turns with this expectation enter the metric.
    fn enters(self, expect: Expect) -> bool {
        match self {
            Self::Turns { asked, .. } => asked(expect),
            _ => true,
        }
    }
}

/// A call in progress, with its outstanding turns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct OpenCall {
    /// Index in the plan.
    pub call: usize,
    pub variant: String,
    /// Expectations of its turns that have not ended.
    pub unended: Vec<Expect>,
}

impl Metric {
    /// Where the metric's values come from.
    pub(in crate::record) fn values(self) -> ValueSource {
        match self {
            Self::Ttfa => awaited(Expect::asks_for_reply, |t| t.ttfa_ms),
            Self::TtfaWire => awaited(Expect::asks_for_reply, |t| t.ttfa_wire_ms),
            Self::Playout => found(|t| t.playout_ms),
            Self::LeadIn => found(|t| t.lead_in_ms),
            Self::Stop => awaited(Expect::asks_for_stop, |t| t.stop_ms),
            // Earlier releases did not look for fillers.
            Self::Answer => awaited(Expect::asks_for_reply, |t| t.answer_ms.or(t.ttfa_ms)),
            Self::StopWire => awaited(Expect::asks_for_stop, |t| t.stop_wire_ms),
            Self::Resume => found(|t| t.resume_ms),
            Self::Overlap => found(|t| Some(t.conversation.as_ref()?.floor.overlap_ms)),
            Self::HangUp => awaited(Expect::asks_for_hang_up, |t| t.hang_up_ms),
            Self::TextTtft => awaited(Expect::asks_for_text, |t| t.text_ttft_ms),
            Self::TextReply => ValueSource::Turns {
                asked: Expect::asks_for_text,
                of: |t| t.text_reply_ms,
                sample: of_reply_end,
            },
            Self::ReplyGap => found(|t| Some(t.reply_audio.as_ref()?.longest_stall())),
            Self::TranscriptionDelay => found(|t| t.agent.as_ref()?.transcription_delay_ms),
            Self::EndOfTurnDelay => found(|t| t.agent.as_ref()?.end_of_turn_delay_ms),
            Self::OnUserTurnCompletedDelay => {
                found(|t| t.agent.as_ref()?.on_user_turn_completed_delay_ms)
            }
            Self::LlmNodeTtft => found(|t| t.agent.as_ref()?.llm_node_ttft_ms),
            Self::LlmNodeTtfs => found(|t| t.agent.as_ref()?.llm_node_ttfs_ms),
            Self::TtsNodeTtfb => found(|t| t.agent.as_ref()?.tts_node_ttfb_ms),
            Self::ToolCall => found(|t| t.agent.as_ref()?.tool_call_ms),
            Self::E2eLatency => found(|t| t.agent.as_ref()?.e2e_latency_ms),
            Self::Unexplained => found(|t| t.agent.as_ref()?.unexplained_ms),
            Self::TranscriptDelay => found(|t| t.agent.as_ref()?.transcript_delay_ms),
            Self::BlindSpot => found(|t| not_negative(t.agent.as_ref()?.blind_spot_ms)),
            Self::BlindSpotFront => found(|t| not_negative(t.agent.as_ref()?.blind_spot_front_ms)),
            Self::BlindSpotBack => found(|t| not_negative(t.agent.as_ref()?.blind_spot_back_ms)),
            Self::Join => calls(true, |c| c.join_ms),
            Self::AgentPresent => calls(true, |c| c.agent_present_ms),
            Self::AgentAudible => calls(true, |c| c.agent_audible_ms),
            Self::Greeting => calls(false, |c| c.greeting_ms),
            Self::Rtt => calls(false, |c| c.connection.as_ref()?.rtt_ms()),
            Self::Jitter => calls(false, |c| c.connection.as_ref()?.jitter_down_ms()),
            Self::Replied => ValueSource::Share(|t| t.outcome == Outcome::Replied),
            Self::Missed => ValueSource::Share(|t| t.outcome == Outcome::Missed),
            Self::Early => ValueSource::Share(|t| t.outcome == Outcome::Early),
            Self::Failed => ValueSource::ShareOfCalls(|t| t.outcome == Outcome::Failed),
            Self::Wer => ValueSource::Parts(|t| Some(understood(t)?.heard_errors?.capped())),
            Self::ReplyWer => ValueSource::Parts(|t| Some(understood(t)?.reply_errors?.capped())),
            Self::ReplyMismatched => one_of_each!(|t| Some(!understood(t)?.reply_matches?)),
            Self::OverlapRatio => ValueSource::Parts(overlap_ratio),
            Self::AwkwardSilence => {
                one_of_each!(|t| Some(t.conversation.as_ref()?.awkward.count > 0))
            }
            Self::InterruptionIgnored => one_of_each!(interruption_ignored),
            Self::FalseInterruption => one_of_each!(false_interruption),
            Self::Stalled => of_reply!(ReplyAudio::is_stalled),
            Self::Underrun => of_reply!(|r| r.underruns.count > 0),
            Self::Burst => of_reply!(|r| r.bursts.count > 0),
            Self::TruncatedHead => of_reply!(|r| r.truncated_head),
            Self::Clipped => of_reply!(|r| r.clipped),
            Self::LevelJump => of_reply!(|r| r.level_jump_db.is_some()),
            Self::LossUp => ValueSource::PartsOfCalls(|c| lost(&c.connection.as_ref()?.up)),
            Self::LossDown => {
                ValueSource::PartsOfCalls(|c| lost(&c.connection.as_ref()?.down.stream))
            }
        }
    }

    /// The metric's value for a turn, whatever the turn expects.
    pub(crate) fn ms_of_turn(self, turn: &TurnRecord) -> Option<Ms> {
        match self.values() {
            ValueSource::Turns { of, .. } => of(turn),
            _ => None,
        }
    }

    /// The metric's value for a call.
    pub(crate) fn ms_of_call(self, call: &CallRecord) -> Option<Ms> {
        match self.values() {
            ValueSource::Calls { of, .. } => of(call),
            _ => None,
        }
    }

    /// The latency that an ended turn adds to running figures.
    pub(crate) fn of_turn(self, turn: &TurnRecord) -> Option<Duration> {
        self.values().of_turn(turn).and_then(Sample::finite)
    }

    /// The latency that an ended call adds to running figures.
    pub(crate) fn of_call(self, call: &CallRecord) -> Option<Duration> {
        self.values().of_call(call).and_then(Sample::finite)
    }

    /// The metric's samples among these calls and turns, of one variant or of all.
    pub(crate) fn population(
        self,
        calls: &[CallRecord],
        turns: &[TurnRecord],
        variant: Option<&str>,
    ) -> Population {
        self.population_at_best(calls, turns, variant, &[], true)
    }

    /// As [`Self::population`], but assumes that the outstanding turns of the calls in progress
    /// (`open`) meet an upper bound (`upper`) or a lower one. The ended turns alone would overstate
    /// failures: a failing call ends all of its turns at once, a successful one does so one by one.
    pub(in crate::record) fn population_at_best(
        self,
        calls: &[CallRecord],
        turns: &[TurnRecord],
        variant: Option<&str>,
        open: &[OpenCall],
        upper: bool,
    ) -> Population {
        let turns = || counting_turns(turns, variant);
        let open = || {
            open.iter()
                .filter(|c| variant.is_none_or(|v| v == c.variant))
        };
        let values = self.values();
        let enters = |e: &&Expect| values.enters(**e);
        let owed = || open().flat_map(|c| c.unended.iter().filter(enters).map(|_| c.call));
        let best = match upper {
            true => Sample::Finite(Duration::ZERO),
            false => Sample::Infinite,
        };
        match values {
            ValueSource::Turns { .. } => {
                let ended = turns().filter_map(|t| Some((t.call, values.of_turn(t)?)));
                let owed = owed().map(|call| (call, best));
                Population::Latencies(Distribution::in_groups(ended.chain(owed)))
            }
            ValueSource::Share(of) | ValueSource::ShareOfCalls(of) => {
                let ended = turns().map(|t| (t.call, of(t)));
                let share: Proportion = ended.chain(owed().map(|call| (call, !upper))).collect();
                Population::Share(match values {
                    ValueSource::ShareOfCalls(_) => share.of_whole_groups(),
                    _ => share,
                })
            }
            // Outstanding turns are left out: the number of their parts is not known yet.
            ValueSource::Parts(of) => {
                let mut groups: BTreeMap<usize, (usize, usize)> = BTreeMap::new();
                for (call, (hits, size)) in turns().filter_map(|t| Some((t.call, of(t)?))) {
                    let group = groups.entry(call).or_default();
                    *group = (group.0 + hits, group.1 + size);
                }
                Population::Share(Proportion::of_groups(groups.into_values()))
            }
            // Calls in progress are left out as well: what they will lose is not known.
            ValueSource::PartsOfCalls(of) => {
                let ended = counting_calls(calls, variant).filter_map(of);
                Population::Share(Proportion::of_groups(ended))
            }
            ValueSource::Calls { awaited, .. } => {
                let owed = open().filter(|_| awaited).map(|_| best);
                let ended = counting_calls(calls, variant).filter_map(|c| values.of_call(c));
                Population::Latencies(ended.chain(owed).collect())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::account::WordErrors;
    use crate::record::fixtures::{Failure, Outcome, Run, TurnResult, base, ms, recorded, turn};
    use crate::record::{ConnectionRecord, ConversationRecord, FloorRecord};

    #[test]
    fn generator_failures_are_not_infinite_samples() {
        let broken = Failure::Generator {
            detail: "Too many open files".into(),
        };
        for (failure, infinite) in [(Failure::AgentLeft, true), (broken, false)] {
            let mut run = Run::default();
            run.good(1).bad(Outcome::Failed, Some(failure.clone()));
            let failed = |t: &&TurnRecord| t.outcome == Outcome::Failed;
            assert!(run.turns.iter().any(|t| failed(&t)));
            for turn in run.turns.iter().filter(failed) {
                let sample = of_turn(turn, None);
                assert_eq!(sample, infinite.then_some(Sample::Infinite), "{failure}");
            }
        }
    }

    #[test]
    fn every_metric_selects_its_samples() {
        let mut run = Run::default();
        run.good(3)
            .bad(Outcome::Missed, None)
            .bad(Outcome::Early, None)
            .bad(Outcome::Failed, Some(Failure::AgentLeft))
            .stopped();
        run.calls[0].variant = "fast".into();
        run.turns[..3]
            .iter_mut()
            .for_each(|t| t.variant = "fast".into());
        run.turns[0].lead_in_ms = Some(Ms::from_micros(20_000));
        // The agent's account of one turn; a negative part of the blind spot counts as 0.
        let ms = |ms: i64| Some(Ms::from_micros(ms * 1_000));
        run.turns[0].agent = Some(AgentAccount {
            end_of_turn_delay_ms: ms(470),
            e2e_latency_ms: ms(790),
            blind_spot_ms: ms(240),
            blind_spot_front_ms: ms(-20),
            heard_errors: Some(WordErrors {
                errors: 1,
                words: 5,
            }),
            reply_matches: Some(true),
            ..AgentAccount::default()
        });
        // Two turns whose conversation is known; in one, the agent stopped for a cough.
        let floor = FloorRecord {
            speech_ms: Ms::from_micros(2_000_000),
            caller_came_in: 1,
            ..FloorRecord::default()
        };
        for turn in &mut run.turns[..2] {
            turn.conversation = Some(ConversationRecord {
                floor,
                ..ConversationRecord::default()
            });
        }
        let cough = &mut run.turns[1];
        (cough.stop_ms, cough.resume_ms) = (ms(300), ms(900));
        cough.expect = Expect::Ignore;
        run.calls[0].connection = Some(Box::new(ConnectionRecord::lossy()));
        run.warmup = true;
        run.good(2).bad(Outcome::Missed, None);
        run.calls[8].connection = Some(Box::new(ConnectionRecord::lossy()));
        // Counts for all variants, and for `fast`. 19 turns of 7 calls were not cut off.
        let expected = [
            ("ttfa", 15, 2),
            ("ttfa_wire", 15, 2),
            ("playout", 10, 3),
            ("lead_in", 1, 1),
            ("answer", 15, 2),
            ("stop", 0, 0),
            ("stop_wire", 0, 0),
            ("resume", 1, 1),
            ("overlap", 2, 2),
            ("hang_up", 0, 0),
            ("text_ttft", 0, 0),
            ("text_reply", 0, 0),
            ("reply_gap", 0, 0),
            ("transcription_delay", 0, 0),
            ("end_of_turn_delay", 1, 1),
            ("on_user_turn_completed_delay", 0, 0),
            ("llm_node_ttft", 0, 0),
            ("llm_node_ttfs", 0, 0),
            ("tts_node_ttfb", 0, 0),
            ("tool_call", 0, 0),
            ("e2e_latency", 1, 1),
            ("unexplained", 0, 0),
            ("transcript_delay", 0, 0),
            ("blind_spot", 1, 1),
            ("blind_spot_front", 1, 1),
            ("blind_spot_back", 0, 0),
            ("join", 7, 1),
            ("agent_present", 7, 1),
            ("agent_audible", 7, 1),
            ("greeting", 3, 1),
            ("rtt", 1, 1),
            ("jitter", 1, 1),
            ("replied", 19, 3),
            ("missed", 19, 3),
            ("early", 19, 3),
            ("failed", 19, 3),
            ("wer", 5, 5),
            ("reply_wer", 0, 0),
            ("reply_mismatched", 1, 1),
            ("overlap_ratio", 4_000, 4_000),
            ("awkward_silence", 2, 2),
            ("interruption_ignored", 0, 0),
            ("false_interruption", 1, 1),
            ("stalled", 0, 0),
            ("underrun", 0, 0),
            ("burst", 0, 0),
            ("truncated_head", 0, 0),
            ("clipped", 0, 0),
            ("level_jump", 0, 0),
            ("loss_up", 100, 100),
            ("loss_down", 80, 80),
        ];
        let names: Vec<&str> = Metric::ALL.iter().map(|m| m.name()).collect();
        assert_eq!(names, expected.map(|(name, ..)| name));
        for (name, all, fast) in expected {
            let metric = Metric::named(name).expect(name);
            let of = |variant| metric.population(&run.calls, &run.turns, variant).count();
            assert_eq!(
                (of(None), of(Some("fast")), of(Some("x"))),
                (all, fast, 0),
                "{name}"
            );
        }
    }

    #[test]
    fn a_reply_in_text_that_never_came_or_never_ended_is_infinite() {
        let latency = |wait: u64| Sample::Finite(ms(wait));
        // Outcome, beginning and end of the reply, how long the caller waited for its end; samples.
        let cases = [
            (
                "ended",
                Outcome::Replied,
                [Some(300), Some(800), None],
                [Some(latency(300)), Some(latency(800))],
            ),
            (
                "missed",
                Outcome::Missed,
                [None; 3],
                [Some(Sample::Infinite); 2],
            ),
            (
                "never ended",
                Outcome::Replied,
                [Some(300), None, None],
                [Some(latency(300)), Some(Sample::Infinite)],
            ),
            (
                "cut short by the caller",
                Outcome::Replied,
                [Some(300), None, Some(700)],
                [Some(latency(300)), None],
            ),
            (
                "cut off",
                Outcome::CutOff,
                [None, None, Some(700)],
                [None; 2],
            ),
        ];
        for (name, outcome, [ttft, reply, waited], expected) in cases {
            let result = TurnResult {
                expect: Expect::RespondText,
                text_ttft: ttft.map(ms),
                text_reply: reply.map(ms),
                waited: waited.map(ms),
                ..turn(base(), 0, outcome)
            };
            let turn = recorded(0, &result, None);
            let samples = [Metric::TextTtft, Metric::TextReply].map(|m| m.values().of_turn(&turn));
            assert_eq!(samples, expected, "{name}");
            assert_eq!(Metric::Ttfa.values().of_turn(&turn), None, "{name}");
        }
    }

    #[test]
    fn lost_packets_are_a_share_of_those_expected_grouped_by_call() {
        let mut run = Run::default();
        run.good(3);
        for call in &mut run.calls[..2] {
            call.connection = Some(Box::new(ConnectionRecord::lossy()));
        }
        for (metric, hits, total) in [(Metric::LossUp, 10, 200), (Metric::LossDown, 40, 160)] {
            let Population::Share(share) = metric.population(&run.calls, &run.turns, None) else {
                panic!("{metric:?} is not a share");
            };
            let found = (share.hits(), share.total(), share.groups());
            assert_eq!(found, (hits, total, 2), "{metric:?}");
        }
        let mean = |metric: Metric| metric.ms_of_call(&run.calls[0]).map(Ms::as_f64);
        assert_eq!(
            (mean(Metric::Rtt), mean(Metric::Jitter)),
            (Some(60.0), Some(3.0))
        );
    }

    #[test]
    fn shares_are_grouped_by_call() {
        let mut run = Run::default();
        run.good(3).bad(Outcome::Missed, None);
        let missed = Metric::named("missed").expect("`missed` is a metric");
        let Population::Share(share) = missed.population(&run.calls, &run.turns, None) else {
            panic!("`missed` is not a share");
        };
        assert_eq!((share.hits(), share.total(), share.groups()), (3, 12, 4));
        assert!(missed.is_share());
    }
}
