//! Tests of two engines connected over loopback, and of peers that are removed or fail.
//!
//! Invariants: only outcomes and order are asserted; every bound is generous.

use super::super::{Impairment, Kind, Outgoing, RtpStream, Topology, tracks_by_mid};
use super::*;
use crate::vocab::{LinkConfig, Loss, NetworkConfig, Packet};
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::{Mutex, MutexGuard};

const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const FRAME: Duration = Duration::from_millis(20);
const PATIENCE: Duration = Duration::from_secs(20);

/// The events that a party has recorded.
#[derive(Debug, Default)]
struct Seen {
    /// Sequence number, RTP time, first payload byte, arrival, and time of delivery.
    packets: Vec<(u64, u32, u8, Instant, Instant)>,
    /// The stream of the last packet.
    stream: Option<RtpStream>,
    /// Due and actual send times.
    sent: Vec<(Instant, Instant)>,
    /// When timers fired, and how many packets had been delivered by then.
    timeouts: Vec<(Instant, usize)>,
}

/// Sends numbered packets from `next` on; its timer fires `patience` after the last arrival.
struct Party {
    seen: Arc<Mutex<Seen>>,
    next: Option<Instant>,
    left: u32,
    sent: u32,
    patience: Option<Duration>,
    /// How long packets may wait in the socket.
    unhurried: Duration,
    timer: Option<Instant>,
    breaks: bool,
}

impl Party {
    fn new() -> (Self, Arc<Mutex<Seen>>) {
        let seen = Arc::new(Mutex::new(Seen::default()));
        let party = Self {
            seen: seen.clone(),
            next: None,
            left: 0,
            sent: 0,
            patience: None,
            unhurried: FRAME,
            timer: None,
            breaks: false,
        };
        (party, seen)
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().expect("not poisoned")
    }
}

impl Endpoint for Party {
    fn audio(&mut self, now: Instant, stream: RtpStream, p: Packet<'_>) {
        let first = p.payload.first().copied().unwrap_or(0);
        let row = (p.sequence, p.rtp_time, first, p.arrival, now);
        let mut seen = self.seen();
        seen.packets.push(row);
        seen.stream = Some(stream);
        drop(seen);
        self.timer = self.patience.map(|wait| p.arrival + wait);
    }

    fn timeout(&mut self, now: Instant) {
        assert!(!self.breaks, "this party is broken on purpose");
        let mut seen = self.seen();
        let packets = seen.packets.len();
        seen.timeouts.push((now, packets));
        drop(seen);
        self.timer = None;
    }

    fn poll_timeout(&self) -> Option<Instant> {
        self.timer
    }

    fn patience(&self, _: Instant) -> Duration {
        self.unhurried
    }

    fn poll_send(&self) -> Option<Instant> {
        self.next.filter(|_| self.left > 0)
    }

    fn send(&mut self, due: Instant) -> Option<Outgoing> {
        self.next = Some(due + FRAME);
        self.left -= 1;
        self.sent += 1;
        Some(Outgoing {
            payload: Arc::from([self.sent as u8; 40]),
            rtp_time: self.sent * 960,
            marker: self.sent == 1,
        })
    }

    fn sent(&mut self, due: Instant, actual: Instant, _: u64) {
        self.seen().sent.push((due, actual));
    }
}

async fn connected(events: &mut PeerEvents) {
    let wait = async {
        loop {
            match events.recv().await {
                Some(PeerEvent::Connected(0)) => return,
                Some(PeerEvent::Messages(_)) => {}
                other => panic!("expected a connection, got {other:?}"),
            }
        }
    };
    tokio::time::timeout(PATIENCE, wait)
        .await
        .expect("connects in time");
}

type Handle = PeerHandle<Party>;

/// Connects two peers directly and makes both listen; returns the name of their section.
async fn meet(
    (a, from_a): (&Handle, &mut PeerEvents),
    (b, from_b): (&Handle, &mut PeerEvents),
) -> String {
    let offer = a
        .with(|p, now| p.transport(0, now)?.offer("mic-a", Topology::Direct))
        .await
        .expect("a")
        .expect("offer");
    let mid = tracks_by_mid(&offer).into_keys().next().expect("a section");
    let (mid_b, named) = (mid.clone(), mid.clone());
    let answer = b
        .with(move |p, now| {
            let t = p.transport(0, now)?;
            let answer = t.accept(&offer)?;
            t.publish_on(mid_b.as_str().into());
            p.listen_to(0, &mid_b, 0);
            Ok::<_, NetError>(answer)
        })
        .await
        .expect("b")
        .expect("answer");
    a.with(move |p, now| {
        p.listen_to(0, &mid, 0);
        p.transport(0, now)?.answer(&answer)
    })
    .await
    .expect("a")
    .expect("an accepted answer");
    connected(from_a).await;
    connected(from_b).await;
    named
}

/// Two peers, each on an engine of its own.
struct Two {
    one: Engine<Party>,
    other: Engine<Party>,
    a: Handle,
    b: Handle,
    from_a: PeerEvents,
    from_b: PeerEvents,
}

impl Two {
    fn of(a: Party, b: Party) -> Self {
        let [one, other] = [(); 2].map(|()| Engine::start(1).expect("engine"));
        let ((a, from_a), (b, from_b)) = (one.add(a, HERE), other.add(b, HERE));
        Self {
            one,
            other,
            a,
            b,
            from_a,
            from_b,
        }
    }

    /// Connects the two; returns the name of their section.
    async fn meet(&mut self) -> String {
        meet((&self.a, &mut self.from_a), (&self.b, &mut self.from_b)).await
    }
}

async fn speak(peer: &Handle, packets: u32) {
    let begun = peer.with(move |p, now| {
        p.endpoint.next = Some(p.slot_from(now));
        p.endpoint.left = packets;
    });
    begun.await.expect("a live peer");
}

async fn until(what: &str, mut done: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !done() {
        assert!(begin.elapsed() < PATIENCE, "timed out: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn packets_arrive_in_order_with_plausible_timestamps_in_both_directions() {
    let ((a, seen_a), (b, seen_b)) = (Party::new(), Party::new());
    let mut two = Two::of(a, b);
    two.meet().await;
    speak(&two.a, 50).await;
    speak(&two.b, 50).await;
    for (seen, from) in [(&seen_b, &seen_a), (&seen_a, &seen_b)] {
        until("50 packets", || {
            seen.lock().expect("not poisoned").packets.len() >= 50
        })
        .await;
        let (seen, from) = (
            seen.lock().expect("not poisoned"),
            from.lock().expect("not poisoned"),
        );
        let numbers: Vec<u8> = seen.packets.iter().map(|p| p.2).collect();
        assert_eq!(numbers, (1..=50).collect::<Vec<u8>>());
        assert_eq!(from.sent.len(), 50, "each has its send stamp");
        for pair in seen.packets.windows(2) {
            assert_eq!(pair[1].0, pair[0].0 + 1, "sequence numbers");
            assert_eq!(pair[1].1, pair[0].1 + 960, "RTP time");
            // Without a kernel timestamp, the first packet carries the time at which it was read.
            assert!(
                pair[1].3 >= pair[0].3 || pair[0].3 == pair[0].4,
                "arrivals decrease"
            );
        }
        for (packet, (due, actual)) in seen.packets.iter().zip(&from.sent) {
            assert!(actual >= due, "sent before it was due");
            // Kernel timestamps are mapped to our clock with an error of microseconds, so a
            // millisecond is ample. A sender that was held up at that moment may have sent
            // earlier than its timestamp indicates.
            let ample = Duration::from_millis(1);
            let sent = if *actual > *due + ample { due } else { actual };
            assert!(packet.3 + ample >= *sent, "arrived before sent");
            assert!(packet.4 >= packet.3, "handed over before it arrived");
        }
    }
    let health = two.one.health();
    assert_eq!((health.packets_out, health.send_errors), (50, 0));
    assert!(health.packets_in >= 50);
}

#[tokio::test]
async fn after_a_second_packets_in_both_directions_bypass_str0m() {
    let ((a, _), (b, seen)) = (Party::new(), Party::new());
    let mut two = Two::of(a, b);
    two.meet().await;
    speak(&two.a, 150).await;
    speak(&two.b, 150).await;
    until("150 packets", || {
        seen.lock().expect("not poisoned").packets.len() >= 150
    })
    .await;
    let (numbers, stream) = {
        let seen = seen.lock().expect("not poisoned");
        let numbers: Vec<u8> = seen.packets.iter().map(|p| p.2).collect();
        (numbers, seen.stream.expect("a stream"))
    };
    assert_eq!(numbers, (1..=150).collect::<Vec<u8>>(), "none is missing");
    assert_eq!((stream.track, stream.restarts), (0, 0));
    let (by_str0m, receives) = two
        .b
        .with(move |p, now| {
            let t = p.transport(0, now).expect("a transport");
            let direct = t.direct.as_ref();
            let receives = direct.is_some_and(|d| d.receives(stream.ssrc));
            (t.str0m.sent, receives)
        })
        .await
        .expect("b");
    assert!((1..150).contains(&by_str0m), "{by_str0m} sent by str0m");
    assert!(receives);
}

#[tokio::test]
async fn dropping_a_peer_closes_its_socket_and_event_stream() {
    let engine = Engine::start(1).expect("engine");
    let (party, _) = Party::new();
    let (peer, mut events) = engine.add(party, HERE);
    let port = peer
        .with(|p, now| p.transport(0, now).map(|t| t.port.local().port()))
        .await
        .expect("peer")
        .expect("transport");
    assert!(UdpSocket::bind((HERE, port)).is_err(), "the port is taken");
    drop(peer);
    until("the socket closes", || {
        UdpSocket::bind((HERE, port)).is_ok()
    })
    .await;
    assert_eq!(events.recv().await, None);
}

#[tokio::test]
async fn jobs_and_events_of_a_dropped_engine_end_at_once() {
    let engine = Engine::start(1).expect("engine");
    let (party, _) = Party::new();
    let (peer, mut events) = engine.add(party, HERE);
    drop(engine);
    let asked = tokio::time::timeout(PATIENCE, peer.with(|_, _| ()));
    assert!(matches!(asked.await, Ok(Err(NetError::Gone))));
    let told = tokio::time::timeout(PATIENCE, events.recv());
    assert_eq!(told.await, Ok(None));
}

#[tokio::test]
async fn a_panic_ends_only_its_own_peer() {
    let ((a, _), (b, seen_b), (broken, _)) = (Party::new(), Party::new(), Party::new());
    let mut two = Two::of(a, b);
    let (bad, mut from_bad) = two.one.add(broken, HERE);
    two.meet().await;
    let port = bad
        .with(|p, now| {
            p.endpoint.breaks = true;
            p.endpoint.timer = Some(now);
            p.transport(0, now).map(|t| t.port.local().port())
        })
        .await
        .expect("peer")
        .expect("transport");
    let told = tokio::time::timeout(PATIENCE, from_bad.recv()).await;
    assert!(matches!(told, Ok(Some(PeerEvent::Broken(_)))), "{told:?}");
    until("its socket closes", || {
        UdpSocket::bind((HERE, port)).is_ok()
    })
    .await;
    let again = bad.with(|p, now| p.transport(0, now).map(|_| ())).await;
    assert!(matches!(again, Ok(Err(NetError::Gone))));

    speak(&two.a, 10).await;
    until("the other peer's packets", || {
        seen_b.lock().expect("not poisoned").packets.len() >= 10
    })
    .await;
}

#[tokio::test]
async fn late_thread_delivers_received_packets_before_timeouts() {
    let ((a, _), (mut b, seen)) = (Party::new(), Party::new());
    b.patience = Some(Duration::from_millis(60));
    let mut two = Two::of(a, b);
    two.meet().await;
    speak(&two.a, 60).await;
    for _ in 0..4 {
        until("a packet", || {
            let before = seen.lock().expect("not poisoned").packets.len();
            before > 0
        })
        .await;
        // Block the thread for longer than the timer while packets come in.
        two.b
            .with(|_, _| std::thread::sleep(Duration::from_millis(200)))
            .await
            .expect("a live peer");
        tokio::time::sleep(Duration::from_millis(40)).await;
    }
    until("60 packets", || {
        seen.lock().expect("not poisoned").packets.len() >= 60
    })
    .await;
    let seen = seen.lock().expect("not poisoned");
    for (fired, before) in &seen.timeouts {
        let missed = seen.packets[*before..]
            .iter()
            .find(|p| p.3 + Duration::from_millis(1) < *fired);
        assert!(missed.is_none(), "silence reported before {missed:?}");
    }
}

#[tokio::test]
async fn batched_packets_keep_their_own_arrival_stamps() {
    let ((a, _), (mut b, seen)) = (Party::new(), Party::new());
    b.unhurried = Duration::from_millis(100);
    let mut two = Two::of(a, b);
    // Only threads with many peers read sockets in send slots.
    let _idle: Vec<_> = (0..BUSY)
        .map(|_| two.other.add(Party::new().0, HERE))
        .collect();
    two.meet().await;
    speak(&two.b, 200).await;
    speak(&two.a, 100).await;
    until("100 packets", || {
        seen.lock().expect("not poisoned").packets.len() >= 100
    })
    .await;
    let seen = seen.lock().expect("not poisoned");
    let numbers: Vec<u8> = seen.packets.iter().map(|p| p.2).collect();
    assert_eq!(numbers, (1..=100).collect::<Vec<u8>>());
    // The first packets may lack a kernel timestamp, and are then read one by one.
    let later = &seen.packets[20..];
    let gaps = |of: fn(&(u64, u32, u8, Instant, Instant)) -> Instant| {
        let wide = Duration::from_millis(10);
        let pairs = later.windows(2);
        pairs.filter(|p| of(&p[1]) > of(&p[0]) + wide).count()
    };
    let (arrived, given) = (gaps(|p| p.3), gaps(|p| p.4));
    assert!(
        arrived > 2 * given,
        "{arrived} separate arrivals, {given} separate reads"
    );
}

/// Unauthenticated RTP of the stream `ssrc`, which claims to be in section `mid`.
fn forged(ssrc: u32, sequence: u16, mid: &str) -> Vec<u8> {
    let mut datagram = vec![0x90, 111];
    datagram.extend(sequence.to_be_bytes());
    datagram.extend([0, 0, 3, 0xc0]);
    datagram.extend(ssrc.to_be_bytes());
    // One header extension: the section's name, under the id that we offer.
    let words = (1 + mid.len()).div_ceil(4);
    datagram.extend([0xbe, 0xde, 0, words as u8, 0x40 | (mid.len() as u8 - 1)]);
    datagram.extend(mid.bytes());
    datagram.extend(vec![0; 4 * words - 1 - mid.len()]);
    datagram.extend([0; 60]);
    datagram
}

async fn address(peer: &Handle) -> SocketAddr {
    let port = peer.with(|p, now| p.transport(0, now).map(|t| t.port.local()));
    port.await.expect("peer").expect("transport")
}

/// Sends `datagrams` to `to` from an unrelated socket, and waits until they have been counted.
async fn pester(engine: &Engine<Party>, to: SocketAddr, datagrams: &[Vec<u8>]) {
    let stranger = UdpSocket::bind((HERE, 0)).expect("bind");
    let before = engine.health().unauthenticated;
    for (k, datagram) in datagrams.iter().enumerate() {
        stranger.send_to(datagram, to).expect("send");
        // Send no faster than the thread reads.
        let sent = before + k as u64 + 1;
        until("a datagram counts as unauthenticated", || {
            engine.health().unauthenticated >= sent
        })
        .await;
    }
    assert_eq!(
        engine.health().unauthenticated,
        before + datagrams.len() as u64
    );
}

#[tokio::test]
async fn unauthenticated_datagrams_are_counted_apart_and_change_nothing() {
    let ((a, _), (b, seen)) = (Party::new(), Party::new());
    let mut two = Two::of(a, b);
    let to = address(&two.b).await;
    // Before the handshake: nobody has keys yet.
    pester(&two.other, to, &[forged(7, 1, "0")]).await;
    let mid = two.meet().await;
    // The call's first second: more datagrams than it takes to connect a socket to its server.
    let burst: Vec<Vec<u8>> = (0..150).map(|k| forged(7, k, "?")).collect();
    pester(&two.other, to, &burst).await;
    // Forged streams, one in each packet, that claim to be in the agent's section.
    let claims: Vec<Vec<u8>> = (0..20).map(|k| forged(100 + k, 1, &mid)).collect();
    pester(&two.other, to, &claims).await;
    // Other kinds: DTLS, RTCP, STUN without our password.
    let mut stun = vec![0, 1, 0, 8, 0x21, 0x12, 0xa4, 0x42];
    stun.extend([5; 12]);
    stun.extend([0, 6, 0, 3, b'a', b':', b'b', 0]);
    let dtls = [&[22, 254, 253, 0, 0, 0, 0, 0, 0, 0, 1, 0, 4][..], &[0; 4]].concat();
    let rtcp = [&[0x80, 200, 0, 6][..], &[0; 60]].concat();
    pester(&two.other, to, &[stun, dtls, rtcp]).await;
    // After more than a second, a forged stream could count as unheard.
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    pester(&two.other, to, &[forged(7, 151, "?"), forged(8, 1, "?")]).await;

    speak(&two.a, 50).await;
    until("50 packets from the agent", || {
        seen.lock().expect("not poisoned").packets.len() >= 50
    })
    .await;
    let health = two.other.health();
    assert_eq!((health.packets_in, health.heard), (50, 50));
    assert_eq!((health.ignored, health.unheard), (0, 0));
}

/// A network that loses media on the way down.
fn losing(loss: Loss) -> Impairment {
    let network = NetworkConfig {
        down: LinkConfig {
            loss: Some(loss.into()),
            media_only: true,
            ..LinkConfig::default()
        },
        ..NetworkConfig::default()
    };
    Impairment::new(network.into(), 7, 1, Instant::now())
}

#[tokio::test]
async fn a_delayed_packet_arrives_to_the_instant_in_both_directions() {
    let ((a, sent), (b, heard)) = (Party::new(), Party::new());
    let mut two = Two::of(a, b);
    two.meet().await;
    let slow = |ms| LinkConfig {
        delay: Duration::from_millis(ms),
        ..LinkConfig::default()
    };
    let network = |up, down| NetworkConfig {
        up,
        down,
        ..NetworkConfig::default()
    };
    let now = Instant::now();
    let up = Impairment::new(network(slow(70), slow(0)).into(), 7, 1, now);
    let down = Impairment::new(network(slow(0), slow(130)).into(), 7, 2, now);
    two.a.with(move |p, _| p.impair(up)).await.expect("a");
    two.b.with(move |p, _| p.impair(down)).await.expect("b");
    speak(&two.a, 100).await;
    until("100 packets", || {
        heard.lock().expect("not poisoned").packets.len() >= 100
    })
    .await;
    let (sent, heard) = (
        sent.lock().expect("not poisoned"),
        heard.lock().expect("not poisoned"),
    );
    let waits = sent
        .sent
        .iter()
        .zip(&heard.packets)
        .map(|(sent, heard)| heard.3 - sent.1);
    let mut waits: Vec<Duration> = waits.collect();
    waits.sort();
    // The packet leaves when its thread wakes, which on a busy machine is later.
    assert!(waits[0] >= Duration::from_millis(200), "{:?}", waits[0]);
    assert!(waits[50] < Duration::from_millis(220), "{:?}", waits[50]);
    assert_eq!(two.other.health().unauthenticated, 0);
}

#[tokio::test]
async fn unauthenticated_packets_do_not_advance_the_loss_model() {
    let ((a, _), (b, seen)) = (Party::new(), Party::new());
    let mut two = Two::of(a, b);
    two.meet().await;
    let loss = Loss {
        share: 0.5,
        burst: None,
    };
    let impairment = losing(loss);
    let mut model = impairment.link(true, 0);
    two.b
        .with(move |p, _| p.impair(impairment))
        .await
        .expect("b");
    let to = address(&two.b).await;
    let burst: Vec<Vec<u8>> = (0..31).map(|k| forged(7, k, "?")).collect();
    pester(&two.other, to, &burst).await;
    // Both sides send, so that the socket is connected and the stream is taken over from str0m.
    speak(&two.b, 200).await;
    speak(&two.a, 200).await;
    let now = Instant::now();
    let mut passes = || model.pass(now, Kind::Media, 100).arrives.is_ok();
    let expected: Vec<u8> = (1..=200).filter(|_| passes()).collect();
    until("the packets that are not lost", || {
        seen.lock().expect("not poisoned").packets.len() >= expected.len()
    })
    .await;
    let seen = seen.lock().expect("not poisoned");
    let numbers: Vec<u8> = seen.packets.iter().map(|p| p.2).collect();
    assert_eq!(numbers, expected);
}

#[tokio::test]
async fn packets_dropped_by_simulated_loss_are_not_counted_as_received() {
    let ((a, seen), (b, heard)) = (Party::new(), Party::new());
    let mut two = Two::of(a, b);
    two.meet().await;
    let loss = Loss {
        share: 1.0,
        burst: None,
    };
    let impairment = losing(loss);
    two.b
        .with(move |p, _| p.impair(impairment))
        .await
        .expect("b");
    // More than a second, after which packets of an unclaimed section count as unheard.
    speak(&two.a, 70).await;
    until("70 packets have left", || {
        seen.lock().expect("not poisoned").sent.len() >= 70
    })
    .await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(heard.lock().expect("not poisoned").packets.len(), 0);
    let health = two.other.health();
    assert_eq!((health.packets_in, health.heard), (0, 0));
    assert_eq!((health.ignored, health.unheard), (0, 0));
    assert_eq!(health.unauthenticated, 0);
}
