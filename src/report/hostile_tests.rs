//! Hostile names and text in every format: none of it acts as markup, a formula or a control code.

use super::formats_tests::{files, of, rows, text};
use super::list::{self, PastRun};
use super::text::clean;
use super::*;
use crate::record::fixtures::{Failure, Outcome, Run};
use crate::record::{Ms, Reading, RunRecord, Summary};
use crate::vocab::Prices;
use hdrhistogram::serialization::interval_log::IntervalLogIterator;
use quick_junit::{Report, TestCaseStatus};
use serde_json::json;
use std::collections::BTreeSet;

/// Names as users and attackers may choose them.
const HOSTILE: [&str; 8] = [
    "=HYPERLINK(\"http://evil.example\",\"x\")",
    "\0\u{1}\u{b}\u{1b}]0;x\u{7}\u{1b}[2J\u{7f}\u{9b}\u{fffe}\u{ffff}",
    "]]></system-out><script>alert(1)</script>&#0;&evil;",
    "| a | b |\n|---|---|\n# head\n- item\n> quote\n```\n~~~",
    "[x](javascript:alert(1)) ![x](http://evil.example/x.png) <img src=x onerror=alert(1)>",
    "@somebody #1 https://evil.example www.evil.example a@evil.example `code` \\| **b** _i_",
    "\u{202e}gnp.exe\u{200b}\r\n\tend",
    "'; DROP TABLE calls; -- $(reboot) %s %n {{7*7}} ${jndi:ldap://x}",
];

/// Adds an agent's account to every turn and usage to every call; `text` returns the text for each
/// place.
pub(super) fn describe(run: &mut Run, text: &dyn Fn(&str) -> String) {
    for turn in &mut run.turns {
        let after = |ms: f64| turn.speech_end_ms.map_or(ms, |end| end.as_f64() + ms);
        turn.agent = serde_json::from_value(json!({
            "heard_end_ms": after(40.0),
            "llm_node_ttft_ms": 300.0,
            "e2e_latency_ms": 500.0,
            "path": [{"step": "llm", "ms": 300.0}, {"step": "tool", "ms": 100.0}],
            "tools": [{"name": text("tool"), "began_ms": after(100.0), "ended_ms": after(200.0)}],
            "states": [{"state": "thinking", "at_ms": after(50.0)}],
            "spans": [{"name": text("span"), "start_ms": 60.0, "end_ms": 90.0,
                "attributes": {text("key"): text("value")}}],
            "heard_text": text("heard"),
            "reply_text": text("reply"),
            "heard_errors": {"errors": 1, "words": 4},
        }))
        .expect("an account");
    }
    let used = |model: String| {
        json!({
            "kind": "llm", "provider": text("provider"), "model": model,
            "used": {"input_tokens": 1_000, "output_tokens": 10},
        })
    };
    for call in &mut run.calls {
        let models = json!([used(text("model")), used("priced".into())]);
        call.usage = serde_json::from_value(models).expect("usage");
    }
}

/// Adds what the scenario's prices and observed endpoints contribute, and shows transcripts.
pub(super) fn with_prices_and_readings(
    record: RunRecord,
    text: &dyn Fn(&str) -> String,
) -> RunRecord {
    let prices: Prices = serde_json::from_value(json!({
        "currency": text("currency"),
        "models": {"priced": {"input_tokens": 1.0, "output_tokens": 2.0}},
    }))
    .expect("prices");
    let reading = |second: i64| Reading {
        gauges: [
            (text("gauge"), second as f64),
            ("process_resident_memory_bytes".into(), 9.0),
        ]
        .into(),
        counters: [(text("counter"), second as f64)].into(),
        ..Reading::new(&text("source"), Ms::from_micros(second * 1_000_000))
    };
    let gap = Reading {
        gap: Some(text("gap")),
        ..Reading::new(&text("silent source"), Ms::from_micros(1_000_000))
    };
    let readings = (0..9).map(reading).chain([gap]).collect();
    let mut record = record.with_observed(readings);
    record.summary = record.summary.priced(Some(&prices), &record.calls);
    record.shows_transcripts = true;
    record
}

fn hostile(word: &str) -> RunRecord {
    let mut run = Run::default();
    let detail = word.to_owned();
    run.good(1)
        .bad(Outcome::Failed, Some(Failure::Dropped { detail }));
    for turn in &mut run.turns {
        turn.room = word.into();
        turn.utterance = word.into();
        turn.variant = word.into();
        turn.playout_model = Some(word.into());
        turn.failure = (turn.outcome == Outcome::Failed).then(|| word.into());
    }
    for call in &mut run.calls {
        call.room = word.into();
        call.variant = word.into();
        if let Some(failure) = &mut call.failure {
            failure.cause = word.into();
            failure.hint = word.into();
        }
    }
    let text = |_: &str| word.to_owned();
    describe(&mut run, &text);
    let mut record = with_prices_and_readings(of(run), &text);
    let usage = record.summary.usage.as_ref().expect("set above");
    let cost = usage.cost.as_ref().expect("set above");
    assert_eq!(
        (cost.currency.as_str(), &cost.unpriced[..]),
        (word, &[word.to_owned()][..])
    );
    let summary = &mut record.summary;
    summary.run.name = word.into();
    summary.run.target = word.into();
    summary.run.started_at = word.into();
    summary.run.loadgen_version = word.into();
    summary.flags.insert(word.into(), 1);
    summary.verdict.reasons = vec![word.into()];
    for gate in &mut summary.verdict.gates {
        gate.metric = word.into();
        gate.expression = word.into();
        gate.reason = Some(word.into());
    }
    record.scenario = Some(word.into());
    record
}

#[test]
fn hostile_names_are_escaped_in_every_format() {
    for word in HOSTILE {
        let record = hostile(word);
        let files = files(&record);
        for name in ["turns.csv", "calls.csv"] {
            for row in rows(&text(&files, name)) {
                for column in ["room", "variant"] {
                    let cell = row[column].strip_prefix('\'').unwrap_or(&row[column]);
                    let plain = word.strip_prefix('\'').unwrap_or(word);
                    assert_eq!(cell, plain, "{name}");
                    assert!(!row[column].starts_with(['=', '+', '-', '@', '\t', '\r', '\n']));
                }
            }
        }
        let back: Summary = serde_json::from_slice(&files["summary.json"]).unwrap();
        assert_eq!(back, record.summary);
        xml_holds(word, &text(&files, "junit.xml"));
        markdown_holds(word, &text(&files, "summary.md"));
        let log = &files["histogram.hlog"];
        assert!(IntervalLogIterator::new(log).all(|entry| entry.is_ok()));
        let past = PastRun {
            folder: word.into(),
            summary: record.summary.clone(),
        };
        let table = list::table(&[past], Style::Plain);
        assert_eq!(table.lines().count(), 2, "{table}");
        assert!(!table.chars().any(|c| c != '\n' && c.is_control()));
    }
}

/// Every column with text from outside is in the documented list for pandas, without which pandas
/// would not read names like `NA` or `1e5` as text.
#[test]
fn the_documented_pandas_line_reads_names_as_text() {
    let mut record = hostile("=x");
    for turn in &mut record.turns {
        turn.agent_track = Some("=x".into());
    }
    for failure in record.calls.iter_mut().filter_map(|c| c.failure.as_mut()) {
        failure.message = "=x".into();
    }
    let files = files(&record);
    let mut columns = BTreeSet::new();
    for name in ["turns.csv", "calls.csv"] {
        for row in rows(&text(&files, name)) {
            let cells = row.into_iter().filter(|(_, cell)| cell == "'=x");
            columns.extend(cells.map(|(column, _)| column));
        }
    }
    let docs = include_str!("../../docs/formats.md");
    let line = docs.lines().find_map(|line| line.strip_prefix("texts = "));
    let listed: Vec<String> = serde_json::from_str(line.expect("a list")).expect("a list");
    assert_eq!(BTreeSet::from_iter(listed), columns);
    let read = "dtype=dict.fromkeys(texts, str), keep_default_na=False, na_values=[\"\"])";
    assert!(docs.contains(read));
}

fn xml_holds(word: &str, xml: &str) {
    let forbidden = |c: char| {
        (c.is_control() && !matches!(c, '\t' | '\n' | '\r')) || matches!(c, '\u{fffe}' | '\u{ffff}')
    };
    assert!(!xml.chars().any(forbidden), "{xml:?}");
    let report = Report::deserialize_from_str(xml).unwrap_or_else(|e| panic!("{e}\n{xml}"));
    let expected = clean(word, 2_000).replace(['\u{fffe}', '\u{ffff}'], "\u{fffd}");
    let failure = &report.test_suites[2].test_cases[0];
    assert_eq!(failure.name.as_str(), expected);
    let TestCaseStatus::NonSuccess { message, .. } = &failure.status else {
        panic!("{failure:?}");
    };
    assert!(message.as_ref().unwrap().starts_with("1 call: "));
}

/// Apart from our own tags and code spans, no character can act as markup.
fn markdown_holds(word: &str, markdown: &str) {
    let ours = [
        "<code>",
        "</code>",
        "<details>",
        "</details>",
        "<summary>",
        "</summary>",
    ];
    let mut rest = markdown.to_owned();
    for tag in ours {
        rest = rest.replace(tag, "");
    }
    let definitions = rest.find("Definitions").unwrap();
    let rest = &rest[..definitions];
    for c in ['<', '>', '[', ']', '*', '_', '@', '\\', '$', '{'] {
        // Intervals have brackets; our own metrics have names in backticks.
        let own = |line: &str| match c {
            '[' | ']' => line.starts_with("| p"),
            '_' => line.starts_with("| `"),
            _ => false,
        };
        let mut lines = rest.lines().filter(|l| l.contains(c) && !own(l));
        assert_eq!(lines.next(), None, "{c} of {word:?}");
    }
    for address in ["://", "www."] {
        assert!(!rest.contains(address), "{address}\n{rest}");
    }
    let heads: Vec<&str> = rest.lines().filter(|l| l.starts_with('#')).collect();
    assert_eq!(heads.len(), 1, "{rest}");
    let tables = rest.lines().filter(|l| l.starts_with('|'));
    for row in tables {
        let cells = row.matches('|').count() - 1;
        assert!([3, 4, 5, 9].contains(&cells), "{row}");
    }
    let fence = rest
        .lines()
        .find(|l| l.starts_with("```") || l.starts_with("~~~"));
    assert_eq!(fence, None);
}
