//! A LiveKit server as a target: each call is a room.
//!
//! In: address, credentials, each variant's requirements. Out: connections. Invariant: no code
//! outside this folder depends on how an agent gets into a room.

use super::ask::Ask;
use super::cause::Cause;
use super::cleanup::Cleanup;
use super::connection::{RoomCall, Wish};
use super::dispatches::Dispatches;
use super::examine;
use super::ledger::Ledger;
use super::own::OwnWorker;
use super::resolve::resolve;
use super::session::Join;
use super::token::{Credentials, Dispatch, RoomTicket};
use crate::call::Failure;
use crate::net::{Endpoint, Engine, Messages};
use crate::targets::examination::Examination;
use crate::targets::{CallLine, Dial, Notice, OpenTarget, Opened, Opening, OwnAgent, Target};
use crate::vocab::{AccountUse, Address};
use futures_util::future::BoxFuture;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// Timeout for signalling.
const JOIN_TIMEOUT: Duration = Duration::from_secs(10);
/// Timeout for ICE and DTLS.
const MEDIA_TIMEOUT: Duration = Duration::from_secs(10);

/// Rooms on a LiveKit server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Livekit {
    pub address: Address,
    /// API key and secret of the server.
    pub credentials: Credentials,
    /// Prefix of every room name.
    pub room_prefix: String,
    /// The requirements of each variant's calls; variants beyond the end of the list have none.
    pub asks: Vec<Ask>,
}

/// A LiveKit server whose host has been resolved, and the run's rooms on it.
struct Server<E: Endpoint> {
    address: Address,
    credentials: Credentials,
    remote: IpAddr,
    dispatches: Arc<Dispatches>,
    cleanup: Cleanup,
    engine: Arc<Engine<E>>,
}

/// A LiveKit server that is ready for calls, to the agent under test or to one of our own.
struct OpenLivekit<E: Endpoint> {
    server: Arc<Server<E>>,
    asks: Vec<Ask>,
    /// Our own agent, if the calls are to it.
    own: Option<OwnWorker>,
}

impl<E: Endpoint> Target<E> for Livekit {
    fn describe(&self) -> String {
        format!("livekit {}", self.address)
    }

    fn host(&self) -> Option<&str> {
        Some(self.address.host())
    }

    fn descriptors(&self) -> u64 {
        // One for signalling and, with an old server, two for media. Whether the server is old is
        // known only after the first call, when it is too late to refuse the run.
        3
    }

    fn ports(&self) -> u64 {
        1
    }

    fn open<'a>(&'a self, run: Opening<'a, E>) -> BoxFuture<'a, Result<Opened<E>, Failure>> {
        Box::pin(async move {
            let engine = run.media.engine()?;
            let remote = resolve(&self.address).await.map_err(|e| {
                Failure::from(Cause::Unreachable {
                    detail: format!("{}: {e}", self.address.host()),
                })
            })?;
            let prefix = format!("{}-{}-", self.room_prefix, run.run_id);
            let ledger = Ledger::of_user();
            let server = Server {
                address: self.address.clone(),
                credentials: self.credentials.clone(),
                remote,
                dispatches: Arc::new(Dispatches::new(&self.address, &self.credentials)),
                cleanup: Cleanup::new(&self.address, &self.credentials, prefix, ledger),
                engine,
            };
            server.cleanup.note_run(run.notice);
            let opened: Opened<E> = Box::new(OpenLivekit {
                server: Arc::new(server),
                asks: self.asks.clone(),
                own: None,
            });
            Ok(opened)
        })
    }

    fn examine(&self) -> BoxFuture<'_, Option<Examination>> {
        let examined = examine::server(&self.address, &self.credentials, SystemTime::now);
        Box::pin(async { Some(examined.await) })
    }
}

impl<E: Endpoint> OpenLivekit<E> {
    fn ask(&self, variant: usize) -> Ask {
        self.asks.get(variant).cloned().unwrap_or_default()
    }

    fn join(&self, dial: Dial<'_>, ask: &Ask) -> Result<Join, Failure> {
        let ticket = RoomTicket {
            room: dial.room.to_owned(),
            identity: dial
                .number
                .map_or("preflight".into(), |n| format!("caller-{n}")),
            attributes: ask.attributes.clone(),
            metadata: String::new(),
            room_metadata: ask.room_metadata.clone(),
            dispatch: ask.dispatch.clone(),
        };
        Ok(Join {
            address: self.server.address.clone(),
            token: self.server.credentials.sign(&ticket)?,
            cid: format!("{}-microphone", dial.room),
            join_timeout: JOIN_TIMEOUT,
            media_timeout: MEDIA_TIMEOUT,
            examine: dial.number.is_none(),
        })
    }
}

impl<E: Endpoint> OpenTarget<E> for OpenLivekit<E> {
    fn room(&self, call: &str) -> String {
        self.server.cleanup.room(call)
    }

    fn connect(&self, dial: Dial<'_>, caller: E) -> CallLine<E> {
        let (peer, media) = self.server.engine.add(caller, self.server.remote);
        let peer = Arc::new(peer);
        if let Some(impairment) = dial.network.cloned() {
            peer.tell(move |p, _| p.impair(impairment));
        }
        let ask = self.ask(dial.variant);
        let messages = match ask.account {
            AccountUse::Read => Messages::Together,
            AccountUse::Ignore => Messages::Dropped,
        };
        peer.tell(move |p, _| p.set_messages(messages));
        let joined = self.join(dial, &ask);
        let wish = Wish {
            room: dial.room.to_owned(),
            ask,
            dispatches: self.server.dispatches.clone(),
            swapped: self.server.credentials.look_swapped(),
        };
        CallLine {
            handle: peer.clone(),
            connection: Box::new(RoomCall::begin(joined, wish, peer, media)),
        }
    }

    fn preflight(&self, variant: usize) -> Option<Vec<String>> {
        let dispatch = self.ask(variant).dispatch;
        Some(dispatch.into_iter().map(|d| d.agent_name).collect())
    }

    fn own_agent<'a>(&'a self, own: &'a OwnAgent) -> BoxFuture<'a, Result<Opened<E>, Failure>> {
        Box::pin(async move {
            let Server {
                address,
                credentials,
                ..
            } = &*self.server;
            let worker = OwnWorker::start(own, address, credentials).await?;
            let dispatch = Some(Dispatch {
                agent_name: own.name.clone(),
                metadata: String::new(),
            });
            let opened: Opened<E> = Box::new(Self {
                server: self.server.clone(),
                asks: vec![Ask {
                    dispatch,
                    ..Ask::default()
                }],
                own: Some(worker),
            });
            Ok(opened)
        })
    }

    fn clear_crashed<'a>(&'a self, notice: Notice<'a>) -> BoxFuture<'a, ()> {
        Box::pin(self.server.cleanup.clear_crashed(notice))
    }

    fn forget(&self, room: String) {
        self.server.cleanup.forget(room);
    }

    fn close<'a>(&'a self, refused: bool, notice: Notice<'a>) -> BoxFuture<'a, ()> {
        Box::pin(async move {
            match &self.own {
                Some(worker) => worker.stop().await,
                // A server that refused every connection has none of our rooms.
                None if refused => self.server.cleanup.forget_run(),
                None => self.server.cleanup.close(notice).await,
            }
        })
    }
}
