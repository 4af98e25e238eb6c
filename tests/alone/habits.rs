//! Agents that behave like real ones, checked against their own logs.
//!
//! In: the pipeline agent, one worker for all behaviours. Out: the outcomes and flags of each
//! behaviour, and the differences between loadgen's instants and the agent's. Invariant: the bound
//! is generous in CI; `LOADGEN_FULL=1` applies the documented one.

use crate::support::reports::Row;
use crate::support::{LivekitServer, Loadgen, PipelineAgent, Reports, full, in_repo};
use std::process::Command;
use std::time::Duration;

/// Maximum difference between two instants, in ms, on a machine that is not busy.
const PROMISED_MS: u32 = 60;
/// Maximum difference on a machine that may be busy, in ms.
const GENEROUS_MS: u32 = 600;

/// Runs a scenario, checks its figures against the agent's log, and returns its turns.
fn run(server: &LivekitServer, agent: &PipelineAgent, name: &str) -> Vec<Row> {
    let run = Loadgen::new(["run", "--out", "run"])
        .arg(in_repo(&format!("tests/habits/{name}.yaml")))
        .deadline(Duration::from_secs(240));
    let run = run.on(server).run();
    let dir = run.dir().join("run");
    let reports = Reports::read(&dir);
    let within = if full() { PROMISED_MS } else { GENEROUS_MS };
    let compared = Command::new("python3")
        .arg(in_repo("examples/agents/compare_log.py"))
        .arg(&dir)
        .arg(agent.frames_path())
        .args(["--within", &within.to_string()])
        .output()
        .expect("python3 runs");
    let told = String::from_utf8_lossy(&compared.stdout);
    println!("{name}:\n{told}");
    let complaint = String::from_utf8_lossy(&compared.stderr);
    assert!(compared.status.success(), "{name}: {told}{complaint}");
    reports.turns
}

/// A call's turns as `outcome flag flag`, without the flags that a busy machine causes.
fn short(turns: &[Row], variant: &str) -> Vec<String> {
    let of_it = turns.iter().filter(|row| row["variant"] == variant);
    let words = of_it.map(|row| {
        let flags = row["flags"].split([' ', ';', '|', ',']);
        let kept = flags.filter(|flag| {
            [
                "track_changed",
                "reply_cut_off",
                "spurt_ambiguous",
                "anchor_timeout",
            ]
            .contains(flag)
        });
        let words: Vec<&str> = std::iter::once(row["outcome"].as_str())
            .chain(kept)
            .collect();
        words.join(" ")
    });
    words.collect()
}

fn check_turns(turns: &[Row]) {
    assert_eq!(short(turns, "tool-call"), ["replied"; 3]);
    assert_eq!(
        short(turns, "handover"),
        ["replied", "replied track_changed", "replied"]
    );
    let republished = ["replied", "replied track_changed", "replied track_changed"];
    assert_eq!(short(turns, "republish"), republished);
    assert_eq!(short(turns, "late"), ["replied"; 3]);
    let crashed = short(turns, "crash");
    assert_eq!(
        crashed[..2],
        ["replied", "replied reply_cut_off"],
        "{crashed:?}"
    );
    assert!(!crashed[2].starts_with("replied"), "{crashed:?}");
}

fn check_barge_in(turns: &[Row]) {
    let outcomes: Vec<&str> = turns.iter().map(|row| row["outcome"].as_str()).collect();
    assert_eq!(outcomes, ["replied"; 3]);
    let interrupted = &turns[1];
    let figure = |name: &str| interrupted[name].parse::<f64>().ok();
    assert!(
        figure("stop_ms").is_some_and(|stop| stop < 5_000.0),
        "{interrupted:?}"
    );
    assert!(figure("ttfa_ms").is_some(), "{interrupted:?}");
}

#[test]
fn measured_instants_match_the_pipeline_agents_log() {
    let _machine = crate::shared();
    let server = LivekitServer::start();
    let agent = PipelineAgent::start_with(
        &server,
        &[
            ("LIVEKIT_AGENT_NAME", "habits"),
            ("PIPELINE_IDLE_PROCESSES", "3"),
        ],
    );
    let played = |name| run(&server, &agent, name);
    let turns = played("turns");
    let others = ["filler", "barge-in"];
    let [filler, barge_in] = match full() {
        true => others.map(played),
        // Each run is one call, mostly silence: both together use little CPU.
        false => std::thread::scope(|scope| {
            let runs = others.map(|name| scope.spawn(move || played(name)));
            runs.map(|run| run.join().expect("the agent's log agrees"))
        }),
    };
    check_turns(&turns);
    assert_eq!(short(&filler, "filler"), ["replied"; 2]);
    check_barge_in(&barge_in);
}
