//! `turns.csv` and `calls.csv`: one row per turn or call. Warm-up calls are included and marked;
//! sentinel calls are left out.
//!
//! In: records. Out: CSV (RFC 4180, but lines end with LF) in UTF-8 with a header. Invariants:
//! within a version columns keep their names and order, and new ones are added last; a
//! spreadsheet never takes text from outside for a formula.

use crate::record::{CALL_VERSION, CallOutcome, CallRecord, Ms, TURN_VERSION, TurnRecord};
use std::borrow::Cow;

/// The columns of `turns.csv`, in order.
pub const COLUMNS: [&str; 39] = [
    "version",
    "call",
    "room",
    "turn",
    "utterance",
    "variant",
    "warmup",
    "expect",
    "outcome",
    "planned_ms",
    "started_ms",
    "speech_end_ms",
    "ttfa_ms",
    "ttfa_wire_ms",
    "playout_ms",
    "playout_model",
    "stop_ms",
    "early_by_ms",
    "reply_end_ms",
    "send_lateness_ms",
    "snr_db",
    "confidence",
    "loss_earlier_ms",
    "flags",
    "failure",
    "first_packet_ms",
    "lead_in_ms",
    "second_opinion",
    "second_apart_ms",
    "loss_later_ms",
    "block",
    "late_reply_ms",
    "ttfa_wire_low_ms",
    "ttfa_wire_high_ms",
    "stop_low_ms",
    "stop_high_ms",
    "agent_track",
    "track_changed_ms",
    "waited_ms",
];

/// The columns of `calls.csv`, in order.
pub const CALL_COLUMNS: [&str; 25] = [
    "version",
    "call",
    "room",
    "variant",
    "warmup",
    "planned_start_ms",
    "started_ms",
    "lateness_ms",
    "join_ms",
    "agent_present_ms",
    "agent_audible_ms",
    "greeting_ms",
    "ended_ms",
    "failure",
    "failure_message",
    "echoes",
    "turns_planned",
    "turns_replied",
    "turns_missed",
    "turns_early",
    "turns_failed",
    "block",
    "outcome",
    "turns_cut_off",
    "turns_not_run",
];

/// Renders `turns.csv`, with rows sorted by call and turn.
pub fn turns(turns: &[TurnRecord]) -> String {
    let mut sorted: Vec<&TurnRecord> = turns.iter().filter(|t| !t.sentinel).collect();
    sorted.sort_by_key(|t| (t.call, t.turn));
    written(&COLUMNS, sorted.into_iter().map(turn_row))
}

/// Renders `calls.csv`, with rows sorted by call.
pub fn calls(calls: &[CallRecord]) -> String {
    let mut sorted: Vec<&CallRecord> = calls.iter().collect();
    sorted.sort_by_key(|c| c.call);
    written(&CALL_COLUMNS, sorted.into_iter().map(call_row))
}

fn written<'a, const N: usize>(
    columns: &[&str; N],
    rows: impl Iterator<Item = [Cow<'a, str>; N]>,
) -> String {
    let mut writer = ::csv::Writer::from_writer(Vec::new());
    let mut write = |row: &[Cow<'_, str>; N]| {
        writer
            .write_record(row.iter().map(|cell| cell.as_bytes()))
            .expect("rows are of one length and are written to memory");
    };
    write(&columns.map(Cow::from));
    rows.for_each(|row| write(&row));
    let bytes = writer.into_inner().expect("a flush to memory cannot fail");
    String::from_utf8(bytes).expect("every cell is a string")
}

fn call_row(call: &CallRecord) -> [Cow<'_, str>; CALL_COLUMNS.len()] {
    let failure = call.failure.as_ref();
    let turns = &call.turns;
    [
        CALL_VERSION.to_string().into(),
        call.call.to_string().into(),
        text(&call.room),
        text(&call.variant),
        call.warmup.to_string().into(),
        time(Some(call.planned_start_ms)),
        time(call.started_ms),
        time(call.lateness_ms),
        time(call.join_ms),
        time(call.agent_present_ms),
        time(call.agent_audible_ms),
        time(call.greeting_ms),
        time(call.ended_ms),
        failure.map_or(Cow::default(), |f| text(&f.cause)),
        failure.map_or(Cow::default(), |f| text(&f.message)),
        call.echoes.to_string().into(),
        turns.planned.to_string().into(),
        turns.replied.to_string().into(),
        turns.missed.to_string().into(),
        turns.early.to_string().into(),
        turns.failed.to_string().into(),
        call.block
            .map_or(Cow::default(), |block| block.to_string().into()),
        call.ended_as().map_or("", CallOutcome::name).into(),
        turns.cut_off.to_string().into(),
        turns.not_run.to_string().into(),
    ]
}

/// Our own numbers and words are written as they are; text from outside goes through [`text`].
fn turn_row(turn: &TurnRecord) -> [Cow<'_, str>; COLUMNS.len()] {
    let flags: Vec<&str> = turn.flags.iter().map(|f| f.name()).collect();
    [
        TURN_VERSION.to_string().into(),
        turn.call.to_string().into(),
        text(&turn.room),
        turn.turn.to_string().into(),
        text(&turn.utterance),
        text(&turn.variant),
        turn.warmup.to_string().into(),
        turn.expect.name().into(),
        turn.outcome.name().into(),
        time(turn.planned_ms),
        time(turn.started_ms),
        time(turn.speech_end_ms),
        time(turn.ttfa_ms),
        time(turn.ttfa_wire_ms),
        time(turn.playout_ms),
        turn.playout_model.as_deref().map_or(Cow::default(), text),
        time(turn.stop_ms),
        time(turn.early_by_ms),
        time(turn.reply_end_ms),
        time(turn.send_lateness_ms),
        turn.snr_db
            .map_or(Cow::default(), |db| db.to_string().into()),
        turn.confidence.map_or("", |c| c.name()).into(),
        time(turn.loss_earlier_ms),
        flags.join(" ").into(),
        turn.failure.as_deref().map_or(Cow::default(), text),
        time(turn.first_packet_ms),
        time(turn.lead_in_ms),
        turn.second_opinion
            .map_or(Cow::default(), |agreed| agreed.to_string().into()),
        time(turn.second_apart_ms),
        time(turn.loss_later_ms),
        turn.block.map_or(Cow::default(), |n| n.to_string().into()),
        time(turn.late_reply_ms),
        time(turn.ttfa_wire_low_ms),
        time(turn.ttfa_wire_high_ms),
        time(turn.stop_low_ms),
        time(turn.stop_high_ms),
        turn.agent_track.as_deref().map_or(Cow::default(), text),
        time(turn.track_changed_ms),
        time(turn.waited_ms),
    ]
}

fn time(ms: Option<Ms>) -> Cow<'static, str> {
    ms.map_or(Cow::default(), |ms| ms.to_string().into())
}

/// Makes a spreadsheet read the cell as text: prefixes an apostrophe if it would be taken for a
/// formula (OWASP, *CSV Injection*).
fn text(cell: &str) -> Cow<'_, str> {
    if cell.starts_with(['=', '+', '-', '@', '\t', '\r', '\n']) {
        Cow::from(format!("'{cell}"))
    } else {
        Cow::from(cell)
    }
}
