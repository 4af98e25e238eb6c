//! The spans of the agent's traces, above the time line of a turn.
//!
//! In: a turn. Out: a panel with a lane for each name. Invariant: the number of lanes is bounded; the
//! names that say most come first.

use super::super::text::clean;
use super::plot::{Ink, Layer, Panel, Rise};
use crate::record::{SpanRecord, TurnRecord};
use std::ops::Range;

/// Maximum number of lanes.
const LANES: usize = 8;
/// Maximum length of a name, in characters.
const NAME: usize = 24;
/// Height of a lane, and of what surrounds all of them, in SVG units.
const LANE: u32 = 34;
const AROUND: u32 = 20;
/// The spans of livekit-agents that a reply waits for, in the order of the work.
const FIRST: [&str; 7] = [
    "user_turn",
    "eou_wait",
    "eou_detection",
    "on_user_turn_completed",
    "llm_node",
    "function_tool",
    "tts_node",
];

/// The panel; `x`: what is drawn of the turn, in seconds from the end of speech. `None` if no span
/// is within that.
pub(super) fn panel(turn: &TurnRecord, x: &Range<f64>) -> Option<Panel> {
    let spans = turn.agent.as_ref()?.spans.iter();
    let seconds = |span: &SpanRecord| (span.start_ms.as_f64() / 1e3, span.end_ms.as_f64() / 1e3);
    let inside = |span: &&SpanRecord| {
        let (from, to) = seconds(span);
        from < x.end && to > x.start
    };
    let spans: Vec<&SpanRecord> = spans.filter(inside).collect();
    let mut names: Vec<&str> = Vec::new();
    for span in &spans {
        if !names.contains(&span.name.as_str()) {
            names.push(&span.name);
        }
    }
    // Stable: the others stay in the order in which they began.
    names.sort_by_key(|name| FIRST.iter().position(|f| f == name).unwrap_or(FIRST.len()));
    names.truncate(LANES);
    if names.is_empty() {
        return None;
    }
    // Lane 0 is at the bottom.
    names.reverse();
    let boxes = |failed: bool| {
        let own = spans.iter().filter(move |span| span.failed == failed);
        let placed = own.filter_map(|span| {
            let lane = names.iter().position(|name| *name == span.name)? as f64;
            let (from, to) = seconds(span);
            let (from, to) = (from.max(x.start), to.min(x.end));
            Some([from, to, lane + 0.25, lane + 0.75])
        });
        placed.collect()
    };
    Some(Panel {
        title: "spans of the agent's trace".into(),
        height: AROUND + LANE * names.len() as u32,
        layers: vec![
            Layer::Boxes(boxes(false), Ink::Third),
            Layer::Boxes(boxes(true), Ink::Alarm),
        ],
        rise: Rise::Lanes(names.iter().map(|name| clean(name, NAME)).collect()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::fixtures::Run;
    use crate::record::{AgentAccount, Ms};

    fn span(name: &str, from: i64, to: i64, failed: bool) -> SpanRecord {
        SpanRecord {
            name: name.into(),
            start_ms: Ms::from_micros(from * 1_000),
            end_ms: Ms::from_micros(to * 1_000),
            failed,
            attributes: std::collections::BTreeMap::new(),
        }
    }

    #[test]
    fn spans_have_a_lane_per_name_and_the_lanes_are_bounded() {
        let mut run = Run::default();
        run.good(1);
        let turn = &mut run.turns[0];
        assert!(panel(turn, &(-1.0..3.0)).is_none(), "no spans");
        let mut spans: Vec<SpanRecord> = (0..20)
            .map(|n| span(&format!("other {n}"), n * 10, 2_000, false))
            .collect();
        spans.extend([
            span("tts_node", 900, 5_000, true),
            span("llm_node", -3_000, 800, false),
            span("llm_node", 1_000, 1_200, false),
            span("agent_speaking", 4_000, 5_000, false),
        ]);
        turn.agent = Some(AgentAccount {
            spans,
            ..AgentAccount::default()
        });
        let panel = panel(turn, &(-1.0..3.0)).expect("spans");
        let Rise::Lanes(names) = &panel.rise else {
            panic!("lanes");
        };
        assert_eq!(names.len(), LANES);
        assert_eq!(names[LANES - 2..], ["tts_node", "llm_node"]);
        assert_eq!(names[0], "other 5");
        let boxes = |layer: &Layer| match layer {
            Layer::Boxes(boxes, _) => boxes.clone(),
            _ => panic!("boxes"),
        };
        let ok = boxes(&panel.layers[0]);
        assert!(
            ok.contains(&[-1.0, 0.8, 7.25, 7.75]),
            "cut at the edge: {ok:?}"
        );
        assert!(ok.contains(&[1.0, 1.2, 7.25, 7.75]));
        assert_eq!(boxes(&panel.layers[1]), [[0.9, 3.0, 6.25, 6.75]]);
    }
}
