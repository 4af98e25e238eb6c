//! Draws a plot as SVG; the only file that draws with plotters.
//!
//! In: panels stacked on one horizontal axis. Out: an SVG element and, in its coordinates, the
//! hit area of each value. Invariants: colours are those of [`super::plot::Ink`], which the style
//! sheet replaces in dark mode; text is escaped; empty and infinite ranges still draw something.

use super::plot::{Drawn, HALF, Ink, Layer, Panel, Plot, Rise, Stand};
use plotters::coord::Shift;
use plotters::coord::types::RangedCoordf64;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};
use std::ops::Range;

const TEXT: i32 = 24;
/// Margin above a panel that has a title, and above one that has none.
const TOP: u32 = 52;
const NO_TITLE: u32 = 12;
const LEFT: u32 = 104;
/// Width of a letter, roughly, and space between a label and its axis.
const LETTER: u32 = 13;
const GAP: u32 = 20;
const RIGHT: u32 = 28;
const UNDER: u32 = 74;

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
type Chart<'a, 'b> = ChartContext<'a, SVGBackend<'b>, Cartesian2d<RangedCoordf64, RangedCoordf64>>;
type Painted<T> = Result<T, DrawingAreaErrorKind<std::io::Error>>;

pub(super) fn draw(plot: &Plot) -> Drawn {
    let height = plot.panels.iter().map(|p| p.height).sum::<u32>() + UNDER;
    let mut svg = String::new();
    let hits = {
        let root = SVGBackend::with_string(&mut svg, (plot.width, height)).into_drawing_area();
        paint(plot, &root).expect("drawing into a string cannot fail")
    };
    let inside = svg
        .split_once('>')
        .and_then(|(_, rest)| rest.rsplit_once("</svg>"))
        .map(|(inside, _)| inside.trim().replace(" stroke=\"none\"", ""))
        .unwrap_or_default();
    Drawn {
        inside,
        width: plot.width,
        height,
        hits,
    }
}

fn paint(plot: &Plot, root: &Area<'_>) -> Painted<Vec<[i32; 4]>> {
    let x = wide_enough(&plot.x);
    let mut rest = root.clone();
    let mut hits: Vec<[i32; 4]> = Vec::new();
    for (nth, panel) in plot.panels.iter().enumerate() {
        let last = nth + 1 == plot.panels.len();
        let (upper, lower) = rest.split_vertically(panel.height + if last { UNDER } else { 0 });
        rest = lower;
        let here = paint_panel(plot, &x, panel, &upper, last)?;
        if nth == 0 {
            hits = here;
        } else {
            // The hit areas of the first panel reach down through all panels.
            for (hit, here) in hits.iter_mut().zip(here) {
                hit[3] = here[1] + here[3] - hit[1];
            }
        }
    }
    root.present()?;
    Ok(hits)
}

/// Makes the ends finite and widens an empty range, so that the axis always has an extent.
fn wide_enough(range: &Range<f64>) -> Range<f64> {
    let ends = [range.start, range.end].map(|e| if e.is_finite() { e } else { 0.0 });
    if ends[1] - ends[0] > 1e-6 {
        ends[0]..ends[1]
    } else {
        ends[0] - 0.5..ends[0] + 0.5
    }
}

/// Width of the area for the labels of vertical axes: the names of lanes can be long.
fn left(plot: &Plot) -> u32 {
    let names = plot.panels.iter().flat_map(|panel| match &panel.rise {
        Rise::Lanes(names) => &names[..],
        Rise::To(_) => &[],
    });
    let longest = names.map(|name| name.chars().count()).max().unwrap_or(0);
    let widest = (longest as u32 * LETTER + GAP).min(plot.width / 3);
    widest.max(LEFT)
}

fn font(ink: Ink) -> TextStyle<'static> {
    ("sans-serif", TEXT).into_font().color(&ink.rgb())
}

fn paint_panel(
    plot: &Plot,
    x: &Range<f64>,
    panel: &Panel,
    area: &Area<'_>,
    last: bool,
) -> Painted<Vec<[i32; 4]>> {
    let top = match &panel.rise {
        Rise::To(top) if top.is_finite() && *top > 0.0 => *top,
        Rise::To(_) => 1.0,
        Rise::Lanes(lanes) => lanes.len().max(1) as f64,
    };
    area.draw(&Text::new(panel.title.clone(), (0, 4), font(Ink::Text)))?;
    let mut chart = ChartBuilder::on(area)
        .margin_top(if panel.title.is_empty() {
            NO_TITLE
        } else {
            TOP
        })
        .margin_right(RIGHT)
        .x_label_area_size(if last { UNDER } else { 4 })
        .y_label_area_size(left(plot))
        .build_cartesian_2d(x.clone(), 0.0..top)?;
    let whole = |v: &f64| tick(*v);
    let mut mesh = chart.configure_mesh();
    mesh.disable_x_mesh()
        .light_line_style(TRANSPARENT)
        .bold_line_style(Ink::Grid.rgb())
        .axis_style(Ink::Quiet.rgb())
        .label_style(font(Ink::Text))
        .axis_desc_style(font(Ink::Text))
        .x_labels(if plot.width > HALF { 12 } else { 6 })
        .y_labels(if panel.height > 300 { 6 } else { 3 })
        .x_label_formatter(&whole)
        .y_label_formatter(&whole);
    if last {
        mesh.x_desc(plot.x_title.clone());
    } else {
        mesh.x_labels(0);
    }
    if matches!(panel.rise, Rise::Lanes(_)) {
        mesh.disable_y_mesh().y_labels(0);
    }
    mesh.draw()?;
    for layer in &panel.layers {
        paint_layer(&mut chart, layer, x, top)?;
    }
    if let Rise::Lanes(lanes) = &panel.rise {
        name_lanes(&mut chart, lanes, x.start)?;
    }
    let pixel = |at: f64, up: f64| chart.backend_coord(&(at.clamp(x.start, x.end), up));
    let between = |(from, to): (f64, f64), (low, high): (f64, f64)| {
        let ((left, bottom), (right, top)) = (pixel(from, low), pixel(to, high));
        [left, top, (right - left).max(1), (bottom - top).max(1)]
    };
    Ok(match &panel.rise {
        Rise::To(_) => plot
            .spans
            .iter()
            .map(|&span| between(span, (0.0, top)))
            .collect(),
        Rise::Lanes(lanes) => (0..lanes.len())
            .rev()
            .map(|lane| between((x.start, x.end), (lane as f64, lane as f64 + 1.0)))
            .collect(),
    })
}

fn paint_layer(chart: &mut Chart<'_, '_>, layer: &Layer, x: &Range<f64>, top: f64) -> Painted<()> {
    match layer {
        Layer::Line(points, ink, width) => {
            let style = ink.rgb().stroke_width(*width);
            chart.draw_series(std::iter::once(PathElement::new(points.clone(), style)))?;
        }
        Layer::Area(points, ink) => {
            let area = AreaSeries::new(points.iter().copied(), 0.0, ink.rgb().mix(0.35));
            chart.draw_series(area)?;
        }
        Layer::Bars(bars, ink) => {
            let boxes = bars
                .iter()
                .map(|&(from, to, height)| [from, to, 0.0, height]);
            chart.draw_series(boxes.map(|b| filled(b, *ink)))?;
        }
        Layer::Boxes(boxes, ink) => {
            chart.draw_series(boxes.iter().map(|b| filled(*b, *ink)))?;
        }
        Layer::Wave(levels, middle, ink) => {
            // Draw silence as a line too.
            let edge = |(x, level): &(f64, f64), side| (*x, middle + side * level.max(0.02) * 0.44);
            let upper = levels.iter().map(|l| edge(l, 1.0));
            let lower = levels.iter().rev().map(|l| edge(l, -1.0));
            let outline: Vec<_> = upper.chain(lower).collect();
            chart.draw_series(std::iter::once(Polygon::new(outline, ink.rgb())))?;
        }
        Layer::Dots(points, ink) => {
            let style = ink.rgb().mix(0.55).filled();
            chart.draw_series(points.iter().map(|&p| Circle::new(p, 5, style)))?;
        }
        Layer::Crosses(points, ink) => {
            let style = ink.rgb().stroke_width(3);
            chart.draw_series(points.iter().map(|&p| Cross::new(p, 7, style)))?;
        }
        Layer::Marks(marks, ink, stand) => {
            let line = |at| [(at, 0.0), (at, top)];
            let style = ink.rgb().stroke_width(2);
            chart.draw_series(marks.iter().map(|m| PathElement::new(line(m.0), style)))?;
            // Draw labels over the lines: a label may be wider than the gap to the next mark.
            for (nth, mark) in marks.iter().enumerate() {
                paint_word(chart, nth, mark, (*ink, *stand), x, top)?;
            }
        }
    }
    Ok(())
}

/// Draws the label of a vertical line, on the side that has room. Successive labels cycle through
/// three heights.
fn paint_word(
    chart: &mut Chart<'_, '_>,
    nth: usize,
    (at, word): &(f64, String),
    (ink, stand): (Ink, Stand),
    x: &Range<f64>,
    top: f64,
) -> Painted<()> {
    let right = (at - x.start) / (x.end - x.start) > 0.72;
    let (side, shift) = if right {
        (HPos::Right, -8)
    } else {
        (HPos::Left, 8)
    };
    let inward = 4 + (nth as i32 % 3) * (TEXT + 4);
    let (height, edge, inward) = match stand {
        Stand::Top => (top, VPos::Top, inward),
        Stand::Foot => (0.0, VPos::Bottom, -inward),
    };
    // A reader can hide the usual ranges, including their labels.
    let ink = match ink {
        Ink::Typical => ink,
        _ => Ink::Text,
    };
    let style = font(ink).pos(Pos::new(side, edge));
    chart.draw_series(std::iter::once(
        EmptyElement::at((*at, height)) + Text::new(word.clone(), (shift, inward), style),
    ))?;
    Ok(())
}

fn name_lanes(chart: &mut Chart<'_, '_>, lanes: &[String], left: f64) -> Painted<()> {
    for (nth, lane) in lanes.iter().enumerate() {
        let style = font(Ink::Text).pos(Pos::new(HPos::Right, VPos::Center));
        chart.draw_series(std::iter::once(
            EmptyElement::at((left, nth as f64 + 0.5)) + Text::new(lane.clone(), (-14, 0), style),
        ))?;
    }
    Ok(())
}

fn filled([left, right, lower, upper]: [f64; 4], ink: Ink) -> Rectangle<(f64, f64)> {
    Rectangle::new([(left, lower), (right, upper)], ink.rgb().filled())
}

/// Formats a number on an axis: no trailing zeros, thousands separators from 10,000 on.
fn tick(value: f64) -> String {
    let rounded = (value * 1e3).round() / 1e3;
    if rounded.fract() == 0.0 && rounded >= 1e4 {
        super::super::text::grouped(rounded as u64)
    } else if rounded == 0.0 {
        "0".to_owned()
    } else {
        format!("{rounded}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plot(x: Range<f64>, layers: Vec<Layer>) -> Plot {
        let panel = Panel {
            title: "<b>\"turns\"".into(),
            rise: Rise::To(f64::INFINITY),
            height: 300,
            layers,
        };
        Plot {
            width: HALF,
            x,
            x_title: "ms".into(),
            panels: vec![panel],
            spans: vec![(0.0, 1.0), (-5.0, 1e9)],
        }
    }

    #[test]
    fn degenerate_ranges_are_drawn() {
        for (name, x) in [
            ("usual", 0.0..10.0),
            ("empty", 3.0..3.0),
            ("backwards", 3.0..1.0),
            ("infinite", 0.0..f64::INFINITY),
            ("not a number", f64::NAN..1.0),
        ] {
            let layers = vec![
                Layer::Dots(vec![(1.0, 0.5)], Ink::Main),
                Layer::Marks(
                    vec![(1.0, "</svg><script>".into())],
                    Ink::Alarm,
                    Stand::Foot,
                ),
            ];
            let drawn = draw(&plot(x, layers));
            assert!(drawn.inside.contains("<circle"), "{name}");
            assert!(
                drawn.inside.contains("&lt;b&gt;&quot;turns&quot;"),
                "{name}"
            );
            assert!(!drawn.inside.contains("<script"), "{name}");
            assert_eq!(drawn.hits.len(), 2, "{name}");
            assert!(
                drawn
                    .hits
                    .iter()
                    .all(|[_, _, width, height]| *width > 0 && *height > 0),
                "{name}"
            );
        }
    }

    #[test]
    fn tick_labels_are_short() {
        for (value, text) in [
            (0.0, "0"),
            (-0.0, "0"),
            (0.1 + 0.2, "0.3"),
            (2500.0, "2500"),
            (12500.0, "12,500"),
        ] {
            assert_eq!(tick(value), text);
        }
    }
}
