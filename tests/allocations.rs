//! Allocations per packet in the steady state: only str0m allocates.
//!
//! Invariant: the process's allocator counts per thread, so that only the code under test is
//! counted; it needs a test binary of its own. The tests print str0m's share.

#[path = "../benches/pair/mod.rs"]
mod pair;

use loadgen::audio::packets::{HeldPacket, PacketRing};
use loadgen::audio::{Codec, Ear, Packet, opus};
use pair::Pair;
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::time::{Duration, Instant};

struct Counting;

thread_local! {
    static COUNT: Cell<u64> = const { Cell::new(0) };
}

fn count() {
    // A thread that is ending has no counter any more.
    let _ = COUNT.try_with(|c| c.set(c.get() + 1));
}

#[expect(unsafe_code, reason = "an allocator cannot be safe")]
// SAFETY: every call is passed on to the system's allocator; the counter allocates nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller upholds the contract of `GlobalAlloc`, which is passed on unchanged.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { System.dealloc(at, layout) }
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count();
        // SAFETY: as above.
        unsafe { System.realloc(at, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn allocations(work: impl FnOnce()) -> u64 {
    let before = COUNT.get();
    work();
    COUNT.get() - before
}

#[test]
fn an_ear_allocates_nothing_in_the_steady_state() {
    let tone = opus::encode(&loadgen::audio::tone(Duration::from_secs(1))).expect("libopus");
    let silence = opus::silence_frame().expect("libopus");
    let mut ear = Ear::new().expect("libopus");
    let (zero, mut n) = (Instant::now(), 0u64);
    let mut hear = |payload: &[u8]| {
        let arrival = zero + Duration::from_millis(20 * n);
        let (rtp_time, sequence) = ((n * 960) as u32, n);
        let packet = Packet {
            arrival,
            kernel_stamp: true,
            rtp_time,
            sequence,
            level: None,
            payload,
        };
        ear.arrived(&packet, Duration::from_millis(40));
        ear.packet(&packet);
        n += 1;
        std::iter::from_fn(|| ear.poll_heard()).count()
    };
    let mut turn = || {
        let spoken: usize = tone.iter().map(|f| hear(f)).sum();
        spoken + (0..60).map(|_| hear(&silence)).sum::<usize>()
    };
    turn();
    let mut heard = 0;
    let made = allocations(|| heard = (0..5).map(|_| turn()).sum());
    assert_eq!(heard, 20, "trigger, onset, pause and end of five spurts");
    assert_eq!(made, 0, "allocations");
}

#[test]
fn a_packet_ring_allocates_nothing_once_it_has_grown() {
    let mut ring = PacketRing::new(Codec::Opus);
    let (zero, payload) = (Instant::now(), [7u8; 160]);
    let mut n = 0u32;
    let mut seconds = |seconds: u32| {
        for _ in 0..50 * seconds {
            let arrival = zero + Duration::from_millis(20) * n;
            ring.forget_before(arrival.checked_sub(Duration::from_secs(10)).unwrap_or(zero));
            let packet = Packet {
                arrival,
                kernel_stamp: true,
                rtp_time: n.wrapping_mul(960),
                sequence: u64::from(n),
                level: None,
                payload: &payload,
            };
            let hold = Duration::from_millis(20);
            ring.push(&HeldPacket {
                packet,
                hold,
                stream: 0,
            });
            n += 1;
        }
    };
    assert!(
        allocations(|| seconds(60)) > 0,
        "the ring grows as it is used"
    );
    assert_eq!(allocations(|| seconds(600)), 0, "allocations");
    assert_eq!(ring.size(), (501 * 160, 501), "ten seconds are kept");
}

#[test]
fn str0m_allocates_at_most_six_times_per_packet() {
    const PACKETS: u64 = 500;
    let mut pair = Pair::connected(&[0x78; 60]);
    for _ in 0..200 {
        let datagram = pair.protect();
        pair.unprotect(&datagram);
    }
    let mut datagrams = Vec::with_capacity(PACKETS as usize);
    let sent = allocations(|| {
        for _ in 0..PACKETS {
            datagrams.push(pair.protect());
        }
    });
    let received = allocations(|| {
        for datagram in &datagrams {
            assert_eq!(pair.unprotect(datagram), 1);
        }
    });
    // One allocation per packet sent is this test's own copy of the datagram.
    let (sent, received) = (
        sent as f64 / PACKETS as f64 - 1.0,
        received as f64 / PACKETS as f64,
    );
    println!("str0m allocates {sent:.2} times per packet sent, {received:.2} per packet received");
    assert!(sent <= 6.0, "{sent} per packet sent");
    assert!(received <= 6.0, "{received} per packet received");
}
