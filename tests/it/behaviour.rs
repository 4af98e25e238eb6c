//! The embedded agent's behaviours: the truth file tells them, and the figures of the run agree.

use crate::support::{Loadgen, Reports, in_repo, truth_by_room};
use serde_json::Value;
use std::collections::BTreeMap;

/// Maximum error of a stop, and of a reply's latency, on a busy machine, in ms.
const BOUND: f64 = 60.0;

const SCENARIO: &str = "\
version: 1
name: behaves
seed: 11
target:
  kind: embedded
  agent: {delay: 400ms, reply_length: 3s, truth: truth.jsonl}
utterances:
  help: {file: FIXTURES/help.wav}
  yes: {file: FIXTURES/yes.wav}
call:
  greeting: none
  turns:
    - {say: help, start: {after: call_start, delay: 100ms}, timeout: 6s}
    - {say: yes, start: {after: agent_speech_start, delay: 700ms}, expect: stop, timeout: 5s}
variants:
  - name: stops
    agent: {behaviour: {stop: {after: 450ms, ignore: 50%}}}
  - name: stalls
    agent: {behaviour: {faults: [{kind: hole, share: 100%, length: 200ms, at: 300ms}], hang_up: {turn: 1}}}
  - name: fills
    agent: {reply_length: 1s, behaviour: {filler: {length: 300ms, gap: 900ms}}}
load: {calls: 18, concurrency: 6}
sentinels: off
";

fn events(lines: &[Value]) -> Vec<&str> {
    lines.iter().filter_map(|l| l["event"].as_str()).collect()
}

fn ns(line: &Value, field: &str) -> f64 {
    line[field]
        .as_u64()
        .unwrap_or_else(|| panic!("{field}: {line}")) as f64
}

#[test]
fn behaviours_are_in_the_truth_file_and_the_figures_agree_with_it() {
    let run = Loadgen::new(["run", "behaves.yaml", "--out", "run"]);
    let fixtures = in_repo("fixtures").display().to_string();
    let text = SCENARIO.replace("FIXTURES", &fixtures);
    std::fs::write(run.dir().join("behaves.yaml"), text).expect("writable");
    let run = run.run();
    let reports = Reports::read(&run.dir().join("run"));
    let rows = |variant: &str| -> BTreeMap<(String, String), BTreeMap<String, String>> {
        let rows = reports.turns.iter().filter(|r| r["variant"] == variant);
        rows.map(|r| ((r["room"].clone(), r["turn"].clone()), r.clone()))
            .collect()
    };

    // Each interruption is obeyed after exactly 450 ms or ignored, and is measured as such.
    let (mut obeyed, mut ignored) = (0, 0);
    let told = truth_by_room(&run.dir().join("truth-stops.jsonl"));
    assert_eq!(told.len(), 6, "calls of the variant");
    let turns = rows("stops");
    for (room, lines) in &told {
        let row = &turns[&(room.clone(), "1".to_owned())];
        let stop = lines.iter().find(|l| l["event"] == "stop");
        match stop {
            Some(stop) => {
                obeyed += 1;
                let asked = (ns(stop, "last_audible_ns") - ns(stop, "caller_start_ns")) / 1e6;
                assert!(
                    (asked - 450.0).abs() < 2.0 * BOUND,
                    "{asked} ms: {lines:#?}"
                );
                assert_eq!(row["outcome"], "replied", "{row:?}");
                let heard: f64 = row["stop_ms"].parse().expect("a figure");
                // The caller's figure includes its playout.
                assert!(
                    (asked - 20.0..asked + BOUND + 40.0).contains(&heard),
                    "{heard}, {asked}"
                );
            }
            None => {
                ignored += 1;
                assert!(events(lines).contains(&"ignored"), "{lines:#?}");
                // It talks on until its reply of 3 s ends by itself.
                let heard: f64 = row["stop_ms"].parse().expect("a figure");
                assert!(heard > 1_500.0, "{row:?}");
            }
        }
    }
    assert!(
        obeyed > 0 && ignored > 0,
        "{obeyed} obeyed, {ignored} ignored"
    );

    // The reply stalls, and the agent leaves once it has ended or was interrupted.
    let told = truth_by_room(&run.dir().join("truth-stalls.jsonl"));
    for lines in told.values() {
        let hole = lines.iter().find(|l| l["event"] == "hole").expect("a hole");
        assert_eq!(
            (&hole["kind"], &hole["length_ms"]),
            (&"hole".into(), &200.0.into())
        );
        let reply = &lines[0];
        let onset =
            ns(reply, "reply_packet_ns") + reply["onset_offset_ms"].as_f64().expect("ms") * 1e6;
        // The hole is where the media time says, and 200 ms later than it should be.
        let late = (ns(hole, "at_ns") - onset) / 1e6 - hole["media_ms"].as_f64().expect("ms");
        assert!((late - 200.0).abs() < BOUND, "{late}");
    }

    // The answer follows the filler after the gap; the latency is that of the filler.
    let told = truth_by_room(&run.dir().join("truth-fills.jsonl"));
    let turns = rows("fills");
    for (room, lines) in &told {
        assert_eq!(events(lines)[..2], ["reply", "filler"], "{lines:#?}");
        let row = &turns[&(room.clone(), "0".to_owned())];
        let wire: f64 = row["ttfa_wire_ms"].parse().expect("a figure");
        assert!((wire - 400.0).abs() < BOUND, "{wire}");
        if let Some(answer) = lines.iter().find(|l| l["event"] == "answer") {
            // An answer whose caller spoke in the gap is left out, and its filler is not.
            let mut ends = lines.iter().filter(|l| l["part"] == "filler");
            let end = ends.find(|l| l["turn"] == answer["turn"]);
            let end = end.expect("an end");
            let gap = (ns(answer, "audible_ns") - ns(end, "last_audible_ns")) / 1e6;
            assert!((gap - 900.0).abs() < BOUND, "{gap}");
        }
    }
}

#[test]
fn an_agent_that_hangs_up_is_reported_as_having_left() {
    let run = Loadgen::new(["run", "leaves.yaml", "--out", "run"]);
    let text = format!(
        "version: 1\nname: leaves\n\
         target: {{kind: embedded, agent: {{reply_length: 300ms, truth: t.jsonl, behaviour: {{hang_up: {{turn: 1}}}}}}}}\n\
         utterances: {{yes: {{file: {}}}}}\n\
         call: {{greeting: none, on_agent_left: fail, turns: [\n\
           {{say: yes, start: {{after: call_start, delay: 100ms}}, timeout: 4s}},\n\
           {{say: yes, start: {{after: agent_speech_end, delay: 2s}}, timeout: 4s}}]}}\n\
         sentinels: off\n",
        in_repo("fixtures/yes.wav").display(),
    );
    std::fs::write(run.dir().join("leaves.yaml"), text).expect("writable");
    let run = run.run();
    let reports = Reports::read(&run.dir().join("run"));
    let told = truth_by_room(&run.dir().join("t.jsonl"));
    let lines = told.values().next().expect("a call");
    assert_eq!(events(lines), ["reply", "reply_end", "hung_up"]);
    assert_eq!(reports.count("/calls/failed"), 1);
    let causes = reports.summary["failures"].to_string();
    assert!(causes.contains("agent_left"), "{causes}");
}
