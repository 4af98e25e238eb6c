//! How conversations are measured, against the truth of the reference agent on a real server.
//!
//! In: the reference agent with behaviours that it writes into its truth file. Out: the error of
//! each figure, printed; `LOADGEN_FULL=1` makes 500 events of each kind and more. Invariant: what
//! is asserted holds on a busy machine too: outcomes, counts, generous bounds.

use crate::support::reports::{Reports, Row};
use crate::support::{LivekitServer, Loadgen, full, in_repo, truth_by_room};
use crate::{alone, show_errors};
use serde_json::Value;
use std::collections::BTreeMap;
use std::time::Duration;

/// Calls at once.
const CALLS: usize = 20;
/// Maximum error of the median, in ms, on a busy machine.
const BOUND: f64 = 60.0;

/// What happened in one room, by the agent's truth file.
type Told = BTreeMap<String, Vec<Value>>;

/// One kind of conversation.
struct Kind {
    name: &'static str,
    behaviour: &'static str,
    call: &'static str,
    /// Passes of the loop in `call`, with `LOADGEN_FULL=1` and without.
    passes: [usize; 2],
    /// Checks the turns of a run, and returns the errors of each figure in ms.
    check: fn(&[Row], &Told) -> BTreeMap<&'static str, Vec<f64>>,
}

const INTERRUPTIONS: Kind = Kind {
    name: "interruptions",
    behaviour: "{stop: {after: 350ms, ignore: 20%}}",
    call: "{repeat: N, turns: [{say: help, timeout: 6s}, {say: cancel, expect: stop, timeout: 1500ms, \
           start: {after: agent_speech_start, delay: {min: 800ms, max: 1500ms}}}]}",
    passes: [45, 2],
    check: interruptions,
};

const EARLY: Kind = Kind {
    name: "early replies",
    behaviour: "{early: {pauses: 400ms, share: 50%}}",
    call: "{repeat: N, turns: [{say: pausing, timeout: 6s, start: {delay: {min: 300ms, max: 700ms}}}]}",
    passes: [55, 2],
    check: early,
};

const FILLERS: Kind = Kind {
    name: "fillers",
    behaviour: "{filler: {length: 400ms, gap: 900ms, share: 60%}}",
    call: "{repeat: N, turns: [{say: help, timeout: 8s, start: {delay: {min: 300ms, max: 700ms}}}]}",
    passes: [50, 2],
    check: fillers,
};

const BACKCHANNELS: Kind = Kind {
    name: "backchannels",
    behaviour: "{stop: {after: 250ms, ignore: 50%}, resume: {under: 1s, share: 70%, restart: 30%, pause: 600ms}}",
    call: "{repeat: N, turns: [{say: help, timeout: 6s, start: {after: agent_speech_end}}, {say: mhm, expect: ignore, timeout: 2500ms, \
           start: {after: agent_speech_start, delay: {min: 800ms, max: 1500ms}}}]}",
    passes: [40, 2],
    check: backchannels,
};

#[test]
#[ignore = "takes minutes: cargo test --test alone -- --ignored conversations --nocapture"]
fn interruptions_are_measured_as_the_agent_tells_them() {
    measure(&INTERRUPTIONS);
}

#[test]
#[ignore = "takes minutes: cargo test --test alone -- --ignored conversations --nocapture"]
fn early_replies_are_measured_as_the_agent_tells_them() {
    measure(&EARLY);
}

#[test]
#[ignore = "takes minutes: cargo test --test alone -- --ignored conversations --nocapture"]
fn fillers_are_measured_as_the_agent_tells_them() {
    measure(&FILLERS);
}

#[test]
#[ignore = "takes minutes: cargo test --test alone -- --ignored conversations --nocapture"]
fn backchannels_are_measured_as_the_agent_tells_them() {
    measure(&BACKCHANNELS);
}

/// Makes calls of one kind, and compares their records with the truth.
fn measure(kind: &Kind) {
    let _alone = alone();
    let server = LivekitServer::start();
    let (turns, told, invalid) = conversation(&server, kind);
    let errors = (kind.check)(&turns, &told);
    println!(
        "{}: {} turns in {} calls{invalid}",
        kind.name,
        turns.len(),
        told.len()
    );
    for (figure, mut errors) in errors {
        let [median, ..] = show_errors(figure, &mut errors);
        assert!(median < BOUND, "{}: {figure}", kind.name);
    }
}

/// Makes the calls of one kind; returns their turns, the truth, and what makes the run invalid.
fn conversation(server: &LivekitServer, kind: &Kind) -> (Vec<Row>, Told, String) {
    let passes = kind.passes[usize::from(!full())].to_string();
    let scenario = format!(
        "version: 1\nname: conversations\nseed: 5\ntarget: {{kind: livekit, agent_name: polite}}\n\
         utterances:\n  help: {{file: {fixtures}/help.wav}}\n  cancel: {{file: {fixtures}/cancel.wav}}\n  \
         mhm: {{file: {fixtures}/yes.wav, kind: backchannel}}\n  pausing: {{file: pausing.wav}}\n\
         call:\n  greeting: none\n  reply_tone: 1000\n  turns:\n    - {call}\n    - say: help\n\
         load: {{calls: {CALLS}, concurrency: {CALLS}, ramp: 2s}}\nsentinels: off\n",
        fixtures = in_repo("fixtures").display(),
        call = kind.call.replace('N', &passes),
    );
    let run = Loadgen::new(["run", "conversations.yaml", "--out", "run"]).on(server);
    let dir = run.dir().to_owned();
    std::fs::write(dir.join("conversations.yaml"), scenario).expect("writable");
    std::fs::write(dir.join("pausing.wav"), pausing()).expect("writable");
    let truth = dir.join("truth.jsonl");
    let truth_path = truth.display().to_string();
    // Longer than an interruption and its timeout: an agent that finishes has not stopped.
    let length = if kind.name == "fillers" {
        "900ms"
    } else {
        "8s"
    };
    std::fs::write(dir.join("melody.wav"), melody()).expect("writable");
    let melody = dir.join("melody.wav").display().to_string();
    let reply = match kind.name {
        // What was heard before is recognised only in a sound that varies.
        "backchannels" => ["--reply", &melody],
        _ => ["--reply-length", length],
    };
    let agent = Loadgen::agent(
        server,
        &[
            "--agent-name",
            "polite",
            "--delay",
            "400ms",
            reply[0],
            reply[1],
            "--behaviour",
            kind.behaviour,
            "--truth",
            &truth_path,
        ],
    );
    let run = run.deadline(Duration::from_secs(900)).run();
    let reports = Reports::read(&run.dir().join("run"));
    agent.finish();
    let told = truth_by_room(&truth);
    let status = &reports.summary["verdict"]["reasons"];
    let spoken = |row: &&Row| !row["started_ms"].is_empty();
    let turns: Vec<Row> = reports.turns.iter().filter(spoken).cloned().collect();
    assert_eq!(
        turns
            .iter()
            .filter(|row| row["outcome"] == "failed")
            .count(),
        0
    );
    (turns, told, format!(", {status}"))
}

/// Eight seconds of notes without a pause, each of another pitch, level and length than the last.
fn melody() -> Vec<u8> {
    let mut samples = Vec::new();
    let (mut phase, mut note) = (0.0f64, 0u32);
    while samples.len() < 24_000 * 8 {
        note = note.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let part = |shift: u32| f64::from(note >> shift & 0xff) / 255.0;
        let (hz, level) = (200.0 * 8f64.powf(part(8)), 10f64.powf(-part(16)));
        for _ in 0..2_000 + (part(24) * 2_000.0) as usize {
            phase += hz / 24_000.0;
            let x = |harmonic: f64| (phase * harmonic * std::f64::consts::TAU).sin() / harmonic;
            samples.push(((x(1.0) + x(2.0) + x(3.0)) * level * 12_000.0) as i16);
        }
    }
    wav(samples)
}

/// Two sentences with a pause of 800 ms between them.
fn pausing() -> Vec<u8> {
    let read = |name: &str| -> Vec<i16> {
        let file = hound::WavReader::open(in_repo(&format!("fixtures/{name}.wav")));
        let samples = file.expect("a fixture").into_samples();
        samples.map(|sample| sample.expect("a sample")).collect()
    };
    // Each fixture ends with 200 ms of silence.
    let pause = vec![0; 24_000 * 6 / 10];
    wav([read("cancel"), pause, read("opening-hours")].concat())
}

fn wav(samples: Vec<i16>) -> Vec<u8> {
    let spec = hound::WavSpec {
        channels: 1,
        sample_rate: 24_000,
        bits_per_sample: 16,
        sample_format: hound::SampleFormat::Int,
    };
    let mut wav = std::io::Cursor::new(Vec::new());
    let mut writer = hound::WavWriter::new(&mut wav, spec).expect("a header");
    for sample in samples {
        writer.write_sample(sample).expect("a sample");
    }
    writer.finalize().expect("a header");
    wav.into_inner()
}

fn number(row: &Row, field: &str) -> Option<f64> {
    row[field].parse().ok()
}

fn ms(line: &Value, field: &str) -> f64 {
    line[field]
        .as_u64()
        .unwrap_or_else(|| panic!("{field}: {line}")) as f64
        / 1e6
}

/// The lines of one kind about a room, in order.
fn lines<'a>(told: &'a Told, room: &str, events: &[&str]) -> Vec<&'a Value> {
    let all = told.get(room).into_iter().flatten();
    all.filter(|line| events.iter().any(|event| line["event"] == *event))
        .collect()
}

/// The turns of each room that expect something.
fn by_room<'a>(turns: &'a [Row], expect: &str) -> BTreeMap<&'a str, Vec<&'a Row>> {
    let mut rooms: BTreeMap<&str, Vec<&Row>> = BTreeMap::new();
    for row in turns.iter().filter(|row| row["expect"] == expect) {
        rooms.entry(&row["room"]).or_default().push(row);
    }
    for rows in rooms.values_mut() {
        rows.sort_by_key(|row| row["turn"].parse::<usize>().expect("a number"));
    }
    rooms
}

/// Each turn with what the agent did when it heard the turn begin. The agent can hear other turns
/// begin as well, so the two are matched by time; a turn in which the agent was silent has no event.
fn with_events<'a>(
    turns: &'a [Row],
    told: &'a Told,
    room: &str,
    rows: Vec<&'a Row>,
) -> Vec<(&'a Row, &'a Value)> {
    // Both clocks count the same time; the first turn, which is answered, shows their offset.
    let first = by_room(turns, "respond").remove(room);
    let first = first.and_then(|rows| number(rows[0], "speech_end_ms"));
    let reply = lines(told, room, &["reply"]).into_iter().next();
    let (Some(first), Some(reply)) = (first, reply) else {
        return Vec::new();
    };
    let zero = ms(reply, "speech_end_ns") - first;
    let events = lines(told, room, &["stop", "ignored"]);
    let matched = rows.into_iter().filter_map(|row| {
        let instant = |field| number(row, field).expect("spoken") + zero;
        // The agent places the beginning of speech by what it has received.
        let spoken = instant("started_ms") - 300.0..instant("speech_end_ms");
        let of_turn = |event: &&&Value| spoken.contains(&ms(event, "caller_start_ns"));
        Some((row, *events.iter().find(of_turn)?))
    });
    matched.collect()
}

/// Prints a turn that was not judged as the agent tells.
fn tell_apart(same: bool, row: &Row, event: &Value, goes_on: Option<&Value>) {
    if same {
        return;
    }
    let cells = [
        "room",
        "turn",
        "outcome",
        "flags",
        "started_ms",
        "stop_ms",
        "resume_ms",
    ];
    let cells = cells.map(|cell| format!("{cell} {}", row[cell]));
    println!("otherwise: {}; {event} {goes_on:?}", cells.join(", "));
}

fn interruptions(turns: &[Row], told: &Told) -> BTreeMap<&'static str, Vec<f64>> {
    let mut errors: BTreeMap<&'static str, Vec<f64>> = BTreeMap::new();
    let (mut right, mut wrong) = (0, 0);
    for (room, rows) in by_room(turns, "stop") {
        for (row, event) in with_events(turns, told, room, rows) {
            let obeyed = event["event"] == "stop";
            let same = (row["outcome"] == "replied") == obeyed;
            tell_apart(same, row, event, None);
            (right, wrong) = (right + usize::from(same), wrong + usize::from(!same));
            if !obeyed || !same {
                continue;
            }
            let truth = ms(event, "last_audible_ns") - ms(event, "caller_start_ns");
            let (wire, ear) = (number(row, "stop_wire_ms"), number(row, "stop_ms"));
            let (wire, ear) = wire.zip(ear).expect("a stop");
            errors
                .entry("stop_wire")
                .or_default()
                .push((wire - truth).abs());
            let overlap = number(row, "overlap_ms").expect("an overlap");
            // The caller hears the end later than it arrives.
            let truth = truth + (ear - wire);
            errors
                .entry("overlap")
                .or_default()
                .push((overlap - truth).abs());
        }
    }
    println!("interruptions: {right} judged as the agent tells, {wrong} otherwise");
    assert!(wrong * 20 <= right, "{wrong} of {}", wrong + right);
    errors
}

fn early(turns: &[Row], told: &Told) -> BTreeMap<&'static str, Vec<f64>> {
    let mut errors: BTreeMap<&'static str, Vec<f64>> = BTreeMap::new();
    let (mut found, mut lost, mut invented) = (0, 0, 0);
    for (room, rows) in by_room(turns, "respond") {
        let early = lines(told, room, &["early"]);
        let replies = lines(told, room, &["reply"]);
        // Both clocks count the same time; the last turn, which has no pause, shows their offset.
        let (Some(row), Some(reply)) = (rows.last(), replies.last()) else {
            continue;
        };
        assert_eq!(row["utterance"], "help");
        let zero = ms(reply, "speech_end_ns") - number(row, "speech_end_ms").expect("spoken");
        for row in rows.into_iter().filter(|row| row["utterance"] == "pausing") {
            let instant = |field| number(row, field).expect("spoken") + zero;
            let (start, end) = (instant("started_ms"), instant("speech_end_ms"));
            let within = |line: &&&Value| (start..end).contains(&ms(line, "pause_start_ns"));
            match (early.iter().find(within), row["outcome"] == "early") {
                (Some(line), true) => {
                    found += 1;
                    let reply = replies.iter().find(|reply| reply["turn"] == line["turn"]);
                    let by = number(row, "early_by_ms").expect("early");
                    let truth = end - audible(reply.expect("an early reply"));
                    errors
                        .entry("early_by")
                        .or_default()
                        .push((by - truth).abs());
                    let pause = number(row, "early_pause_ms").expect("a pause");
                    let truth = ms(line, "pause_end_ns") - ms(line, "pause_start_ns");
                    errors
                        .entry("pause")
                        .or_default()
                        .push((pause - truth).abs());
                }
                (Some(_), false) => lost += 1,
                (None, true) => invented += 1,
                (None, false) => {}
            }
        }
    }
    println!("early replies: {found} found, {lost} not found, {invented} invented");
    assert!(
        found > 0 && (lost + invented) * 20 <= found,
        "{found} {lost} {invented}"
    );
    errors
}

/// When a reply's first audible sample left, in ms of the agent's clock.
fn audible(reply: &Value) -> f64 {
    ms(reply, "reply_packet_ns") + reply["onset_offset_ms"].as_f64().expect("ms")
}

fn fillers(turns: &[Row], told: &Told) -> BTreeMap<&'static str, Vec<f64>> {
    let mut errors: BTreeMap<&'static str, Vec<f64>> = BTreeMap::new();
    let (mut right, mut wrong) = (0, 0);
    for (room, rows) in by_room(turns, "respond") {
        let replies = lines(told, room, &["reply"]);
        assert_eq!(replies.len(), rows.len(), "{room}");
        for (row, reply) in rows.into_iter().zip(replies) {
            let of = |event| {
                let mut lines = lines(told, room, &[event]).into_iter();
                lines.find(|line| line["turn"] == reply["turn"])
            };
            let audible = audible(reply);
            let answered = of("answer").map_or(audible, |line| ms(line, "audible_ns"));
            let truth = answered - ms(reply, "speech_end_ns");
            let heard = number(row, "answer_wire_ms");
            let wire = number(row, "ttfa_wire_ms");
            let (Some(heard), Some(wire)) = (heard, wire) else {
                continue;
            };
            let same = (heard - wire > 1.0) == of("answer").is_some();
            (right, wrong) = (right + usize::from(same), wrong + usize::from(!same));
            errors
                .entry("answer_wire")
                .or_default()
                .push((heard - truth).abs());
            let truth = audible - ms(reply, "speech_end_ns");
            errors
                .entry("ttfa_wire")
                .or_default()
                .push((wire - truth).abs());
        }
    }
    println!("fillers: {right} told from answers, {wrong} not");
    assert!(wrong * 20 <= right, "{wrong} of {}", wrong + right);
    errors
}

fn backchannels(turns: &[Row], told: &Told) -> BTreeMap<&'static str, Vec<f64>> {
    let mut errors: BTreeMap<&'static str, Vec<f64>> = BTreeMap::new();
    let (mut right, mut wrong) = (0, 0);
    let mut told_as: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    for (room, rows) in by_room(turns, "ignore") {
        let resumed = lines(told, room, &["resumed", "restarted"]);
        for (row, event) in with_events(turns, told, room, rows) {
            let stopped = event["event"] == "stop";
            let goes_on = resumed
                .iter()
                .find(|line| line["caller_start_ns"] == event["caller_start_ns"]);
            let heard = number(row, "resume_ms");
            let same =
                (row["outcome"] == "missed") == stopped && heard.is_some() == goes_on.is_some();
            tell_apart(same, row, event, goes_on.copied());
            (right, wrong) = (right + usize::from(same), wrong + usize::from(!same));
            if let (Some(line), Some(heard)) = (goes_on, heard) {
                let truth = match line["event"] == "restarted" {
                    true => "began_anew",
                    false => "went_on",
                };
                *told_as.entry((truth, &row["resumed"])).or_default() += 1;
                let truth = ms(line, "audible_ns") - ms(event, "last_audible_ns");
                errors
                    .entry("resume")
                    .or_default()
                    .push((heard - truth).abs());
            }
        }
    }
    println!("backchannels: {right} judged as the agent tells, {wrong} otherwise");
    assert!(wrong * 20 <= right, "{wrong} of {}", wrong + right);
    println!("resumed (as it was, as it was told): {told_as:?}");
    let count = |same: fn(&str, &str) -> bool| -> usize {
        let counted = told_as.iter().filter(|((was, told), _)| same(was, told));
        counted.map(|(_, count)| count).sum()
    };
    let same = count(|was, told| was == told);
    let other = count(|was, told| was != told && told != "unknown");
    assert!(same > 0 && other * 20 <= same, "{told_as:?}");
    errors
}
