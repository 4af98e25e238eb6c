//! `turns.csv` and `calls.csv`: one row per turn or call. Warm-up calls are included and marked;
//! sentinel calls are left out.
//!
//! In: records. Out: CSV (RFC 4180, but lines end with LF) in UTF-8 with a header. Invariants:
//! within a version, columns keep their names and order, and new ones are added last; a
//! spreadsheet never interprets text from outside as a formula.

use crate::record::{
    AgentAccount, CALL_VERSION, CallOutcome, CallRecord, ConnectionRecord, ConversationRecord, Ms,
    ReplyAudio, TURN_VERSION, TurnRecord, WordErrors,
};
use crate::vocab::{Resumed, StereoDefect};
use std::borrow::Cow;

/// A column of a file: its name, and how to get its cell from a record.
pub(crate) struct Column<R> {
    /// Name in the header.
    pub name: &'static str,
    /// Formats the cell. loadgen's own numbers and words are unchanged; names and text from outside
    /// go through [`text`].
    cell: for<'a> fn(&'a R) -> Cow<'a, str>,
}

/// The columns of `turns.csv`, in order.
#[rustfmt::skip]
pub(crate) const COLUMNS: &[Column<TurnRecord>] = &[
    Column { name: "version", cell: |_| TURN_VERSION.to_string().into() },
    Column { name: "call", cell: |t| t.call.to_string().into() },
    Column { name: "room", cell: |t| text(&t.room) },
    Column { name: "turn", cell: |t| t.turn.to_string().into() },
    Column { name: "utterance", cell: |t| text(&t.utterance) },
    Column { name: "variant", cell: |t| text(&t.variant) },
    Column { name: "warmup", cell: |t| t.warmup.to_string().into() },
    Column { name: "expect", cell: |t| t.expect.name().into() },
    Column { name: "outcome", cell: |t| t.outcome.name().into() },
    Column { name: "planned_ms", cell: |t| plain(t.planned_ms) },
    Column { name: "started_ms", cell: |t| plain(t.started_ms) },
    Column { name: "speech_end_ms", cell: |t| plain(t.speech_end_ms) },
    Column { name: "ttfa_ms", cell: |t| plain(t.ttfa_ms) },
    Column { name: "ttfa_wire_ms", cell: |t| plain(t.ttfa_wire_ms) },
    Column { name: "playout_ms", cell: |t| plain(t.playout_ms) },
    Column { name: "playout_model", cell: |t| text(t.playout_model.as_deref().unwrap_or_default()) },
    Column { name: "stop_ms", cell: |t| plain(t.stop_ms) },
    Column { name: "early_by_ms", cell: |t| plain(t.early_by_ms) },
    Column { name: "reply_end_ms", cell: |t| plain(t.reply_end_ms) },
    Column { name: "send_lateness_ms", cell: |t| plain(t.send_lateness_ms) },
    Column { name: "snr_db", cell: |t| plain(t.snr_db) },
    Column { name: "confidence", cell: |t| t.confidence.map_or("", |c| c.name()).into() },
    Column { name: "loss_earlier_ms", cell: |t| plain(t.loss_earlier_ms) },
    Column { name: "flags", cell: |t| t.flags.iter().map(|f| f.name()).collect::<Vec<_>>().join(" ").into() },
    Column { name: "failure", cell: |t| text(t.failure.as_deref().unwrap_or_default()) },
    Column { name: "first_packet_ms", cell: |t| plain(t.first_packet_ms) },
    Column { name: "lead_in_ms", cell: |t| plain(t.lead_in_ms) },
    Column { name: "second_opinion", cell: |t| plain(t.second_opinion) },
    Column { name: "second_apart_ms", cell: |t| plain(t.second_apart_ms) },
    Column { name: "loss_later_ms", cell: |t| plain(t.loss_later_ms) },
    Column { name: "block", cell: |t| plain(t.block) },
    Column { name: "late_reply_ms", cell: |t| plain(t.late_reply_ms) },
    Column { name: "ttfa_wire_low_ms", cell: |t| plain(t.ttfa_wire_low_ms) },
    Column { name: "ttfa_wire_high_ms", cell: |t| plain(t.ttfa_wire_high_ms) },
    Column { name: "stop_low_ms", cell: |t| plain(t.stop_low_ms) },
    Column { name: "stop_high_ms", cell: |t| plain(t.stop_high_ms) },
    Column { name: "agent_track", cell: |t| text(t.agent_track.as_deref().unwrap_or_default()) },
    Column { name: "track_changed_ms", cell: |t| plain(t.track_changed_ms) },
    Column { name: "waited_ms", cell: |t| plain(t.waited_ms) },
    Column { name: "agent_heard_end_ms", cell: |t| said(t, |a| a.heard_end_ms) },
    Column { name: "agent_started_speaking_ms", cell: |t| said(t, |a| a.started_speaking_ms) },
    Column { name: "agent_clock_width_ms", cell: |t| said(t, |a| a.clock_width_ms) },
    Column { name: "transcription_delay_ms", cell: |t| said(t, |a| a.transcription_delay_ms) },
    Column { name: "end_of_turn_delay_ms", cell: |t| said(t, |a| a.end_of_turn_delay_ms) },
    Column { name: "on_user_turn_completed_delay_ms", cell: |t| said(t, |a| a.on_user_turn_completed_delay_ms) },
    Column { name: "llm_node_ttft_ms", cell: |t| said(t, |a| a.llm_node_ttft_ms) },
    Column { name: "llm_node_ttfs_ms", cell: |t| said(t, |a| a.llm_node_ttfs_ms) },
    Column { name: "tts_node_ttfb_ms", cell: |t| said(t, |a| a.tts_node_ttfb_ms) },
    Column { name: "e2e_latency_ms", cell: |t| said(t, |a| a.e2e_latency_ms) },
    Column { name: "unexplained_ms", cell: |t| said(t, |a| a.unexplained_ms) },
    Column { name: "transcript_delay_ms", cell: |t| said(t, |a| a.transcript_delay_ms) },
    Column { name: "blind_spot_ms", cell: |t| said(t, |a| a.blind_spot_ms) },
    Column { name: "blind_spot_front_ms", cell: |t| said(t, |a| a.blind_spot_front_ms) },
    Column { name: "blind_spot_back_ms", cell: |t| said(t, |a| a.blind_spot_back_ms) },
    Column { name: "agent_model_asked_ms", cell: |t| said(t, |a| a.model_asked_ms) },
    Column { name: "tool_call_ms", cell: |t| said(t, |a| a.tool_call_ms) },
    Column { name: "path", cell: path },
    Column { name: "words", cell: |t| plain(heard(t).map(|e| e.words)) },
    Column { name: "word_errors", cell: |t| plain(heard(t).map(|e| e.errors)) },
    Column { name: "reply_words", cell: |t| plain(replied(t).map(|e| e.words)) },
    Column { name: "reply_word_errors", cell: |t| plain(replied(t).map(|e| e.errors)) },
    Column { name: "reply_matches", cell: |t| plain(t.agent.as_ref().and_then(|a| a.reply_matches)) },
    Column { name: "text_ttft_ms", cell: |t| plain(t.text_ttft_ms) },
    Column { name: "text_reply_ms", cell: |t| plain(t.text_reply_ms) },
    Column { name: "stop_wire_ms", cell: |t| plain(t.stop_wire_ms) },
    Column { name: "resume_ms", cell: |t| plain(t.resume_ms) },
    Column { name: "answer_ms", cell: |t| plain(t.answer_ms) },
    Column { name: "answer_wire_ms", cell: |t| plain(t.answer_wire_ms) },
    Column { name: "overlap_ms", cell: |t| talked(t, |c| Some(c.floor.overlap_ms)) },
    Column { name: "awkward_ms", cell: |t| talked(t, |c| Some(c.awkward.total_ms)) },
    Column { name: "spurts", cell: |t| plain(t.conversation.as_ref().map(|c| c.spurts.len())) },
    Column { name: "early_pause_ms", cell: |t| talked(t, |c| c.early_pause_ms) },
    Column { name: "kind", cell: |t| t.kind.map_or("", |kind| kind.name()).into() },
    Column { name: "hang_up_ms", cell: |t| plain(t.hang_up_ms) },
    Column { name: "network", cell: |t| t.network.as_deref().map_or("".into(), text) },
    Column { name: "sender_stall_ms", cell: |t| audio(t, |a| a.sender_stalls.longest_ms) },
    Column { name: "network_stall_ms", cell: |t| audio(t, |a| a.network_stalls.longest_ms) },
    Column { name: "underrun_ms", cell: |t| audio(t, |a| a.underruns.total_ms) },
    Column { name: "burst_ms", cell: |t| audio(t, |a| a.bursts.longest_ms) },
    Column { name: "truncated_head", cell: |t| audio(t, |a| a.truncated_head) },
    Column { name: "truncated_tail", cell: |t| audio(t, |a| a.truncated_tail) },
    Column { name: "clipped", cell: |t| audio(t, |a| a.clipped) },
    Column { name: "level_dbfs", cell: |t| plain(t.reply_audio.and_then(|a| a.level_dbfs)) },
    Column { name: "level_jump_db", cell: |t| plain(t.reply_audio.and_then(|a| a.level_jump_db)) },
    Column { name: "stereo", cell: |t| t.reply_audio.and_then(|a| a.stereo).map_or("", StereoDefect::name).into() },
    Column { name: "resumed", cell: |t| t.resumed.map_or("", Resumed::name).into() },
];

/// The columns of `calls.csv`, in order.
#[rustfmt::skip]
pub(crate) const CALL_COLUMNS: &[Column<CallRecord>] = &[
    Column { name: "version", cell: |_| CALL_VERSION.to_string().into() },
    Column { name: "call", cell: |c| c.call.to_string().into() },
    Column { name: "room", cell: |c| text(&c.room) },
    Column { name: "variant", cell: |c| text(&c.variant) },
    Column { name: "warmup", cell: |c| c.warmup.to_string().into() },
    Column { name: "planned_start_ms", cell: |c| plain(Some(c.planned_start_ms)) },
    Column { name: "started_ms", cell: |c| plain(c.started_ms) },
    Column { name: "lateness_ms", cell: |c| plain(c.lateness_ms) },
    Column { name: "join_ms", cell: |c| plain(c.join_ms) },
    Column { name: "agent_present_ms", cell: |c| plain(c.agent_present_ms) },
    Column { name: "agent_audible_ms", cell: |c| plain(c.agent_audible_ms) },
    Column { name: "greeting_ms", cell: |c| plain(c.greeting_ms) },
    Column { name: "ended_ms", cell: |c| plain(c.ended_ms) },
    Column { name: "failure", cell: |c| text(c.failure.as_ref().map_or("", |f| &f.cause)) },
    Column { name: "failure_message", cell: |c| text(c.failure.as_ref().map_or("", |f| &f.message)) },
    Column { name: "echoes", cell: |c| c.echoes.to_string().into() },
    Column { name: "turns_planned", cell: |c| c.turns.planned.to_string().into() },
    Column { name: "turns_replied", cell: |c| c.turns.replied.to_string().into() },
    Column { name: "turns_missed", cell: |c| c.turns.missed.to_string().into() },
    Column { name: "turns_early", cell: |c| c.turns.early.to_string().into() },
    Column { name: "turns_failed", cell: |c| c.turns.failed.to_string().into() },
    Column { name: "block", cell: |c| plain(c.block) },
    Column { name: "outcome", cell: |c| c.ended_as().map_or("", CallOutcome::name).into() },
    Column { name: "turns_cut_off", cell: |c| c.turns.cut_off.to_string().into() },
    Column { name: "turns_not_run", cell: |c| c.turns.not_run.to_string().into() },
    Column { name: "turns_skipped", cell: |c| c.turns.skipped.to_string().into() },
    Column { name: "rtt_ms", cell: |c| measured(c, |m| m.rtt_ms()) },
    Column { name: "rtt_max_ms", cell: |c| measured(c, |m| m.longest_rtt_ms()) },
    Column { name: "jitter_up_ms", cell: |c| measured(c, |m| Some(m.up.jitter?.mean_ms)) },
    Column { name: "jitter_down_ms", cell: |c| measured(c, |m| m.jitter_down_ms()) },
    Column { name: "packets_expected_up", cell: |c| measured(c, |m| Some(m.up.expected)) },
    Column { name: "packets_lost_up", cell: |c| measured(c, |m| Some(m.up.lost)) },
    Column { name: "packets_expected_down", cell: |c| measured(c, |m| Some(m.down.stream.expected)) },
    Column { name: "packets_lost_down", cell: |c| measured(c, |m| Some(m.down.stream.lost)) },
    Column { name: "packets_reordered", cell: |c| measured(c, |m| Some(m.down.reordered)) },
    Column { name: "packets_repeated", cell: |c| measured(c, |m| Some(m.down.repeated)) },
    Column { name: "packets_late", cell: |c| measured(c, |m| Some(m.down.late)) },
    Column { name: "concealed_ms", cell: |c| measured(c, |m| Some(m.down.concealed_ms)) },
    Column { name: "bitrate_up", cell: |c| measured(c, |m| m.up.bitrate) },
    Column { name: "bitrate_down", cell: |c| measured(c, |m| m.down.stream.bitrate) },
    Column { name: "codec_up", cell: |c| measured(c, |m| m.up.codec.clone()) },
    Column { name: "codec_down", cell: |c| measured(c, |m| m.down.stream.codec.clone()) },
    Column { name: "candidates", cell: |c| measured(c, |m| m.candidates()) },
    Column { name: "quality_worst", cell: |c| measured(c, |m| Some(m.quality.as_ref()?.worst.clone())) },
    Column { name: "quality_last", cell: |c| measured(c, |m| Some(m.quality.as_ref()?.last.clone())) },
];

/// Renders `turns.csv`, with rows sorted by call and turn.
pub fn turns(turns: &[TurnRecord]) -> String {
    let mut sorted: Vec<&TurnRecord> = turns.iter().filter(|t| !t.sentinel).collect();
    sorted.sort_by_key(|t| (t.call, t.turn));
    written(COLUMNS, &sorted)
}

/// Renders `calls.csv`, with rows sorted by call.
pub fn calls(calls: &[CallRecord]) -> String {
    let mut sorted: Vec<&CallRecord> = calls.iter().collect();
    sorted.sort_by_key(|c| c.call);
    written(CALL_COLUMNS, &sorted)
}

fn written<R>(columns: &[Column<R>], records: &[&R]) -> String {
    let mut writer = ::csv::Writer::from_writer(Vec::new());
    let same = "rows have equal lengths and are written to memory";
    writer
        .write_record(columns.iter().map(|column| column.name))
        .expect(same);
    for record in records {
        let cells = columns.iter().map(|column| (column.cell)(record));
        let row: Vec<Cow<'_, str>> = cells.collect();
        writer
            .write_record(row.iter().map(|cell| cell.as_bytes()))
            .expect(same);
    }
    let bytes = writer.into_inner().expect("a flush to memory cannot fail");
    String::from_utf8(bytes).expect("every cell is a string")
}

/// The value as text, or an empty cell if there is none.
fn plain<T: ToString>(value: Option<T>) -> Cow<'static, str> {
    value.map_or(Cow::default(), |value| value.to_string().into())
}

/// A cell about who spoke when in a turn.
fn talked(turn: &TurnRecord, of: fn(&ConversationRecord) -> Option<Ms>) -> Cow<'static, str> {
    plain(turn.conversation.as_ref().and_then(of))
}

/// A time from the agent's account of the turn.
fn said(turn: &TurnRecord, of: fn(&AgentAccount) -> Option<Ms>) -> Cow<'static, str> {
    plain(turn.agent.as_ref().and_then(of))
}

/// The critical path as `end_of_turn 731.2; llm 452.0`, in ms.
fn path(turn: &TurnRecord) -> Cow<'static, str> {
    let path = turn.agent.iter().flat_map(|a| &a.path);
    let steps = path.map(|step| format!("{} {}", step.step.name(), step.ms));
    steps.collect::<Vec<_>>().join("; ").into()
}

/// A property of the reply's audio; empty if no talk spurt began in the turn.
fn audio<T: ToString>(turn: &TurnRecord, of: fn(&ReplyAudio) -> T) -> Cow<'static, str> {
    plain(turn.reply_audio.as_ref().map(of))
}

/// A figure of the call's connection; empty if none was measured. The words come from a record that
/// may have been edited, so they are made safe for a spreadsheet.
fn measured<T: ToString>(
    call: &CallRecord,
    of: fn(&ConnectionRecord) -> Option<T>,
) -> Cow<'static, str> {
    let figure = call.connection.as_ref().and_then(|c| of(c));
    figure.map_or(Cow::default(), |figure| {
        text(&figure.to_string()).into_owned().into()
    })
}

fn heard(turn: &TurnRecord) -> Option<WordErrors> {
    turn.agent.as_ref()?.heard_errors
}

fn replied(turn: &TurnRecord) -> Option<WordErrors> {
    turn.agent.as_ref()?.reply_errors
}

/// Makes a spreadsheet read the cell as text: prefixes an apostrophe if the cell would be
/// interpreted as a formula (OWASP, *CSV Injection*).
fn text(cell: &str) -> Cow<'_, str> {
    if cell.starts_with(['=', '+', '-', '@', '\t', '\r', '\n']) {
        Cow::from(format!("'{cell}"))
    } else {
        Cow::from(cell)
    }
}
