//! `report.html`: a run on one page, for people.
//!
//! In: the record of a run. Out: one self-contained HTML file that works offline. Invariants: all
//! text from outside is escaped (maud does it; JSON in the page has no character with a meaning
//! in HTML); the page's policy lets it run only its own script and load only audio; charts draw
//! groups, so that their size hardly depends on the number of turns.

mod account;
mod anatomy;
mod behaviour;
mod chart;
mod draw;
mod expected;
mod health;
mod load;
mod observed;
mod parts;
mod path;
mod plot;
mod recordings;
mod section;
mod slowest;
mod spans;
mod spread;
mod table;
mod time;
mod top;
mod typical;
mod variants;
mod view;

use crate::record::RunRecord;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use maud::{DOCTYPE, Markup, PreEscaped, html};
use section::Section;
use sha2::{Digest, Sha256};
use view::View;

const STYLE: &str = include_str!("report.css");
const SCRIPT: &str = include_str!("report.js");

/// Renders the page of a run.
pub(crate) fn render(record: &RunRecord) -> String {
    let view = &View::new(record);
    let sections = parts::sections(view);
    let (word, ..) = top::word(view.summary.verdict.status);
    let title = format!("{word}: {}", view::name(&view.summary.run.name));
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta http-equiv="Content-Security-Policy" content=(policy());
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                meta name="referrer" content="no-referrer";
                title { (title) " – loadgen" }
                style { (PreEscaped(STYLE)) }
            }
            body {
                a.skip href="#main" { "Skip to the report" }
                (contents(&sections))
                main #main {
                    (top::head(view))
                    @for section in &sections {
                        section.part id=(section.id) aria-labelledby=(format!("{}-head", section.id)) {
                            h2 id=(format!("{}-head", section.id)) { (section.title) }
                            (section.body)
                        }
                    }
                    footer { p { "Every figure comes from the same record as summary.json and turns.csv of this run." } }
                }
                div #tip role="status" aria-live="polite" hidden {}
                script { (PreEscaped(SCRIPT)) }
            }
        }
    };
    page.into_string()
}

fn contents(sections: &[Section]) -> Markup {
    html! {
        nav.contents aria-label="Contents" {
            p.maker { "loadgen" }
            ul { @for section in sections {
                li { a href=(format!("#{}", section.id)) { (section.title) } }
            } }
        }
    }
}

/// The content security policy. It allows the page's own script and style, by their hashes, and
/// audio from the page's origin, from local files and from `data:` URLs; nothing else.
fn policy() -> String {
    let hash = |text: &str| STANDARD.encode(Sha256::digest(text));
    format!(
        "default-src 'none'; script-src 'sha256-{}'; style-src 'sha256-{}'; \
         media-src 'self' file: data:; base-uri 'none'; form-action 'none'",
        hash(SCRIPT),
        hash(STYLE)
    )
}

#[cfg(test)]
mod tests;
