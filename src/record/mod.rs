//! What a run leaves behind: versioned records, the journal, the run folder.
//!
//! In: the results of calls and turns ([`crate::call`]), and their context. Out: records, the
//! [`Summary`] built from them alone, and their files. Invariants: every time in a record is a
//! whole number of microseconds ([`Ms`]), so that formats made from it agree to the last digit;
//! a file is either whole or, for the journal, whole up to a torn last line.
//! The formats are documented in `docs/formats.md`.

mod baseline;
mod build;
mod calibration;
mod calls;
mod conditions;
mod error;
mod evidence;
mod figures;
mod folder;
mod gate;
mod generator;
mod journal;
mod latencies;
mod lines;
mod measurement;
mod metrics;
mod ms;
mod run;
mod samples;
mod sentinels;
mod series;
mod start;
mod steady;
mod summary;
mod threshold;
mod turns;
mod variants;
mod verdict;
mod wave;
mod words;

pub use crate::vocab::{Confidence, Expect, Flag, Metric, Outcome};
pub use baseline::{BASELINE_VERSION, Baseline};
pub use calibration::{CALIBRATION_VERSION, Calibration, CalibrationLevel, ErrorStats};
pub use calls::{CallContext, CallCounts, CallFailure, CallOutcome, CallRecord};
pub use conditions::Conditions;
pub use error::RecordError;
pub use evidence::{
    EVIDENCE_BYTES, EVIDENCE_FOLDER, EVIDENCE_VERSION, Evidence, EvidenceFolder, EvidenceReason,
    EvidenceTurn, wav_bytes,
};
pub use figures::{AllTurns, Intervals, Latency, Quantiles, Span};
pub use folder::{DEFAULT_PARENT, RunFolder};
pub use gate::{GateAnswer, GateInterval, GateResult, GateVerdict};
pub use generator::{Generator, TickLateness};
pub use journal::{Journal, JournalRead, last_of_each};
pub use latencies::Metrics;
pub use measurement::{MEASUREMENT_VERSION, MEASUREMENTS, Measurement, changes_between};
pub use metrics::OpenCall;
pub use ms::Ms;
pub use run::RunRecord;
pub use samples::Samples;
pub use sentinels::Sentinels;
pub use start::{PlannedGate, RunStart};
pub use steady::{Steady, SteadySpan};
pub use summary::{FailureGroup, Network, RunFacts, RunInfo, SecondOpinions, Summary};
pub use threshold::{GateOn, Threshold};
pub use turns::{TurnContext, TurnCounts, TurnRecord};
pub use variants::{Behind, Lag, LagNeeded, LagVerdict, VariantSummary};
pub use verdict::{Ending, Status, Verdict};
pub use wave::Wave;

/// Version of a journal line and a row of `turns.csv`. Fields may be added within a version;
/// it rises when one is renamed, removed or changes its meaning.
pub const TURN_VERSION: u32 = 2;
/// Version of a [`CallRecord`], by the same rule.
pub const CALL_VERSION: u32 = 2;
/// Version of `run.json`, by the same rule.
pub const START_VERSION: u32 = 1;
/// Version of `summary.json`, by the same rule.
pub const SUMMARY_VERSION: u32 = 2;

#[cfg(test)]
pub(crate) mod fixtures;
#[cfg(test)]
mod summary_tests;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod variants_tests;
