//! Benchmarks of the hot paths, one by one: `cargo bench`.
//!
//! In: nothing. Out: divan's table, in time per packet. Invariant: only the work that the media
//! threads do for each packet is timed; set-up is not.

mod pair;

use divan::{Bencher, black_box};
use loadgen::audio::{Ear, Packet, opus};
use loadgen::net::{
    Endpoint, Engine, Outgoing, PeerEvent, RtpStream, Topology, srtp_bench_pair, tracks_by_mid,
};
use pair::Pair;
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

const FRAME: Duration = Duration::from_millis(20);

fn main() {
    divan::main();
}

/// Two seconds of speech-like sound: two tones whose level rises and falls.
fn speech() -> Vec<Box<[u8]>> {
    let pcm: Vec<i16> = (0..96_000)
        .map(|n| {
            let t = f64::from(n) / 48_000.0;
            let loud = (t * 25.0).sin().max(0.0) * 8_000.0;
            (loud * (t * 1_400.0).sin() + loud * 0.4 * (t * 9_100.0).sin()) as i16
        })
        .collect();
    opus::encode(&pcm).expect("libopus")
}

#[divan::bench]
fn opus_decode_speech(bencher: Bencher<'_, '_>) {
    let frames = speech();
    let mut decoder = opus::Decoder::new().expect("libopus");
    let mut next = frames[10..90].iter().cycle();
    bencher.bench_local(|| {
        decoder
            .decode(next.next().expect("endless"))
            .map(<[i16]>::len)
    });
}

#[divan::bench]
fn opus_decode_repeated_silence(bencher: Bencher<'_, '_>) {
    let silence = opus::silence_frame().expect("libopus");
    let mut decoder = opus::Decoder::new().expect("libopus");
    bencher.bench_local(|| decoder.decode(black_box(&silence)).map(<[i16]>::len));
}

/// Times everything that an ear does for a packet, including decoding; arrivals are virtual.
fn hear(bencher: Bencher<'_, '_>, frames: &[Box<[u8]>]) {
    let mut ear = Ear::new().expect("libopus");
    let (zero, mut n) = (Instant::now(), 0u64);
    bencher.bench_local(|| {
        ear.packet(&Packet {
            arrival: zero + FRAME * n as u32,
            kernel_stamp: true,
            rtp_time: (n * 960) as u32,
            sequence: n,
            level: None,
            payload: &frames[n as usize % frames.len()],
        });
        n += 1;
        while ear.poll_heard().is_some() {}
    });
}

#[divan::bench]
fn onset_20ms_speech(bencher: Bencher<'_, '_>) {
    hear(bencher, &speech()[10..90]);
}

#[divan::bench]
fn onset_20ms_silence(bencher: Bencher<'_, '_>) {
    hear(bencher, &[opus::silence_frame().expect("libopus")]);
}

/// A packet in the steady state, which bypasses str0m.
#[divan::bench]
fn srtp_protect(bencher: Bencher<'_, '_>) {
    let (mut seals, _) = srtp_bench_pair().expect("keys");
    let (mut out, mut index) = ([0x80; 128], 0);
    bencher.bench_local(|| {
        index += 1;
        seals.seal_rtp(7, index, 12, black_box(&[0x78; 60]), &mut out)
    });
}

#[divan::bench]
fn srtp_unprotect(bencher: Bencher<'_, '_>) {
    let (mut seals, mut opens) = srtp_bench_pair().expect("keys");
    let (mut datagram, mut out) = ([0x80; 128], [0; 128]);
    let length = seals.seal_rtp(7, 1, 12, &[0x78; 60], &mut datagram);
    let datagram = &datagram[..length.expect("the buffer is large enough")];
    bencher.bench_local(|| {
        let opened = opens.open_rtp(7, 1, 12, black_box(datagram), &mut out);
        assert_eq!(opened, Some(60));
    });
}

/// A packet in a connection's first second, which takes str0m's whole path.
#[divan::bench]
fn str0m_protect(bencher: Bencher<'_, '_>) {
    let mut pair = Pair::connected(&[0x78; 60]);
    bencher.bench_local(|| pair.protect());
}

#[divan::bench]
fn str0m_protect_and_unprotect(bencher: Bencher<'_, '_>) {
    let mut pair = Pair::connected(&[0x78; 60]);
    bencher.bench_local(|| {
        let datagram = pair.protect();
        assert_eq!(pair.unprotect(&datagram), 1);
    });
}

/// The loop's timers with 400 peers: the earliest is popped and pushed back with a deadline 20 ms
/// later.
#[divan::bench]
fn timer_heap_400(bencher: Bencher<'_, '_>) {
    let zero = Instant::now();
    let mut heap: BinaryHeap<Reverse<(Instant, u32)>> = (0..400u32)
        .map(|key| Reverse((zero + Duration::from_millis(u64::from(key % 20)), key)))
        .collect();
    bencher.bench_local(|| {
        if let Some(Reverse((at, key))) = heap.pop() {
            heap.push(Reverse((at + FRAME, key)));
        }
    });
}

/// Sends as fast as the loop allows, and counts the packets that it receives.
struct Echo {
    due: Option<Instant>,
    left: u32,
    sent: u32,
    payload: Arc<[u8]>,
    heard: Arc<AtomicU64>,
}

impl Endpoint for Echo {
    fn audio(&mut self, _: Instant, _: RtpStream, _: Packet<'_>) {
        self.heard.fetch_add(1, Relaxed);
    }
    fn timeout(&mut self, _: Instant) {}
    fn poll_timeout(&self) -> Option<Instant> {
        None
    }
    fn poll_send(&self) -> Option<Instant> {
        self.due.filter(|_| self.left > 0)
    }
    fn send(&mut self, _: Instant) -> Option<Outgoing> {
        self.left -= 1;
        self.sent += 1;
        Some(Outgoing {
            payload: self.payload.clone(),
            rtp_time: self.sent * 960,
            marker: false,
        })
    }
    fn sent(&mut self, _: Instant, _: Instant, _: u64) {}
}

/// A packet through the whole loop: endpoint, str0m, kernel, str0m, endpoint.
#[divan::bench(sample_count = 20)]
fn packet_through_the_loop(bencher: Bencher<'_, '_>) {
    const PACKETS: u32 = 100;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("runtime");
    let engine = Engine::start(1).expect("engine");
    let here = IpAddr::V4(Ipv4Addr::LOCALHOST);
    let heard = Arc::new(AtomicU64::new(0));
    let end = || Echo {
        due: None,
        left: 0,
        sent: 0,
        payload: Arc::from([0x78; 60]),
        heard: heard.clone(),
    };
    let (a, mut from_a) = engine.add(end(), here);
    let (b, _from_b) = engine.add(end(), here);
    runtime.block_on(async {
        let offer = a.with(|p, now| p.transport(0, now)?.offer("a", Topology::Direct));
        let offer = offer.await.expect("engine").expect("offer");
        let mid = tracks_by_mid(&offer).into_keys().next().expect("a section");
        let answer = b.with(move |p, now| {
            let answer = p.transport(0, now)?.accept(&offer)?;
            p.listen_to(0, &mid, 0);
            Ok::<_, loadgen::net::NetError>(answer)
        });
        let answer = answer.await.expect("engine").expect("answer");
        a.with(move |p, now| p.transport(0, now)?.answer(&answer))
            .await
            .expect("engine")
            .expect("answered");
        while from_a.recv().await != Some(PeerEvent::Connected(0)) {}
    });
    bencher
        .counter(divan::counter::ItemsCount::new(PACKETS))
        .bench_local(|| {
            let before = heard.load(Relaxed);
            runtime.block_on(async {
                let begin = a.with(|p, now| {
                    p.endpoint.due = Some(now);
                    p.endpoint.left = PACKETS;
                });
                begin.await.expect("engine");
            });
            while heard.load(Relaxed) < before + u64::from(PACKETS) {
                std::thread::sleep(Duration::from_micros(20));
            }
        });
}
