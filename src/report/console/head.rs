//! The head of a run's console output: the verdict in a word, the run's name and facts.
//!
//! In: a summary. Out: lines added to a page: a title, then sentences. Invariant: names from
//! outside are cleaned.

use super::page::{KEY, LONGEST_NAME, Page};
use crate::record::{Status, Summary};
use crate::report::text::{clean, wrap};
use crate::report::{Style, words};

/// Maximum length of the target's name and address.
const LONGEST_TARGET: usize = 200;

/// Adds the verdict, the name of the run, and its facts.
pub(super) fn add(page: &mut Page, summary: &Summary) {
    title(page, summary);
    page.entry("", &words::verdict(summary));
    facts(page, summary);
}

/// Adds the verdict in a word, and the name of the run.
fn title(page: &mut Page, summary: &Summary) {
    let style = page.screen.style;
    let (word, dress): (&str, fn(Style, &str) -> String) = match summary.verdict.status {
        Status::Passed => ("PASSED", Style::good),
        Status::Unasked => ("NO GATES", Style::head),
        Status::Failed => ("FAILED", Style::bad),
        Status::Invalid => ("INVALID", Style::doubtful),
        Status::Stopped => ("STOPPED", Style::doubtful),
        Status::Error => ("ERROR", Style::bad),
    };
    // Pad before styling: escape sequences have no width on the screen.
    let word = dress(style, &format!("{word:<KEY$}"));
    let name = clean(&summary.run.name, LONGEST_NAME);
    for (nth, line) in wrap(&name, page.screen.width - KEY).iter().enumerate() {
        let key = if nth == 0 { word.as_str() } else { "" };
        page.lines.push(format!("{key:<KEY$}{}", style.head(line)));
    }
}

/// Adds the target, the start, the duration and the deliberate packet loss.
fn facts(page: &mut Page, summary: &Summary) {
    let run = &summary.run;
    let facts = format!(
        "{}, seed {}, {}, {:.1} s, loadgen {}",
        clean(&run.target, LONGEST_TARGET),
        run.seed,
        clean(&run.started_at, LONGEST_NAME),
        run.duration_ms.as_f64() / 1e3,
        clean(&run.loadgen_version, LONGEST_NAME),
    );
    page.entry("", &facts);
    if let Some(network) = &summary.network {
        let share = network.loss * 100.0;
        let bursts = network.burst.map_or_else(String::new, |burst| {
            format!(", in bursts of {burst} on average")
        });
        if network.parts.is_empty() {
            let text = format!("callers drop {share} % of the agent's packets on purpose{bursts}");
            page.entry("network", &text);
        }
        for (index, part) in network.parts.iter().enumerate() {
            let name = if index == 0 { "network" } else { "" };
            page.entry(name, &part.to_string());
        }
    }
}
