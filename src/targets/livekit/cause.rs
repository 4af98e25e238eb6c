//! Why a LiveKit server could not be joined.
//!
//! In: the report of the server, the system or the network, bounded in length and printable. Out: a
//! cause with its machine-readable name, its message and a hint. Invariant: no message contains a
//! secret.

use crate::call::{Failure, TargetFailure};
use std::time::Duration;

/// Machine-readable name of [`Cause::TokenRefused`].
pub(super) const REFUSED: &str = "token_refused";

/// Why a call could not join.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Cause {
    /// The server refused the token.
    #[error("the server refused the token ({detail})")]
    TokenRefused {
        /// The server's answer, or why the token could not be signed.
        detail: String,
    },
    /// The server limits the request rate, or a quota is used up.
    #[error("the server refuses further calls: quota or rate limit exceeded ({detail})")]
    Quota {
        /// The server's answer.
        detail: String,
    },
    /// The address accepts connections, but does not respond like a LiveKit server.
    #[error("the address does not respond like a LiveKit server ({detail})")]
    NotLiveKit {
        /// The response that was received instead.
        detail: String,
    },
    /// Nothing accepts connections at the address.
    #[error("cannot reach the server ({detail})")]
    Unreachable {
        /// The operating system's error.
        detail: String,
    },
    /// The server is reachable but TLS fails, most often because of its certificate.
    #[error("TLS with the server failed ({detail})")]
    Tls {
        /// The TLS error.
        detail: String,
    },
    /// The server sent more than a call can need, in number or size of items.
    #[error("the server sent more than loadgen accepts ({detail})")]
    TooMuch {
        /// The bound that was exceeded.
        detail: String,
    },
    /// Signalling did not finish in time.
    #[error("joining took longer than {waited:?}")]
    JoinTimeout {
        /// How long we waited.
        waited: Duration,
    },
    /// ICE or DTLS did not connect.
    #[error("media did not connect within {waited:?}")]
    MediaNotConnected {
        /// How long we waited.
        waited: Duration,
    },
}

impl Cause {
    /// Stable machine-readable name, as in `failures[].cause`.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::TokenRefused { .. } => REFUSED,
            Self::Quota { .. } => "quota",
            Self::NotLiveKit { .. } => "not_livekit",
            Self::Unreachable { .. } => "unreachable",
            Self::Tls { .. } => "tls",
            Self::TooMuch { .. } => "too_much",
            Self::JoinTimeout { .. } => "join_timeout",
            Self::MediaNotConnected { .. } => "media_not_connected",
        }
    }

    /// What to try next.
    pub(crate) fn hint(&self) -> &'static str {
        match self {
            Self::TokenRefused { .. } => {
                "check LIVEKIT_API_KEY and LIVEKIT_API_SECRET against the server's keys, and this machine's clock"
            }
            Self::Quota { .. } => {
                "lower `load.concurrency`, lengthen `load.ramp`, or raise the project's limits"
            }
            Self::NotLiveKit { .. } => "check the URL: LiveKit's default signalling port is 7880",
            Self::Unreachable { .. } => {
                "check that the server is running, and that the URL's host and port are right"
            }
            Self::Tls { .. } => {
                "check that the server speaks TLS (wss://), and that its certificate is valid for \
                 this host; for a private CA, set SSL_CERT_FILE to its root certificate"
            }
            Self::TooMuch { .. } => {
                "a call's room should have only its caller and its agent: check that this is \
                 the URL of your LiveKit server, and that no other participants join its rooms"
            }
            Self::JoinTimeout { .. } => {
                "the port answers too slowly or not at all: check the server's load and the URL"
            }
            Self::MediaNotConnected { .. } => {
                "signalling works, but media does not connect: check the server's UDP ports, `rtc.node_ip` and firewalls"
            }
        }
    }

    /// Whether the server was never reached or refused every request, so that it has none of our
    /// rooms.
    fn is_unreached(&self) -> bool {
        matches!(
            self,
            Self::TokenRefused { .. }
                | Self::NotLiveKit { .. }
                | Self::Unreachable { .. }
                | Self::Tls { .. }
        )
    }
}

impl From<Cause> for Failure {
    fn from(cause: Cause) -> Self {
        Self::Target(TargetFailure {
            cause: cause.name(),
            message: cause.to_string(),
            hint: cause.hint(),
            unreached: cause.is_unreached(),
        })
    }
}
