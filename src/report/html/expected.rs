//! Turns in which the agent should say nothing, or end the call.
//!
//! In: turns. Out: one section, if there are any such turns.

use super::super::text::plural;
use super::behaviour::times;
use super::section::Section;
use super::view::View;
use crate::record::{Expect, Outcome, TurnRecord};
use maud::html;

/// Turns that expect silence, and turns that expect the agent to hang up.
pub(super) fn section(view: &View<'_>) -> Option<Section> {
    let of = |expect: Expect| -> Vec<&TurnRecord> {
        let counts = view.measured().filter(|t| t.counts());
        counts.filter(|t| t.expect == expect).collect()
    };
    let did = |turns: &[&TurnRecord]| {
        let replied = turns.iter().filter(|t| t.outcome == Outcome::Replied);
        plural(replied.count(), "time")
    };
    let (silence, hang_up) = (of(Expect::Silence), of(Expect::HangUp));
    if silence.is_empty() && hang_up.is_empty() {
        return None;
    }
    let body = html! {
        @if !silence.is_empty() {
            p {
                "The agent was expected to say nothing " b { (plural(silence.len(), "time")) }
                ", and was silent " b { (did(&silence)) } "."
            }
        }
        @if !hang_up.is_empty() {
            p {
                "The agent was expected to end the call " b { (plural(hang_up.len(), "time")) }
                ", and did " b { (did(&hang_up)) } "."
            }
            (times("From the caller's end of speech until the agent had left, in ms", "hang_up", hang_up.iter().filter_map(|t| t.hang_up_ms)))
        }
    };
    Some(Section::new("expected", "Silence and hang-ups", body))
}

#[cfg(test)]
mod tests {
    use crate::record::fixtures::{Outcome, Run, TurnResult, base, ms, recorded, turn};
    use crate::vocab::{Expect, Metric};

    #[test]
    fn a_hang_up_is_a_latency_of_the_turns_that_expect_one() {
        let result = |outcome, after: Option<u64>| TurnResult {
            expect: Expect::HangUp,
            hang_up: after.map(ms),
            ttfa: None,
            ttfa_wire: None,
            ..turn(base(), 0, outcome)
        };
        let mut run = Run::default();
        run.good(1);
        for (outcome, after) in [(Outcome::Replied, Some(700)), (Outcome::Missed, None)] {
            run.turns.push(recorded(7, &result(outcome, after), None));
        }
        let population = Metric::HangUp.population(&run.calls, &run.turns, None);
        assert_eq!(population.count(), 2);
        let ttfa = Metric::Ttfa.population(&run.calls, &run.turns, None);
        assert_eq!(ttfa.count(), 3, "only the turns that ask for a reply");
    }

    #[test]
    fn a_skipped_turn_is_in_no_metric_and_counted_apart() {
        let mut run = Run::default();
        run.good(1);
        let counted = |run: &Run| {
            let metrics = Metric::ALL.iter();
            let count = |m: &Metric| m.population(&run.calls, &run.turns, None).count();
            metrics.map(count).collect::<Vec<_>>()
        };
        let before = counted(&run);
        let skipped = TurnResult::unstarted(3, Expect::Respond, Outcome::Skipped);
        run.turns.push(recorded(0, &skipped, None));
        assert_eq!(counted(&run), before);
        let outcomes = run.turns.iter().map(|turn| turn.outcome);
        let counts = crate::record::TurnCounts::of(4, outcomes);
        assert_eq!((counts.skipped, counts.ended(), counts.planned), (1, 3, 4));
        let shown = crate::report::counts::turns(&counts);
        assert!(shown.ends_with("0 failed, 1 skipped"), "{shown}");
    }
}
