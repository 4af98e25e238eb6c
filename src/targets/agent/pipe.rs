//! Serves the reference agent over a pipe: receives offers and sends answers; media uses loopback.
//!
//! In: one JSON object per line: `{"call":1,"room":"r","offer":"<sdp>"}`, `{"call":1,"bye":true}`.
//! Out: `{"ready":true}`, `{"call":1,"answer":"<sdp>"}` or `{"call":1,"error":"…"}`.
//! Invariant: the agent ends when its standard input closes.

use super::Agent;
use super::brain::AgentEnd;
use crate::net::{NetError, PeerEvent, PeerEvents, PeerHandle, tracks_by_mid};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr};
use tokio::io::{
    AsyncBufRead, AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, AsyncWrite,
    AsyncWriteExt as _, BufReader,
};
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
}

/// The tasks of calls in progress; each task owns its call's peer.
type Calls = HashMap<u64, JoinHandle<()>>;

/// Serves calls until `input` closes.
///
/// # Errors
/// The pipe cannot be read or written.
pub(crate) async fn serve_pipe(
    agent: Agent,
    input: impl AsyncRead + Unpin,
    mut output: impl AsyncWrite + Unpin,
) -> std::io::Result<()> {
    let mut calls = Calls::new();
    let mut lines = BufReader::new(input);
    let ready = PipeReply {
        ready: true,
        ..Default::default()
    };
    say(&mut output, &ready).await?;
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
            say(&mut output, &reply).await?;
            continue;
        }
        let reply = match answer(&agent, &request.room, offer).await {
            Ok((peer, media, answer)) => {
                let task = tokio::spawn(follow(peer, media));
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
        say(&mut output, &reply).await?;
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

/// Starts the call's media once it is connected.
async fn follow(peer: PeerHandle<AgentEnd>, mut media: PeerEvents) {
    while let Some(event) = media.recv().await {
        match event {
            PeerEvent::Connected(_) => {
                let started = peer
                    .with(|p, now| {
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
