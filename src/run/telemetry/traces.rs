//! Groups received spans by trace until the trace's room is known and the call in that room is
//! over.
//!
//! In: spans in any order. Out: the traces of a room. Invariant: the numbers of traces and spans are
//! bounded; dropped spans are counted.
//!
//! Only some spans of a job name its room (in livekit-agents `room_connect`, which ends early, and
//! `agent_session` and `job_entrypoint`, which end last); the others share their trace.

use super::inbox::ReceivedSpan;
use crate::account::{AgentSpan, TracedAgent, TracedSpans};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Maximum number of traces.
const TRACES: usize = 8_192;
/// Maximum number of spans across all traces.
const SPANS: usize = 100_000;
/// Maximum number of spans in a trace.
const OF_TRACE: usize = 4_096;
/// How long a trace waits for the start of its call to be reported.
const PATIENCE: Duration = Duration::from_secs(10);

/// The spans of livekit-agents that last as long as a session or longer.
const SESSIONS: [&str; 2] = ["agent_session", "job_entrypoint"];

type TraceId = [u8; 16];

/// The spans of a trace.
#[derive(Debug)]
pub(super) struct Trace {
    since: Instant,
    /// How many traces were seen before it.
    number: u64,
    room: Option<Arc<str>>,
    agent: Option<TracedAgent>,
    pub spans: Vec<AgentSpan>,
    /// Whether a session-long span (see [`SESSIONS`]) has been received: such a span ends with the
    /// session.
    is_over: bool,
}

impl Trace {
    pub(super) fn traced(&self) -> TracedSpans<'_> {
        TracedSpans {
            agent: self.agent.as_ref(),
            spans: &self.spans,
        }
    }

    /// Its place in the order in which traces are dropped: those without a room first, since they
    /// may belong to no call of the run.
    fn place(&self) -> (bool, u64) {
        (self.room.is_some(), self.number)
    }

    /// Takes what a span tells about its trace. An identity replaces one that was only guessed.
    fn learn(&mut self, room: Option<Arc<str>>, agent: Option<TracedAgent>) {
        self.room = self.room.take().or(room);
        let replaces = match (&self.agent, &agent) {
            (Some(known), Some(new)) => new.is_certain && !known.is_certain,
            (known, _) => known.is_none(),
        };
        if replaces {
            self.agent = agent;
        }
    }
}

/// The traces whose calls are not over, or that belong to no call.
#[derive(Debug, Default)]
pub(super) struct Traces {
    traces: HashMap<TraceId, Trace>,
    /// In the order in which they are dropped.
    order: BTreeMap<(bool, u64), TraceId>,
    /// Number of traces that were ever seen.
    seen: u64,
    spans: usize,
    /// Number of spans that were dropped because there were too many.
    pub dropped: usize,
}

impl Traces {
    /// Adds a span.
    pub(super) fn add(&mut self, received: ReceivedSpan, now: Instant) {
        let id = received.trace;
        if !self.traces.contains_key(&id) {
            while self.traces.len() >= TRACES {
                self.drop_oldest();
            }
            self.seen += 1;
        }
        let trace = self.traces.entry(id).or_insert_with(|| Trace {
            since: now,
            number: self.seen,
            room: None,
            agent: None,
            spans: Vec::new(),
            is_over: false,
        });
        self.order.remove(&trace.place());
        trace.learn(received.room, received.agent);
        self.order.insert(trace.place(), id);
        trace.is_over |= SESSIONS.contains(&&*received.span.name);
        if trace.spans.len() >= OF_TRACE {
            self.dropped += 1;
            return;
        }
        trace.spans.push(received.span);
        self.spans += 1;
        while self.spans > SPANS {
            self.drop_oldest();
        }
    }

    /// Drops the trace that was seen first, of those without a room if there are any.
    fn drop_oldest(&mut self) {
        let oldest = self.order.pop_first();
        if let Some(trace) = oldest.and_then(|(_, id)| self.traces.remove(&id)) {
            self.spans -= trace.spans.len();
            self.dropped += trace.spans.len();
        }
    }

    /// Takes the traces of rooms, by room.
    pub(super) fn take(&mut self, rooms: &HashSet<&str>) -> HashMap<Arc<str>, Vec<Trace>> {
        let is_of = |trace: &Trace| {
            trace
                .room
                .as_deref()
                .is_some_and(|room| rooms.contains(room))
        };
        let mut taken: HashMap<Arc<str>, Vec<Trace>> = HashMap::new();
        for trace in self.extract(is_of) {
            if let Some(room) = trace.room.clone() {
                taken.entry(room).or_default().push(trace);
            }
        }
        taken
    }

    /// Takes the traces of rooms that are not known, and returns how many spans they had. A room may
    /// become known shortly after its first spans arrive, so traces younger than [`PATIENCE`] are
    /// kept.
    pub(super) fn drop_strangers(&mut self, now: Instant, known: impl Fn(&str) -> bool) -> usize {
        let stranger = |trace: &Trace| {
            let waited = now.saturating_duration_since(trace.since) >= PATIENCE;
            waited && trace.room.as_deref().is_some_and(|room| !known(room))
        };
        let strangers = self.extract(stranger);
        strangers.iter().map(|trace| trace.spans.len()).sum()
    }

    /// Takes all traces, and returns how many spans they had.
    pub(super) fn drop_all(&mut self) -> usize {
        let all = self.extract(|_| true);
        all.iter().map(|trace| trace.spans.len()).sum()
    }

    fn extract(&mut self, which: impl Fn(&Trace) -> bool) -> Vec<Trace> {
        let taken: Vec<Trace> = self
            .traces
            .extract_if(|_, trace| which(trace))
            .map(|(_, trace)| trace)
            .collect();
        if !taken.is_empty() {
            self.spans -= taken.iter().map(|trace| trace.spans.len()).sum::<usize>();
            self.order.retain(|_, id| self.traces.contains_key(id));
        }
        taken
    }

    /// The rooms with a trace that is complete.
    pub(super) fn complete_rooms(&self) -> HashSet<&str> {
        let complete = self.traces.values().filter(|trace| trace.is_over);
        complete.filter_map(|trace| trace.room.as_deref()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::account::AgentTime;

    fn agent(identity: &str, is_certain: bool) -> TracedAgent {
        TracedAgent {
            identity: identity.into(),
            is_certain,
        }
    }

    fn of_room(traces: &mut Traces, room: &str) -> Vec<Trace> {
        let mut taken = traces.take(&HashSet::from([room]));
        taken.remove(room).unwrap_or_default()
    }

    fn span(trace: u16, room: Option<&str>, name: &str) -> ReceivedSpan {
        let mut id = [0; 16];
        id[..2].copy_from_slice(&trace.to_be_bytes());
        ReceivedSpan {
            trace: id,
            room: room.map(Into::into),
            agent: room.map(|_| agent("agent-a", true)),
            span: AgentSpan {
                name: name.into(),
                began: AgentTime(1),
                ended: AgentTime(2),
                failed: false,
                attributes: BTreeMap::new(),
            },
        }
    }

    #[test]
    fn spans_are_matched_to_a_room_by_trace_in_any_order() {
        let mut traces = Traces::default();
        let now = Instant::now();
        traces.add(span(1, None, "llm_node"), now);
        traces.add(span(2, None, "llm_node"), now);
        assert!(
            of_room(&mut traces, "room").is_empty(),
            "no room is known yet"
        );
        traces.add(span(1, Some("room"), "llm_node"), now);
        assert!(!traces.complete_rooms().contains("room"));
        traces.add(span(1, None, "agent_session"), now);
        assert!(traces.complete_rooms() == HashSet::from(["room"]));
        let taken = of_room(&mut traces, "room");
        assert_eq!(taken.len(), 1);
        let traced = taken[0].traced();
        let expected = agent("agent-a", true);
        assert_eq!((traced.spans.len(), traced.agent), (3, Some(&expected)));
        assert_eq!((traces.spans, traces.order.len()), (1, 1));
        assert_eq!((traces.drop_all(), traces.dropped), (1, 0));
        assert!(traces.order.is_empty() && traces.spans == 0);
    }

    #[test]
    fn an_identity_replaces_one_that_was_guessed_but_no_other() {
        let now = Instant::now();
        for (agents, expected) in [
            ([agent("guess", false), agent("name", true)], "name"),
            ([agent("name", true), agent("guess", false)], "name"),
            ([agent("name", true), agent("other", true)], "name"),
            ([agent("guess", false), agent("other", false)], "guess"),
        ] {
            let mut traces = Traces::default();
            for agent in agents {
                let named = ReceivedSpan {
                    agent: Some(agent),
                    ..span(1, Some("room"), "llm_node")
                };
                traces.add(named, now);
            }
            let taken = of_room(&mut traces, "room");
            let agent = taken[0].agent.as_ref().map(|agent| &*agent.identity);
            assert_eq!(agent, Some(expected));
        }
    }

    #[test]
    fn traces_of_unknown_rooms_are_dropped_after_a_while() {
        let mut traces = Traces::default();
        let start = Instant::now();
        traces.add(span(1, Some("ours"), "agent_session"), start);
        traces.add(span(2, Some("other"), "agent_session"), start);
        traces.add(span(3, None, "llm_node"), start);
        let known = |room: &str| room == "ours";
        assert_eq!(traces.drop_strangers(start, known), 0);
        assert_eq!(traces.drop_strangers(start + PATIENCE, known), 1);
        assert_eq!(traces.traces.len(), 2);
    }

    #[test]
    fn the_number_of_spans_and_traces_is_bounded() {
        let mut traces = Traces::default();
        let now = Instant::now();
        for _ in 0..OF_TRACE + 5 {
            traces.add(span(0, Some("room"), "llm_node"), now);
        }
        assert_eq!((traces.spans, traces.dropped), (OF_TRACE, 5));
        for trace in 1..=TRACES {
            traces.add(span(trace as u16, None, "llm_node"), now);
        }
        assert_eq!(traces.traces.len(), TRACES);
        assert_eq!(traces.dropped, 5 + 1, "the oldest one without a room");
        assert!(!traces.traces.contains_key(&span(1, None, "").trace));
        for n in 0..SPANS {
            traces.add(span((n % 100) as u16 + 20_000, None, "llm_node"), now);
        }
        assert!(traces.spans <= SPANS && traces.order.len() <= TRACES);
        assert_eq!(traces.spans + traces.dropped, OF_TRACE + 5 + TRACES + SPANS);
        assert_eq!(traces.traces.len(), traces.order.len());
        assert_eq!(
            of_room(&mut traces, "room").len(),
            1,
            "traces with a room go last"
        );
        for trace in 0..=TRACES {
            let named = span(trace as u16 + 30_000, Some("room"), "llm_node");
            traces.add(named, now);
        }
        let first = span(30_000, None, "").trace;
        assert!(!traces.traces.contains_key(&first), "then the oldest one");
    }
}
