//! `loadgen capacity` against an agent whose limit is known.

use crate::support::{Loadgen, in_repo};
use serde_json::Value;
use std::time::Duration;

/// A scenario for an agent that handles eight calls at once; beyond that its 300 ms delay doubles.
fn knee() -> String {
    let turn = "    - {say: yes, start: {after: previous_turn, delay: 50ms}, timeout: 4s}\n";
    format!(
        "version: 1\nname: knee\n\
         target: {{kind: embedded, agent: {{delay: 300ms, reply_length: 200ms, capacity: 8}}}}\n\
         utterances: {{yes: {{file: {}}}}}\n\
         call:\n  greeting: none\n  turns:\n\
         \x20   - {{say: yes, start: {{after: call_start, delay: 600ms}}, timeout: 4s}}\n{}",
        in_repo("fixtures/yes.wav").display(),
        turn.repeat(2),
    )
}

/// Maximum number of attempts: on a busy machine the generator can be the limit, in which case
/// the result does not apply to the agent.
const ATTEMPTS: usize = 3;

#[test]
fn capacity_finds_the_agents_limit() {
    let _machine = crate::shared();
    for attempt in 1..=ATTEMPTS {
        match find() {
            Ok(()) => return,
            Err(limit) => eprintln!("attempt {attempt}: the generator was the limit: {limit}"),
        }
    }
    panic!("the generator was the limit {ATTEMPTS} times: this machine is too busy");
}

/// Runs `loadgen capacity` and checks its answer. `Err`: the generator was the limit, and why.
fn find() -> Result<(), String> {
    let args = [
        "--slo",
        "p(95)<560ms",
        "--max",
        "9",
        "--start",
        "8",
        "--turns",
        "80",
        "--json",
    ];
    let run = Loadgen::new(["capacity", "knee.yaml"].into_iter().chain(args));
    std::fs::write(run.dir().join("knee.yaml"), knee()).expect("writable");
    let run = run.deadline(Duration::from_secs(400)).run();
    let answer: Value = serde_json::from_str(&run.finished.stdout).expect("JSON");
    let steps = answer["steps"].as_array().expect("steps");
    assert!(!steps.is_empty());
    if let Some(limit) = answer["generator_limit"].as_str() {
        assert_eq!(run.finished.code, Some(110));
        return Err(limit.to_owned());
    }
    assert_eq!(run.finished.code, Some(0), "{answer}");
    let found = answer["capacity"].as_u64().expect("an answer");
    assert_eq!(found, 8, "{answer:#}");
    let last = steps.last().expect("a step");
    assert_eq!(
        (&last["recheck"], &last["calls"]),
        (&Value::Bool(true), &found.into())
    );
    for step in steps {
        let keeps = step["calls"].as_u64() <= Some(8);
        assert_eq!(step["keeps"], keeps, "{step}");
        assert!(step["turns"].as_u64() >= Some(80), "{step}");
    }
    Ok(())
}
