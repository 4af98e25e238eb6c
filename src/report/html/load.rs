//! Latency, and the agent's blind spot, against concurrency.
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
use crate::record::{Metric, Ms};
use std::collections::BTreeMap;

/// Maximum number of groups.
const GROUPS: usize = 30;
/// Minimum number of turns for a p95: with fewer, the p95 is the maximum.
const LEAST: usize = 20;
/// Minimum number of groups: with fewer there is nothing to compare.
const LEVELS: usize = 3;

/// A replied turn.
#[derive(Debug, Clone, Copy)]
struct Point {
    /// Number of calls in progress when the caller finished speaking.
    calls: usize,
    ttfa: Ms,
    /// The blind spot, its front and its back, as far as the agent's reports define them.
    blind: [Option<Ms>; 3],
}

pub(super) fn section(view: &View<'_>) -> Option<Section> {
    let points = view.replied().filter_map(|(turn, ttfa)| {
        let blind = [
            Metric::BlindSpot,
            Metric::BlindSpotFront,
            Metric::BlindSpotBack,
        ];
        Some(Point {
            calls: view.calls_at(instant(turn)?)?,
            ttfa,
            blind: blind.map(|metric| metric.ms_of_turn(turn)),
        })
    });
    let points: Vec<Point> = points.collect();
    let most = points.iter().map(|p| p.calls).max()?;
    let width = step(most as f64, GROUPS).max(1.0) as usize;
    let mut groups: BTreeMap<usize, Vec<Point>> = BTreeMap::new();
    for point in &points {
        groups.entry(point.calls / width).or_default().push(*point);
    }
    if groups.len() < LEVELS {
        return None;
    }
    Some(Section::new(
        "load",
        "Under load",
        chart(&points, &groups, width).figure(),
    ))
}

/// The lower edge of a concurrency group on the horizontal axis.
fn edge(group: usize, width: usize) -> f64 {
    (group * width) as f64 - 0.5
}

/// The quantiles of one latency in each group.
#[derive(Default)]
struct Curves {
    p50: Vec<(f64, f64)>,
    p95: Vec<(f64, f64)>,
}

impl Curves {
    /// `of`: the latency of a turn.
    fn new(
        groups: &BTreeMap<usize, Vec<Point>>,
        width: usize,
        of: impl Fn(&Point) -> Option<Ms>,
    ) -> Self {
        let mut curves = Self::default();
        for (&group, points) in groups {
            let middle = edge(group, width) + width as f64 / 2.0;
            let (p50, p95) = quantiles(points, &of);
            let point = |ms: Ms| (middle, ms.as_f64());
            curves.p50.extend(p50.map(point));
            curves.p95.extend(p95.map(point));
        }
        curves
    }

    fn panel(self, title: &'static str, height: u32, dots: Vec<(f64, f64)>) -> Panel {
        let all = dots.iter().chain(&self.p50).chain(&self.p95);
        let top = all.map(|p| p.1).fold(1.0, f64::max) * 1.1;
        Panel {
            title: title.into(),
            rise: Rise::To(top),
            height,
            layers: vec![
                Layer::Dots(dots, Ink::Quiet),
                Layer::Line(self.p50.clone(), Ink::Main, 4),
                Layer::Line(self.p95.clone(), Ink::Second, 4),
                Layer::Dots(self.p50, Ink::Main),
                Layer::Dots(self.p95, Ink::Second),
            ],
        }
    }
}

/// The p50 and, of enough turns, the p95.
fn quantiles(points: &[Point], of: impl Fn(&Point) -> Option<Ms>) -> (Option<Ms>, Option<Ms>) {
    let spread = distribution(points.iter().filter_map(of));
    let p95 = percentile(&spread, 95.0).filter(|_| spread.count() >= LEAST);
    (percentile(&spread, 50.0), p95)
}

fn row(group: usize, points: &[Point], width: usize, told: bool) -> Vec<String> {
    let calls = match width {
        1 => group.to_string(),
        _ => format!("{} to {}", group * width, (group + 1) * width - 1),
    };
    let (p50, p95) = quantiles(points, |p| Some(p.ttfa));
    let max = points.iter().map(|p| p.ttfa).max();
    let mut row = vec![
        calls,
        grouped(points.len() as u64),
        figure(p50),
        figure(p95),
        figure(max),
    ];
    if told {
        row.extend((0..3).map(|part| figure(quantiles(points, |p| p.blind[part]).0)));
    }
    row
}

fn chart(points: &[Point], groups: &BTreeMap<usize, Vec<Point>>, width: usize) -> Chart {
    let edge = |group: usize| edge(group, width);
    let told = points.iter().any(|p| p.blind[0].is_some());
    let dots = |of: &dyn Fn(&Point) -> Option<Ms>| {
        let shown = points.iter().filter(|_| points.len() <= SINGLE);
        let at = shown.filter_map(|p| Some((p.calls as f64, of(p)?.as_f64())));
        at.collect::<Vec<_>>()
    };
    let mut legend = vec![(Ink::Main, "p50"), (Ink::Second, "p95")];
    if points.len() <= SINGLE {
        legend.push((Ink::Quiet, "a turn"));
    }
    let ttfa = |p: &Point| Some(p.ttfa);
    let blind = |p: &Point| p.blind[0];
    let mut panels = vec![Curves::new(groups, width, ttfa).panel("ttfa, ms", 360, dots(&ttfa))];
    let mut columns = vec!["concurrent calls", "turns", "p50, ms", "p95, ms", "max, ms"];
    if told {
        let curves = Curves::new(groups, width, blind);
        panels.push(curves.panel("blind_spot, ms", 240, dots(&blind)));
        columns.extend([
            "blind_spot p50, ms",
            "blind_spot_front p50, ms",
            "blind_spot_back p50, ms",
        ]);
    }
    let below = if told {
        " Below, the blind spot: the part of ttfa that the agent does not measure; the table also has its front and back."
    } else {
        ""
    };
    let first = groups.keys().next().map_or(0.0, |g| edge(*g));
    let last = groups.keys().next_back().map_or(1.0, |g| edge(g + 1));
    Chart {
        id: "against-load".into(),
        title: "Latency against concurrency".into(),
        caption: format!(
            "Replied turns by the number of calls in progress when the caller finished speaking.{below} Groups of fewer than {LEAST} turns show no p95."
        ),
        legend,
        heads: heads(&columns),
        rows: groups
            .iter()
            .map(|(group, points)| row(*group, points, width, told))
            .collect(),
        plot: Plot {
            width: WIDE,
            x: first..last,
            x_title: "concurrent calls".into(),
            panels,
            spans: groups.keys().map(|g| (edge(*g), edge(g + 1))).collect(),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_blind_spot_is_shown_beside_ttfa_if_agents_report_enough() {
        let ms = |n: u64| Ms::from(std::time::Duration::from_millis(n));
        let point = |calls: usize, blind: Option<u64>| Point {
            calls,
            ttfa: ms(900 + 10 * calls as u64),
            blind: [blind.map(ms), blind.map(|b| ms(b - 20)), Some(ms(20))],
        };
        for (told, columns, panels) in [(None, 5, 1), (Some(120), 8, 2)] {
            let points: Vec<Point> = (1..4).map(|calls| point(calls, told)).collect();
            let groups = points.iter().map(|p| (p.calls, vec![*p])).collect();
            let chart = chart(&points, &groups, 1);
            assert_eq!(chart.heads.len(), columns);
            assert_eq!(chart.plot.panels.len(), panels);
            assert!(chart.rows.iter().all(|row| row.len() == columns));
        }
        let row = row(3, &[point(3, Some(120)), point(3, None)], 1, true);
        assert_eq!(
            row,
            ["3", "2", "930.0", "–", "930.0", "120.0", "100.0", "20.0"]
        );
    }
}
