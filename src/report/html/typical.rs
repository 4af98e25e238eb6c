//! Usual ranges of voice agents: light marks beside the figures, which a reader can switch off.
//!
//! Out: ranges in ms by metric, the switch, and marks for charts of `ttfa`. Invariant: marks are for
//! orientation; no verdict, gate or other figure depends on them.

use super::plot::{Ink, Layer, Stand};
use crate::vocab::Metric;
use maud::{Markup, html};
use std::ops::Range;

/// Latency below which a reply feels prompt, in ms.
const PROMPT_MS: f64 = 1_000.0;

/// The usual range of a metric, as engineers of voice agents quote it; `None` if none is quoted.
pub(super) const fn range(metric: Metric) -> Option<&'static str> {
    match metric {
        Metric::Ttfa => Some("under 1,000"),
        Metric::TranscriptionDelay => Some("200 to 600"),
        Metric::LlmNodeTtft => Some("100 to 1,000"),
        Metric::TtsNodeTtfb => Some("100 to 300"),
        _ => None,
    }
}

/// The checkbox that shows or hides everything that this file adds to the page.
pub(super) fn switch() -> Markup {
    html! { label.switch { input #typical type="checkbox" checked; " usual ranges" } }
}

/// A vertical line in a chart whose horizontal axis `x` is `ttfa` in ms.
pub(super) fn upright(x: &Range<f64>, stand: Stand) -> Layer {
    let is_shown = (x.start..=x.end).contains(&PROMPT_MS);
    let marks = Some((PROMPT_MS, "1 s".to_owned())).filter(|_| is_shown);
    Layer::Marks(marks.into_iter().collect(), Ink::Typical, stand)
}

/// A horizontal line in a panel whose vertical axis is `ttfa`, in ms up to `top`.
pub(super) fn level(x: &Range<f64>, top: f64) -> Layer {
    let points = [x.start, x.end].map(|at| (at, PROMPT_MS));
    let points = Some(points).filter(|_| PROMPT_MS <= top);
    Layer::Line(points.into_iter().flatten().collect(), Ink::Typical, 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_beyond_the_axis_are_left_out() {
        for (x, shown) in [
            (0.0..999.0, false),
            (0.0..1_000.0, true),
            (0.0..5_000.0, true),
            (1_500.0..3_000.0, false),
        ] {
            let Layer::Marks(marks, ..) = upright(&x, Stand::Top) else {
                unreachable!("`upright` makes marks");
            };
            assert_eq!(!marks.is_empty(), shown, "{x:?}");
        }
        for (top, shown) in [(999.0, false), (1_000.0, true)] {
            let Layer::Line(points, ..) = level(&(0.0..1.0), top) else {
                unreachable!("`level` makes a line");
            };
            assert_eq!(!points.is_empty(), shown, "{top}");
        }
    }
}
