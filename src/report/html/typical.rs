//! Usual ranges of voice agents: light marks beside the figures, which a reader can switch off.
//!
//! Out: ranges in ms by metric, the switch, and marks for charts of `ttfa`. Invariant: marks are for
//! orientation; no verdict, gate or other figure depends on them.

use super::plot::{Ink, Layer, Stand};
use crate::vocab::Metric;
use maud::{Markup, html};

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

/// A vertical line in a chart whose horizontal axis is `ttfa`, in ms up to `up_to`.
pub(super) fn upright(up_to: f64, stand: Stand) -> Layer {
    let marks = Some((PROMPT_MS, "1 s".to_owned())).filter(|(at, _)| *at <= up_to);
    Layer::Marks(marks.into_iter().collect(), Ink::Typical, stand)
}

/// A horizontal line in a panel whose vertical axis is `ttfa`, in ms up to `top`.
pub(super) fn level(x: &std::ops::Range<f64>, top: f64) -> Layer {
    let points = [x.start, x.end].map(|at| (at, PROMPT_MS));
    let points = Some(points).filter(|_| PROMPT_MS <= top);
    Layer::Line(points.into_iter().flatten().collect(), Ink::Typical, 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_beyond_the_axis_are_left_out() {
        for (up_to, shown) in [(999.0, false), (1_000.0, true), (5_000.0, true)] {
            let Layer::Marks(marks, ..) = upright(up_to, Stand::Top) else {
                unreachable!("`upright` makes marks");
            };
            let Layer::Line(points, ..) = level(&(0.0..1.0), up_to) else {
                unreachable!("`level` makes a line");
            };
            assert_eq!((!marks.is_empty(), !points.is_empty()), (shown, shown));
        }
    }
}
