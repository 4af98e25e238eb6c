//! The real LiveKit server, one per value.
//!
//! In: nothing, or additional configuration lines. Out: a server on loopback that answers.
//! Invariants: the server listens on 127.0.0.1 only, and has its own secret.

use super::{Process, free_tcp_port, free_udp_port, in_repo, poll};
use livekit_api::services::room::RoomClient;
use livekit_protocol::Room;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;
use tempfile::TempDir;

const KEY: &str = "testkey";
const PATIENCE: Duration = Duration::from_secs(30);
const ATTEMPTS: usize = 5;

/// A livekit-server for one test. Ended by Drop.
#[derive(Debug)]
pub struct LivekitServer {
    process: Process,
    dir: TempDir,
    port: u16,
    secret: String,
}

impl LivekitServer {
    /// Starts a server and waits until it answers; builds the binary first if it does not exist.
    pub fn start() -> Self {
        Self::start_with("")
    }

    /// Like [`Self::start`], with `more` appended to the YAML configuration.
    pub fn start_with(more: &str) -> Self {
        let binary = built();
        for _ in 0..ATTEMPTS {
            if let Some(server) = Self::attempt(&binary, more) {
                return server;
            }
        }
        panic!("livekit-server did not start in {ATTEMPTS} attempts; its log is above");
    }

    /// `None` if the server ended by itself: most likely another process took one of its ports.
    fn attempt(binary: &PathBuf, more: &str) -> Option<Self> {
        let dir = TempDir::with_prefix("livekit-server-").expect("a temporary directory");
        let (port, secret) = (free_tcp_port(), random_hex());
        let config = dir.path().join("config.yaml");
        std::fs::write(&config, configuration(port, free_udp_port(), &secret, more))
            .expect("the temporary directory is writable");
        let mut command = Command::new(binary);
        command.arg("--config").arg(&config).current_dir(dir.path());
        let process = Process::spawn("livekit-server", command, false);
        let mut server = Self {
            process,
            dir,
            port,
            secret,
        };

        let answers = poll(PATIENCE, || match server.process.try_wait() {
            Some(_) => Some(false),
            // Another server on the same port would answer too, but would not accept our secret.
            None => (http_status(port) == Some(200) && server.try_rooms().is_ok()).then_some(true),
        });
        match answers {
            Some(true) => Some(server),
            Some(false) => {
                eprintln!("livekit-server ended at once:\n{}", server.log());
                None
            }
            None => panic!(
                "livekit-server did not answer within {PATIENCE:?}:\n{}",
                server.log()
            ),
        }
    }

    /// `ws://127.0.0.1:PORT`.
    pub fn url(&self) -> String {
        format!("ws://{}", self.address())
    }

    /// `127.0.0.1:PORT`.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// The API key.
    pub fn key(&self) -> &str {
        KEY
    }

    /// The API secret: 64 hex digits.
    pub fn secret(&self) -> &str {
        &self.secret
    }

    /// The three environment variables that LiveKit programs read.
    pub fn env(&self) -> [(&'static str, String); 3] {
        [
            ("LIVEKIT_URL", self.url()),
            ("LIVEKIT_API_KEY", KEY.to_owned()),
            ("LIVEKIT_API_SECRET", self.secret.clone()),
        ]
    }

    /// The process id.
    pub fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// The server's log: warnings and errors.
    pub fn log(&self) -> String {
        use super::process::Stream;
        self.process.output(Stream::Out) + &self.process.output(Stream::Err)
    }

    /// The directory of the configuration.
    pub fn dir(&self) -> &std::path::Path {
        self.dir.path()
    }

    /// The rooms that exist now. May be called inside an async runtime.
    pub fn rooms(&self) -> Vec<Room> {
        self.try_rooms()
            .unwrap_or_else(|error| panic!("cannot list rooms: {error}\n{}", self.log()))
    }

    fn try_rooms(&self) -> Result<Vec<Room>, String> {
        let client =
            || RoomClient::with_api_key(&format!("http://{}", self.address()), KEY, &self.secret);
        // Use another thread: a runtime must not be started inside another one.
        let listed = std::thread::scope(|scope| {
            scope
                .spawn(|| runtime().block_on(client().list_rooms(Vec::new())))
                .join()
        });
        listed
            .map_err(|_| "the request panicked".to_owned())?
            .map_err(|error| error.to_string())
    }
}

/// A runtime for one request on the calling thread.
pub(super) fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("an epoll descriptor")
}

/// The status of `GET /` at a loopback port, if it answers as HTTP within a second.
pub fn http_status(port: u16) -> Option<u16> {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(1))).ok()?;
    write!(
        stream,
        "GET / HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n\r\n"
    )
    .ok()?;
    // "HTTP/1.1 200"
    let mut start = [0; 12];
    stream.read_exact(&mut start).ok()?;
    std::str::from_utf8(&start)
        .ok()?
        .strip_prefix("HTTP/1.1 ")?
        .parse()
        .ok()
}

/// The server's binary, built at most once per test process if needed.
fn built() -> PathBuf {
    static BUILT: OnceLock<()> = OnceLock::new();
    BUILT.get_or_init(|| {
        let script = in_repo("scripts/livekit-server-build");
        let status = Command::new(&script)
            .status()
            .expect("the script can be started");
        assert!(
            status.success(),
            "{} failed; its message is above",
            script.display()
        );
    });
    in_repo("target/livekit-server")
}

fn configuration(port: u16, udp_port: u16, secret: &str, more: &str) -> String {
    // Without `interfaces` and `ips` the server binds the UDP port on every address of the machine.
    // The TCP port of ICE is always bound on every address, so ICE over TCP is disabled.
    format!(
        "port: {port}\n\
         bind_addresses: [127.0.0.1]\n\
         rtc:\n\
         \x20 udp_port: {udp_port}\n\
         \x20 tcp_port: 0\n\
         \x20 node_ip: 127.0.0.1\n\
         \x20 use_external_ip: false\n\
         \x20 enable_loopback_candidate: true\n\
         \x20 interfaces: {{includes: [lo]}}\n\
         \x20 ips: {{includes: [127.0.0.1/32]}}\n\
         keys: {{{KEY}: {secret}}}\n\
         logging: {{level: warn}}\n\
         {more}\n"
    )
}

fn random_hex() -> String {
    let mut bytes = [0; 32];
    std::fs::File::open("/dev/urandom")
        .and_then(|mut source| source.read_exact(&mut bytes))
        .expect("Linux has a random source");
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
