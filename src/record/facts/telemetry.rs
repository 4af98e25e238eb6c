//! What became of the spans that agents sent during a run.
//!
//! In: counts. Out: a part of the summary. Invariant: `received` is the sum of the counts from
//! `in_turns` to `dropped`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What became of the spans that agents sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct SpanCounts {
    /// Spans that came.
    pub received: usize,
    /// Spans that are recorded with the turn that they began in.
    pub in_turns: usize,
    /// Spans of turns that already have the maximum number of them.
    pub left_out: usize,
    /// Spans of a call that began before its first turn or after its end.
    pub outside: usize,
    /// Spans of a call whose agent tells nothing that relates its clock to the caller's.
    pub unplaced: usize,
    /// Spans of no call of the run, such as those of the preflight call, and spans that came too
    /// late.
    pub unmatched: usize,
    /// Spans for which there was no room, or that could not be read.
    pub dropped: usize,
    /// Metric values for which there was no room.
    pub values_dropped: usize,
    /// Requests that could not be used.
    pub refused: usize,
}
