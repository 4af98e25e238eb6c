//! What a run leaves behind: versioned records, the journal, the run folder.
//!
//! In: the results of calls and turns ([`crate::call`]), and their context. Out: records, the
//! [`Summary`] built from them alone, and their files. Invariants: every time in a record is a
//! whole number of microseconds ([`Ms`]), so that formats made from it agree to the last digit;
//! a file is either whole or, for the journal, whole up to what a kill or a power cut tore.
//! The formats are documented in `docs/formats.md`.

mod baseline;
mod facts;
mod judge;
mod run;
mod start;

pub use crate::vocab::{Confidence, Expect, Flag, Metric, Outcome};
pub use baseline::{BASELINE_VERSION, Baseline};
pub use facts::calls::{CallContext, CallCounts, CallFailure, CallOutcome, CallRecord};
pub use facts::conditions::Conditions;
pub use facts::error::RecordError;
pub use facts::evidence::{
    EVIDENCE_BYTES, EVIDENCE_VERSION, Evidence, EvidenceFolder, EvidenceReason, EvidenceTurn,
    wav_bytes,
};
pub use facts::folder::{DEFAULT_PARENT, EVIDENCE_FOLDER, RunFolder, write_durably};
pub use facts::generator::{Generator, TickLateness};
pub use facts::journal::{Journal, JournalRead, last_of_each};
pub use facts::lines::Torn;
pub use facts::measurement::{MEASUREMENT_VERSION, MEASUREMENTS, Measurement, changes_between};
pub use facts::ms::Ms;
pub use facts::storage::Storage;
pub use facts::turns::{TurnContext, TurnCounts, TurnRecord};
pub use facts::wave::Wave;
pub use judge::calibration::{CALIBRATION_VERSION, Calibration, CalibrationLevel, ErrorStats};
pub use judge::figures::{AllTurns, Intervals, Latency, Quantiles, Span};
pub use judge::gate::{GateAnswer, GateInterval, GateResult, GateVerdict};
pub use judge::latencies::Metrics;
pub use judge::metrics::OpenCall;
pub use judge::reasons::ReasonKind;
pub use judge::samples::Samples;
pub use judge::sentinels::Sentinels;
pub use judge::steady::{Steady, SteadySpan};
pub use judge::summary::{FailureGroup, Network, RunFacts, RunInfo, SecondOpinions, Summary};
pub use judge::threshold::{GateOn, Threshold};
pub use judge::variants::{Behind, Lag, LagNeeded, LagVerdict, VariantSummary};
pub use judge::verdict::{Ending, Status, Verdict};
pub use run::RunRecord;
pub use start::{PlannedGate, RunStart};

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
