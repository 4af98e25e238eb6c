//! How turns, and the network itself, are measured through a bad network, against the truth of the
//! reference agent and the log of what the simulated network did to each packet.
//!
//! In: twenty calls at once on a real server, with 5 % loss in bursts and 30 ms of jitter each way.
//! Out: the error of `ttfa_wire` and those of round trips, losses and jitter, printed;
//! `LOADGEN_FULL=1` makes 1,000 turns. Invariant: what is asserted holds on a busy machine too.

use crate::support::program::Run;
use crate::support::reports::{Reports, Row};
use crate::support::{LivekitServer, Loadgen, full, in_repo, truth_by_room};
use crate::{alone, show_errors};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::PathBuf;
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
    let passes = if full() { 50 } else { 5 };
    let (run, truth) = through_a_bad_network(passes);
    let folder = run.dir().join("run");
    let reports = Reports::read(&folder);
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
        // That the network was bad does not make the latency doubtful.
        let doubted = row["flags"]
            .split(' ')
            .any(|flag| !["", "utterance_lost", "poor_network"].contains(&flag));
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

/// Makes the calls, each of `passes` turns; returns the run and the agent's truth file.
fn through_a_bad_network(passes: usize) -> (Run, PathBuf) {
    let server = LivekitServer::start();
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
    agent.finish();
    (run, truth)
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

/// A datagram in the log.
struct Passed {
    is_rtp: bool,
    is_down: bool,
    rtp_time: f64,
    entered: f64,
    arrives: Option<f64>,
}

/// What the log says about the network of one call, and what the call recorded.
struct Compared {
    name: &'static str,
    logged: Vec<f64>,
    recorded: Vec<f64>,
}

impl Compared {
    fn new(name: &'static str) -> Self {
        Self {
            name,
            logged: Vec::new(),
            recorded: Vec::new(),
        }
    }

    /// Prints the means of all calls, and by how much single calls differ at most; returns by how
    /// much the means differ, as a share.
    fn show(&self) -> f64 {
        let mean = |all: &[f64]| all.iter().sum::<f64>() / all.len() as f64;
        let (logged, recorded) = (mean(&self.logged), mean(&self.recorded));
        let off = |(log, record): (&f64, &f64)| (record / log - 1.0).abs();
        let calls = self.logged.iter().zip(&self.recorded);
        let worst = calls.map(off).fold(0.0, f64::max);
        let error = recorded / logged - 1.0;
        println!(
            "  {}: {} calls, log {logged:.4}, recorded {recorded:.4}, error {:+.2} %, worst call {:.1} %",
            self.name,
            self.logged.len(),
            100.0 * error,
            100.0 * worst
        );
        error.abs()
    }
}

#[test]
#[ignore = "takes minutes: cargo test --test alone -- --ignored bad_network --nocapture"]
fn a_bad_network_is_measured_as_its_log_tells_it() {
    let _alone = alone();
    let (run, _) = through_a_bad_network(if full() { 50 } else { 12 });
    let folder = run.dir().join("run");
    let logged = passed(&folder.join("impairments.csv"));
    let mut all = ["rtt", "loss_up", "loss_down", "jitter_down", "jitter_up"].map(Compared::new);
    let calls = std::fs::read_to_string(folder.join("calls.jsonl")).expect("a journal");
    for line in calls.lines() {
        let call: Value = serde_json::from_str(line).expect("a record");
        let measured = &call["connection"];
        let log = &logged[call["room"].as_str().expect("a room")];
        if measured.is_null() {
            continue; // the line of its beginning
        }
        let share = |way: &Value| {
            let count = |name: &str| way[name].as_f64().expect("a count");
            count("lost") / count("expected")
        };
        let spread = |of: &Value| {
            let number = |name: &str| of[name].as_f64().expect("a number");
            (number("mean_ms"), number("count"))
        };
        let (ice, rtcp) = (spread(&measured["rtt_ice"]), spread(&measured["rtt_rtcp"]));
        let rtt = (ice.0 * ice.1 + rtcp.0 * rtcp.1) / (ice.1 + rtcp.1);
        let (up, down) = (&measured["up"], &measured["down"]);
        let jitter = |way: &Value| spread(&way["jitter"]).0;
        let recorded = [rtt, share(up), share(down), jitter(down), jitter(up)];
        let expected = [
            delay(log, false) + delay(log, true),
            loss(log, false),
            loss(log, true),
            jitter_of(log, true),
            jitter_of(log, false),
        ];
        for ((one, recorded), logged) in all.iter_mut().zip(recorded).zip(expected) {
            one.recorded.push(recorded);
            one.logged.push(logged);
        }
        assert_eq!(measured["pair"]["protocol"], "udp");
    }
    assert_eq!(all[0].recorded.len(), CALLS);
    let errors = all.map(|one| (one.name, one.show()));
    for (name, error) in errors {
        assert!(error <= 0.1, "{name} is off by {:.1} %", 100.0 * error);
    }
}

/// The datagrams of each room in the log.
fn passed(path: &std::path::Path) -> BTreeMap<String, Vec<Passed>> {
    let mut rooms: BTreeMap<String, Vec<Passed>> = BTreeMap::new();
    let mut csv = csv::Reader::from_path(path).expect("a log");
    for row in csv.deserialize::<BTreeMap<String, String>>() {
        let row = row.expect("a row");
        let passed = Passed {
            is_rtp: row["kind"] == "rtp",
            is_down: row["direction"] == "down",
            rtp_time: row["rtp_time"].parse().unwrap_or_default(),
            entered: row["entered_ms"].parse().expect("ms"),
            arrives: row["arrives_ms"].parse().ok(),
        };
        rooms.entry(row["room"].clone()).or_default().push(passed);
    }
    rooms
}

/// Mean delay of the datagrams that are not media, in ms: those that round trips are measured by.
fn delay(log: &[Passed], is_down: bool) -> f64 {
    let others = log.iter().filter(|p| !p.is_rtp && p.is_down == is_down);
    let delays: Vec<f64> = others
        .filter_map(|p| Some(p.arrives? - p.entered))
        .collect();
    delays.iter().sum::<f64>() / delays.len() as f64
}

/// Share of the media packets that were lost.
fn loss(log: &[Passed], is_down: bool) -> f64 {
    let media = || log.iter().filter(|p| p.is_rtp && p.is_down == is_down);
    let lost = media().filter(|p| p.arrives.is_none()).count();
    lost as f64 / media().count() as f64
}

/// Mean of RFC 3550's interarrival jitter after each packet, in ms.
fn jitter_of(log: &[Passed], is_down: bool) -> f64 {
    let media = log.iter().filter(|p| p.is_rtp && p.is_down == is_down);
    let mut arrived: Vec<(f64, f64)> = media
        .filter_map(|p| Some((p.arrives?, p.rtp_time / 48.0)))
        .collect();
    arrived.sort_by(|a, b| a.0.total_cmp(&b.0));
    let mut jitter = 0.0;
    let estimates = arrived.windows(2).map(|pair| {
        let later = (pair[1].0 - pair[0].0) - (pair[1].1 - pair[0].1);
        jitter += (later.abs() - jitter) / 16.0;
        jitter
    });
    let estimates: Vec<f64> = estimates.collect();
    estimates.iter().sum::<f64>() / estimates.len() as f64
}
