//! The run's door: where its calls go, and what must be cleaned up behind them.
//!
//! In: settings. Out: connections. Holds: every room made is deleted in the end, also
//! those of a run that crashed, by the next one; only rooms with our own run's id.

use super::caller::CallerEnd;
use super::error::RunError;
use super::ledger::Ledger;
use crate::call::Failure;
use crate::net::{PeerEvents, PeerHandle};
use crate::target::Connection;
use crate::target::embedded::Embedded;
use crate::target::livekit::{Address, AgentTrack, Credentials, Dispatch, Join, RoomTicket, Rooms};
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::task::JoinSet;

/// Bound on signalling.
const JOIN_TIMEOUT: Duration = Duration::from_secs(10);
/// Bound on ICE and DTLS.
const MEDIA_TIMEOUT: Duration = Duration::from_secs(10);
/// A token is used at once; a queue before the server may take a while.
const TOKEN_LIFE: Duration = Duration::from_secs(600);
/// Rooms are deleted within this, or said to be left.
const CLEANUP: Duration = Duration::from_secs(2);
/// Deletions under way at the end of a run may take this long before it.
const DELETIONS: Duration = Duration::from_secs(1);

/// Where calls go.
#[derive(Debug, Clone)]
pub enum Door {
    /// Rooms of a LiveKit server.
    Livekit {
        /// The server.
        address: Address,
        /// Its key and secret.
        credentials: Credentials,
        /// What room names begin with.
        room_prefix: String,
    },
    /// The reference agent as a child process.
    Embedded {
        /// This very program.
        program: PathBuf,
        /// The agent's settings.
        arguments: Vec<String>,
    },
}

impl Door {
    /// Kind and address, without secrets.
    pub fn describe(&self) -> String {
        match self {
            Self::Livekit { address, .. } => format!("livekit {address}"),
            Self::Embedded { .. } => "embedded".into(),
        }
    }
}

/// Whom a call asks for.
#[derive(Debug, Clone, Default)]
pub(super) struct Asked {
    pub dispatch: Option<Dispatch>,
    pub attributes: BTreeMap<String, String>,
    pub track: AgentTrack,
}

/// An open door.
pub(super) enum OpenDoor {
    Livekit(LivekitDoor),
    Embedded(Arc<Embedded>),
}

/// A LiveKit server and this run's rooms on it.
pub(super) struct LivekitDoor {
    address: Address,
    credentials: Credentials,
    remote: IpAddr,
    rooms: Arc<Rooms>,
    /// `prefix-runid-`: what this run's room names begin with.
    prefix: String,
    ledger: Option<Ledger>,
    /// Deletions of single rooms under way.
    deletions: Mutex<JoinSet<bool>>,
}

impl OpenDoor {
    /// Opens it. Notices go to `notice`.
    pub(super) async fn open(
        door: &Door,
        run_id: &str,
        notice: &mut dyn FnMut(String),
    ) -> Result<Self, RunError> {
        match door {
            Door::Embedded { program, arguments } => Embedded::start(program, arguments)
                .await
                .map(|agent| Self::Embedded(Arc::new(agent)))
                .map_err(RunError::Embedded),
            Door::Livekit {
                address,
                credentials,
                room_prefix,
            } => {
                let remote = address.resolve().await.map_err(|e| {
                    RunError::Canary(Failure::Unreachable {
                        detail: format!("{}: {e}", address.host()),
                    })
                })?;
                let opened = LivekitDoor {
                    address: address.clone(),
                    credentials: credentials.clone(),
                    remote,
                    rooms: Arc::new(Rooms::new(address, credentials)),
                    prefix: format!("{room_prefix}-{run_id}-"),
                    ledger: Ledger::of_user(),
                    deletions: Mutex::default(),
                };
                opened.note_run(notice);
                Ok(Self::Livekit(opened))
            }
        }
    }

    /// The address that media will come from.
    pub(super) fn remote(&self) -> IpAddr {
        match self {
            Self::Livekit(door) => door.remote,
            Self::Embedded(_) => IpAddr::V4(Ipv4Addr::LOCALHOST),
        }
    }

    /// The room of a call.
    pub(super) fn room(&self, call: &str) -> String {
        match self {
            Self::Livekit(door) => format!("{}{call}", door.prefix),
            Self::Embedded(_) => format!("embedded-{call}"),
        }
    }

    /// Connects a call.
    pub(super) async fn connect(
        &self,
        number: u64,
        room: &str,
        asked: &Asked,
        peer: &Arc<PeerHandle<CallerEnd>>,
        media: PeerEvents,
    ) -> Result<Connection, Failure> {
        match self {
            Self::Embedded(agent) => {
                Connection::embedded(agent.clone(), (number, room), peer, media, MEDIA_TIMEOUT)
                    .await
            }
            Self::Livekit(door) => {
                let ticket = RoomTicket {
                    room: room.to_owned(),
                    identity: format!("caller-{number}"),
                    attributes: asked.attributes.clone(),
                    metadata: String::new(),
                    dispatch: asked.dispatch.clone(),
                    valid_for: TOKEN_LIFE,
                };
                let join = Join {
                    address: door.address.clone(),
                    token: door.credentials.sign(&ticket)?,
                    cid: format!("{room}-microphone"),
                    join_timeout: JOIN_TIMEOUT,
                    media_timeout: MEDIA_TIMEOUT,
                };
                Ok(Connection::livekit(
                    join,
                    asked.track.clone(),
                    peer.clone(),
                    media,
                ))
            }
        }
    }

    /// Deletes a call's room, without making anybody wait.
    pub(super) fn forget(&self, room: String) {
        if let Self::Livekit(door) = self {
            let rooms = door.rooms.clone();
            let mut deletions = door.deletions();
            while deletions.try_join_next().is_some() {}
            // What fails here is found by `close`.
            deletions.spawn(async move { rooms.delete_one(&room).await });
        }
    }

    /// Leaves nothing behind: rooms of this run and of crashed ones, the child process.
    /// `refused`: the server let nobody in.
    pub(super) async fn close(&self, refused: bool, notice: &mut dyn FnMut(String)) {
        match self {
            Self::Embedded(agent) => agent.stop().await,
            Self::Livekit(door) if refused => door.forget_run(),
            Self::Livekit(door) => door.close(notice).await,
        }
    }
}

impl LivekitDoor {
    fn note_run(&self, notice: &mut dyn FnMut(String)) {
        let noted = match &self.ledger {
            Some(ledger) => ledger.open(&self.address.to_string(), &self.prefix),
            None => Err(std::io::Error::other("no home directory")),
        };
        if let Err(e) = noted {
            notice(format!(
                "cannot note this run ({e}): should it crash, its rooms stay until they are empty"
            ));
        }
    }

    /// Deletes the rooms of runs that crashed. Called once the server has proved reachable.
    pub(super) async fn clear_crashed(&self, notice: &mut dyn FnMut(String)) {
        let Some(ledger) = &self.ledger else { return };
        for prefix in ledger.crashed(&self.address.to_string()) {
            match self.delete_all(&prefix).await {
                Ok(0) => ledger.close(&prefix),
                Ok(n) => {
                    notice(format!(
                        "deleted {n} rooms of a run that crashed ({prefix}*)"
                    ));
                    ledger.close(&prefix);
                }
                Err(e) => {
                    notice(format!(
                        "rooms of a run that crashed are left ({prefix}*): {e}"
                    ));
                    // Nor would the server do better with those of another.
                    return;
                }
            }
        }
    }

    /// Deletes all rooms of a prefix; how many there were.
    async fn delete_all(&self, prefix: &str) -> Result<usize, String> {
        let work = async {
            let names = self.rooms.list(prefix).await.map_err(|e| e.to_string())?;
            let left = self.rooms.delete(&names).await;
            if left.is_empty() {
                Ok(names.len())
            } else {
                Err(format!(
                    "{} of {} could not be deleted",
                    left.len(),
                    names.len()
                ))
            }
        };
        let done = tokio::time::timeout(CLEANUP, work).await;
        done.unwrap_or_else(|_| Err("the server is too slow".into()))
    }

    /// No room of this run is left.
    fn forget_run(&self) {
        if let Some(ledger) = &self.ledger {
            ledger.close(&self.prefix);
        }
    }

    fn deletions(&self) -> MutexGuard<'_, JoinSet<bool>> {
        self.deletions
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for deletions under way: the server makes a room anew before it deletes it, so
    /// that one cut off in the middle leaves the room there.
    async fn finish_deletions(&self) {
        let mut under_way = std::mem::take(&mut *self.deletions());
        let all = async { while under_way.join_next().await.is_some() {} };
        // What takes longer is found by the listing that follows.
        let _ = tokio::time::timeout(DELETIONS, all).await;
    }

    async fn close(&self, notice: &mut dyn FnMut(String)) {
        self.finish_deletions().await;
        match self.delete_all(&self.prefix).await {
            Ok(_) => self.forget_run(),
            Err(e) => notice(format!(
                "rooms named {}* may be left on the server ({e}); the next run deletes them",
                self.prefix
            )),
        }
    }
}
