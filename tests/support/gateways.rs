//! What can stand between callers and a LiveKit server: a slow link, a gateway that replaces tokens,
//! a server whose clock is wrong.
//!
//! In: the upstream's address. Out: a `ws://` URL. Invariants: loopback only; nothing new is
//! accepted once the value has been dropped.

use super::front::head;
use livekit_api::access_token::{AccessToken, Claims, VideoGrants};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::channel;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Handles one connection; errors are ignored, since the client sees them.
type Handler = dyn Fn(TcpStream) + Send + Sync;

/// A listening port. Ended by Drop.
struct Gateway {
    address: SocketAddr,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Gateway {
    fn start(handle: impl Fn(TcpStream) + Send + Sync + 'static) -> Self {
        let handle: Arc<Handler> = Arc::new(handle);
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("loopback has ports");
        let address = listener.local_addr().expect("a bound socket");
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                if stopped.load(Ordering::SeqCst) {
                    break;
                }
                let handle = Arc::clone(&handle);
                std::thread::spawn(move || handle(client));
            }
        });
        Self {
            address,
            stop,
            thread: Some(thread),
        }
    }

    fn url(&self) -> String {
        format!("ws://{}", self.address)
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        // Wakes the accepting thread.
        let _ = TcpStream::connect(self.address);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// A link to a server that delays everything, in both directions. Media does not take it.
pub struct SlowLink(Gateway);

impl SlowLink {
    /// A link to `upstream` that delays by `delay` each way.
    pub fn start(upstream: &str, delay: Duration) -> Self {
        let upstream = upstream.to_owned();
        Self(Gateway::start(move |client| {
            if let Ok(server) = TcpStream::connect(&upstream) {
                join(client, server, delay);
            }
        }))
    }

    /// `ws://127.0.0.1:PORT`.
    pub fn url(&self) -> String {
        self.0.url()
    }
}

/// Passes bytes on in both directions, each after `delay`, until both sides have ended.
fn join(client: TcpStream, server: TcpStream, delay: Duration) {
    let (Ok(from_server), Ok(to_client)) = (server.try_clone(), client.try_clone()) else {
        return;
    };
    let back = std::thread::spawn(move || later(from_server, to_client, delay));
    later(client, server, delay);
    let _ = back.join();
}

/// Passes bytes on, each after `delay`.
fn later(mut from: TcpStream, mut to: TcpStream, delay: Duration) {
    let (pieces, due) = channel::<(Instant, Vec<u8>)>();
    let writer = std::thread::spawn(move || {
        for (at, piece) in due {
            std::thread::sleep(at.saturating_duration_since(Instant::now()));
            if to.write_all(&piece).is_err() {
                break;
            }
        }
        let _ = to.shutdown(Shutdown::Both);
    });
    let mut buffer = vec![0; 64 << 10];
    while let Ok(read) = from.read(&mut buffer) {
        let piece = (Instant::now() + delay, buffer[..read].to_vec());
        if read == 0 || pieces.send(piece).is_err() {
            break;
        }
    }
    drop(pieces);
    let _ = writer.join();
}

/// A gateway that replaces each caller's token by one that does not allow it to publish.
pub struct TokenGateway(Gateway);

impl TokenGateway {
    /// A gateway to `upstream`, which accepts this key and this secret.
    pub fn start(upstream: &str, key: &str, secret: &str) -> Self {
        let [upstream, key, secret] = [upstream, key, secret].map(str::to_owned);
        Self(Gateway::start(move |mut client| {
            let Some(head) = head(&mut client) else {
                return;
            };
            let head = replaced(&String::from_utf8_lossy(&head), &key, &secret);
            let Ok(mut server) = TcpStream::connect(&upstream) else {
                return;
            };
            if server.write_all(head.as_bytes()).is_ok() {
                join(client, server, Duration::ZERO);
            }
        }))
    }

    /// `ws://127.0.0.1:PORT`.
    pub fn url(&self) -> String {
        self.0.url()
    }
}

/// The head of a request, with a token that allows less if it had one for a room.
fn replaced(head: &str, key: &str, secret: &str) -> String {
    let Some((_, rest)) = head.split_once("Bearer ") else {
        return head.to_owned();
    };
    let old = rest.lines().next().unwrap_or_default().trim();
    let claims = Claims::from_unverified(old).expect("a token");
    if !claims.video.room_join {
        return head.to_owned();
    }
    let mut token = AccessToken::with_api_key(key, secret)
        .with_identity(&claims.sub)
        .with_grants(VideoGrants {
            can_publish: Some(false),
            ..claims.video
        });
    if let Some(config) = claims.room_config {
        token = token.with_room_config(config);
    }
    head.replacen(old, &token.to_jwt().expect("signed"), 1)
}

/// A server whose clock is wrong: it says another time, and refuses every token because of it.
pub struct ClockOff(Gateway);

impl ClockOff {
    /// `ahead`: seconds by which its clock is ahead.
    pub fn start(ahead: i64) -> Self {
        Self(Gateway::start(move |mut client| {
            while let Some(head) = head(&mut client) {
                if client.write_all(answer(&head, ahead).as_bytes()).is_err() {
                    break;
                }
            }
        }))
    }

    /// `ws://127.0.0.1:PORT`.
    pub fn url(&self) -> String {
        self.0.url()
    }
}

fn answer(head: &[u8], ahead: i64) -> String {
    let now = jiff::Timestamp::now().as_second() + ahead;
    let now = jiff::Timestamp::from_second(now).expect("a time");
    let printer = jiff::fmt::rfc2822::DateTimePrinter::new();
    let date = printer.timestamp_to_rfc9110_string(&now).expect("a date");
    let asks = String::from_utf8_lossy(head).contains("Bearer ");
    let (status, body) = match (asks, ahead > 0) {
        (false, _) => ("200 OK", "OK"),
        (true, true) => (
            "401 Unauthorized",
            "invalid token: …, error: token is expired",
        ),
        (true, false) => (
            "401 Unauthorized",
            "invalid token: …, error: token is not valid yet",
        ),
    };
    let length = body.len();
    format!("HTTP/1.1 {status}\r\nDate: {date}\r\nContent-Length: {length}\r\n\r\n{body}")
}
