//! One participant's session: join, negotiate, follow the room, leave.
//!
//! In: the parameters of the join, a peer of the media engine, commands. Out: session events.
//! Invariant: a session ends with exactly one `Closed`, unless its owner drops it.

use super::cause::Cause;
use super::media_failure::media_failure;
use super::replies::Replies;
use super::requests::Requests;
use super::roster::Presence;
use super::signal::{self, Refusal, Reply, Request, Socket};
use super::streams::Streams;
use crate::account::Claim;
use crate::call::{Failure, ReplyText};
use crate::net::{Endpoint, NetError, PeerEvent, PeerEvents, PeerHandle, Topology};
use crate::targets::examination::{LinkFact, Permissions};
use crate::vocab::{Address, ConnectionQuality};
use livekit_protocol as proto;
use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::sync::mpsc;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval};

/// Maximum number of session events queued for an owner that is busy. Each event can be as large as
/// a message from the server, so the queue is short.
const EVENTS: usize = 8;
/// Maximum number of commands queued for a session that is busy.
const COMMANDS: usize = 64;
/// Ping interval if the server specifies none.
const DEFAULT_PING: Duration = Duration::from_secs(10);
/// Ping interval while the way to the server is examined.
const EXAMINED_PING: Duration = Duration::from_millis(500);
/// Default time without a message from the server after which the connection counts as lost.
const DEFAULT_PONG_LIMIT: Duration = Duration::from_secs(30);

/// The transport that publishes; if there is only one connection, it also subscribes.
pub(super) const PUBLISHER: usize = 0;
/// The transport that subscribes, if there are two connections.
pub(super) const SUBSCRIBER: usize = 1;

/// The parameters of a join.
#[derive(Clone)]
pub(crate) struct Join {
    /// The server's address.
    pub address: Address,
    /// Signed access token.
    pub token: String,
    /// Client id of our track: unique within the room.
    pub cid: String,
    /// Time limit for signalling.
    pub join_timeout: Duration,
    /// Time limit for ICE and DTLS, counted from the server's join response.
    pub media_timeout: Duration,
    /// Report what is learned about the way to the server.
    pub examine: bool,
}

impl fmt::Debug for Join {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Join")
            .field("address", &self.address)
            .field("cid", &self.cid)
            .finish_non_exhaustive()
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum SessionEvent {
    /// Signalling has joined and media is flowing.
    Joined,
    /// Other participants joined, changed or left; participants who joined before us are included.
    Participants(Vec<Presence>),
    /// The sections of a transport that carry a track of another participant.
    Sections {
        transport: usize,
        /// Track ids by media section, for the whole transport.
        tracks: HashMap<String, String>,
    },
    /// The server's rating of our connection.
    Rated(ConnectionQuality),
    /// A participant's claim about its session with us.
    Claim(Claim),
    /// The text of a turn was sent.
    TextSent {
        /// The turn, as in [`SessionCommand::SendText`].
        turn: usize,
        /// When the last packet of the text was sent.
        at: std::time::Instant,
    },
    /// Part of a text from this participant arrived. Reported only once we have sent a text.
    ReplyText(String, ReplyText),
    /// Our track is published, with this id.
    Published(String),
    /// A participant requests the usage of our session; carries the id of the request.
    UsageRequest(String),
    /// Something was learned about the way to the server; only if the join asks for it.
    Learned(LinkFact),
    /// The session is over.
    Closed(Failure),
}

/// A command from the owner to its session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum SessionCommand {
    /// Send usage requests to this participant, an agent; its responses relate its clock to ours.
    Ask(String),
    /// Send the text of this turn to the agent.
    SendText(usize, Arc<str>),
    /// Tell the agent that the caller presses this key.
    SendKey(char),
    /// Set attributes of our participant.
    SetAttributes(HashMap<String, String>),
    /// Unpublish our track and publish it again, with this client id.
    Republish(String),
    /// Leave the room and end.
    Leave,
}

pub(crate) struct Session {
    // Boxed, because the channel allocates space for 32 events at once.
    events: mpsc::Receiver<Box<SessionEvent>>,
    commands: mpsc::Sender<SessionCommand>,
    task: tokio::task::JoinHandle<()>,
}

impl Session {
    /// Starts to join; everything else is reported by [`Session::event`].
    pub(crate) fn begin<E: Endpoint>(
        join: Join,
        peer: Arc<PeerHandle<E>>,
        media: PeerEvents,
    ) -> Self {
        let (tx, events) = mpsc::channel(EVENTS);
        let (commands, rx) = mpsc::channel(COMMANDS);
        let task = tokio::spawn(async move {
            let failure = match run(&join, &peer, media, rx, &tx).await {
                Ok(()) => return,
                Err(f) => f,
            };
            let _ = tx.send(Box::new(SessionEvent::Closed(failure))).await;
        });
        Self {
            events,
            commands,
            task,
        }
    }

    /// The next event; `None` after the session has ended. Cancel safe.
    pub(crate) async fn event(&mut self) -> Option<SessionEvent> {
        self.events.recv().await.map(|event| *event)
    }

    /// A sender for commands to the session.
    pub(crate) fn commands(&self) -> mpsc::Sender<SessionCommand> {
        self.commands.clone()
    }

    /// Leaves the room; returns when the leave request has been sent, or after a second.
    pub(crate) async fn leave(self) {
        let Self {
            events,
            commands,
            mut task,
        } = self;
        let _ = commands.try_send(SessionCommand::Leave);
        // A session that waits for its owner to read events must not wait forever.
        drop(events);
        if tokio::time::timeout(Duration::from_secs(1), &mut task)
            .await
            .is_err()
        {
            task.abort();
        }
    }
}

/// The part of a session that its message handlers change.
pub(super) struct LiveSession<'a, E: Endpoint> {
    pub(super) socket: Socket,
    pub(super) peer: &'a Arc<PeerHandle<E>>,
    events: &'a mpsc::Sender<Box<SessionEvent>>,
    /// Id of our own participant, for which no events are reported.
    own_sid: String,
    pub(super) own_identity: String,
    pub(super) streams: Streams,
    pub(super) requests: Requests,
    /// Follows the agent's texts, once we have sent one.
    pub(super) replies: Option<Replies>,
    /// Number of texts sent.
    pub(super) texts: u64,
    pub(super) single: bool,
    pub(super) offers: u32,
    /// Number of sections that the server requested while an answer was outstanding.
    pub(super) sections_wanted: Option<u32>,
    /// Client id of a track that is to be published once an outstanding answer has come.
    pub(super) track_wanted: Option<String>,
    joined: Option<Instant>,
    connected: bool,
    told: bool,
    examine: bool,
    /// The timestamp of a ping that has not been answered, and when it was sent.
    pinged: Option<(i64, Instant)>,
    heard: Instant,
    pong_limit: Duration,
    ping: Interval,
}

async fn run<E: Endpoint>(
    join: &Join,
    peer: &Arc<PeerHandle<E>>,
    mut media: PeerEvents,
    mut commands: mpsc::Receiver<SessionCommand>,
    events: &mpsc::Sender<Box<SessionEvent>>,
) -> Result<(), Failure> {
    // The join is not cancelled when the owner leaves: the server would finish a cancelled join,
    // and so recreate the room after its deletion. The owner waits for at most a second.
    // The future is boxed, so that the memory of the handshake is released after the handshake.
    let (socket, single) = Box::pin(open(join, peer)).await?;
    let mut live = begun(join, peer, events, socket, single);
    if !single {
        live.begin_v0(&join.cid).await?;
    }
    let join_deadline = Instant::now() + join.join_timeout;
    loop {
        let deadline = match (live.joined, live.connected) {
            (None, _) => join_deadline,
            (Some(joined), false) => joined + join.media_timeout,
            (Some(_), true) => live.heard + live.pong_limit,
        };
        tokio::select! {
            reply = live.socket.recv::<proto::SignalResponse>() => {
                live.heard = Instant::now();
                if let Some(m) = reply?.message {
                    // Boxed, like all rarely used futures; otherwise every session reserves memory
                    // for it.
                    Box::pin(live.reply(m)).await?;
                }
            }
            event = media.recv() => live.media(event).await?,
            command = commands.recv() => match command {
                Some(SessionCommand::SetAttributes(a)) => live.set_attributes(a).await?,
                Some(SessionCommand::SendText(turn, text)) => {
                    Box::pin(live.send_text(turn, &text)).await?;
                }
                Some(SessionCommand::Republish(cid)) => Box::pin(live.republish(cid)).await?,
                Some(SessionCommand::SendKey(key)) => Box::pin(live.send_key(key)).await?,
                Some(SessionCommand::Ask(agent)) => live.requests.ask(agent),
                Some(SessionCommand::Leave) | None => return Box::pin(live.leave()).await,
            },
            _ = live.ping.tick() => live.send_ping().await?,
            () = live.requests.due() => live.request().await?,
            () = tokio::time::sleep_until(deadline) => return Err(live.too_late(join)),
        }
    }
}

/// A session whose signalling has just been opened.
fn begun<'a, E: Endpoint>(
    join: &Join,
    peer: &'a Arc<PeerHandle<E>>,
    events: &'a mpsc::Sender<Box<SessionEvent>>,
    socket: Socket,
    single: bool,
) -> LiveSession<'a, E> {
    let mut ping = interval(DEFAULT_PING);
    ping.set_missed_tick_behavior(MissedTickBehavior::Delay);
    LiveSession {
        socket,
        peer,
        events,
        own_sid: String::new(),
        own_identity: String::new(),
        streams: Streams::default(),
        requests: Requests::new(),
        replies: None,
        texts: 0,
        single,
        offers: 1,
        sections_wanted: None,
        track_wanted: None,
        joined: None,
        connected: false,
        told: false,
        examine: join.examine,
        pinged: None,
        heard: Instant::now(),
        pong_limit: DEFAULT_PONG_LIMIT,
        ping,
    }
}

/// Opens signalling for a single peer connection, or for two if the server does not support a
/// single one.
async fn open<E: Endpoint>(
    join: &Join,
    peer: &Arc<PeerHandle<E>>,
) -> Result<(Socket, bool), Failure> {
    let cid = join.cid.clone();
    let offer = peer
        .with(move |p, now| p.transport(PUBLISHER, now)?.offer(&cid, Topology::Single))
        .await
        .and_then(|r| r)
        .map_err(media_failure)?;
    let path = signal::path_v1(offer, &join.cid);
    match signal::open(&join.address, &path, &join.token, join.join_timeout).await {
        Ok(socket) => return Ok((socket, true)),
        Err(Refusal::Failed(f)) => return Err(f),
        Err(Refusal::NotFound(_)) => {}
    }
    peer.with(|p, _| p.close(PUBLISHER))
        .await
        .map_err(media_failure)?;
    match signal::open(
        &join.address,
        &signal::path_v0(),
        &join.token,
        join.join_timeout,
    )
    .await
    {
        Ok(socket) => Ok((socket, false)),
        Err(Refusal::Failed(f)) => Err(f),
        Err(Refusal::NotFound(detail)) => Err(Failure::from(Cause::NotLiveKit { detail })),
    }
}

impl<E: Endpoint> LiveSession<'_, E> {
    async fn reply(&mut self, message: Reply) -> Result<(), Failure> {
        match message {
            Reply::Join(join) => self.on_join(&join).await,
            Reply::Update(u) => self.participants(&u.participants).await,
            Reply::Answer(a) => self.on_answer(a).await,
            Reply::Offer(o) => self.on_offer(o).await,
            Reply::Trickle(t) => self.on_trickle(&t).await,
            Reply::TrackPublished(t) => self.on_published(t).await,
            Reply::MediaSectionsRequirement(m) => self.reoffer(m.num_audios).await,
            Reply::Leave(l) => Err(left(&l)),
            Reply::RequestResponse(r) => on_request_response(&r),
            Reply::PongResp(pong) => self.on_pong(&pong).await,
            Reply::ConnectionQuality(q) => {
                self.on_quality(&q).await;
                Ok(())
            }
            _ => Ok(()),
        }
    }

    async fn on_join(&mut self, join: &proto::JoinResponse) -> Result<(), Failure> {
        self.joined = Some(Instant::now());
        if join.ping_interval > 0 {
            self.ping = interval(Duration::from_secs(join.ping_interval as u64));
            self.ping
                .set_missed_tick_behavior(MissedTickBehavior::Delay);
        }
        if self.examine {
            self.ping = interval(EXAMINED_PING);
        }
        if join.ping_timeout > 0 {
            // A busy server may be slow to send, so allow twice the timeout that it specifies.
            self.pong_limit = Duration::from_secs(join.ping_timeout as u64 * 2);
        }
        if let Some(own) = &join.participant {
            self.own_sid.clone_from(&own.sid);
            self.own_identity.clone_from(&own.identity);
        }
        self.learn(facts_of(join)).await?;
        self.participants(&join.other_participants).await?;
        self.tell_joined().await
    }

    /// Reports what was learned about the way to the server, if the owner asks for it.
    pub(super) async fn learn(
        &mut self,
        facts: impl IntoIterator<Item = LinkFact>,
    ) -> Result<(), Failure> {
        if self.examine {
            for fact in facts {
                self.send_event(SessionEvent::Learned(fact)).await?;
            }
        }
        Ok(())
    }

    async fn on_pong(&mut self, pong: &proto::Pong) -> Result<(), Failure> {
        let answered = |(stamp, _): &mut (i64, Instant)| *stamp == pong.last_ping_timestamp;
        let sent = self.pinged.take_if(answered);
        let took = sent.map(|(_, sent)| LinkFact::RoundTrip(sent.elapsed()));
        self.learn(took).await
    }

    async fn media(&mut self, event: Option<PeerEvent>) -> Result<(), Failure> {
        match event {
            Some(PeerEvent::Connected(PUBLISHER)) => {
                self.connected = true;
                self.tell_joined().await
            }
            Some(PeerEvent::Disconnected(_)) => Err(Failure::Dropped {
                detail: "media lost: the server no longer answers on its UDP port".into(),
            }),
            Some(PeerEvent::Dead(detail)) => Err(Failure::Dropped { detail }),
            Some(PeerEvent::Broken(detail)) => Err(Failure::Generator { detail }),
            Some(PeerEvent::Messages(all)) => {
                for (arrival, bytes) in all {
                    self.on_data(arrival, &bytes).await?;
                }
                Ok(())
            }
            Some(PeerEvent::Connected(_)) => Ok(()),
            None => Err(media_failure(NetError::Gone)),
        }
    }

    async fn tell_joined(&mut self) -> Result<(), Failure> {
        if self.joined.is_some() && self.connected && !self.told {
            self.told = true;
            self.send_event(SessionEvent::Joined).await?;
        }
        Ok(())
    }

    /// Reports the server's rating of our own connection, unless the owner is too busy.
    async fn on_quality(&mut self, update: &proto::ConnectionQualityUpdate) {
        let own = |info: &&proto::ConnectionQualityInfo| info.participant_sid == self.own_sid;
        let info = update.updates.iter().rfind(own);
        if let Some(rating) = info.and_then(|info| rating(info.quality)) {
            self.offer(SessionEvent::Rated(rating)).await;
        }
    }

    async fn on_published(
        &mut self,
        published: proto::TrackPublishedResponse,
    ) -> Result<(), Failure> {
        match published.track {
            Some(track) => self.send_event(SessionEvent::Published(track.sid)).await,
            None => Ok(()),
        }
    }

    async fn participants(&mut self, all: &[proto::ParticipantInfo]) -> Result<(), Failure> {
        let others = all.iter().filter(|p| p.sid != self.own_sid);
        let others: Vec<Presence> = others.map(Presence::of).collect();
        if others.is_empty() {
            return Ok(());
        }
        self.send_event(SessionEvent::Participants(others)).await
    }

    pub(super) async fn sections(
        &mut self,
        transport: usize,
        tracks: HashMap<String, String>,
    ) -> Result<(), Failure> {
        self.send_event(SessionEvent::Sections { transport, tracks })
            .await
    }

    /// Reports an event that is not essential for the owner; drops it if the owner is too busy.
    pub(super) async fn offer(&mut self, event: SessionEvent) {
        if self.events.capacity() == 0 {
            // Messages arrive in batches, so let the owner take the events so far.
            tokio::task::yield_now().await;
        }
        let _ = self.events.try_send(Box::new(event));
    }

    pub(super) async fn send_event(&mut self, event: SessionEvent) -> Result<(), Failure> {
        // If the owner is gone, nobody is left to read the failure.
        let told = self.events.send(Box::new(event)).await;
        told.map_err(|_| Failure::Stopped)
    }

    async fn set_attributes(&mut self, attributes: HashMap<String, String>) -> Result<(), Failure> {
        let update = proto::UpdateParticipantMetadata {
            attributes,
            ..Default::default()
        };
        self.socket.request(Request::UpdateMetadata(update)).await
    }

    async fn send_ping(&mut self) -> Result<(), Failure> {
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        let ping = proto::Ping {
            timestamp: now.as_millis() as i64,
            rtt: 0,
        };
        self.pinged.get_or_insert((ping.timestamp, Instant::now()));
        self.socket.request(Request::PingReq(ping)).await
    }

    async fn leave(mut self) -> Result<(), Failure> {
        let leave = proto::LeaveRequest {
            reason: proto::DisconnectReason::ClientInitiated as i32,
            ..Default::default()
        };
        self.socket.request(Request::Leave(leave)).await?;
        self.socket.close().await;
        Ok(())
    }

    fn too_late(&self, join: &Join) -> Failure {
        match (self.joined, self.connected) {
            (None, _) => Failure::from(Cause::JoinTimeout {
                waited: join.join_timeout,
            }),
            (Some(_), false) => Failure::from(Cause::MediaNotConnected {
                waited: join.media_timeout,
            }),
            (Some(_), true) => Failure::Dropped {
                detail: format!("the server sent nothing for {:?}", self.pong_limit),
            },
        }
    }
}

/// What a join response tells about the server and our permissions.
fn facts_of(join: &proto::JoinResponse) -> Vec<LinkFact> {
    let server = join.server_info.as_ref().map(|server| {
        let region = match server.region.as_str() {
            "" => String::new(),
            region => format!(" in {region}"),
        };
        LinkFact::Server(signal::printable(&format!("{}{region}", server.version)))
    });
    let own = join.participant.as_ref();
    let permissions = own.and_then(|own| own.permission.as_ref()).map(|p| {
        let microphone = proto::TrackSource::Microphone as i32;
        let sources = &p.can_publish_sources;
        LinkFact::Permissions(Permissions {
            publish: p.can_publish && (sources.is_empty() || sources.contains(&microphone)),
            subscribe: p.can_subscribe,
            data: p.can_publish_data,
        })
    });
    server.into_iter().chain(permissions).collect()
}

fn rating(quality: i32) -> Option<ConnectionQuality> {
    Some(match proto::ConnectionQuality::try_from(quality).ok()? {
        proto::ConnectionQuality::Lost => ConnectionQuality::Lost,
        proto::ConnectionQuality::Poor => ConnectionQuality::Poor,
        proto::ConnectionQuality::Good => ConnectionQuality::Good,
        proto::ConnectionQuality::Excellent => ConnectionQuality::Excellent,
    })
}

/// The failure of a session that is ended by the server.
pub(super) fn left(leave: &proto::LeaveRequest) -> Failure {
    use proto::DisconnectReason::{ParticipantRemoved, RoomClosed, RoomDeleted, UnknownReason};
    let reason = proto::DisconnectReason::try_from(leave.reason).unwrap_or(UnknownReason);
    let detail = format!("the server ended the session: {}", reason.as_str_name());
    match reason {
        RoomDeleted | RoomClosed | ParticipantRemoved => Failure::Ended { detail },
        _ => Failure::Dropped { detail },
    }
}

pub(super) fn on_request_response(r: &proto::RequestResponse) -> Result<(), Failure> {
    use proto::request_response::Reason;
    match Reason::try_from(r.reason) {
        Ok(Reason::LimitExceeded) => Err(Failure::from(Cause::Quota {
            detail: signal::printable(&r.message),
        })),
        _ => Ok(()),
    }
}
