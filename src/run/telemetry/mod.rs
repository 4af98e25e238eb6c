//! The agents' own traces and metrics, received while calls are in progress.
//!
//! In: spans and metric values as agents export them. Out: turns amended with the spans that began
//! in them, readings for `observed.jsonl`, counts. Invariants: nothing here delays a call or changes
//! a figure of one; memory is bounded, whatever is sent.

mod desk;
mod inbox;
mod series;
mod traces;

pub(super) use desk::{LAST_SPANS, TelemetryDesk};
pub use inbox::TelemetryInbox;
pub(crate) use inbox::{MetricKind, MetricPoint, ReceivedSpan};
