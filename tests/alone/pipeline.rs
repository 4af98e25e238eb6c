//! The main use case against a full pipeline of VAD, speech recognition, LLM and speech synthesis.
//!
//! Needs Python with venv and espeak-ng; without them the test fails and says so.

use crate::support::reports::{Row, median};
use crate::support::{LivekitServer, Loadgen, PipelineAgent, Reports, in_repo};
use std::time::Duration;

const TURNS: usize = 9;
/// Maximum median delay, in ms, between when the agent says it replied and when the caller hears
/// it; 600 is enough on a machine that is not busy.
const BOUND_MS: f64 = 1_500.0;

#[test]
fn measured_ttfa_exceeds_the_agents_own_claim() {
    let _machine = crate::shared();
    let server = LivekitServer::start();
    let agent = PipelineAgent::start(&server);
    let scenario = in_repo("scenarios/pipeline.yaml");
    let run = Loadgen::new(["run", "--out", "run"])
        .arg(scenario)
        .deadline(Duration::from_secs(240));
    let run = run.on(&server).run();

    let reports = Reports::read(&run.dir().join("run"));
    reports.assert_good(&run.finished);
    assert_eq!(reports.count("/outcomes/replied"), TURNS as u64);
    assert_eq!(reports.turns.len(), TURNS);
    assert_eq!(server.rooms().len(), 0, "rooms are left");

    let claims = agent.wait_for_turns(TURNS, Duration::from_secs(20));
    let claim_of = |row: &Row| {
        let turn: u64 = row["turn"].parse().expect("a turn");
        let same = |c: &&serde_json::Value| c["room"] == row["room"].as_str() && c["turn"] == turn;
        let claim = claims.iter().find(same);
        let claim = claim.and_then(|c| c["e2e_latency"].as_f64());
        claim.unwrap_or_else(|| panic!("no e2e_latency for {row:?} in {claims:#?}")) * 1e3
    };
    println!("call turn utterance        ttfa ms  agent's e2e_latency ms  difference ms");
    let mut differences = Vec::new();
    for row in &reports.turns {
        let ttfa: f64 = row["ttfa_ms"].parse().expect("a replied turn has a ttfa");
        let claim = claim_of(row);
        let more = ttfa - claim;
        println!(
            "{:>4} {:>4} {:<16} {ttfa:>8.1}  {claim:>22.1}  {more:>13.1}",
            row["call"], row["turn"], row["utterance"]
        );
        assert!(
            more > 0.0,
            "the caller heard it before the agent says it spoke: {row:?}"
        );
        differences.push(more);
    }
    let difference = median(differences);
    println!("median difference {difference:.1} ms");
    assert!(difference < BOUND_MS, "{difference}");
}
