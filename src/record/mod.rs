//! The output of a run: versioned records, the journal, the run folder.
//!
//! In: the results of calls and turns ([`crate::call`]), and their context. Out: records, the
//! [`Summary`] built from them alone, and their files. Invariants: every time in a record is a
//! whole number of microseconds ([`Ms`]), so that all formats agree to the last digit; every file
//! is intact, except that a kill or a power cut can tear parts of the journal. The formats are
//! documented in `docs/formats.md`.

mod baseline;
mod facts;
mod judge;
mod run;
mod start;

pub(crate) use crate::account::{ModelKind, Step, WordErrors};
pub use crate::vocab::{Confidence, Expect, Flag, Metric, Outcome, UtteranceKind};
pub use facts::account::AgentAccount;
#[cfg(test)]
pub(crate) use facts::account::PathStep;
pub(crate) use facts::account::SaidWords;
pub use facts::calls::{CallFailure, CallOutcome, CallRecord};
pub use facts::error::RecordError;
pub use facts::evidence::{Evidence, EvidenceCall, EvidencePlace, EvidenceReason, EvidenceTurn};
pub use facts::folder::RunFolder;
pub use facts::generator::Generator;
pub(crate) use facts::journal::ReadingsRead;
pub use facts::journal::{Journal, JournalRead};
pub use facts::lines::Torn;
pub use facts::measurement::MEASUREMENT_VERSION;
pub use facts::ms::Ms;
pub use facts::observed::Reading;
pub use facts::reply_audio::ReplyAudio;
pub use facts::storage::Storage;
pub use facts::telemetry::SpanCounts;
pub use facts::turns::{TurnContext, TurnCounts, TurnRecord};
pub use judge::gate::{GateResult, GateVerdict};
pub(crate) use judge::path::{PathFigures, StepFigures};
pub(crate) use judge::said::{Rate, SaidFigures};
pub use judge::samples::Samples;
pub use judge::sentinels::Sentinels;
pub use judge::steady::SteadySpan;
pub(crate) use judge::summary::NetworkPart;
pub use judge::summary::{Network, RunFacts, Summary};
pub use judge::threshold::{GateOn, Threshold};
pub(crate) use judge::usage::{Cost, ModelFigures, UsageFigures};
pub use judge::verdict::{Ending, Status, Verdict};
pub use run::RunRecord;
pub use start::{PlannedGate, RunStart};

pub(crate) use baseline::Baseline;
pub(crate) use facts::calls::{CallContext, CallCounts};
pub(crate) use facts::conditions::Conditions;
pub(crate) use facts::connection::{ConnectionRecord, ConnectionSpan, StreamRecord};
pub(crate) use facts::conversation::{ConversationRecord, FloorRecord};
pub(crate) use facts::evidence::{EVIDENCE_BYTES, EVIDENCE_VERSION, EvidenceFolder, wav_bytes};
pub(crate) use facts::folder::{DEFAULT_PARENT, EVIDENCE_FOLDER, create_private, write_durably};
pub(crate) use facts::generator::TickLateness;
pub(crate) use facts::journal::last_of_each;
#[cfg(test)]
pub(crate) use facts::measurement::MEASUREMENTS;
pub(crate) use facts::measurement::changes_between;
pub(crate) use facts::spans::SpanRecord;
pub(crate) use facts::wave::Wave;
pub(crate) use judge::broken::BrokenReplies;
pub(crate) use judge::calibration::{CALIBRATION_VERSION, Calibration, CalibrationLevel};
pub(crate) use judge::connection::connection_series;
pub(crate) use judge::conversation::{
    ConversationFigures, EarlyByPause, FalseInterruptions, InterruptionFigures, RateFigures,
};
pub(crate) use judge::figures::{AllTurns, Latency, Quantiles, Span};
pub(crate) use judge::gate::GateAnswer;
pub(crate) use judge::latencies::Metrics;
pub(crate) use judge::metrics::OpenCall;
pub(crate) use judge::observed::{Observations, ObservedSeries};
pub(crate) use judge::reasons::ReasonKind;
pub(crate) use judge::summary::{FailureGroup, SecondOpinions};
pub(crate) use judge::variants::{Behind, Lag, LagNeeded, LagVerdict, VariantSummary};

/// Version of a journal line and a row of `turns.csv`. Fields may be added within a version;
/// it rises when one is renamed, removed or changes its meaning.
pub const TURN_VERSION: u32 = 2;
/// Version of a [`CallRecord`], by the same rule.
pub const CALL_VERSION: u32 = 2;
/// Version of a line of `observed.jsonl`, by the same rule.
pub(crate) const OBSERVED_VERSION: u32 = 1;
/// Version of `run.json`, by the same rule.
pub const START_VERSION: u32 = 1;
/// Version of `summary.json`, by the same rule.
pub(crate) const SUMMARY_VERSION: u32 = 2;

#[cfg(test)]
pub(crate) mod fixtures;
#[cfg(test)]
mod summary_tests;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod variants_tests;
