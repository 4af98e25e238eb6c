//! Calls and turns as OpenTelemetry spans.
//!
//! In: records as they are completed, and the wall-clock time of the run's start. Out: spans.
//! Invariants: a turn's span is a child of its call's span, and the parts of a turn are children
//! of the turn's span; a part that was not measured has no span. The steps of the critical path
//! are children of the turn's `account` span and follow one another without a gap.

use crate::record::{CallRecord, Ms, Outcome, Step, TurnRecord};
use crate::vocab::Metric;
use opentelemetry::trace::{
    SpanContext, SpanId, SpanKind, Status, TraceFlags, TraceId, TraceState,
};
use opentelemetry::{Array, InstrumentationScope, Key, KeyValue, StringValue, Value};
use opentelemetry_sdk::trace::{SpanData, SpanEvents, SpanLinks};
use std::time::{Duration, SystemTime};

/// Maximum length of a name from outside, in characters.
const LONGEST: usize = 200;

/// Builds the spans of one run.
#[derive(Debug, Clone)]
pub(crate) struct Spans {
    /// Wall-clock time at the zero of the records' clock.
    origin: SystemTime,
    /// Random, so that no two runs share an id.
    run: u128,
    scope: InstrumentationScope,
}

/// The part of a call that a span covers; the span's id is derived from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Call,
    Join,
    Turn(usize),
    Speech(usize),
    Wait(usize),
    Playout(usize),
    Reply(usize),
    /// From the sending of a text to the first piece of the reply's text.
    TextWait(usize),
    Account(usize),
    /// A step of the critical path: index of the turn, position in the path, step.
    Step(usize, usize, Step),
}

impl Part {
    fn name(self) -> &'static str {
        match self {
            Self::Call => "call",
            Self::Join => "join",
            Self::Turn(_) => "turn",
            Self::Speech(_) => "speech",
            Self::Wait(_) => "wait to onset",
            Self::Playout(_) => "playout",
            Self::Reply(_) => "reply",
            Self::TextWait(_) => "wait to first token",
            Self::Account(_) => "account",
            Self::Step(_, _, step) => step.words(),
        }
    }

    fn number(self) -> u64 {
        let (turn, part) = match self {
            Self::Call => (0, 0),
            Self::Join => (0, 1),
            Self::Turn(turn) => (turn, 2),
            Self::Speech(turn) => (turn, 3),
            Self::Wait(turn) => (turn, 4),
            Self::Playout(turn) => (turn, 5),
            Self::Reply(turn) => (turn, 6),
            Self::Account(turn) => (turn, 7),
            Self::TextWait(turn) => (turn, 8),
            Self::Step(turn, nth, _) => (turn, 16 + nth as u64),
        };
        (turn as u64) << 32 | part
    }

    fn parent(self) -> Option<Self> {
        match self {
            Self::Call => None,
            Self::Join | Self::Turn(_) => Some(Self::Call),
            Self::Speech(turn)
            | Self::Wait(turn)
            | Self::Playout(turn)
            | Self::Reply(turn)
            | Self::TextWait(turn)
            | Self::Account(turn) => Some(Self::Turn(turn)),
            Self::Step(turn, ..) => Some(Self::Account(turn)),
        }
    }
}

/// A bijective 64-bit mixing function (the finaliser of SplitMix64).
fn mix(n: u64) -> u64 {
    let n = (n ^ (n >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let n = (n ^ (n >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    n ^ (n >> 31)
}

fn bounded(name: &str) -> Value {
    let name: String = name.chars().take(LONGEST).collect();
    name.into()
}

/// One attribute per latency that was measured.
fn latencies(of: impl Fn(Metric) -> Option<Ms>) -> impl Iterator<Item = KeyValue> {
    let found = Metric::ALL.iter().map(move |m| (m, of(*m)));
    found.filter_map(|(m, figure)| ms(format!("loadgen.{}_ms", m.name()), figure))
}

fn ms(name: impl Into<Key>, ms: Option<Ms>) -> Option<KeyValue> {
    Some(KeyValue::new(name, ms?.as_f64()))
}

impl Spans {
    /// `origin` is the wall-clock time at the zero of the records' clock; `run` is random.
    pub(crate) fn new(origin: SystemTime, run: u128) -> Self {
        let scope = InstrumentationScope::builder("loadgen")
            .with_version(env!("CARGO_PKG_VERSION"))
            .build();
        Self { origin, run, scope }
    }

    fn trace(&self, call: usize) -> TraceId {
        let low = mix(self.run as u64 ^ call as u64);
        let id = self.run >> 64 << 64 | u128::from(low);
        TraceId::from(id.max(1))
    }

    /// Span ids only have to be unique within their trace.
    fn id(&self, call: usize, part: Part) -> SpanId {
        let of_call = mix((self.run >> 64) as u64 ^ call as u64);
        SpanId::from(mix(of_call ^ part.number()).max(1))
    }

    fn at(&self, at: Ms) -> SystemTime {
        let micros = at.micros();
        let by = Duration::from_micros(micros.unsigned_abs());
        match micros < 0 {
            true => self.origin.checked_sub(by),
            false => self.origin.checked_add(by),
        }
        .unwrap_or(self.origin)
    }

    fn span(&self, call: usize, part: Part, (start, end): (Ms, Ms)) -> SpanData {
        let parent = part.parent().map(|p| self.id(call, p));
        SpanData {
            span_context: SpanContext::new(
                self.trace(call),
                self.id(call, part),
                TraceFlags::SAMPLED,
                false,
                TraceState::NONE,
            ),
            parent_span_id: parent.unwrap_or(SpanId::INVALID),
            parent_span_is_remote: false,
            span_kind: SpanKind::Internal,
            name: part.name().into(),
            start_time: self.at(start),
            end_time: self.at(end.max(start)),
            attributes: Vec::new(),
            dropped_attributes_count: 0,
            events: SpanEvents::default(),
            links: SpanLinks::default(),
            status: Status::Unset,
            instrumentation_scope: self.scope.clone(),
        }
    }

    /// The spans of a finished call: that of the call and that of its join. Empty if the call never
    /// started.
    pub(crate) fn call(&self, call: &CallRecord) -> Vec<SpanData> {
        let Some((started, ended)) = call.started_ms.zip(call.ended_ms) else {
            return Vec::new();
        };
        let mut own = self.span(call.call, Part::Call, (call.planned_start_ms, ended));
        own.attributes = vec![
            KeyValue::new("loadgen.call", call.call as i64),
            KeyValue::new("loadgen.room", bounded(&call.room)),
            KeyValue::new("loadgen.variant", bounded(&call.variant)),
            KeyValue::new("loadgen.warmup", call.warmup),
        ];
        let lateness = started.micros() - call.planned_start_ms.micros();
        own.attributes
            .push(KeyValue::new("loadgen.lateness_ms", lateness as f64 / 1e3));
        own.attributes
            .extend(latencies(|metric| metric.ms_of_call(call)));
        if let Some(failure) = &call.failure {
            own.attributes
                .push(KeyValue::new("loadgen.failure", failure.cause.clone()));
            own.status = Status::error(failure.message.clone());
        }
        let join = call.join_ms.map(|join| {
            let span = (call.planned_start_ms, call.planned_start_ms + join);
            self.span(call.call, Part::Join, span)
        });
        std::iter::once(own).chain(join).collect()
    }

    /// The spans of a turn that was over at `now` (on the clock of the records): that of the turn
    /// and those of its parts. Empty if the turn never started.
    pub(crate) fn turn(&self, turn: &TurnRecord, now: Ms) -> Vec<SpanData> {
        let start = turn.started_ms.or(turn.planned_ms);
        let Some(start) = start.filter(|_| turn.outcome != Outcome::NotRun) else {
            return Vec::new();
        };
        let parts = parts(turn, now);
        let end = parts.iter().map(|(_, (_, end))| *end).max();
        // A turn without a reply may have lasted longer than its parts.
        let end = end.filter(|_| turn.outcome == Outcome::Replied);
        let mut own = self.span(
            turn.call,
            Part::Turn(turn.turn),
            (start, end.unwrap_or(now)),
        );
        own.attributes = attributes(turn);
        if turn.outcome != Outcome::Replied && turn.outcome.has_ended() {
            let outcome = turn.outcome.name();
            own.status = Status::error(turn.failure.clone().unwrap_or(outcome.to_owned()));
        }
        let parts = parts
            .into_iter()
            .map(|(part, span)| self.span(turn.call, part, span));
        std::iter::once(own).chain(parts).collect()
    }

    /// The spans of what the agent reports about a turn: the critical path from the end of speech
    /// to the onset, and its steps. Empty if there is no critical path.
    pub(crate) fn account(&self, turn: &TurnRecord) -> Vec<SpanData> {
        let path = turn.agent.as_ref().map(|agent| &agent.path[..]);
        let Some((path, end)) = path.filter(|p| !p.is_empty()).zip(turn.speech_end_ms) else {
            return Vec::new();
        };
        let mut at = end;
        let steps = path.iter().enumerate().map(|(nth, step)| {
            let from = at;
            at = at + step.ms;
            self.span(turn.call, Part::Step(turn.turn, nth, step.step), (from, at))
        });
        let steps: Vec<_> = steps.collect();
        // An agent that places the end of speech too early makes the first step negative.
        let start = steps.iter().map(|step| step.start_time).min();
        let mut own = self.span(turn.call, Part::Account(turn.turn), (end, at));
        own.start_time = start.unwrap_or(own.start_time).min(own.start_time);
        own.attributes = latencies(|metric| metric.ms_of_turn(turn)).collect();
        std::iter::once(own).chain(steps).collect()
    }
}

/// The parts of a turn with their start and end.
fn parts(turn: &TurnRecord, now: Ms) -> Vec<(Part, (Ms, Ms))> {
    let mut parts = Vec::new();
    let n = turn.turn;
    let Some((started, end)) = turn.started_ms.zip(turn.speech_end_ms) else {
        return parts;
    };
    let replied = turn.outcome == Outcome::Replied;
    if turn.expect.asks_for_text() {
        let first = turn.text_ttft_ms.map(|ms| end + ms).filter(|_| replied);
        if replied || turn.outcome == Outcome::Missed {
            parts.push((Part::TextWait(n), (end, first.unwrap_or(now))));
        }
        // The agent may still be speaking when its text has ended.
        let last = turn.text_reply_ms.map_or(now, |ms| end + ms);
        let over = turn.reply_end_ms.map_or(last, |at| at.max(last));
        parts.extend(first.map(|first| (Part::Reply(n), (first, over))));
        return parts;
    }
    parts.push((Part::Speech(n), (started, end)));
    if let Some((wire, playout)) = turn.ttfa_wire_ms.zip(turn.playout_ms).filter(|_| replied) {
        let onset = end + wire;
        let heard = onset + playout;
        parts.push((Part::Wait(n), (end, onset)));
        parts.push((Part::Playout(n), (onset, heard)));
        // The playout delay moves the end of the reply as much as its beginning.
        let over = turn.reply_end_ms.map_or(now, |at| at + playout);
        parts.push((Part::Reply(n), (heard, over)));
    } else if turn.outcome == Outcome::Missed && turn.expect.asks_for_reply() {
        parts.push((Part::Wait(n), (end, now)));
    }
    parts
}

fn attributes(turn: &TurnRecord) -> Vec<KeyValue> {
    let mut all = vec![
        KeyValue::new("loadgen.call", turn.call as i64),
        KeyValue::new("loadgen.turn", turn.turn as i64),
        KeyValue::new("loadgen.room", bounded(&turn.room)),
        KeyValue::new("loadgen.variant", bounded(&turn.variant)),
        KeyValue::new("loadgen.utterance", bounded(&turn.utterance)),
        KeyValue::new("loadgen.expect", turn.expect.name()),
        KeyValue::new("loadgen.outcome", turn.outcome.name()),
        KeyValue::new("loadgen.warmup", turn.warmup),
    ];
    let flags: Vec<StringValue> = turn.flags.iter().map(|f| f.name().into()).collect();
    if !flags.is_empty() {
        let flags = Value::Array(Array::String(flags));
        all.push(KeyValue::new("loadgen.flags", flags));
    }
    all.extend(latencies(|metric| metric.ms_of_turn(turn)));
    all.extend(ms("loadgen.early_by_ms", turn.early_by_ms));
    all.extend(ms("loadgen.send_lateness_ms", turn.send_lateness_ms));
    if let Some(cause) = &turn.failure {
        all.push(KeyValue::new("loadgen.failure", cause.clone()));
    }
    all
}

#[cfg(test)]
#[path = "spans_tests.rs"]
mod tests;
