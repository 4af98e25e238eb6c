//! One section of the HTML report.
//!
//! In: an anchor, a title and a body. Out: a section that the page and its table of contents show.

use maud::Markup;

pub(super) struct Section {
    /// The anchor of the section.
    pub(super) id: &'static str,
    pub(super) title: &'static str,
    pub(super) body: Markup,
}

impl Section {
    pub(super) fn new(id: &'static str, title: &'static str, body: Markup) -> Self {
        Self { id, title, body }
    }
}
