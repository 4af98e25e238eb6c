//! How latencies are distributed: a histogram, the cumulative share, and every metric's figures.
//!
//! In: the replied turns and the summary. Out: a section. Invariants: a long tail is collected in
//! one last bar instead of flattening the others; the share also counts turns without a reply.

use super::super::figures::cells;
use super::super::text::grouped;
use super::chart::{Chart, heads};
use super::plot::{HALF, Ink, Layer, Panel, Plot, Rise, Stand, step};
use super::section::Section;
use super::typical;
use super::view::{View, distribution, percentile};
use crate::record::Ms;
use crate::stats::Distribution;
use maud::{Markup, html};
use std::ops::Range;

/// Maximum number of bars, not counting the bar for the tail.
const BARS: usize = 40;
/// Number of steps in the line of cumulative shares.
const POINTS: usize = 120;
/// Percentiles in the table of cumulative shares.
const SHARES: [f64; 13] = [
    1.0, 5.0, 10.0, 20.0, 30.0, 40.0, 50.0, 60.0, 70.0, 80.0, 90.0, 95.0, 99.0,
];

pub(super) fn section(view: &View<'_>) -> Option<Section> {
    let m = &view.summary.metrics;
    if m.latencies().all(|(_, latency)| latency.count == 0) {
        return None;
    }
    let ttfa = distribution(view.replied().map(|(_, ttfa)| ttfa));
    let asked = view.summary.metrics.all_turns.count.max(ttfa.count());
    let charts = (ttfa.count() > 0).then(|| {
        html! { div.pair { (histogram(&ttfa).figure()) (shares(&ttfa, asked).figure()) } }
    });
    Some(Section::new(
        "latency",
        "Latency",
        html! { @if let Some(charts) = charts { (charts) } (table(view)) },
    ))
}

/// The range of both charts, up to the cut if the tail is long, and whether it is cut.
fn reach(ttfa: &Distribution) -> (f64, f64, bool) {
    let at = |p| percentile(ttfa, p).map_or(0.0, Ms::as_f64);
    let (least, most) = (at(0.0), at(100.0));
    let cut = least + (at(99.0) - least) * 1.5;
    if most > cut + 1.0 {
        (least, cut, true)
    } else {
        (least, most, false)
    }
}

/// Marks of the run's quantiles, drawn over the usual ranges.
fn marks(ttfa: &Distribution, x: &Range<f64>, stand: Stand) -> Vec<Layer> {
    let marks = [50.0, 95.0, 99.0].iter().filter_map(|p| {
        let at = percentile(ttfa, *p)?;
        (at.as_f64() <= x.end).then(|| (at.as_f64(), format!("p{p} {at:.1}")))
    });
    vec![
        typical::upright(x, stand),
        Layer::Marks(marks.collect(), Ink::Alarm, stand),
    ]
}

/// How many samples fall into each of `bars` bars of this width, and how many lie beyond them.
fn counted(ttfa: &Distribution, width: f64, first: f64, bars: usize) -> (Vec<usize>, usize) {
    let mut counts = vec![0_usize; bars];
    let mut beyond = 0;
    for sample in ttfa.sorted() {
        let bar = ((sample.as_ms() / width).floor() - first).max(0.0) as usize;
        match counts.get_mut(bar) {
            Some(count) => *count += 1,
            None => beyond += 1,
        }
    }
    (counts, beyond)
}

fn histogram(ttfa: &Distribution) -> Chart {
    let (least, most, cut) = reach(ttfa);
    let width = step((most - least).max(1.0), BARS);
    let first = (least / width).floor();
    let bars = ((most / width).floor() - first) as usize + 1;
    let (mut counts, beyond) = counted(ttfa, width, first, bars);
    let edge = |bar: usize| (first + bar as f64) * width;
    let mut spans: Vec<(f64, f64)> = (0..bars).map(|b| (edge(b), edge(b + 1))).collect();
    let mut rows: Vec<Vec<String>> = (0..bars)
        .map(|b| {
            vec![
                format!("{} to {}", short(edge(b)), short(edge(b + 1))),
                grouped(counts[b] as u64),
            ]
        })
        .collect();
    if cut {
        // Leave a gap of one bar before the tail bar, which is not to scale.
        spans.push((edge(bars + 1), edge(bars + 2)));
        rows.push(vec![
            format!("{} or more", short(edge(bars))),
            grouped(beyond as u64),
        ]);
        counts.push(beyond);
    }
    let inset = width * 0.06;
    let bar = |(span, n): (&(f64, f64), &usize)| (span.0 + inset, span.1 - inset, *n as f64);
    let drawn: Vec<_> = spans.iter().zip(&counts).map(bar).collect();
    let (usual, tail) = drawn.split_at(bars);
    let highest = counts.iter().copied().max().unwrap_or(1) as f64;
    let end = spans.last().map_or(most, |s| s.1);
    let tail_said = if cut {
        format!(
            " The last bar, set apart, contains all turns of {} ms or more.",
            short(edge(bars))
        )
    } else {
        String::new()
    };
    Chart {
        id: "histogram".into(),
        title: "Distribution of ttfa".into(),
        caption: format!(
            "Replied turns by ttfa, in steps of {} ms.{tail_said}",
            short(width)
        ),
        legend: vec![],
        plot: Plot {
            width: HALF,
            x: edge(0)..end,
            x_title: "ttfa, ms".into(),
            panels: vec![Panel {
                title: "turns".into(),
                rise: Rise::To(highest * 1.08),
                height: 400,
                layers: [
                    vec![
                        Layer::Bars(usual.to_vec(), Ink::Main),
                        Layer::Bars(tail.to_vec(), Ink::Quiet),
                    ],
                    marks(ttfa, &(edge(0)..edge(bars)), Stand::Top),
                ]
                .concat(),
            }],
            spans,
        },
        heads: heads(&["ttfa, ms", "turns"]),
        rows,
    }
}

fn shares(ttfa: &Distribution, asked: usize) -> Chart {
    let (least, most, cut) = reach(ttfa);
    let never = asked - ttfa.count();
    let of_all = |replied: f64| replied * ttfa.count() as f64 / asked as f64;
    let at = |p: f64| percentile(ttfa, p).map_or(0.0, Ms::as_f64);
    let mut points = vec![(least, 0.0)];
    for i in 0..=POINTS {
        let p = 100.0 * i as f64 / POINTS as f64;
        let x = at(p);
        if x > most {
            break;
        }
        // Draw a step at each point: nothing lies between two samples.
        let before = points.last().map_or(0.0, |q| q.1);
        points.extend([(x, before), (x, of_all(p))]);
    }
    if let (true, Some(last)) = (cut, points.last().copied()) {
        points.push((most, last.1));
    }
    let times = SHARES.map(at);
    let nears: Vec<(f64, f64)> = (0..times.len())
        .map(|i| {
            let middle = |a: usize, b: usize| f64::midpoint(times[a], times[b]);
            let from = if i == 0 { least } else { middle(i - 1, i) };
            let to = if i + 1 == times.len() {
                most
            } else {
                middle(i, i + 1)
            };
            (from, to)
        })
        .collect();
    let never_said = if never > 0 {
        let share = 100.0 * never as f64 / asked as f64;
        format!(" {share:.1} % of the turns were never answered, so the line ends below 100 %.")
    } else {
        String::new()
    };
    Chart {
        id: "shares".into(),
        title: "Share of turns answered within a time".into(),
        caption: format!("Cumulative share of all turns that expect a reply.{never_said}"),
        legend: vec![],
        plot: Plot {
            width: HALF,
            x: least..most,
            x_title: "ttfa, ms".into(),
            panels: vec![Panel {
                title: "% of turns".into(),
                rise: Rise::To(100.0),
                height: 400,
                // The line rises towards the top, so there is room for labels at the foot.
                layers: [
                    vec![Layer::Line(points, Ink::Main, 4)],
                    marks(ttfa, &(least..most), Stand::Foot),
                ]
                .concat(),
            }],
            spans: nears,
        },
        heads: heads(&["of replied turns", "of all turns", "within, ms"]),
        rows: SHARES
            .iter()
            .map(|p| {
                let within = percentile(ttfa, *p).map_or_else(String::new, |ms| format!("{ms:.1}"));
                vec![format!("{p} %"), format!("{:.1} %", of_all(*p)), within]
            })
            .collect(),
    }
}

fn table(view: &View<'_>) -> Markup {
    let m = &view.summary.metrics;
    html! {
        (typical::switch())
        div.scroll tabindex="0" role="group" aria-label="Latencies" {
            table.figures {
                caption { "Latencies in ms, without turns that were missed or failed" }
                thead { tr {
                    th scope="col" { "metric" }
                    @for head in ["count", "min", "mean", "p50", "p90", "p95", "p99", "max"] { th scope="col" { (head) } }
                    th.typical scope="col" { "usual" }
                } }
                tbody { @for (metric, latency) in m.latencies() { @if latency.count > 0 {
                    @let name = metric.name();
                    tr {
                        th scope="row" { a.term href=(format!("#def-{name}")) { (name) } }
                        td { (grouped(latency.count as u64)) }
                        @for cell in cells(&latency) { td { (cell) } }
                        td.typical { (typical::range(metric).unwrap_or_default()) }
                    }
                } } }
            }
        }
    }
}

/// Formats a number with at most three decimals and no trailing zeros.
fn short(ms: f64) -> String {
    format!("{}", (ms * 1e3).round() / 1e3)
}
