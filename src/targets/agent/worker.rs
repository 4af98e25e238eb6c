//! The reference agent as a LiveKit worker: registers, accepts jobs, joins rooms as an agent.
//!
//! In: a server's address and credentials. Out: one job per room, until `stop` is cancelled.
//! Invariants: a job that fails affects no other job; a lost registration is renewed.

use super::visit::{Invitation, attend};
use super::{Agent, AgentNotice, Tell};
use crate::call::{AgentState, Failure};
use crate::targets::livekit::signal::{self, Refusal, Socket};
use crate::targets::livekit::{Cause, Credentials, state};
use crate::vocab::Address;
use livekit_protocol as proto;
use proto::{server_message, worker_message};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// Time limit for the worker's registration.
const PATIENCE: Duration = Duration::from_secs(10);
/// How often the worker reports its status to the server.
const STATUS_INTERVAL: Duration = Duration::from_millis(2_500);
/// Pause before a lost registration is renewed.
const RETRY_PAUSE: Duration = Duration::from_secs(1);
/// Maximum number of messages queued for the server.
const QUEUE: usize = 1_024;

#[derive(Debug, Clone)]
pub(crate) struct WorkerOptions {
    /// The server's address.
    pub address: Address,
    /// The server's API key and secret.
    pub credentials: Credentials,
    /// Name for explicit dispatch; empty for automatic dispatch.
    pub agent_name: String,
    /// Placeholder for the agent's words in the transcripts that it sends along with the
    /// description of its session; `None` if it sends neither transcripts nor a description.
    pub session: Option<String>,
    /// Receives notices of problems with connections and jobs.
    pub tell: Tell,
}

/// Why the worker cannot serve.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WorkerError {
    /// The server did not accept the registration.
    #[error("cannot register as an agent worker: {0}")]
    NotRegistered(#[from] Failure),
}

impl WorkerError {
    /// What to try next.
    pub(crate) fn hint(&self) -> &'static str {
        match self {
            Self::NotRegistered(f) => f.hint(),
        }
    }
}

type Outbox = mpsc::Sender<worker_message::Message>;

/// Registers and serves jobs until `stop` is cancelled. Calls `registered` with the worker's id
/// each time the server has accepted the registration.
///
/// # Errors
/// The first registration fails; later losses are retried.
pub(crate) async fn serve_livekit(
    agent: Arc<Agent>,
    options: WorkerOptions,
    stop: CancellationToken,
    mut registered: impl FnMut(&str),
) -> Result<(), WorkerError> {
    let mut first = true;
    loop {
        let registration = tokio::select! {
            registration = register(&options) => registration,
            () = stop.cancelled() => return Ok(()),
        };
        let lost = match registration {
            Ok((socket, id)) => {
                registered(&id);
                first = false;
                serve(&agent, &options, socket, &stop).await
            }
            Err(f) if first => return Err(f.into()),
            Err(f) => Some(f),
        };
        let Some(f) = lost else { return Ok(()) };
        (options.tell)(AgentNotice::ConnectionLost(f));
        tokio::select! {
            () = tokio::time::sleep(RETRY_PAUSE) => {}
            () = stop.cancelled() => return Ok(()),
        }
    }
}

async fn register(options: &WorkerOptions) -> Result<(Socket, String), Failure> {
    let token = options.credentials.sign_worker()?;
    let mut socket = match signal::open(&options.address, "/agent", &token, PATIENCE).await {
        Ok(s) => s,
        Err(Refusal::Failed(f)) => return Err(f),
        Err(Refusal::NotFound(detail)) => return Err(Failure::from(Cause::NotLiveKit { detail })),
    };
    let request = proto::RegisterWorkerRequest {
        r#type: proto::JobType::JtRoom as i32,
        agent_name: options.agent_name.clone(),
        version: env!("CARGO_PKG_VERSION").into(),
        ping_interval: 10,
        allowed_permissions: Some(proto::ParticipantPermission {
            can_subscribe: true,
            can_publish: true,
            can_publish_data: true,
            can_update_metadata: true,
            ..Default::default()
        }),
        ..Default::default()
    };
    send(&mut socket, worker_message::Message::Register(request)).await?;
    let answer = tokio::time::timeout(PATIENCE, socket.recv::<proto::ServerMessage>());
    let answer = answer
        .await
        .map_err(|_| Failure::from(Cause::JoinTimeout { waited: PATIENCE }))??;
    match answer.message {
        Some(server_message::Message::Register(r)) => Ok((socket, r.worker_id)),
        // The message is not quoted, because it may contain a token.
        _ => Err(Failure::from(Cause::NotLiveKit {
            detail: "the server answered the registration with an unexpected message".into(),
        })),
    }
}

async fn send(socket: &mut Socket, message: worker_message::Message) -> Result<(), Failure> {
    socket
        .send(&proto::WorkerMessage {
            message: Some(message),
        })
        .await
}

/// Serves one registration; returns why it was lost, or `None` if `stop` was cancelled.
async fn serve(
    agent: &Arc<Agent>,
    options: &WorkerOptions,
    mut socket: Socket,
    stop: &CancellationToken,
) -> Option<Failure> {
    let (outbox, mut out) = mpsc::channel(QUEUE);
    let mut jobs: HashMap<String, CancellationToken> = HashMap::new();
    let mut running = tokio::task::JoinSet::new();
    let mut status = tokio::time::interval(STATUS_INTERVAL);
    let lost = loop {
        let step = tokio::select! {
            message = socket.recv::<proto::ServerMessage>() => match message {
                Ok(m) => {
                    let answer = m.message.and_then(|m| {
                        handle(m, agent, options, &outbox, &mut jobs, &mut running)
                    });
                    match answer {
                        // Sent directly, because only this loop drains the outbox.
                        Some(answer) => send(&mut socket, answer).await,
                        None => Ok(()),
                    }
                }
                Err(f) => Err(f),
            },
            Some(m) = out.recv() => send(&mut socket, m).await,
            Some(done) = running.join_next() => {
                if let Ok(id) = done {
                    jobs.remove(&id);
                }
                Ok(())
            }
            _ = status.tick() => send(&mut socket, available(jobs.len())).await,
            () = stop.cancelled() => break None,
        };
        if let Err(f) = step {
            break Some(f);
        }
    };
    for end in jobs.values() {
        end.cancel();
    }
    let all_left = async { while running.join_next().await.is_some() {} };
    let _ = tokio::time::timeout(Duration::from_secs(2), all_left).await;
    // Send the jobs' last status updates while the connection is up.
    while lost.is_none()
        && let Ok(m) = out.try_recv()
        && send(&mut socket, m).await.is_ok()
    {}
    socket.close().await;
    lost
}

fn available(jobs: usize) -> worker_message::Message {
    worker_message::Message::UpdateWorker(proto::UpdateWorkerStatus {
        status: Some(proto::WorkerStatus::WsAvailable as i32),
        load: 0.0,
        job_count: jobs as u32,
        ..Default::default()
    })
}

/// The agent's identity in the room of job `job`.
fn identity(job: &str) -> String {
    format!("agent-{job}")
}

/// Handles a message from the server; returns the response, if there is one.
fn handle(
    message: server_message::Message,
    agent: &Arc<Agent>,
    options: &WorkerOptions,
    outbox: &Outbox,
    jobs: &mut HashMap<String, CancellationToken>,
    running: &mut tokio::task::JoinSet<String>,
) -> Option<worker_message::Message> {
    match message {
        server_message::Message::Availability(a) => {
            let job = a.job?;
            let answer = proto::AvailabilityResponse {
                participant_identity: identity(&job.id),
                participant_name: "loadgen reference agent".into(),
                job_id: job.id,
                available: true,
                participant_attributes: [(
                    state::ATTRIBUTE.to_owned(),
                    state::value(AgentState::Initializing).to_owned(),
                )]
                .into(),
                ..Default::default()
            };
            Some(worker_message::Message::Availability(answer))
        }
        server_message::Message::Assignment(a) => {
            let id = a.job.as_ref()?.id.clone();
            let end = CancellationToken::new();
            jobs.insert(id, end.clone());
            running.spawn(job(agent.clone(), options.clone(), a, outbox.clone(), end));
            None
        }
        server_message::Message::Termination(t) => {
            if let Some(end) = jobs.get(&t.job_id) {
                end.cancel();
            }
            None
        }
        _ => None,
    }
}

/// Runs one job, from its assignment to the caller's departure; returns the job's id.
async fn job(
    agent: Arc<Agent>,
    options: WorkerOptions,
    assignment: proto::JobAssignment,
    outbox: Outbox,
    end: CancellationToken,
) -> String {
    let Some(job) = assignment.job else {
        return String::new();
    };
    let status = |status: proto::JobStatus, error: String| {
        worker_message::Message::UpdateJob(proto::UpdateJobStatus {
            job_id: job.id.clone(),
            status: status as i32,
            error,
        })
    };
    let _ = outbox
        .send(status(proto::JobStatus::JsRunning, String::new()))
        .await;
    let room = job
        .room
        .as_ref()
        .map(|r| r.name.clone())
        .unwrap_or_default();
    let invitation = Invitation {
        address: options.address.clone(),
        room: room.clone(),
        token: assignment.token,
        identity: identity(&job.id),
        label: options.session.clone(),
    };
    let done = attend(&agent, invitation, &end).await;
    let last = match done {
        Ok(()) => status(proto::JobStatus::JsSuccess, String::new()),
        Err(f) => {
            let failed = status(proto::JobStatus::JsFailed, f.to_string());
            (options.tell)(AgentNotice::JobFailed {
                room: signal::printable(&room).to_string(),
                failure: f,
            });
            failed
        }
    };
    let _ = outbox.send(last).await;
    job.id
}
