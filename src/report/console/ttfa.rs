//! The quantiles of `ttfa` with their intervals: for all turns, as gates use them, and for the
//! replied turns.
//!
//! In: a summary. Out: lines. Invariants: the two columns are side by side if the screen is wide
//! enough, otherwise one below the other; the column of replied turns is left out if it would
//! repeat the other.

use super::page::section;
use crate::record::{Ms, Quantiles, Summary};
use crate::report::Screen;
use crate::report::figures::{QUANTILES, figure, interval, possibly_infinite};
use crate::report::text::{grouped, padded, padded_left, plural, width};
use crate::vocab::Metric;

/// Terminal columns between two tables side by side.
const GAP: usize = 4;

/// A column of figures with their intervals, and its heading.
struct Column {
    head: String,
    /// Name, figure and interval.
    rows: Vec<(&'static str, String, String)>,
}

/// The lines, with a title.
pub(super) fn lines(summary: &Summary, screen: Screen) -> Vec<String> {
    let mut lines = section("ttfa, ms [95 % interval]", screen);
    let [all, replied] = columns(summary);
    if summary.metrics.all_turns.count == 0 {
        lines.push("  no turn was measured".to_owned());
        return lines;
    }
    let columns = match all.rows == replied.rows {
        true => vec![all.lines()],
        false => vec![all.lines(), replied.lines()],
    };
    let widest = |column: &Vec<String>| column.iter().map(|line| width(line)).max().unwrap_or(0);
    let wide: Vec<usize> = columns.iter().map(|column| widest(column) + GAP).collect();
    if wide.iter().sum::<usize>() > screen.width + GAP {
        return lines.into_iter().chain(columns.concat()).collect();
    }
    for nth in 0..columns[0].len() {
        let cells = columns.iter().zip(&wide);
        let line: String = cells
            .map(|(column, wide)| padded(&column[nth], *wide))
            .collect();
        lines.push(line.trim_end().to_owned());
    }
    lines
}

fn columns(summary: &Summary) -> [Column; 2] {
    let (replied, all) = (
        summary.metrics.get(Metric::Ttfa),
        &summary.metrics.all_turns,
    );
    let (spans, level) = (&summary.intervals, summary.intervals.level);
    let of = |head, count, spans: &Quantiles, value: &dyn Fn(usize) -> String| Column {
        head,
        rows: QUANTILES
            .iter()
            .enumerate()
            .map(|(nth, quantile)| {
                let span = interval((quantile.span)(spans), count, quantile.q, level);
                (quantile.name, value(nth), span)
            })
            .collect(),
    };
    let never = match all.infinite {
        0 => String::new(),
        n => format!(", {} of them ∞", grouped(n as u64)),
    };
    let of_all = |nth: usize| {
        let value: Option<Ms> = (QUANTILES[nth].of_all)(all);
        possibly_infinite(value, all)
    };
    let of_replied = |nth: usize| figure((QUANTILES[nth].of)(&replied));
    let all_head = format!("all {}{never}", plural(all.count, "turn"));
    let replied_head = format!("{} replied", grouped(replied.count as u64));
    [
        of(all_head, all.count, &spans.all_turns, &of_all),
        of(replied_head, replied.count, &spans.ttfa, &of_replied),
    ]
}

impl Column {
    fn lines(&self) -> Vec<String> {
        let figures = self.rows.iter().map(|(_, figure, _)| width(figure));
        let wide = figures.max().unwrap_or(0).max("000.0".len());
        let row = |(name, figure, span): &(&str, String, String)| {
            let line = format!("  {name}  {}  {span}", padded_left(figure, wide));
            line.trim_end().to_owned()
        };
        let head = format!("  {}", self.head);
        [head]
            .into_iter()
            .chain(self.rows.iter().map(row))
            .collect()
    }
}
