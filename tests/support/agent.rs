//! The pipeline agent of `examples/agents/pipeline`, started as users start it.
//!
//! In: a server and settings. Out: a registered worker and the agent's own figures.
//! Invariant: the worker and its job processes end when the value is dropped.

use super::process::Stream;
use super::{LivekitServer, Process, in_repo, poll};
use serde_json::Value;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;
use tempfile::TempDir;

/// Long enough for the first start, which installs the agent's packages.
const PATIENCE: Duration = Duration::from_secs(300);

/// A running pipeline worker. Ended by Drop.
#[derive(Debug)]
pub struct PipelineAgent {
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
        let dir = TempDir::with_prefix("pipeline-agent-").expect("a temporary directory");
        let mut command = Command::new(in_repo("examples/agents/pipeline/run"));
        let inherited = std::env::vars().map(|(name, _)| name);
        for name in
            inherited.filter(|name| name.starts_with("PIPELINE_") || name.starts_with("LIVEKIT_"))
        {
            command.env_remove(name);
        }
        command
            .envs(server.env())
            .env("PIPELINE_METRICS_FILE", dir.path().join("turns.jsonl"))
            .env("PIPELINE_FRAMES_FILE", dir.path().join("frames.jsonl"))
            .envs(env.iter().copied());
        let mut process = Process::spawn("the pipeline agent", command, false);
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
        let text = std::fs::read_to_string(self.metrics_path()).unwrap_or_default();
        let lines = text
            .split_inclusive('\n')
            .filter(|line| line.ends_with('\n'));
        lines
            .map(|line| serde_json::from_str::<Value>(line).expect("the agent writes JSON"))
            .filter(|line| line["event"] == "turn")
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

    /// What the worker has written to both outputs.
    pub fn log(&self) -> String {
        self.process.output(Stream::Out) + &self.process.output(Stream::Err)
    }
}
