//! The playout model on synthetic streams.

use super::*;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

const MS: Duration = Duration::from_millis(1);

struct Stream {
    model: PlayoutModel,
    base: Instant,
    /// Number of packets sent.
    n: u32,
    rtp: u32,
    /// Sender's clock.
    clock: Duration,
}

impl Stream {
    fn new(rtp: u32) -> Self {
        Self {
            model: PlayoutModel::new(),
            base: Instant::now(),
            n: 0,
            rtp,
            clock: Duration::ZERO,
        }
    }

    fn next(&mut self, late: Duration) -> Duration {
        let arrival = self.base + self.clock + late;
        let hold = self.model.packet(&Packet {
            arrival,
            kernel_stamp: self.n.is_multiple_of(2),
            rtp_time: self.rtp,
            sequence: self.n.into(),
            level: None,
            payload: &[],
        });
        self.n += 1;
        self.rtp = self.rtp.wrapping_add(960);
        self.clock += BUCKET;
        hold
    }

    fn steady(&mut self, packets: u32) -> Duration {
        let holds = (0..packets).map(|_| self.next(Duration::ZERO));
        holds.last().expect("at least one packet")
    }
}

#[test]
fn packets_of_a_steady_stream_are_held_back_for_one_frame() {
    // The second stream's RTP time wraps around after six packets.
    for rtp in [0, u32::MAX - 6000] {
        let mut stream = Stream::new(rtp);
        assert_eq!(stream.next(Duration::ZERO), START);
        // The first sample enters the histogram after more than 500 ms of packets.
        assert_eq!(stream.steady(25), START);
        assert_eq!(stream.steady(1), BUCKET);
        assert_eq!(stream.steady(500), BUCKET);
        assert_eq!(stream.model.target(), BUCKET);
    }
}

#[test]
fn a_late_packet_is_held_back_for_less_time() {
    let mut stream = Stream::new(0);
    stream.steady(500);
    assert_eq!(stream.next(5 * MS), 15 * MS);
    assert_eq!(stream.next(20 * MS), Duration::ZERO);
    assert_eq!(stream.next(300 * MS), Duration::ZERO);
}

#[test]
fn the_target_follows_the_jitter() {
    let mut targets = Vec::new();
    for sigma in [2.0, 10.0, 30.0] {
        let mut rng = ChaCha8Rng::seed_from_u64(7);
        let mut stream = Stream::new(0);
        for _ in 0..3000 {
            // A sum of twelve uniforms is close to normal; adding 4 σ keeps it positive.
            let normal = (0..12).map(|_| rng.random::<f64>()).sum::<f64>() - 6.0;
            stream.next(Duration::from_secs_f64(
                (4.0 + normal).max(0.0) * sigma / 1e3,
            ));
        }
        targets.push(stream.model.target().as_millis());
    }
    // Each delay is the largest of 25 packets relative to the smallest of 100: about 4.5 σ
    // on average, 5.9 σ at the quantile.
    let [low, middle, high] = targets[..] else {
        panic!("three targets");
    };
    assert_eq!(low, 20);
    assert!((40..=80).contains(&middle), "{middle}");
    assert!((120..=220).contains(&high), "{high}");
}

#[test]
fn repeated_spikes_raise_the_target_until_they_decay() {
    let mut stream = Stream::new(0);
    stream.steady(3000);
    for _ in 0..6 {
        stream.next(110 * MS);
        stream.steady(29);
    }
    assert_eq!(
        stream.model.target(),
        BUCKET * 6,
        "100 to 120 ms is bucket five"
    );
    let raised = (0..6000).take_while(|_| stream.steady(1) > BUCKET).count();
    // A share decays by 0.983 each half second: from about 10 % to below 5 % in about 20 s.
    assert!((250..2500).contains(&raised), "{raised}");
    assert_eq!(stream.model.target(), BUCKET);
}

#[test]
fn one_spike_among_many_is_an_outlier() {
    let mut stream = Stream::new(0);
    stream.steady(3000);
    stream.next(400 * MS);
    stream.steady(100);
    assert_eq!(stream.model.target(), BUCKET);
    // Among few samples, a spike is not an outlier.
    let mut young = Stream::new(0);
    young.steady(100);
    young.next(400 * MS);
    young.steady(60);
    assert_eq!(young.model.target(), BUCKET * 21);
    young.steady(3000);
    assert_eq!(young.model.target(), BUCKET);
}

#[test]
fn the_model_recovers_from_jumps_of_the_stream() {
    let shift = |samples: i32, pause: Duration| {
        move |s: &mut Stream| {
            s.rtp = s.rtp.wrapping_add_signed(samples);
            s.clock += pause;
        }
    };
    type Break = Box<dyn Fn(&mut Stream)>;
    let second = Duration::from_secs(1);
    let cases: [(&str, Break); 6] = [
        ("DTX: both jump", Box::new(shift(48_000 * 30, 30 * second))),
        (
            "RTP time jumps ahead",
            Box::new(shift(48_000 * 60, Duration::ZERO)),
        ),
        (
            "RTP time jumps far back",
            Box::new(shift(-48_000 * 60, Duration::ZERO)),
        ),
        (
            "RTP time jumps back a second",
            Box::new(shift(-48_000, Duration::ZERO)),
        ),
        (
            "RTP time stands still for a minute",
            Box::new(shift(0, 60 * second)),
        ),
        ("another stream", Box::new(shift(i32::MIN + 7, second))),
    ];
    for (name, disturb) in cases {
        let mut stream = Stream::new(77);
        stream.steady(500);
        disturb(&mut stream);
        stream.steady(RESTART_RUN);
        assert_eq!(stream.steady(1), BUCKET, "{name}");
        assert_eq!(stream.steady(2000), BUCKET, "{name}");
    }
}

#[test]
fn reordered_packets_do_not_update_the_playout_model() {
    let mut stream = Stream::new(0);
    stream.steady(500);
    let before = stream.model.histogram.share;
    for _ in 0..3 {
        // The first of two packets comes 30 ms late, after the second.
        let (rtp, clock) = (stream.rtp, stream.clock);
        stream.rtp += 960;
        stream.clock += BUCKET;
        stream.next(Duration::ZERO);
        let late = stream.model.packet(&Packet {
            arrival: stream.base + clock + 30 * MS,
            kernel_stamp: true,
            rtp_time: rtp,
            sequence: stream.n.into(),
            level: None,
            payload: &[],
        });
        assert_eq!(late, Duration::ZERO);
    }
    stream.steady(60);
    assert_eq!(
        stream.model.histogram.share[1..],
        before[1..].iter().map(|_| 0.0).collect::<Vec<_>>()
    );
    assert_eq!(stream.model.target(), BUCKET);
}

#[test]
fn the_hold_at_an_arrival_can_be_looked_up() {
    let mut stream = Stream::new(0);
    assert_eq!(stream.model.at(stream.base), None);
    stream.steady(500);
    let spiked = stream.base + stream.clock + 8 * MS;
    stream.next(8 * MS);
    stream.steady(100);
    let held = |ms, kernel_stamp| {
        let hold = ms * MS;
        Some(Held { hold, kernel_stamp })
    };
    let cases = [
        ("its own arrival", spiked, held(12, true)),
        ("between two packets", spiked + 3 * MS, held(12, true)),
        ("before the first packet", stream.base, held(20, false)),
        (
            "after the last packet",
            spiked + Duration::from_secs(9),
            held(20, true),
        ),
    ];
    for (name, arrival, expected) in cases {
        assert_eq!(stream.model.at(arrival), expected, "{name}");
    }
    stream.steady(5000);
    assert_eq!(stream.model.recent.len(), 126, "2.5 s of 20 ms packets");
    assert_eq!(stream.model.recent.capacity(), ROOM);
}

#[test]
fn a_slower_path_becomes_the_reference_after_two_seconds() {
    let mut stream = Stream::new(0);
    stream.steady(500);
    stream.clock += 100 * MS;
    // The old path's packets stay in the window for another 100 packets.
    for (packets, late) in [(98, 100 * MS), (4, Duration::ZERO)] {
        let hold = stream.steady(packets);
        assert_eq!(hold, stream.model.target() - late, "after {packets}");
    }
}

#[test]
fn a_stream_in_use_keeps_its_model_however_many_others_appear() {
    let mut playouts = Playouts::default();
    let base = Instant::now();
    let mut packet = |stream: StreamId, nth: u64| {
        playouts.packet(
            stream,
            &Packet {
                arrival: base + MS * 20 * nth as u32,
                kernel_stamp: true,
                rtp_time: nth as u32 * 960,
                sequence: nth,
                level: None,
                payload: &[],
            },
        );
        playouts.of(stream).map(PlayoutModel::target)
    };
    let mut last = None;
    for nth in 0..600 {
        last = packet(0, nth);
        if nth.is_multiple_of(100) {
            packet(1 + nth as StreamId / 100, nth);
        }
    }
    let fresh = PlayoutModel::new().target();
    assert_ne!(last, Some(fresh), "the model has learnt from 600 packets");
}
