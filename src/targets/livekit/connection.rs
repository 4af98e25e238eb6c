//! A call through a LiveKit room.
//!
//! In: the parameters of the join, a peer of the media engine. Out: the call's events; the reason
//! if there is no agent. Invariants: a connection ends with at most one `Closed`; sections with a
//! track that is not the agent's voice are ignored automatically.

use super::ask::Ask;
use super::cause::REFUSED;
use super::diagnosis::{Wanted, diagnose};
use super::dispatches::Dispatches;
use super::roster::Section;
use super::session::{Join, Session, SessionCommand, SessionEvent};
use super::voices::{AgentStream, RoomEvent, Voices};
use crate::account::{Claim, ClaimKind};
use crate::call::Failure;
use crate::net::{Endpoint, PeerEvents, PeerHandle};
use crate::targets::examination::Link;
use crate::targets::{Connection, Event};
use futures_util::future::BoxFuture;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::mpsc::error::TrySendError;

/// Maximum length of a track name in the record, in characters.
const NAME: usize = 200;

/// The call's room and requirements, and the means to determine why there is no agent.
pub(super) struct Wish {
    pub room: String,
    pub ask: Ask,
    pub dispatches: Arc<Dispatches>,
    /// Whether the API key and the secret look swapped.
    pub swapped: bool,
}

/// A reported track, and the section in which it arrives.
struct Heard {
    track: u32,
    sid: String,
    section: Section,
}

/// A call through a LiveKit room.
pub(super) struct RoomCall<E: Endpoint> {
    /// `None` if the call could not even start to join.
    session: Option<Session>,
    wish: Wish,
    voices: Voices,
    peer: Arc<PeerHandle<E>>,
    /// Events that have not yet been returned.
    events: VecDeque<Event>,
    /// The tracks that may currently be the agent's voice.
    heard: Vec<Heard>,
    tracks_so_far: u32,
    /// Identity of the agent to which usage requests are sent.
    asked: Option<String>,
    link: Link,
}

impl<E: Endpoint> RoomCall<E> {
    /// Starts to join.
    pub(super) fn begin(
        join: Result<Join, Failure>,
        wish: Wish,
        peer: Arc<PeerHandle<E>>,
        media: PeerEvents,
    ) -> Self {
        let (session, failure) = match join {
            Ok(join) => (Some(Session::begin(join, peer.clone(), media)), None),
            Err(failure) => (None, Some(Event::Closed(failure))),
        };
        Self {
            session,
            voices: Voices::new(wish.ask.choice.clone()),
            wish,
            peer,
            events: failure.into_iter().collect(),
            heard: Vec::new(),
            tracks_so_far: 0,
            asked: None,
            link: Link::default(),
        }
    }

    /// Cancel safe: if one session event yields several events, they are kept until they are
    /// returned.
    async fn next(&mut self) -> Option<Event> {
        loop {
            if let Some(event) = self.events.pop_front() {
                return Some(event);
            }
            let told = match self.session.as_mut()?.event().await? {
                SessionEvent::Joined => return Some(Event::Joined),
                SessionEvent::Closed(failure) => {
                    return Some(Event::Closed(with_hint(failure, self.wish.swapped)));
                }
                SessionEvent::Claim(claim) => {
                    if self.believes(&claim) {
                        return Some(Event::Claim(claim));
                    }
                    continue;
                }
                SessionEvent::TextSent { turn, at } => return Some(Event::TextSent { turn, at }),
                SessionEvent::ReplyText(sender, text) => {
                    if self.voices.is_agent(&sender) {
                        return Some(Event::ReplyText(text));
                    }
                    continue;
                }
                SessionEvent::Learned(fact) => {
                    self.link.learn(fact);
                    continue;
                }
                SessionEvent::Rated(rating) => return Some(Event::Rated(rating)),
                // Only an agent handles these.
                SessionEvent::Published(_) | SessionEvent::UsageRequest(_) => continue,
                SessionEvent::Participants(all) => self.voices.participants(all, Instant::now()),
                SessionEvent::Sections { transport, tracks } => {
                    self.voices.sections(transport, tracks, Instant::now())
                }
            };
            for Section { transport, mid } in self.voices.newly_ignored() {
                self.peer.tell(move |p, _| p.ignore(transport, &mid));
            }
            for event in told {
                let event = self.translated(event);
                self.events.extend(event);
            }
            let notice = self.voices.take_notice().map(Event::Notice);
            self.events.extend(notice);
        }
    }

    /// Whether a claim comes from an agent. Requests are sent to the first agent that makes a
    /// claim, as long as that agent is in the room.
    fn believes(&mut self, claim: &Claim) -> bool {
        if matches!(claim.kind, ClaimKind::Transcript(_)) {
            return true;
        }
        let sender = &*claim.agent;
        if !self.voices.is_agent(sender) {
            return false;
        }
        if matches!(claim.kind, ClaimKind::ReplyTranscript(_)) {
            return true;
        }
        let asks = self.asked.as_deref();
        if !asks.is_some_and(|asked| self.voices.is_agent(asked))
            && let Some(session) = &self.session
        {
            let ask = SessionCommand::Ask(sender.to_owned());
            // A session whose queue is full is told again at the agent's next claim.
            if session.commands().try_send(ask).is_ok() {
                self.asked = Some(sender.to_owned());
            }
        }
        true
    }

    fn translated(&mut self, event: RoomEvent) -> Option<Event> {
        Some(match event {
            RoomEvent::AgentPresent(identity) => Event::AgentPresent { identity },
            RoomEvent::AgentState(state) => Event::AgentState(state),
            RoomEvent::AgentLeft => Event::AgentLeft,
            RoomEvent::Track(stream, section) => {
                let track = self.tracks_so_far;
                self.tracks_so_far += 1;
                let name = name(&stream);
                self.heard.push(Heard {
                    track,
                    sid: stream.sid,
                    section,
                });
                Event::AgentTrack { track, name }
            }
            RoomEvent::TrackGone(sid) => {
                let at = self.heard.iter().position(|heard| heard.sid == sid)?;
                Event::AgentTrackGone(self.heard.remove(at).track)
            }
            RoomEvent::TrackMuted(sid) => {
                let heard = self.heard.iter().find(|heard| heard.sid == sid)?;
                Event::AgentTrackMuted(heard.track)
            }
        })
    }

    async fn explained(&self, failure: Failure, agent_timeout: Duration) -> Failure {
        let heard = self.tracks_so_far > 0;
        let Some(waited) = waited(&failure, agent_timeout, heard) else {
            return failure;
        };
        let Wish {
            room,
            ask,
            dispatches,
            ..
        } = &self.wish;
        let dispatches = dispatches.of(room).await;
        let wanted = Wanted {
            agent_name: ask.dispatch.as_ref().map(|d| d.agent_name.as_str()),
            choice: &ask.choice,
            waited,
        };
        match diagnose(wanted, &self.voices.seen(), dispatches.as_deref()) {
            Some(why) => why.into(),
            None => failure,
        }
    }
}

impl<E: Endpoint> Connection for RoomCall<E> {
    fn event(&mut self) -> BoxFuture<'_, Option<Event>> {
        Box::pin(self.next())
    }

    fn listen(&mut self, track: u32) {
        if let Some(heard) = self.heard.iter().find(|heard| heard.track == track) {
            let Section { transport, mid } = heard.section.clone();
            self.peer
                .tell(move |p, _| p.listen_to(transport, &mid, track));
        }
    }

    fn stop_listening(&mut self, track: u32) {
        self.peer.tell(move |p, _| p.stop_listening(track));
    }

    fn ignore_all(&mut self) {
        self.peer.tell(|p, _| p.ignore_all());
    }

    fn send_text(&mut self, turn: usize, text: Arc<str>) {
        let Some(session) = &self.session else {
            return;
        };
        let command = SessionCommand::SendText(turn, text);
        let sent = session.commands().try_send(command);
        // A session that has ended reports why.
        if let Err(TrySendError::Full(_)) = sent {
            let detail = "the session is too busy to send a text".into();
            let failure = Failure::Generator { detail };
            self.events.push_back(Event::Closed(failure));
        }
    }

    fn send_key(&mut self, key: char) {
        let Some(session) = &self.session else {
            return;
        };
        let sent = session.commands().try_send(SessionCommand::SendKey(key));
        if let Err(TrySendError::Full(_)) = sent {
            let detail = "the session is too busy to send a key".into();
            let failure = Failure::Generator { detail };
            self.events.push_back(Event::Closed(failure));
        }
    }

    fn explain(&mut self, failure: Failure, agent_timeout: Duration) -> BoxFuture<'_, Failure> {
        Box::pin(self.explained(failure, agent_timeout))
    }

    fn link(&mut self) -> BoxFuture<'_, Link> {
        Box::pin(async move {
            let remote = self.peer.with(|p, _| p.media_address()).await;
            Link {
                remote: remote.ok().flatten(),
                ..self.link.clone()
            }
        })
    }

    fn hang_up(self: Box<Self>) -> BoxFuture<'static, ()> {
        Box::pin(async move {
            if let Some(session) = self.session {
                session.leave().await;
            }
        })
    }
}

/// The failure, with a hint if the key and the secret look swapped.
fn with_hint(mut failure: Failure, swapped: bool) -> Failure {
    if let Failure::Target(failure) = &mut failure
        && failure.cause == REFUSED
        && swapped
    {
        failure.hint = "the API key and the secret look swapped: LIVEKIT_API_KEY begins with API";
    }
    failure
}

/// The track's name in the record: `identity/name`, at most [`NAME`] characters.
fn name(stream: &AgentStream) -> Arc<str> {
    let name = format!("{}/{}", stream.identity, stream.name);
    name.chars().take(NAME).collect::<String>().into()
}

/// How long the call waited for an agent, if `failure` means that it had none: the agent never
/// joined, or it left or published nothing before the call `heard` it.
fn waited(failure: &Failure, agent_timeout: Duration, heard: bool) -> Option<Duration> {
    match failure {
        Failure::AgentAbsent { waited } => Some(*waited),
        Failure::AgentSilent | Failure::AgentLeft if !heard => Some(agent_timeout),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::cause::Cause;
    use super::super::token::Credentials;
    use super::*;

    #[test]
    fn a_refused_token_hints_at_a_swapped_key_and_secret() {
        let (key, secret) = (
            "APIofanothertest",
            "a-secret-that-is-as-long-as-secrets-are",
        );
        let refused = |key, secret| {
            let swapped = Credentials::new(key, secret).look_swapped();
            let detail = super::super::signal::printable(&format!("invalid API key: {key}"));
            with_hint(Cause::TokenRefused { detail }.into(), swapped)
        };
        let right = refused(key, secret);
        assert!(
            right.hint().contains("check LIVEKIT_API_KEY"),
            "{}",
            right.hint()
        );
        let wrong = refused(secret, key);
        assert!(wrong.hint().contains("look swapped"), "{}", wrong.hint());
        let shown = format!("{wrong} {}", wrong.hint());
        assert!(!shown.contains(secret), "{shown}");
        // Other failures are unrelated to the keys.
        let dropped = Failure::Dropped {
            detail: String::new(),
        };
        let hint = dropped.hint();
        assert_eq!(with_hint(dropped, true).hint(), hint);
    }

    #[test]
    fn only_failures_due_to_a_missing_agent_are_diagnosed() {
        let bound = Duration::from_secs(30);
        let own = Duration::from_secs(7);
        let absent = Failure::AgentAbsent { waited: own };
        let quota = Failure::from(Cause::Quota {
            detail: "429".into(),
        });
        let cases = [
            (&absent, false, Some(own)),
            (&Failure::AgentSilent, false, Some(bound)),
            (&Failure::AgentLeft, false, Some(bound)),
            (&Failure::AgentLeft, true, None),
            (&quota, false, None),
            (&Failure::Stopped, false, None),
        ];
        for (failure, heard, expected) in cases {
            assert_eq!(waited(failure, bound, heard), expected, "{failure} {heard}");
        }
    }
}
