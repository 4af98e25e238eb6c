//! Requests a session's usage from an agent periodically. Each response states when it was made,
//! which relates the agent's clock to ours. The requests are read-only.
//!
//! In: the agent's identity, time, responses. Out: requests as data packets; when each was sent.
//! Invariants: requests are bounded in rate and number; an agent that never responds receives no
//! further requests.

use super::claims::SESSION;
use super::packets::byte_stream;
use super::streams::DataStream;
use super::wire::Bounded as _;
use livekit_protocol as proto;
use prost::Message as _;
use proto::agent::agent_session_message::Message;
use proto::agent::session_request::{GetSessionUsage, Request};
use proto::agent::{AgentSessionMessage, SessionRequest};
use std::collections::VecDeque;
use std::time::{Duration, Instant};
use tokio::time::{Interval, MissedTickBehavior, interval};

/// Interval between the first requests to an agent, short enough that short calls have a few
/// responses.
const PERIOD: Duration = Duration::from_secs(2);
/// Number of requests to an agent that are sent at the initial rate.
const FIRST: u64 = 4;
/// Interval between later requests. In this time, two clocks drift apart by a few milliseconds at
/// most.
const LATER: Duration = Duration::from_secs(5);
/// Number of consecutive unanswered requests after which an agent receives no further requests.
const PATIENCE: usize = 5;

/// The requests to one agent.
pub(super) struct Requests {
    /// Identity of the agent to which requests are sent, if there is one.
    agent: Option<String>,
    timer: Interval,
    made: u64,
    /// Number of requests sent to this agent.
    asked: u64,
    /// Ids of the requests without a response, and when each was sent.
    open: VecDeque<(String, Instant)>,
}

impl Requests {
    pub(super) fn new() -> Self {
        let mut timer = interval(PERIOD);
        timer.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self {
            agent: None,
            timer,
            made: 0,
            asked: 0,
            open: VecDeque::new(),
        }
    }

    /// Sends further requests to this agent.
    pub(super) fn ask(&mut self, agent: String) {
        if self.agent.as_ref() != Some(&agent) {
            self.agent = Some(agent);
            self.open.clear();
            self.asked = 0;
        }
    }

    /// Returns when a request is due. Cancel safe.
    pub(super) async fn due(&mut self) {
        if self.agent.is_none() || self.open.len() >= PATIENCE {
            return std::future::pending().await;
        }
        self.timer.tick().await;
    }

    /// The next request: its id, and its data packets.
    pub(super) fn next(&mut self) -> Option<(String, [Vec<u8>; 3])> {
        let agent = self.agent.clone()?;
        self.made += 1;
        let id = format!("loadgen-{}", self.made);
        Some((id.clone(), packets(&agent, id)))
    }

    /// Records when the request was sent.
    pub(super) fn sent(&mut self, id: String, at: Instant) {
        self.open.push_back((id, at));
        self.asked += 1;
        if self.asked >= FIRST {
            self.timer.reset_after(LATER);
        }
    }

    /// Closes the request `id`, to which `sender` has responded; returns when the request was sent.
    /// `None` if no such request is open.
    pub(super) fn answered(&mut self, sender: &str, id: &str) -> Option<Instant> {
        if self.agent.as_deref() != Some(sender) {
            return None;
        }
        let at = self.open.iter().position(|(open, _)| open == id)?;
        let (_, sent) = self.open.remove(at)?;
        // An agent responds in order, so older requests will not be answered any more.
        self.open.drain(..at);
        Some(sent)
    }
}

/// The data packets of a request: a stream of one chunk.
fn packets(agent: &str, id: String) -> [Vec<u8>; 3] {
    let request = Message::Request(SessionRequest {
        request_id: id.clone(),
        request: Some(Request::GetSessionUsage(GetSessionUsage {})),
    });
    let message = AgentSessionMessage {
        message: Some(request),
    };
    byte_stream(&id, SESSION, message.encode_to_vec(), &[agent.to_owned()])
}

/// The id of the usage request that a stream contains.
pub(super) fn usage_request(stream: &DataStream) -> Option<String> {
    let message = AgentSessionMessage::bounded(&stream.content).ok()?;
    let Some(Message::Request(request)) = message.message else {
        return None;
    };
    let asks = matches!(request.request, Some(Request::GetSessionUsage(_)));
    asks.then_some(request.request_id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_usage_request_round_trips() {
        let stream = |content: Vec<u8>| DataStream {
            sender: "caller".into(),
            topic: SESSION.into(),
            content,
            opened: Instant::now(),
        };
        let [_, chunk, _] = packets("agent", "loadgen-7".into());
        let packet = proto::DataPacket::bounded(&chunk).expect("a data packet");
        let Some(proto::data_packet::Value::StreamChunk(chunk)) = packet.value else {
            panic!("no chunk");
        };
        let id = usage_request(&stream(chunk.content));
        assert_eq!(id.as_deref(), Some("loadgen-7"));
        let other = AgentSessionMessage::default().encode_to_vec();
        assert_eq!(usage_request(&stream(other)), None);
    }

    #[tokio::test(start_paused = true)]
    async fn requests_to_an_agent_that_never_responds_stop() {
        let mut requests = Requests::new();
        assert!(requests.next().is_none(), "no agent is set");
        requests.ask("agent".into());
        let begun = tokio::time::Instant::now();
        for _ in 0..PATIENCE {
            requests.due().await;
            let (id, _) = requests.next().expect("a request");
            requests.sent(id, Instant::now());
        }
        let quick = PERIOD * (FIRST as u32 - 1);
        let later = LATER * (PATIENCE as u32 - FIRST as u32);
        assert_eq!(begun.elapsed(), quick + later);
        let more = tokio::time::timeout(Duration::from_secs(600), requests.due());
        assert!(more.await.is_err());
        // A late response shows that the agent does respond.
        let sent = requests.open[3].1;
        assert_eq!(requests.answered("somebody", "loadgen-4"), None);
        assert_eq!(requests.answered("agent", "loadgen-4"), Some(sent));
        assert_eq!(requests.answered("agent", "loadgen-4"), None);
        assert_eq!(requests.open.len(), 1);
        requests.due().await;

        // Alternating between two agents does not raise the rate of requests.
        let begun = tokio::time::Instant::now();
        for agent in ["one", "other", "one", "other"] {
            requests.ask(agent.into());
            requests.due().await;
        }
        assert!(begun.elapsed() >= PERIOD * 3);
    }
}
