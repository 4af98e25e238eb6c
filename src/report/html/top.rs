//! The head of the page: verdict, gates, `ttfa`, outcomes, and whether the run is valid.
//!
//! In: the summary. Out: what a reader needs in ten seconds. Invariants: nothing is conveyed by
//! colour alone; the figures are those of the console.

use super::super::counts;
use super::super::figures::{QUANTILES, figure, interval, possibly_infinite};
use super::super::text::{grouped, plural};
use super::super::words;
use super::plot::Ink;
use super::view::{View, message, name};
use crate::record::{GateAnswer, GateResult, Status, Summary};
use crate::vocab::Metric;
use maud::{Markup, html};

/// Everything above the first section.
pub(super) fn head(view: &View<'_>) -> Markup {
    let summary = view.summary;
    html! {
        (verdict(view))
        (ttfa(summary))
        div.pair {
            (gates(summary))
            (outcomes(summary))
        }
    }
}

/// The word, mark and CSS class of a verdict.
pub(super) fn word(status: Status) -> (&'static str, &'static str, &'static str) {
    match status {
        Status::Passed => ("Passed", "✓", "good"),
        Status::Unasked => ("No gates", "?", "doubtful"),
        Status::Failed => ("Failed", "✕", "bad"),
        Status::Invalid => ("Invalid", "!", "doubtful"),
        Status::Stopped => ("Stopped", "■", "doubtful"),
        Status::Error => ("Error", "✕", "bad"),
    }
}

fn verdict(view: &View<'_>) -> Markup {
    let summary = view.summary;
    let run = &summary.run;
    let (word, mark, class) = word(summary.verdict.status);
    html! {
        header.verdict.(class) {
            p.badge { span.mark aria-hidden="true" { (mark) } (word) }
            h1 { (name(&run.name)) }
            p.lead { (words::verdict(summary)) }
            @if !view.complete {
                p.incomplete { strong { "Incomplete. " } "The run was cut off; this page shows every turn that had ended by then." }
            }
            @if !summary.verdict.reasons.is_empty() {
                ul.reasons { @for reason in &summary.verdict.reasons { li { (message(reason)) } } }
            }
            dl.facts {
                (fact("Target", &name(&run.target)))
                (fact("Started", &name(&run.started_at)))
                (fact("Took", &format!("{:.1} s", run.duration_ms.as_f64() / 1e3)))
                (fact("Seed", &run.seed.to_string()))
                (fact("Made by", &format!("loadgen {}", name(&run.loadgen_version))))
            }
        }
    }
}

fn fact(key: &str, value: &str) -> Markup {
    html! { div { dt { (key) } dd { (value) } } }
}

fn ttfa(summary: &Summary) -> Markup {
    let (replied, all) = (
        &summary.metrics.get(Metric::Ttfa),
        &summary.metrics.all_turns,
    );
    let spans = &summary.intervals;
    let level = spans.level;
    html! {
        section.headline aria-labelledby="headline" {
            h2 id="headline" {
                a.term href="#def-ttfa" { "ttfa" } span.unit { "time to first audio, mouth to ear, in ms" }
            }
            div.cards {
                @for quantile in &QUANTILES {
                    div.card {
                        h3 { (quantile.name) }
                        p.big { (possibly_infinite((quantile.of_all)(all), all)) }
                        p.interval { (interval((quantile.span)(&spans.all_turns), all.count, quantile.q, level)) }
                        @if all.infinite > 0 {
                            p.beside {
                                "replied only "
                                b { (figure((quantile.of)(replied))) }
                                " " (interval((quantile.span)(&spans.ttfa), replied.count, quantile.q, level))
                            }
                        }
                    }
                }
            }
            p.note {
                "Of all " (plural(all.count, "turn"))
                @if all.infinite > 0 { ", " (grouped(all.infinite as u64)) " of them never answered and counted as ∞" }
                @else { ", every one of them answered" }
                ": the figures that gates look at. In brackets the "
                a href="#def-quantile" { "95 % interval" } "."
            }
        }
    }
}

fn gates(summary: &Summary) -> Markup {
    let gates = &summary.verdict.gates;
    html! {
        section aria-labelledby="gates" {
            h2 id="gates" { "Gates" }
            @if gates.is_empty() {
                p.note { "The scenario has no thresholds." }
            } @else {
                ul.gates { @for gate in gates { (self::gate(gate)) } }
            }
        }
    }
}

fn gate(gate: &GateResult) -> Markup {
    let (word, mark, class) = match gate.answer() {
        GateAnswer::Pass => ("holds", "✓", "good"),
        GateAnswer::WeakPass => ("holds weakly", "✓", "good"),
        GateAnswer::WeakFail => ("fails weakly", "✕", "bad"),
        GateAnswer::Fail => ("fails", "✕", "bad"),
        GateAnswer::Undecided => ("undecided", "?", "doubtful"),
    };
    html! {
        li.(class) {
            span.mark aria-hidden="true" { (mark) }
            code { (name(&gate.name())) }
            span.said { (word) }
            span.seen { (gate.figure()) }
            p.note { (message(&words::gate(gate))) }
        }
    }
}

fn outcomes(summary: &Summary) -> Markup {
    let turns = &summary.outcomes;
    let calls = &summary.calls;
    let with_outcome = turns.ended() + turns.cut_off;
    let never_begun = turns.planned.saturating_sub(with_outcome);
    let kinds = [
        ("replied", turns.replied, Ink::Main, ""),
        ("missed", turns.missed, Ink::Alarm, "#def-missed"),
        ("early", turns.early, Ink::Second, "#def-early"),
        ("failed", turns.failed, Ink::Text, "#def-failed"),
        ("cut off", turns.cut_off, Ink::Third, "#def-cut-off"),
        ("never begun", never_begun, Ink::Quiet, "#def-not-run"),
    ];
    html! {
        section aria-labelledby="outcomes" {
            h2 id="outcomes" { "Outcomes" }
            (shares(&kinds.map(|(_, n, ink, _)| (n, ink))))
            ul.outcomes {
                @for (kind, n, ink, definition) in kinds {
                    @if n > 0 || !definition.is_empty() || kind == "replied" {
                        li {
                            (super::chart::swatch(ink))
                            b { (grouped(n as u64)) } " "
                            @if definition.is_empty() { (kind) } @else { a href=(definition) { (kind) } }
                        }
                    }
                }
            }
            p.note {
                (plural(turns.planned, "turn")) " planned. "
                (plural(calls.planned, "call")) " planned: " (grouped(calls.started as u64)) " started, "
                (grouped(calls.completed as u64)) " completed, " (grouped(calls.failed as u64)) " failed, "
                (grouped(calls.dropped as u64)) " dropped"
                @if calls.cut_off + calls.not_run > 0 {
                    ", " (grouped(calls.cut_off as u64)) " cut off by the end of the run, "
                    (grouped(calls.not_run as u64)) " not run"
                }
                "."
                @for remark in counts::remarks(summary) { " " (upper_first(&remark)) "." }
            }
        }
    }
}

fn upper_first(text: &str) -> String {
    let mut chars = text.chars();
    let first = chars.next().map(|c| c.to_uppercase().collect::<String>());
    first.unwrap_or_default() + chars.as_str()
}

/// A stacked bar of shares.
fn shares(parts: &[(usize, Ink)]) -> Markup {
    let total: usize = parts.iter().map(|(n, _)| n).sum();
    let mut from = 0;
    let mut bars = Vec::new();
    for (n, ink) in parts.iter().filter(|(n, _)| *n > 0) {
        let unit = |n: usize| n as f64 * 1000.0 / total as f64;
        bars.push((unit(from), unit(*n), ink.class()));
        from += n;
    }
    html! {
        svg.shares viewBox="0 0 1000 24" preserveAspectRatio="none" aria-hidden="true" {
            @for (x, width, class) in bars {
                rect.(class) x=(format!("{x:.1}")) width=(format!("{:.1}", width.max(2.0))) height="24" {}
            }
        }
    }
}
