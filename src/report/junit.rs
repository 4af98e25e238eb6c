//! `junit.xml`: the verdict as test results, for CI systems that show them.
//!
//! In: a record. Out: JUnit XML: a suite `run` with the verdict and the figures as properties, a
//! suite `gates` with a case per gate, a suite `failures` with a case per cause of failed calls.
//! Invariants: all cases pass or are skipped exactly when the run passed or had no gates; the
//! output contains no character that XML forbids.

use super::text::{clean, plural};
use super::words;
use crate::record::{GateResult, GateVerdict, Latency, Ms, RunRecord, Status, Summary};
use quick_junit::{NonSuccessKind, Report, TestCase, TestCaseStatus, TestSuite};

/// Maximum length of text from outside, in characters.
const LONGEST: usize = 2_000;

/// Renders `junit.xml`.
pub(crate) fn xml(record: &RunRecord) -> String {
    let summary = &record.summary;
    let mut report = Report::new("loadgen");
    report.timestamp = summary.run.started_at.parse().ok();
    report.time = summary.run.duration_ms.duration();
    report.add_test_suite(run(summary));
    report.add_test_suite(gates(summary));
    if !summary.failures.is_empty() {
        report.add_test_suite(failures(summary));
    }
    report
        .to_string()
        .expect("the report is written to memory and contains no character that XML forbids")
}

/// Makes text from outside safe for XML 1.0: control characters are written as escapes such as
/// `\u{…}`; U+FFFE and U+FFFF, forbidden even when escaped, become U+FFFD.
fn safe(text: &str) -> String {
    clean(text, LONGEST).replace(['\u{fffe}', '\u{ffff}'], "\u{fffd}")
}

fn case(summary: &Summary, name: &str, status: TestCaseStatus) -> TestCase {
    let mut case = TestCase::new(safe(name), status);
    case.set_classname(safe(&summary.run.name));
    case
}

fn not(kind: NonSuccessKind, kind_name: &str, message: &str) -> TestCaseStatus {
    let mut status = TestCaseStatus::non_success(kind);
    status.set_type(kind_name).set_message(safe(message));
    status
}

fn skipped(message: &str) -> TestCaseStatus {
    let mut status = TestCaseStatus::skipped();
    status.set_message(safe(message));
    status
}

/// The suite with the verdict as its only case and the figures as properties.
fn run(summary: &Summary) -> TestSuite {
    let verdict = &summary.verdict;
    let reasons = verdict.reasons.join("; ");
    let status = match verdict.status {
        Status::Passed => TestCaseStatus::success(),
        // Without gates nothing was tested.
        Status::Unasked => skipped(&reasons),
        Status::Failed => not(NonSuccessKind::Failure, "failed", &reasons),
        Status::Invalid => not(NonSuccessKind::Error, "invalid", &reasons),
        Status::Stopped => not(NonSuccessKind::Error, "stopped", &reasons),
        Status::Error => not(NonSuccessKind::Error, "error", &reasons),
    };
    let mut suite = TestSuite::new("run");
    suite.time = summary.run.duration_ms.duration();
    for (name, value) in figures(summary) {
        suite.add_property((name, value));
    }
    suite.add_test_case(case(summary, "verdict", status));
    suite
}

/// Figures under their names in `summary.json`, with times at full precision.
fn figures(summary: &Summary) -> Vec<(String, String)> {
    let (run, calls, turns) = (&summary.run, &summary.calls, &summary.outcomes);
    let mut figures = vec![
        ("target".to_owned(), safe(&run.target)),
        ("seed".to_owned(), run.seed.to_string()),
        ("loadgen_version".to_owned(), safe(&run.loadgen_version)),
        ("complete".to_owned(), run.complete.to_string()),
    ];
    for (name, count) in [
        ("calls.planned", calls.planned),
        ("calls.started", calls.started),
        ("calls.completed", calls.completed),
        ("calls.failed", calls.failed),
        ("calls.cut_off", calls.cut_off),
        ("calls.dropped", calls.dropped),
        ("calls.not_run", calls.not_run),
        ("outcomes.planned", turns.planned),
        ("outcomes.replied", turns.replied),
        ("outcomes.missed", turns.missed),
        ("outcomes.early", turns.early),
        ("outcomes.failed", turns.failed),
        ("outcomes.cut_off", turns.cut_off),
        ("outcomes.not_run", turns.not_run),
    ] {
        figures.push((name.to_owned(), count.to_string()));
    }
    if turns.skipped > 0 {
        figures.push(("outcomes.skipped".to_owned(), turns.skipped.to_string()));
    }
    let metrics = &summary.metrics;
    let all = &metrics.all_turns;
    let all_turns = Latency {
        count: all.count,
        min_ms: all.min_ms,
        mean_ms: all.mean_ms,
        p50_ms: all.p50_ms,
        p90_ms: all.p90_ms,
        p95_ms: all.p95_ms,
        p99_ms: all.p99_ms,
        max_ms: all.max_ms,
    };
    for (metric, figured) in metrics.latencies() {
        figures.extend(latency(metric.name(), &figured, false));
    }
    figures.extend(latency("all_turns", &all_turns, all.infinite > 0));
    figures
}

/// The figures of one metric. With `infinite`, an absent figure is +∞ and is written `inf`.
fn latency(metric: &str, latency: &Latency, infinite: bool) -> Vec<(String, String)> {
    let mut figures = vec![(format!("{metric}.count"), latency.count.to_string())];
    for (name, figure) in [
        ("min_ms", latency.min_ms),
        ("mean_ms", latency.mean_ms),
        ("p50_ms", latency.p50_ms),
        ("p90_ms", latency.p90_ms),
        ("p95_ms", latency.p95_ms),
        ("p99_ms", latency.p99_ms),
        ("max_ms", latency.max_ms),
    ] {
        let text = figure.map(|ms: Ms| ms.to_string());
        let text = text.or_else(|| infinite.then(|| "inf".to_owned()));
        figures.extend(text.map(|text| (format!("{metric}.{name}"), text)));
    }
    figures
}

fn gates(summary: &Summary) -> TestSuite {
    let mut suite = TestSuite::new("gates");
    for gate in &summary.verdict.gates {
        let name = gate.name();
        suite.add_test_case(case(summary, &name, gate_status(gate)));
    }
    suite
}

fn gate_status(gate: &GateResult) -> TestCaseStatus {
    match gate.verdict {
        GateVerdict::Passed => TestCaseStatus::success(),
        GateVerdict::Failed => {
            let message = format!("{} is {}", gate.metric, words::gate(gate));
            not(NonSuccessKind::Failure, "gate", &message)
        }
        GateVerdict::Undecided => not(NonSuccessKind::Error, "undecided", &words::gate(gate)),
    }
}

/// Failed calls that the gates tolerate do not fail the run, so their cases are skipped.
fn failures(summary: &Summary) -> TestSuite {
    let mut suite = TestSuite::new("failures");
    for failure in &summary.failures {
        let message = format!("{}: {}", plural(failure.count, "call"), failure.message);
        let mut status = match summary.verdict.status {
            Status::Passed | Status::Unasked => skipped(&message),
            _ => not(NonSuccessKind::Failure, &safe(&failure.cause), &message),
        };
        status.set_description(safe(&format!("hint: {}", failure.hint)));
        suite.add_test_case(case(summary, &failure.cause, status));
    }
    suite
}
