//! Tests of the threshold parser: valid lines and how they are printed, errors for the others.

use super::*;
use crate::vocab::Metric;
use proptest::prelude::*;
use std::time::Duration;

/// Valid lines, and how they are printed.
const READ: &[(&str, &str)] = &[
    ("ttfa: p(95)<1500ms", "ttfa: p(95)<1.5s"),
    ("ttfa:p(99.9)<=2s", "ttfa: p(99.9)<=2s"),
    (" ttfa :  p ( 95 ) < 1 s ", "ttfa: p(95)<1s"),
    ("ttfa: p(100)<2s", "ttfa: p(100)<2s"),
    ("ttfa: p(0.1)>1ms", "ttfa: p(0.1)>1ms"),
    ("ttfa_wire: avg<400ms", "ttfa_wire: avg<400ms"),
    ("playout: p(99)<200ms", "playout: p(99)<200ms"),
    ("lead_in: med<80ms", "lead_in: med<80ms"),
    ("stop: p(90)<1m30s", "stop: p(90)<1m30s"),
    ("join: max<10s", "join: max<10s"),
    ("agent_present: med>=1ms", "agent_present: med>=1ms"),
    ("agent_audible: med>=1ms", "agent_audible: med>=1ms"),
    ("greeting: min>0s", "greeting: min>0s"),
    ("replied: rate>0.99", "replied: rate>0.99"),
    ("missed: rate<0.010", "missed: rate<0.01"),
    ("early: rate<=0", "early: rate<=0"),
    (
        "ttfa{variant:llm-100/vad-300}: p(95)<1s",
        "ttfa{variant:llm-100/vad-300}: p(95)<1s",
    ),
    (
        "transcription_delay: p(95)<800ms",
        "transcription_delay: p(95)<800ms",
    ),
    (
        "end_of_turn_delay: p(95)<800ms",
        "end_of_turn_delay: p(95)<800ms",
    ),
    (
        "on_user_turn_completed_delay: p(95)<800ms",
        "on_user_turn_completed_delay: p(95)<800ms",
    ),
    ("llm_node_ttft: p(95)<800ms", "llm_node_ttft: p(95)<800ms"),
    ("llm_node_ttfs: p(95)<800ms", "llm_node_ttfs: p(95)<800ms"),
    ("tts_node_ttfb: p(95)<800ms", "tts_node_ttfb: p(95)<800ms"),
    ("e2e_latency: p(95)<800ms", "e2e_latency: p(95)<800ms"),
    ("unexplained: p(95)<60ms", "unexplained: p(95)<60ms"),
    (
        "transcript_delay: p(95)<800ms",
        "transcript_delay: p(95)<800ms",
    ),
    ("text_ttft: p(95)<800ms", "text_ttft: p(95)<800ms"),
    ("text_reply: p(95)<3s", "text_reply: p(95)<3s"),
    ("blind_spot: p(95)<800ms", "blind_spot: p(95)<800ms"),
    (
        "blind_spot_front: p(95)<800ms",
        "blind_spot_front: p(95)<800ms",
    ),
    (
        "blind_spot_back: p(95)<800ms",
        "blind_spot_back: p(95)<800ms",
    ),
    ("hang_up: p(95)<3s", "hang_up: p(95)<3s"),
    ("failed: rate<1", "failed: rate<1"),
    ("tool_call: p(95)<1s", "tool_call: p(95)<1s"),
    ("wer: rate<0.1", "wer: rate<0.1"),
    ("reply_wer: rate<0.05", "reply_wer: rate<0.05"),
    ("reply_mismatched: rate<=0", "reply_mismatched: rate<=0"),
    ("answer: p(95)<3s", "answer: p(95)<3s"),
    ("stop_wire: p(95)<1s", "stop_wire: p(95)<1s"),
    ("resume: med<2s", "resume: med<2s"),
    ("overlap: max<1s", "overlap: max<1s"),
    ("overlap_ratio: rate<0.05", "overlap_ratio: rate<0.05"),
    ("awkward_silence: rate<0.01", "awkward_silence: rate<0.01"),
    (
        "interruption_ignored: rate<0.02",
        "interruption_ignored: rate<0.02",
    ),
    (
        "false_interruption: rate<0.1",
        "false_interruption: rate<0.1",
    ),
    ("reply_gap: max<500ms", "reply_gap: max<500ms"),
    ("stalled: rate<0.01", "stalled: rate<0.01"),
    ("underrun: rate<0.05", "underrun: rate<0.05"),
    ("burst: rate<0.05", "burst: rate<0.05"),
    ("truncated_head: rate<0.01", "truncated_head: rate<0.01"),
    ("clipped: rate<=0", "clipped: rate<=0"),
    ("level_jump: rate<0.01", "level_jump: rate<0.01"),
    ("rtt: p(95)<100ms", "rtt: p(95)<100ms"),
    ("jitter: med<20ms", "jitter: med<20ms"),
    ("loss_up: rate<0.01", "loss_up: rate<0.01"),
    ("loss_down: rate<0.01", "loss_down: rate<0.01"),
    ("failed: rate >= 1.", "failed: rate>=1"),
    ("ttfa{variant:fast}: med<1s", "ttfa{variant:fast}: med<1s"),
    (
        "ttfa { variant : a-b.c_1 } : med<1s",
        "ttfa{variant:a-b.c_1}: med<1s",
    ),
    (
        "missed{variant:x=1}: rate<0.5",
        "missed{variant:x=1}: rate<0.5",
    ),
];

#[test]
fn thresholds_print_in_canonical_form() {
    for (written, shown) in READ {
        let threshold = parse_threshold_line(written).expect(written);
        let printed = format!("{}: {threshold}", threshold.subject());
        assert_eq!(printed, *shown, "{written}");
        assert_eq!(parse_threshold_line(shown), Ok(threshold), "{shown}");
    }
    let named = |m: &&Metric| READ.iter().any(|(written, _)| written.contains(m.name()));
    assert_eq!(
        Metric::ALL.iter().filter(named).count(),
        Metric::ALL.len(),
        "each metric is in the table"
    );
    let threshold = parse_threshold(Metric::Ttfa, "p(95)<1500ms").expect("a valid threshold");
    assert_eq!(threshold.aggregate, Aggregate::Percentile(95.0));
    assert_eq!(threshold.op, Op::Less);
    assert_eq!(threshold.bound, Bound::Time(Duration::from_millis(1500)));
}

/// Invalid lines, one of each kind; the snapshot has the messages and where the carets point.
const REFUSED: &[&str] = &[
    "",
    "ttfa",
    "ttfa:",
    "ttfa p(95)<1s",
    "latency: p(95)<1s",
    ": p(95)<1s",
    "ttfa{: p(95)<1s",
    "ttfa{}: p(95)<1s",
    "ttfa{variant}: p(95)<1s",
    "ttfa{variant:}: p(95)<1s",
    "ttfa{variant:fast: p(95)<1s",
    "ttfa{variant:fast, tag:x}: p(95)<1s",
    "ttfa{variant:fast, variant:slow}: p(95)<1s",
    "ttfa: <1s",
    "ttfa: p(95)",
    "ttfa: p(95)1s",
    "ttfa: p(95)=1s",
    "ttfa: p(95)==1s",
    "ttfa: p(95)<=>1s",
    "ttfa: p(95)<",
    "ttfa: p(95)<1500",
    "ttfa: p(95)<1500 milliseconds",
    "ttfa: p(95)<-1s",
    "ttfa: p(95)<fast",
    "ttfa: p95<1s",
    "ttfa: p<1s",
    "ttfa: p()<1s",
    "ttfa: p(101)<1s",
    "ttfa: p(0)<1s",
    "ttfa: p(0.000000000000001)<1s",
    "ttfa: p(99.9999999999)<1s",
    "ttfa: p(95<1s",
    "ttfa: p(1e1)<1s",
    "ttfa: mean<1s",
    "ttfa: P(95)<1s",
    "ttfa: P95<1s",
    "ttfa: p(95%)<1s",
    "ttfa: p(９５)<1s",
    "ttfa: p(99,9)<1s",
    "ttfa: p(95)≤1s",
    "ttfa: p(95)=<1s",
    "ttfa: p(95)=>1s",
    "ttfa: p(95)<1,5s",
    "ttfa: p(95)<1s500",
    "ttfa: p(95)<1 sec",
    "ttfa: p(95)<0",
    "missed: rate<0,01",
    "missed: rate<.01",
    "missed: rate<1e-2",
    "missed: rate<5",
    "missed: rate<1 %",
    "missed: rate<0,5％",
    "missed: rate<500%",
    "missed: rate<nan",
    "ttfa: rate<0.1",
    "missed: p(95)<1s",
    "missed: rate<1%",
    "missed: rate<1.5",
    "missed: rate<-0.1",
    "missed: rate<inf",
    "missed: rate<",
    "\u{1b}[2Jttfa: p(95)<1s",
    "ttfa: p(95)<1s, p(99)<2s and so on, and so on, and so on, and so on, and so on, and so on !",
];

#[test]
fn errors_point_at_the_invalid_part() {
    let mut said = String::new();
    for text in REFUSED {
        let error = parse_threshold_line(text).expect_err(text);
        let [shown, caret] = error.excerpt();
        assert!(!error.hint().is_empty() && shown.chars().count() <= SHOWN + 1);
        assert!(caret.chars().count() <= shown.chars().count() + 1, "{text}");
        said += &format!("| {shown}\n| {caret} {error}\n  hint: {}\n\n", error.hint());
    }
    insta::assert_snapshot!(said);
}

#[test]
fn a_subject_must_name_an_existing_variant() {
    let variants = ["fast", "slow"];
    let subject = parse_subject("ttfa{variant:fast}", &variants).expect("the variant exists");
    assert_eq!(subject.variant.as_deref(), Some("fast"));
    for (text, message, hint, at) in [
        (
            "ttfa{variant:fsat}",
            "there is no variant `fsat`",
            "did you mean `fast`?",
            13,
        ),
        (
            "ttfa{variant:x}",
            "there is no variant `x`",
            "variants: `fast`, `slow`",
            13,
        ),
        (
            "ttfa{variant:fast} x",
            "nothing may follow the metric",
            "write it like `ttfa` or `ttfa{variant:fast}`",
            19,
        ),
    ] {
        let error = parse_subject(text, &variants).expect_err(text);
        let found = (error.to_string(), error.hint().to_owned(), error.at);
        assert_eq!(found, (message.to_owned(), hint.to_owned(), at), "{text}");
    }
}

#[test]
fn overlong_expressions_are_refused() {
    let error = parse_threshold_line(&"ttfä ".repeat(1_000)).expect_err("too long");
    assert_eq!(error.to_string(), "an expression has at most 512 bytes");
    assert!(
        error
            .excerpt()
            .iter()
            .all(|line| line.chars().count() <= SHOWN + 1)
    );
}

fn thresholds() -> impl Strategy<Value = Threshold> {
    let metric = prop::sample::select(Metric::ALL);
    let variant = prop::option::of("[A-Za-z0-9][A-Za-z0-9._-]{0,20}");
    let op = prop::sample::select(vec![
        Op::Less,
        Op::LessOrEqual,
        Op::Greater,
        Op::GreaterOrEqual,
    ]);
    let aggregate = prop_oneof![
        (1u32..=99_999).prop_map(|p| Aggregate::Percentile(f64::from(p) / 1e3)),
        Just(Aggregate::Avg),
        Just(Aggregate::Min),
        Just(Aggregate::Max),
        Just(Aggregate::Med),
    ];
    let (nanos, share) = (0..=duration::MAX.as_nanos() as u64, 0u32..=1_000_000);
    (metric, variant, aggregate, op, nanos, share).prop_map(
        |(metric, variant, aggregate, op, nanos, share)| Threshold {
            metric,
            variant,
            aggregate: if metric.is_share() {
                Aggregate::Rate
            } else {
                aggregate
            },
            op,
            bound: match metric.is_share() {
                true => Bound::Share(f64::from(share) / 1e6),
                false => Bound::Time(Duration::from_nanos(nanos)),
            },
            on: On::All,
            abort_after: None,
        },
    )
}

proptest! {
    #[test]
    fn arbitrary_expressions_never_panic(text in ".{0,200}", noise in "[a-z_(){}:,<=>0-9.%\u{1b}é msp]{0,60}") {
        for text in [&text, &noise, &format!("ttfa: p({noise}"), &format!("ttfa{{{noise}")] {
            for result in [
                parse_threshold_line(text).map(|_| ()),
                parse_subject(text, &["fast"]).map(|_| ()),
                parse_threshold(Metric::Ttfa, text).map(|_| ()),
            ] {
                if let Err(error) = result {
                    let [shown, caret] = error.excerpt();
                    prop_assert!(caret.chars().count() <= shown.chars().count() + 1);
                    prop_assert!(!shown.contains(|c: char| c.is_control()));
                }
            }
        }
    }

    #[test]
    fn printed_thresholds_round_trip(threshold in thresholds()) {
        let printed = format!("{}: {threshold}", threshold.subject());
        prop_assert_eq!(parse_threshold_line(&printed), Ok(threshold), "{}", printed);
    }
}
