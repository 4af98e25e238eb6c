//! Finds and reads this machine's calibration.
//!
//! In: the state folder. Out: a path; the calibration. Invariant: a calibration of another version,
//! or made with a different number of cores or CPU limit, is ignored.

use crate::os::{cores, cpu_limit};
use crate::record::{CALIBRATION_VERSION, Calibration};
use crate::targets::state_folder;
use std::path::PathBuf;

/// File name in the state folder.
const FILE: &str = "calibration.json";

/// Path of this machine's calibration.
pub(super) fn path() -> Option<PathBuf> {
    Some(state_folder()?.join(FILE))
}

/// The saved calibration, if its version, the cores and the CPU limit are still the same.
pub(super) fn known() -> Option<Calibration> {
    let text = std::fs::read(path()?).ok()?;
    let known: Calibration = serde_json::from_slice(&text).ok()?;
    let same = known.version == CALIBRATION_VERSION
        && known.cores == cores()
        && known.cpu_limit_cores == cpu_limit();
    same.then_some(known)
}
