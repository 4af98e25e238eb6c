//! Examines the way to a LiveKit server without a call: name, port, TLS, clock, token.
//!
//! In: the server's address, credentials, a clock. Out: an [`Examination`]. Invariants: a step is
//! taken only if those before it succeeded, and takes at most [`LIMIT`] for each request; what the
//! server says is bounded, printable and without secrets; nothing is left on the server.

use super::resolve::resolve;
use super::signal::printable;
use super::tls;
use super::token::{Credentials, RoomTicket};
use crate::targets::examination::{Encryption, Examination, HttpFacts, TlsFault, TokenFault};
use crate::vocab::Address;
use reqwest::redirect::Policy;
use reqwest::{Client, StatusCode};
use rustls::CertificateError;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier as _;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

/// Time limit of a step, or of each of its requests.
const LIMIT: Duration = Duration::from_secs(5);
/// Number of requests of which the fastest gives the round-trip time.
const REQUESTS: usize = 4;
/// Longest response of which the text is read, in bytes.
const ANSWER: usize = 4 << 10;
/// Far enough in the future that any certificate has expired.
const CENTURY: Duration = Duration::from_secs(100 * 365 * 86_400);

/// Source of the wall clock.
type WallClock = fn() -> SystemTime;

/// Examines the way to the server at `address`, up to a token that it accepts.
pub(super) async fn server(
    address: &Address,
    credentials: &Credentials,
    clock: WallClock,
) -> Examination {
    let begun = Instant::now();
    let name = match timeout(LIMIT, resolve(address)).await {
        Ok(Ok(ip)) => Ok((ip, begun.elapsed())),
        Ok(Err(e)) => Err(printable(&e.to_string())),
        Err(_) => Err(format!("no answer within {LIMIT:?}")),
    };
    let mut found = Examination::begun(address.host(), address.port(), name);
    if found.name.is_err() {
        return found;
    }
    let begun = Instant::now();
    found.port_open = Some(connect(address).await.map(|_| begun.elapsed()));
    if let Some(Err(_)) = found.port_open {
        return found;
    }
    let encryption = match address.is_secure() {
        true => encrypted(address, clock).await,
        false => plain(address).await,
    };
    let usable = encryption.is_ok();
    found.tls = Some(encryption);
    if !usable {
        return found;
    }
    let client = client();
    let http = requests(&client, address, clock).await;
    let answers = http.is_ok();
    found.http = Some(http);
    if answers {
        found.token = token(&client, address, credentials).await;
    }
    found
}

/// Connects to the server's port, at any of its addresses.
async fn connect(address: &Address) -> Result<TcpStream, String> {
    match timeout(LIMIT, TcpStream::connect((address.host(), address.port()))).await {
        Ok(Ok(stream)) => Ok(stream),
        Ok(Err(e)) => Err(printable(&e.to_string())),
        Err(_) => Err(format!("no answer within {LIMIT:?}")),
    }
}

/// Why a handshake failed: because of the certificate, so that the port does speak TLS, or not.
enum HandshakeError {
    Certificate(TlsFault),
    Other(String),
}

/// Does a TLS handshake; returns the server's certificates.
async fn handshake(address: &Address) -> Result<Vec<CertificateDer<'static>>, HandshakeError> {
    let other = |detail: &str| HandshakeError::Other(printable(detail));
    let name =
        ServerName::try_from(address.host().to_owned()).map_err(|e| other(&e.to_string()))?;
    let stream = connect(address).await.map_err(HandshakeError::Other)?;
    let connected = TlsConnector::from(tls::config()).connect(name, stream);
    let stream = match timeout(LIMIT, connected).await {
        Err(_) => return Err(other(&format!("no answer within {LIMIT:?}"))),
        Ok(Err(e)) => return Err(refusal(&e)),
        Ok(Ok(stream)) => stream,
    };
    let certificates = stream.get_ref().1.peer_certificates();
    let owned = certificates.unwrap_or_default().iter().cloned();
    Ok(owned.map(CertificateDer::into_owned).collect())
}

fn refusal(e: &std::io::Error) -> HandshakeError {
    let inner = e.get_ref().and_then(|e| e.downcast_ref::<rustls::Error>());
    match inner {
        Some(rustls::Error::InvalidCertificate(why)) => {
            HandshakeError::Certificate(certificate_fault(why))
        }
        _ => HandshakeError::Other(printable(&e.to_string())),
    }
}

fn certificate_fault(why: &CertificateError) -> TlsFault {
    let seconds = |at: &UnixTime| i64::try_from(at.as_secs()).ok();
    match why {
        CertificateError::Expired => TlsFault::Expired(None),
        CertificateError::ExpiredContext { not_after, .. } => TlsFault::Expired(seconds(not_after)),
        CertificateError::NotValidYet => TlsFault::NotYetValid(None),
        CertificateError::NotValidYetContext { not_before, .. } => {
            TlsFault::NotYetValid(seconds(not_before))
        }
        CertificateError::UnknownIssuer if tls::roots().is_empty() => TlsFault::NoRoots,
        CertificateError::UnknownIssuer => TlsFault::UntrustedRoot,
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            TlsFault::OtherName(printable(&why.to_string()))
        }
        // webpki's word for a certificate that signed itself.
        other if format!("{other:?}").contains("CaUsedAsEndEntity") => TlsFault::UntrustedRoot,
        other => TlsFault::Other(printable(&other.to_string())),
    }
}

/// Checks a port that should speak TLS.
async fn encrypted(address: &Address, clock: WallClock) -> Result<Encryption, TlsFault> {
    match handshake(address).await {
        Ok(certificates) => Ok(Encryption::Tls {
            until: end_of(&certificates, address, clock()),
        }),
        Err(HandshakeError::Certificate(fault)) => Err(fault),
        Err(HandshakeError::Other(detail)) => match first_line(address).await {
            Some(line) if line.starts_with("HTTP/") => Err(TlsFault::PortIsPlain),
            _ => Err(TlsFault::Other(detail)),
        },
    }
}

/// Checks a port that should speak plain HTTP.
async fn plain(address: &Address) -> Result<Encryption, TlsFault> {
    // Some servers answer plain requests to a port with TLS, with this status.
    let suspicious = match first_line(address).await {
        Some(line) => !line.starts_with("HTTP/") || line.contains(" 400"),
        None => true,
    };
    match suspicious {
        false => Ok(Encryption::None),
        true => match handshake(address).await {
            Ok(_) | Err(HandshakeError::Certificate(_)) => Err(TlsFault::PortIsTls),
            Err(HandshakeError::Other(_)) => Ok(Encryption::None),
        },
    }
}

/// The first line of the response to a plain request, as far as it is text; `None` without one.
async fn first_line(address: &Address) -> Option<String> {
    let ask = async {
        let mut stream = connect(address).await.ok()?;
        stream.write_all(b"GET / HTTP/1.0\r\n\r\n").await.ok()?;
        let mut start = [0; 64];
        let read = stream.read(&mut start).await.ok().filter(|n| *n > 0)?;
        let text = String::from_utf8_lossy(&start[..read]).into_owned();
        text.lines().next().map(str::to_owned)
    };
    timeout(LIMIT, ask).await.ok().flatten()
}

/// When the server's certificate expires. The verifier says so if it is asked about a time after
/// that.
fn end_of(certificates: &[CertificateDer<'_>], address: &Address, now: SystemTime) -> Option<i64> {
    let (own, between) = certificates.split_first()?;
    let provider = Arc::new(default_provider());
    let verifier = WebPkiServerVerifier::builder_with_provider(tls::roots(), provider);
    let verifier = verifier.build().ok()?;
    let name = ServerName::try_from(address.host().to_owned()).ok()?;
    let late = now.duration_since(UNIX_EPOCH).ok()? + CENTURY;
    let late = UnixTime::since_unix_epoch(late);
    match verifier.verify_server_cert(own, between, &name, &[], late) {
        Err(rustls::Error::InvalidCertificate(why)) => match certificate_fault(&why) {
            TlsFault::Expired(end) => end,
            _ => None,
        },
        _ => None,
    }
}

fn client() -> Client {
    let builder = Client::builder().redirect(Policy::none()).timeout(LIMIT);
    builder
        .tls_backend_preconfigured((*tls::config()).clone())
        .build()
        .expect("a client with a finished TLS configuration")
}

/// Makes some requests on one connection: how long they take, and the server's time.
async fn requests(
    client: &Client,
    address: &Address,
    clock: WallClock,
) -> Result<HttpFacts, String> {
    let url = format!("{}/", address.http());
    let mut fastest: Option<HttpFacts> = None;
    // The first request also opens the connection.
    for number in 0..=REQUESTS {
        let (before, begun) = (clock(), Instant::now());
        let response = client.get(&url).send().await;
        let (after, took) = (clock(), begun.elapsed());
        let response = response.map_err(|e| printable(&reason(&e)))?;
        let date = response.headers().get(reqwest::header::DATE);
        let date = date.and_then(|date| date.to_str().ok()).and_then(seconds);
        let facts = HttpFacts {
            round_trip: took,
            skew: date.map(|date| skew(date, since_1970(before), since_1970(after))),
        };
        // The connection is only reused once a response has been read to its end.
        let _ = limited(response).await;
        let faster = fastest.is_none_or(|known| took < known.round_trip);
        if number == 0 || faster {
            fastest = Some(facts);
        }
    }
    fastest.ok_or_else(|| "no answer".to_owned())
}

/// The innermost reason of an error: the outer ones only repeat the URL.
fn reason(e: &dyn std::error::Error) -> String {
    let mut innermost = e;
    while let Some(inner) = innermost.source() {
        innermost = inner;
    }
    innermost.to_string()
}

/// Seconds since 1970 of an HTTP date.
fn seconds(date: &str) -> Option<f64> {
    let parser = jiff::fmt::rfc2822::DateTimeParser::new();
    let at = parser.parse_timestamp(date).ok()?;
    Some(at.as_second() as f64)
}

fn since_1970(at: SystemTime) -> f64 {
    match at.duration_since(UNIX_EPOCH) {
        Ok(since) => since.as_secs_f64(),
        Err(e) => -e.duration().as_secs_f64(),
    }
}

/// By how much a server's clock differs at least from ours, in seconds: it said `date`, which is
/// its time without the fraction, at some time between `before` and `after`.
fn skew(date: f64, before: f64, after: f64) -> f64 {
    let (least, most) = (date - after, date + 1.0 - before);
    match (least > 0.0, most < 0.0) {
        (true, _) => least,
        (_, true) => most,
        _ => 0.0,
    }
}

/// Reads a response, up to [`ANSWER`] bytes.
async fn limited(mut response: reqwest::Response) -> String {
    let mut body = Vec::new();
    while let Ok(Some(chunk)) = response.chunk().await {
        let room = ANSWER - body.len();
        body.extend_from_slice(&chunk[..chunk.len().min(room)]);
        if body.len() == ANSWER {
            break;
        }
    }
    String::from_utf8_lossy(&body).into_owned()
}

/// Asks the server whether it accepts a caller's token; `None` if it has no answer to that.
async fn token(
    client: &Client,
    address: &Address,
    credentials: &Credentials,
) -> Option<Result<Duration, TokenFault>> {
    let ticket = RoomTicket {
        room: "loadgen-doctor".into(),
        identity: "doctor".into(),
        attributes: Default::default(),
        metadata: String::new(),
        room_metadata: String::new(),
        dispatch: None,
    };
    let token = match credentials.sign(&ticket) {
        Ok(token) => token,
        Err(e) => return Some(Err(TokenFault::Other(e.to_string()))),
    };
    let begun = Instant::now();
    let request = client.get(format!("{}/rtc/validate", address.http()));
    let response = match request.bearer_auth(token).send().await {
        Ok(response) => response,
        Err(e) => return Some(Err(TokenFault::Other(printable(&reason(&e))))),
    };
    let (status, took) = (response.status(), begun.elapsed());
    match status {
        status if status.is_success() => Some(Ok(took)),
        StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED => None,
        status => {
            let text = printable(&format!("{}: {}", status.as_u16(), limited(response).await));
            Some(Err(token_fault(text)))
        }
    }
}

/// What a server's refusal of a token means. The words are those of LiveKit's server and of the
/// libraries with which its releases read tokens.
fn token_fault(said: String) -> TokenFault {
    let words = said.to_lowercase();
    let says = |any: &[&str]| any.iter().any(|words_of_it| words.contains(words_of_it));
    if says(&["invalid api key"]) {
        TokenFault::UnknownKey(said)
    } else if says(&["not valid yet", "not yet valid", "(nbf)"]) {
        TokenFault::NotYetValid(said)
    } else if says(&["expired", "(exp)"]) {
        TokenFault::Expired(said)
    } else if says(&["signature", "cryptographic primitive"]) {
        TokenFault::WrongSecret(said)
    } else {
        TokenFault::Other(said)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clocks_differ_by_no_more_than_a_date_in_whole_seconds_can_show() {
        assert_eq!(
            seconds("Tue, 01 Dec 2026 04:56:21 GMT"),
            Some(1_796_100_981.0)
        );
        assert_eq!(seconds("yesterday"), None);
        for (date, before, after, expected) in [
            (100.0, 100.2, 100.3, 0.0),
            (100.0, 100.9, 101.1, 0.0),
            (100.0, 99.0, 99.5, 0.5),
            (100.0, 103.0, 104.0, -2.0),
            (100.0, 86_500.0, 86_501.0, -86_399.0),
        ] {
            assert_eq!(skew(date, before, after), expected, "{date} {before}");
        }
    }

    #[test]
    fn refusals_of_tokens_are_told_apart() {
        let fault = |said: &str| token_fault(printable(said));
        let go = "401: invalid token: eyJhbGciOi.eyJpc3Mi.c2ln, error: token";
        assert!(matches!(
            fault("401: invalid API key: x"),
            TokenFault::UnknownKey(_)
        ));
        for (rest, is) in [
            (" signature is invalid: signature is invalid", 0),
            (" has invalid claims: token is not valid yet", 1),
            (" has invalid claims: token is expired", 2),
            (" is odd", 3),
        ] {
            let number = match fault(&format!("{go}{rest}")) {
                TokenFault::WrongSecret(_) => 0,
                TokenFault::NotYetValid(_) => 1,
                TokenFault::Expired(_) => 2,
                TokenFault::Other(said) => {
                    assert!(!said.contains("eyJ"), "{said}");
                    3
                }
                TokenFault::UnknownKey(_) => 4,
            };
            assert_eq!(number, is, "{rest}");
        }
        let jose =
            "401: invalid token: x, error: go-jose/go-jose: error in cryptographic primitive";
        assert!(matches!(fault(jose), TokenFault::WrongSecret(_)));
        let jose = "401: invalid token: x, error: go-jose/go-jose/jwt: validation failed, token is expired (exp)";
        assert!(matches!(fault(jose), TokenFault::Expired(_)));
    }
}
