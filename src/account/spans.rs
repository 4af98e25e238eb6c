//! The spans of an agent's traces, placed on the caller's clock and matched to turns.
//!
//! In: the spans of a call, the clocks of its agents, its turns. Out: the spans of each turn.
//! Invariants: a span belongs to at most one turn, the one in whose window it starts; the number of
//! spans of a turn is bounded; every span is counted exactly once.

use super::AgentTime;
use super::clocks::{AgentClocks, TracedAgent};
use super::times::{TurnTimes, Window};
use super::turn::Placed;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

/// Maximum number of spans of a turn that are recorded; a turn of livekit-agents has about 15.
const OF_TURN: usize = 40;

/// A span as the agent exported it, its instants on the agent's clock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct AgentSpan {
    pub name: Arc<str>,
    pub began: AgentTime,
    pub ended: AgentTime,
    /// Its status is an error.
    pub failed: bool,
    /// The attributes that are recorded.
    pub attributes: BTreeMap<&'static str, serde_json::Value>,
}

/// The spans of one trace.
#[derive(Debug, Clone, Copy)]
pub(crate) struct TracedSpans<'a> {
    /// The agent in its room, if the trace tells it.
    pub agent: Option<&'a TracedAgent>,
    pub spans: &'a [AgentSpan],
}

/// A span on the caller's clock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PlacedSpan {
    pub span: AgentSpan,
    pub began: Placed,
    pub ended: Placed,
}

/// The spans of a turn, by when they began.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct TurnSpans {
    pub spans: Vec<PlacedSpan>,
    /// Number of later ones that are left out.
    pub left_out: usize,
}

/// What became of the spans of a call.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct SpansOfCall {
    /// By the index of the turn.
    pub turns: BTreeMap<usize, TurnSpans>,
    /// Number of spans that began before the first turn or after the end of the call.
    pub outside: usize,
    /// Number of spans that could not be placed, because nothing relates the agent's clock to the
    /// caller's.
    pub unplaced: usize,
}

impl SpansOfCall {
    /// `turns`: the turns of the call that began, in their order; `until`: the end of the call.
    pub(crate) fn of(
        traces: &[TracedSpans<'_>],
        clocks: &AgentClocks,
        turns: &[TurnTimes],
        until: Instant,
    ) -> Self {
        let mut sorted = Self::default();
        for TracedSpans { agent, spans } in traces {
            let clock = clocks.of(*agent);
            for span in *spans {
                let place = |at| clock.and_then(|clock| clocks.place(clock, at));
                let Some((began, ended)) = place(span.began).zip(place(span.ended)) else {
                    sorted.unplaced += 1;
                    continue;
                };
                match turn_at(turns, until, began.likely()) {
                    Some(turn) => sorted
                        .turns
                        .entry(turn)
                        .or_default()
                        .spans
                        .push(PlacedSpan {
                            span: span.clone(),
                            began,
                            ended,
                        }),
                    None => sorted.outside += 1,
                }
            }
        }
        for turn in sorted.turns.values_mut() {
            turn.spans.sort_by_key(|placed| placed.began.likely());
            turn.left_out = turn.spans.len().saturating_sub(OF_TURN);
            turn.spans.truncate(OF_TURN);
        }
        sorted
    }
}

/// The turn in whose window an instant lies.
fn turn_at(turns: &[TurnTimes], until: Instant, at: Instant) -> Option<usize> {
    if at > until {
        return None;
    }
    let mut windows = turns.iter().enumerate();
    let found = windows.find(|(place, turn)| {
        let next = turns.get(place + 1);
        Window::of_turn(turn, next).contains(at)
    });
    found.map(|(_, turn)| turn.turn)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::account::{Claim, ClaimKind};
    use std::time::Duration;

    const MS: i64 = 1_000_000;
    /// How far the agent's clock is ahead of the test's own count.
    const AHEAD: i64 = 1_700_000_000_000_000_000;

    fn named(identity: &str, is_certain: bool) -> TracedAgent {
        TracedAgent {
            identity: identity.into(),
            is_certain,
        }
    }

    fn after(epoch: Instant, ms: u64) -> Instant {
        epoch + Duration::from_millis(ms)
    }

    /// Clocks on which a message takes 4 ms each way, of these agents.
    fn clocks(epoch: Instant, agents: &[(&str, i64)]) -> AgentClocks {
        let mut clocks = AgentClocks::new(epoch);
        for (agent, ahead) in agents {
            clocks.heard(&Claim {
                agent: (*agent).into(),
                arrival: after(epoch, 1_008),
                sent: Some(AgentTime(ahead + 1_004 * MS)),
                requested: Some(after(epoch, 1_000)),
                kind: ClaimKind::Other,
            });
        }
        clocks
    }

    fn span(name: &str, from: i64, to: i64) -> AgentSpan {
        AgentSpan {
            name: name.into(),
            began: AgentTime(AHEAD + from * MS),
            ended: AgentTime(AHEAD + to * MS),
            failed: false,
            attributes: BTreeMap::new(),
        }
    }

    fn turn(epoch: Instant, turn: usize, from: u64) -> TurnTimes {
        TurnTimes {
            turn,
            media_start: after(epoch, from),
            speech_end: after(epoch, from + 500),
            onset: None,
        }
    }

    #[test]
    fn a_span_belongs_to_the_turn_in_whose_window_it_starts() {
        let epoch = Instant::now();
        let turns = [turn(epoch, 0, 2_000), turn(epoch, 1, 5_000)];
        let spans = [
            span("session_start", 100, 900),
            span("tts_node", 5_800, 6_000),
            span("user_turn", 2_050, 2_600),
            span("llm_node", 2_700, 5_200),
            span("drain", 9_500, 9_600),
        ];
        let traces = [TracedSpans {
            agent: None,
            spans: &spans,
        }];
        let of = SpansOfCall::of(
            &traces,
            &clocks(epoch, &[("agent-a", AHEAD)]),
            &turns,
            after(epoch, 9_000),
        );
        let names = |turn: usize| -> Vec<&str> {
            let spans = of.turns[&turn].spans.iter();
            spans.map(|placed| &*placed.span.name).collect()
        };
        assert_eq!(names(0), ["user_turn", "llm_node"]);
        assert_eq!(names(1), ["tts_node"]);
        assert_eq!((of.outside, of.unplaced), (2, 0));
        let model = &of.turns[&0].spans[1];
        let off = |at: Placed, ms| {
            let (at, truth) = (at.likely(), after(epoch, ms));
            crate::account::times::abs_diff(at, truth)
        };
        // A message takes 4 ms each way, agents may cut their instants to ms, and clocks drift.
        for (at, ms) in [(model.began, 2_700), (model.ended, 5_200)] {
            assert!(off(at, ms) < Duration::from_millis(8), "{at:?}");
            assert!(at.earliest.is_some_and(|e| e <= after(epoch, ms)));
            assert!(at.latest >= after(epoch, ms));
        }
    }

    #[test]
    fn each_agent_has_its_own_clock_and_an_unknown_clock_places_nothing() {
        let epoch = Instant::now();
        let turns = [turn(epoch, 0, 2_000)];
        let until = after(epoch, 9_000);
        let spans = [span("llm_node", 2_700, 2_900)];
        let of = |clocks: &AgentClocks, agent: Option<&str>| {
            let agent = agent.map(|identity| named(identity, true));
            let traces = [TracedSpans {
                agent: agent.as_ref(),
                spans: &spans,
            }];
            SpansOfCall::of(&traces, clocks, &turns, until)
        };
        let two = clocks(epoch, &[("agent-a", 0), ("agent-b", AHEAD)]);
        assert_eq!(of(&two, Some("agent-b")).turns[&0].spans.len(), 1);
        // On the other agent's clock, this span is decades away.
        assert_eq!(of(&two, Some("agent-a")).unplaced, 1);
        assert_eq!(of(&two, Some("agent-c")).unplaced, 1);
        assert_eq!(of(&two, None).unplaced, 1);
        assert_eq!(of(&AgentClocks::new(epoch), None).unplaced, 1);
    }

    #[test]
    fn the_only_clock_is_not_that_of_an_agent_that_is_certainly_another() {
        let epoch = Instant::now();
        let turns = [turn(epoch, 0, 2_000)];
        let spans = [span("llm_node", 2_700, 2_900)];
        let one = clocks(epoch, &[("agent-a", AHEAD)]);
        for (agent, unplaced) in [
            (None, 0),
            (Some(named("agent-a", true)), 0),
            (Some(named("agent-AJ_1", false)), 0),
            (Some(named("agent-b", true)), 1),
        ] {
            let traces = [TracedSpans {
                agent: agent.as_ref(),
                spans: &spans,
            }];
            let of = SpansOfCall::of(&traces, &one, &turns, after(epoch, 9_000));
            assert_eq!(of.unplaced, unplaced, "{agent:?}");
        }
    }

    #[test]
    fn the_spans_of_a_turn_are_bounded_and_the_rest_is_counted() {
        let epoch = Instant::now();
        let turns = [turn(epoch, 0, 2_000)];
        let spans: Vec<AgentSpan> = (0..100).map(|n| span("s", 3_000 - n, 3_100)).collect();
        let agent = named("agent-a", true);
        let traces = [TracedSpans {
            agent: Some(&agent),
            spans: &spans,
        }];
        let clocks = clocks(epoch, &[("agent-a", AHEAD)]);
        let of = SpansOfCall::of(&traces, &clocks, &turns, after(epoch, 9_000));
        let turn = &of.turns[&0];
        assert_eq!((turn.spans.len(), turn.left_out), (OF_TURN, 60));
        assert_eq!(turn.spans[0].span, spans[99], "the first ones are kept");
    }
}
