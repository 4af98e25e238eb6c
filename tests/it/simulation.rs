//! Whole runs in virtual time with faults drawn from a seed: whatever happens, the records are
//! complete and agree with each other.
//!
//! `LOADGEN_SEEDS=10000 cargo test --test it simulation` runs more seeds; `LOADGEN_SEED=17` runs
//! seed 17 only, and prints its case, calls and turns.

mod disk;
mod outside;

use crate::in_process::{observed, on_a_file, scenario};
use crate::support::in_repo;
use disk::{Fault, FaultyDisk};
use loadgen::plan::Plan;
use loadgen::record::{
    CallOutcome, Ending, Expect, Flag, MEASUREMENT_VERSION, Ms, Outcome, RunFacts, RunRecord,
    Summary, TurnRecord,
};
use loadgen::report::Format;
use loadgen::run::Finished;
use loadgen::scenario::Scenario;
use loadgen::targets::in_process::{Befallen, InProcess, Mishap};
use outside::Seen;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng as _, SeedableRng as _};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// Number of seeds without `LOADGEN_SEEDS`.
const SEEDS: u64 = 150;
/// Maximum time for a stop, in which calls hang up and the records so far are written.
const STOP: Duration = Duration::from_secs(5);
/// Maximum error of an unambiguous `ttfa_wire`, in ms: the windows of the ear and of the agent.
const EXACT: f64 = 25.0;

/// Random draws from a seed.
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

/// The run that a seed determines.
#[derive(Debug)]
struct Case {
    text: String,
    agent: InProcess,
    /// The agent's delay, if it is the same for all turns.
    delay: Option<Duration>,
    stop: Option<Duration>,
    disk: Option<FaultyDisk>,
    /// The bound of a gate on the maximum `ttfa`.
    gate_ms: Option<f64>,
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
        let agent = InProcess {
            delay: drawn.parse().expect("a delay"),
            seed,
            reply: dice.ms(200, 4_000),
            greeting: dice.percent(40).then(|| dice.ms(200, 3_000)),
            path: dice.ms(0, 200),
            mishaps: mishaps(&mut dice),
            spared: dice.number(0, 2),
            befallen: Befallen::default(),
        };
        let text = Self::text(&mut dice, seed);
        let stop = dice.percent(25).then(|| dice.ms(0, 30_000));
        let disk = dice.percent(25).then(|| {
            let faults = [Fault::Full, Fault::Short, Fault::Ragged, Fault::Sync];
            let (fault, from) = (dice.one(&faults), dice.number(0, 12));
            // The fault lasts for a few writes or syncs, or until the end.
            let until = match dice.percent(50) {
                true => from + dice.number(1, 4),
                false => u64::MAX,
            };
            FaultyDisk::new(fault, from, until)
        });
        let gate_ms = dice.percent(30).then(|| dice.one(&[1.0, 3.6e6]));
        Self {
            text,
            agent,
            delay,
            stop,
            disk,
            gate_ms,
        }
    }

    /// Whether an unambiguous latency must be the agent's delay plus the path there and back: no
    /// fault delays audio or drops parts of it.
    fn is_exact(&self) -> bool {
        let disturbs = |mishap: &Mishap| {
            matches!(
                mishap,
                Mishap::Stalls(_) | Mishap::Drops(_) | Mishap::Delays(_)
            )
        };
        !self
            .agent
            .mishaps
            .iter()
            .any(|(_, mishap)| disturbs(mishap))
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
                _ => &[
                    "respond", "respond", "respond", "respond", "ignore", "silence", "hang_up",
                ],
            };
            let branches = match dice.percent(15) {
                true => ", next: [{if: missed, go: end}, {if: early, go: hang_up}]",
                false => "",
            };
            let _ = writeln!(
                turns,
                "    - {{say: {}, start: {{after: {}, delay: {}ms}}, expect: {}, timeout: {}ms{branches}}}",
                dice.one(&["yes", "thanks", "[yes, thanks]", "{yes: 3, thanks: 1}"]),
                anchor,
                dice.number(0, 900),
                dice.one(expects),
                dice.number(500, 6_000),
            );
        }
        if dice.percent(20) {
            turns +=
                "    - {repeat: {min: 1, max: 3}, turns: [{say: [yes, thanks], pick: in_order}]}\n";
        }
        if turns.contains("go: end") || dice.percent(10) {
            let leave = match dice.percent(50) {
                true => format!(
                    ", hang_up: {{after: agent_speech_start, delay: {}ms}}",
                    dice.number(0, 900)
                ),
                false => String::new(),
            };
            let _ = writeln!(turns, "    - {{name: end, say: thanks{leave}}}");
        }
        let hang_up = match dice.percent(15) {
            true => format!("  hang_up: {{after: {}ms}}\n", dice.number(100, 20_000)),
            false => String::new(),
        };
        let loss = match dice.percent(30) {
            true => format!("network: {{loss: {}%}}\n", dice.number(1, 20)),
            false => String::new(),
        };
        let calls = dice.number(1, 5);
        format!(
            "version: 1\nname: simulated\nseed: {seed}\ntarget: {{kind: embedded}}\n\
             utterances:\n  yes: {{file: {}}}\n  thanks: {{file: {}}}\n\
             call:\n  greeting: {}\n  on_agent_left: {}\n  agent_timeout: 5s\n{hang_up}  turns:\n{turns}{loss}\
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

/// The faults to inject into the calls of a run.
fn mishaps(dice: &mut Dice) -> Vec<(Duration, Mishap)> {
    let count = match dice.percent(60) {
        true => dice.number(1, 3),
        false => 0,
    };
    let mishap = |dice: &mut Dice| match dice.number(1, 7) {
        1 => Mishap::AgentLeaves,
        2 => Mishap::TargetGone,
        3 => Mishap::Refuses,
        4 => Mishap::Stalls(dice.ms(100, 8_000)),
        5 => Mishap::Drops(dice.ms(20, 3_000)),
        6 => Mishap::Repeats,
        _ => Mishap::Delays(dice.ms(20, 1_500)),
    };
    (0..count)
        .map(|_| {
            let mishap = mishap(dice);
            // A fault at the very start hits a call that has not joined yet.
            let at_once = dice.percent(30);
            let after = dice.ms(0, 20_000);
            (if at_once { Duration::ZERO } else { after }, mishap)
        })
        .collect()
}

/// Every inconsistency in the records of a run.
fn findings(case: &Case, scenario: &Scenario, seen: &Seen) -> Vec<String> {
    let run = &seen.run;
    let mut found = outside::findings(case, scenario, seen);
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
        let any = |outcome: Outcome| turns.iter().any(|t| t.outcome == outcome);
        let cut = any(Outcome::CutOff) && !case.text.contains("hang_up") || any(Outcome::NotRun);
        let courses = ["hang_up", "next:", "repeat:"];
        let has_course = courses.iter().any(|key| case.text.contains(key));
        check(has_course || !any(Outcome::Skipped), &|| {
            format!("call {} left turns out", call.call)
        });
        check(!cut || run.stopped, &|| {
            format!("call {} was cut off without a stop", call.call)
        });
        check(
            call.outcome != Some(CallOutcome::CutOff) || run.stopped,
            &|| format!("call {} ended as cut off without a stop", call.call),
        );
        let failed = turns.iter().any(|t| t.outcome == Outcome::Failed);
        check(!failed || call.failure.is_some(), &|| {
            format!("call {} failed without a cause", call.call)
        });
        let cause = call.failure.as_ref().map(|failure| failure.cause.as_str());
        check(cause != Some("generator"), &|| {
            format!("call {}: {:?}", call.call, call.failure)
        });
    }
    check(by_call.is_empty(), &|| {
        format!("turns of unknown calls: {:?}", by_call.keys())
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
            "the run was stopped after {stop:?} and ended after {:?}",
            run.duration
        ));
    }
    found.extend(of_reports(scenario, run));
    found
}

/// Every inconsistency within a turn.
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
        wrong.push("ttfa is not the sum of its parts");
    }
    let latency = ttfa.is_some();
    let has_no_latency = match turn.outcome {
        Outcome::Early | Outcome::NotRun | Outcome::Skipped => latency,
        Outcome::Replied => {
            let asks = matches!(turn.expect, Expect::Respond | Expect::StopAndRespond);
            asks != latency
        }
        _ => false,
    };
    if has_no_latency {
        wrong.push("the outcome and the latency contradict each other");
    }
    if [ttfa, wire, playout, ms(turn.stop_ms)]
        .into_iter()
        .flatten()
        .any(|ms| ms < 0.0)
    {
        wrong.push("a latency is negative");
    }
    // A reply to an earlier utterance, or an onset shifted by packet loss, has a flag or an
    // interval. If the caller does not wait for the greeting, the greeting can count as the reply.
    let plain = case.agent.greeting.is_none()
        && case.is_exact()
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
            wrong.push("an unambiguous latency is wrong");
        }
    }
    let wrong = wrong.into_iter();
    wrong.map(|what| format!("{what}: {turn:?}")).collect()
}

fn facts<'a>(scenario: &Scenario, run: &Finished) -> RunFacts<'a> {
    let planned = Plan::new(scenario).measured().unwrap_or_default() as usize;
    RunFacts {
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
    }
}

/// Every defect of the reports: outcomes that do not add up, or an empty file.
fn of_reports(scenario: &Scenario, run: &Finished) -> Vec<String> {
    let facts = facts(scenario, run);
    let summary = Summary::build(&facts, &run.calls, &run.turns, &[]);
    let counts = &summary.outcomes;
    let sum = [
        counts.replied,
        counts.missed,
        counts.early,
        counts.failed,
        counts.cut_off,
        counts.not_run,
        counts.skipped,
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

/// Runs the case that a seed determines.
fn simulated(seed: u64) -> (Case, Scenario, Seen) {
    carried_out(Case::of(seed))
}

fn carried_out(case: Case) -> (Case, Scenario, Seen) {
    let scenario = scenario(&case.text);
    let open = |path: &Path| match &case.disk {
        Some(disk) => disk.open(path),
        None => on_a_file(path),
    };
    let observed = observed(&scenario, case.agent.clone(), case.stop, &open);
    let seen = Seen::of(&case, &scenario, observed);
    (case, scenario, seen)
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

#[test]
fn records_are_complete_and_consistent_under_faults() {
    if let Some(seed) = number("LOADGEN_SEED") {
        let (case, scenario, seen) = simulated(seed);
        println!(
            "{}\n{case:#?}\n{:#?}\n{:#?}",
            case.text, seen.run.calls, seen.run.turns
        );
        assert_eq!(findings(&case, &scenario, &seen), [""; 0]);
        return;
    }
    let seeds = number("LOADGEN_SEEDS").unwrap_or(SEEDS);
    let next = AtomicU64::new(0);
    let work = || {
        let mut wrong = Vec::new();
        let mut counts = Counts::default();
        loop {
            let seed = next.fetch_add(1, Relaxed);
            if seed >= seeds {
                return (wrong, counts);
            }
            let (case, scenario, seen) = simulated(seed);
            counts.add(&case, &seen);
            let found = findings(&case, &scenario, &seen);
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
    let mut counts = Counts::default();
    let mut wrong = Vec::new();
    for (found, counted) in done {
        wrong.extend(found);
        counts.merge(counted);
    }
    println!(
        "{seeds} seeds\nfaults: {:?}\nfound: {:?}",
        counts.faults, counts.outcomes
    );
    assert!(
        wrong.is_empty(),
        "{} findings:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
    let outcomes = [
        "Replied",
        "Missed",
        "Early",
        "Failed",
        "CutOff",
        "NotRun",
        "Skipped",
        "agent_left",
        "dropped",
        "refused",
        "exit 0",
        "exit 1",
        "exit 99",
        "exit 105",
        "exit 110",
    ];
    let faults = [
        "agent leaves",
        "target gone",
        "refuses",
        "stalls",
        "drops",
        "repeats",
        "delays",
        "loss",
        "stop",
        "disk full",
        "disk short write",
        "disk ragged write",
        "disk sync",
    ];
    for (needed, counts) in [
        (&outcomes[..], &counts.outcomes),
        (&faults[..], &counts.faults),
    ] {
        for needed in needed {
            assert!(counts.contains_key(*needed), "no {needed}: {counts:?}");
        }
    }
}

/// Numbers of faults and of outcomes, over many seeds.
#[derive(Debug, Default)]
struct Counts {
    /// Injected faults that fired: counted in calls, in failed writes or in runs.
    faults: BTreeMap<String, u64>,
    /// Outcomes of turns, causes of failures, exit codes.
    outcomes: BTreeMap<String, u64>,
}

impl Counts {
    fn add(&mut self, case: &Case, seen: &Seen) {
        let run = &seen.run;
        let mut outcome = |what: String| *self.outcomes.entry(what).or_default() += 1;
        for turn in &run.turns {
            outcome(format!("{:?}", turn.outcome));
        }
        for failure in run.calls.iter().filter_map(|call| call.failure.as_ref()) {
            outcome(failure.cause.clone());
        }
        outcome(format!("exit {}", seen.code));
        let mut fault = |what: &str, times: u64| {
            if times > 0 {
                *self.faults.entry(what.to_owned()).or_default() += times;
            }
        };
        for (what, times) in case.agent.befallen.counts() {
            fault(what, times);
        }
        if let Some(disk) = &case.disk {
            fault(disk.fault.name(), disk.fired());
        }
        fault("stop", u64::from(run.stopped));
        fault("loss", u64::from(case.text.contains("network:")));
    }

    fn merge(&mut self, other: Self) {
        for (mine, other) in [
            (&mut self.faults, other.faults),
            (&mut self.outcomes, other.outcomes),
        ] {
            for (what, times) in other {
                *mine.entry(what).or_default() += times;
            }
        }
    }
}

/// Number of seeds within which each planted defect must be found.
const ENOUGH: u64 = 1_000;

#[test]
fn each_rule_finds_its_planted_defect() {
    type Defect = (&'static str, fn(&mut Seen));
    let defects: [Defect; 16] = [
        ("a turn is missing", |seen| drop(seen.run.turns.pop())),
        ("a turn is recorded twice", |seen| {
            seen.run.turns.extend(seen.run.turns.first().cloned());
        }),
        ("a call is missing", |seen| drop(seen.run.calls.pop())),
        ("a turn was cut off without a stop", |seen| {
            seen.run.stopped = false;
            if let Some(turn) = seen.run.turns.first_mut() {
                turn.outcome = Outcome::CutOff;
            }
        }),
        ("a reply has no latency", |seen| {
            let replied =
                |t: &&mut TurnRecord| t.ttfa_ms.is_some() && t.outcome == Outcome::Replied;
            if let Some(turn) = seen.run.turns.iter_mut().find(replied) {
                (turn.ttfa_ms, turn.ttfa_wire_ms, turn.playout_ms) = (None, None, None);
            }
        }),
        ("a latency is not the sum of its parts", |seen| {
            let turn = seen.run.turns.iter_mut().find(|t| t.ttfa_ms.is_some());
            if let Some(turn) = turn {
                turn.ttfa_ms = Some(Ms::from(Duration::from_secs(77)));
            }
        }),
        ("a latency is a second too long", |seen| {
            for turn in &mut seen.run.turns {
                let later = |ms: Option<Ms>| ms.map(|ms| ms + Ms::from(Duration::from_secs(1)));
                (turn.ttfa_ms, turn.ttfa_wire_ms) = (later(turn.ttfa_ms), later(turn.ttfa_wire_ms));
            }
        }),
        ("the generator failed", |seen| {
            seen.run.invalid.push("a defect".into());
        }),
        ("a turn is not in the journal", |seen| {
            if let Ok(turns) = &mut seen.journal {
                turns.pop();
            }
        }),
        ("an amendment is not in the records", |seen| {
            if let Some(turn) = seen.shown.values_mut().next() {
                turn.late_reply_ms = Some(Ms::from(Duration::from_secs(9)));
            }
        }),
        ("a turn was not shown", |seen| drop(seen.shown.pop_first())),
        ("a call was shown with another end time", |seen| {
            if let Some(call) = seen.shown_calls.values_mut().next() {
                call.ended_ms = None;
            }
        }),
        ("a failed journal is not reported", |seen| {
            seen.says_lost = false;
        }),
        ("a journal without a fault is reported as failed", |seen| {
            seen.says_lost = true;
        }),
        ("no report can be made", |seen| {
            seen.record = Err("a defect".to_owned());
        }),
        ("a run whose journal failed exits with 0", |seen| {
            if seen.says_lost {
                seen.code = 0;
            }
        }),
    ];
    for (what, plant) in defects {
        let found = (0..ENOUGH).find(|seed| {
            let (case, scenario, mut seen) = simulated(*seed);
            let before = findings(&case, &scenario, &seen).len();
            plant(&mut seen);
            findings(&case, &scenario, &seen).len() > before
        });
        let seed = found.unwrap_or_else(|| panic!("not found: {what}"));
        println!("{what}: found at seed {seed}");
    }
}

/// The planted defect is in the disk: writes report success, but nothing is stored.
#[test]
fn a_disk_that_loses_writes_silently_is_found() {
    let found = (0..ENOUGH).find(|seed| {
        let disk = FaultyDisk::new(Fault::Lies, 2, 4);
        let lying = Case {
            disk: Some(disk),
            ..Case::of(*seed)
        };
        let (case, scenario, seen) = carried_out(lying);
        let found = outside::findings(&case, &scenario, &seen);
        found.iter().any(|what| what.contains("in the journal"))
    });
    assert!(found.is_some());
}
