//! Made-up calls: which of them are kept, and in how much memory.

use super::*;
use crate::audio::packets::Packets;
use crate::audio::{Codec, FRAME_TIME};
use crate::run::evidence::piece::{Frame, TakenTurn, nth_packet};
use crate::run::evidence::take::Class;
use std::sync::Arc;
use std::time::Instant;

/// A piece of `packets` packets and as many frames.
fn piece(call: usize, start: Instant, packets: u32, end: Option<CallEnd>) -> Piece {
    let payload: Arc<[u8]> = Arc::from([7; 60]);
    let mut piece = Piece::empty(call, Codec::Opus);
    piece.packets = Packets::default();
    for k in 0..packets {
        piece.packets.push(&nth_packet(start, k, &payload));
        piece.sent.push(Frame {
            captured: start + FRAME_TIME * k,
            payload: payload.clone(),
        });
    }
    piece.end = end;
    piece
}

fn end(start: Instant, failed: usize, ttfa_ms: Option<i64>) -> CallEnd {
    let turn = |ttfa| TakenTurn {
        turn: 0,
        class: Some(Class::Replied(Ms::from_micros(1_000 * ttfa))),
        started: start,
        speech_end: start,
        onset: None,
        playout_delay: None,
    };
    CallEnd {
        at: start + FRAME_TIME * 50,
        turns: ttfa_ms.map(turn).into_iter().collect(),
        failed,
    }
}

fn indices(chosen: &[Recording]) -> Vec<usize> {
    chosen.iter().map(|recording| recording.call).collect()
}

#[test]
fn the_worst_calls_are_kept_in_any_order() {
    let start = Instant::now();
    // Failed turns and the longest ttfa of each call.
    let calls = [
        (0, Some(400)),
        (1, Some(300)),
        (0, Some(900)),
        (2, None),
        (0, Some(900)),
        (1, Some(700)),
        (0, None),
    ];
    let expected = [3, 5, 1, 2, 4, 0, 6];
    for turned in 0..calls.len() {
        for wanted in 0..=calls.len() {
            let mut order: Vec<usize> = (0..calls.len()).collect();
            order.rotate_left(turned);
            let mut kept = Calls::new(wanted as u32, 1 << 20);
            for call in &order {
                assert!(!kept.add(piece(*call, start, 10, None)));
            }
            for call in order {
                let (failed, ttfa) = calls[call];
                assert!(!kept.add(piece(call, start, 10, Some(end(start, failed, ttfa)))));
            }
            let (chosen, missing) = kept.chosen();
            assert_eq!(indices(&chosen), expected[..wanted], "{turned}");
            assert_eq!(missing, 0);
        }
    }
}

#[test]
fn memory_is_bounded_with_two_hundred_calls() {
    let start = Instant::now();
    let whole = 8 << 20;
    let mut calls = Calls::new(10, whole);
    let mut dropped = 0;
    // Ten pieces of five seconds of each call, one call after another.
    for nth in 0..10 {
        for call in 0..200 {
            let end = (nth == 9).then(|| end(start, 0, Some(call as i64)));
            dropped += usize::from(calls.add(piece(call, start, 250, end)));
            let held: usize = calls.open.values().flatten().map(Piece::weight).sum();
            let kept: usize = calls.kept.values().map(Recording::weight).sum();
            assert_eq!(
                calls.room() + held + kept,
                whole,
                "every byte is accounted for"
            );
        }
    }
    assert!(calls.open.is_empty() && calls.dropped.is_empty());
    assert!(calls.missing.len() <= 10 && calls.kept.len() == 10);
    // 200 calls of ten pieces do not fit, but a good part does.
    assert!((100..195).contains(&dropped), "{dropped}");
    let (chosen, missing) = calls.chosen();
    let worst = indices(&chosen)[0];
    assert!(chosen.len() == 10 && missing <= 10);
    assert!(
        worst == 199 || missing > 0,
        "the worst call is kept or counted"
    );
}

#[test]
fn a_call_that_did_not_fit_counts_only_if_it_would_have_been_selected() {
    let start = Instant::now();
    let fits = piece(0, start, 10, None).weight();
    for (failed, missing) in [(5, 1), (0, 0)] {
        let mut calls = Calls::new(1, 2 * fits - 1);
        // Call 1 does not fit, and frees nothing.
        assert!(!calls.add(piece(0, start, 10, None)));
        assert!(calls.add(piece(1, start, 10, None)));
        assert!(!calls.add(piece(1, start, 10, Some(end(start, failed, None)))));
        assert!(!calls.add(piece(0, start, 0, Some(end(start, 1, None)))));
        let (chosen, left_out) = calls.chosen();
        assert_eq!((indices(&chosen).len(), left_out), (1, missing));
    }
}
