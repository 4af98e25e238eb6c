//! Handles a part of a run that no longer makes progress.
//!
//! In: the watchdog's alarms. Out: warnings; the end of the process if nothing else can end the
//! run.

use crate::cli::console;
use crate::cli::exit::Exit;
use crate::cli::trouble::Trouble;
use crate::run::{Alarm, Watchdog, WatchedPart};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Timeout for printing a message, since the output itself may hang.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// Watches a run whose journal is in `folder`.
///
/// # Errors
/// The system refuses a thread.
pub(crate) fn watch(folder: &Path) -> Result<Watchdog, Trouble> {
    let folder = folder.to_owned();
    let watchdog = Watchdog::start(Watchdog::EVERY, move |alarm| raise(alarm, &folder));
    watchdog.map_err(|e| Trouble::threads(&e))
}

fn raise(alarm: Alarm, folder: &Path) {
    match alarm {
        Alarm::Still(part, since) => in_time(move || {
            console::warn(&format!("{part} has made no progress for {since:?}"));
        }),
        Alarm::Over(part, since) => end(part, since, folder.to_owned()),
    }
}

/// Ends the run with the results so far. That is left to the main thread, unless the main thread
/// itself hangs.
fn end(part: WatchedPart, since: Duration, folder: PathBuf) {
    let hangs = matches!(part, WatchedPart::Collector | WatchedPart::Report);
    in_time(move || {
        console::say(&format!(
            "error: {part} has made no progress for {since:?}, so the run ends with the results so far"
        ));
        if hangs {
            let folder = folder.display();
            console::say(&format!(
                "  hint: is the disk stuck? `loadgen report {folder}` shows the turns that were written"
            ));
        }
    });
    if hangs {
        std::process::exit(Exit::Error.code().into());
    }
}

/// Runs `what`, which may hang, and waits no longer than [`LAST_WORDS`] for it.
fn in_time(what: impl FnOnce() + Send + 'static) {
    let (done, over) = std::sync::mpsc::channel();
    let thread = std::thread::Builder::new().spawn(move || {
        what();
        // The receiver is gone if the wait has timed out.
        let _ = done.send(());
    });
    if thread.is_ok() {
        let _ = over.recv_timeout(LAST_WORDS);
    }
}
