//! `turns.csv`: one row a turn, warm-up turns included and marked, sentinels' left out.
//!
//! In: turn records. Out: CSV (RFC 4180, but lines end with LF) in UTF-8 with a header. Holds:
//! columns keep their names and order within a version, new ones come last; a spreadsheet takes
//! no text from outside for a formula.

use crate::record::{Ms, TurnRecord};
use std::borrow::Cow;

/// The columns of `turns.csv`, in order.
pub const COLUMNS: [&str; 31] = [
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
];

/// The content of `turns.csv`, rows by call and turn.
pub fn turns(turns: &[TurnRecord]) -> String {
    let mut sorted: Vec<&TurnRecord> = turns.iter().filter(|t| !t.sentinel).collect();
    sorted.sort_by_key(|t| (t.call, t.turn));
    let mut writer = ::csv::Writer::from_writer(Vec::new());
    let mut write = |row: &[Cow<'_, str>; COLUMNS.len()]| {
        writer
            .write_record(row.iter().map(|cell| cell.as_bytes()))
            .expect("rows are of one length and are written to memory");
    };
    write(&COLUMNS.map(Cow::from));
    for turn in sorted {
        write(&row(turn));
    }
    let bytes = writer.into_inner().expect("a flush to memory cannot fail");
    String::from_utf8(bytes).expect("every cell is a string")
}

/// Numbers and words of our own as they are; names and text from outside through [`text`].
fn row(turn: &TurnRecord) -> [Cow<'_, str>; COLUMNS.len()] {
    let flags: Vec<&str> = turn.flags.iter().map(|f| f.name()).collect();
    [
        turn.version.to_string().into(),
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
    ]
}

fn time(ms: Option<Ms>) -> Cow<'static, str> {
    ms.map_or(Cow::default(), |ms| ms.to_string().into())
}

/// A cell that a spreadsheet reads as text: an apostrophe before what it would take for a formula
/// (OWASP, *CSV Injection*).
fn text(cell: &str) -> Cow<'_, str> {
    if cell.starts_with(['=', '+', '-', '@', '\t', '\r', '\n']) {
        Cow::from(format!("'{cell}"))
    } else {
        Cow::from(cell)
    }
}
