//! Deletes the rooms that a run created.
//!
//! In: the end of each call and of the run; runs that crashed. Out: deleted rooms; notices of rooms
//! that may remain. Invariants: every room that a run creates is deleted eventually; the next run
//! deletes the rooms of a crashed run. A room is deleted only if its name has the prefix of such a
//! run.

use super::ledger::{Ledger, Noted};
use super::rooms::Rooms;
use super::token::Credentials;
use crate::targets::Notice;
use crate::vocab::Address;
use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio_util::task::TaskTracker;

/// Time limit for deleting rooms. After that, a notice reports that some rooms may remain.
const CLEANUP: Duration = Duration::from_secs(3);
/// If the list of rooms stays empty for this long, no deleted room is expected to reappear.
const SETTLED: Duration = Duration::from_millis(400);

/// The rooms of a run on its server.
pub(super) struct Cleanup {
    server: String,
    rooms: Arc<Rooms>,
    /// `prefix-runid-`: prefix of this run's room names.
    prefix: String,
    ledger: Option<Ledger>,
    /// This run's entry in the ledger.
    noted: Mutex<Option<Noted>>,
    /// Deletions in progress. A server that receives two at once for the same room recreates the
    /// room.
    deleting: TaskTracker,
}

impl Cleanup {
    /// The rooms on this server whose names begin with `prefix`.
    pub(super) fn new(
        address: &Address,
        credentials: &Credentials,
        prefix: String,
        ledger: Option<Ledger>,
    ) -> Self {
        Self {
            server: address.to_string(),
            rooms: Arc::new(Rooms::new(address, credentials)),
            prefix,
            ledger,
            noted: Mutex::default(),
            deleting: TaskTracker::new(),
        }
    }

    /// Full name of a call's room.
    pub(super) fn room(&self, call: &str) -> String {
        format!("{}{call}", self.prefix)
    }
}

impl Cleanup {
    /// Records in the ledger that this run may have rooms on the server from now on.
    pub(super) fn note_run(&self, notice: Notice<'_>) {
        let noted = match &self.ledger {
            Some(ledger) => ledger.open(&self.server, &self.prefix),
            None => Err(std::io::Error::other("no home directory")),
        };
        match noted {
            Ok(noted) => *self.noted.lock().unwrap_or_else(PoisonError::into_inner) = Some(noted),
            Err(e) => notice(format!(
                "cannot record this run ({e}): if it crashes, its rooms stay until they are empty"
            )),
        }
    }

    /// Deletes the rooms of crashed runs. Called once the server is known to be reachable.
    pub(super) async fn clear_crashed(&self, notice: Notice<'_>) {
        let Some(ledger) = &self.ledger else { return };
        for crashed in ledger.crashed(&self.server) {
            let prefix = &crashed.prefix;
            match self.delete_all(prefix, CLEANUP).await {
                Ok(0) => ledger.forget(&crashed),
                Ok(n) => {
                    notice(format!(
                        "deleted {n} rooms of a run that crashed ({prefix}*)"
                    ));
                    ledger.forget(&crashed);
                }
                Err(e) => {
                    notice(format!(
                        "rooms of a run that crashed are left ({prefix}*): {e}"
                    ));
                    // Deleting the rooms of another crashed run would fail the same way.
                    return;
                }
            }
        }
    }

    /// Starts to delete a call's room in the background. If that fails, [`Cleanup::close`] deletes
    /// the room.
    pub(super) fn forget(&self, room: String) {
        let rooms = self.rooms.clone();
        self.deleting
            .spawn(async move { rooms.delete_one(&room).await });
    }

    /// Deletes all rooms with `prefix`; returns how many there were. A server may recreate a room
    /// that it has just deleted, because a departing agent updates the room. The list must
    /// therefore stay empty for [`SETTLED`].
    async fn delete_all(&self, prefix: &str, limit: Duration) -> Result<usize, String> {
        let mut deleted = HashSet::new();
        let work = async {
            let mut empty_since = Instant::now();
            loop {
                let names = self.rooms.list(prefix).await.map_err(|e| e.to_string())?;
                if names.is_empty() && empty_since.elapsed() >= SETTLED {
                    return Ok(deleted.len());
                }
                if !names.is_empty() {
                    let left = self.rooms.delete(&names).await;
                    if !left.is_empty() {
                        let (left, all) = (left.len(), names.len());
                        return Err(format!("{left} of {all} could not be deleted"));
                    }
                    deleted.extend(names);
                    empty_since = Instant::now();
                }
                tokio::time::sleep(SETTLED / 4).await;
            }
        };
        let done = tokio::time::timeout(limit, work).await;
        done.unwrap_or_else(|_| Err("the server is too slow".into()))
    }

    /// Removes this run from the ledger, because it has no rooms left.
    pub(super) fn forget_run(&self) {
        if let Some(ledger) = &self.ledger {
            ledger.close(&self.server, &self.prefix);
        }
    }

    /// Deletes every room of this run.
    pub(super) async fn close(&self, notice: Notice<'_>) {
        let begin = Instant::now();
        self.deleting.close();
        // `delete_all` deletes the rooms whose deletion takes longer.
        let _ = tokio::time::timeout(CLEANUP / 2, self.deleting.wait()).await;
        let left = CLEANUP.saturating_sub(begin.elapsed());
        match self.delete_all(&self.prefix, left).await {
            Ok(_) => self.forget_run(),
            Err(e) => notice(format!(
                "rooms named {}* may be left on the server ({e}); the next run deletes them",
                self.prefix
            )),
        }
    }
}
