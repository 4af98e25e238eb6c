//! Runs in virtual time: the same plan gives the same records, however busy the machine is.

use crate::in_process::{carried_out, scenario};
use crate::support::in_repo;
use loadgen::record::{Outcome, Samples};
use loadgen::report::csv;
use loadgen::run::Finished;
use loadgen::targets::in_process::InProcess;
use loadgen::vocab::Metric;
use std::time::Duration;

/// Twenty calls of three turns, including interruptions, with packet loss.
fn text() -> String {
    let fixture = |name: &str| {
        in_repo(&format!("fixtures/{name}.wav"))
            .display()
            .to_string()
    };
    format!(
        "version: 1\nname: virtual\nseed: 3\ntarget: {{kind: embedded}}\n\
         utterances:\n  yes: {{file: {}}}\n  thanks: {{file: {}}}\n\
         call:\n  greeting: expect\n  turns:\n    \
         - {{say: yes, start: {{after: greeting, delay: 200ms}}}}\n    \
         - {{say: [yes, thanks], start: {{after: agent_speech_start, delay: {{min: 300ms, max: 900ms}}}}, expect: stop_and_respond}}\n    \
         - {{say: thanks, start: {{after: agent_speech_end, delay: {{min: 100ms, max: 700ms}}}}}}\n\
         network: {{loss: 1%}}\n\
         load: {{calls: 20, concurrency: 5}}\n",
        fixture("yes"),
        fixture("thanks"),
    )
}

fn run() -> Finished {
    let agent = InProcess {
        delay: "lognormal(500ms,0.4)".parse().expect("a delay"),
        reply: Duration::from_secs(2),
        greeting: Some(Duration::from_millis(600)),
        path: Duration::from_millis(25),
        ..InProcess::default()
    };
    carried_out(&scenario(&text()), agent)
}

/// The CSV files of a run's turns and calls, in a fixed order.
fn files(finished: &Finished) -> (String, String) {
    let (mut turns, mut calls) = (finished.turns.clone(), finished.calls.clone());
    turns.sort_by_key(|turn| (turn.call, turn.turn));
    calls.sort_by_key(|call| call.call);
    (csv::turns(&turns), csv::calls(&calls))
}

#[test]
fn two_runs_of_one_plan_have_the_same_records() {
    let (first, second) = (run(), run());
    assert_eq!(first.turns.len(), 60);
    let replied = first.turns.iter().filter(|t| t.outcome == Outcome::Replied);
    assert!(replied.count() >= 50, "{}", files(&first).0);
    assert_eq!(files(&first), files(&second));
    assert_eq!(first.duration, second.duration);
    assert!(first.duration > Duration::from_secs(20));
    let [a, b] = [&first, &second].map(|run| Samples::of(60, &run.calls, &run.turns));
    for &metric in Metric::ALL {
        assert_eq!(a.all(metric), b.all(metric), "{metric:?}");
    }
    assert!(first.invalid.is_empty(), "{:?}", first.invalid);
    let late = first.turns.iter().filter_map(|turn| turn.send_lateness_ms);
    assert!(
        late.into_iter().all(|late| late.as_f64() == 0.0),
        "nothing is late in virtual time"
    );
}
