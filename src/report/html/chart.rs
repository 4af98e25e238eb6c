//! A chart on the page: its title, caption, drawing and values.
//!
//! In: a plot, and a table with one row per span of the plot. Out: a figure. Invariant: the
//! pointer and the arrow keys show only rows of the table, which every reader can open.

use super::draw::draw;
use super::plot::{Drawn, Ink, Plot};
use maud::{Markup, PreEscaped, html};
use std::borrow::Cow;

pub(super) struct Chart {
    /// Unique on the page.
    pub(super) id: Cow<'static, str>,
    pub(super) title: Cow<'static, str>,
    /// Description of the chart, in a sentence or two.
    pub(super) caption: String,
    /// The meaning of each ink.
    pub(super) legend: Vec<(Ink, &'static str)>,
    pub(super) plot: Plot,
    /// Column heads of the table of values.
    pub(super) heads: Vec<Cow<'static, str>>,
    /// One row for each of the plot's spans.
    pub(super) rows: Vec<Vec<String>>,
}

/// Column heads that do not depend on the run.
pub(super) fn heads(words: &[&'static str]) -> Vec<Cow<'static, str>> {
    words.iter().map(|word| Cow::from(*word)).collect()
}

impl Chart {
    pub(super) fn figure(&self) -> Markup {
        let drawn = draw(&self.plot);
        let title_id = format!("{}-title", self.id);
        html! {
            figure.chart id=(self.id) {
                figcaption {
                    h3 id=(title_id) { (self.title) }
                    p { (self.caption) }
                    @if !self.legend.is_empty() {
                        ul.legend { @for (ink, word) in &self.legend {
                            li { (swatch(*ink)) (word) }
                        } }
                    }
                }
                div.plot tabindex="0" role="group" aria-labelledby=(title_id)
                    aria-description="Left and right arrow keys move through the values; they are also in the table below" {
                    (svg(&drawn))
                }
                (self.values(&title_id))
            }
        }
    }

    fn values(&self, title_id: &str) -> Markup {
        html! {
            details.values {
                summary { "Values" }
                div.scroll tabindex="0" role="group" aria-labelledby=(title_id) {
                    table {
                        thead { tr { @for head in &self.heads { th scope="col" { (head) } } } }
                        tbody { @for row in &self.rows {
                            tr { @for cell in row { td { (cell) } } }
                        } }
                    }
                }
            }
        }
    }
}

/// The drawing, with an invisible hit area over each value for the pointer.
fn svg(drawn: &Drawn) -> Markup {
    let hits = html! {
        g.hits { @for [left, top, width, height] in &drawn.hits {
            rect x=(left) y=(top) width=(width) height=(height) {}
        } }
    };
    element(drawn, &hits)
}

/// The drawing without hit areas.
pub(super) fn drawing(drawn: &Drawn) -> Markup {
    element(drawn, &html! {})
}

fn element(drawn: &Drawn, over: &Markup) -> Markup {
    html! {
        svg viewBox=(format!("0 0 {} {}", drawn.width, drawn.height)) aria-hidden="true" focusable="false" {
            // Made by plotters, which escapes text.
            (PreEscaped(&drawn.inside))
            (over)
        }
    }
}

/// A colour swatch for a legend.
pub(super) fn swatch(ink: Ink) -> Markup {
    html! {
        svg.swatch viewBox="0 0 20 10" aria-hidden="true" { rect class=(ink.class()) width="20" height="10" rx="2" {} }
    }
}
