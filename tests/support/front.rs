//! Proxies in front of a LiveKit server: one makes it look older or less capable than it is, one
//! puts it behind a path.
//!
//! In: the upstream's address. Out: a `ws://` URL; the paths that were requested.
//! Invariants: loopback only; nothing listens once the value has been dropped.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

const NEWER_PATH: &str = "/rtc/v1";
const NOT_FOUND: &[u8] =
    b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";

/// Maps the path of a request to the upstream's path; `None` for 404.
type Route = dyn Fn(&str) -> Option<String> + Send + Sync;

/// A server without support for a single peer connection. Ended by Drop.
#[derive(Debug)]
pub struct OldServer(Front);

impl OldServer {
    /// Starts a proxy for `upstream`, such as `127.0.0.1:7880`.
    pub fn start(upstream: &str) -> Self {
        Self::without(upstream, NEWER_PATH)
    }

    /// Like [`Self::start`], but answering 404 to `missing`.
    pub fn without(upstream: &str, missing: &'static str) -> Self {
        let route = move |path: &str| (path != missing).then(|| path.to_owned());
        Self(Front::start(upstream, Arc::new(route)))
    }

    /// `ws://127.0.0.1:PORT`.
    pub fn url(&self) -> String {
        format!("ws://{}", self.0.address)
    }

    /// Paths of the first requests of all connections, without their queries.
    pub fn paths(&self) -> Vec<String> {
        self.0.paths()
    }
}

/// A server behind a path, as behind a reverse proxy for several servers: answers 404 to requests
/// for all other paths. Ended by Drop.
#[derive(Debug)]
pub struct PrefixedServer {
    front: Front,
    prefix: &'static str,
}

impl PrefixedServer {
    /// Starts a proxy that serves `upstream` at the path `prefix`, such as `/lk/sfu`.
    pub fn start(upstream: &str, prefix: &'static str) -> Self {
        let below = move |path: &str| path.strip_prefix(prefix).map(str::to_owned);
        let front = Front::start(upstream, Arc::new(below));
        Self { front, prefix }
    }

    /// `ws://127.0.0.1:PORT/PREFIX`.
    pub fn url(&self) -> String {
        format!("ws://{}{}", self.front.address, self.prefix)
    }

    /// Paths of all requests, without their queries.
    pub fn paths(&self) -> Vec<String> {
        self.front.paths()
    }
}

/// A proxy. Ended by Drop.
#[derive(Debug)]
struct Front {
    address: SocketAddr,
    paths: Arc<Mutex<Vec<String>>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Front {
    fn start(upstream: &str, route: Arc<Route>) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("loopback has ports");
        let address = listener.local_addr().expect("a bound socket");
        let (paths, stop) = (Arc::<Mutex<Vec<String>>>::default(), Arc::default());
        let (asked, stopped) = (Arc::clone(&paths), Arc::<AtomicBool>::clone(&stop));
        let upstream = upstream.to_owned();
        let thread = std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                if stopped.load(Ordering::SeqCst) {
                    break;
                }
                let (asked, route, upstream) =
                    (Arc::clone(&asked), route.clone(), upstream.clone());
                // The thread ends with the connection: if one side closes it, the other is closed.
                std::thread::spawn(move || serve(client, &upstream, &*route, &asked));
            }
        });
        Self {
            address,
            paths,
            stop,
            thread: Some(thread),
        }
    }

    fn paths(&self) -> Vec<String> {
        let paths = self.paths.lock().unwrap_or_else(PoisonError::into_inner);
        paths.clone()
    }
}

impl Drop for Front {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        // Wakes the accepting thread.
        let _ = TcpStream::connect(self.address);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Serves one connection; errors are ignored, since the client sees them.
fn serve(mut client: TcpStream, upstream: &str, route: &Route, asked: &Mutex<Vec<String>>) {
    let _ = client.set_read_timeout(Some(Duration::from_secs(5)));
    let Some(head) = head(&mut client) else {
        return;
    };
    let _ = client.set_read_timeout(None);
    let text = String::from_utf8_lossy(&head);
    let target = text.split_whitespace().nth(1).unwrap_or_default();
    let path = target.split('?').next().unwrap_or_default();
    asked
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .push(path.to_owned());
    let head = match route(path) {
        None => {
            let _ = client.write_all(NOT_FOUND);
            return;
        }
        Some(same) if same == path => head.clone(),
        Some(other) => moved(&text, path, &other).into_bytes(),
    };
    let Ok(mut server) = TcpStream::connect(upstream) else {
        return;
    };
    if server.write_all(&head).is_err() {
        return;
    }
    let (Ok(mut back), Ok(mut to_client)) = (server.try_clone(), client.try_clone()) else {
        return;
    };
    let answers = std::thread::spawn(move || {
        let _ = std::io::copy(&mut back, &mut to_client);
        let _ = to_client.shutdown(Shutdown::Both);
    });
    let _ = std::io::copy(&mut client, &mut server);
    let _ = server.shutdown(Shutdown::Both);
    let _ = answers.join();
}

/// The head of a request, rewritten for another path. The proxy passes on the rest of the
/// connection unread, so the new head closes the connection after one request, unless the request
/// opens a WebSocket.
fn moved(head: &str, path: &str, other: &str) -> String {
    let is = |line: &str, name: &str| line.to_ascii_lowercase().starts_with(name);
    let upgrades = head.lines().any(|line| is(line, "upgrade:"));
    let head = head.replacen(path, other, 1);
    if upgrades {
        return head;
    }
    let lines = head.lines().filter(|line| !line.is_empty());
    let kept: Vec<&str> = lines.filter(|line| !is(line, "connection:")).collect();
    format!("{}\r\nConnection: close\r\n\r\n", kept.join("\r\n"))
}

/// Reads a request up to its empty line.
pub(super) fn head(client: &mut TcpStream) -> Option<Vec<u8>> {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        if head.len() >= 64 * 1024 || client.read(&mut byte).ok()? == 0 {
            return None;
        }
        head.push(byte[0]);
    }
    Some(head)
}
