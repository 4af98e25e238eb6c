//! Latency and concurrency over the run.
//!
//! In: turns with their instants, calls, readings. Out: a section. Invariants: at most
//! [`SLICES`] slices are drawn, however many turns there are; single turns are drawn only up to
//! [`SINGLE`] of them.

use super::super::figures::figure;
use super::super::text::grouped;
use super::chart::{Chart, heads};
use super::observed;
use super::plot::{Ink, Layer, Panel, Plot, Rise, WIDE, step};
use super::section::Section;
use super::view::{View, distribution, instant, percentile, seconds};
use crate::record::{Ms, Outcome, TurnRecord};
use crate::stats::Distribution;
use maud::html;

/// Maximum number of time slices.
const SLICES: usize = 60;
/// Maximum number of turns that are drawn one by one.
pub(super) const SINGLE: usize = 400;
/// Maximum number of concurrency steps that are drawn.
const STEPS: usize = 240;

/// The turns of one time slice.
struct Slice {
    span: (f64, f64),
    replied: Distribution,
    /// Turns that expect a reply and got none.
    without: usize,
}

pub(super) fn section(view: &View<'_>) -> Option<Section> {
    let slices = slices(view);
    let with_turns: Vec<&Slice> = slices
        .iter()
        .filter(|s| s.replied.count() + s.without > 0)
        .collect();
    if with_turns.is_empty() {
        let observed = observed::part(view, None)?;
        return Some(Section::new("time", "Over the run", observed));
    }
    let chart = chart(view, &with_turns);
    let axis = chart.plot.x.clone();
    let body = html! {
        (chart.figure())
        @if let Some(observed) = observed::part(view, Some(axis)) { (observed) }
    };
    Some(Section::new("time", "Over the run", body))
}

fn slices(view: &View<'_>) -> Vec<Slice> {
    let turns: Vec<(f64, &TurnRecord)> = view
        .asked()
        .filter_map(|t| Some((seconds(instant(t)?), t)))
        .collect();
    let times = || turns.iter().map(|(at, _)| *at);
    let (first, last) = (
        times().fold(f64::INFINITY, f64::min),
        times().fold(0.0, f64::max),
    );
    if turns.is_empty() {
        return vec![];
    }
    let width = step((last - first).max(0.1), SLICES - 1);
    let start = (first / width).floor();
    let n = ((last / width).floor() - start) as usize + 1;
    let mut sorted: Vec<Vec<&TurnRecord>> = vec![vec![]; n];
    for (at, turn) in turns {
        let slice = ((at / width).floor() - start).max(0.0) as usize;
        if let Some(slice) = sorted.get_mut(slice) {
            slice.push(turn);
        }
    }
    (0..n)
        .zip(sorted)
        .map(|(i, turns)| Slice {
            span: ((start + i as f64) * width, (start + i as f64 + 1.0) * width),
            replied: distribution(turns.iter().filter_map(|t| t.ttfa_ms)),
            without: turns.iter().filter(|t| lost(t)).count(),
        })
        .collect()
}

/// Whether the turn was missed or failed.
fn lost(turn: &TurnRecord) -> bool {
    turn.ttfa_ms.is_none() && matches!(turn.outcome, Outcome::Missed | Outcome::Failed)
}

/// A percentile of each slice, at its middle.
fn line(slices: &[&Slice], p: f64) -> Vec<(f64, f64)> {
    let point = |s: &&Slice| {
        let middle = f64::midpoint(s.span.0, s.span.1);
        Some((middle, percentile(&s.replied, p)?.as_f64()))
    };
    slices.iter().filter_map(point).collect()
}

fn chart(view: &View<'_>, slices: &[&Slice]) -> Chart {
    let (p50, p95) = (line(slices, 50.0), line(slices, 95.0));
    let single = view.replied().count() <= SINGLE;
    let dots: Vec<(f64, f64)> = if single {
        view.replied()
            .filter_map(|(t, ttfa)| Some((seconds(instant(t)?), ttfa.as_f64())))
            .collect()
    } else {
        vec![]
    };
    let top = dots.iter().chain(&p95).map(|p| p.1).fold(1.0, f64::max) * 1.1;
    let missed: Vec<(f64, f64)> = slices
        .iter()
        .filter(|s| s.without > 0)
        .map(|s| (f64::midpoint(s.span.0, s.span.1), top * 0.96))
        .collect();
    let mut legend = vec![(Ink::Main, "p50"), (Ink::Second, "p95")];
    if single {
        legend.push((Ink::Quiet, "a turn"));
    }
    if !missed.is_empty() {
        legend.push((Ink::Alarm, "× missed or failed turns"));
    }
    let x = slices.first().map_or(0.0, |s| s.span.0)..slices.last().map_or(1.0, |s| s.span.1);
    let mut panels = vec![Panel {
        title: "ttfa, ms".into(),
        rise: Rise::To(top),
        height: 380,
        layers: vec![
            super::typical::level(&x, top),
            Layer::Dots(dots, Ink::Quiet),
            Layer::Line(p50, Ink::Main, 4),
            Layer::Line(p95, Ink::Second, 4),
            Layer::Crosses(missed, Ink::Alarm),
        ],
    }];
    let under = concurrency(view, &x);
    let known = under.is_some();
    panels.extend(under);
    Chart {
        id: "over-time".into(),
        title: "Latency over time".into(),
        caption: if known {
            "By the time at which the caller finished speaking; below, the number of calls in progress."
                .to_owned()
        } else {
            "By the time at which the caller finished speaking.".to_owned()
        },
        legend,
        heads: heads(&[
            "seconds",
            "turns replied",
            "p50, ms",
            "p95, ms",
            "max, ms",
            "missed or failed",
            "concurrent calls",
        ]),
        rows: slices.iter().map(|s| row(view, s)).collect(),
        plot: Plot {
            width: WIDE,
            x,
            x_title: "seconds from the start of the run".into(),
            panels,
            spans: slices.iter().map(|s| s.span).collect(),
        },
    }
}

fn row(view: &View<'_>, slice: &Slice) -> Vec<String> {
    let round = |s: f64| (s * 1e3).round() / 1e3;
    let middle = Ms::from_micros((f64::midpoint(slice.span.0, slice.span.1) * 1e6) as i64);
    let at = |p| figure(percentile(&slice.replied, p));
    vec![
        format!("{} to {}", round(slice.span.0), round(slice.span.1)),
        grouped(slice.replied.count() as u64),
        at(50.0),
        at(95.0),
        at(100.0),
        grouped(slice.without as u64),
        view.calls_at(middle)
            .map_or_else(|| figure(None), |n| grouped(n as u64)),
    ]
}

fn concurrency(view: &View<'_>, x: &std::ops::Range<f64>) -> Option<Panel> {
    let steps = view.steps();
    let most = steps.iter().map(|(_, n)| *n).max().filter(|n| *n > 0)?;
    // Take the maximum of each piece, so that no peak is lost.
    let pieces = STEPS.min(steps.len().max(1) * 2);
    let width = (x.end - x.start) / pieces as f64;
    let mut points = Vec::new();
    for piece in 0..pieces {
        let (from, to) = (
            x.start + width * piece as f64,
            x.start + width * (piece + 1) as f64,
        );
        let within = steps
            .iter()
            .filter(|(at, _)| (from..to).contains(&seconds(*at)))
            .map(|(_, n)| *n);
        let before = view
            .calls_at(Ms::from_micros((from * 1e6) as i64))
            .unwrap_or(0);
        let n = within.chain([before]).max().unwrap_or(0) as f64;
        points.extend([(from, n), (to, n)]);
    }
    Some(Panel {
        title: "concurrent calls".into(),
        rise: Rise::To(most as f64 * 1.15),
        height: 200,
        layers: vec![
            Layer::Area(points.clone(), Ink::Third),
            Layer::Line(points, Ink::Third, 3),
        ],
    })
}
