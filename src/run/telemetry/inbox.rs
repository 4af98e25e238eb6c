//! Where received telemetry waits for the run.
//!
//! In: spans and metric values, from the server's thread. Out: all of them, when the run asks, once
//! a second. Invariants: neither side waits for the other; what does not fit is counted.

use crate::account::{AgentSpan, TracedAgent};
use crate::record::SpanCounts;
use std::sync::{Arc, Mutex, PoisonError};

/// Maximum number of spans that wait. The run takes them once a second, but not before its first
/// call.
const SPANS: usize = 32_768;
/// Maximum number of metric values that wait.
const POINTS: usize = 32_768;

/// A span as received.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ReceivedSpan {
    /// Id of its trace.
    pub trace: [u8; 16],
    /// The room that it names.
    pub room: Option<Arc<str>>,
    /// The agent that it names.
    pub agent: Option<TracedAgent>,
    pub span: AgentSpan,
}

/// How a metric value relates to the ones before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum MetricKind {
    /// It replaces them, and may rise and fall.
    Gauge,
    /// It replaces them, and only rises until its process ends.
    Counter,
    /// It is what was counted since the last one.
    Delta,
}

/// A value of a metric as received.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct MetricPoint {
    /// Name of the service that exported it.
    pub service: Arc<str>,
    pub name: Arc<str>,
    pub kind: MetricKind,
    /// Tells apart the values of one name: a hash of the process and of the attributes.
    pub stream: u64,
    pub value: f64,
}

/// What was received since it was last taken.
#[derive(Debug, Default)]
pub(super) struct Received {
    pub spans: Vec<ReceivedSpan>,
    pub points: Vec<MetricPoint>,
    /// Number of spans that came, with those for which there was no room.
    pub came: usize,
    /// Number of metric values for which there was no room.
    pub points_dropped: usize,
    /// Number of requests that could not be used.
    pub refused: usize,
}

/// Received telemetry that waits for the run.
#[derive(Debug, Default)]
pub struct TelemetryInbox(Mutex<Held>);

#[derive(Debug, Default)]
struct Held {
    received: Received,
    /// Nothing more is matched to calls, so nothing more is kept.
    closed: bool,
}

impl Held {
    /// How many of `of` more can be kept, if `most` can wait and `waiting` of them do.
    fn room(&self, most: usize, waiting: usize, of: usize) -> usize {
        match self.closed {
            true => 0,
            false => most.saturating_sub(waiting).min(of),
        }
    }
}

impl TelemetryInbox {
    fn with<T>(&self, change: impl FnOnce(&mut Held) -> T) -> T {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Adds the spans of a request, of which `lost` could not be read. Returns how many of them are
    /// not kept.
    pub(crate) fn add_spans(&self, spans: Vec<ReceivedSpan>, lost: usize) -> usize {
        self.with(|held| {
            let all = spans.len() + lost;
            let room = held.room(SPANS, held.received.spans.len(), spans.len());
            let received = &mut held.received;
            received.came += all;
            received.spans.extend(spans.into_iter().take(room));
            all - room
        })
    }

    /// Adds the metric values of a request, of which `lost` could not be read. Returns how many of
    /// them are not kept.
    pub(crate) fn add_points(&self, points: Vec<MetricPoint>, lost: usize) -> usize {
        self.with(|held| {
            let all = points.len() + lost;
            let room = held.room(POINTS, held.received.points.len(), points.len());
            let received = &mut held.received;
            received.points.extend(points.into_iter().take(room));
            received.points_dropped += all - room;
            all - room
        })
    }

    /// Counts a request that could not be used.
    pub(crate) fn refuse(&self) {
        self.with(|held| held.received.refused += 1);
    }

    /// Number of spans that came, of those that wait, and of requests that could not be used.
    #[cfg(test)]
    pub(crate) fn counted(&self) -> (usize, usize, usize) {
        self.with(|held| {
            let received = &held.received;
            (received.came, received.spans.len(), received.refused)
        })
    }

    /// Takes what was received.
    pub(super) fn take(&self) -> Received {
        self.with(|held| std::mem::take(&mut held.received))
    }

    /// Keeps nothing from now on, and tells exporters so.
    pub(super) fn close(&self) {
        self.with(|held| held.closed = true);
    }

    /// Counts what came after the last look of the run.
    pub(in crate::run) fn count_late(&self, counts: &mut SpanCounts) {
        let late = self.take();
        counts.received += late.came;
        counts.unmatched += late.came;
        counts.values_dropped += late.points_dropped + late.points.len();
        counts.refused += late.refused;
    }
}
