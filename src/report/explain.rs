//! Explains the names that reports use: metrics, terms, doubts.
//!
//! In: a name. Out: its definition, its unit and where it is shown, from the tables that every
//! report uses. Invariant: every name that a report for people uses can be explained.

use super::Screen;
use super::definitions::TERMS;
use super::flags::{self, FLAGS};
use super::text::{beside, indented, joined};
use crate::vocab::{Metric, MetricKind, MetricRow, SampleUnit, Visibility, nearest};

/// Width of the column of names in the list.
const NAMES: usize = 20;
/// Width of the column of keys.
const KEY: usize = 14;

/// Every name that can be explained, metrics first, each once.
pub fn names() -> impl Iterator<Item = &'static str> {
    let metrics = Metric::ALL.iter().map(|metric| metric.name());
    // Some outcomes are also metrics: the share of turns with that outcome.
    let terms = TERMS.iter().map(|term| term.name);
    let terms = terms.filter(|name| Metric::named(name).is_none());
    metrics
        .chain(terms)
        .chain(FLAGS.iter().map(|meaning| meaning.flag.name()))
}

/// The known name that `text` means, ignoring letter case and treating `_` and `-` as spaces.
fn known(text: &str) -> Option<&'static str> {
    let same = |text: &str| {
        let word = |c: char| {
            if matches!(c, '-' | '_') {
                ' '
            } else {
                c.to_ascii_lowercase()
            }
        };
        text.trim().chars().map(word).collect::<String>()
    };
    let wanted = same(text);
    names().find(|name| same(name) == wanted)
}

/// The explanation of a name, with a final newline.
///
/// # Errors
/// If `text` is not a known name: the nearest known name, if there is one.
pub(crate) fn explain(text: &str, screen: Screen) -> Result<String, Option<&'static str>> {
    let name = known(text).ok_or_else(|| nearest(text, names()))?;
    let mut facts: Vec<(&str, String)> = Vec::new();
    if let Some(metric) = Metric::named(name) {
        let row = metric.row();
        facts.push(("unit", unit(&row)));
        facts.push(("definition", row.definition.to_owned()));
        facts.push(("shown", shown(&row)));
    }
    if let Some(term) = TERMS.iter().find(|term| term.name == name) {
        let key = if facts.is_empty() {
            "definition"
        } else {
            "in words"
        };
        facts.push((key, term.text.to_owned()));
    }
    if let Some(meaning) = flags::named(name) {
        facts.push(("unit", "a doubt, counted in turns".to_owned()));
        facts.push(("definition", meaning.text.to_owned()));
        facts.extend(meaning.hint.map(|hint| ("hint", hint.to_owned())));
        facts.push((
            "shown",
            "in every summary and report, if a turn has it".to_owned(),
        ));
    }
    let mut lines = vec![screen.style.head(name)];
    for (key, text) in facts {
        let key = format!("  {:<1$}", key, KEY - 2);
        lines.extend(beside(&key, &text, KEY, screen.width));
    }
    Ok(joined(&lines))
}

fn unit(row: &MetricRow) -> String {
    let each = match row.about {
        SampleUnit::Turn => "turn",
        SampleUnit::Call => "call",
        SampleUnit::Word => "word",
        SampleUnit::Packet => "packet",
    };
    match row.kind {
        MetricKind::Latency => format!("ms, one value per {each}"),
        MetricKind::Share => format!("share of {each}s, from 0 to 1"),
    }
}

fn shown(row: &MetricRow) -> String {
    let shown = match (row.kind, row.shown) {
        (MetricKind::Share, _) if !row.compared => {
            "on the screen after a run and in reports where it is known; as a share where a threshold or a comparison names it"
        }
        (MetricKind::Share, _) => {
            "as a number of turns on the screen after a run and in every report; as a share where a threshold or a comparison names it"
        }
        (_, Visibility::First) => "on the screen after a run, in every summary and report",
        (_, Visibility::Always) => "with --details, in every summary and report",
        (_, Visibility::Measured | Visibility::Account) => {
            "on the screen after a run and in reports where it was measured; in every summary"
        }
        (_, Visibility::Asked) => "only where a threshold or a comparison names it",
    };
    match row.compared {
        true => format!("{shown}; `loadgen compare` compares it by default"),
        false => shown.to_owned(),
    }
}

/// Everything that can be explained, with its definition, and a final newline.
pub(crate) fn list(screen: Screen) -> String {
    let of = |shares: bool| {
        let metrics = Metric::ALL.iter().filter(move |m| m.is_share() == shares);
        metrics.map(|metric| (metric.name(), metric.row().definition))
    };
    let terms = TERMS.iter().map(|term| (term.name, term.text));
    let doubts = FLAGS.iter().map(|m| (m.flag.name(), m.text));
    let sections: [(&str, Vec<(&str, &str)>); 4] = [
        ("latencies, ms", of(false).collect()),
        ("shares", of(true).collect()),
        ("terms", terms.collect()),
        ("doubts, flags of turns", doubts.collect()),
    ];
    let mut lines = Vec::new();
    for (title, entries) in sections {
        if !lines.is_empty() {
            lines.push(String::new());
        }
        lines.push(screen.style.head(title));
        for (name, text) in entries {
            let key = format!("  {:<1$} ", name, NAMES - 3);
            lines.extend(beside(&key, text, NAMES, screen.width));
        }
    }
    lines.push(String::new());
    let more = "`loadgen explain NAME` gives its unit and where it is shown";
    lines.extend(indented(more, 0, screen.width));
    joined(&lines)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::Style;

    #[test]
    fn every_name_has_an_explanation() {
        for name in names() {
            let text = explain(name, Screen::default()).expect("every name has an explanation");
            assert!(text.starts_with(&format!("{name}\n")), "{text}");
            assert!(text.contains("  definition  "), "{text}");
            let spaced = name.replace('_', " ").to_uppercase();
            assert_eq!(explain(&spaced, Screen::default()), Ok(text));
            let list = list(Screen::default());
            let has_line =
                |line: &str| line.strip_prefix("  ").is_some_and(|l| l.starts_with(name));
            assert!(list.lines().any(has_line), "{name}");
        }
        let mut all: Vec<&str> = names().collect();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), names().count(), "each name once");
    }

    #[test]
    fn explanations_as_text() {
        let asked = [
            "ttfa",
            "missed",
            "stop",
            "playout",
            "onset",
            "reply_cut_off",
        ];
        let told = asked
            .map(|name| explain(name, Screen::default()).expect("every name has an explanation"));
        insta::assert_snapshot!("explained", told.join("\n"));
        insta::assert_snapshot!("explained_list", list(Screen::default()));
    }

    #[test]
    fn an_unknown_name_suggests_the_nearest() {
        for (wrong, meant) in [
            ("tfa", Some("ttfa")),
            ("end of spech", Some("end of speech")),
            ("agent-audable", Some("agent_audible")),
            ("colour", None),
            ("", None),
        ] {
            assert_eq!(explain(wrong, Screen::default()), Err(meant), "{wrong}");
        }
    }

    #[test]
    fn no_line_is_wider_than_the_screen() {
        for width in [40, 80, 120] {
            let screen = Screen::new(Style::Plain, Some(width));
            for line in list(screen).lines() {
                assert!(line.chars().count() <= width, "{line}");
            }
        }
    }
}
