//! The critical path of a reply: the consecutive steps that determined its latency.
//!
//! In: the agent's figures of a turn, in ns since the end of the caller's speech as the agent
//! places it. Out: the steps that led to the reply's first audio, in order. Invariants: the
//! steps follow each other without a gap or an overlap, so their durations add up to the agent's
//! own latency; time that no figure covers is a step of its own.
//!
//! Parts of a turn overlap: with preemptive generation the model works before the end of the turn
//! is decided. The path is found backwards from the first audio: each step is the part that ended
//! last before the next step could begin.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::time::Duration;
use strum::{EnumString, IntoStaticStr, VariantArray};

/// Tolerance of an instant, in ns: some agents truncate instants to milliseconds, and a part can
/// begin slightly before the part that it depends on has ended.
const TOLERANCE: i64 = 20_000_000;

/// Longest time that a busy agent takes to pass on output that is already available, in ns.
const LAG: i64 = 150_000_000;

/// A step of the critical path.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    Hash,
    PartialOrd,
    Ord,
    Serialize,
    Deserialize,
    JsonSchema,
    EnumString,
    IntoStaticStr,
    VariantArray,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub(crate) enum Step {
    /// The agent places the end of the caller's speech too late.
    LateEnd,
    /// From the end of speech to the final transcript, if that transcript starts the model request.
    Transcription,
    /// From the end of speech to the decision that the caller's turn is over.
    EndOfTurn,
    /// The application's hook at the end of the turn.
    Hook,
    /// The language model, from the request to the tool call.
    ToolChoice,
    /// A tool call.
    Tool,
    /// The language model, from the request to its first sentence (or token).
    Llm,
    /// Speech synthesis, from its first text to its first audio.
    Tts,
    /// A speech-to-speech model, from the end of the turn.
    Model,
    /// Time that none of the agent's figures covers.
    Unexplained,
    /// From the agent's first audio until it was audible on the wire.
    Delivery,
    /// The playout delay at the caller.
    Playout,
}

impl Step {
    /// All steps, in the order in which they occur in a turn.
    pub(crate) const ALL: &[Self] = Self::VARIANTS;

    /// The step's name in files.
    pub(crate) fn name(self) -> &'static str {
        self.into()
    }

    /// The step's name as shown to users.
    pub(crate) fn words(self) -> &'static str {
        match self {
            Self::LateEnd => "end of speech noticed late",
            Self::Transcription => "transcription",
            Self::EndOfTurn => "end of turn",
            Self::Hook => "hook",
            Self::ToolChoice => "model until it called a tool",
            Self::Tool => "tool",
            Self::Llm => "LLM",
            Self::Tts => "TTS",
            Self::Model => "model",
            Self::Unexplained => "unexplained",
            Self::Delivery => "delivery",
            Self::Playout => "playout",
        }
    }
}

/// An agent's figures of a turn. Instants are in ns since the end of speech as the agent places it.
#[derive(Debug, Clone, Default)]
pub(super) struct Told {
    /// When the agent began to play its reply out.
    pub started: i64,
    pub transcription: Option<Duration>,
    pub end_of_turn: Option<Duration>,
    pub hook: Option<Duration>,
    /// When the reply was requested from the model. With preemptive generation, agents report
    /// instead when the generated reply was adopted.
    pub asked: Option<i64>,
    /// From the request to the model to its first token.
    pub first_token: Option<Duration>,
    /// From the request to the model to its first sentence (or token).
    pub llm: Option<Duration>,
    pub tts: Option<Duration>,
    /// When each tool began and ended.
    pub tools: Vec<(i64, i64)>,
}

/// A part of a turn that a reply may have waited for.
#[derive(Debug, Clone, Copy)]
struct Part {
    step: Step,
    from: i64,
    to: i64,
    /// Whether the next part can begin before this one is over.
    streams: bool,
}

fn ns(d: Duration) -> i64 {
    i64::try_from(d.as_nanos()).unwrap_or(i64::MAX)
}

impl Told {
    fn parts(&self) -> Vec<Part> {
        let part = |step, from, to| Part {
            step,
            from,
            to,
            streams: false,
        };
        let mut parts = Vec::new();
        parts.extend(
            self.transcription
                .map(|d| part(Step::Transcription, 0, ns(d))),
        );
        let mut decided = 0;
        if let Some(d) = self.end_of_turn {
            decided = ns(d);
            parts.push(part(Step::EndOfTurn, 0, decided));
        }
        if let Some(d) = self.hook.filter(|d| !d.is_zero()) {
            let from = decided;
            decided = from.saturating_add(ns(d));
            // A hook can start speech itself before it has finished.
            parts.push(Part {
                streams: true,
                ..part(Step::Hook, from, decided)
            });
        }
        // Agents do not report the model request that led to a tool call. It is assumed to fill the
        // time before the call.
        let mut before = decided;
        for (from, to) in &self.tools {
            if *from >= before {
                parts.push(part(Step::ToolChoice, before, *from));
            }
            parts.push(part(Step::Tool, *from, *to));
            before = before.max(*to);
        }
        // Speech that was synthesised before the decision had to wait for the decision.
        let speaks = self
            .tts
            .map(|d| self.started.saturating_sub(ns(d)).max(decided));
        parts.extend(speaks.map(|from| part(Step::Tts, from, self.started)));
        if let Some(llm) = self.llm.map(ns) {
            let (from, length) = match (self.asked, self.transcription.map(ns)) {
                // The model was called when the transcript was available. Its first sentence may
                // have waited for the end of the turn.
                (Some(_), Some(transcribed)) if self.is_preemptive() => {
                    let taken_up = self.asked.map_or(decided, |asked| asked.max(decided));
                    let waited = transcribed.saturating_add(llm) <= taken_up.saturating_add(LAG);
                    let token = self.first_token.map_or(llm, ns);
                    (transcribed, if waited { token } else { llm })
                }
                (Some(asked), _) => (asked, llm),
                (None, _) => (speaks.unwrap_or(self.started).saturating_sub(llm), llm),
            };
            // Synthesis speaks the model's text while the model generates more of it.
            parts.push(Part {
                streams: true,
                ..part(Step::Llm, from, from.saturating_add(length))
            });
        }
        parts.retain(|part| part.to > part.from);
        parts
    }

    /// Whether the model must have been called before the instant that the agent reports: otherwise
    /// its first token would have come after the synthesis began.
    pub(super) fn is_preemptive(&self) -> bool {
        let speaks = self.started.saturating_sub(self.tts.map_or(0, ns));
        let token = self.asked.zip(self.first_token);
        token.is_some_and(|(asked, token)| {
            asked.saturating_add(ns(token)) > speaks.saturating_add(TOLERANCE)
        })
    }

    /// The steps with their durations in ns, in chronological order.
    pub(super) fn path(&self) -> Vec<(Step, i64)> {
        let mut parts = self.parts();
        let mut steps = Vec::new();
        let mut at = self.started;
        // Each iteration removes a part or is the last iteration.
        while at > 0 {
            let end = |part: &Part| match part.streams {
                true => part.to.min(at),
                false => part.to,
            };
            let before = parts
                .iter()
                .enumerate()
                .filter(|(_, part)| part.from < at && end(part) <= at.saturating_add(TOLERANCE));
            let last = before.max_by_key(|(_, part)| (end(part).min(at), part.from));
            let Some((index, part)) = last.map(|(index, part)| (index, *part)) else {
                steps.push((self.uncovered(), at));
                break;
            };
            parts.remove(index);
            let to = end(&part).clamp(0, at);
            if to < at {
                steps.push((self.uncovered(), at - to));
            }
            let from = part.from.clamp(0, to);
            if from < to {
                steps.push((part.step, to - from));
            }
            at = from;
        }
        steps.reverse();
        steps
    }

    /// The step to which time is attributed that no part covers.
    fn uncovered(&self) -> Step {
        match self.llm.or(self.tts) {
            Some(_) => Step::Unexplained,
            None => Step::Model,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MS: i64 = 1_000_000;

    fn ms(ms: u64) -> Option<Duration> {
        Some(Duration::from_millis(ms))
    }

    fn shown(told: &Told) -> String {
        let steps = told.path().into_iter();
        let steps = steps.map(|(step, ns)| format!("{} {}", step.name(), ns / MS));
        steps.collect::<Vec<_>>().join(", ")
    }

    #[test]
    fn the_path_consists_of_the_parts_that_delayed_the_reply() {
        let plain = Told {
            started: 1_200 * MS,
            transcription: ms(700),
            end_of_turn: ms(730),
            hook: ms(0),
            asked: Some(733 * MS),
            first_token: ms(300),
            llm: ms(450),
            tts: ms(15),
            tools: vec![],
        };
        let expected = "end_of_turn 730, unexplained 3, llm 450, unexplained 2, tts 15";
        assert_eq!(shown(&plain), expected);

        // The model was called when the transcript was available, before the turn was over. The
        // agent reports when the reply was adopted; the model's first sentence came after that.
        let preemptive = Told {
            started: 1_180 * MS,
            end_of_turn: ms(900),
            asked: Some(903 * MS),
            ..plain.clone()
        };
        let expected = "transcription 700, llm 450, unexplained 15, tts 15";
        assert_eq!(shown(&preemptive), expected);
        // The end of the turn takes longer than the model, so the first sentence waits for it.
        let late = Told {
            started: 1_520 * MS,
            end_of_turn: ms(1_500),
            asked: Some(1_503 * MS),
            llm: ms(803),
            ..preemptive
        };
        assert_eq!(shown(&late), "end_of_turn 1500, unexplained 5, tts 15");

        // A busy agent passes the sentence on slightly later.
        let busy = Told {
            started: 1_565 * MS,
            llm: ms(850),
            ..late.clone()
        };
        assert_eq!(shown(&busy), "end_of_turn 1500, unexplained 50, tts 15");
        // The speech was also synthesised before the decision.
        let spoken = Told {
            started: 920 * MS,
            end_of_turn: ms(900),
            asked: Some(903 * MS),
            first_token: ms(150),
            llm: ms(200),
            tts: ms(300),
            ..plain.clone()
        };
        assert_eq!(shown(&spoken), "end_of_turn 900, tts 20");

        // A tool call without any speech before it, after a hook of 100 ms.
        let tool = Told {
            started: 2_320 * MS,
            hook: ms(100),
            asked: Some(1_850 * MS),
            tools: vec![(1_140 * MS, 1_840 * MS)],
            ..plain.clone()
        };
        let expected = "end_of_turn 730, hook 100, tool_choice 310, tool 700, unexplained 10, llm 450, unexplained 5, tts 15";
        assert_eq!(shown(&tool), expected);

        // The agent does not report when the model was called: the model is assumed to have ended
        // when the synthesis began.
        let older = Told {
            asked: None,
            ..plain.clone()
        };
        assert_eq!(
            shown(&older),
            "end_of_turn 730, unexplained 5, llm 450, tts 15"
        );
        // The synthesis begins while the model is still generating.
        let streaming = Told {
            llm: ms(700),
            ..plain.clone()
        };
        assert_eq!(
            shown(&streaming),
            "end_of_turn 730, unexplained 3, llm 452, tts 15"
        );
        let realtime = Told {
            started: 1_000 * MS,
            end_of_turn: ms(600),
            ..Told::default()
        };
        assert_eq!(shown(&realtime), "end_of_turn 600, model 400");
        let silent = Told {
            started: 1_000 * MS,
            ..Told::default()
        };
        assert_eq!(shown(&silent), "model 1000");
    }

    proptest! {
        /// Whatever an agent reports, its steps have positive durations that add up to its latency.
        #[test]
        fn the_steps_add_up_to_the_latency(
            started in -5_000i64..60_000,
            delays in prop::collection::vec(prop::option::of(0u64..20_000), 6),
            asked in prop::option::of(-20_000i64..80_000),
            tools in prop::collection::vec((-1_000i64..60_000, 0i64..5_000), 0..6),
        ) {
            let of = |i: usize| delays[i].map(Duration::from_millis);
            let told = Told {
                started: started * MS,
                transcription: of(0),
                end_of_turn: of(1),
                hook: of(2),
                asked: asked.map(|ms| ms * MS),
                first_token: of(5),
                llm: of(3),
                tts: of(4),
                tools: tools.into_iter().map(|(from, length)| (from * MS, (from + length) * MS)).collect(),
            };
            let path = told.path();
            prop_assert!(path.iter().all(|(_, ns)| *ns > 0), "{path:?}");
            let sum: i64 = path.iter().map(|(_, ns)| ns).sum();
            prop_assert_eq!(sum, told.started.max(0), "{:?}", path);
        }

        #[test]
        fn extreme_instants_do_not_overflow(
            started: i64, asked: Option<i64>, tools: Vec<(i64, i64)>, delays: [Option<u64>; 5],
        ) {
            let of = |i: usize| delays[i].map(Duration::from_nanos);
            let told = Told {
                started, asked, tools,
                transcription: of(0), end_of_turn: of(1), hook: of(2), llm: of(3), tts: of(4),
                first_token: of(1),
            };
            let _ = told.path();
        }
    }
}
