//! The variants of a run, ranked, and how much later the others reply than the first.
//!
//! In: ranked variants, the width of the screen. Out: lines, if the run has several
//! variants. Invariants: turns without a reply count as ∞ in every figure; a row is no wider than
//! the screen: figures that do not fit side by side are listed one after another.

use super::columns::Columns;
use super::figures::{interval, possibly_infinite};
use super::text::{clean, wrap};
use crate::record::{Behind, Lag, LagVerdict, Ms, Span, VariantSummary};

/// Maximum length of a name, in characters: longer than a scenario allows.
const NAME: usize = 120;
/// Indent of the lines below a variant's name.
const INDENT: usize = 6;

/// The ranking, as lines.
pub(super) struct Table {
    pub(super) title: String,
    /// The line above the rows, if they are aligned in columns.
    pub(super) head: Option<String>,
    /// The lines of each variant.
    pub(super) rows: Vec<Vec<String>>,
}

/// Whether there is a ranking: several variants, and a turn that asked for a spoken reply.
pub(super) fn are_ranked(variants: &[VariantSummary]) -> bool {
    variants.iter().any(|variant| variant.all_turns.count > 0)
}

/// The ranking, in lines of at most `columns`.
pub(super) fn table(variants: &[VariantSummary], columns: usize) -> Table {
    let heads = [
        "",
        "turns",
        "∞",
        "p50",
        "95 % interval",
        "p95",
        "95 % interval",
    ];
    let heads = heads.map(str::to_owned);
    let cells: Vec<[String; 7]> = variants.iter().map(cells).collect();
    // Intervals are left-aligned, next to their figures.
    let right = std::array::from_fn(|nth| !matches!(nth, 0 | 4 | 6));
    let aligned = Columns::of(cells.iter().chain([&heads]), right);
    let aligned = Some(aligned).filter(|aligned| INDENT + aligned.width() <= columns);
    let head = aligned.as_ref().map(|aligned| aligned.line(&heads));
    let rows = variants.iter().enumerate().map(|(nth, variant)| {
        let own = match &aligned {
            Some(aligned) => vec![aligned.line(&cells[nth])],
            None => wrap(&sentence(&cells[nth], variant), columns - INDENT),
        };
        let below = variant.behind.as_ref().and_then(later);
        let below = below.map(|text| wrap(&text, columns - INDENT));
        let texts = own.into_iter().chain(below.into_iter().flatten());
        let rank = format!("  {:>2}  ", nth + 1);
        let lines = texts.enumerate().map(|(nth, text)| match nth {
            0 => format!("{rank}{text}"),
            _ => format!("{:INDENT$}{text}", ""),
        });
        lines.collect()
    });
    Table {
        title: "variants by median ttfa of all turns, ms".to_owned(),
        head: head.map(|head| format!("{:INDENT$}{head}", "")),
        rows: rows.collect(),
    }
}

/// Name, turns, turns without a reply, and two quantiles, each with its interval.
fn cells(variant: &VariantSummary) -> [String; 7] {
    let all = &variant.all_turns;
    let spans = &variant.intervals;
    let cell = |q, span| interval(span, all.count, q, spans.level);
    [
        clean(&variant.name, NAME),
        all.count.to_string(),
        all.infinite.to_string(),
        possibly_infinite(all.p50_ms, all),
        cell(0.5, spans.all_turns.p50),
        possibly_infinite(all.p95_ms, all),
        cell(0.95, spans.all_turns.p95),
    ]
}

/// A row in words: `deaf: 30 turns, 15 of them ∞, p50 491.0 [446.0, ∞], p95 ∞ (needs 59 turns)`.
fn sentence(cells: &[String; 7], variant: &VariantSummary) -> String {
    let [name, turns, never, p50, p50_span, p95, p95_span] = cells;
    let never = match variant.all_turns.infinite {
        0 => String::new(),
        _ => format!(", {never} of them ∞"),
    };
    format!("{name}: {turns} turns{never}, p50 {p50} {p50_span}, p95 {p95} {p95_span}")
}

/// `than the first: p50 +300.0 [+295.9, +304.1] slower, p95 +300.0 unclear`.
fn later(behind: &Behind) -> Option<String> {
    let told = |name: &str, lag: &Option<Lag>| {
        let lag = lag.as_ref()?;
        let span = match span(lag.interval) {
            none if none.is_empty() => none,
            span => format!(" {span}"),
        };
        Some(format!(
            "{name} {}{span} {}",
            signed(lag),
            lag.verdict.name()
        ))
    };
    let told = [told("p50", &behind.p50), told("p95", &behind.p95)];
    let told: Vec<String> = told.into_iter().flatten().collect();
    (!told.is_empty()).then(|| format!("than the first: {}", told.join(", ")))
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
