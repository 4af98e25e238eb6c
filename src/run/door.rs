//! A target of the run: connects its calls and cleans up their rooms.
//!
//! In: settings. Out: connections. Invariants: every room that a run creates is deleted in the
//! end, those of a crashed run by the next run; rooms are only deleted by a run's own prefix.

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

/// Timeout for signalling.
const JOIN_TIMEOUT: Duration = Duration::from_secs(10);
/// Timeout for ICE and DTLS.
pub(super) const MEDIA_TIMEOUT: Duration = Duration::from_secs(10);
/// Validity of a token. It is used at once, but a queue in front of the server may take a while.
const TOKEN_LIFE: Duration = Duration::from_secs(600);
/// Time limit for deleting rooms; past it the user is told that some may be left.
const CLEANUP: Duration = Duration::from_secs(3);
/// Once the list of rooms has been empty for this long, no deleted room comes back.
const SETTLED: Duration = Duration::from_millis(400);

/// A target that calls connect to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Door {
    /// Rooms on a LiveKit server.
    Livekit {
        /// Address of the server.
        address: Address,
        /// API key and secret of the server.
        credentials: Credentials,
        /// Prefix of every room name.
        room_prefix: String,
    },
    /// The reference agent as a child process.
    Embedded {
        /// Path of this program.
        program: PathBuf,
        /// Arguments with the agent's settings.
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

/// What a call asks for: agent dispatch, participant attributes, room metadata, agent track.
#[derive(Debug, Clone, Default)]
pub(super) struct Asked {
    pub dispatch: Option<Dispatch>,
    pub attributes: BTreeMap<String, String>,
    pub room_metadata: String,
    pub choice: AgentChoice,
}

impl Asked {
    /// Names of the agents that are dispatched explicitly.
    pub(super) fn agents(&self) -> Vec<String> {
        self.dispatch.iter().map(|d| d.agent_name.clone()).collect()
    }
}

/// A target that is ready for calls.
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
    /// `prefix-runid-`: prefix of this run's room names.
    prefix: String,
    ledger: Option<Ledger>,
    /// Deletions in progress. A server that gets two at once for a room creates the room again.
    deleting: TaskTracker,
}

impl OpenDoor {
    /// Opens the target. Notices go to `notice`.
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

    /// A server at a local port, without a ledger.
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

    /// Starts one of our own reference agents on this target, beside the agent under test.
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

    /// Full name of a call's room.
    pub(super) fn room(&self, call: &str) -> String {
        match self {
            Self::Livekit(door) => format!("{}{call}", door.prefix),
            Self::Embedded(_) => format!("embedded-{call}"),
        }
    }

    /// Connects call `number` of the plan, or a preflight call if it is `None`.
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
                // Call numbers only have to be distinct on the pipe.
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

    /// The server's dispatches for a room; `None` without a server or without its answer.
    pub(super) async fn dispatches(&self, room: &str) -> Option<Vec<Dispatched>> {
        match self {
            Self::Livekit(door) => door.dispatches.of(room).await,
            Self::Embedded(_) => None,
        }
    }

    /// Starts deleting a call's room in the background.
    pub(super) fn forget(&self, room: String) {
        if let Self::Livekit(door) = self {
            let rooms = door.rooms.clone();
            // `close` finds the rooms whose deletion fails here.
            door.deleting
                .spawn(async move { rooms.delete_one(&room).await });
        }
    }

    /// Stops the child process, or deletes the rooms of this run.
    /// `refused`: the server refused every connection, so it has none of our rooms.
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
                    // The rooms of another crashed run would fail the same way.
                    return;
                }
            }
        }
    }

    /// Deletes all rooms with `prefix`; returns how many there were. A server may store a room
    /// again that it has just deleted (an agent that leaves updates it), so the list must stay
    /// empty for [`SETTLED`].
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

    /// Removes this run from the ledger: it has no rooms left.
    fn forget_run(&self) {
        if let Some(ledger) = &self.ledger {
            ledger.close(&self.prefix);
        }
    }

    async fn close(&self, notice: &mut dyn FnMut(String)) {
        let begin = Instant::now();
        self.deleting.close();
        // `delete_all` finds the rooms whose deletion takes longer.
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
