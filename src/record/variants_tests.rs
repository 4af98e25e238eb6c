//! How variants are ranked, and how their differences are reported.

use super::fixtures::{Run, facts};
use super::*;

#[test]
fn variants_are_ranked_by_the_median_of_all_turns() {
    let mut run = Run {
        warmup: true,
        ..Run::default()
    };
    run.good(3).warmup = false;
    run.compared();
    let summary = Summary::build(&facts(30, Ending::Finished), &run.calls, &run.turns, &[]);
    let ranked: Vec<(&str, usize, usize)> = summary
        .variants
        .iter()
        .map(|v| (v.name.as_str(), v.calls.completed, v.all_turns.infinite))
        .collect();
    // Half of the turns of `deaf` are missed: its median is the largest of its finite latencies.
    assert_eq!(
        ranked,
        [("quick", 10, 0), ("deaf", 10, 15), ("slow", 10, 0)]
    );
    let [first, deaf, slow] = summary.variants.as_slice() else {
        panic!("{:#?}", summary.variants)
    };
    assert_eq!(first.behind, None);
    assert_eq!(first.outcomes.planned, 30);
    let lag = |v: &VariantSummary| v.behind.clone().and_then(|b| b.p50).expect("a difference");
    assert_eq!(lag(slow).verdict, LagVerdict::Slower);
    assert_eq!(lag(slow).by_ms, Some(Ms::from_micros(300_000)));
    let span = lag(slow).interval.expect("enough turns");
    let (lower, upper) = (
        span.lower_ms.expect("finite"),
        span.upper_ms.expect("finite"),
    );
    assert!(lower <= Ms::from_micros(300_000) && Ms::from_micros(300_000) <= upper);
    assert!(lag(slow).p < 0.05, "{:?}", lag(slow));
    let p95 = deaf
        .behind
        .clone()
        .and_then(|b| b.p95)
        .expect("a difference");
    // The variant differs in five of ten blocks, which can also happen with equal variants.
    assert_eq!((p95.by_ms, p95.verdict), (None, LagVerdict::Unclear));
}

#[test]
fn a_run_with_one_variant_has_no_comparison() {
    let mut run = Run::default();
    run.good(5);
    let summary = Summary::build(&facts(5, Ending::Finished), &run.calls, &run.turns, &[]);
    assert_eq!(summary.variants, []);
    let json = serde_json::to_string(&summary).expect("a summary serializes");
    assert!(!json.contains("\"variants\""), "{json}");
    let back: Summary = serde_json::from_str(&json).expect("a summary");
    assert_eq!(back, summary);
}
