//! Serves the reference agent over a pipe: receives offers and sends answers; media uses loopback.
//!
//! In: one JSON object per line: `{"call":1,"room":"r","offer":"<sdp>"}`, `{"call":1,"bye":true}`.
//! Out: `{"ready":true}`, `{"call":1,"answer":"<sdp>"}` or `{"call":1,"error":"…"}`, and
//! `{"call":1,"left":true}` if the agent leaves a call.
//! Invariant: the agent ends when its standard input closes.

use super::Agent;
use super::brain::{Act, AgentEnd};
use crate::net::{NetError, PeerEvent, PeerEvents, PeerHandle, tracks_by_mid};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr};
use tokio::io::{
    AsyncBufRead, AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, AsyncWrite,
    AsyncWriteExt as _, BufReader,
};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

/// Longest line accepted; an offer with one media section is about 1.5 KB.
pub(super) const MAX_LINE: usize = 64 * 1_024;

/// A request from the other end of the pipe.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::targets) struct PipeRequest {
    pub call: u64,
    #[serde(default)]
    pub room: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub offer: Option<String>,
    #[serde(default)]
    pub bye: bool,
}

/// The agent's reply to a request, or its first line.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::targets) struct PipeReply {
    #[serde(default)]
    pub ready: bool,
    #[serde(default)]
    pub call: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub left: bool,
}

/// Maximum number of lines that wait to be written.
const LINES: usize = 64;

/// The tasks of calls in progress; each task owns its call's peer.
type Calls = HashMap<u64, JoinHandle<()>>;

/// Serves calls until `input` closes.
///
/// # Errors
/// The pipe cannot be read or written.
pub(crate) async fn serve_pipe(
    agent: Agent,
    input: impl AsyncRead + Unpin,
    output: impl AsyncWrite + Unpin + Send + 'static,
) -> std::io::Result<()> {
    let (replies, written) = mpsc::channel(LINES);
    let writer = tokio::spawn(write(output, written));
    let served = serve_lines(agent, input, &replies).await;
    match served {
        // The pipe's own error says more than that nobody writes any longer.
        Err(error) if writer.is_finished() => {
            Err(writer.await.unwrap_or(Ok(())).err().unwrap_or(error))
        }
        served => served,
    }
}

/// Writes lines until nobody can send any more.
async fn write(
    mut output: impl AsyncWrite + Unpin,
    mut replies: mpsc::Receiver<PipeReply>,
) -> std::io::Result<()> {
    while let Some(reply) = replies.recv().await {
        say(&mut output, &reply).await?;
    }
    Ok(())
}

async fn serve_lines(
    agent: Agent,
    input: impl AsyncRead + Unpin,
    replies: &mpsc::Sender<PipeReply>,
) -> std::io::Result<()> {
    let mut calls = Calls::new();
    let mut lines = BufReader::new(input);
    let tell = async |reply: PipeReply| {
        let sent = replies.send(reply).await;
        sent.map_err(|_| std::io::Error::from(std::io::ErrorKind::BrokenPipe))
    };
    let ready = PipeReply {
        ready: true,
        ..Default::default()
    };
    tell(ready).await?;
    let mut line = Vec::new();
    loop {
        if !next_line(&mut lines, &mut line).await? {
            return Ok(());
        }
        let Ok(request) = serde_json::from_slice::<PipeRequest>(&line) else {
            continue; // no reply is possible without a call number
        };
        if request.bye {
            if let Some(task) = calls.remove(&request.call) {
                task.abort();
            }
            continue;
        }
        let Some(offer) = request.offer else { continue };
        calls.retain(|_, task| !task.is_finished());
        if calls.contains_key(&request.call) {
            let reply = PipeReply {
                call: request.call,
                error: Some("this call is already in progress".into()),
                ..Default::default()
            };
            tell(reply).await?;
            continue;
        }
        let reply = match answer(&agent, &request.room, offer).await {
            Ok((peer, media, answer)) => {
                let task = tokio::spawn(follow(peer, media, (request.call, replies.clone())));
                calls.insert(request.call, task);
                PipeReply {
                    call: request.call,
                    answer: Some(answer),
                    ..Default::default()
                }
            }
            Err(e) => PipeReply {
                call: request.call,
                error: Some(e.to_string()),
                ..Default::default()
            },
        };
        tell(reply).await?;
    }
}

/// Reads a line; returns false at the end of the input. If the line is too long,
/// `line` is left empty.
pub(super) async fn next_line(
    input: &mut (impl AsyncBufRead + Unpin),
    line: &mut Vec<u8>,
) -> std::io::Result<bool> {
    line.clear();
    let mut kept = true;
    loop {
        let start = line.len();
        let mut bounded = (&mut *input).take((MAX_LINE - start) as u64);
        let read = bounded.read_until(b'\n', line).await?;
        let whole = line.last() == Some(&b'\n');
        if read == 0 || whole {
            if !kept {
                line.clear();
            }
            return Ok(read > 0);
        }
        if line.len() == MAX_LINE {
            kept = false;
            line.clear();
        }
    }
}

async fn say(output: &mut (impl AsyncWrite + Unpin), reply: &PipeReply) -> std::io::Result<()> {
    let mut line = serde_json::to_vec(reply)?;
    line.push(b'\n');
    output.write_all(&line).await?;
    output.flush().await
}

async fn answer(
    agent: &Agent,
    room: &str,
    offer: String,
) -> Result<(PeerHandle<AgentEnd>, PeerEvents, String), NetError> {
    let mid = tracks_by_mid(&offer)
        .into_keys()
        .next()
        .ok_or_else(|| NetError::Description("the offer has no audio".into()))?;
    let end = agent.end(room);
    let (peer, media) = agent.engine.add(end, IpAddr::V4(Ipv4Addr::LOCALHOST));
    let answer = peer
        .with(move |p, now| {
            let transport = p.transport(0, now)?;
            let answer = transport.accept(&offer)?;
            transport.publish_on(mid.as_str().into());
            p.listen_to(0, &mid, 0);
            Ok::<_, NetError>(answer)
        })
        .await??;
    Ok((peer, media, answer))
}

/// Starts the call's media once it is connected, and tells when the agent leaves the call.
async fn follow(
    peer: PeerHandle<AgentEnd>,
    mut media: PeerEvents,
    (call, replies): (u64, mpsc::Sender<PipeReply>),
) {
    let (acts, mut asked) = mpsc::channel(1);
    loop {
        let event = tokio::select! {
            event = media.recv() => event,
            Some(act) = asked.recv() => {
                if act != Act::HangUp {
                    continue; // a connection without a server has no track to publish
                }
                let reply = PipeReply {
                    call,
                    left: true,
                    ..Default::default()
                };
                // The connection stays up, so that the caller does not take this for a failure.
                let _ = replies.send(reply).await;
                continue;
            }
        };
        let Some(event) = event else { return };
        match event {
            PeerEvent::Connected(_) => {
                let acts = acts.clone();
                let started = peer
                    .with(|p, now| {
                        p.endpoint.tell_acts(acts);
                        let slot = p.slot_from(now);
                        p.endpoint.connected(slot);
                        p.endpoint.caller_here(now);
                    })
                    .await;
                if started.is_err() {
                    return;
                }
            }
            PeerEvent::Dead(_) | PeerEvent::Broken(_) | PeerEvent::Disconnected(_) => return,
            PeerEvent::Messages(_) => {}
        }
    }
}

#[cfg(test)]
mod tests;
