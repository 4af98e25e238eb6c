//! Breaks down the latency of a reply, as far as the caller can observe it.
//!
//! In: replied turns. Out: a section with the parts of the turns that *are* the quantiles.
//! Invariants: the parts of a turn add up to its `ttfa`; averages of parts are never shown.

use super::chart::{Chart, heads};
use super::plot::{Ink, Layer, Panel, Plot, Rise, WIDE};
use super::section::Section;
use super::view::{View, at_quantile};
use crate::record::{Ms, TurnRecord};

/// The parts of a `ttfa`, in order from the end of speech.
const PARTS: [(&str, Ink); 4] = [
    ("until the agent sends", Ink::Main),
    ("silence it sends first", Ink::Second),
    ("until the reply is on the wire", Ink::Third),
    ("playout delay", Ink::Fourth),
];

pub(super) fn section(view: &View<'_>) -> Option<Section> {
    let mut turns: Vec<(&TurnRecord, Ms)> = view.replied().collect();
    turns.sort_by_key(|(_, ttfa)| *ttfa);
    let shown: Vec<(&str, [Ms; 4], Ms)> = [("p50", 0.5), ("p95", 0.95), ("p99", 0.99)]
        .into_iter()
        .filter_map(|(name, q)| {
            let (turn, ttfa) = at_quantile(&turns, q)?;
            Some((name, parts(turn)?, *ttfa))
        })
        .collect();
    if shown.is_empty() {
        return None;
    }
    Some(Section::new(
        "parts",
        "Where the time went",
        chart(&shown).figure(),
    ))
}

/// The four parts. Time before the onset that belongs to neither of the first two counts as the
/// third.
fn parts(turn: &TurnRecord) -> Option<[Ms; 4]> {
    let (wire, playout) = (turn.ttfa_wire_ms?, turn.playout_ms?);
    let first = turn
        .first_packet_ms
        .filter(|f| (0..=wire.micros()).contains(&f.micros()));
    let sent = first.unwrap_or_default().micros();
    let silent = turn
        .lead_in_ms
        .map_or(0, Ms::micros)
        .clamp(0, wire.micros() - sent);
    let rest = wire.micros() - sent - silent;
    Some([sent, silent, rest, playout.micros()].map(Ms::from_micros))
}

fn chart(shown: &[(&str, [Ms; 4], Ms)]) -> Chart {
    let mut layers: Vec<Vec<[f64; 4]>> = vec![vec![]; PARTS.len()];
    let longest = shown.iter().map(|s| s.2.as_f64()).fold(1.0, f64::max);
    for (nth, (_, parts, _)) in shown.iter().rev().enumerate() {
        let mut from = 0.0;
        for (layer, part) in layers.iter_mut().zip(parts) {
            let to = from + part.as_f64();
            if to > from {
                layer.push([from, to, nth as f64 + 0.2, nth as f64 + 0.8]);
            }
            from = to;
        }
    }
    let used: Vec<usize> = (0..PARTS.len())
        .filter(|i| !layers[*i].is_empty())
        .collect();
    let mut words = vec!["turn"];
    words.extend(used.iter().map(|i| PARTS[*i].0));
    words.push("ttfa, ms");
    let row = |(name, parts, ttfa): &(&str, [Ms; 4], Ms)| {
        let mut row = vec![(*name).to_owned()];
        row.extend(used.iter().map(|i| format!("{:.1}", parts[*i])));
        row.push(format!("{ttfa:.1}"));
        row
    };
    Chart {
        id: "parts-chart".into(),
        title: "The parts of a ttfa".into(),
        caption: "The turns that are the quantiles of the replied turns, as their callers observed them from outside the agent.".to_owned(),
        legend: used.iter().map(|i| (PARTS[*i].1, PARTS[*i].0)).collect(),
        heads: heads(&words),
        rows: shown.iter().map(row).collect(),
        plot: Plot {
            width: WIDE,
            x: 0.0..longest * 1.02,
            x_title: "ms from the end of speech".into(),
            panels: vec![Panel {
                title: String::new(),
                rise: Rise::Lanes(shown.iter().rev().map(|s| s.0.to_owned()).collect()),
                height: 20 + 70 * shown.len() as u32,
                layers: PARTS.iter().zip(layers).map(|((_, ink), boxes)| Layer::Boxes(boxes, *ink)).collect(),
            }],
            spans: vec![],
        },
    }
}
