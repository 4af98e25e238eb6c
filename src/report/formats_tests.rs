//! Reads one record back from every format: the figures agree to the last digit.

use super::figures::{cells, figure};
use super::list::{self, PastRun};
use super::*;
use crate::record::fixtures::{Failure, Outcome, Run, facts};
use crate::record::{Ending, Latency, Ms, RunRecord, Summary, TurnRecord};
use crate::vocab::Metric;
use hdrhistogram::serialization::Deserializer;
use hdrhistogram::serialization::interval_log::{IntervalLogIterator, LogEntry};
use quick_junit::Report;
use serde_json::Value;
use std::collections::BTreeMap;

pub(super) type Row = BTreeMap<String, String>;

/// 114 calls with 342 turns; most turns got a reply, with latencies down to the microsecond.
fn record() -> RunRecord {
    let mut run = Run::default();
    run.good(110)
        .bad(Outcome::Missed, None)
        .bad(Outcome::Missed, None)
        .bad(Outcome::Early, None)
        .bad(Outcome::Failed, Some(Failure::AgentLeft));
    for (i, turn) in run.turns.iter_mut().enumerate() {
        if let Some(wire) = &mut turn.ttfa_wire_ms {
            *wire = Ms::from_micros(300_000 + (i as i64 * 7_919) % 900_001);
            turn.playout_ms = Some(Ms::from_micros(40_001 + i as i64));
            turn.ttfa_ms = turn.playout_ms.map(|playout| *wire + playout);
        }
    }
    for (i, call) in run.calls.iter_mut().enumerate() {
        call.join_ms = call.join_ms.map(|ms| ms + Ms::from_micros(i as i64));
    }
    of(run)
}

pub(super) fn of(run: Run) -> RunRecord {
    let facts = facts(run.calls.len(), Ending::Finished);
    let gates = tests::gates();
    let summary = Summary::build(&facts, &run.calls, &run.turns, &gates);
    RunRecord::new(summary, run.turns, run.calls, None)
}

/// Name → content of every file.
pub(super) fn files(record: &RunRecord) -> BTreeMap<&'static str, Vec<u8>> {
    let files = Format::ALL.into_iter().flat_map(|f| f.files(record));
    files.map(|f| (f.name, f.bytes)).collect()
}

pub(super) fn text(files: &BTreeMap<&'static str, Vec<u8>>, name: &str) -> String {
    String::from_utf8(files[name].clone()).expect("UTF-8")
}

pub(super) fn rows(csv: &str) -> Vec<Row> {
    let mut reader = ::csv::Reader::from_reader(csv.as_bytes());
    reader.deserialize().map(|row| row.unwrap()).collect()
}

/// The order statistics of a column, in microseconds, by an independent implementation.
fn of_column(rows: &[Row], column: &str, wanted: impl Fn(&Row) -> bool) -> Latency {
    let wanted = rows.iter().filter(|r| wanted(r) && !r[column].is_empty());
    let micros = wanted.map(|r| (r[column].parse::<f64>().unwrap() * 1e3).round() as i64);
    let mut micros: Vec<i64> = micros.collect();
    micros.sort_unstable();
    let n = micros.len();
    let at = |p: usize| (n > 0).then(|| Ms::from_micros(micros[(p * n).div_ceil(100).max(1) - 1]));
    let sum: i64 = micros.iter().sum();
    Latency {
        count: n,
        min_ms: at(0),
        mean_ms: (n > 0).then(|| Ms::from_micros((sum as f64 / n as f64).round() as i64)),
        p50_ms: at(50),
        p90_ms: at(90),
        p95_ms: at(95),
        p99_ms: at(99),
        max_ms: at(100),
    }
}

#[test]
fn every_format_has_the_same_figures() {
    let record = record();
    let files = files(&record);
    let metrics = &record.summary.metrics;

    let json: Summary = serde_json::from_slice(&files["summary.json"]).unwrap();
    assert_eq!(json, record.summary);

    let turns = rows(&text(&files, "turns.csv"));
    let calls = rows(&text(&files, "calls.csv"));
    let replied = |r: &Row| r["outcome"] == "replied" && r["warmup"] == "false";
    let by_csv = [
        (
            "ttfa",
            of_column(&turns, "ttfa_ms", replied),
            metrics.get(Metric::Ttfa),
        ),
        (
            "ttfa_wire",
            of_column(&turns, "ttfa_wire_ms", replied),
            metrics.get(Metric::TtfaWire),
        ),
        (
            "join",
            of_column(&calls, "join_ms", |_| true),
            metrics.get(Metric::Join),
        ),
        (
            "agent_present",
            of_column(&calls, "agent_present_ms", |_| true),
            metrics.get(Metric::AgentPresent),
        ),
        (
            "agent_audible",
            of_column(&calls, "agent_audible_ms", |_| true),
            metrics.get(Metric::AgentAudible),
        ),
        (
            "greeting",
            of_column(&calls, "greeting_ms", |_| true),
            metrics.get(Metric::Greeting),
        ),
    ];
    for (name, csv, summary) in by_csv {
        assert!(csv.count > 100, "{name}");
        assert_eq!(csv, summary, "{name}");
    }
    let failed = calls.iter().filter(|r| !r["failure"].is_empty()).count();
    assert_eq!(failed, record.summary.calls.failed);
    let early: usize = calls
        .iter()
        .map(|r| r["turns_early"].parse::<usize>().unwrap())
        .sum();
    assert_eq!(early, record.summary.outcomes.early);

    agrees_with_junit(&record.summary, &text(&files, "junit.xml"));
    agrees_with_people(&record.summary, &text(&files, "summary.md"));
    agrees_with_html(&record.summary, &text(&files, "report.html"));
    agrees_with_histograms(&record.summary, &files["histogram.hlog"]);
}

/// The figures of every metric by their names in `summary.json`.
fn named(summary: &Summary) -> BTreeMap<String, f64> {
    let value = serde_json::to_value(summary).unwrap();
    let mut named = BTreeMap::new();
    for (metric, figures) in value["metrics"].as_object().unwrap() {
        for (name, figure) in figures.as_object().unwrap() {
            // Null is +∞ if some turns were never answered.
            let null = (metric == "all_turns").then_some(f64::INFINITY);
            let figure = figure.as_f64().or(null);
            if let Some(figure) = figure.filter(|_| name != "infinite") {
                named.insert(format!("{metric}.{name}"), figure);
            }
        }
    }
    for part in ["calls", "outcomes"] {
        for (name, count) in value[part].as_object().unwrap() {
            named.insert(format!("{part}.{name}"), count.as_f64().unwrap());
        }
    }
    named
}

fn agrees_with_junit(summary: &Summary, xml: &str) {
    let report = Report::deserialize_from_str(xml).unwrap();
    let run = &report.test_suites[0];
    let numbers: BTreeMap<String, f64> = run
        .properties
        .iter()
        .filter(|p| p.name.contains('.'))
        .map(|p| (p.name.to_string(), p.value.parse().unwrap()))
        .collect();
    assert_eq!(numbers, named(summary));
    let gates = &report.test_suites[1];
    assert_eq!(gates.test_cases.len(), summary.verdict.gates.len());
    let failed = gates.test_cases.iter().filter(|case| {
        let kind = format!("{:?}", case.status);
        kind.contains("NonSuccess")
    });
    assert!(failed.count() > 0 && report.failures > 0);
}

/// Markdown and console: the same cells, and the summary's figures rounded to a tenth.
fn agrees_with_people(summary: &Summary, markdown: &str) {
    let console = console::details(summary, Screen::default(), None);
    let metrics = &summary.metrics;
    for (name, latency) in [
        ("ttfa", metrics.get(Metric::Ttfa)),
        ("ttfa_wire", metrics.get(Metric::TtfaWire)),
        ("join", metrics.get(Metric::Join)),
        ("agent_present", metrics.get(Metric::AgentPresent)),
        ("agent_audible", metrics.get(Metric::AgentAudible)),
        ("greeting", metrics.get(Metric::Greeting)),
    ] {
        let cells = cells(&latency);
        let row = format!("| `{name}` | {} | {} |", latency.count, cells.join(" | "));
        assert!(markdown.contains(&row), "{row}\n{markdown}");
        let line = console.lines().find(|l| {
            let words: Vec<&str> = l.split_whitespace().collect();
            words.first() == Some(&name) && words.len() == 9
        });
        let words: Vec<&str> = line.unwrap().split_whitespace().skip(2).collect();
        assert_eq!(words, cells);
        let p95 = latency.p95_ms.unwrap().as_f64();
        let shown: f64 = figure(latency.p95_ms).parse().unwrap();
        assert!((shown - p95).abs() <= 0.05 + 1e-9, "{shown} {p95}");
    }
    for gate in &summary.verdict.gates {
        assert!(markdown.contains(&gate.figure()), "{markdown}");
        assert!(console.contains(&gate.figure()), "{console}");
    }
}

/// Checks that the page shows these figures in the same form as the console.
fn agrees_with_html(summary: &Summary, html: &str) {
    let metrics = &summary.metrics;
    for latency in [
        metrics.get(Metric::Ttfa),
        metrics.get(Metric::TtfaWire),
        metrics.get(Metric::Join),
    ] {
        for cell in cells(&latency) {
            assert!(html.contains(&format!(">{cell}<")), "{cell}");
        }
    }
    for gate in &summary.verdict.gates {
        assert!(html.contains(&gate.figure()), "{}", gate.figure());
    }
}

fn agrees_with_histograms(summary: &Summary, log: &[u8]) {
    let mut seen = Vec::new();
    for entry in IntervalLogIterator::new(log) {
        let LogEntry::Interval(line) = entry.unwrap() else {
            continue;
        };
        let name = line.tag().unwrap().as_str().to_owned();
        let payload = base64::Engine::decode(
            &base64::engine::general_purpose::STANDARD,
            line.encoded_histogram(),
        );
        let histogram = Deserializer::new()
            .deserialize::<u64, _>(&mut payload.unwrap().as_slice())
            .unwrap();
        let metrics = serde_json::to_value(&summary.metrics).unwrap();
        let figure = |f: &str| (metrics[&name][f].as_f64().unwrap() * 1e3).round() as u64;
        assert_eq!(histogram.len(), metrics[&name]["count"].as_u64().unwrap());
        for (quantile, name) in [
            (0.5, "p50_ms"),
            (0.9, "p90_ms"),
            (0.95, "p95_ms"),
            (0.99, "p99_ms"),
        ] {
            let value = histogram.value_at_quantile(quantile);
            assert!(
                histogram.equivalent(value, figure(name)),
                "{name}: {value} µs in the histogram, {}",
                figure(name)
            );
        }
        assert!(histogram.equivalent(histogram.max(), figure("max_ms")));
        assert!(histogram.equivalent(histogram.min(), figure("min_ms")));
        // The line's own maximum column, in ms.
        assert!((line.max() * 1e3 - figure("max_ms") as f64).abs() <= 16.0);
        seen.push(name);
    }
    let all = [
        "ttfa",
        "ttfa_wire",
        "answer",
        "join",
        "agent_present",
        "agent_audible",
        "greeting",
    ];
    assert_eq!(seen, all);
}

#[test]
fn markdown_is_bounded_for_pull_request_comments() {
    let mut run = Run::default();
    run.compared();
    let variant = of(run).summary.variants[1].clone();
    for letter in ["a", "@", "*", "\u{202e}", "🦊"] {
        let mut record = record();
        let word = letter.repeat(10_000);
        let summary = &mut record.summary;
        let mut failure = summary.failures[0].clone();
        failure.cause = word.clone();
        (failure.message, failure.hint) = (word.clone(), word.clone());
        summary.failures = vec![failure; 500];
        let gate = &mut summary.verdict.gates[0];
        (gate.metric, gate.words) = (word.clone(), word.clone());
        summary.verdict.gates = vec![gate.clone(); 500];
        summary.verdict.reasons = vec![word.clone(); 500];
        (summary.run.name, summary.run.target) = (word.clone(), word.clone());
        let mut variant = variant.clone();
        variant.name = word.clone();
        summary.variants = vec![variant; 500];
        summary.flags = (0..500).map(|n| (format!("{n}{word}"), 1)).collect();
        let markdown = markdown::summary(&record);
        let length = markdown.encode_utf16().count();
        assert!(length < 65_536, "a comment's limit: {length} of {letter}");
        assert_eq!(markdown.matches("and 480 more").count(), 3);
    }
}

#[test]
fn markdown_and_junit_of_a_run() {
    let record = record();
    insta::assert_snapshot!("markdown", markdown::summary(&record));
    insta::assert_snapshot!("junit", junit::xml(&record));
}

#[test]
fn failed_calls_that_the_gates_tolerate_do_not_fail_a_test() {
    let mut run = Run::default();
    run.good(300).bad(Outcome::Failed, Some(Failure::AgentLeft));
    let facts = facts(301, Ending::Finished);
    let summary = Summary::build(&facts, &run.calls, &run.turns, &tests::gates());
    assert_eq!(summary.verdict.status, crate::record::Status::Passed);
    let record = RunRecord::new(summary, run.turns, run.calls, None);
    let report = Report::deserialize_from_str(&junit::xml(&record)).unwrap();
    let counts = (report.failures, report.errors);
    assert_eq!(counts, (0, 0), "{report:?}");
    assert_eq!(report.test_suites[2].test_cases.len(), 1);
}

#[test]
fn empty_runs_have_reports() {
    let none: Vec<TurnRecord> = Vec::new();
    let summary = Summary::build(&facts(0, Ending::Stopped), &[], &none, &[]);
    let record = RunRecord::new(summary, none, Vec::new(), None);
    let files = files(&record);
    assert_eq!(rows(&text(&files, "turns.csv")).len(), 0);
    assert!(text(&files, "calls.csv").starts_with("version,call,room"));
    assert_eq!(
        IntervalLogIterator::new(&files["histogram.hlog"])
            .filter(|e| { matches!(e, Ok(LogEntry::Interval(_))) })
            .count(),
        0
    );
    assert!(text(&files, "summary.md").contains("stopped"));
    Report::deserialize_from_str(&text(&files, "junit.xml")).unwrap();
}

#[test]
fn past_runs_as_table_and_json() {
    let past = |folder: &str, record: RunRecord| PastRun {
        folder: folder.into(),
        summary: record.summary,
    };
    let mut cut = record();
    cut.summary.run.complete = false;
    cut.summary.run.started_at = "2026-01-31T12:00:00.123Z".into();
    let mut missed = Run::default();
    missed.bad(Outcome::Missed, None);
    let runs = [
        past("reports/a", record()),
        past("reports/b", cut),
        past("reports/c", of(missed)),
    ];
    insta::assert_snapshot!("list", list::table(&runs, Style::Plain));
    let json: Value = serde_json::from_str(&list::to_json(&runs)).unwrap();
    assert_eq!(json[2]["ttfa_p95_infinite"], true);
    assert_eq!(json[1]["complete"], false);
    assert_eq!(json[0]["calls"], 114);
    assert!(list::table(&[], Style::Plain).is_empty());
}
