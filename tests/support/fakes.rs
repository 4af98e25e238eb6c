//! Servers that misbehave.
//!
//! In: nothing, or a function that makes the answers. Out: a loopback port that misbehaves in one
//! way.
//! Invariant: nothing listens once the value has been dropped.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

/// A port that accepts connections and never answers.
#[derive(Debug)]
pub struct SilentPort {
    // Nothing calls `accept`: the kernel completes connections up to the backlog by itself.
    listener: TcpListener,
}

impl SilentPort {
    /// Opens the port.
    pub fn start() -> Self {
        Self { listener: listen() }
    }

    /// `ws://127.0.0.1:PORT`.
    pub fn url(&self) -> String {
        format!("ws://{}", address(&self.listener))
    }
}

/// An HTTP server that answers 404 to every request.
#[derive(Debug)]
pub struct HttpServer404(Answering);

impl HttpServer404 {
    /// Starts the server.
    pub fn start() -> Self {
        let answer = || ("404 Not Found", "no such page\n".to_owned());
        Self(Answering::start(answer))
    }

    /// `ws://127.0.0.1:PORT`.
    pub fn url(&self) -> String {
        format!("ws://{}", self.0.address)
    }

    /// The port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.0.address.port()
    }
}

/// A Prometheus endpoint that stops answering after a number of answers.
#[derive(Debug)]
pub struct MetricsServer {
    server: Answering,
    answers: Arc<AtomicUsize>,
}

impl MetricsServer {
    /// Starts the server. `text` makes the body of an answer from the answer's number, from 0.
    /// After `lives` answers, every connection is closed without an answer.
    pub fn start(lives: usize, text: impl Fn(usize) -> String + Send + Sync + 'static) -> Self {
        let answers = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&answers);
        let server = Answering::start(move || {
            let answer = count.fetch_add(1, Ordering::SeqCst);
            match answer < lives {
                true => ("200 OK", text(answer)),
                false => ("", String::new()),
            }
        });
        Self { server, answers }
    }

    /// `http://127.0.0.1:PORT/metrics`.
    pub fn url(&self) -> String {
        format!("http://{}/metrics", self.server.address)
    }

    /// `127.0.0.1:PORT`.
    pub fn address(&self) -> String {
        self.server.address.to_string()
    }

    /// Number of requests so far.
    pub fn requests(&self) -> usize {
        self.answers.load(Ordering::SeqCst)
    }
}

/// Makes the status and the body of an answer; if the status is empty, no answer is sent.
type Answer = dyn Fn() -> (&'static str, String) + Send + Sync;

/// An HTTP server that gives every request the next answer.
#[derive(Debug)]
struct Answering {
    address: SocketAddr,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Answering {
    fn start(next: impl Fn() -> (&'static str, String) + Send + Sync + 'static) -> Self {
        let next: Arc<Answer> = Arc::new(next);
        let listener = listen();
        let address = address(&listener);
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if stopped.load(Ordering::SeqCst) {
                    break;
                }
                let next = Arc::clone(&next);
                std::thread::spawn(move || answer(stream, &*next));
            }
        });
        Self {
            address,
            stop,
            thread: Some(thread),
        }
    }
}

impl Drop for Answering {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        // Wakes the accepting thread.
        let _ = TcpStream::connect(self.address);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn listen() -> TcpListener {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("loopback has free ports")
}

fn address(listener: &TcpListener) -> SocketAddr {
    listener.local_addr().expect("a bound socket")
}

/// Reads the head of one request and answers it; errors are ignored, since the client sees them.
fn answer(mut stream: TcpStream, next: &Answer) {
    let _ = stream.set_read_timeout(Some(Duration::from_secs(5)));
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") && head.len() < 64 * 1024 {
        match stream.read(&mut byte) {
            Ok(1) => head.push(byte[0]),
            _ => return,
        }
    }
    let (status, body) = next();
    if status.is_empty() {
        return;
    }
    let _ = write!(
        stream,
        "HTTP/1.1 {status}\r\nContent-Type: text/plain\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    );
}
