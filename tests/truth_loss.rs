//! The error of onsets under packet loss (docs/accuracy.md, "Under loss": check 3).
//!
//! In: nothing; `LOADGEN_FULL=1` measures at full size. Out: tables (`--nocapture`), a failure
//! if a figure exceeds its limit. Invariants: the limits apply in virtual time, where the truth
//! is the same stream without loss; the checks of real runs hold on a busy machine too.

#[path = "truth/errors.rs"]
pub mod errors;
#[path = "truth/lossy_ear.rs"]
pub mod lossy_ear;
#[path = "truth/lossy_run.rs"]
pub mod lossy_run;
pub mod support;
#[path = "truth/truth.rs"]
pub mod truth;

/// Selects the size for a small or a full run.
pub fn size<T>(small: T, at_full: T) -> T {
    if support::full() { at_full } else { small }
}
