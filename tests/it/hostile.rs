//! A server that tries to exhaust the caller's memory: the call fails, its message states the
//! bound that was exceeded, and the process's memory stays small.
//!
//! Invariant: memory is the peak resident size of the process, as the kernel reports it (`VmHWM`).

use crate::support::{Loadgen, Small};
use livekit_protocol as proto;
use prost::Message as _;
use proto::signal_response::Message as Reply;
use std::io::Write as _;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::time::Duration;
use tokio_tungstenite::tungstenite::{self, Message};

/// Maximum peak memory, in KiB. A run without calls needs a third of this. If the program had no
/// bounds, the messages in this file would take several times as much.
const MOST_KIB: u64 = 150 << 10;

/// Listens on loopback; sends `messages` to every participant, and accepts all other requests.
/// The server runs until the test process ends.
fn hostile(messages: Vec<Vec<u8>>) -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    let address = listener.local_addr().expect("bound");
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let messages = messages.clone();
            std::thread::spawn(move || serve(stream, messages));
        }
    });
    address
}

fn serve(mut stream: TcpStream, messages: Vec<Vec<u8>>) {
    let mut first = [0; 4];
    let asks = stream.peek(&mut first).is_ok() && &first == b"POST";
    if asks {
        let answer = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
        let _ = stream.write_all(answer.as_bytes());
        return;
    }
    let Ok(mut socket) = tungstenite::accept(stream) else {
        return;
    };
    for message in messages {
        if socket.send(Message::Binary(message.into())).is_err() {
            return;
        }
    }
    while socket.read().is_ok() {}
}

fn encoded(message: Reply) -> Vec<u8> {
    let message = Some(message);
    proto::SignalResponse { message }.encode_to_vec()
}

/// The response to a join, with this many other participants, all of whose fields are empty.
fn join(participants: usize) -> Vec<u8> {
    encoded(Reply::Join(proto::JoinResponse {
        other_participants: vec![proto::ParticipantInfo::default(); participants],
        ..Default::default()
    }))
}

/// An update with a thousand participants, all of them new and with long names.
fn update(number: usize) -> Vec<u8> {
    let participant = |n: usize| {
        let track = |k: usize| proto::TrackInfo {
            sid: format!("TR_{number}_{n}_{k}"),
            name: "x".repeat(200),
            ..Default::default()
        };
        proto::ParticipantInfo {
            sid: format!("PA_{number}_{n}"),
            identity: "x".repeat(300),
            tracks: (0..2).map(track).collect(),
            ..Default::default()
        }
    };
    encoded(Reply::Update(proto::ParticipantUpdate {
        participants: (0..1_000).map(participant).collect(),
    }))
}

/// The peak resident size of a process so far, in KiB.
fn highest(pid: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

/// Lets one caller join; returns the program's stderr and its peak memory.
fn joined(server: SocketAddr) -> (String, u64) {
    let url = format!("ws://{server}");
    let keys = [
        "--api-key",
        "key",
        "--api-secret",
        "s3cret-of-a-hostile-server",
    ];
    let run = Loadgen::new(["run", "small.yaml", "--url", &url].iter().chain(&keys));
    Small::default().write(run.dir());
    let mut run = run.spawn();
    let (pid, mut most) = (run.pid(), 0);
    while run.process().try_wait().is_none() {
        most = most.max(highest(pid).unwrap_or(0));
        std::thread::sleep(Duration::from_millis(10));
    }
    let run = run.finish();
    run.assert_code(1);
    (run.finished.stderr.clone(), most)
}

#[test]
fn a_hostile_server_cannot_exhaust_memory() {
    let leave = || {
        encoded(Reply::Leave(proto::LeaveRequest {
            reason: proto::DisconnectReason::RoomDeleted as i32,
            ..Default::default()
        }))
    };
    let crowds = [join(0)].into_iter().chain((0..100).map(update));
    for (what, messages, words) in [
        (
            "many participants",
            vec![join(500_000)],
            "more than 1000 participants in one message",
        ),
        (
            "a long message",
            vec![join(600_000)],
            "more than 1048576 bytes in one message",
        ),
        (
            "new participants in every update",
            crowds.chain([leave()]).collect(),
            "failed 1",
        ),
    ] {
        let (said, most) = joined(hostile(messages));
        println!("{what}: {most} KiB");
        assert!(said.contains(words), "{what}: {said}");
        assert!(most > 0, "{what}: its memory was never sampled");
        assert!(most < MOST_KIB, "{what}: {most} KiB");
    }
}
