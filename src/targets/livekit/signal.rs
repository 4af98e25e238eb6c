//! The signalling connection: protobuf messages over a WebSocket.
//!
//! In: requests. Out: responses, or why there is no connection.
//! Invariants: a server's messages are bounded before they are kept; tokens are sent only in
//! headers.

use super::cause::Cause;
use super::secrets;
use super::tls;
use super::wire::{Bounded, Unfit};
use crate::call::Failure;
use crate::vocab::Address;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE;
use futures_util::{SinkExt as _, StreamExt as _};
use livekit_protocol as proto;
use prost::Message as _;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::http::{HeaderValue, Response, StatusCode, header};
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Error as WsError, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async_tls_with_config};

pub(in crate::targets) type Request = proto::signal_request::Message;
pub(in crate::targets) type Reply = proto::signal_response::Message;

/// Largest message accepted from a server. The response to a join has the metadata of every
/// participant; this size is enough for 100 participants with 10 KB each.
const MAX_MESSAGE: usize = 1 << 20;
/// Size of a socket's read buffer; every caller keeps one for its whole call.
const READ_BUFFER: usize = 4 << 10;
/// Maximum number of characters of a server's text that a failure quotes.
const MAX_DETAIL: usize = 200;
/// Protocol version with a single peer connection.
const PROTOCOL_V1: i32 = 17;
/// Protocol version with two peer connections.
const PROTOCOL_V0: i32 = 16;

/// Why there is no connection.
#[derive(Debug)]
pub(in crate::targets) enum Refusal {
    /// 404: the server does not support this path.
    NotFound(String),
    /// Any other failure.
    Failed(Failure),
}

/// A connected WebSocket that carries protobuf messages.
pub(in crate::targets) struct Socket(WebSocketStream<MaybeTlsStream<TcpStream>>);

/// Opens `address` + `path`, with the token in the header.
pub(in crate::targets) async fn open(
    address: &Address,
    path: &str,
    token: &str,
    limit: Duration,
) -> Result<Socket, Refusal> {
    let generator = |detail: String| Refusal::Failed(Failure::Generator { detail });
    let mut request = format!("{}{path}", address.websocket())
        .into_client_request()
        .map_err(|e| generator(e.to_string()))?;
    let mut bearer = HeaderValue::from_str(&format!("Bearer {token}"))
        .map_err(|_| generator("the token is not a valid header value".into()))?;
    bearer.set_sensitive(true);
    request.headers_mut().insert(header::AUTHORIZATION, bearer);
    let config = WebSocketConfig::default()
        .max_message_size(Some(MAX_MESSAGE))
        .max_frame_size(Some(MAX_MESSAGE))
        .read_buffer_size(READ_BUFFER);
    // Without TLS, the connector is unused.
    let tls = match address.is_secure() {
        true => tls::connector(),
        false => None,
    };
    let connected = connect_async_tls_with_config(request, Some(config), true, tls);
    match tokio::time::timeout(limit, connected).await {
        Err(_) => Err(Refusal::Failed(Failure::from(Cause::JoinTimeout {
            waited: limit,
        }))),
        Ok(Ok((ws, _))) => Ok(Socket(ws)),
        Ok(Err(WsError::Http(response))) => Err(refused(&response)),
        Ok(Err(e)) => Err(Refusal::Failed(unreachable(&e))),
    }
}

/// Interprets an HTTP response that was received instead of an upgrade to WebSocket.
fn refused(response: &Response<Option<Vec<u8>>>) -> Refusal {
    let status = response.status();
    let body = response.body().as_deref().unwrap_or_default();
    let detail = printable(&format!("{status}: {}", String::from_utf8_lossy(body)));
    Refusal::Failed(match status {
        StatusCode::NOT_FOUND => return Refusal::NotFound(detail),
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
            Failure::from(Cause::TokenRefused { detail })
        }
        StatusCode::TOO_MANY_REQUESTS | StatusCode::PAYMENT_REQUIRED => {
            Failure::from(Cause::Quota { detail })
        }
        s if s.is_server_error() => Failure::Dropped { detail },
        _ => Failure::from(Cause::NotLiveKit { detail }),
    })
}

/// Whether the system refused a resource of this machine, namely descriptors or memory. A missing
/// route or address may be the server's fault, because only the error of the last address that was
/// tried is reported.
fn is_own(e: &std::io::Error) -> bool {
    let own = [libc::EMFILE, libc::ENFILE, libc::ENOBUFS, libc::ENOMEM];
    e.raw_os_error().is_some_and(|code| own.contains(&code))
}

fn unreachable(e: &WsError) -> Failure {
    let detail = printable(&e.to_string());
    match e {
        WsError::Io(e) if is_own(e) => Failure::Generator { detail },
        WsError::Io(e) if e.get_ref().is_some_and(|e| e.is::<rustls::Error>()) => {
            Failure::from(Cause::Tls { detail })
        }
        WsError::Io(_) | WsError::Tls(_) | WsError::Url(_) => {
            Failure::from(Cause::Unreachable { detail })
        }
        _ => Failure::from(Cause::NotLiveKit { detail }),
    }
}

fn unfit(why: Unfit) -> Failure {
    let detail = why.to_string();
    Failure::from(match why {
        Unfit::Malformed => Cause::NotLiveKit { detail },
        Unfit::TooMany { .. } => Cause::TooMuch { detail },
    })
}

/// Untrusted text as a single line of bounded length, without control characters, tokens or our
/// secrets.
pub(in crate::targets) fn printable(text: &str) -> String {
    let text = without_tokens(&secrets::hidden(text));
    let clean = text.chars().map(|c| if c.is_control() { ' ' } else { c });
    let shown: String = clean.take(MAX_DETAIL).collect();
    shown.trim().to_owned()
}

/// `text` without any JWT, because a server that refuses a token repeats it. Every JWT begins with
/// the Base64 encoding of `{"`.
fn without_tokens(text: &str) -> String {
    let in_token = |c: char| c.is_ascii_alphanumeric() || "-_.=".contains(c);
    let mut clean = String::new();
    let mut rest = text;
    while let Some(at) = rest.find("eyJ") {
        clean.push_str(&rest[..at]);
        clean.push('…');
        rest = rest[at..].trim_start_matches(in_token);
    }
    clean + rest
}

impl Socket {
    /// Sends a message.
    pub(in crate::targets) async fn send(
        &mut self,
        m: &impl prost::Message,
    ) -> Result<(), Failure> {
        let bytes = m.encode_to_vec();
        self.0
            .send(Message::Binary(bytes.into()))
            .await
            .map_err(|e| Failure::Dropped {
                detail: printable(&e.to_string()),
            })
    }

    /// Sends a signalling request.
    pub(super) async fn request(&mut self, message: Request) -> Result<(), Failure> {
        self.send(&proto::SignalRequest {
            message: Some(message),
        })
        .await
    }

    /// The next message. Cancel safe.
    pub(in crate::targets) async fn recv<M: Bounded>(&mut self) -> Result<M, Failure> {
        let dropped = |detail: String| Failure::Dropped {
            detail: printable(&detail),
        };
        loop {
            return match self.0.next().await {
                Some(Ok(Message::Binary(b))) => M::bounded(&b).map_err(unfit),
                Some(Err(WsError::Capacity(_))) => Err(unfit(Unfit::TooMany {
                    what: "bytes",
                    most: MAX_MESSAGE,
                })),
                Some(Ok(Message::Close(c))) => Err(dropped(match c {
                    Some(c) => format!("signalling closed: {} {}", c.code, c.reason),
                    None => "signalling closed".into(),
                })),
                Some(Ok(_)) => continue,
                Some(Err(e)) => Err(dropped(e.to_string())),
                None => Err(dropped("signalling closed".into())),
            };
        }
    }

    /// Closes the connection; errors are ignored.
    pub(in crate::targets) async fn close(mut self) {
        let _ = tokio::time::timeout(Duration::from_millis(500), self.0.close(None)).await;
    }
}

/// Our microphone track, as announced to the server, without DTX or RED, so that every packet is
/// plain Opus.
#[expect(
    deprecated,
    reason = "servers before 1.9 read DTX from this field only; newer ones read it too"
)]
pub(super) fn microphone(cid: &str) -> proto::AddTrackRequest {
    proto::AddTrackRequest {
        cid: cid.into(),
        name: "microphone".into(),
        r#type: proto::TrackType::Audio as i32,
        source: proto::TrackSource::Microphone as i32,
        disable_dtx: true,
        disable_red: true,
        stream: "microphone".into(),
        ..Default::default()
    }
}

/// Path of a join with one peer connection for both directions.
pub(super) fn path_v1(offer: String, cid: &str) -> String {
    let join = proto::JoinRequest {
        client_info: Some(proto::ClientInfo {
            sdk: proto::client_info::Sdk::Rust as i32,
            version: env!("CARGO_PKG_VERSION").into(),
            protocol: PROTOCOL_V1,
            os: std::env::consts::OS.into(),
            ..Default::default()
        }),
        connection_settings: Some(proto::ConnectionSettings {
            auto_subscribe: true,
            ..Default::default()
        }),
        add_track_requests: vec![microphone(cid)],
        publisher_offer: Some(description("offer", offer, 1)),
        ..Default::default()
    };
    let wrapped = proto::WrappedJoinRequest {
        compression: proto::wrapped_join_request::Compression::None as i32,
        join_request: join.encode_to_vec(),
    };
    format!(
        "/rtc/v1?join_request={}",
        URL_SAFE.encode(wrapped.encode_to_vec())
    )
}

/// Path of a join with a peer connection for each direction, as older servers require.
pub(super) fn path_v0() -> String {
    let (version, os) = (env!("CARGO_PKG_VERSION"), std::env::consts::OS);
    format!(
        "/rtc?auto_subscribe=1&sdk=rust&version={version}&protocol={PROTOCOL_V0}&adaptive_stream=0&os={os}"
    )
}

/// A session description with its sequence number.
pub(super) fn description(kind: &str, sdp: String, id: u32) -> proto::SessionDescription {
    proto::SessionDescription {
        r#type: kind.into(),
        sdp,
        id,
        ..Default::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn local_resource_errors_are_generator_failures() {
        let cause = |code| {
            let e = std::io::Error::from_raw_os_error(code);
            unreachable(&WsError::Io(e)).cause()
        };
        for own in [libc::EMFILE, libc::ENFILE, libc::ENOBUFS, libc::ENOMEM] {
            assert_eq!(cause(own), "generator");
        }
        for servers in [libc::ECONNREFUSED, libc::EADDRNOTAVAIL, libc::ENETUNREACH] {
            assert_eq!(cause(servers), "unreachable");
        }
    }

    #[test]
    fn server_messages_are_redacted_and_printable() {
        let cases = [
            (
                "invalid token: eyJhbGciOi.eyJleHAi.c2ln, error: x",
                "invalid token: …, error: x",
            ),
            ("?access_token=eyJhbGciOi.eyJleHAi.c2ln", "?access_token=…"),
            ("no token\u{1b} here ", "no token  here"),
        ];
        for (text, shown) in cases {
            assert_eq!(printable(text), shown);
        }
        assert_eq!(printable(&"x".repeat(9_999)).len(), MAX_DETAIL);
    }

    fn cause(status: u16) -> &'static str {
        let response = Response::builder()
            .status(status)
            .body(Some(b"no\r\nway\x1b[31m".to_vec()))
            .expect("response");
        match refused(&response) {
            Refusal::NotFound(_) => "not_found",
            Refusal::Failed(f) => {
                assert!(!f.to_string().contains('\x1b'), "{f}");
                f.cause()
            }
        }
    }

    #[test]
    fn http_statuses_map_to_causes() {
        for (status, want) in [
            (401, "token_refused"),
            (403, "token_refused"),
            (404, "not_found"),
            (429, "quota"),
            (503, "dropped"),
            (200, "not_livekit"),
        ] {
            assert_eq!(cause(status), want, "{status}");
        }
    }

    #[test]
    fn a_join_request_round_trips_through_its_path() {
        let path = path_v1("v=0".into(), "cid-1");
        let encoded = path.split_once('=').expect("query").1;
        let bytes = URL_SAFE.decode(encoded).expect("base64");
        let wrapped = proto::WrappedJoinRequest::decode(&bytes[..]).expect("wrapped");
        let join = proto::JoinRequest::decode(&wrapped.join_request[..]).expect("join");
        assert_eq!(join.add_track_requests[0].cid, "cid-1");
        assert_eq!(join.publisher_offer.expect("offer").sdp, "v=0");
    }
}
