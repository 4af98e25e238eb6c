//! The observed endpoints and processes, on the time axis of the latency.
//!
//! In: readings of endpoints and processes, what calls measured of the network, and the range of
//! the axis. Out: a chart with one panel
//! per series. Invariants: a time without values is a gap in the line, not a zero; the size of the
//! chart is bounded, however long the run was and however much was observed.

use super::super::observed::{Meaning, in_order};
use super::chart::Chart;
use super::plot::{Ink, Layer, Panel, Plot, Rise, WIDE, step};
use super::view::{View, name, seconds};
use crate::record::{Observations, ObservedSeries, connection_series};
use maud::{Markup, html};
use std::borrow::Cow;
use std::collections::BTreeSet;
use std::ops::Range;

/// Maximum number of panels.
const PANELS: usize = 24;
/// Maximum number of pieces of time in a panel, each with one value.
const PIECES: usize = 240;
/// Maximum number of rows in the table of values.
const ROWS: usize = 60;
/// Height of a panel, in SVG units.
const HEIGHT: u32 = 170;

/// A series with its meaning.
type Shown<'a> = (&'a ObservedSeries, Meaning<'a>);

/// The chart, and the sources without values; `axis`: the range that the latency is drawn over, in
/// seconds, if there is any.
pub(super) fn part(view: &View<'_>, axis: Option<Range<f64>>) -> Option<Markup> {
    let mut observed = Observations::of(&view.record.observed);
    observed
        .series
        .extend(connection_series(&view.record.calls));
    let silent = silent(&observed);
    if observed.series.is_empty() && silent.is_empty() {
        return None;
    }
    let panels = in_order(&observed.series);
    let axis = axis.unwrap_or_else(|| range(&panels));
    let silent = silent.iter().map(|source| name(source));
    let silent: Vec<String> = silent.collect();
    Some(html! {
        @if !panels.is_empty() { (chart(&observed, &panels, axis).figure()) }
        @if !silent.is_empty() {
            p.note { "Observed, but without a value during the whole run: " (silent.join(", ")) "." }
        }
    })
}

/// The sources that have readings, but no value.
fn silent(observed: &Observations) -> Vec<&str> {
    let has_values = |source: &str| observed.series.iter().any(|s| s.source == source);
    let gaps = observed.gaps.iter().map(|(source, _)| source.as_str());
    gaps.filter(|source| !has_values(source)).collect()
}

/// The whole seconds that contain all instants: never an empty range.
fn range(panels: &[Shown<'_>]) -> Range<f64> {
    let instants = || {
        let points = panels.iter().flat_map(|(series, _)| series.points());
        points.map(|(at, _)| seconds(at).floor())
    };
    let first = instants().fold(f64::INFINITY, f64::min);
    first..instants().fold(first, f64::max) + 1.0
}

fn chart(observed: &Observations, panels: &[Shown<'_>], axis: Range<f64>) -> Chart {
    let drawn = &panels[..panels.len().min(PANELS)];
    let gaps = |source: &str| observed.gaps.iter().find(|(gap, _)| gap == source);
    let length = (axis.end - axis.start).max(0.1);
    let width = step(length, ROWS - 1);
    let rows = (length / width).ceil() as usize;
    // Two neighbouring rows share an edge, so that each instant is in exactly one row.
    let edge = |row: usize| (axis.start + width * row as f64).min(axis.end);
    let span = |row: usize| (edge(row), edge(row + 1));
    let spans: Vec<(f64, f64)> = (0..rows.clamp(1, ROWS)).map(span).collect();
    let mut legend = vec![(Ink::Main, "largest value at the time")];
    if drawn
        .iter()
        .any(|(series, _)| gaps(&series.source).is_some())
    {
        legend.push((Ink::Alarm, "× no value"));
    }
    let left_out = match panels.len() - drawn.len() {
        0 => String::new(),
        n => format!(" {n} more series are in observed.jsonl."),
    };
    let heads = drawn.iter().map(|panel| Cow::from(title(panel)));
    Chart {
        id: "observed".into(),
        title: "Observed over time".into(),
        caption: format!(
            "What the observed endpoints and processes said about themselves once a second, what agents sent, and what callers measured of the network (the largest value of any call), on the same time axis as the latency.{left_out}"
        ),
        legend,
        heads: std::iter::once(Cow::from("seconds")).chain(heads).collect(),
        rows: spans.iter().map(|span| row(drawn, *span)).collect(),
        plot: Plot {
            width: WIDE,
            x: axis.clone(),
            x_title: "seconds from the start of the run".into(),
            panels: drawn
                .iter()
                .map(|panel| {
                    let gaps = gaps(&panel.0.source).map(|(_, at)| at.as_slice());
                    let gaps = gaps.unwrap_or_default().iter().map(|at| seconds(*at));
                    draw(panel, gaps, &axis)
                })
                .collect(),
            spans,
        },
    }
}

fn title((series, meaning): &Shown<'_>) -> String {
    name(&format!("{}: {}", series.source, meaning.words()))
}

/// The largest value of each series within a span of time.
fn row(panels: &[Shown<'_>], (from, until): (f64, f64)) -> Vec<String> {
    let round = |s: f64| (s * 1e3).round() / 1e3;
    let cell = |(series, meaning): &Shown<'_>| {
        let points = series.points();
        let within = points.filter(|(at, _)| (from..until).contains(&seconds(*at)));
        let largest = within.map(|(_, value)| value).reduce(f64::max);
        largest.map_or_else(|| "–".to_owned(), |value| meaning.text(value))
    };
    let time = format!("{} to {}", round(from), round(until));
    std::iter::once(time)
        .chain(panels.iter().map(cell))
        .collect()
}

fn draw(panel: &Shown<'_>, gaps: impl Iterator<Item = f64>, axis: &Range<f64>) -> Panel {
    let lines = lines(panel.0, axis);
    // A single value between two gaps is drawn as a dot.
    let (dots, lines): (Vec<_>, Vec<_>) = lines.into_iter().partition(|line| line.len() == 1);
    let scaled = |(at, value): (f64, f64)| (at, panel.1.scaled(value).max(0.0));
    let lines: Vec<Vec<(f64, f64)>> = lines
        .into_iter()
        .map(|line| line.into_iter().map(scaled).collect())
        .collect();
    let dots: Vec<(f64, f64)> = dots.into_iter().flatten().map(scaled).collect();
    let most = lines.iter().flatten().chain(&dots);
    let most = most.map(|(_, value)| *value).fold(0.0, f64::max);
    let top = if most > 0.0 { most * 1.15 } else { 1.0 };
    let pieces: BTreeSet<usize> = gaps.filter_map(|at| piece(at, axis)).collect();
    let middle = |piece: &usize| {
        let width = (axis.end - axis.start) / PIECES as f64;
        (axis.start + width * (*piece as f64 + 0.5), top * 0.1)
    };
    let crosses = pieces.iter().map(middle).collect();
    let lines = lines
        .into_iter()
        .map(|line| Layer::Line(line, Ink::Main, 3));
    Panel {
        title: title(panel),
        rise: Rise::To(top),
        height: HEIGHT,
        layers: lines
            .chain([
                Layer::Dots(dots, Ink::Main),
                Layer::Crosses(crosses, Ink::Alarm),
            ])
            .collect(),
    }
}

/// The piece of the axis that contains an instant; `None` if it lies outside the axis.
fn piece(at: f64, axis: &Range<f64>) -> Option<usize> {
    let share = (at - axis.start) / (axis.end - axis.start);
    let inside = (0.0..=1.0).contains(&share);
    inside.then(|| ((share * PIECES as f64) as usize).min(PIECES - 1))
}

/// The segments of a series within the axis, with the largest value of each piece of time.
fn lines(series: &ObservedSeries, axis: &Range<f64>) -> Vec<Vec<(f64, f64)>> {
    let mut lines = Vec::new();
    for segment in &series.segments {
        let mut line: Vec<(usize, (f64, f64))> = Vec::new();
        for (at, value) in segment {
            let point = (seconds(*at), *value);
            let Some(piece) = piece(point.0, axis) else {
                continue;
            };
            match line.last_mut() {
                Some((last, largest)) if *last == piece => {
                    if point.1 > largest.1 {
                        *largest = point;
                    }
                }
                _ => line.push((piece, point)),
            }
        }
        if !line.is_empty() {
            lines.push(line.into_iter().map(|(_, point)| point).collect());
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Ms;

    #[test]
    fn a_line_has_gaps_and_keeps_the_largest_values() {
        let at = |s: u32| Ms::from_micros(i64::from(s) * 1_000_000);
        let points = |from: u32, until: u32| {
            let value = |s: u32| if s == 1_003 { 9.0 } else { 1.0 };
            (from..until).map(|s| (at(s), value(s))).collect()
        };
        let series = ObservedSeries {
            source: "s".into(),
            name: "n".into(),
            rate: false,
            segments: vec![points(0, 2_000), points(2_100, 2_101), points(9_000, 9_900)],
        };
        let drawn = lines(&series, &(0.0..2_400.0));
        let lengths: Vec<usize> = drawn.iter().map(Vec::len).collect();
        assert_eq!(lengths, [200, 1], "ten seconds a piece; the end is outside");
        let largest = drawn[0].iter().filter(|p| p.1 > 8.0);
        assert_eq!(largest.collect::<Vec<_>>(), [&(1_003.0, 9.0)]);
    }

    #[test]
    fn a_single_reading_is_drawn_and_listed() {
        let at = |micros| Ms::from_micros(micros);
        let series = |instants: &[i64]| ObservedSeries {
            source: "s".into(),
            name: "n".into(),
            rate: false,
            segments: vec![instants.iter().map(|micros| (at(*micros), 7.0)).collect()],
        };
        for (instants, axis) in [
            (&[5_125_000][..], 5.0..6.0),
            (&[5_000_000], 5.0..6.0),
            (&[1_200_000, 3_000_000], 1.0..4.0),
        ] {
            let observed = Observations {
                series: vec![series(instants)],
                gaps: Vec::new(),
            };
            let panels = in_order(&observed.series);
            let found = range(&panels);
            assert_eq!(found, axis);
            let chart = chart(&observed, &panels, found);
            let value = Meaning::of("n", false).text(7.0);
            let listed = chart.rows.iter().filter(|row| row[1] == value);
            assert_eq!(listed.count(), instants.len(), "{:?}", chart.rows);
            let ends = |(from, until): &(f64, f64)| from < until;
            assert!(chart.plot.spans.iter().all(ends), "{:?}", chart.plot.spans);
            let drawn = lines(&observed.series[0], &axis);
            assert_eq!(drawn.concat().len(), instants.len());
        }
    }
}
