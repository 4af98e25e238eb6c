//! `summary.md`: the run on one screen, for a pull request comment or a CI job's page.
//!
//! In: a record. Out: GitHub-flavoured Markdown of bounded length. Invariants: the figures are
//! those of the console; text from outside cannot form markup or links, or notify users.

use super::figures::{NOTHING, QUANTILES, cells, figure, interval, possibly_infinite};
use super::text::{clean, grouped, plural};
use super::variants::{signed, span};
use super::{counts, flags, needed, talk, told, words};
use crate::record::{GateAnswer, GateResult, RunRecord, Status, Summary};
use crate::vocab::Metric;
use std::fmt::Write as _;

/// Maximum length of a name or message from outside; longer ones are truncated.
const LONGEST_NAME: usize = 60;
const LONGEST_MESSAGE: usize = 300;
const LONGEST_SENTENCE: usize = 1_000;
/// Maximum number of UTF-16 units that escaping may add to a text.
const ESCAPES: usize = 100;
/// Maximum rows of a table that grows with the scenario; a comment holds 65,536 characters.
const ROWS: usize = 20;

/// Renders `summary.md`.
pub(crate) fn summary(record: &RunRecord) -> String {
    let summary = &record.summary;
    let parts = [
        head(summary),
        gates(summary),
        ttfa(summary),
        latencies(summary),
        told(summary),
        variants(summary),
        numbers(summary),
        failures(summary),
        definitions(),
    ];
    let parts: Vec<String> = parts.into_iter().filter(|p| !p.is_empty()).collect();
    parts.join("\n")
}

/// Renders text from outside verbatim, as inline code.
fn code(text: &str, longest: usize) -> String {
    format!("<code>{}</code>", escaped(text, longest))
}

/// Escapes every character that could be markup as a numeric entity, which also works inside
/// tables. Escapes `://` and `www.` too, so that addresses do not become links. The result has
/// at most `longest` + [`ESCAPES`] UTF-16 units; a longer one is truncated with an ellipsis.
fn escaped(text: &str, longest: usize) -> String {
    let text = clean(text, longest);
    let mut out = String::new();
    let mut left = longest + ESCAPES;
    for (at, c) in text.char_indices() {
        let address = match c {
            ':' => text[at..].starts_with(":/"),
            '.' => text[..at].to_ascii_lowercase().ends_with("www"),
            _ => false,
        };
        let piece = match c {
            // An entity would still notify the user who has that name.
            '@' => '＠'.to_string(),
            c if !c.is_ascii() || c.is_ascii_alphanumeric() => c.to_string(),
            c if HARMLESS.contains(c) && !address => c.to_string(),
            c => format!("&#{};", u32::from(c)),
        };
        // Length is counted in UTF-16 units; a character may take two.
        let length = piece.encode_utf16().count();
        // Reserve one unit for the ellipsis.
        if length >= left {
            out.push('…');
            break;
        }
        left -= length;
        out.push_str(&piece);
    }
    out
}

/// Punctuation that is not markup inside a line.
const HARMLESS: &str = " ,.:;-/%()'\"=+?";

fn table(heads: &[&str], rows: Vec<Vec<String>>) -> String {
    if rows.is_empty() {
        return String::new();
    }
    let line = |cells: &[String]| format!("| {} |\n", cells.join(" | "));
    let heads: Vec<String> = heads.iter().map(|h| (*h).to_owned()).collect();
    let more = rows.len().saturating_sub(ROWS);
    let mut out = line(&heads) + &format!("|{}\n", "---|".repeat(heads.len()));
    out.extend(rows.iter().take(ROWS).map(|row| line(row)));
    if more > 0 {
        let _ = write!(out, "\nand {more} more\n");
    }
    out
}

fn head(summary: &Summary) -> String {
    let run = &summary.run;
    let word = match summary.verdict.status {
        Status::Passed => "✅ passed",
        Status::Unasked => "ℹ️ no gates",
        Status::Failed => "❌ failed",
        Status::Invalid => "⚠️ invalid",
        Status::Stopped => "⚠️ stopped",
        Status::Error => "❌ error",
    };
    let mut out = format!(
        "## loadgen: {word}: {}\n\n{}, seed {}, {}, {:.1} s, loadgen {}\n",
        code(&run.name, LONGEST_NAME),
        code(&run.target, LONGEST_MESSAGE),
        run.seed,
        code(&run.started_at, LONGEST_NAME),
        run.duration_ms.as_f64() / 1e3,
        code(&run.loadgen_version, LONGEST_NAME),
    );
    let reasons = summary.verdict.reasons.iter().take(ROWS);
    for (nth, reason) in reasons.enumerate() {
        let gap = if nth == 0 { "\n" } else { "" };
        let _ = writeln!(out, "{gap}- {}", escaped(reason, LONGEST_MESSAGE));
    }
    out
}

/// How the conversations went and what the agents report, one sentence per line.
fn told(summary: &Summary) -> String {
    let mut out = String::new();
    let sentences = talk::sentences(summary).into_iter();
    for (key, text) in sentences.chain(told::sentences(summary)) {
        let _ = writeln!(out, "- {key}: {}", escaped(&text, LONGEST_SENTENCE));
    }
    out
}

fn gates(summary: &Summary) -> String {
    let row = |gate: &GateResult| {
        let rule = gate.name();
        let word = match gate.answer() {
            GateAnswer::Pass => "✅ passed",
            GateAnswer::WeakPass => "✅ passed weakly",
            GateAnswer::WeakFail => "❌ failed weakly",
            GateAnswer::Fail => "❌ failed",
            GateAnswer::Undecided => "⚠️ undecided",
        };
        let seen = escaped(&words::gate(gate), LONGEST_MESSAGE);
        vec![code(&rule, LONGEST_NAME), word.to_owned(), seen]
    };
    let rows = summary.verdict.gates.iter().map(row).collect();
    table(&["gate", "verdict", "seen"], rows)
}

fn ttfa(summary: &Summary) -> String {
    let (replied, all) = (
        &summary.metrics.get(Metric::Ttfa),
        &summary.metrics.all_turns,
    );
    let intervals = &summary.intervals;
    let mut all_head = format!("all {}", plural(all.count, "turn"));
    if all.infinite > 0 {
        let _ = write!(all_head, ", {} of them ∞", grouped(all.infinite as u64));
    }
    let replied_head = format!("{} replied", grouped(replied.count as u64));
    let rows = QUANTILES.iter().map(|quantile| {
        let span = |of, count| interval((quantile.span)(of), count, quantile.q, intervals.level);
        vec![
            quantile.name.to_owned(),
            figure((quantile.of)(replied)),
            or_nothing(span(&intervals.ttfa, replied.count)),
            possibly_infinite((quantile.of_all)(all), all),
            or_nothing(span(&intervals.all_turns, all.count)),
        ]
    });
    let level = format!("{:.0} % interval", intervals.level * 100.0);
    table(
        &["ttfa, ms", &replied_head, &level, &all_head, &level],
        rows.collect(),
    )
}

fn variants(summary: &Summary) -> String {
    let Some(first) = summary.variants.first() else {
        return String::new();
    };
    let rows = summary.variants.iter().enumerate();
    let rows = rows.map(|(nth, variant)| {
        let (all, spans) = (&variant.all_turns, &variant.intervals);
        let cell = |q, of| or_nothing(interval(of, all.count, q, spans.level));
        let lag = variant
            .behind
            .as_ref()
            .and_then(|behind| behind.p50.as_ref());
        let lag = lag.map(|l| {
            let (by, within, word) = (signed(l), span(l.interval), l.verdict.name());
            format!("{by} {within} {word}")
        });
        vec![
            (nth + 1).to_string(),
            code(&variant.name, LONGEST_NAME),
            grouped(all.count as u64),
            grouped(all.infinite as u64),
            possibly_infinite(all.p50_ms, all),
            cell(0.5, spans.all_turns.p50),
            possibly_infinite(all.p95_ms, all),
            cell(0.95, spans.all_turns.p95),
            or_nothing(lag.unwrap_or_default()),
        ]
    });
    let level = format!("{:.0} % interval", first.intervals.level * 100.0);
    let mut out = table(
        &[
            "rank",
            "variant",
            "turns",
            "∞",
            "ttfa p50, ms",
            &level,
            "p95, ms",
            &level,
            "p50 later than the first",
        ],
        rows.collect(),
    );
    for text in needed::of_variants(&summary.variants) {
        let _ = write!(out, "\n{text}\n");
    }
    out
}

fn or_nothing(text: String) -> String {
    match text.is_empty() {
        true => NOTHING.to_owned(),
        false => text,
    }
}

fn latencies(summary: &Summary) -> String {
    let latencies = summary.metrics.latencies();
    let rows = latencies
        .filter(|(_, latency)| latency.count > 0)
        .map(|(metric, latency)| {
            let head = [
                format!("`{}`", metric.name()),
                grouped(latency.count as u64),
            ];
            head.into_iter().chain(cells(&latency)).collect()
        });
    let heads = [
        "latency, ms",
        "count",
        "min",
        "mean",
        "p50",
        "p90",
        "p95",
        "p99",
        "max",
    ];
    table(&heads, rows.collect())
}

fn numbers(summary: &Summary) -> String {
    let mut out = format!("- turns: {}\n", counts::turns(&summary.outcomes));
    for remark in counts::remarks(summary) {
        let _ = writeln!(out, "- {remark}");
    }
    let _ = writeln!(out, "- calls: {}", counts::calls(&summary.calls));
    if !summary.flags.is_empty() {
        let flags = summary.flags.iter().take(ROWS);
        let flags = flags.map(|(flag, n)| format!("{} {n}", code(flag, LONGEST_NAME)));
        let flags: Vec<String> = flags.collect();
        let _ = writeln!(out, "- doubts, flagged turns: {}", flags.join(", "));
        for flag in summary.flags.keys() {
            if let Some((meaning, hint)) = flags::named(flag).and_then(|m| Some((m, m.hint?))) {
                let name = meaning.flag.name();
                let _ = writeln!(out, "  - `{name}`: {}; {hint}", meaning.text);
            }
        }
    }
    out
}

fn failures(summary: &Summary) -> String {
    let rows = summary.failures.iter().map(|failure| {
        vec![
            grouped(failure.count as u64),
            code(&failure.cause, LONGEST_NAME),
            code(&failure.message, LONGEST_MESSAGE),
            escaped(&failure.hint, LONGEST_MESSAGE),
        ]
    });
    let heads = ["failed calls", "cause", "first message", "hint"];
    table(&heads, rows.collect())
}

fn definitions() -> String {
    let mut out = String::from("<details><summary>Definitions</summary>\n\n");
    for definition in super::definitions() {
        let _ = writeln!(out, "- **{}**: {}", definition.name, definition.text);
    }
    out + "\n</details>\n"
}
