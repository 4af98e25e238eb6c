//! The run's door: where its calls go, and what must be cleaned up behind them.
//!
//! In: settings. Out: connections. Holds: every room made is deleted in the end, also
//! those of a run that crashed, by the next one; only rooms with our own run's id.

use super::caller::CallerEnd;
use super::error::RunError;
use super::ledger::Ledger;
use super::sentinel::OwnDoor;
use crate::call::Failure;
use crate::net::{PeerEvents, PeerHandle};
use crate::target::embedded::Embedded;
use crate::target::livekit::{
    Address, AgentChoice, Credentials, Dispatch, Dispatched, Dispatches, Join, RoomTicket, Rooms,
};
use crate::target::{Connection, OwnAgent, OwnWorker};
use std::collections::{BTreeMap, HashSet};
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio_util::task::TaskTracker;

/// Bound on signalling.
const JOIN_TIMEOUT: Duration = Duration::from_secs(10);
/// Bound on ICE and DTLS.
pub(super) const MEDIA_TIMEOUT: Duration = Duration::from_secs(10);
/// A token is used at once; a queue before the server may take a while.
const TOKEN_LIFE: Duration = Duration::from_secs(600);
/// Rooms are deleted within this, or said to be left.
const CLEANUP: Duration = Duration::from_secs(3);
/// No room comes back after this long without one.
const SETTLED: Duration = Duration::from_millis(400);

/// Where calls go.
#[derive(Debug, Clone, PartialEq, Eq)]
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
    pub room_metadata: String,
    pub choice: AgentChoice,
}

impl Asked {
    /// Whom it asks for by name.
    pub(super) fn agents(&self) -> Vec<String> {
        self.dispatch.iter().map(|d| d.agent_name.clone()).collect()
    }
}

/// An open door.
pub(super) enum OpenDoor {
    Livekit(Box<LivekitDoor>),
    Embedded(Arc<Embedded>),
}

/// A LiveKit server and this run's rooms on it.
pub(super) struct LivekitDoor {
    address: Address,
    credentials: Credentials,
    remote: IpAddr,
    rooms: Arc<Rooms>,
    dispatches: Dispatches,
    /// `prefix-runid-`: what this run's room names begin with.
    prefix: String,
    ledger: Option<Ledger>,
    /// Rooms being deleted. A server that is asked twice at once makes the room anew.
    deleting: TaskTracker,
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
                    dispatches: Dispatches::new(address, credentials),
                    prefix: format!("{room_prefix}-{run_id}-"),
                    ledger: Ledger::of_user(),
                    deleting: TaskTracker::new(),
                };
                opened.note_run(notice);
                Ok(Self::Livekit(Box::new(opened)))
            }
        }
    }

    /// A server at a port of this machine, of which no ledger is kept.
    #[cfg(test)]
    pub(super) fn at_port(port: u16) -> Self {
        let address = Address::parse(&format!("ws://127.0.0.1:{port}")).expect("an address");
        let credentials = Credentials::new("key", "s".repeat(32));
        Self::Livekit(Box::new(LivekitDoor {
            remote: IpAddr::V4(Ipv4Addr::LOCALHOST),
            rooms: Arc::new(Rooms::new(&address, &credentials)),
            dispatches: Dispatches::new(&address, &credentials),
            prefix: "loadgen-0123abcd-".into(),
            ledger: None,
            address,
            credentials,
            deleting: TaskTracker::new(),
        }))
    }

    /// Starts an agent of our own, to be called behind this door beside the other.
    pub(super) async fn own_agent(&self, own: &OwnAgent) -> Result<OwnDoor, Failure> {
        match self {
            Self::Embedded(_) => Embedded::start(&own.program, &own.arguments)
                .await
                .map(|agent| OwnDoor::Embedded(Arc::new(agent))),
            Self::Livekit(door) => OwnWorker::start(own, &door.address, &door.credentials)
                .await
                .map(|worker| OwnDoor::Worker(Box::new(worker), own.name.clone())),
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

    /// Connects call `number` of the plan, or the canary.
    pub(super) async fn connect(
        &self,
        number: Option<u64>,
        room: &str,
        asked: &Asked,
        peer: &Arc<PeerHandle<CallerEnd>>,
        media: PeerEvents,
    ) -> Result<Connection, Failure> {
        match self {
            Self::Embedded(agent) => {
                // Numbers of calls only have to differ on the pipe.
                let call = (number.unwrap_or(u64::MAX), room);
                Connection::embedded(agent.clone(), call, peer, media, MEDIA_TIMEOUT).await
            }
            Self::Livekit(door) => {
                let ticket = RoomTicket {
                    room: room.to_owned(),
                    identity: number.map_or("canary".into(), |n| format!("caller-{n}")),
                    attributes: asked.attributes.clone(),
                    metadata: String::new(),
                    room_metadata: asked.room_metadata.clone(),
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
                    asked.choice.clone(),
                    peer.clone(),
                    media,
                ))
            }
        }
    }

    /// What the server says of a room's dispatches, where there is a server and it does.
    pub(super) async fn dispatches(&self, room: &str) -> Option<Vec<Dispatched>> {
        match self {
            Self::Livekit(door) => door.dispatches.of(room).await,
            Self::Embedded(_) => None,
        }
    }

    /// Deletes a call's room, without making anybody wait.
    pub(super) fn forget(&self, room: String) {
        if let Self::Livekit(door) = self {
            let rooms = door.rooms.clone();
            // What fails here is found by `close`.
            door.deleting
                .spawn(async move { rooms.delete_one(&room).await });
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
            match self.delete_all(&prefix, CLEANUP).await {
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

    /// Deletes all rooms of a prefix; how many there were. A server may write a room down
    /// again that it has just deleted (an agent that leaves changes it), so the list must
    /// stay empty for a while.
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

    /// No room of this run is left.
    fn forget_run(&self) {
        if let Some(ledger) = &self.ledger {
            ledger.close(&self.prefix);
        }
    }

    async fn close(&self, notice: &mut dyn FnMut(String)) {
        let begin = Instant::now();
        self.deleting.close();
        // Those that take longer are found again below.
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
