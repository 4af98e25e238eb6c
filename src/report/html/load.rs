//! Latency against concurrency.
//!
//! In: replied turns and calls. Out: a section, if the concurrency varied enough to be
//! informative. Invariant: a group of fewer than [`LEAST`] turns shows no p95.

use super::super::figures::figure;
use super::super::text::grouped;
use super::chart::{Chart, heads};
use super::plot::{Ink, Layer, Panel, Plot, Rise, WIDE, step};
use super::section::Section;
use super::time::SINGLE;
use super::view::{View, distribution, instant, percentile};
use crate::record::Ms;
use std::collections::BTreeMap;

/// Maximum number of groups.
const GROUPS: usize = 30;
/// Minimum number of turns for a p95: with fewer, the p95 is the maximum.
const LEAST: usize = 20;
/// Minimum number of groups: with fewer there is nothing to compare.
const LEVELS: usize = 3;

pub(super) fn section(view: &View<'_>) -> Option<Section> {
    let turns: Vec<(usize, Ms)> = view
        .replied()
        .filter_map(|(turn, ttfa)| Some((view.calls_at(instant(turn)?)?, ttfa)))
        .collect();
    let most = turns.iter().map(|t| t.0).max()?;
    let width = step(most as f64, GROUPS).max(1.0) as usize;
    let mut groups: BTreeMap<usize, Vec<Ms>> = BTreeMap::new();
    for (calls, ttfa) in &turns {
        groups.entry(calls / width).or_default().push(*ttfa);
    }
    if groups.len() < LEVELS {
        return None;
    }
    Some(Section::new(
        "load",
        "Under load",
        chart(&turns, &groups, width).figure(),
    ))
}

/// The lower edge of a concurrency group on the horizontal axis.
fn edge(group: usize, width: usize) -> f64 {
    (group * width) as f64 - 0.5
}

/// The quantiles of each group: two curves and the rows of the table.
#[derive(Default)]
struct Curves {
    p50: Vec<(f64, f64)>,
    p95: Vec<(f64, f64)>,
    rows: Vec<Vec<String>>,
}

fn curves(groups: &BTreeMap<usize, Vec<Ms>>, width: usize) -> Curves {
    let mut curves = Curves::default();
    for (&group, ttfa) in groups {
        let middle = edge(group, width) + width as f64 / 2.0;
        let spread = distribution(ttfa.iter().copied());
        let at = |p| percentile(&spread, p);
        let p95_here = at(95.0).filter(|_| spread.count() >= LEAST);
        let point = |ms: Ms| (middle, ms.as_f64());
        curves.p50.extend(at(50.0).map(point));
        curves.p95.extend(p95_here.map(point));
        let calls = match width {
            1 => group.to_string(),
            _ => format!("{} to {}", group * width, (group + 1) * width - 1),
        };
        curves.rows.push(vec![
            calls,
            grouped(ttfa.len() as u64),
            figure(at(50.0)),
            figure(p95_here),
            figure(at(100.0)),
        ]);
    }
    curves
}

fn chart(turns: &[(usize, Ms)], groups: &BTreeMap<usize, Vec<Ms>>, width: usize) -> Chart {
    let edge = |group: usize| edge(group, width);
    let Curves { p50, p95, rows } = curves(groups, width);
    let dots: Vec<(f64, f64)> = if turns.len() <= SINGLE {
        turns
            .iter()
            .map(|(n, ttfa)| (*n as f64, ttfa.as_f64()))
            .collect()
    } else {
        vec![]
    };
    let top = dots
        .iter()
        .chain(&p50)
        .chain(&p95)
        .map(|p| p.1)
        .fold(1.0, f64::max)
        * 1.1;
    let first = groups.keys().next().map_or(0.0, |g| edge(*g));
    let last = groups.keys().next_back().map_or(1.0, |g| edge(g + 1));
    let mut legend = vec![(Ink::Main, "p50"), (Ink::Second, "p95")];
    if !dots.is_empty() {
        legend.push((Ink::Quiet, "a turn"));
    }
    Chart {
        id: "against-load".into(),
        title: "Latency against concurrency".into(),
        caption: format!(
            "Replied turns by the number of calls in progress when the caller finished speaking. Groups of fewer than {LEAST} turns show no p95."
        ),
        legend,
        heads: heads(&["concurrent calls", "turns", "p50, ms", "p95, ms", "max, ms"]),
        rows,
        plot: Plot {
            width: WIDE,
            x: first..last,
            x_title: "concurrent calls".into(),
            panels: vec![Panel {
                title: "ttfa, ms".into(),
                rise: Rise::To(top),
                height: 360,
                layers: vec![
                    Layer::Dots(dots, Ink::Quiet),
                    Layer::Line(p50.clone(), Ink::Main, 4),
                    Layer::Line(p95.clone(), Ink::Second, 4),
                    Layer::Dots(p50, Ink::Main),
                    Layer::Dots(p95, Ink::Second),
                ],
            }],
            spans: groups.keys().map(|g| (edge(*g), edge(g + 1))).collect(),
        },
    }
}
