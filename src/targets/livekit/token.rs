//! Access tokens: which participant may join which room, and which agent is dispatched to the room.
//!
//! In: key and secret, room, identity. Out: a signed JWT.
//! Invariant: the secret appears in no error, no `Debug` output, no log.

use super::cause::Cause;
use super::secrets;
use crate::call::Failure;
use livekit_api::access_token::{AccessToken, VideoGrants};
use livekit_protocol as proto;
use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

/// API key and secret of a LiveKit server.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Credentials {
    key: String,
    secret: String,
}

impl Credentials {
    /// A key and its secret, without the surrounding whitespace that copying often adds.
    pub(crate) fn new(key: impl Into<String>, secret: impl Into<String>) -> Self {
        let (key, secret) = (
            key.into().trim().to_owned(),
            secret.into().trim().to_owned(),
        );
        secrets::remember(&key, &secret);
        Self { key, secret }
    }

    /// Whether the secret looks like a key, and the key is longer than the secret.
    pub(super) fn look_swapped(&self) -> bool {
        self.secret.starts_with("API") && self.key.len() > self.secret.len()
    }

    /// Passes the credentials to a child process through its environment.
    pub(crate) fn to_environment(&self, command: &mut std::process::Command) {
        command.env("LIVEKIT_API_KEY", &self.key);
        command.env("LIVEKIT_API_SECRET", &self.secret);
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials")
            .field("key", &self.key)
            .finish_non_exhaustive()
    }
}

/// An explicit dispatch: the agent that the server sends into the room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Dispatch {
    /// The worker's agent name.
    pub agent_name: String,
    pub metadata: String,
}

/// The contents of a participant's token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RoomTicket {
    pub room: String,
    pub identity: String,
    pub attributes: BTreeMap<String, String>,
    pub metadata: String,
    /// The room's metadata, if the server creates the room for this participant.
    pub room_metadata: String,
    /// Explicit dispatch; `None` leaves it to the server's automatic dispatch.
    pub dispatch: Option<Dispatch>,
}

/// Lifetime of a token. A token is used at once, but a queue in front of the server may delay its
/// check.
pub(super) const TOKEN_LIFE: Duration = Duration::from_secs(120);
/// How long the server keeps an empty room, in case this process crashes before deleting it.
const EMPTY_ROOM_SECONDS: u32 = 30;

impl Credentials {
    /// Signs a token for the ticket.
    ///
    /// # Errors
    /// [`Cause::TokenRefused`] when key or secret is empty.
    pub(crate) fn sign(&self, ticket: &RoomTicket) -> Result<String, Failure> {
        let agents = ticket.dispatch.iter().map(|d| proto::RoomAgentDispatch {
            agent_name: d.agent_name.clone(),
            metadata: d.metadata.clone(),
            ..Default::default()
        });
        AccessToken::with_api_key(&self.key, &self.secret)
            .with_ttl(TOKEN_LIFE)
            .with_identity(&ticket.identity)
            .with_name(&ticket.identity)
            .with_metadata(&ticket.metadata)
            .with_attributes(&ticket.attributes)
            .with_grants(VideoGrants {
                room_join: true,
                room: ticket.room.clone(),
                // Each permission is listed, because the server allows whatever a token does not
                // mention.
                can_publish: Some(true),
                can_publish_sources: vec!["microphone".into()],
                can_subscribe: Some(true),
                can_publish_data: Some(true),
                can_update_own_metadata: Some(true),
                ..Default::default()
            })
            .with_room_config(proto::RoomConfiguration {
                empty_timeout: EMPTY_ROOM_SECONDS,
                departure_timeout: EMPTY_ROOM_SECONDS,
                agents: agents.collect(),
                metadata: ticket.room_metadata.clone(),
                ..Default::default()
            })
            .to_jwt()
            .map_err(unsigned)
    }

    /// Signs a worker's token for the agent endpoint.
    ///
    /// # Errors
    /// As [`Credentials::sign`].
    pub(in crate::targets) fn sign_worker(&self) -> Result<String, Failure> {
        self.sign_request(VideoGrants {
            agent: true,
            ..Default::default()
        })
    }

    /// Signs a token for one request to the server's API, with the grants that the request needs.
    ///
    /// # Errors
    /// As [`Credentials::sign`].
    pub(super) fn sign_request(&self, grants: VideoGrants) -> Result<String, Failure> {
        AccessToken::with_api_key(&self.key, &self.secret)
            .with_ttl(TOKEN_LIFE)
            .with_grants(grants)
            .to_jwt()
            .map_err(unsigned)
    }
}

fn unsigned(e: impl fmt::Display) -> Failure {
    Failure::from(Cause::TokenRefused {
        detail: format!("cannot sign: {e}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use livekit_api::access_token::Claims;

    fn ticket() -> RoomTicket {
        RoomTicket {
            room: "r".into(),
            identity: "caller-1".into(),
            attributes: [("locale".to_owned(), "en".to_owned())].into(),
            metadata: String::new(),
            room_metadata: r#"{"llm":"fast"}"#.into(),
            dispatch: Some(Dispatch {
                agent_name: "support".into(),
                metadata: "{}".into(),
            }),
        }
    }

    #[test]
    fn a_callers_token_has_identity_room_and_agent() {
        let jwt = Credentials::new("key", "s".repeat(32))
            .sign(&ticket())
            .expect("signed");
        let claims = Claims::from_unverified(&jwt).expect("claims");
        assert_eq!(
            (claims.iss.as_str(), claims.sub.as_str()),
            ("key", "caller-1")
        );
        assert!(claims.video.room_join && claims.video.room == "r");
        assert_eq!(claims.attributes["locale"], "en");
        let room = claims.room_config.expect("room configuration");
        assert_eq!(room.agents[0].agent_name, "support");
        assert_eq!(room.metadata, r#"{"llm":"fast"}"#);
        assert_eq!(room.departure_timeout, EMPTY_ROOM_SECONDS);
        assert_eq!(claims.exp - claims.nbf, 120);
        let expected = VideoGrants {
            room_join: true,
            room: "r".into(),
            can_publish: Some(true),
            can_publish_sources: vec!["microphone".into()],
            can_subscribe: Some(true),
            can_publish_data: Some(true),
            can_update_own_metadata: Some(true),
            ..Default::default()
        };
        assert_eq!(claims.video, expected, "and nothing else");
    }

    #[test]
    fn a_workers_token_registers_workers_for_two_minutes() {
        let credentials = Credentials::new("key", "s".repeat(32));
        let jwt = credentials.sign_worker().expect("signed");
        let claims = Claims::from_unverified(&jwt).expect("claims");
        assert_eq!(claims.exp - claims.nbf, 120);
        let expected = VideoGrants {
            agent: true,
            ..Default::default()
        };
        assert_eq!(claims.video, expected, "and nothing else");
    }

    #[test]
    fn empty_credentials_are_refused_and_secrets_never_shown() {
        let e = Credentials::new("", "hunter2")
            .sign(&ticket())
            .expect_err("no key");
        assert_eq!(e.cause(), "token_refused");
        let shown = format!("{:?} {e}", Credentials::new("key", "hunter2"));
        assert!(!shown.contains("hunter2"), "{shown}");
    }
}
