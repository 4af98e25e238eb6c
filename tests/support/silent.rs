//! A `livekit-agents` worker whose agents are inaudible, each for a different reason.
//!
//! In: a server. Out: a registered worker; a job's metadata selects how its agent behaves.
//! Invariant: the worker ends when the value is dropped.

use super::process::Stream;
use super::{LivekitServer, Process, in_repo};
use std::process::Command;
use std::time::Duration;

/// Long enough for the first start, which installs packages shared with the pipeline agent.
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
