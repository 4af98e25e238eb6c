//! How turns are measured through a bad network, against the truth of the reference agent and the
//! log of what the simulated network did to each packet.
//!
//! In: twenty calls at once on a real server, with 5 % loss in bursts and 30 ms of jitter each way.
//! Out: the error of `ttfa_wire`, printed; `LOADGEN_FULL=1` makes 1,000 turns. Invariant: what is
//! asserted holds on a busy machine too.

use crate::support::reports::{Reports, Row};
use crate::support::{LivekitServer, Loadgen, full, in_repo, truth_by_room};
use crate::{alone, show_errors};
use serde_json::Value;
use std::collections::BTreeMap;
use std::time::Duration;

/// Calls at once.
const CALLS: usize = 20;

/// An RTP packet in the log: when it entered the network, and when it arrived, in ms of the run.
#[derive(Debug, Clone, Copy)]
struct Logged {
    entered: f64,
    arrives: Option<f64>,
}

/// The packets of each room, one direction at a time.
type Log = BTreeMap<String, Vec<Logged>>;

#[test]
#[ignore = "takes minutes: cargo test --test alone -- --ignored bad_network --nocapture"]
fn turns_through_a_bad_network_are_measured_as_agent_and_network_tell_them() {
    let _alone = alone();
    let server = LivekitServer::start();
    let passes = if full() { 50 } else { 5 };
    let scenario = format!(
        "version: 1\nname: network\nseed: 5\ntarget: {{kind: livekit, agent_name: far}}\n\
         utterances: {{help: {{file: {}/help.wav}}}}\n\
         call:\n  greeting: none\n  reply_tone: 1000\n  turns:\n    \
         - {{repeat: {passes}, turns: [{{say: help, timeout: 6s, start: {{delay: {{min: 300ms, max: 700ms}}}}}}]}}\n\
         load: {{calls: {CALLS}, concurrency: {CALLS}, ramp: 2s}}\nsentinels: off\n\
         network:\n  log: keep\n  up: {{loss: 5%, burst: 2.6, delay: 60ms, jitter: 30ms}}\n  \
         down: {{loss: 5%, burst: 2.6, delay: 60ms, jitter: 30ms}}\n",
        in_repo("fixtures").display(),
    );
    let run = Loadgen::new(["run", "network.yaml", "--out", "run"]).on(&server);
    let dir = run.dir().to_owned();
    std::fs::write(dir.join("network.yaml"), scenario).expect("writable");
    let truth = dir.join("truth.jsonl");
    let truth_path = truth.display().to_string();
    let settings = [
        "--agent-name",
        "far",
        "--delay",
        "400ms",
        "--reply-length",
        "900ms",
    ];
    let settings = [&settings[..], &["--truth", &truth_path]].concat();
    let agent = Loadgen::agent(&server, &settings);
    let run = run.deadline(Duration::from_secs(900)).run();
    let folder = run.dir().join("run");
    let reports = Reports::read(&folder);
    agent.finish();
    let mut told = truth_by_room(&truth);
    for lines in told.values_mut() {
        lines.retain(|line| line["event"] == "reply");
    }
    let [up, down] = log(&folder.join("impairments.csv"));

    let planned = CALLS * passes;
    assert_eq!(reports.turns.len(), planned, "an outcome for every turn");
    let failed = |row: &&Row| row["outcome"] == "failed";
    assert_eq!(reports.turns.iter().filter(failed).count(), 0);
    let answered: Vec<&Row> = reports
        .turns
        .iter()
        .filter(|r| !r["ttfa_wire_ms"].is_empty())
        .collect();
    let offset = clock_offset(&answered, &told, &up);
    let mut errors = [Vec::new(), Vec::new()];
    for row in &answered {
        let Some(truth) = heard_at(row, offset, &told, &down) else {
            continue;
        };
        let error = (number(row, "speech_end_ms") + number(row, "ttfa_wire_ms") - truth).abs();
        // That some of the caller's words were lost does not make its latency doubtful.
        let doubted = row["flags"]
            .split(' ')
            .any(|flag| !flag.is_empty() && flag != "utterance_lost");
        errors[usize::from(doubted)].push(error);
    }
    let [clean, doubted] = &mut errors;
    println!("{planned} turns, {} replied", answered.len());
    let [p50, p99, _] = show_errors("unflagged", clean);
    assert!(p50 <= 20.0 && p99 <= 60.0);
    let mut all = [clean.as_slice(), doubted].concat();
    let [.., p99, _] = show_errors("all", &mut all);
    assert!(p99 <= 120.0);
    assert!(all.len() * 10 >= planned * 9, "{} of {planned}", all.len());
}

fn number(row: &Row, field: &str) -> f64 {
    row[field].parse().expect("a number")
}

fn ms(line: &Value, field: &str) -> f64 {
    line[field].as_u64().expect("nanoseconds") as f64 / 1e6
}

/// The RTP packets to the server and to the callers, in the order in which they entered.
fn log(path: &std::path::Path) -> [Log; 2] {
    let mut logs = [Log::new(), Log::new()];
    let mut csv = csv::Reader::from_path(path).expect("a log");
    for row in csv.deserialize::<BTreeMap<String, String>>() {
        let row = row.expect("a row");
        if row["kind"] == "rtp" {
            let packet = Logged {
                entered: row["entered_ms"].parse().expect("ms"),
                arrives: row["arrives_ms"].parse().ok(),
            };
            let log = &mut logs[usize::from(row["direction"] == "down")];
            log.entry(row["room"].clone()).or_default().push(packet);
        }
    }
    for packets in logs.iter_mut().flat_map(BTreeMap::values_mut) {
        packets.sort_by(|a, b| a.entered.total_cmp(&b.entered));
    }
    logs
}

/// The agent's clock minus the caller's, in ms: both tell when the packet with the caller's last
/// speech sample arrived at the agent. The median, because such a packet may be lost.
fn clock_offset(rows: &[&Row], told: &BTreeMap<String, Vec<Value>>, up: &Log) -> f64 {
    let of = |row: &&Row| {
        let end = number(row, "speech_end_ms");
        let last = up
            .get(&row["room"])?
            .iter()
            .find(|p| p.entered >= end - 1.0)?;
        let turn: u64 = row["turn"].parse().ok()?;
        let reply = told.get(&row["room"])?.iter().find(|r| r["turn"] == turn)?;
        Some(ms(reply, "last_speech_packet_ns") - last.arrives?)
    };
    let mut offsets: Vec<f64> = rows.iter().filter_map(of).collect();
    offsets.sort_by(f64::total_cmp);
    offsets[offsets.len() / 2]
}

/// When the caller could first hear the reply, in ms of the run: the arrival of the packet with the
/// onset or, if it was lost, of the first one after it.
fn heard_at(
    row: &Row,
    offset: f64,
    told: &BTreeMap<String, Vec<Value>>,
    down: &Log,
) -> Option<f64> {
    let measured = number(row, "speech_end_ms") + number(row, "ttfa_wire_ms");
    let sent = |reply: &Value| ms(reply, "reply_packet_ns") - offset;
    let far = |reply: &&Value| (sent(reply) - measured).abs();
    let reply = told
        .get(&row["room"])?
        .iter()
        .min_by(|a, b| far(a).total_cmp(&far(b)))?;
    let mut later = down
        .get(&row["room"])?
        .iter()
        .skip_while(|p| p.entered < sent(reply) - 1.0);
    let onset = later.next()?;
    match onset.arrives {
        Some(at) => Some(at + reply["onset_offset_ms"].as_f64()?),
        None => later.find_map(|packet| packet.arrives),
    }
}
