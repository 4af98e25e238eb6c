//! The data model of a plot: panels of layers, stacked on one horizontal axis.
//!
//! In: figures of a part. Out: the types that [`super::draw`] turns into SVG. Invariant: each
//! colour has one meaning.

use plotters::style::RGBColor;
use std::ops::Range;

/// Width of a full-width chart, in SVG units; the page scales it.
pub(super) const WIDE: u32 = 1600;
/// Width of one of two charts side by side, in SVG units.
pub(super) const HALF: u32 = 800;
/// Colours by meaning. Okabe and Ito's palette: distinguishable by colour-blind readers, and in
/// print by lightness.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ink {
    Main,
    Second,
    Third,
    Fourth,
    Quiet,
    Alarm,
    Text,
    Grid,
    /// Usual ranges of voice agents (`typical.rs`).
    Typical,
}

impl Ink {
    pub(super) const fn rgb(self) -> RGBColor {
        match self {
            Self::Main => RGBColor(0x00, 0x72, 0xb2),
            Self::Second => RGBColor(0xe6, 0x9f, 0x00),
            Self::Third => RGBColor(0x00, 0x9e, 0x73),
            Self::Fourth => RGBColor(0xcc, 0x79, 0xa7),
            Self::Quiet => RGBColor(0x9a, 0xa3, 0xad),
            Self::Alarm => RGBColor(0xd5, 0x5e, 0x00),
            Self::Text => RGBColor(0x4b, 0x55, 0x63),
            Self::Grid => RGBColor(0xe3, 0xe6, 0xea),
            Self::Typical => RGBColor(0x7a, 0x86, 0x93),
        }
    }

    /// The class in the style sheet, for legends.
    pub(super) const fn class(self) -> &'static str {
        match self {
            Self::Main => "ink-main",
            Self::Second => "ink-second",
            Self::Third => "ink-third",
            Self::Fourth => "ink-fourth",
            Self::Quiet => "ink-quiet",
            Self::Alarm => "ink-alarm",
            Self::Text => "ink-text",
            Self::Grid => "ink-grid",
            Self::Typical => "ink-typical",
        }
    }
}

/// A layer of a panel; later layers are drawn over earlier ones.
#[derive(Debug, Clone)]
pub(super) enum Layer {
    /// A line through points, and its width.
    Line(Vec<(f64, f64)>, Ink, u32),
    /// The filled area under points.
    Area(Vec<(f64, f64)>, Ink),
    /// Bars on the horizontal axis: left edge, right edge, height.
    Bars(Vec<(f64, f64, f64)>, Ink),
    /// Filled rectangles: left, right, lower and upper edge.
    Boxes(Vec<[f64; 4]>, Ink),
    /// A waveform: its level at each point, 0 to 1, and the middle of its lane.
    Wave(Vec<(f64, f64)>, f64, Ink),
    /// Points drawn as dots.
    Dots(Vec<(f64, f64)>, Ink),
    /// Points drawn as crosses, to distinguish them from dots.
    Crosses(Vec<(f64, f64)>, Ink),
    /// Vertical lines, each with a label next to it.
    Marks(Vec<(f64, String)>, Ink, Stand),
}

/// Where the labels of marks are placed, depending on where the panel has room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stand {
    Top,
    Foot,
}

/// The vertical axis of a panel.
#[derive(Debug, Clone)]
pub(super) enum Rise {
    /// A scale from 0 to this value.
    To(f64),
    /// Named lanes from bottom to top, one unit each.
    Lanes(Vec<String>),
}

/// A part of a plot with its own vertical axis.
#[derive(Debug, Clone)]
pub(super) struct Panel {
    /// Title of the vertical axis, with its unit.
    pub(super) title: String,
    pub(super) rise: Rise,
    pub(super) height: u32,
    pub(super) layers: Vec<Layer>,
}

/// Panels stacked on one horizontal axis.
#[derive(Debug, Clone)]
pub(super) struct Plot {
    pub(super) width: u32,
    pub(super) x: Range<f64>,
    pub(super) x_title: String,
    pub(super) panels: Vec<Panel>,
    /// Spans of the horizontal axis that have a value to show, one per row of the chart's table.
    /// Lanes need none: their rows are the lanes from the top down.
    pub(super) spans: Vec<(f64, f64)>,
}

/// A plot as drawn.
pub(super) struct Drawn {
    /// The content of the SVG element.
    pub(super) inside: String,
    pub(super) width: u32,
    pub(super) height: u32,
    /// The hit area of each row: left, top, width, height.
    pub(super) hits: Vec<[i32; 4]>,
}

/// The smallest 1, 2 or 5 times a power of ten that divides `length` into at most `most` pieces.
pub(super) fn step(length: f64, most: usize) -> f64 {
    let least = (length / most.max(1) as f64).max(1e-3);
    let power = 10_f64.powf(least.log10().floor());
    [1.0, 2.0, 5.0, 10.0]
        .map(|m| m * power)
        .into_iter()
        .find(|s| *s >= least * (1.0 - 1e-9))
        .unwrap_or(10.0 * power)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axis_steps_are_round_numbers() {
        for (length, most, expected) in [
            (100.0, 10, 10.0),
            (101.0, 10, 20.0),
            (0.9, 10, 0.1),
            (0.0, 10, 0.001),
            (1234.0, 60, 50.0),
        ] {
            assert!(
                (step(length, most) - expected).abs() < 1e-9,
                "{length} in {most}"
            );
        }
    }
}
