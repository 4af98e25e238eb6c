//! The variants of a run side by side: a dot with its interval for each, and the figures.
//!
//! In: ranked variants. Out: a section, if the run has several. Invariants: turns without
//! a reply count in every figure; an interval with an infinite end is drawn to the chart's edge.

use super::super::figures::{interval, possibly_infinite};
use super::super::needed;
use super::super::text::grouped;
use super::super::variants::{are_ranked, signed, span};
use super::chart::{Chart, heads};
use super::plot::{Ink, Layer, Panel, Plot, Rise, WIDE};
use super::section::Section;
use super::view::{View, name};
use crate::record::{Lag, Ms, Span, VariantSummary};
use maud::{Markup, html};

/// Maximum number of variants in the chart; the table has all.
const LANES: usize = 24;
/// Maximum length of a name on an axis, in characters.
const LABEL: usize = 28;
/// Half the height of an interval's box, in lanes.
const HALF_BOX: f64 = 0.09;

pub(super) fn section(view: &View<'_>) -> Option<Section> {
    let variants = &view.summary.variants;
    if !are_ranked(variants) {
        return None;
    }
    let (first, others) = variants.split_first()?;
    let shown = &variants[..variants.len().min(LANES)];
    let body = html! {
        p.note { "All variants share one load; calls are assigned to them in shuffled blocks. They are ranked by the median ttfa of all turns; missed and failed turns count as ∞." }
        (chart(shown).figure())
        (ranking(variants))
        (behind(first, others))
    };
    Some(Section::new("variants", "Variants", body))
}

/// A figure and its interval, in ms; `None` where infinite or unknown.
struct Dot {
    at: Option<f64>,
    interval: Option<(f64, Option<f64>)>,
}

impl Dot {
    fn new(at: Option<Ms>, span: Option<Span>) -> Self {
        let ms = |ms: Option<Ms>| ms.map(Ms::as_f64);
        let interval = span.and_then(|s| Some((ms(s.lower_ms)?, ms(s.upper_ms))));
        Self {
            at: ms(at),
            interval,
        }
    }

    fn ends(&self) -> impl Iterator<Item = f64> {
        let (from, to) = self.interval.map_or((None, None), |(a, b)| (Some(a), b));
        self.at.into_iter().chain(from).chain(to)
    }
}

fn chart(variants: &[VariantSummary]) -> Chart {
    let p50 = |v: &VariantSummary| Dot::new(v.all_turns.p50_ms, v.intervals.all_turns.p50);
    let p95 = |v: &VariantSummary| Dot::new(v.all_turns.p95_ms, v.intervals.all_turns.p95);
    let dots: Vec<[Dot; 2]> = variants.iter().rev().map(|v| [p50(v), p95(v)]).collect();
    let ends = || dots.iter().flatten().flat_map(Dot::ends);
    let least = ends().fold(f64::INFINITY, f64::min);
    let most = ends().fold(0.0, f64::max);
    let (least, most) = if least < most {
        (least, most)
    } else {
        (0.0, most.max(1.0))
    };
    let room = (most - least) * 0.05;
    let x = (least - room).max(0.0)..most + room;
    let (mut medians, mut tails) = ((vec![], vec![]), (vec![], vec![]));
    for (lane, pair) in dots.iter().enumerate() {
        for (dot, layer, height) in [
            (&pair[0], &mut medians, lane as f64 + 0.62),
            (&pair[1], &mut tails, lane as f64 + 0.38),
        ] {
            layer.0.extend(dot.at.map(|at| (at, height)));
            layer.1.extend(dot.interval.map(|(from, to)| {
                let to = to.unwrap_or(x.end);
                [from, to, height - HALF_BOX, height + HALF_BOX]
            }));
        }
    }
    let lanes = variants.iter().rev();
    Chart {
        id: "variants-chart".into(),
        title: "ttfa by variant".into(),
        caption: "The median of each variant as a dot, its 95th percentile as a cross, with their 95 % intervals; the fastest at the top.".to_owned(),
        legend: vec![(Ink::Main, "median"), (Ink::Second, "95th percentile")],
        heads: heads(&["variant", "p50, ms", "95 % interval", "p95, ms", "95 % interval"]),
        rows: variants.iter().map(|v| figures(v).to_vec()).collect(),
        plot: Plot {
            width: WIDE,
            x,
            x_title: "ttfa of all turns, ms".into(),
            panels: vec![Panel {
                title: String::new(),
                rise: Rise::Lanes(lanes.map(|v| super::super::text::clean(&v.name, LABEL)).collect()),
                height: 20 + 60 * variants.len() as u32,
                layers: vec![
                    Layer::Boxes(medians.1, Ink::Main),
                    Layer::Boxes(tails.1, Ink::Second),
                    Layer::Dots(medians.0, Ink::Text),
                    Layer::Crosses(tails.0, Ink::Text),
                ],
            }],
            spans: vec![],
        },
    }
}

/// Name, median and p95 with their intervals.
fn figures(v: &VariantSummary) -> [String; 5] {
    let (all, spans) = (&v.all_turns, &v.intervals);
    let cell = |q, span| interval(span, all.count, q, spans.level);
    [
        name(&v.name),
        possibly_infinite(all.p50_ms, all),
        cell(0.5, spans.all_turns.p50),
        possibly_infinite(all.p95_ms, all),
        cell(0.95, spans.all_turns.p95),
    ]
}

fn ranking(variants: &[VariantSummary]) -> Markup {
    let heads = [
        "rank",
        "variant",
        "calls",
        "turns",
        "missed",
        "early",
        "failed",
        "p50, ms",
        "95 % interval",
        "p95, ms",
        "95 % interval",
    ];
    html! {
        div.scroll tabindex="0" role="group" aria-label="The variants by rank" {
            table.figures {
                thead { tr { @for head in heads { th scope="col" { (head) } } } }
                tbody { @for (nth, v) in variants.iter().enumerate() {
                    @let [name, p50, p50_span, p95, p95_span] = figures(v);
                    tr {
                        td { (nth + 1) }
                        th scope="row" { (name) }
                        @for count in [v.calls.started, v.all_turns.count, v.outcomes.missed, v.outcomes.early, v.outcomes.failed] {
                            td { (grouped(count as u64)) }
                        }
                        @for cell in [p50, p50_span, p95, p95_span] { td { (cell) } }
                    }
                } }
            }
        }
    }
}

fn behind(first: &VariantSummary, others: &[VariantSummary]) -> Markup {
    let cells = |lag: &Option<Lag>| match lag {
        Some(lag) => [
            signed(lag),
            span(lag.interval),
            format!("{:.4}", lag.p),
            lag.verdict.name().to_owned(),
        ],
        None => ["–".to_owned(), String::new(), String::new(), String::new()],
    };
    let heads = [
        "p50, ms",
        "95 % interval",
        "p",
        "verdict",
        "p95, ms",
        "95 % interval",
        "p",
        "verdict",
    ];
    html! {
        h3 { "Later than " (name(&first.name)) }
        p.note { "Differences between calls of the same blocks. p: how often equal variants would show so large a difference, corrected for multiple comparisons; a variant is slower or faster if the difference is significant and more than 5 % and 20 ms." }
        div.scroll tabindex="0" role="group" aria-label="How much later the others answer" {
            table.figures {
                thead { tr { th scope="col" { "variant" } @for head in heads { th scope="col" { (head) } } } }
                tbody { @for v in others { @if let Some(behind) = &v.behind {
                    tr {
                        th scope="row" { (name(&v.name)) }
                        @for cell in cells(&behind.p50) { td { (cell) } }
                        @for cell in cells(&behind.p95) { td { (cell) } }
                    }
                } } }
            }
        }
        @for text in needed::of_variants(others) { p.note { (text) "." } }
    }
}
