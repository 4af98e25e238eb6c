//! The parts of the page in order. To add a part, add a function here.
//!
//! In: a view of the run. Out: the sections that have content. Invariant: a part without data
//! leaves neither an empty box nor an entry in the contents.

use super::section::Section;
use super::view::{View, name};
use super::{
    account, anatomy, behaviour, expected, health, load, path, recordings, slowest, spread, table,
    time, variants,
};
use crate::report;
use maud::html;

type Part = fn(&View<'_>) -> Option<Section>;

const PARTS: &[Part] = &[
    variants::section,
    spread::section,
    time::section,
    load::section,
    anatomy::section,
    account::section,
    path::critical,
    path::words_and_cost,
    behaviour::conversation,
    behaviour::interruptions,
    behaviour::early,
    expected::section,
    behaviour::failures,
    slowest::slowest,
    slowest::unanswered,
    recordings::section,
    table::section,
    health::network,
    health::generator,
    scenario,
    definitions,
];

/// The sections that have content.
pub(super) fn sections(view: &View<'_>) -> Vec<Section> {
    PARTS.iter().filter_map(|part| part(view)).collect()
}

fn scenario(view: &View<'_>) -> Option<Section> {
    /// Maximum number of characters shown per line.
    const LONGEST_LINE: usize = 400;
    let text = view.scenario.filter(|t| !t.trim().is_empty())?;
    let lines: Vec<String> = text
        .lines()
        .map(|l| super::super::text::clean(l, LONGEST_LINE))
        .collect();
    let body = html! {
        p.note { "Run as " code { (name(&view.summary.run.name)) } " with seed " (view.summary.run.seed) "." }
        pre tabindex="0" aria-label="The scenario" { code { (lines.join("\n")) } }
    };
    Some(Section::new("scenario", "The scenario", body))
}

fn definitions(_: &View<'_>) -> Option<Section> {
    let body = html! {
        dl.definitions { @for definition in report::definitions() {
            div id=(format!("def-{}", definition.name.replace(' ', "-"))) {
                dt { (definition.name) }
                dd { (definition.text) }
            }
        } }
    };
    Some(Section::new("definitions", "Definitions", body))
}
