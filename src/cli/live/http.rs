//! Serves the live metrics to scrapers.
//!
//! In: an address, the metrics. Out: responses to `GET /metrics`. Invariants: the server listens
//! only on the given address and runs on its own thread; the number of connections is bounded, and
//! each serves one request within a few seconds, so that a slow client delays others by that long
//! at most.

use crate::cli::exit::Exit;
use crate::cli::trouble::Trouble;
use crate::report::prometheus::{CONTENT_TYPE, Metrics};
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{ALLOW, CONTENT_TYPE as TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use std::convert::Infallible;
use std::io::ErrorKind;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

/// Maximum number of concurrent connections; further ones wait in the kernel's backlog.
const CONNECTIONS: usize = 16;
/// Timeout for reading the head of a request.
const HEAD: Duration = Duration::from_secs(2);
/// Timeout of a connection, until the client has read the response: half of the usual timeout of a
/// scraper, which is 10 s.
const LONGEST: Duration = Duration::from_secs(5);
/// Pause after a failed accept, for instance because file descriptors ran out.
const BREATH: Duration = Duration::from_millis(100);
/// Body of `/` and of responses to unknown paths.
const INDEX: &str = "loadgen: metrics of the run that is going on are at /metrics\n";

/// Serves metrics until it is dropped.
pub(super) struct Server {
    address: SocketAddr,
    stop: CancellationToken,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// Listens on `at`; port 0 selects a free port.
    pub(super) fn open(at: SocketAddr, metrics: Arc<Metrics>) -> Result<Self, Trouble> {
        let refused = |e: std::io::Error| {
            let message = format!("cannot serve metrics at {at}: {e}");
            Trouble::new(Exit::Error, message, hint(e.kind()))
        };
        let listener = TcpListener::bind(at).map_err(refused)?;
        listener.set_nonblocking(true).map_err(refused)?;
        let address = listener.local_addr().map_err(refused)?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(refused)?;
        let stop = CancellationToken::new();
        let stopped = stop.clone();
        let serve = move || {
            runtime.block_on(async move {
                // Registering a new socket fails if the runtime is gone; nothing is served then.
                if let Ok(listener) = tokio::net::TcpListener::from_std(listener) {
                    let _ = stopped.run_until_cancelled(accept(listener, metrics)).await;
                }
            });
        };
        let thread = std::thread::Builder::new().name("metrics".into());
        Ok(Self {
            address,
            stop,
            thread: Some(thread.spawn(serve).map_err(refused)?),
        })
    }

    /// The address it listens on, with the actual port.
    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.cancel();
        if let Some(thread) = self.thread.take() {
            // A panic of the thread has already been printed.
            let _ = thread.join();
        }
    }
}

fn hint(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::AddrInUse => {
            "something else listens there, perhaps another run: name another port, or port 0 for any that is free"
        }
        ErrorKind::AddrNotAvailable => {
            "no interface of this machine has that address: 127.0.0.1 is always there"
        }
        ErrorKind::PermissionDenied => "ports under 1024 need privileges: name a higher one",
        _ => "name an address and a port of this machine, such as 127.0.0.1:9464",
    }
}

/// Accepts connections forever. Their tasks end with the runtime.
async fn accept(listener: tokio::net::TcpListener, metrics: Arc<Metrics>) {
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        // The semaphore is never closed.
        let Ok(place) = places.clone().acquire_owned().await else {
            return;
        };
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(BREATH).await;
            continue;
        };
        let metrics = metrics.clone();
        tokio::spawn(async move {
            let answer = service_fn(|request| {
                let answered = respond(&request, &metrics);
                async { Ok::<_, Infallible>(answered) }
            });
            let connection = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(HEAD)
                // A kept-alive connection would occupy a place between scrapes.
                .keep_alive(false)
                .serve_connection(TokioIo::new(stream), answer);
            // A scraper that disconnects must not affect the run.
            let _ = tokio::time::timeout(LONGEST, connection).await;
            drop(place);
        });
    }
}

fn respond(request: &Request<Incoming>, metrics: &Metrics) -> Response<Full<Bytes>> {
    let plain = "text/plain; charset=utf-8";
    let (status, kind, body) = match (request.method(), request.uri().path()) {
        (&Method::GET | &Method::HEAD, "/metrics") => {
            (StatusCode::OK, CONTENT_TYPE, metrics.text())
        }
        (&Method::GET | &Method::HEAD, "/") => (StatusCode::OK, plain, INDEX.to_owned()),
        (&Method::GET | &Method::HEAD, _) => (StatusCode::NOT_FOUND, plain, INDEX.to_owned()),
        _ => (StatusCode::METHOD_NOT_ALLOWED, plain, String::new()),
    };
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(TYPE, HeaderValue::from_static(kind));
    if status == StatusCode::METHOD_NOT_ALLOWED {
        headers.insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read as _, Write as _};
    use std::net::TcpStream;
    use std::time::Instant;

    /// Sends a request and reads until the server closes the connection.
    fn asked(address: SocketAddr) -> (TcpStream, String) {
        let mut stream = TcpStream::connect(address).expect("it listens");
        let patience = Some(LONGEST * 10);
        stream.set_read_timeout(patience).expect("not zero");
        let head = b"GET /metrics HTTP/1.1\r\nhost: here\r\n\r\n";
        stream.write_all(head).expect("taken");
        let mut text = String::new();
        stream.read_to_string(&mut text).expect("closed in time");
        (stream, text)
    }

    #[test]
    fn slow_clients_delay_a_scrape_by_seconds_at_most() {
        let metrics = Arc::new(Metrics::new("s", "t", "0", &["v"]));
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let server = Server::open(any, metrics).expect("a port");
        let address = server.address();
        // These clients have their response and stay connected; they must not occupy a place.
        let answered: Vec<_> = (0..2 * CONNECTIONS).map(|_| asked(address)).collect();
        assert!(answered.iter().all(|(_, text)| text.ends_with("# EOF\n")));
        // These clients never send a request.
        let connect = |_| TcpStream::connect(address).expect("it listens");
        let mute: Vec<_> = (0..CONNECTIONS).map(connect).collect();
        let begun = Instant::now();
        let (_, text) = asked(address);
        assert!(text.starts_with("HTTP/1.1 200"), "{text}");
        assert!(begun.elapsed() < 4 * LONGEST, "{:?}", begun.elapsed());
        drop((answered, mute));
    }
}
