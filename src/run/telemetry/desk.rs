//! Matches what agents export to the calls of the run.
//!
//! In: received telemetry; calls as they start and end, their turns as they are recorded. Out: turns
//! with their spans, readings, counts. Invariants: a call's spans are attached once, when those that
//! are still on their way have had time to come; every span is counted once; a call's turns are
//! kept in memory until then.

use super::inbox::TelemetryInbox;
use super::series::Series;
use super::traces::{Trace, Traces};
use crate::account::{AgentClocks, SpansOfCall, TurnTimes};
use crate::record::{Ms, Reading, SpanCounts, TurnRecord};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long after the end of a call its spans are attached. OpenTelemetry's exporters send every 5 s
/// and at the end of a process.
const AFTER_CALL: Duration = Duration::from_secs(8);
/// How long the end of the run waits for the last spans.
pub(in crate::run) const LAST_SPANS: Duration = Duration::from_secs(6);

/// A call whose spans are not attached yet.
#[derive(Debug)]
struct Followed {
    room: String,
    turns: BTreeMap<usize, TurnRecord>,
    over: Option<Over>,
}

/// The end of a call.
#[derive(Debug)]
struct Over {
    at: Instant,
    clocks: Option<AgentClocks>,
}

/// Matches telemetry to calls.
#[derive(Debug)]
pub(in crate::run) struct TelemetryDesk {
    inbox: Arc<TelemetryInbox>,
    run_start: Instant,
    traces: Traces,
    series: Series,
    calls: HashMap<usize, Followed>,
    counts: SpanCounts,
}

impl TelemetryDesk {
    /// `taken`: names of sources that are observed in another way.
    pub(in crate::run) fn new(
        inbox: Arc<TelemetryInbox>,
        run_start: Instant,
        taken: Vec<String>,
    ) -> Self {
        Self {
            inbox,
            run_start,
            traces: Traces::default(),
            series: Series::new(taken),
            calls: HashMap::new(),
            counts: SpanCounts::default(),
        }
    }

    /// Notes that a call has started.
    pub(in crate::run) fn begun(&mut self, call: usize, room: &str) {
        let followed = Followed {
            room: room.to_owned(),
            turns: BTreeMap::new(),
            over: None,
        };
        self.calls.insert(call, followed);
    }

    /// Notes a turn, or its new record.
    pub(in crate::run) fn turn(&mut self, record: &TurnRecord) {
        if let Some(call) = self
            .calls
            .get_mut(&record.call)
            .filter(|_| !record.sentinel)
        {
            call.turns.insert(record.turn, record.clone());
        }
    }

    /// Notes that a call has ended.
    pub(in crate::run) fn ended(&mut self, call: usize, at: Instant, clocks: Option<AgentClocks>) {
        if let Some(call) = self.calls.get_mut(&call) {
            call.over = Some(Over { at, clocks });
        }
    }

    /// Takes what has come. Returns readings, and turns with their spans, of the calls that ended
    /// long enough ago.
    pub(in crate::run) fn look(&mut self, now: Instant) -> (Vec<Reading>, Vec<TurnRecord>) {
        let received = self.inbox.take();
        self.counts.refused += received.refused;
        self.counts.received += received.came;
        self.counts.dropped += received.came - received.spans.len();
        self.counts.values_dropped += received.points_dropped;
        for span in received.spans {
            self.traces.add(span, now);
        }
        for point in received.points {
            let kept = self.series.add(point, now);
            self.counts.values_dropped += usize::from(!kept);
        }
        let rooms: HashSet<&str> = self.calls.values().map(|call| &*call.room).collect();
        self.counts.unmatched += self.traces.drop_strangers(now, |room| rooms.contains(room));
        let readings = self.series.readings(self.run_start, now);
        let is_due = |call: &Followed| {
            let over = call.over.as_ref();
            over.is_some_and(|over| now.saturating_duration_since(over.at) >= AFTER_CALL)
        };
        (readings, self.attach(is_due))
    }

    /// Whether all spans of the calls that have ended have come, as far as that can be known.
    pub(in crate::run) fn is_complete(&self) -> bool {
        let complete = self.traces.complete_rooms();
        let mut calls = self.calls.values().filter(|call| call.over.is_some());
        calls.all(|call| complete.contains(&*call.room))
    }

    /// The last readings, and the turns of the remaining calls with their spans; afterwards, nothing
    /// is kept.
    pub(in crate::run) fn close(&mut self, now: Instant) -> (Vec<Reading>, Vec<TurnRecord>) {
        self.inbox.close();
        let turns = self.attach(|_| true);
        self.counts.unmatched += self.traces.drop_all();
        (self.series.last_readings(self.run_start, now), turns)
    }

    /// What became of the spans so far.
    pub(in crate::run) fn counts(&self) -> SpanCounts {
        SpanCounts {
            dropped: self.counts.dropped + self.traces.dropped,
            ..self.counts
        }
    }

    fn attach(&mut self, which: impl Fn(&Followed) -> bool) -> Vec<TurnRecord> {
        let calls: Vec<Followed> = self
            .calls
            .extract_if(|_, call| which(call))
            .map(|(_, call)| call)
            .collect();
        let rooms = calls.iter().map(|call| &*call.room).collect();
        let mut traces = self.traces.take(&rooms);
        let turns = calls.iter().flat_map(|call| {
            let traces = traces.remove(&*call.room).unwrap_or_default();
            self.attach_to(call, &traces)
        });
        turns.collect()
    }

    /// The turns of a call that have spans.
    fn attach_to(&mut self, call: &Followed, traces: &[Trace]) -> Vec<TurnRecord> {
        let spans: usize = traces.iter().map(|trace| trace.spans.len()).sum();
        let Some(Over {
            at,
            clocks: Some(clocks),
        }) = &call.over
        else {
            self.counts.unplaced += spans;
            return Vec::new();
        };
        let run_start = self.run_start;
        let times: Vec<TurnTimes> = call
            .turns
            .values()
            .filter_map(|t| times(t, run_start))
            .collect();
        let traced: Vec<_> = traces.iter().map(|trace| trace.traced()).collect();
        let sorted = SpansOfCall::of(&traced, clocks, &times, *at);
        self.counts.outside += sorted.outside;
        self.counts.unplaced += sorted.unplaced;
        let mut amended = Vec::new();
        for times in times {
            let Some(spans) = sorted.turns.get(&times.turn) else {
                continue;
            };
            self.counts.in_turns += spans.spans.len();
            self.counts.left_out += spans.left_out;
            let record = call.turns.get(&times.turn).cloned();
            amended.extend(record.map(|record| record.with_spans(spans, times.speech_end)));
        }
        amended
    }
}

/// The instants of a turn; `None` if it never began.
fn times(turn: &TurnRecord, run_start: Instant) -> Option<TurnTimes> {
    let at = |ms: Option<Ms>| run_start.checked_add(ms?.duration()?);
    Some(TurnTimes {
        turn: turn.turn,
        media_start: at(turn.started_ms)?,
        speech_end: at(turn.speech_end_ms)?,
        onset: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::account::{AgentSpan, AgentTime, Claim, ClaimKind};
    use crate::record::fixtures::Run;
    use crate::run::telemetry::ReceivedSpan;

    /// What the agent's clock shows at the start of the run, in ns.
    const AHEAD: i64 = 1_700_000_000_000_000_000;
    const MS: i64 = 1_000_000;

    fn clocks(start: Instant) -> AgentClocks {
        let mut clocks = AgentClocks::new(start);
        clocks.heard(&Claim {
            agent: "agent-AJ_1".into(),
            arrival: start + Duration::from_millis(101),
            sent: Some(AgentTime(AHEAD + 100 * MS)),
            requested: Some(start + Duration::from_millis(99)),
            kind: ClaimKind::Other,
        });
        clocks
    }

    fn span(trace: u8, room: Option<&str>, name: &str, at_ms: f64) -> ReceivedSpan {
        let at = AHEAD + (at_ms * 1e6) as i64;
        ReceivedSpan {
            trace: [trace; 16],
            room: room.map(Into::into),
            agent: None,
            span: AgentSpan {
                name: name.into(),
                began: AgentTime(at),
                ended: AgentTime(at + 250 * MS),
                failed: false,
                attributes: BTreeMap::new(),
            },
        }
    }

    /// A desk that follows one call with a turn of 800 ms.
    fn desk(start: Instant) -> (TelemetryDesk, Arc<TelemetryInbox>, TurnRecord) {
        let inbox = Arc::new(TelemetryInbox::default());
        let mut desk = TelemetryDesk::new(inbox.clone(), start, Vec::new());
        let mut run = Run::default();
        run.good(1);
        let turn = run.turns.remove(0);
        desk.begun(turn.call, "room");
        desk.turn(&turn);
        (desk, inbox, turn)
    }

    fn sum(counts: &SpanCounts) -> usize {
        let SpanCounts {
            in_turns,
            left_out,
            outside,
            unplaced,
            unmatched,
            dropped,
            ..
        } = counts;
        in_turns + left_out + outside + unplaced + unmatched + dropped
    }

    #[test]
    fn spans_that_come_after_their_call_are_attached_and_every_span_is_counted_once() {
        let start = Instant::now();
        let (mut desk, inbox, turn) = desk(start);
        let end = turn.speech_end_ms.expect("it spoke").as_f64();
        let over = start + Duration::from_secs(30);
        inbox.add_spans(vec![span(1, None, "llm_node", end + 700.0)], 2);
        assert!(desk.look(over).1.is_empty());
        assert!(desk.is_complete(), "no call has ended");
        desk.ended(turn.call, over, Some(clocks(start)));
        assert!(!desk.is_complete());
        // The room comes with the span of the session, which ends last.
        let late = vec![
            span(1, None, "tts_node", end + 900.0),
            span(1, Some("room"), "agent_session", -5_000.0),
            span(2, Some("another run"), "llm_node", end),
            span(3, None, "worker", end),
        ];
        inbox.add_spans(late, 0);
        let soon = over + Duration::from_secs(5);
        assert!(desk.look(soon).1.is_empty(), "others may be on their way");
        assert!(desk.is_complete());
        let amended = desk.look(over + AFTER_CALL).1;
        assert_eq!(amended.len(), 1);
        let spans = &amended[0].agent.as_ref().expect("spans").spans;
        let placed: Vec<_> = spans
            .iter()
            .map(|s| (&*s.name, s.start_ms, s.end_ms))
            .collect();
        for ((name, from, to), (expected, at)) in placed
            .iter()
            .zip([("llm_node", 700.0), ("tts_node", 900.0)])
        {
            assert_eq!(*name, expected);
            assert!((from.as_f64() - at).abs() < 2.0, "{placed:?}");
            assert!((to.as_f64() - at - 250.0).abs() < 2.0, "{placed:?}");
        }
        assert_eq!(spans.len(), 2);
        let same = TurnRecord {
            agent: None,
            ..amended[0].clone()
        };
        assert_eq!(same, turn, "nothing else has changed");
        assert!(desk.close(over).1.is_empty(), "attached once");
        let mut counts = desk.counts();
        assert_eq!(counts.received, 7);
        assert_eq!(sum(&counts), 7, "{counts:?}");
        let kinds = [
            counts.in_turns,
            counts.outside,
            counts.unmatched,
            counts.dropped,
        ];
        assert_eq!(kinds, [2, 1, 2, 2]);
        // What comes after the close is counted, and its exporter is told.
        let late = vec![span(1, Some("room"), "llm_node", end)];
        assert_eq!(inbox.add_spans(late, 0), 1);
        assert_eq!(inbox.counted(), (1, 0, 0), "came, kept, refused requests");
        inbox.count_late(&mut counts);
        assert_eq!((counts.received, counts.unmatched), (8, 3));
        assert_eq!(sum(&counts), 8, "{counts:?}");
    }

    #[test]
    fn without_a_clock_no_span_is_placed() {
        let start = Instant::now();
        let (mut desk, inbox, turn) = desk(start);
        inbox.add_spans(vec![span(1, Some("room"), "llm_node", 1_000.0)], 0);
        desk.ended(turn.call, start, Some(AgentClocks::new(start)));
        desk.look(start);
        assert!(desk.close(start).1.is_empty());
        assert_eq!(desk.counts().unplaced, 1);
        // A call that is cut off reports no clocks.
        let (mut desk, inbox, _) = self::desk(start);
        inbox.add_spans(vec![span(1, Some("room"), "llm_node", 1_000.0)], 0);
        desk.look(start);
        assert!(desk.close(start).1.is_empty());
        assert_eq!(desk.counts().unplaced, 1);
    }
}
