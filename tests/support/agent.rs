//! The agents of `examples/agents`, started as users start them.
//!
//! In: a server and settings. Out: a registered worker and the agent's own figures.
//! Invariant: the worker and its job processes end when the value is dropped.

use super::process::Stream;
use super::{LivekitServer, Process, in_repo, poll};
use serde_json::Value;
use std::ops::Deref;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;
use tempfile::TempDir;

/// Long enough for the first start, which installs the agent's packages.
const PATIENCE: Duration = Duration::from_secs(300);

/// A running pipeline worker. Ended by Drop.
#[derive(Debug)]
pub struct PipelineAgent(Worker);

/// A running Node worker. Ended by Drop.
#[derive(Debug)]
pub struct NodeAgent(Worker);

/// A worker that writes a line per turn and a frame log.
#[derive(Debug)]
pub struct Worker {
    // Declared first, so that the process ends before its directory is deleted.
    process: Process,
    dir: TempDir,
}

impl PipelineAgent {
    /// Starts the worker with its default settings and waits until it has registered.
    pub fn start(server: &LivekitServer) -> Self {
        Self::start_with(server, &[])
    }

    /// Like [`Self::start`], with variables such as `("PIPELINE_LLM_TTFT_MS", "900")`.
    pub fn start_with(server: &LivekitServer, env: &[(&str, &str)]) -> Self {
        Self(Worker::start("pipeline", "PIPELINE_", server, env))
    }
}

impl NodeAgent {
    /// Starts the worker with its default settings and waits until it has registered.
    pub fn start(server: &LivekitServer) -> Self {
        Self(Worker::start("node", "NODE_AGENT_", server, &[]))
    }

    /// Whether this machine has the Node.js that the agent needs.
    pub fn is_possible() -> bool {
        let version = Command::new("node").arg("--version").output();
        let text = version.map(|said| String::from_utf8_lossy(&said.stdout).into_owned());
        let major = text.ok().and_then(|text| {
            let number = text.trim().strip_prefix('v')?.split('.').next()?;
            number.parse::<u32>().ok()
        });
        major.is_some_and(|major| major >= 20)
    }
}

impl Deref for PipelineAgent {
    type Target = Worker;

    fn deref(&self) -> &Worker {
        &self.0
    }
}

impl Deref for NodeAgent {
    type Target = Worker;

    fn deref(&self) -> &Worker {
        &self.0
    }
}

impl Worker {
    /// Starts `examples/agents/NAME/run`, whose settings are variables that begin with `prefix`.
    fn start(name: &str, prefix: &str, server: &LivekitServer, env: &[(&str, &str)]) -> Self {
        let dir = TempDir::with_prefix(format!("{name}-agent-")).expect("a temporary directory");
        let mut command = Command::new(in_repo(&format!("examples/agents/{name}/run")));
        let inherited = std::env::vars().map(|(name, _)| name);
        for name in
            inherited.filter(|name| name.starts_with(prefix) || name.starts_with("LIVEKIT_"))
        {
            command.env_remove(name);
        }
        command
            .envs(server.env())
            .env(
                format!("{prefix}METRICS_FILE"),
                dir.path().join("turns.jsonl"),
            )
            .env(
                format!("{prefix}FRAMES_FILE"),
                dir.path().join("frames.jsonl"),
            )
            .envs(env.iter().copied());
        let mut process = Process::spawn(&format!("the {name} agent"), command, false);
        process.wait_for_line(Stream::Out, "\"registered worker\"", PATIENCE);
        Self { process, dir }
    }

    /// The worker's process id, which is also its process group id.
    pub fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// The file with one JSON line per turn; it does not exist before the first turn.
    pub fn metrics_path(&self) -> PathBuf {
        self.dir.path().join("turns.jsonl")
    }

    /// The frame log: timestamped events of the agent's actual audio.
    pub fn frames_path(&self) -> PathBuf {
        self.dir.path().join("frames.jsonl")
    }

    /// The agent's own figures, one object per user turn, in the order in which turns ended.
    pub fn turns(&self) -> Vec<Value> {
        let lines = self.lines().into_iter();
        lines.filter(|line| line["event"] == "turn").collect()
    }

    /// All lines of the log of turns, including tool calls and speech that answers no turn.
    pub fn lines(&self) -> Vec<Value> {
        let text = std::fs::read_to_string(self.metrics_path()).unwrap_or_default();
        let lines = text
            .split_inclusive('\n')
            .filter(|line| line.ends_with('\n'));
        lines
            .map(|line| serde_json::from_str(line).expect("the agent writes JSON"))
            .collect()
    }

    /// [`Self::turns`] as soon as there are `count`; panics after `patience`.
    pub fn wait_for_turns(&self, count: usize, patience: Duration) -> Vec<Value> {
        let enough = poll(patience, || {
            Some(self.turns()).filter(|turns| turns.len() >= count)
        });
        enough.unwrap_or_else(|| {
            let turns = self.turns();
            panic!(
                "{} instead of {count} turns within {patience:?}: {turns:#?}",
                turns.len()
            )
        })
    }

    /// The worker's standard output so far, followed by its standard error.
    pub fn log(&self) -> String {
        self.process.output(Stream::Out) + &self.process.output(Stream::Err)
    }
}
