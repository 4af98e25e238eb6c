//! Shows how heavily the deployment was used when the SLO was violated.
//!
//! In: the steps of the search, with their observations. Out: a table that compares the largest
//! load that met the SLO with the smallest that violated it.

use super::observed::ObservedMean;
use super::step::Measured;
use crate::report::observed::Meaning;

/// The observed means at the largest load that meets the SLO and at the smallest that violates it;
/// empty if nothing was observed.
pub(super) fn table(steps: &[Measured]) -> String {
    let meets = steps
        .iter()
        .filter(|s| s.keeps && s.generator_limit.is_none());
    let meets = meets.max_by_key(|s| (s.calls, s.recheck));
    let violates = steps.iter().filter(|s| !s.keeps);
    let violates = violates.min_by_key(|s| s.calls);
    let shown: Vec<&Measured> = meets.into_iter().chain(violates).collect();
    let mut rows: Vec<(String, Meaning<'_>, &ObservedMean)> = Vec::new();
    for one in shown.iter().flat_map(|step| &step.observed) {
        let meaning = Meaning::of(&one.series, one.rate);
        let title = format!("{}: {}", one.source, meaning.words());
        if !rows.iter().any(|(known, ..)| *known == title) {
            rows.push((title, meaning, one));
        }
    }
    if rows.is_empty() {
        return String::new();
    }
    let widest = rows.iter().map(|(title, ..)| title.chars().count());
    let width = widest.max().unwrap_or(0).max("observed, on average".len());
    let mut text = format!("\n{:<width$}", "observed, on average");
    for step in &shown {
        let word = if step.keeps { "meets" } else { "violates" };
        text += &format!("  {:>20}", format!("{} calls ({word})", step.calls));
    }
    text.push('\n');
    for (title, meaning, one) in rows {
        text += &format!("{title:<width$}");
        for step in &shown {
            let same = |other: &&ObservedMean| {
                (&other.source, &other.series, other.rate) == (&one.source, &one.series, one.rate)
            };
            let value = step.observed.iter().find(same);
            let value = value.map_or_else(|| "–".to_owned(), |one| meaning.text(one.mean));
            text += &format!("  {value:>20}");
        }
        text.push('\n');
    }
    text
}
