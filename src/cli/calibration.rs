//! Where this machine's calibration is kept, and the calibration that is there.
//!
//! In: the state folder. Out: a path; the calibration. Invariant: a calibration of another version
//! counts as none.

use crate::record::{CALIBRATION_VERSION, Calibration};
use crate::targets::state_folder;
use std::path::PathBuf;

/// File name in the state folder.
const FILE: &str = "calibration.json";

/// Path of this machine's calibration.
pub(super) fn path() -> Option<PathBuf> {
    Some(state_folder()?.join(FILE))
}

/// The saved calibration of this machine, if its version is the current one.
pub(super) fn known() -> Option<Calibration> {
    let text = std::fs::read(path()?).ok()?;
    let known: Calibration = serde_json::from_slice(&text).ok()?;
    (known.version == CALIBRATION_VERSION).then_some(known)
}
