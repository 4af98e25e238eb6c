//! Thresholds: what can be said of which metric, and what is answered to the rest.

use super::*;
use proptest::prelude::*;

#[test]
fn reads_and_writes() {
    let cases = [
        (Metric::Ttfa, "p(95)<1500ms", "p(95)<1.5s"),
        (Metric::Ttfa, " p(99.9) <= 2s ", "p(99.9)<=2s"),
        (Metric::TtfaWire, "avg<400ms", "avg<400ms"),
        (Metric::Join, "max<10s", "max<10s"),
        (Metric::AgentJoin, "med>=1ms", "med>=1ms"),
        (Metric::Greeting, "min>0s", "min>0s"),
        (Metric::Missed, "rate<0.01", "rate<0.01"),
        (Metric::Early, "rate<=0", "rate<=0"),
        (Metric::Failed, "rate<1", "rate<1"),
    ];
    for (metric, written, shown) in cases {
        let threshold = parse(metric, written).expect(written);
        assert_eq!(threshold.to_string(), shown);
        assert_eq!(parse(metric, shown), Ok(threshold), "{shown}");
    }
    let threshold = parse(Metric::Ttfa, "p(95)<1500ms").expect("reads");
    assert_eq!(threshold.aggregate, Aggregate::Percentile(95.0));
    assert_eq!(threshold.op, Op::Less);
    assert_eq!(threshold.bound, Bound::Time(Duration::from_millis(1500)));
}

/// Metric, expression, message, hint.
const REFUSED: &[(Metric, &str, &str, &str)] = &[
    (
        Metric::Ttfa,
        "",
        "`` compares nothing",
        "write it like `p(95)<1500ms`",
    ),
    (
        Metric::Ttfa,
        "p(95)",
        "`p(95)` compares nothing",
        "write it like `p(95)<1500ms`",
    ),
    (
        Metric::Ttfa,
        "p(95)==1s",
        "`p(95)==1s` asks for equality",
        "compare with `<`, `<=`, `>` or `>=`",
    ),
    (
        Metric::Ttfa,
        "p(95)<1500",
        "bound of `p(95)<1500`: `1500` has no unit",
        "write `1500s` or `1500ms`",
    ),
    (
        Metric::Ttfa,
        "p95<1s",
        "`p95` is nothing that can be taken of `ttfa`",
        "there is `p(95)`, `avg`, `min`, `max`, `med`; shares have `rate`",
    ),
    (
        Metric::Ttfa,
        "p(101)<1s",
        "there is no percentile 101",
        "percentiles are above 0 and at most 100, as in `p(95)`",
    ),
    (
        Metric::Ttfa,
        "rate<0.1",
        "`ttfa` is a latency and has no `rate`",
        "write it like `p(95)<1500ms`",
    ),
    (
        Metric::Missed,
        "p(95)<1s",
        "`missed` is a share of turns and has no `p(95)`",
        "write it like `rate<0.01`",
    ),
    (
        Metric::Missed,
        "rate<1%",
        "`1%`: shares are numbers from 0 to 1",
        "write `0.01`",
    ),
    (
        Metric::Missed,
        "rate<1.5",
        "`1.5` is no share of turns",
        "shares are numbers from 0 to 1, as in `rate<0.01`",
    ),
    (
        Metric::Missed,
        "rate<-0.1",
        "`-0.1` is no share of turns",
        "shares are numbers from 0 to 1, as in `rate<0.01`",
    ),
];

#[test]
fn refuses_with_a_hint() {
    for (metric, text, message, hint) in REFUSED.iter().copied() {
        let error = parse(metric, text).expect_err(text);
        assert_eq!(
            (error.to_string().as_str(), error.hint()),
            (message, hint),
            "{text}"
        );
    }
}

proptest! {
    #[test]
    fn never_panics(text in ".{0,200}") {
        for metric in Metric::ALL {
            let _ = parse(metric, &text);
        }
    }

    #[test]
    fn what_is_read_is_written_back(p in 1u32..=1000, ms in 0u64..10_000_000) {
        let text = format!("p({})<{}ms", f64::from(p) / 10.0, ms);
        let threshold = parse(Metric::Ttfa, &text).expect("valid by construction");
        prop_assert_eq!(parse(Metric::Ttfa, &threshold.to_string()), Ok(threshold));
    }
}
