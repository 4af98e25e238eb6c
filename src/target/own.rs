//! A reference agent of our own at a LiveKit server, as a child process.
//!
//! In: a server, an agent name. Out: a registered worker.
//! Holds: the child ends when this end of its pipe is closed, so also when we are killed;
//! secrets go through its environment, never its arguments.

use super::livekit::{Address, Credentials};
use crate::call::Failure;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStderr, Command};
use tokio::sync::Mutex;

/// How long it may take to register.
const PATIENCE: Duration = Duration::from_secs(15);
/// How long it may take to end: it hangs up, and brings its truth to the disk.
const FAREWELL: Duration = Duration::from_secs(5);

/// How to start one.
#[derive(Debug, Clone)]
pub struct OwnAgent {
    /// This very program.
    pub program: PathBuf,
    /// Its settings, as arguments of `agent`.
    pub arguments: Vec<String>,
    /// The name that it is dispatched by.
    pub name: String,
}

/// One that is registered.
pub struct OwnWorker(Mutex<Child>);

fn no_agent(detail: impl std::fmt::Display) -> Failure {
    Failure::Generator {
        detail: format!("the reference agent does not start: {detail}"),
    }
}

impl OwnWorker {
    /// Starts it and waits until the server has taken it.
    ///
    /// # Errors
    /// It does not start, or is not registered in time.
    pub async fn start(
        own: &OwnAgent,
        address: &Address,
        credentials: &Credentials,
    ) -> Result<Self, Failure> {
        let mut command = Command::new(Path::new(&own.program));
        command
            .args(["agent", "--until-eof"])
            .arg(format!("--url={address}"))
            .arg(format!("--agent-name={}", own.name))
            .args(&own.arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            // A terminal's Ctrl-C is for us: the agent must outlive the last call.
            .process_group(0)
            .kill_on_drop(true);
        credentials.to_environment(command.as_std_mut());
        let mut child = command.spawn().map_err(no_agent)?;
        let stderr = child.stderr.take().ok_or_else(|| no_agent("no pipe"))?;
        let mut lines = BufReader::new(stderr).lines();
        let registered = tokio::time::timeout(PATIENCE, registration(&mut lines)).await;
        registered.unwrap_or_else(|_| Err(no_agent("the server does not take it")))?;
        tokio::spawn(async move {
            // Read on, so that the child is not held up; what ails its calls shows in them.
            while let Ok(Some(_)) = lines.next_line().await {}
        });
        Ok(Self(Mutex::new(child)))
    }

    /// Its process id, while it runs.
    pub async fn pid(&self) -> Option<u32> {
        self.0.lock().await.id()
    }

    /// Tells it to end and waits until it has.
    pub async fn stop(&self) {
        let mut child = self.0.lock().await;
        drop(child.stdin.take());
        if tokio::time::timeout(FAREWELL, child.wait()).await.is_err() {
            let _ = child.kill().await;
        }
    }
}

/// Returns when the child says that it is registered.
async fn registration(lines: &mut Lines<BufReader<ChildStderr>>) -> Result<(), Failure> {
    let mut said = None;
    while let Ok(Some(line)) = lines.next_line().await {
        if line.contains("registered") {
            return Ok(());
        }
        // The message, not its hint nor a warning before it.
        if let Some(error) = line.strip_prefix("error: ") {
            said.get_or_insert_with(|| error.to_owned());
        }
    }
    Err(no_agent(said.as_deref().unwrap_or("it ended")))
}
