//! Whole runs in virtual time with faults drawn from a seed: whatever happens, the records are
//! complete and agree with each other.
//!
//! `LOADGEN_SEEDS=10000 cargo test --test it simulation` runs more seeds; `LOADGEN_SEED=17` runs
//! that one and prints what it does.

use crate::in_process::{scenario, stopped_after};
use crate::support::in_repo;
use loadgen::plan::Plan;
use loadgen::record::{
    CallOutcome, Ending, Expect, Flag, MEASUREMENT_VERSION, Ms, Outcome, RunFacts, RunRecord,
    Summary, TurnRecord,
};
use loadgen::report::Format;
use loadgen::run::Finished;
use loadgen::scenario::Scenario;
use loadgen::targets::in_process::{InProcess, Mishap};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng as _, SeedableRng as _};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// Seeds of a run without `LOADGEN_SEEDS`.
const SEEDS: u64 = 150;
/// A stop takes this long at most: calls hang up, and what was said is written.
const STOP: Duration = Duration::from_secs(5);
/// How far a `ttfa_wire` without doubts may be off, in ms: the ear's windows, and the agent's.
const EXACT: f64 = 25.0;

/// Draws from a seed.
struct Dice(ChaCha8Rng);

impl Dice {
    /// A number from `from` to `to`, both included.
    fn number(&mut self, from: u64, to: u64) -> u64 {
        from + self.0.next_u64() % (to - from + 1)
    }

    fn percent(&mut self, share: u64) -> bool {
        self.number(1, 100) <= share
    }

    fn one<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.number(0, of.len() as u64 - 1) as usize]
    }

    fn ms(&mut self, from: u64, to: u64) -> Duration {
        Duration::from_millis(self.number(from, to))
    }
}

/// What a seed stands for.
#[derive(Debug)]
struct Case {
    text: String,
    agent: InProcess,
    /// The agent's delay, if it is the same for all turns.
    delay: Option<Duration>,
    stop: Option<Duration>,
}

impl Case {
    fn of(seed: u64) -> Self {
        let mut dice = Dice(ChaCha8Rng::seed_from_u64(seed));
        let delay = dice.percent(60).then(|| dice.ms(200, 4_000));
        let wide = ["uniform(100ms,3s)", "lognormal(600ms,0.8)"];
        let drawn = match delay {
            Some(delay) => format!("{}ms", delay.as_millis()),
            None => dice.one(&wide).to_owned(),
        };
        let mishap = |dice: &mut Dice| {
            let what = dice.one(&[Mishap::AgentLeaves, Mishap::TargetGone]);
            (dice.ms(0, 20_000), what)
        };
        let agent = InProcess {
            delay: drawn.parse().expect("a delay"),
            seed,
            reply: dice.ms(200, 4_000),
            greeting: dice.percent(40).then(|| dice.ms(200, 3_000)),
            path: dice.ms(0, 200),
            mishaps: match dice.percent(40) {
                true => vec![mishap(&mut dice)],
                false => Vec::new(),
            },
        };
        let text = Self::text(&mut dice, seed);
        let stop = dice.percent(25).then(|| dice.ms(0, 30_000));
        Self {
            text,
            agent,
            delay,
            stop,
        }
    }

    fn text(dice: &mut Dice, seed: u64) -> String {
        let fixture = |name: &str| {
            in_repo(&format!("fixtures/{name}.wav"))
                .display()
                .to_string()
        };
        let mut turns = String::new();
        for turn in 0..dice.number(1, 3) {
            let anchors: &[&str] = match turn {
                0 => &["call_start", "greeting", "agent_speech_start"],
                _ => &[
                    "agent_speech_end",
                    "agent_speech_start",
                    "agent_turn_end",
                    "previous_turn",
                ],
            };
            let anchor = dice.one(anchors);
            let expects: &[&str] = match anchor {
                "agent_speech_start" => &["respond", "stop_and_respond", "stop", "ignore"],
                _ => &["respond", "respond", "respond", "ignore"],
            };
            let _ = writeln!(
                turns,
                "    - {{say: {}, start: {{after: {}, delay: {}ms}}, expect: {}, timeout: {}ms}}",
                dice.one(&["yes", "thanks", "[yes, thanks]"]),
                anchor,
                dice.number(0, 900),
                dice.one(expects),
                dice.number(500, 6_000),
            );
        }
        let loss = match dice.percent(30) {
            true => format!("network: {{loss: {}%}}\n", dice.number(1, 20)),
            false => String::new(),
        };
        let calls = dice.number(1, 5);
        format!(
            "version: 1\nname: simulated\nseed: {seed}\ntarget: {{kind: embedded}}\n\
             utterances:\n  yes: {{file: {}}}\n  thanks: {{file: {}}}\n\
             call:\n  greeting: {}\n  on_agent_left: {}\n  agent_timeout: 5s\n  turns:\n{turns}{loss}\
             load: {{calls: {}, concurrency: {}}}\n",
            fixture("yes"),
            fixture("thanks"),
            dice.one(&["expect", "ignore"]),
            dice.one(&["follow", "fail"]),
            calls,
            dice.number(1, calls.min(3)),
        )
    }
}

/// Every way in which the records of a run are not what they must be.
fn findings(case: &Case, scenario: &Scenario, run: &Finished) -> Vec<String> {
    let mut found = Vec::new();
    let mut check = |holds: bool, what: &dyn Fn() -> String| {
        if !holds {
            found.push(what());
        }
    };
    let planned = Plan::new(scenario).measured().unwrap_or_default() as usize;
    let turns_per_call = scenario.call.turns.len();
    let calls: BTreeSet<usize> = run.calls.iter().map(|call| call.call).collect();
    check(
        calls.len() == run.calls.len() && calls.len() == planned,
        &|| {
            format!(
                "{planned} calls were planned, {} are recorded",
                run.calls.len()
            )
        },
    );
    let mut by_call: BTreeMap<usize, Vec<&TurnRecord>> = BTreeMap::new();
    for turn in &run.turns {
        by_call.entry(turn.call).or_default().push(turn);
    }
    for call in &run.calls {
        let turns = by_call.remove(&call.call).unwrap_or_default();
        let numbers: BTreeSet<usize> = turns.iter().map(|turn| turn.turn).collect();
        let started = call.started_ms.is_some();
        let expected = if started { turns_per_call } else { 0 };
        check(
            turns.len() == expected && numbers.len() == expected,
            &|| format!("call {} has turns {numbers:?} of {expected}", call.call),
        );
        check(call.turns.planned == turns_per_call, &|| {
            format!("{:?}", call.turns)
        });
        let cut = turns
            .iter()
            .any(|t| matches!(t.outcome, Outcome::CutOff | Outcome::NotRun));
        check(!cut || run.stopped, &|| {
            format!("call {} was cut off, and nobody did", call.call)
        });
        check(
            call.outcome != Some(CallOutcome::CutOff) || run.stopped,
            &|| format!("call {} was stopped, and nobody did", call.call),
        );
        let failed = turns.iter().any(|t| t.outcome == Outcome::Failed);
        check(!failed || call.failure.is_some(), &|| {
            format!("call {} failed for nothing", call.call)
        });
        let cause = call.failure.as_ref().map(|failure| failure.cause.as_str());
        check(cause != Some("generator"), &|| {
            format!("call {}: {:?}", call.call, call.failure)
        });
    }
    check(by_call.is_empty(), &|| {
        format!("turns of no call: {:?}", by_call.keys())
    });
    for turn in &run.turns {
        found.extend(of_turn(case, turn));
    }
    if !run.invalid.is_empty() {
        found.push(format!("the generator was at fault: {:?}", run.invalid));
    }
    if let (Some(stop), true) = (case.stop, run.stopped)
        && run.duration > stop + STOP
    {
        found.push(format!(
            "it was stopped after {stop:?} and ended after {:?}",
            run.duration
        ));
    }
    found.extend(of_reports(scenario, run));
    found
}

/// What is wrong with a turn by itself.
fn of_turn(case: &Case, turn: &TurnRecord) -> Vec<String> {
    let mut wrong = Vec::new();
    let ms = |value: Option<Ms>| value.map(Ms::as_f64);
    let (ttfa, wire, playout) = (ms(turn.ttfa_ms), ms(turn.ttfa_wire_ms), ms(turn.playout_ms));
    if ttfa != wire.zip(playout).map(|(wire, playout)| wire + playout)
        && ttfa.is_none_or(|t| {
            wire.zip(playout)
                .is_none_or(|(w, p)| (t - w - p).abs() > 0.01)
        })
    {
        wrong.push("ttfa is not its parts");
    }
    let latency = ttfa.is_some();
    let has_no_latency = match turn.outcome {
        Outcome::Early | Outcome::NotRun => latency,
        Outcome::Replied => {
            let asks = matches!(turn.expect, Expect::Respond | Expect::StopAndRespond);
            asks != latency
        }
        _ => false,
    };
    if has_no_latency {
        wrong.push("an outcome and its latency do not go together");
    }
    if [ttfa, wire, playout, ms(turn.stop_ms)]
        .into_iter()
        .flatten()
        .any(|ms| ms < 0.0)
    {
        wrong.push("a latency is negative");
    }
    // A reply to what was said before, or one that losses moved, is flagged or has an interval. A
    // greeting that is not waited for can be taken for the reply.
    let plain = case.agent.greeting.is_none()
        && turn.flags.iter().all(|flag| *flag == Flag::ReplyUnfinished)
        && turn.loss_earlier_ms.is_none();
    if let (Some(delay), Some(wire), true, Expect::Respond, Outcome::Replied, 0) = (
        case.delay,
        wire,
        plain,
        turn.expect,
        turn.outcome,
        turn.turn,
    ) {
        let path = 2.0 * case.agent.path.as_secs_f64() * 1e3;
        let expected = delay.as_secs_f64() * 1e3 + path;
        if (wire - expected).abs() > EXACT {
            wrong.push("a latency without doubts is wrong");
        }
    }
    let wrong = wrong.into_iter();
    wrong.map(|what| format!("{what}: {turn:?}")).collect()
}

/// Whether every report can be made, and says the same of the outcomes.
fn of_reports(scenario: &Scenario, run: &Finished) -> Vec<String> {
    let planned = Plan::new(scenario).measured().unwrap_or_default() as usize;
    let facts = RunFacts {
        name: "simulated",
        seed: scenario.seed,
        target: "in process",
        started_at: "1970-01-01T00:00:00Z",
        zero_at: None,
        measurement_version: MEASUREMENT_VERSION,
        duration: run.duration,
        loadgen_version: "0",
        planned_calls: planned,
        planned_turns: planned * scenario.call.turns.len(),
        ending: match run.stopped {
            true => Ending::Stopped,
            false => Ending::Finished,
        },
        invalid: run.invalid.clone(),
        generator: run.generator.clone(),
        steady: run.steady.clone(),
        network: None,
        sentinels: None,
    };
    let summary = Summary::build(&facts, &run.calls, &run.turns, &[]);
    let counts = &summary.outcomes;
    let sum = [
        counts.replied,
        counts.missed,
        counts.early,
        counts.failed,
        counts.cut_off,
        counts.not_run,
    ];
    let sum: usize = sum.into_iter().sum();
    let mut found = Vec::new();
    if sum != facts.planned_turns {
        found.push(format!(
            "{} turns were planned: {counts:?}",
            facts.planned_turns
        ));
    }
    let record = RunRecord::new(summary, run.turns.clone(), run.calls.clone(), None);
    let files = Format::ALL
        .into_iter()
        .flat_map(|format| format.files(&record));
    let empty = files.filter(|file| file.bytes.is_empty());
    found.extend(empty.map(|file| format!("{} is empty", file.name)));
    found
}

/// Runs a seed; returns what is wrong with its records.
fn simulated(seed: u64) -> (Case, Scenario, Finished) {
    let case = Case::of(seed);
    let scenario = scenario(&case.text);
    let run = stopped_after(&scenario, case.agent.clone(), case.stop);
    (case, scenario, run)
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

#[test]
fn records_are_complete_and_consistent_whatever_happens() {
    if let Some(seed) = number("LOADGEN_SEED") {
        let (case, scenario, run) = simulated(seed);
        println!(
            "{}\n{case:#?}\n{:#?}\n{:#?}",
            case.text, run.calls, run.turns
        );
        assert_eq!(findings(&case, &scenario, &run), [""; 0]);
        return;
    }
    let seeds = number("LOADGEN_SEEDS").unwrap_or(SEEDS);
    let next = AtomicU64::new(0);
    let work = || {
        let mut wrong = Vec::new();
        let mut outcomes: BTreeMap<String, usize> = BTreeMap::new();
        loop {
            let seed = next.fetch_add(1, Relaxed);
            if seed >= seeds {
                return (wrong, outcomes);
            }
            let (case, scenario, run) = simulated(seed);
            for turn in &run.turns {
                *outcomes.entry(format!("{:?}", turn.outcome)).or_default() += 1;
            }
            let causes = run
                .calls
                .iter()
                .filter_map(|call| Some(&call.failure.as_ref()?.cause));
            for cause in causes {
                *outcomes.entry(cause.clone()).or_default() += 1;
            }
            let found = findings(&case, &scenario, &run);
            wrong.extend(
                found
                    .iter()
                    .map(|what| format!("LOADGEN_SEED={seed}: {what}")),
            );
        }
    };
    let done = std::thread::scope(|scope| {
        let workers = [0; 2].map(|_| scope.spawn(work));
        workers.map(|worker| worker.join().expect("no seed panics"))
    });
    let mut outcomes: BTreeMap<String, usize> = BTreeMap::new();
    let mut wrong = Vec::new();
    for (found, counted) in done {
        wrong.extend(found);
        for (what, count) in counted {
            *outcomes.entry(what).or_default() += count;
        }
    }
    println!("{seeds} seeds: {outcomes:?}");
    assert!(
        wrong.is_empty(),
        "{} findings:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
    for needed in [
        "Replied",
        "Missed",
        "Early",
        "Failed",
        "agent_left",
        "dropped",
    ] {
        assert!(outcomes.contains_key(needed), "no {needed}: {outcomes:?}");
    }
}

#[test]
fn each_rule_finds_a_defect() {
    type Defect = (&'static str, fn(&mut Finished));
    let defects: [Defect; 8] = [
        ("a turn is missing", |run| drop(run.turns.pop())),
        ("a turn is there twice", |run| {
            run.turns.push(run.turns[0].clone())
        }),
        ("a call is missing", |run| drop(run.calls.pop())),
        ("a turn was cut off by nobody", |run| {
            run.stopped = false;
            run.turns[0].outcome = Outcome::CutOff;
        }),
        ("a reply has no latency", |run| {
            let replied =
                |t: &&mut TurnRecord| t.ttfa_ms.is_some() && t.outcome == Outcome::Replied;
            if let Some(turn) = run.turns.iter_mut().find(replied) {
                (turn.ttfa_ms, turn.ttfa_wire_ms, turn.playout_ms) = (None, None, None);
            }
        }),
        ("a latency is not its parts", |run| {
            let turn = run.turns.iter_mut().find(|t| t.ttfa_ms.is_some());
            if let Some(turn) = turn {
                turn.ttfa_ms = Some(Ms::from(Duration::from_secs(77)));
            }
        }),
        ("a latency is a second too long", |run| {
            for turn in &mut run.turns {
                let later = |ms: Option<Ms>| ms.map(|ms| ms + Ms::from(Duration::from_secs(1)));
                (turn.ttfa_ms, turn.ttfa_wire_ms) = (later(turn.ttfa_ms), later(turn.ttfa_wire_ms));
            }
        }),
        ("the generator failed", |run| {
            run.invalid.push("a defect".into())
        }),
    ];
    for (what, plant) in defects {
        let found = (0..40).any(|seed| {
            let (case, scenario, mut run) = simulated(seed);
            let before = findings(&case, &scenario, &run).len();
            plant(&mut run);
            findings(&case, &scenario, &run).len() > before
        });
        assert!(found, "not found: {what}");
    }
}
