//! Location of the state that outlives a run.

use std::path::PathBuf;

/// Folder for state that outlives a run: `$XDG_STATE_HOME/loadgen`, by default
/// `~/.local/state/loadgen`; `None` without a home directory.
pub(crate) fn state_folder() -> Option<PathBuf> {
    let set = |name| {
        std::env::var_os(name)
            .filter(|v| !v.is_empty())
            .map(PathBuf::from)
    };
    let state = set("XDG_STATE_HOME").or_else(|| Some(set("HOME")?.join(".local/state")))?;
    Some(state.join("loadgen"))
}
