//! How the conversations of a run went: overlap, silences, interruptions, early replies.
//!
//! In: records of turns and calls. Out: [`ConversationFigures`]. Invariants: warm-up calls and turns
//! that the end of the run cut off are left out; a rate is given only for ten events or more.

use super::said::Rate;
use super::samples::{counting_calls, counting_turns};
use crate::record::{CallRecord, FloorRecord, Ms, TurnRecord};
use crate::stats::Proportion;
use crate::vocab::{Expect, Flag, Outcome, Resumed, UtteranceKind};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Fewer events make no rate.
const EVENTS: usize = 10;
/// Lower ends of the classes of pauses, in ms.
const PAUSES: [i64; 6] = [200, 400, 600, 800, 1_000, 1_500];

/// How an agent reacted to an interruption.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Interrupted {
    /// It stopped in time.
    Obeyed,
    /// It was still speaking at the timeout.
    Ignored,
    /// It was not speaking, so there was nothing to interrupt.
    NoChance,
}

impl Interrupted {
    /// The reaction in a turn that asks the agent to stop; `None` for other turns, and for those
    /// that failed.
    pub(super) fn of(turn: &TurnRecord) -> Option<Self> {
        let judged = matches!(turn.outcome, Outcome::Replied | Outcome::Missed);
        if !turn.expect.asks_for_stop() || turn.outcome != Outcome::Early && !judged {
            return None;
        }
        let nothing = turn.flags.contains(&Flag::NothingToStop);
        Some(match turn.stop_ms {
            Some(_) => Self::Obeyed,
            None if nothing || turn.outcome == Outcome::Early => Self::NoChance,
            None => Self::Ignored,
        })
    }
}

/// How an agent reacted to a sound that it should ignore.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Disturbed {
    /// It went on speaking.
    WentOn,
    /// It stopped speaking.
    Stopped,
    /// It was silent, and began to speak.
    Spoke,
    /// It was silent, and stayed so.
    NoChance,
}

impl Disturbed {
    /// The reaction in a turn that the agent should ignore; `None` for other turns, for those that
    /// failed, and for those of earlier releases.
    pub(super) fn of(turn: &TurnRecord) -> Option<Self> {
        let judged = matches!(turn.outcome, Outcome::Replied | Outcome::Missed);
        if turn.expect != Expect::Ignore || !judged {
            return None;
        }
        let spoke = turn.conversation.as_ref()?.floor.caller_came_in > 0;
        Some(match (turn.outcome, turn.stop_ms) {
            (_, Some(_)) => Self::Stopped,
            (Outcome::Missed, None) => Self::Spoke,
            (_, None) if spoke => Self::WentOn,
            _ => Self::NoChance,
        })
    }
}

/// How the measured conversations went.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct ConversationFigures {
    /// Who spoke for how long, over all calls.
    pub floor: FloorRecord,
    /// Time in which both spoke, as a share of the time in which anybody did; null if nobody spoke.
    pub overlap_ratio: Option<f64>,
    /// Awkward silences: those in which it was the agent's turn to speak.
    pub awkward: AwkwardFigures,
    /// Calls that ended in silence because the agent owed the reply to their last turn.
    pub dead_air: DeadAir,
    /// Turns whose reply began with a filler.
    pub fillers: usize,
    /// What became of the interruptions; absent if no turn asks the agent to stop.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interruptions: Option<InterruptionFigures>,
    /// What became of the sounds that the agent should ignore, by their kind.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub false_interruptions: Vec<FalseInterruptions>,
    /// Early replies by the length of the pause inside the utterance into which they fell; absent
    /// if no utterance has a pause.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub early_by_pause: Vec<EarlyByPause>,
}

/// Silences in which it was the agent's turn to speak.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub(crate) struct AwkwardFigures {
    /// Turns with at least one of them.
    pub turns: usize,
    pub count: usize,
    pub total_ms: Ms,
    pub longest_ms: Ms,
}

/// Silence at the end of calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub(crate) struct DeadAir {
    pub calls: usize,
    pub total_ms: Ms,
}

/// What became of the interruptions in turns that ask the agent to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub(crate) struct InterruptionFigures {
    /// Interruptions of an agent that was speaking.
    pub asked: usize,
    /// Of these, those after which it stopped before the timeout.
    pub obeyed: usize,
    /// Of these, those after which it talked on.
    pub ignored: usize,
    /// Turns in which the agent was not speaking, so that there was nothing to interrupt.
    pub no_chance: usize,
}

/// What became of the sounds of one kind that the agent should ignore.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct FalseInterruptions {
    /// The kind of sound.
    pub kind: UtteranceKind,
    /// Sounds while the agent was speaking.
    pub asked: usize,
    /// Of these, those after which it stopped.
    pub stopped: usize,
    /// Of these, those after which it spoke again before the turn's timeout.
    pub resumed: usize,
    /// How it spoke again; absent if it never did, and in files of earlier releases.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub how: Option<Resumptions>,
    /// Sounds while the agent was silent, after which it began to speak.
    pub spoke: usize,
    /// Sounds while the agent was silent, after which it stayed so.
    pub no_chance: usize,
    /// `stopped` as a share of `asked`, with its 95 % interval; absent under ten events.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate: Option<RateFigures>,
}

/// Where in its reply the agent spoke on after a false interruption.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Resumptions {
    /// With something that it had not said in this reply before.
    pub went_on: usize,
    /// From an earlier place.
    pub went_back: usize,
    /// From the beginning.
    pub began_anew: usize,
    /// The sound does not tell.
    pub unknown: usize,
}

/// A share with its interval.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct RateFigures {
    pub rate: f64,
    pub lower: f64,
    pub upper: f64,
}

/// Early replies into pauses of similar length.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct EarlyByPause {
    /// Shortest pause of the class.
    pub from_ms: Ms,
    /// Longest pause of the class; null for the last one.
    pub until_ms: Option<Ms>,
    /// Pauses that callers made.
    pub pauses: usize,
    /// Of these, those into which the agent spoke.
    pub early: usize,
    /// `early` as a share of `pauses`; absent under ten pauses.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate: Option<RateFigures>,
}

impl ConversationFigures {
    /// The figures of these calls and turns; `None` if nothing is known of their conversations.
    pub(super) fn of(calls: &[CallRecord], turns: &[TurnRecord]) -> Option<Self> {
        let talks = || counting_turns(turns, None).filter_map(|t| t.conversation.as_ref());
        talks().next()?;
        let mut floor = FloorRecord::default();
        counting_calls(calls, None)
            .filter_map(|c| c.floor.as_ref())
            .for_each(|one| floor.add(one));
        let awkward = talks().map(|t| t.awkward).filter(|a| a.count > 0);
        let dead = || counting_calls(calls, None).filter_map(|c| c.dead_air_ms);
        let share =
            |part: Ms, whole: Ms| (whole.micros() > 0).then(|| part.as_f64() / whole.as_f64());
        Some(Self {
            overlap_ratio: share(floor.overlap_ms, floor.speech_ms),
            floor,
            awkward: awkward.fold(AwkwardFigures::default(), |sum, one| AwkwardFigures {
                turns: sum.turns + 1,
                count: sum.count + one.count,
                total_ms: sum.total_ms + one.total_ms,
                longest_ms: sum.longest_ms.max(one.longest_ms),
            }),
            dead_air: DeadAir {
                calls: dead().count(),
                total_ms: dead().sum(),
            },
            fillers: talks().filter(|t| t.behind_filler.is_some()).count(),
            interruptions: InterruptionFigures::of(turns),
            false_interruptions: FalseInterruptions::by_kind(turns),
            early_by_pause: EarlyByPause::classes(turns),
        })
    }
}

impl InterruptionFigures {
    fn of(turns: &[TurnRecord]) -> Option<Self> {
        let mut all = counting_turns(turns, None)
            .filter_map(Interrupted::of)
            .peekable();
        all.peek()?;
        Some(all.fold(Self::default(), |sum, one| match one {
            Interrupted::Obeyed => Self {
                asked: sum.asked + 1,
                obeyed: sum.obeyed + 1,
                ..sum
            },
            Interrupted::Ignored => Self {
                asked: sum.asked + 1,
                ignored: sum.ignored + 1,
                ..sum
            },
            Interrupted::NoChance => Self {
                no_chance: sum.no_chance + 1,
                ..sum
            },
        }))
    }
}

impl FalseInterruptions {
    fn by_kind(turns: &[TurnRecord]) -> Vec<Self> {
        let mut kinds: BTreeMap<UtteranceKind, Vec<(&TurnRecord, Disturbed)>> = BTreeMap::new();
        for turn in counting_turns(turns, None) {
            if let Some(how) = Disturbed::of(turn) {
                let kind = turn.kind.unwrap_or_default();
                kinds.entry(kind).or_default().push((turn, how));
            }
        }
        let figures = kinds.into_iter().map(|(kind, events)| {
            let count = |wanted| events.iter().filter(|(_, how)| *how == wanted).count();
            let asked = |how: Disturbed| matches!(how, Disturbed::WentOn | Disturbed::Stopped);
            let share = events.iter().filter(|(_, how)| asked(*how));
            let share = share.map(|(turn, how)| (turn.call, *how == Disturbed::Stopped));
            Self {
                kind,
                asked: count(Disturbed::WentOn) + count(Disturbed::Stopped),
                stopped: count(Disturbed::Stopped),
                resumed: events.iter().filter(|(t, _)| t.resume_ms.is_some()).count(),
                how: Resumptions::of(events.iter().filter_map(|(turn, _)| turn.resumed)),
                spoke: count(Disturbed::Spoke),
                no_chance: count(Disturbed::NoChance),
                rate: RateFigures::of(&share.collect()),
            }
        });
        figures.collect()
    }
}

impl Resumptions {
    fn of(all: impl Iterator<Item = Resumed>) -> Option<Self> {
        let mut counts = Self::default();
        let mut any = false;
        for one in all {
            any = true;
            let count = match one {
                Resumed::WentOn => &mut counts.went_on,
                Resumed::WentBack => &mut counts.went_back,
                Resumed::BeganAnew => &mut counts.began_anew,
                Resumed::Unknown => &mut counts.unknown,
            };
            *count += 1;
        }
        any.then_some(counts)
    }
}

impl RateFigures {
    /// The share and its interval; `None` under ten events.
    fn of(share: &Proportion) -> Option<Self> {
        let Rate {
            of,
            rate,
            lower,
            upper,
            ..
        } = Rate::of(share)?;
        (of >= EVENTS).then_some(Self { rate, lower, upper })
    }
}

impl EarlyByPause {
    fn classes(turns: &[TurnRecord]) -> Vec<Self> {
        // The call, the length of each pause, and whether the agent spoke into it.
        let mut pauses: Vec<(usize, i64, bool)> = Vec::new();
        for turn in counting_turns(turns, None).filter(|t| t.expect.asks_for_reply()) {
            let Some(talk) = &turn.conversation else {
                continue;
            };
            // The agent can have spoken into one pause only; the rest came after it.
            let mut early = talk.early_pause_ms;
            for pause in &talk.pauses_ms {
                let into = early.take_if(|early| early == pause).is_some();
                pauses.push((turn.call, pause.micros() / 1_000, into));
            }
        }
        if pauses.is_empty() {
            return Vec::new();
        }
        let ends = PAUSES.iter().skip(1).map(|end| Some(*end)).chain([None]);
        let class = |(from, until): (&i64, Option<i64>)| {
            let inside = |ms: i64| ms >= *from && until.is_none_or(|until| ms < until);
            let own = pauses.iter().filter(|(_, ms, _)| inside(*ms));
            let share: Proportion = own.map(|(call, _, early)| (*call, *early)).collect();
            Self {
                from_ms: Ms::from_micros(from * 1_000),
                until_ms: until.map(|until| Ms::from_micros(until * 1_000)),
                pauses: share.total(),
                early: share.hits(),
                rate: RateFigures::of(&share),
            }
        };
        PAUSES.iter().zip(ends).map(class).collect()
    }
}
