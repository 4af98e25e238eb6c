//! Measures the Go SDK's participant (pion) with the same packets, for comparison.
//!
//! In: the folder benches/peers/pion-pairs or its binary, a server. Out: usage per participant.
//! Invariants: the program is built before anything is measured; its process is killed on drop.

use crate::cli::console;
use crate::cli::exit::Exit;
use crate::cli::trouble::Trouble;
use crate::os;
use crate::targets::livekit::Credentials;
use crate::vocab::Address;
use serde::Serialize;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// Wait after the last participant has joined, before its usage is measured.
const SETTLE: Duration = Duration::from_secs(3);

/// Usage per participant.
#[derive(Debug, Clone, Copy, Serialize)]
pub(super) struct Took {
    pub participants: u32,
    /// Percent of one core.
    pub cpu_percent: f64,
    pub rss_kib: f64,
}

/// The built program.
pub(super) struct Peer {
    program: PathBuf,
    _built: Option<TempDir>,
}

fn trouble(detail: impl std::fmt::Display) -> Trouble {
    Trouble::new(
        Exit::Error,
        format!("the Go participant cannot be measured: {detail}"),
        "install Go and give --peer benches/peers/pion-pairs, or the built binary",
    )
}

/// A child process that is killed on drop.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Peer {
    /// Builds the program if `path` is its folder; otherwise `path` is the binary.
    pub(super) fn prepare(path: &Path) -> Result<Self, Trouble> {
        if !path.is_dir() {
            return Ok(Self {
                program: path.to_owned(),
                _built: None,
            });
        }
        let folder = tempfile::tempdir().map_err(trouble)?;
        let program = folder.path().join("pion-pairs");
        console::say(&format!("building {}", path.display()));
        let built = Command::new("go")
            .arg("build")
            .arg("-C")
            .arg(path)
            .arg("-o")
            .arg(&program)
            .arg(".")
            .status();
        match built {
            Ok(status) if status.success() => Ok(Self {
                program,
                _built: Some(folder),
            }),
            Ok(status) => Err(trouble(format!("go build: {status}"))),
            Err(e) => Err(trouble(format!("go build: {e}"))),
        }
    }

    /// Measures `participants` participants, rounded up to an even number, for `window`; each room
    /// has two of them.
    pub(super) fn run(
        &self,
        participants: u32,
        window: Duration,
        address: &Address,
        credentials: &Credentials,
    ) -> Result<Took, Trouble> {
        let rooms = participants.div_ceil(2);
        let mut command = Command::new(&self.program);
        command
            .arg("-n")
            .arg(rooms.to_string())
            .arg("-d")
            .arg(format!("{}s", (window + SETTLE * 4).as_secs()))
            .env("LIVEKIT_URL", address.to_string())
            .stdin(Stdio::null())
            .stdout(Stdio::piped());
        credentials.to_environment(&mut command);
        let mut running = Running(command.spawn().map_err(trouble)?);
        let stdout = running.0.stdout.take().ok_or_else(|| trouble("no pipe"))?;
        let pid = running.0.id();
        // Keep the pipe open until the end: the program exits when the pipe is closed.
        let mut lines = BufReader::new(stdout).lines().map_while(Result::ok);
        let joined = lines.any(|line| line.starts_with("joined"));
        if !joined {
            return Err(trouble("it exited before all participants had joined"));
        }
        std::thread::sleep(SETTLE);
        let gone = || trouble("it exited while it was being measured");
        let begin = Instant::now();
        let before = os::usage(pid).ok_or_else(gone)?;
        std::thread::sleep(window);
        let after = os::usage(pid).ok_or_else(gone)?;
        drop(lines);
        let participants = rooms * 2;
        let used = after.cpu.saturating_sub(before.cpu).as_secs_f64();
        Ok(Took {
            participants,
            cpu_percent: used / begin.elapsed().as_secs_f64() / f64::from(participants) * 100.0,
            rss_kib: after.rss_bytes as f64 / 1_024.0 / f64::from(participants),
        })
    }
}
