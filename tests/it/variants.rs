//! Configurations of the agent under one load: assigned in blocks, each with its own settings.

use crate::support::reports::median;
use crate::support::{Loadgen, Reports, in_repo};
use std::collections::{BTreeMap, BTreeSet};

/// Three agents, 400 ms apart; five calls, so that the last block is incomplete.
const THREE: &str = "\
version: 1
name: three
seed: 4
target: {kind: embedded, agent: {delay: 300ms, reply_length: 300ms}}
utterances: {yes: {file: FIXTURES/yes.wav}}
call:
  greeting: none
  turns:
    - {say: yes, start: {after: call_start, delay: 100ms}, timeout: 4s}
    - {say: yes, start: {delay: 100ms}, timeout: 4s}
load: {calls: 5, ramp: 400ms}
warmup: {calls: 1}
sentinels: off
variants:
  - {name: base}
  - {name: slow, agent: {delay: 700ms}}
  - {name: slowest, agent: {delay: 1100ms}}
";

#[test]
fn each_variant_is_called_with_its_own_settings() {
    let run = Loadgen::new(["run", "three.yaml", "--out", "run"]);
    let fixtures = in_repo("fixtures").display().to_string();
    let text = THREE.replace("FIXTURES", &fixtures);
    std::fs::write(run.dir().join("three.yaml"), text).expect("writable");
    let run = run.run();
    let reports = Reports::read(&run.dir().join("run"));
    reports.assert_good(&run.finished);
    assert_eq!(reports.count("/calls/planned"), 5);

    let mut blocks: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let mut heard: BTreeMap<String, Vec<f64>> = BTreeMap::new();
    for row in &reports.turns {
        let block = row["block"].clone();
        assert_eq!(block.is_empty(), row["warmup"] == "true", "{row:?}");
        blocks
            .entry(block)
            .or_default()
            .insert(row["variant"].clone());
        let ttfa: f64 = row["ttfa_wire_ms"].parse().expect("replied");
        heard.entry(row["variant"].clone()).or_default().push(ttfa);
    }
    assert_eq!(blocks["0"].len(), 3, "a block holds each variant once");
    assert_eq!(blocks["1"].len(), 2, "five calls: a block and two more");
    for (variant, delay) in [("base", 300.0), ("slow", 700.0), ("slowest", 1100.0)] {
        let median = median(heard.remove(variant).expect("every variant was called"));
        assert!((median - delay).abs() < 100.0, "{variant}: {median}");
    }
}
