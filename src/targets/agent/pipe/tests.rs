//! The pipe's protocol, including malformed and hostile lines.

use super::super::{Clip, EndDetection, Voice};
use super::*;
use crate::audio::Codec;
use crate::net::{Endpoint, Engine, Outgoing, RtpStream, Topology};
use crate::vocab::AgentDelay;
use crate::vocab::Packet;
use std::time::{Duration, Instant};
use tokio::io::{DuplexStream, Lines, ReadHalf, WriteHalf};

const PATIENCE: Duration = Duration::from_secs(20);

fn agent() -> Agent {
    let tone = Clip::tone(Duration::from_millis(200), Codec::Opus).expect("tone");
    let voice = Voice::new(tone, None).expect("voice");
    let delay = AgentDelay::Fixed(Duration::from_millis(300));
    Agent::new(1, voice, delay, 0, EndDetection::Level, None).expect("agent")
}

/// An endpoint that does nothing; it is only used to create offers.
struct Nobody;

impl Endpoint for Nobody {
    fn audio(&mut self, _: Instant, _: RtpStream, _: Packet<'_>) {}
    fn timeout(&mut self, _: Instant) {}
    fn poll_timeout(&self) -> Option<Instant> {
        None
    }
    fn poll_send(&self) -> Option<Instant> {
        None
    }
    fn send(&mut self, _: Instant) -> Option<Outgoing> {
        None
    }
    fn sent(&mut self, _: Instant, _: Instant, _: u64) {}
}

struct Parent {
    input: WriteHalf<DuplexStream>,
    output: Lines<BufReader<ReadHalf<DuplexStream>>>,
    served: JoinHandle<std::io::Result<()>>,
}

impl Parent {
    async fn start() -> Self {
        let (ours, theirs) = tokio::io::duplex(1 << 20);
        let (from, to) = tokio::io::split(theirs);
        let served = tokio::spawn(serve_pipe(agent(), from, to));
        let (output, input) = tokio::io::split(ours);
        let mut parent = Self {
            input,
            output: BufReader::new(output).lines(),
            served,
        };
        assert!(parent.hears().await.ready);
        parent
    }

    async fn says(&mut self, line: &str) {
        self.input
            .write_all(line.as_bytes())
            .await
            .expect("written");
        self.input.write_all(b"\n").await.expect("written");
    }

    async fn offers(&mut self, call: u64, sdp: &str) -> PipeReply {
        let request = PipeRequest {
            call,
            room: "room".to_owned(),
            offer: Some(sdp.to_owned()),
            bye: false,
        };
        let line = serde_json::to_string(&request).expect("json");
        self.says(&line).await;
        self.hears().await
    }

    async fn hears(&mut self) -> PipeReply {
        let line = tokio::time::timeout(PATIENCE, self.output.next_line()).await;
        let line = line.expect("in time").expect("a pipe").expect("a line");
        serde_json::from_str(&line).expect("a reply")
    }
}

async fn offer(engine: &Engine<Nobody>) -> (PeerHandle<Nobody>, String) {
    let (peer, _) = engine.add(Nobody, IpAddr::V4(Ipv4Addr::LOCALHOST));
    let sdp = peer
        .with(|p, now| p.transport(0, now)?.offer("mic", Topology::Direct))
        .await
        .expect("peer")
        .expect("offer");
    (peer, sdp)
}

#[tokio::test]
async fn hostile_lines_are_skipped_and_the_next_call_is_answered() {
    let engine = Engine::start(1).expect("engine");
    let (_peer, sdp) = offer(&engine).await;
    let mut parent = Parent::start().await;
    let long = "x".repeat(3 * MAX_LINE);
    // The end of an overlong line must not be read as a separate line.
    let smuggled = format!("{}{{\"call\":9,\"offer\":\"v=0\"}}", "x".repeat(MAX_LINE));
    for line in [
        "",
        "null",
        "[]",
        "{",
        "{\"call\":-1}",
        "{\"call\":1e99,\"offer\":\"\"}",
        "{\"call\":1}",
        "{\"call\":77,\"bye\":true}",
        "\u{0}\u{1b}[2J",
        &long,
        &smuggled,
    ] {
        parent.says(line).await;
    }
    parent
        .input
        .write_all(&[0xff, 0xfe, b'\n'])
        .await
        .expect("written");
    for (call, sdp) in [
        (1, ""),
        (2, "v=0"),
        (3, "m=audio\r\na=mid:0\r\na=msid:a b\r\n"),
    ] {
        let reply = parent.offers(call, sdp).await;
        assert_eq!((reply.call, reply.answer), (call, None));
        assert!(reply.error.is_some(), "call {call}");
    }
    let reply = parent.offers(4, &sdp).await;
    assert_eq!((reply.call, reply.error), (4, None));
    assert!(reply.answer.is_some_and(|a| a.starts_with("v=0")));
}

#[tokio::test]
async fn a_call_number_in_use_is_refused_until_its_call_ends() {
    let engine = Engine::start(1).expect("engine");
    let ((_one, first), (_two, second)) = (offer(&engine).await, offer(&engine).await);
    let mut parent = Parent::start().await;
    assert!(parent.offers(5, &first).await.answer.is_some());
    assert!(parent.offers(5, &second).await.error.is_some());
    parent.says("{\"call\":5,\"bye\":true}").await;
    assert!(parent.offers(5, &second).await.answer.is_some());
}

#[tokio::test]
async fn the_agent_ends_when_its_input_closes() {
    for (calls, torn) in [(0, ""), (2, ""), (1, "{\"call\":8,\"off")] {
        let engine = Engine::start(1).expect("engine");
        let mut parent = Parent::start().await;
        let mut kept = Vec::new();
        for call in 0..calls {
            let (peer, sdp) = offer(&engine).await;
            assert!(parent.offers(call, &sdp).await.answer.is_some());
            kept.push(peer);
        }
        let Parent {
            mut input,
            output,
            served,
        } = parent;
        input.write_all(torn.as_bytes()).await.expect("written");
        input.shutdown().await.expect("closed");
        let served = tokio::time::timeout(PATIENCE, served).await;
        served
            .expect("in time")
            .expect("no panic")
            .expect("no error");
        drop(output);
    }
}
