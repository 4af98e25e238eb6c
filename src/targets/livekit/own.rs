//! Runs our own reference agent as a worker of a LiveKit server, in a child process.
//!
//! In: a server, an agent name. Out: a registered worker.
//! Invariants: the child ends when this process's end of the pipe closes, even if this process is
//! killed; secrets are passed through the child's environment, never as arguments.

use super::token::Credentials;
use crate::call::Failure;
use crate::targets::OwnAgent;
use crate::targets::lines::PipeLines;
use crate::vocab::Address;
use std::process::Stdio;
use std::time::Duration;
use tokio::process::{Child, ChildStderr, Command};
use tokio::sync::Mutex;

/// Time limit for the registration.
const PATIENCE: Duration = Duration::from_secs(15);
/// Time limit for the agent to hang up, write its truth file and exit.
const FAREWELL: Duration = Duration::from_secs(5);

/// A registered reference agent.
pub(crate) struct OwnWorker(Mutex<Child>);

fn no_agent(detail: impl std::fmt::Display) -> Failure {
    Failure::Generator {
        detail: format!("the reference agent did not start: {detail}"),
    }
}

impl OwnWorker {
    /// Starts the agent and waits until the server has accepted its registration.
    ///
    /// # Errors
    /// The agent does not start, or is not registered in time.
    pub(crate) async fn start(
        own: &OwnAgent,
        address: &Address,
        credentials: &Credentials,
    ) -> Result<Self, Failure> {
        let mut command = Command::new(&own.program);
        command
            .args(["agent", "--until-eof"])
            .arg(format!("--url={address}"))
            .arg(format!("--agent-name={}", own.name))
            .args(&own.arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            // Keeps a terminal's Ctrl-C from the agent, which must outlive the last call.
            .process_group(0)
            .kill_on_drop(true);
        credentials.to_environment(command.as_std_mut());
        let mut child = command.spawn().map_err(no_agent)?;
        let stderr = child.stderr.take().ok_or_else(|| no_agent("no pipe"))?;
        let mut lines = PipeLines::of(stderr);
        let registered = tokio::time::timeout(PATIENCE, registration(&mut lines)).await;
        registered.unwrap_or_else(|_| Err(no_agent("the server did not register it")))?;
        tokio::spawn(async move {
            // Keep reading, so that the child does not block. The lines are not needed: problems
            // with the agent's calls show in the calls themselves.
            while lines.next().await.is_some() {}
        });
        Ok(Self(Mutex::new(child)))
    }

    /// The agent's process id, while the agent runs.
    pub(crate) async fn pid(&self) -> Option<u32> {
        self.0.lock().await.id()
    }

    /// Requests the agent to end and waits for its exit; kills it if it takes too long.
    pub(crate) async fn stop(&self) {
        let mut child = self.0.lock().await;
        drop(child.stdin.take());
        if tokio::time::timeout(FAREWELL, child.wait()).await.is_err() {
            let _ = child.kill().await;
        }
    }
}

/// Waits until the child reports its registration.
async fn registration(lines: &mut PipeLines<ChildStderr>) -> Result<(), Failure> {
    let mut said = None;
    while let Some(line) = lines.next().await {
        if line.contains("registered") {
            return Ok(());
        }
        // Keep the error message, not its hint or an earlier warning.
        if let Some(error) = line.strip_prefix("error: ") {
            said.get_or_insert_with(|| error.to_owned());
        }
    }
    Err(no_agent(said.as_deref().unwrap_or("it exited")))
}
