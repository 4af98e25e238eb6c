//! Support for integration tests: the real LiveKit server, real agents, the built binary, and
//! servers that misbehave.
//!
//! In: `pub mod support;` in a test binary (`pub`, so that items that one binary does not use are
//! not dead code there). Out: values that own what they started.
//! Invariants: loopback only, ports picked at run time; every process or server is stopped when the
//! value that owns it is dropped, even by a panic, and on Linux by the kernel when the test process
//! dies.

pub mod agent;
pub mod browser;
pub mod fakes;
pub mod front;
pub mod gateways;
pub mod os;
pub mod process;
pub mod program;
pub mod reports;
pub mod scenario;
pub mod screen;
pub mod server;
pub mod shared;
pub mod silent;
pub mod tls;
pub mod truth_file;

pub use agent::{NodeAgent, PipelineAgent};
pub use browser::Browser;
pub use fakes::{HttpServer404, MetricsServer, SilentPort};
pub use front::{OldServer, PrefixedServer};
pub use gateways::{ClockOff, SlowLink, TokenGateway};
pub use os::{children, is_running};
pub use process::{Finished, Process};
pub use program::{Loadgen, Run, Running};
pub use reports::Reports;
pub use scenario::Small;
pub use server::LivekitServer;
pub use shared::Shared;
pub use silent::SilentAgents;
pub use tls::TlsProxy;
pub use truth_file::truth_by_room;

use std::net::{Ipv4Addr, TcpListener, UdpSocket};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Whether `LOADGEN_FULL=1` requests measurements at full size, on an idle machine.
pub fn full() -> bool {
    std::env::var_os("LOADGEN_FULL").is_some_and(|v| v == "1")
}

/// The root of the repository.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A path inside the repository, such as `scenarios/quickstart.yaml`.
pub fn in_repo(path: &str) -> PathBuf {
    root().join(path)
}

/// Calls `probe` every 20 ms until it returns a value; `None` after `patience`.
pub fn poll<T>(patience: Duration, mut probe: impl FnMut() -> Option<T>) -> Option<T> {
    let deadline = Instant::now() + patience;
    loop {
        if let Some(value) = probe() {
            return Some(value);
        }
        if Instant::now() >= deadline {
            return None;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A TCP port on loopback that nothing listens on at this moment.
pub fn free_tcp_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("loopback has free ports");
    listener.local_addr().expect("a bound socket").port()
}

/// A UDP port on loopback that nothing is bound to at this moment.
pub fn free_udp_port() -> u16 {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("loopback has free ports");
    socket.local_addr().expect("a bound socket").port()
}
