//! A small HTTP server: serves the live metrics to scrapers, or receives telemetry.
//!
//! In: an address, what is served there. Out: responses. Invariants: the server listens only on the
//! given address and runs on its own thread; metrics are shown only to requests whose host is an IP
//! address, `localhost` or the configured name, since a web page could make any other name resolve
//! to this machine (DNS rebinding); the number of connections is bounded, and each serves one
//! request with a head of bounded size within a few seconds, so that a slow client delays others by
//! no more than that.

use super::response::{PLAIN, not_allowed, response};
use super::telemetry;
use crate::cli::exit::Exit;
use crate::cli::trouble::Trouble;
use crate::report::prometheus::{CONTENT_TYPE, PrometheusMetrics};
use crate::run::TelemetryInbox;
use crate::vocab::host::{port, split_port};
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::HOST;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use std::convert::Infallible;
use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr, TcpListener, ToSocketAddrs as _};
use std::str::FromStr;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

/// Maximum number of concurrent connections; further ones wait in the kernel's backlog.
const CONNECTIONS: usize = 16;
/// Maximum size of a request's head, in bytes.
const HEAD_BYTES: usize = 8 << 10;
/// Maximum number of headers in a request.
const HEADERS: usize = 64;
/// Timeout for reading the head of a request.
const HEAD: Duration = Duration::from_secs(2);
/// Timeout of a scraper's connection, until the client has read the response: half of the usual
/// timeout of a scraper, which is 10 s.
const LONGEST: Duration = Duration::from_secs(5);
/// How long the end of a run waits for the thread of a server.
const CLOSING: Duration = Duration::from_secs(1);
/// Pause after a failed accept, for instance because file descriptors ran out.
const BREATH: Duration = Duration::from_millis(100);
/// Body of `/` and of responses to unknown paths.
const INDEX: &str = "loadgen: the metrics of the current run are at /metrics\n";

/// Response to a request whose host is not this server.
const STRANGE: &str = "loadgen answers only requests to its own address, to localhost, or to the name in --metrics-listen; the request's Host header matches none of these\n";

/// Where to listen: an address or a name of this machine, and a port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ListenAt {
    host: String,
    port: u16,
}

impl FromStr for ListenAt {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = "expected an address and a port, such as 127.0.0.1:9464 or [::1]:9464";
        let (host, number) = split_port(text.trim()).ok_or(wrong)?;
        let number = number.ok_or(wrong)?;
        if host.is_empty() || host.contains(|c: char| c.is_whitespace() || c == '/') {
            return Err(wrong);
        }
        Ok(Self {
            host: host.to_owned(),
            port: port(number).ok_or("the port must be a number from 0 to 65535")?,
        })
    }
}

/// What a server offers.
#[derive(Clone)]
pub(crate) enum Site {
    /// The metrics of the run, at /metrics.
    Metrics(Arc<PrometheusMetrics>),
    /// What receives the agents' telemetry.
    Telemetry(Arc<TelemetryInbox>),
}

impl Site {
    /// What cannot be done if the server cannot be opened.
    fn purpose(&self) -> &'static str {
        match self {
            Self::Metrics(_) => "serve metrics",
            Self::Telemetry(_) => "receive telemetry",
        }
    }

    /// Timeout of a connection, until the client has read the response.
    fn longest(&self) -> Duration {
        match self {
            Self::Metrics(_) => LONGEST,
            // The head and the body have their own time limits; the rest is for the response.
            Self::Telemetry(_) => HEAD + telemetry::LONGEST_BODY + Duration::from_secs(1),
        }
    }
}

/// Serves a site until it is dropped.
pub(super) struct Server {
    address: SocketAddr,
    stop: CancellationToken,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// Listens on `at`; port 0 selects a free port.
    pub(super) fn open(at: &ListenAt, site: Site) -> Result<Self, Trouble> {
        let ListenAt { host, port } = at;
        let purpose = site.purpose();
        let refused = |e: std::io::Error| {
            let message = format!("cannot {purpose} at {host}:{port}: {e}");
            Trouble::new(Exit::Error, message, hint(e.kind()))
        };
        let found = (host.as_str(), *port).to_socket_addrs().map_err(refused)?;
        let listener = TcpListener::bind(&found.collect::<Vec<_>>()[..]).map_err(refused)?;
        listener.set_nonblocking(true).map_err(refused)?;
        let address = listener.local_addr().map_err(refused)?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(refused)?;
        let stop = CancellationToken::new();
        let stopped = stop.clone();
        let name = host.as_str().into();
        let serve = move || {
            runtime.block_on(async move {
                // Registering a new socket fails if the runtime is gone; nothing is served then.
                if let Ok(listener) = tokio::net::TcpListener::from_std(listener) {
                    let _ = stopped
                        .run_until_cancelled(accept(listener, name, site))
                        .await;
                }
            });
        };
        let thread = std::thread::Builder::new().name("http".into());
        Ok(Self {
            address,
            stop,
            thread: Some(thread.spawn(serve).map_err(refused)?),
        })
    }

    /// The address that the server listens on, with the actual port.
    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.cancel();
        let Some(thread) = self.thread.take() else {
            return;
        };
        // A request that takes long to decode must not delay the reports.
        let until = Instant::now() + CLOSING;
        while !thread.is_finished() && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(5));
        }
        if thread.is_finished() {
            // A panic of the thread has already been printed.
            let _ = thread.join();
        }
    }
}

fn hint(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::AddrInUse => {
            "another program is listening there, perhaps another run: choose another port, or port 0 for any free one"
        }
        ErrorKind::AddrNotAvailable => {
            "no interface of this machine has that address: 127.0.0.1 always works"
        }
        ErrorKind::PermissionDenied => "ports below 1024 need privileges: choose a higher one",
        _ => "use an address and a port of this machine, such as 127.0.0.1:9464",
    }
}

/// Accepts connections forever. Their tasks end with the runtime.
async fn accept(listener: tokio::net::TcpListener, name: Arc<str>, site: Site) {
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
        let (name, site) = (name.clone(), site.clone());
        tokio::spawn(async move {
            serve(stream, &name, &site).await;
            drop(place);
        });
    }
}

/// Whether the host of a request is an IP address, `localhost` or `name`. A browser that shows
/// another site's page sends the name of that site.
fn is_for_us<B>(request: &Request<B>, name: &str) -> bool {
    let is_known = |host: &str| {
        host.parse::<IpAddr>().is_ok()
            || host.eq_ignore_ascii_case("localhost")
            || host.eq_ignore_ascii_case(name)
    };
    let known = |authority: &str| match split_port(authority) {
        Some((host, None | Some(""))) => is_known(host.trim_end_matches('.')),
        Some((host, Some(number))) => {
            port(number).is_some() && is_known(host.trim_end_matches('.'))
        }
        None => false,
    };
    let mut named = request.headers().get_all(HOST).iter();
    let host = named.next().and_then(|host| host.to_str().ok());
    let target = request.uri().authority().map(|a| a.as_str());
    host.is_some_and(known) && named.next().is_none() && target.is_none_or(known)
}

/// Serves one connection: one request, within a few seconds.
async fn serve(stream: impl AsyncRead + AsyncWrite + Unpin, name: &str, site: &Site) {
    let answer = service_fn(|request| async move {
        Ok::<_, Infallible>(match site {
            Site::Metrics(metrics) => respond(&request, name, metrics),
            Site::Telemetry(inbox) => telemetry::respond(request, inbox).await,
        })
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD)
        .max_buf_size(HEAD_BYTES)
        .max_headers(HEADERS)
        // A client may have nothing more to send while it waits for the response.
        .half_close(true)
        // A kept-alive connection would occupy a place between scrapes.
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), answer);
    // A scraper that disconnects must not affect the run.
    let _ = tokio::time::timeout(site.longest(), connection).await;
}

/// The response to a client that sends these bytes, for the fuzz targets.
#[cfg(any(test, fuzzing))]
pub(crate) async fn answered(bytes: &[u8], site: &Site) -> Vec<u8> {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let (mut client, server) = tokio::io::duplex(bytes.len().max(1));
    let ask = async {
        let mut answer = Vec::new();
        // The server may close the connection before it has read everything.
        let _ = client.write_all(bytes).await;
        let _ = client.shutdown().await;
        let _ = client.read_to_end(&mut answer).await;
        answer
    };
    tokio::join!(ask, serve(server, "localhost", site)).0
}

fn respond(
    request: &Request<Incoming>,
    name: &str,
    metrics: &PrometheusMetrics,
) -> Response<Full<Bytes>> {
    match (request.method(), request.uri().path()) {
        _ if !is_for_us(request, name) => response(StatusCode::MISDIRECTED_REQUEST, PLAIN, STRANGE),
        (&Method::GET | &Method::HEAD, "/metrics") => {
            response(StatusCode::OK, CONTENT_TYPE, metrics.text())
        }
        (&Method::GET | &Method::HEAD, "/") => response(StatusCode::OK, PLAIN, INDEX),
        (&Method::GET | &Method::HEAD, _) => response(StatusCode::NOT_FOUND, PLAIN, INDEX),
        _ => not_allowed("GET, HEAD", ""),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read as _, Write as _};
    use std::net::TcpStream;

    fn opened(at: &str) -> Server {
        let metrics = Arc::new(PrometheusMetrics::new("s", "t", "0", &["v"]));
        let site = Site::Metrics(metrics);
        let at = at.parse().expect("an address and a port");
        Server::open(&at, site).expect("the server starts")
    }

    /// Sends a request and reads until the server closes the connection.
    fn asked(address: SocketAddr) -> (TcpStream, String) {
        sent(address, "GET /metrics HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n")
    }

    fn sent(address: SocketAddr, head: &str) -> (TcpStream, String) {
        let mut stream = TcpStream::connect(address).expect("the server listens");
        let patience = Some(LONGEST * 10);
        stream
            .set_read_timeout(patience)
            .expect("the timeout is not zero");
        let written = stream.write_all(head.as_bytes());
        written.expect("the server accepts the request");
        let mut text = Vec::new();
        // A server that refuses a head may close before it has read all of it.
        let _ = stream.read_to_end(&mut text);
        (stream, String::from_utf8_lossy(&text).into_owned())
    }

    #[test]
    fn slow_clients_delay_a_scrape_by_seconds_at_most() {
        let server = opened("127.0.0.1:0");
        let address = server.address();
        // These clients have their response and stay connected; they must not occupy slots.
        let answered: Vec<_> = (0..2 * CONNECTIONS).map(|_| asked(address)).collect();
        assert!(answered.iter().all(|(_, text)| text.ends_with("# EOF\n")));
        // These clients never send a request.
        let connect = |_| TcpStream::connect(address).expect("the server listens");
        let mute: Vec<_> = (0..CONNECTIONS).map(connect).collect();
        let begun = Instant::now();
        let (_, text) = asked(address);
        assert!(text.starts_with("HTTP/1.1 200"), "{text}");
        assert!(begun.elapsed() < 4 * LONGEST, "{:?}", begun.elapsed());
        drop((answered, mute));
    }

    #[test]
    fn a_request_that_is_still_decoded_does_not_delay_the_end_of_the_run() {
        let (release, held) = std::sync::mpsc::channel::<()>();
        let server = Server {
            address: SocketAddr::from(([127, 0, 0, 1], 1)),
            stop: CancellationToken::new(),
            thread: Some(std::thread::spawn(move || {
                let _ = held.recv_timeout(Duration::from_secs(60));
            })),
        };
        let begun = Instant::now();
        drop(server);
        assert!(begun.elapsed() < 20 * CLOSING, "{:?}", begun.elapsed());
        drop(release);
    }

    #[test]
    fn only_requests_to_this_server_are_answered() {
        let server = opened("127.0.0.1:0");
        let port = server.address().port();
        for (host, status) in [
            ("127.0.0.1".to_owned(), 200),
            (format!("127.0.0.1:{port}"), 200),
            ("10.1.2.3:9464".into(), 200),
            ("[::1]:9464".into(), 200),
            ("[::1]".into(), 200),
            (format!("LOCALHOST:{port}"), 200),
            ("localhost.".into(), 200),
            (format!("evil.example:{port}"), 421),
            ("localhost.evil.example".into(), 421),
            ("127.0.0.1.evil.example".into(), 421),
            ("evil.example:127.0.0.1".into(), 421),
            (String::new(), 421),
            ("127.0.0.1\r\nhost: evil.example".into(), 421),
        ] {
            for path in ["/metrics", "/", "/other"] {
                let head = format!("GET {path} HTTP/1.1\r\nhost: {host}\r\n\r\n");
                let (_, text) = sent(server.address(), &head);
                let expected = match (status, path) {
                    (200, "/other") => "HTTP/1.1 404".to_owned(),
                    _ => format!("HTTP/1.1 {status}"),
                };
                assert!(text.starts_with(&expected), "{host} {path}: {text}");
                let told = text.contains("loadgen_");
                assert_eq!(told, status == 200 && path == "/metrics", "{host}: {text}");
            }
        }
        for (what, head, status) in [
            ("no host", "GET /metrics HTTP/1.0\r\n\r\n", "HTTP/1.0 421"),
            (
                "another site's name in the target",
                "GET http://evil.example/metrics HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n",
                "HTTP/1.1 421",
            ),
            (
                "another method",
                "POST /metrics HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-length: 0\r\n\r\n",
                "HTTP/1.1 405",
            ),
        ] {
            let (_, text) = sent(server.address(), head);
            assert!(text.starts_with(status), "{what}: {text}");
        }
    }

    #[test]
    fn requests_for_the_configured_host_name_are_answered() {
        let request = |host: &str| {
            Request::builder()
                .header(HOST, host)
                .body(())
                .expect("valid")
        };
        assert!(is_for_us(&request("Loadgen:9464"), "loadgen"));
        assert!(!is_for_us(&request("loadgen.evil.example"), "loadgen"));
        assert!(!is_for_us(&request("loadgen"), "127.0.0.1"));
        let at = |host: &str, port| ListenAt {
            host: host.into(),
            port,
        };
        for (text, parsed) in [
            ("127.0.0.1:0", Some(at("127.0.0.1", 0))),
            ("[::1]:9464", Some(at("::1", 9464))),
            ("loadgen:9464", Some(at("loadgen", 9464))),
            ("localhost", None),
            (":9464", None),
            ("::1:9464", None),
            ("127.0.0.1:65536", None),
            ("127.0.0.1:+80", None),
            ("127.0.0.1:", None),
            ("http://127.0.0.1:80", None),
            (" 127.0.0.1:80 ", Some(at("127.0.0.1", 80))),
        ] {
            assert_eq!(text.parse().ok(), parsed, "{text}");
        }
    }

    #[test]
    fn an_oversized_request_head_is_refused() {
        let server = opened("127.0.0.1:0");
        let start = "GET /metrics HTTP/1.1\r\nhost: 127.0.0.1\r\n";
        let long = format!("{start}x: {}\r\n\r\n", "x".repeat(2 * HEAD_BYTES));
        let many = format!("{start}{}\r\n", "x: y\r\n".repeat(HEADERS + 1));
        for head in [long, many] {
            let (_, text) = sent(server.address(), &head);
            assert!(!text.contains("200 OK"), "{text}");
        }
    }
}
