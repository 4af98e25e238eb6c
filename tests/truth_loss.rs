//! How far onsets are off while packets are lost (docs/accuracy.md, "Under loss": check 3).
//!
//! In: nothing; `LOADGEN_FULL=1` measures at full size. Out: tables (`--nocapture`), a failure
//! where a figure is worse than its bar. Holds: the bars are held in virtual time, where the
//! truth is the same stream without losses; of real runs only what a busy machine cannot
//! change is asserted.

#[path = "truth/errors.rs"]
pub mod errors;
#[path = "truth/lossy_ear.rs"]
pub mod lossy_ear;
#[path = "truth/lossy_run.rs"]
pub mod lossy_run;
pub mod support;
#[path = "truth/truth.rs"]
pub mod truth;

/// One of two sizes.
pub fn size<T>(small: T, at_full: T) -> T {
    let full = std::env::var_os("LOADGEN_FULL").is_some_and(|v| v == "1");
    if full { at_full } else { small }
}
