//! Snapshots of the reports for people and for machines.

use super::*;
use crate::record::Latency;
use crate::record::fixtures::{Failure, Outcome, Run, facts, ms};
use crate::record::{
    Ending, Flag, MEASUREMENTS, Ms, RunFacts, Sentinels, Summary, Threshold, TurnRecord,
};
use crate::stats::{Aggregate, Gate, Inequality};
use crate::vocab::Metric;

const FORMATS: &str = include_str!("../../docs/formats.md");
const HOSTILE: &str = "=cmd|' /C calc'!A0\u{1b}[2J\n\u{202e}\t\"quoted\", and far too long to stand on one line of anything that people look at";

pub(super) fn threshold(
    metric: &str,
    expression: &str,
    aggregate: Aggregate,
    bound: f64,
) -> Threshold {
    let gate = Gate {
        aggregate,
        comparison: Inequality::Lt,
        bound,
    };
    Threshold::new(metric, expression, gate)
}

pub(super) fn gates() -> Vec<Threshold> {
    vec![
        threshold("ttfa", "p(95)<1500ms", Aggregate::Quantile(0.95), 1_500.0),
        threshold("missed", "rate<0.01", Aggregate::Rate, 0.01),
        threshold("greeting", "avg<1s", Aggregate::Mean, 1_000.0),
    ]
}

pub(super) fn summary(run: &Run, planned: usize, ending: Ending) -> Summary {
    Summary::build(&facts(planned, ending), &run.calls, &run.turns, &gates())
}

pub(super) fn passed() -> Summary {
    let mut run = Run::default();
    run.good(110);
    run.turns[3].flags = vec![Flag::LateSend, Flag::UserSpaceStamp];
    run.turns[4].flags = vec![Flag::LateSend];
    let facts = RunFacts {
        sentinels: Some(sentinels(300, 0.2)),
        ..facts(110, Ending::Finished)
    };
    Summary::build(&facts, &run.calls, &run.turns, &gates())
}

/// Two sentinel calls with an error of `micros` that shifted by `shift_ms` in the later half.
pub(super) fn sentinels(micros: i64, shift_ms: f64) -> Sentinels {
    Sentinels {
        calls: 2,
        failed: 0,
        turns: 14,
        unmatched: 1,
        bias_ms: Some(micros as f64 / 1e3),
        p50_abs_ms: Some(Ms::from_micros(micros)),
        p95_abs_ms: Some(Ms::from_micros(2 * micros)),
        p99_abs_ms: None,
        max_abs_ms: Some(Ms::from_micros(2 * micros)),
        shift_ms: Some(shift_ms),
        moved: micros > 5_000,
    }
}

pub(super) fn failed() -> Summary {
    let mut run = Run::default();
    let absent = || Some(Failure::AgentAbsent { waited: ms(30_000) });
    run.good(20)
        .bad(Outcome::Missed, None)
        .bad(Outcome::Early, None)
        .bad(Outcome::Failed, absent())
        .bad(Outcome::Failed, absent())
        .bad(
            Outcome::Failed,
            Some(Failure::Dropped {
                detail: "ICE".into(),
            }),
        );
    summary(&run, 25, Ending::Finished)
}

pub(super) fn all_missed() -> Summary {
    let mut run = Run::default();
    run.bad(Outcome::Missed, None).bad(Outcome::Missed, None);
    summary(&run, 2, Ending::Finished)
}

pub(super) fn stopped() -> Summary {
    let mut run = Run::default();
    run.good(4).stopped();
    summary(&run, 50, Ending::Stopped)
}

pub(super) fn empty() -> Summary {
    summary(&Run::default(), 0, Ending::Finished)
}

pub(super) fn hostile() -> (Summary, Vec<TurnRecord>) {
    let mut run = Run::default();
    run.good(1).bad(
        Outcome::Failed,
        Some(Failure::Dropped {
            detail: HOSTILE.into(),
        }),
    );
    for turn in &mut run.turns {
        turn.room = HOSTILE.into();
        turn.utterance = "-5".into();
        turn.variant = "@SUM(A1)".into();
    }
    let facts = RunFacts {
        name: HOSTILE,
        target: HOSTILE,
        ..facts(2, Ending::Finished)
    };
    let gates = [threshold(HOSTILE, HOSTILE, Aggregate::Max, 1.0)];
    (
        Summary::build(&facts, &run.calls, &run.turns, &gates),
        run.turns,
    )
}

/// A run with the largest possible figures.
fn huge() -> Summary {
    let mut summary = failed();
    let longest = Some(Ms::from_micros(600_000_000));
    let huge = Latency {
        max_ms: longest,
        mean_ms: longest,
        count: 1_000_000,
        ..summary.metrics.get(Metric::Ttfa)
    };
    summary.metrics.set(Metric::Ttfa, huge);
    summary.metrics.all_turns.count = 1_000_000;
    summary.metrics.all_turns.infinite = 1_000_000;
    summary.outcomes.planned = 1_000_000;
    summary.generator.rss_bytes = 1 << 40;
    summary
}

pub(super) fn every_summary() -> [Summary; 7] {
    [
        huge(),
        passed(),
        failed(),
        all_missed(),
        stopped(),
        empty(),
        hostile().0,
    ]
}

#[test]
fn json_of_a_failed_gate() {
    let text = json::summary(&failed());
    assert!(text.ends_with("}\n"));
    assert_eq!(serde_json::from_str::<Summary>(&text).unwrap(), failed());
    insta::assert_snapshot!(text);
}

#[test]
fn csv_of_a_few_turns() {
    let mut run = Run::default();
    run.good(1)
        .bad(Outcome::Missed, None)
        .bad(Outcome::Failed, Some(Failure::AgentLeft));
    run.turns.reverse();
    insta::assert_snapshot!(csv::turns(&run.turns));
    assert_eq!(
        csv::turns(&[]).trim_end(),
        csv::COLUMNS
            .iter()
            .map(|c| c.name)
            .collect::<Vec<_>>()
            .join(",")
    );
}

#[test]
fn csv_and_journal_have_the_same_fields() {
    let (_, turns) = hostile();
    let text = csv::turns(&turns);
    let mut reader = ::csv::Reader::from_reader(text.as_bytes());
    let heads = reader.headers().unwrap().clone();
    for (row, turn) in reader.records().map(Result::unwrap).zip(&turns) {
        let json = serde_json::to_value(turn).unwrap();
        let fields = json.as_object().unwrap();
        for field in fields.keys() {
            assert!(heads.iter().any(|head| head == field), "{field}");
        }
        for (head, cell) in heads.iter().zip(&row) {
            // The journal omits a rare field if the turn does not have it.
            match fields.get(head).unwrap_or(&serde_json::Value::Null) {
                serde_json::Value::Null => assert_eq!(cell, "", "{head}"),
                serde_json::Value::Number(n) => {
                    assert_eq!(cell.parse::<f64>().ok(), n.as_f64(), "{head}");
                }
                serde_json::Value::Bool(b) => assert_eq!(cell, b.to_string(), "{head}"),
                serde_json::Value::Array(a) => {
                    let words: Vec<&str> = a.iter().filter_map(|w| w.as_str()).collect();
                    assert_eq!(cell, words.join(" "), "{head}");
                }
                other => assert_eq!(
                    Some(cell.trim_start_matches('\'')),
                    other.as_str(),
                    "{head}"
                ),
            }
        }
    }
}

#[test]
fn csv_cells_are_never_formulas() {
    let (_, mut turns) = hostile();
    for first in ["=1+1", "+1", "-1", "@a", "\tx", "\rx", "\nx", "fine", ""] {
        turns[0].room = first.into();
        turns[0].planned_ms = Some(Ms::from_micros(-1_500));
        let text = csv::turns(&turns[..1]);
        let mut reader = ::csv::Reader::from_reader(text.as_bytes());
        let row = reader.records().next().unwrap().unwrap();
        let expected = if matches!(first, "fine" | "") {
            first.into()
        } else {
            format!("'{first}")
        };
        assert_eq!(row[2], expected);
        assert_eq!(&row[4], "'-5", "text that looks like a number is text");
        assert_eq!(&row[9], "-1.500", "a number stays a number");
    }
}

#[test]
fn every_field_is_documented() {
    for column in csv::COLUMNS.iter().map(|c| c.name) {
        assert!(FORMATS.contains(&format!("| `{column}` |")), "{column}");
    }
    for column in csv::CALL_COLUMNS.iter().map(|c| c.name) {
        assert!(FORMATS.contains(&format!("`{column}`")), "{column}");
    }
    fn walk(value: &serde_json::Value, found: &mut Vec<String>) {
        match value {
            serde_json::Value::Object(fields) => fields.iter().for_each(|(key, value)| {
                found.push(key.clone());
                walk(value, found);
            }),
            serde_json::Value::Array(items) => items.iter().for_each(|i| walk(i, found)),
            _ => {}
        }
    }
    let mut fields = Vec::new();
    walk(&serde_json::to_value(failed()).unwrap(), &mut fields);
    for field in fields {
        assert!(
            FORMATS.contains(&format!("`{field}`")),
            "summary.json: {field}"
        );
    }
    for measurement in MEASUREMENTS {
        let row = format!("| {} | {} |", measurement.version, measurement.change);
        assert!(FORMATS.contains(&row), "{row}");
    }
    for &flag in Flag::ALL {
        assert!(
            FORMATS.contains(&format!("`{}`", flag.name())),
            "flag {}",
            flag.name()
        );
    }
}
