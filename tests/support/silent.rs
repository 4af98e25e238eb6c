//! A worker of `livekit-agents` whose agents cannot be heard, each in its own way.
//!
//! In: a server. Out: a registered worker; a job's metadata says what its agent does.
//! Holds: the worker ends with the value.

use super::process::Stream;
use super::{LivekitServer, Process, in_repo};
use std::process::Command;
use std::time::Duration;

/// The first start installs the packages that it shares with the pipeline agent.
const PATIENCE: Duration = Duration::from_secs(300);

/// A running worker. Ended by Drop.
#[derive(Debug)]
pub struct SilentAgents {
    _process: Process,
}

impl SilentAgents {
    /// Starts the worker under the name `silent` and waits until it has registered.
    pub fn start(server: &LivekitServer) -> Self {
        let pipeline = in_repo("examples/agents/pipeline");
        let mut command = Command::new("bash");
        command
            .args([
                "-c",
                "\"$0/run\" --install && exec \"$0/.venv/bin/python\" \"$1\" start",
            ])
            .arg(pipeline)
            .arg(in_repo("tests/agents_py/absent.py"))
            .envs(server.env())
            .env("AGENT_NAME", "silent");
        let mut process = Process::spawn("the silent agents", command, false);
        process.wait_for_line(Stream::Out, "\"registered worker\"", PATIENCE);
        Self { _process: process }
    }
}
