//! The built `loadgen` binary, run as a user runs it.
//!
//! In: arguments and environment. Out: exit code, output, and the files that it wrote.
//! Invariants: the binary runs in an empty directory with its own state folder, without the LiveKit
//! variables of the tests' own environment, and never past its deadline.

use super::process::{Stream, before_exec};
use super::{Finished, LivekitServer, Process};
use nix::sys::resource::{Resource, setrlimit};
use std::ffi::OsStr;
use std::io::Write as _;
use std::path::Path;
use std::process::Command;
use std::time::Duration;
use tempfile::TempDir;

/// Environment variables that would change the behaviour of a run.
const CLEARED: [&str; 9] = [
    "LIVEKIT_URL",
    "LIVEKIT_API_KEY",
    "LIVEKIT_API_SECRET",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "NO_COLOR",
    "CLICOLOR",
    "CLICOLOR_FORCE",
    "COLUMNS",
];

/// A run of the binary that is being prepared.
#[derive(Debug)]
pub struct Loadgen {
    command: Command,
    dir: TempDir,
    state: TempDir,
    deadline: Duration,
}

/// A finished run, with the directory it ran in.
#[derive(Debug)]
pub struct Run {
    /// The run's exit status and output.
    pub finished: Finished,
    dir: TempDir,
}

/// A run in progress.
#[derive(Debug)]
pub struct Running {
    // Declared first, so that the process ends before its directory is deleted.
    process: Process,
    dir: TempDir,
    // The state folder; deleted with the run unless a test sets another folder.
    _state: TempDir,
    deadline: Duration,
}

impl Loadgen {
    /// Prepares `loadgen ARGS…` in an empty directory, with a deadline of two minutes.
    pub fn new<S: AsRef<OsStr>>(args: impl IntoIterator<Item = S>) -> Self {
        let dir = TempDir::with_prefix("loadgen-").expect("a temporary directory");
        let mut command = Command::new(env!("CARGO_BIN_EXE_loadgen"));
        let state = TempDir::with_prefix("loadgen-state-").expect("a temporary directory");
        command.args(args).current_dir(dir.path());
        command.env("XDG_STATE_HOME", state.path());
        for name in CLEARED {
            command.env_remove(name);
        }
        Self {
            command,
            dir,
            state,
            deadline: Duration::from_secs(120),
        }
    }

    /// The directory that the run will use; files may be put there first.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Adds an argument.
    pub fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        self.command.arg(arg);
        self
    }

    /// Adds arguments.
    pub fn args<S: AsRef<OsStr>>(mut self, args: impl IntoIterator<Item = S>) -> Self {
        self.command.args(args);
        self
    }

    /// Sets an environment variable.
    pub fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    /// Sets the soft and the hard limit on open files.
    pub fn open_files(mut self, soft: u64, hard: u64) -> Self {
        before_exec(&mut self.command, move || {
            Ok(setrlimit(Resource::RLIMIT_NOFILE, soft, hard)?)
        });
        self
    }

    /// Runs the binary in this control group.
    pub fn control_group(mut self, folder: &Path) -> Self {
        let processes = folder.join("cgroup.procs");
        let processes = std::fs::File::create(processes).expect("a control group");
        // 0 means the writing process.
        before_exec(&mut self.command, move || (&processes).write_all(b"0"));
        self
    }

    /// Runs the binary with this group id; needs root.
    pub fn group(mut self, id: u32) -> Self {
        std::os::unix::process::CommandExt::gid(&mut self.command, id);
        self
    }

    /// Sets URL, key and secret of `server` in the environment.
    pub fn on(mut self, server: &LivekitServer) -> Self {
        self.command.envs(server.env());
        self
    }

    /// Sets the time after which the run is killed.
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// Runs the binary to its end or its deadline.
    pub fn run(self) -> Run {
        self.spawn().finish()
    }

    /// Starts the binary and returns at once; its standard input stays open.
    pub fn spawn(self) -> Running {
        let process = Process::spawn("loadgen", self.command, true);
        Running {
            process,
            dir: self.dir,
            _state: self.state,
            deadline: self.deadline,
        }
    }

    /// Starts `loadgen agent ARGS…` on `server` and waits until it has registered.
    pub fn agent(server: &LivekitServer, args: &[&str]) -> Running {
        let mut agent = Self::new(["agent"].iter().chain(args)).on(server).spawn();
        agent
            .process
            .wait_for_line(Stream::Err, "registered", Duration::from_secs(20));
        agent
    }
}

impl Run {
    /// The directory of the run, which exists until this value is dropped.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Panics, with all output, unless the exit code is `expected`.
    #[track_caller]
    pub fn assert_code(&self, expected: i32) -> &Self {
        self.finished.assert_code(expected);
        self
    }
}

impl Running {
    /// The process id.
    pub fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// The process, for its output and for signals.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    /// The directory of the run.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Sends a signal, such as `libc::SIGINT`.
    pub fn send_signal(&self, signal: libc::c_int) {
        self.process.send_signal(signal);
    }

    /// Waits until the run ends; kills it at the deadline, counted from this call.
    pub fn finish(self) -> Run {
        Run {
            finished: self.process.finish(self.deadline),
            dir: self.dir,
        }
    }
}
