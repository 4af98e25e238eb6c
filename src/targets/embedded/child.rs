//! The reference agent as a child process of the same binary.
//!
//! In: offers. Out: answers, over the child's pipe; media flows over loopback UDP.
//! Invariant: the child ends when its standard input closes, even if this process is killed.

use crate::call::{Failure, TargetFailure};
use crate::targets::agent::{PipeReply, PipeRequest};
use crate::targets::lines::PipeLines;
use std::collections::HashMap;
use std::path::Path;
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::io::AsyncWriteExt as _;
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::sync::{Mutex as AsyncMutex, oneshot};
use tokio_util::sync::CancellationToken;

/// Time limit for the child to start, and to answer an offer.
const PATIENCE: Duration = Duration::from_secs(10);

type Waiting = Arc<Mutex<HashMap<u64, oneshot::Sender<Result<String, Failure>>>>>;

/// For each call, what is cancelled when the agent leaves it.
type Departures = Arc<Mutex<HashMap<u64, CancellationToken>>>;

/// A running embedded agent.
pub(super) struct AgentProcess {
    child: AsyncMutex<Child>,
    input: AsyncMutex<Option<ChildStdin>>,
    waiting: Waiting,
    departures: Departures,
    /// Cancelled when the child's output ends, which means that the child has exited.
    gone: CancellationToken,
}

fn generator(detail: impl std::fmt::Display) -> Failure {
    Failure::Generator {
        detail: format!("the embedded agent: {detail}"),
    }
}

/// The failure for a child that ended on its own.
fn ended() -> Failure {
    generator("it exited; see its message above")
}

impl AgentProcess {
    /// Starts `program agent --stdio` with `arguments`, and waits until it is ready.
    ///
    /// # Errors
    /// The child does not start, or not in time.
    pub(super) async fn start(program: &Path, arguments: &[String]) -> Result<Self, Failure> {
        let mut child = Command::new(program)
            .arg("agent")
            .arg("--stdio")
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            // Keeps a terminal's Ctrl-C from the agent, which must outlive the last call.
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .map_err(generator)?;
        let input = child.stdin.take();
        let output = child.stdout.take().ok_or_else(|| generator("no pipe"))?;
        let mut lines = PipeLines::of(output);
        let ready = tokio::time::timeout(PATIENCE, lines.next());
        let ready = ready.await.map_err(|_| generator("it did not start"))?;
        let ready = ready.and_then(|line| parse(&line));
        if !ready.is_some_and(|r| r.ready) {
            return Err(generator("it did not start; see its message above"));
        }
        let waiting = Waiting::default();
        let departures = Departures::default();
        let gone = CancellationToken::new();
        let told = (waiting.clone(), departures.clone());
        tokio::spawn(read(lines, told, gone.clone()));
        Ok(Self {
            child: AsyncMutex::new(child),
            input: AsyncMutex::new(input),
            waiting,
            departures,
            gone,
        })
    }

    /// What is cancelled when the agent leaves this call.
    pub(super) fn departure(&self, call: u64) -> CancellationToken {
        let mut departures = self
            .departures
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        departures.entry(call).or_default().clone()
    }

    /// Offers a call, which the agent's truth file records as `room`; returns the agent's answer.
    ///
    /// # Errors
    /// The child has exited, refuses the call, or does not answer in time.
    pub(super) async fn offer(
        &self,
        call: u64,
        room: &str,
        sdp: String,
    ) -> Result<String, Failure> {
        let (tx, rx) = oneshot::channel();
        self.lock().insert(call, tx);
        let request = PipeRequest {
            call,
            room: room.to_owned(),
            offer: Some(sdp),
            bye: false,
        };
        let asked = async {
            self.write(&request).await?;
            rx.await.unwrap_or_else(|_| Err(ended()))
        };
        let answer = tokio::select! {
            answer = tokio::time::timeout(PATIENCE, asked) => answer,
            () = self.gone.cancelled() => Ok(Err(ended())),
        };
        self.lock().remove(&call);
        answer.unwrap_or_else(|_| {
            Err(Failure::Target(TargetFailure {
                cause: "join_timeout",
                message: format!("the embedded agent did not answer within {PATIENCE:?}"),
                hint: "is this machine overloaded? Try fewer calls at once or a longer `load.ramp`",
                unreached: false,
            }))
        })
    }

    /// Returns when the child has ended.
    pub(super) async fn gone(&self) {
        self.gone.cancelled().await;
    }

    /// Ends a call.
    pub(super) async fn bye(&self, call: u64) {
        let departures = self.departures.lock();
        departures
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&call);
        let request = PipeRequest {
            call,
            room: String::new(),
            offer: None,
            bye: true,
        };
        // A child that has exited has no call left to end.
        let _ = self.write(&request).await;
    }

    /// Closes the child's input, waits at most two seconds for it to exit, then kills it.
    pub(super) async fn stop(&self) {
        self.input.lock().await.take();
        let mut child = self.child.lock().await;
        if tokio::time::timeout(Duration::from_secs(2), child.wait())
            .await
            .is_err()
        {
            let _ = child.kill().await;
        }
    }

    fn lock(
        &self,
    ) -> std::sync::MutexGuard<'_, HashMap<u64, oneshot::Sender<Result<String, Failure>>>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn write(&self, request: &PipeRequest) -> Result<(), Failure> {
        let mut line = serde_json::to_vec(request).map_err(generator)?;
        line.push(b'\n');
        let mut input = self.input.lock().await;
        let input = input.as_mut().ok_or_else(|| generator("it was stopped"))?;
        input.write_all(&line).await.map_err(generator)?;
        input.flush().await.map_err(generator)
    }
}

fn parse(line: &str) -> Option<PipeReply> {
    serde_json::from_str(line).ok()
}

/// Passes answers to the requests that wait for them. When the pipe ends, no request waits any
/// longer.
async fn read(
    mut lines: PipeLines<ChildStdout>,
    (waiting, departures): (Waiting, Departures),
    gone: CancellationToken,
) {
    while let Some(line) = lines.next().await {
        let Some(reply) = parse(&line) else { continue };
        if reply.left {
            let departures = departures.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(left) = departures.get(&reply.call) {
                left.cancel();
            }
            continue;
        }
        let asked = waiting
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&reply.call);
        if let Some(asked) = asked {
            let _ = asked.send(match (reply.answer, reply.error) {
                (Some(sdp), _) => Ok(sdp),
                (None, error) => Err(generator(error.unwrap_or_else(|| "no answer".into()))),
            });
        }
    }
    gone.cancel();
    waiting
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .clear();
}
