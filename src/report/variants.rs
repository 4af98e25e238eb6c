//! The variants of a run side by side, as fixed-width lines.
//!
//! In: ranked variants. Out: rows; none unless the run has several variants. Invariants: turns
//! without a reply count as ∞ in every figure; a row is no wider than the console's page.

use super::figures::{interval, possibly_infinite};
use super::needed;
use super::text::clean;
use crate::record::{Lag, LagVerdict, Ms, Span, VariantSummary};

/// Maximum length of a name, in characters; longer ones are truncated.
const NAME: usize = 30;

/// A heading and the rows below it.
pub(super) struct Block {
    pub(super) title: String,
    pub(super) rows: Vec<String>,
}

/// The ranking, and how much later than the first the others reply.
pub(super) fn blocks(variants: &[VariantSummary]) -> Vec<Block> {
    let Some((first, others)) = variants.split_first() else {
        return Vec::new();
    };
    let names = variants
        .iter()
        .map(|v| clean(&v.name, NAME).chars().count());
    let width = names.max().unwrap_or(0).max(7);
    let mut ranking = vec![format!(
        "      {:<width$} {:>6} {:>5} {:>9}  {:<20} {:>9}  95 % interval",
        "", "turns", "∞", "p50", "95 % interval", "p95"
    )];
    for (nth, variant) in variants.iter().enumerate() {
        ranking.push(rank(nth + 1, variant, width));
    }
    let mut behind = vec![format!(
        "      {:<width$} {:>9}  {:<20} {:<8} {:>9}  95 % interval",
        "", "p50", "95 % interval", "", "p95"
    )];
    for (nth, variant) in others.iter().enumerate() {
        behind.extend(later(nth + 2, variant, width));
    }
    behind.extend(
        needed::of_variants(variants)
            .into_iter()
            .map(|text| format!("      {text}")),
    );
    vec![
        Block {
            title: "variants by the median ttfa of all turns, ms".to_owned(),
            rows: ranking,
        },
        Block {
            title: format!("later than {}, ms", clean(&first.name, NAME)),
            rows: behind,
        },
    ]
}

fn rank(nth: usize, variant: &VariantSummary, width: usize) -> String {
    let all = &variant.all_turns;
    let spans = &variant.intervals;
    let cell = |q, span| interval(span, all.count, q, spans.level);
    let row = format!(
        "  {nth:>2}  {:<width$} {:>6} {:>5} {:>9}  {:<20} {:>9}  {}",
        clean(&variant.name, NAME),
        all.count,
        all.infinite,
        possibly_infinite(all.p50_ms, all),
        cell(0.5, spans.all_turns.p50),
        possibly_infinite(all.p95_ms, all),
        cell(0.95, spans.all_turns.p95),
    );
    row.trim_end().to_owned()
}

fn later(nth: usize, variant: &VariantSummary, width: usize) -> Option<String> {
    let behind = variant.behind.as_ref()?;
    let cells = |lag: &Option<Lag>| match lag {
        Some(lag) => [
            signed(lag),
            span(lag.interval),
            lag.verdict.name().to_owned(),
        ],
        None => ["–".to_owned(), String::new(), String::new()],
    };
    let ([p50, p50_span, p50_word], [p95, p95_span, p95_word]) =
        (cells(&behind.p50), cells(&behind.p95));
    let row = format!(
        "  {nth:>2}  {:<width$} {p50:>9}  {p50_span:<20} {p50_word:<8} {p95:>9}  {p95_span:<16} {p95_word}",
        clean(&variant.name, NAME),
    );
    Some(row.trim_end().to_owned())
}

/// Formats a difference with its sign; `None` means infinite.
pub(super) fn signed(lag: &Lag) -> String {
    match (lag.by_ms, lag.verdict) {
        (Some(ms), _) => format!("{:+.1}", ms.as_f64()),
        (None, LagVerdict::Slower) => "+∞".to_owned(),
        (None, LagVerdict::Faster) => "−∞".to_owned(),
        (None, _) => "∞".to_owned(),
    }
}

/// Formats an interval of differences; an end that is `None` is infinite.
pub(super) fn span(span: Option<Span>) -> String {
    let end = |ms: Option<Ms>, infinite: &str| {
        ms.map_or_else(|| infinite.to_owned(), |ms| format!("{:+.1}", ms.as_f64()))
    };
    span.map_or_else(String::new, |span| {
        let (lower, upper) = (end(span.lower_ms, "−∞"), end(span.upper_ms, "+∞"));
        format!("[{lower}, {upper}]")
    })
}
