//! Runs whose callers lose packets: the scenario's `network` takes effect and is reported.

use super::errors::{Error, Errors};
use super::size;
use super::support::{LivekitServer, Loadgen, Reports, Run, full, in_repo};
use super::truth::{self, Truth};
use std::time::Duration;

/// A scenario of short turns, `turns` per call, with its own `network`.
fn scenario(callers: usize, turns: usize, network: &str) -> String {
    let fixture = in_repo("fixtures/yes.wav");
    let pause = "delay: {min: 50ms, max: 250ms}";
    let first = format!("    - {{say: yes, start: {{after: call_start, {pause}}}, timeout: 5s}}\n");
    let turn =
        format!("    - {{say: yes, start: {{after: previous_turn, {pause}}}, timeout: 5s}}\n");
    format!(
        "version: 1\nname: lossy\nseed: 11\ntarget: {{kind: livekit}}\n\
         utterances: {{yes: {{file: {}}}}}\ncall:\n  greeting: none\n  turns:\n{first}{}\
         load: {{calls: {callers}, ramp: {}ms}}\nnetwork: {network}\n",
        fixture.display(),
        turn.repeat(turns - 1),
        20 * callers,
    )
}

/// Callers, the scenario's `network`, and whether its losses come in bursts.
type Case = (usize, &'static str, bool);

/// Makes a run against the agent of `server`.
fn run(server: &LivekitServer, (callers, network, _): Case, turns: usize) -> Run {
    let run = Loadgen::new(["run", "lossy.yaml", "--out", "run"]).on(server);
    let text = scenario(callers, turns, network);
    std::fs::write(run.dir().join("lossy.yaml"), text).expect("writable");
    run.deadline(Duration::from_secs(300)).run()
}

fn check(run: &Run, truth: &Truth, (callers, network, burst): Case, turns: usize) {
    let reports = Reports::read(&run.dir().join("run"));
    let said = &reports.summary["network"];
    assert_eq!(said["loss"].as_f64(), Some(0.05), "{said}");
    assert_eq!(said["burst"].is_null(), !burst, "{said}");
    let table = &run.finished.stdout;
    assert!(table.contains("drop 5 % of the agent's packets"), "{table}");

    let planned = callers * turns;
    let turns = truth::errors(&reports.turns, truth, "touched_by_loss");
    let missed = reports.count("/outcomes/missed");
    println!(
        "{callers} callers, {network}: {missed} of {planned} missed, tick p99 {} ms",
        reports.number("/generator/tick_lateness_ms/p99")
    );
    println!("    all: {turns}");
    println!("    unflagged: {}", turns.unflagged());
    let flagged = turns.0.iter().filter(|e| e.flagged).count();
    // 5 % of the onset packets are lost, and as many again follow a lost packet.
    assert!(flagged <= planned / 2, "{flagged} of {planned} flagged");
    assert!(callers == 1 || flagged > 0, "no onset is touched by loss");
    assert!(
        turns.0.len() * 2 >= planned,
        "{} of {planned}",
        turns.0.len()
    );
    assert!(turns.unflagged().median().abs() <= 20.0, "{turns}");
    let near = |e: &Error| e.ms.abs() < 400.0;
    let far = Errors(turns.0.iter().copied().filter(|e| !near(e)).collect());
    assert!(far.0.len() * 50 <= planned, "{far}");
}

#[test]
fn configured_loss_is_reported_and_affected_onsets_are_flagged() {
    let server = LivekitServer::start();
    let turns = size(15, 30);
    let cases: [Case; 3] = [
        (1, "{loss: 5%, burst: 2.6}", true),
        (size(10, 50), "{loss: 5%}", false),
        (size(10, 50), "{loss: 5%, burst: 2.6}", true),
    ];
    let dir = tempfile::tempdir().expect("a folder");
    let file = dir.path().join("truth.jsonl");
    let truth_flag = format!("--truth={}", file.display());
    let mut agent = Loadgen::agent(&server, &["--reply-length=300ms", &truth_flag]);
    let run = |case| run(&server, case, turns);
    let runs = if full() {
        cases.map(run)
    } else {
        // Small runs mostly wait, so they share the machine.
        std::thread::scope(|scope| {
            let runs = cases.map(|case| scope.spawn(move || run(case)));
            runs.map(|run| run.join().expect("a run"))
        })
    };
    // Ending the agent flushes its truth file to disk.
    agent.process().send_signal(libc::SIGTERM);
    agent.finish().assert_code(0);
    let truth = truth::read(&file);
    for (run, case) in runs.iter().zip(cases) {
        check(run, &truth, case, turns);
    }
}
