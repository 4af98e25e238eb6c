//! The collector, with calls that end in any order or never report their end.

use super::*;
use crate::audio::SPURT_GAP;
use crate::call::{Call, CallScript, Expect, Failure, GreetingPolicy, Input, OnAgentLeft};
use crate::plan::Plan;
use crate::record::{CallOutcome, ReasonKind};
use crate::run::dispatch::test_scenario;
use crate::targets::livekit::Cause;
use std::time::Duration;

fn result(turns: usize, start: Instant, failure: Failure) -> CallResult {
    let turn = crate::call::TurnScript {
        anchor: crate::call::Anchor::CallStart,
        silence: SPURT_GAP,
        delay: Duration::ZERO,
        expect: Expect::Respond,
        timeout: Duration::from_secs(5),
        frames: 50,
        speech_start: Duration::ZERO,
        speech_end: Duration::from_secs(1),
        segments: None,
        filler: None,
        awkward: Duration::from_secs(3),
    };
    let script = CallScript {
        greeting: GreetingPolicy::None,
        agent_timeout: Duration::from_secs(30),
        on_agent_left: OnAgentLeft::Fail,
        course: crate::call::Course::default(),
        turns: vec![turn; turns],
    };
    let mut call = Call::new(script, start);
    call.handle(start, Input::Failed(failure));
    call.finish(start)
}

fn begun(plan: &Plan, index: u64, start: Instant) -> CallReport {
    CallReport::Started(Box::new(Begun {
        room: format!("room-{index}"),
        planned_start: start,
        started: start + Duration::from_millis(3),
        plan: plan.call(index).expect("planned"),
    }))
}

fn ended(plan: &Plan, index: u64, start: Instant, result: CallResult) -> CallReport {
    CallReport::Ended(Box::new(CallDone {
        index: index as usize,
        room: format!("room-{index}"),
        planned_start: start,
        started: start + Duration::from_millis(3),
        ended: start + Duration::from_secs(9),
        result,
        plan: plan.call(index).expect("planned"),
        told: CallTold::default(),
        connection: None,
    }))
}

#[test]
fn each_turn_is_recorded_once_even_if_its_call_never_reports_its_end() {
    let dir = tempfile::tempdir().expect("dir");
    let path = dir.path().join("turns.jsonl");
    let mut journal = Journal::create(&path).expect("journal");
    let scenario = test_scenario("{calls: 3}");
    let plan = Plan::new(&scenario);
    let start = Instant::now();
    let mut events = Vec::new();
    let mut tell = |e| events.push(e);
    let mut collector = Collector::new(&scenario, start, &mut journal);

    for index in 0..3 {
        collector.take(begun(&plan, index, start), &mut tell);
    }
    // A turn of call 0 ends; it is reported again at the end of its call.
    let mut of_call = result(2, start, Failure::AgentLeft);
    of_call.turns[0].outcome = Outcome::Missed;
    let turn = TurnDone {
        call: 0,
        room: "room-0".into(),
        turn: of_call.turns[0].clone(),
        account: None,
        plan: plan.call(0).expect("planned"),
    };
    collector.take(CallReport::Turn(Box::new(turn)), &mut tell);
    let so_far = Journal::read(&path).expect("journal").turns;
    assert_eq!(so_far.len(), 1, "recorded before the call ends");
    collector.take(ended(&plan, 0, start, of_call), &mut tell);
    let dropped = Failure::Dropped { detail: "x".into() };
    collector.take(ended(&plan, 2, start, result(2, start, dropped)), &mut tell);
    // Call 1 was cut off after one turn.
    let mut done = result(1, start, Failure::Stopped).turns.remove(0);
    done.outcome = Outcome::Early;
    let turn = TurnDone {
        call: 1,
        room: "room-1".into(),
        turn: done,
        account: None,
        plan: plan.call(1).expect("planned"),
    };
    collector.take(CallReport::Turn(Box::new(turn)), &mut tell);
    collector.close(|_, at| result(2, at, Failure::Stopped), &mut tell);
    collector.close(|_, at| result(2, at, Failure::Stopped), &mut tell);

    assert!(
        collector.begun.is_empty() && collector.recorded.is_empty(),
        "no unwritten record remains"
    );
    assert!(collector.unwritten.turns.is_empty() && collector.unwritten.calls.is_empty());
    assert!(collector.journal_error.is_none());
    let (turns, calls) = journal.read_back().expect("journal");
    let mut turns: Vec<_> = turns.iter().map(|t| (t.call, t.turn)).collect();
    turns.sort_unstable();
    assert_eq!(turns, [(0, 0), (0, 1), (1, 0), (1, 1), (2, 0), (2, 1)]);
    let causes: Vec<_> = calls
        .iter()
        .map(|c| (c.call, c.failure.as_ref().map(|f| f.cause.clone())))
        .collect();
    let cause = |c: &str| Some(c.to_owned());
    assert_eq!(
        causes,
        [(0, cause("agent_left")), (1, None), (2, cause("dropped"))]
    );
    let counts = |c: &CallRecord| {
        [
            c.turns.missed,
            c.turns.early,
            c.turns.failed,
            c.turns.not_run,
        ]
    };
    let counts: Vec<_> = calls.iter().map(counts).collect();
    assert_eq!(counts, [[1, 0, 1, 0], [0, 1, 0, 1], [0, 0, 2, 0]]);
    let outcomes: Vec<_> = calls
        .iter()
        .map(|c| c.ended_as().expect("an end"))
        .collect();
    assert_eq!(
        outcomes,
        [
            CallOutcome::Failed,
            CallOutcome::CutOff,
            CallOutcome::Failed
        ]
    );
    let ended = events.iter().filter_map(|e| match e {
        RunEvent::CallEnded(call) => Some(call.call),
        _ => None,
    });
    assert_eq!(ended.collect::<Vec<_>>(), [0, 2, 1]);
    let turns = |e: &&RunEvent| matches!(e, RunEvent::TurnEnded(_));
    assert_eq!(events.iter().filter(turns).count(), 6);
}

/// No figure depends on observations, so a failure to record them is not an error of the run.
#[test]
fn readings_that_cannot_be_recorded_cause_one_notice_and_no_error() {
    let scenario = test_scenario("{calls: 1}");
    let dir = tempfile::tempdir().expect("dir");
    let mut journal = Journal::create(&dir.path().join("turns.jsonl")).expect("journal");
    // A folder already has this name, so the file cannot be created.
    std::fs::create_dir(dir.path().join("observed.jsonl")).expect("writable");
    let mut notices = Vec::new();
    let mut tell = |e| match e {
        RunEvent::Notice(text) => notices.push(text),
        e => panic!("{e:?}"),
    };
    let mut collector = Collector::new(&scenario, Instant::now(), &mut journal);
    for second in 0..3 {
        let reading = Reading {
            gauges: [("g".to_owned(), 1.0)].into(),
            ..Reading::new("worker", crate::record::Ms::from_micros(second))
        };
        collector.take(CallReport::Observed(Box::new(reading)), &mut tell);
    }
    collector.tell_absent(&mut tell);
    assert!(collector.journal_error.is_none());
    assert_eq!(notices.len(), 1, "{notices:?}");
    assert!(notices[0].contains("observed.jsonl"), "{notices:?}");
}

/// Records that cannot be written to the journal are kept in memory.
#[test]
fn a_full_disk_loses_no_record() {
    let scenario = test_scenario("{calls: 1}");
    let plan = Plan::new(&scenario);
    let start = Instant::now();
    let mut journal = Journal::over_full_disk();
    let mut events = Vec::new();
    let mut tell = |e| events.push(e);
    let mut collector = Collector::new(&scenario, start, &mut journal);
    collector.take(begun(&plan, 0, start), &mut tell);
    let left = result(2, start, Failure::AgentLeft);
    collector.take(ended(&plan, 0, start, left), &mut tell);
    assert_eq!(collector.unwritten.turns.len(), 2);
    assert_eq!(collector.unwritten.calls.len(), 1);
    assert!(collector.journal_error.is_some());
    let notices = |e: &&RunEvent| matches!(e, RunEvent::Notice(_));
    assert_eq!(events.iter().filter(notices).count(), 1, "notified once");
}

#[test]
fn calls_that_fail_because_of_the_generator_make_the_run_invalid() {
    let dir = tempfile::tempdir().expect("dir");
    let mut journal = Journal::create(&dir.path().join("turns.jsonl")).expect("journal");
    let scenario = test_scenario("{calls: 3}");
    let plan = Plan::new(&scenario);
    let start = Instant::now();
    let mut collector = Collector::new(&scenario, start, &mut journal);
    let broken = || Failure::Generator {
        detail: "Too many open files".into(),
    };
    for (index, failure) in [(0, Failure::AgentLeft), (1, broken()), (2, broken())] {
        collector.take(begun(&plan, index, start), &mut |_| {});
        let before = collector.own_failures().len();
        assert_eq!(before, usize::from(index == 2));
        let result = result(2, start, failure);
        collector.take(ended(&plan, index, start, result), &mut |_| {});
    }
    let doubts = collector.own_failures();
    assert!(
        doubts.len() == 1 && doubts[0].starts_with("2 calls") && doubts[0].contains("open files"),
        "{doubts:?}"
    );
    assert_eq!(ReasonKind::of(&doubts[0]), Some(ReasonKind::Machine));
    assert_eq!(ReasonKind::of(crate::run::HUNG), Some(ReasonKind::Hung));
}

/// A hundred concurrent calls, some of which are refused in the first second. Only the turns of the
/// refused calls have ended.
#[test]
fn early_failures_of_a_few_calls_do_not_abort_the_run() {
    use crate::record::Threshold;
    use crate::run::abort::{AbortGate, AbortWatch};
    use crate::stats::{Aggregate, Gate, Inequality};
    let scenario = test_scenario("{calls: 100}");
    let plan = Plan::new(&scenario);
    let start = Instant::now();
    let gate = |metric: &str, aggregate, comparison, bound| AbortGate {
        threshold: Threshold::new(
            metric,
            "",
            Gate {
                aggregate,
                comparison,
                bound,
            },
        ),
        delay: Duration::ZERO,
    };
    for (metric, aggregate, comparison, bound) in [
        ("failed", Aggregate::Rate, Inequality::Lt, 0.05),
        ("replied", Aggregate::Rate, Inequality::Gt, 0.9),
        ("ttfa", Aggregate::Quantile(0.9), Inequality::Lt, 1_000.0),
        ("join", Aggregate::Quantile(0.9), Inequality::Lt, 1_000.0),
    ] {
        for (refused, ends) in [(3, false), (60, true)] {
            let gates = [gate(metric, aggregate, comparison, bound)];
            let mut watch = AbortWatch::new(&gates);
            let dir = tempfile::tempdir().expect("dir");
            let mut journal = Journal::create(&dir.path().join("t")).expect("journal");
            let mut collector = Collector::new(&scenario, start, &mut journal);
            let mut tell = |event| watch.take(&event);
            for index in 0..100 {
                collector.take(begun(&plan, index, start), &mut tell);
            }
            for index in 0..refused {
                let quota = || {
                    let detail = "x".into();
                    Failure::from(Cause::Quota { detail })
                };
                collector.take(
                    ended(&plan, index, start, result(2, start, quota())),
                    &mut tell,
                );
            }
            let open = || collector.open();
            let found = watch.look(Duration::from_secs(1), &[], open);
            assert_eq!(found.is_some(), ends, "{metric}: {refused} of 100");
        }
    }
}

#[test]
fn calls_in_progress_list_their_unended_turns() {
    let scenario = test_scenario("{calls: 3}");
    let plan = Plan::new(&scenario);
    let start = Instant::now();
    let dir = tempfile::tempdir().expect("dir");
    let mut journal = Journal::create(&dir.path().join("t")).expect("journal");
    let mut collector = Collector::new(&scenario, start, &mut journal);
    let mut tell = |_| {};
    collector.take(begun(&plan, 0, start), &mut tell);
    collector.take(begun(&plan, 1, start), &mut tell);
    let mut turn = result(2, start, Failure::AgentLeft).turns.remove(0);
    turn.outcome = Outcome::Missed;
    let turn = TurnDone {
        call: 0,
        room: "room-0".into(),
        turn,
        account: None,
        plan: plan.call(0).expect("planned"),
    };
    collector.take(CallReport::Turn(Box::new(turn)), &mut tell);
    let owed = |c: &Collector<'_>| -> Vec<_> {
        let open = c.open().into_iter();
        open.map(|c| (c.call, c.unended.len())).collect()
    };
    assert_eq!(owed(&collector), [(0, 1), (1, 2)]);
    let left = result(2, start, Failure::AgentLeft);
    collector.take(ended(&plan, 0, start, left), &mut tell);
    assert_eq!(owed(&collector), [(1, 2)]);
}

/// A late reply to a missed turn is reported during its call, and again at the end of the call.
#[test]
fn an_amended_turn_is_recorded_again_and_counted_once() {
    let scenario = test_scenario("{calls: 1}");
    let plan = Plan::new(&scenario);
    let start = Instant::now();
    let dir = tempfile::tempdir().expect("dir");
    let mut journal = Journal::create(&dir.path().join("t")).expect("journal");
    let mut events = Vec::new();
    let mut tell = |e| events.push(e);
    let mut collector = Collector::new(&scenario, start, &mut journal);
    collector.take(begun(&plan, 0, start), &mut tell);
    let mut missed = result(2, start, Failure::AgentLeft).turns.remove(0);
    missed.outcome = Outcome::Missed;
    let told = |late: Option<u64>| {
        Box::new(TurnDone {
            call: 0,
            room: "room-0".into(),
            turn: TurnResult {
                late_reply: late.map(Duration::from_millis),
                ..missed.clone()
            },
            account: None,
            plan: plan.call(0).expect("planned"),
        })
    };
    // A turn that has not ended cannot be amended.
    collector.take(CallReport::Amended(told(Some(1))), &mut tell);
    collector.take(CallReport::Turn(told(None)), &mut tell);
    collector.take(CallReport::Amended(told(Some(10_600))), &mut tell);
    let left = result(2, start, Failure::AgentLeft);
    collector.take(ended(&plan, 0, start, left), &mut tell);
    collector.take(CallReport::Amended(told(Some(20_000))), &mut tell);

    let (turns, calls) = journal.read_back().expect("journal");
    let of = |t: &TurnRecord| (t.turn, t.outcome, t.late_reply_ms.map(|ms| ms.as_f64()));
    let turns: Vec<_> = turns.iter().map(of).collect();
    assert_eq!(
        turns,
        [
            (0, Outcome::Missed, Some(10_600.0)),
            (1, Outcome::Failed, None)
        ]
    );
    assert_eq!((calls[0].turns.missed, calls[0].turns.failed), (1, 1));
    let count = |wanted: fn(&RunEvent) -> bool| events.iter().filter(|e| wanted(e)).count();
    assert_eq!(count(|e| matches!(e, RunEvent::TurnEnded(_))), 2);
    assert_eq!(count(|e| matches!(e, RunEvent::TurnAmended(_))), 1);
}

/// A file on a disk that is full when the first line is written and has space afterwards.
#[derive(Debug)]
struct FullAtFirst {
    file: std::fs::File,
    full: bool,
}

impl std::io::Write for FullAtFirst {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        match std::mem::take(&mut self.full) {
            true => Err(std::io::ErrorKind::StorageFull.into()),
            false => self.file.write(bytes),
        }
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl crate::record::Storage for FullAtFirst {
    fn sync(&mut self) -> std::io::Result<()> {
        Ok(())
    }

    fn cut(&mut self, length: u64) -> std::io::Result<()> {
        self.file.cut(length)
    }
}

/// A turn is kept in memory because the disk is full; later its amendment can be written to the
/// journal.
#[test]
fn an_amended_turn_replaces_one_that_could_not_be_written() {
    let scenario = test_scenario("{calls: 1}");
    let plan = Plan::new(&scenario);
    let start = Instant::now();
    let dir = tempfile::tempdir().expect("dir");
    let path = dir.path().join("turns.jsonl");
    let open = |at: &std::path::Path| -> std::io::Result<Box<dyn crate::record::Storage>> {
        let file = std::fs::File::create_new(at)?;
        let full = at == path;
        Ok(Box::new(FullAtFirst { file, full }))
    };
    let mut journal = Journal::create_on(&path, &open).expect("journal");
    let mut collector = Collector::new(&scenario, start, &mut journal);
    collector.take(begun(&plan, 0, start), &mut |_| {});
    let mut missed = result(2, start, Failure::AgentLeft).turns.remove(0);
    missed.outcome = Outcome::Missed;
    let told = |late_reply| {
        Box::new(TurnDone {
            call: 0,
            room: "room-0".into(),
            turn: TurnResult {
                late_reply,
                ..missed.clone()
            },
            account: None,
            plan: plan.call(0).expect("planned"),
        })
    };
    collector.take(CallReport::Turn(told(None)), &mut |_| {});
    assert_eq!(collector.unwritten.turns.len(), 1);
    let late = Duration::from_millis(10_600);
    collector.take(CallReport::Amended(told(Some(late))), &mut |_| {});
    assert!(collector.unwritten.turns.is_empty(), "replaced");
    assert!(collector.journal_error.is_some());
    let (turns, _) = journal.read_back().expect("journal");
    assert_eq!(turns[0].late_reply_ms.map(|ms| ms.as_f64()), Some(10_600.0));
}
