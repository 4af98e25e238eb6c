//! Asks an agent for its session's usage periodically: each answer states when it was made, which
//! relates the agent's clock to ours. The request is read-only.
//!
//! In: the agent's identity, time, answers. Out: requests as data packets; when each was sent.
//! Invariants: requests are bounded in rate and number; an agent that answers none is not asked
//! again.

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

/// Time between the first requests to an agent, so that short calls have a few answers.
const PERIOD: Duration = Duration::from_secs(2);
/// Number of requests to an agent that are sent at that rate.
const FIRST: u64 = 4;
/// Time between later requests. In this time, two clocks drift apart by a few milliseconds at most.
const LATER: Duration = Duration::from_secs(5);
/// An agent that leaves this many requests in a row unanswered is not asked again.
const PATIENCE: usize = 5;

/// The requests to one agent.
pub(super) struct Requests {
    /// Identity of the agent to ask, if there is one.
    agent: Option<String>,
    timer: Interval,
    made: u64,
    /// How many of them went to this agent.
    asked: u64,
    /// Ids of the requests without an answer, and when each was sent.
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

    /// Asks this agent from now on.
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

    /// The request was sent at this instant.
    pub(super) fn sent(&mut self, id: String, at: Instant) {
        self.open.push_back((id, at));
        self.asked += 1;
        if self.asked >= FIRST {
            self.timer.reset_after(LATER);
        }
    }

    /// When the request `id` that `sender` answers was sent; `None` if no such request is open.
    pub(super) fn answered(&mut self, sender: &str, id: &str) -> Option<Instant> {
        if self.agent.as_deref() != Some(sender) {
            return None;
        }
        let at = self.open.iter().position(|(open, _)| open == id)?;
        let (_, sent) = self.open.remove(at)?;
        // Older requests will not be answered any more: an agent answers in order.
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

/// The id of the request for the session's usage that a stream holds.
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
    fn a_request_is_read_as_it_was_written() {
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
    async fn a_silent_agent_is_not_asked_forever() {
        let mut requests = Requests::new();
        assert!(requests.next().is_none(), "nobody to ask");
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
        // A late answer shows that the agent does answer.
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
