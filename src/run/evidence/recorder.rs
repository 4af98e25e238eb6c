//! Records one whole call, on its media thread.
//!
//! In: every packet received and every frame sent, the call's result. Out: pieces of the call,
//! queued without blocking. Invariants: at most [`PIECE`] or about [`PIECE_BYTES`] are held; a
//! piece that does not fit into the queue is a hole in the recording, which is marked as cut.

use super::piece::{CallEnd, Frame, Piece};
use super::queue::Sink;
use crate::audio::Codec;
use crate::audio::packets::{HeldPacket, Packets};
use crate::call::CallResult;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Length of a piece.
const PIECE: Duration = Duration::from_secs(5);
/// Size of a piece, in bytes, at which it ends early: several times what five seconds of Opus take,
/// and less than three seconds of PCM.
pub(super) const PIECE_BYTES: usize = 256 << 10;

/// The recording of a call in progress.
#[derive(Debug)]
pub(super) struct Recorder {
    piece: Piece,
    /// When the first packet or frame of the piece came.
    since: Option<Instant>,
    to: Sink,
}

impl Recorder {
    pub(super) fn new(call: usize, codec: Codec, to: Sink) -> Self {
        Self {
            piece: Piece::empty(call, codec),
            since: None,
            to,
        }
    }

    pub(super) fn heard(&mut self, held: &HeldPacket<'_>) {
        self.make_room(held.packet.arrival);
        self.piece.packets.push(held);
    }

    pub(super) fn sent(&mut self, captured: Instant, payload: &Arc<[u8]>) {
        self.make_room(captured);
        self.piece.sent.push(Frame {
            captured,
            payload: payload.clone(),
        });
    }

    /// Passes the piece on if it is long or large enough.
    fn make_room(&mut self, at: Instant) {
        let since = *self.since.get_or_insert(at);
        let is_long = at.saturating_duration_since(since) >= PIECE;
        if is_long || self.piece.weight() >= PIECE_BYTES {
            self.since = Some(at);
            // The next piece will hold about as much as this one.
            let next = Piece {
                packets: Packets::like(&self.piece.packets),
                sent: Vec::with_capacity(self.piece.sent.len()),
                ..Piece::empty(self.piece.call, self.piece.codec)
            };
            let piece = std::mem::replace(&mut self.piece, next);
            self.piece.cut = !self.to.pass(piece);
        }
    }

    /// Passes the last piece on.
    pub(super) fn finished(mut self, result: &CallResult, now: Instant) {
        self.piece.end = Some(CallEnd::of(result, now));
        // A call whose end is lost has been counted.
        let _ = self.to.pass(self.piece);
    }

    /// Number of bytes held.
    #[cfg(test)]
    pub(super) fn weight(&self) -> usize {
        self.piece.weight()
    }
}

#[cfg(test)]
mod tests {
    use super::super::piece::nth_packet;
    use super::super::queue::{Message, QUEUE_BYTES, queue};
    use super::*;
    use crate::audio::FRAME_TIME;
    use std::sync::atomic::Ordering::Relaxed;

    #[test]
    fn pieces_contain_the_whole_call_and_are_small() {
        let start = Instant::now();
        // Ten minutes of Opus at 24 kbit/s, and packets of the largest size.
        for size in [60, 1_200] {
            let (to, inbox) = queue(100_000);
            let mut recorder = Recorder::new(3, Codec::Opus, to.clone());
            let payload: Arc<[u8]> = Arc::from(vec![7; size]);
            let (mut packets, mut sent, mut pieces, mut ends) = (0, 0, 0, 0);
            let mut count = |message| {
                let Message::Piece(piece) = message else {
                    panic!("only pieces are sent");
                };
                to.waiting.fetch_sub(piece.weight(), Relaxed);
                assert!(!piece.cut);
                packets += piece.packets.iter().count();
                sent += piece.sent.len();
                pieces += 1;
                ends += usize::from(piece.end.is_some());
            };
            for k in 0..30_000 {
                recorder.sent(start + FRAME_TIME * k, &payload);
                recorder.heard(&nth_packet(start, k, &payload));
                assert!(recorder.weight() <= PIECE_BYTES + 2_000, "{k}");
                inbox.try_iter().for_each(&mut count);
            }
            recorder.finished(&CallResult::default(), start + FRAME_TIME * 30_000);
            inbox.try_iter().for_each(&mut count);
            assert_eq!((packets, sent, ends), (30_000, 30_000, 1));
            let in_time = 120..=121;
            assert_eq!(in_time.contains(&pieces), size == 60, "{pieces} pieces");
            assert_eq!(to.lost_calls.load(Relaxed), 0);
        }
    }

    #[test]
    fn a_full_queue_cuts_a_recording_without_blocking() {
        let start = Instant::now();
        let (to, inbox) = queue(1);
        let mut recorder = Recorder::new(3, Codec::Opus, to.clone());
        let payload: Arc<[u8]> = Arc::from([7; 60]);
        let record = |recorder: &mut Recorder, seconds: std::ops::Range<u32>| {
            for k in seconds.start * 50..seconds.end * 50 {
                recorder.heard(&nth_packet(start, k, &payload));
            }
        };
        // The second piece does not fit, the third one does.
        record(&mut recorder, 0..11);
        let first: Vec<Message> = inbox.try_iter().collect();
        record(&mut recorder, 11..16);
        let third: Vec<Message> = inbox.try_iter().collect();
        let cut = |messages: &[Message]| match messages {
            [Message::Piece(piece)] => piece.cut,
            _ => panic!("one piece"),
        };
        assert_eq!((cut(&first), cut(&third)), (false, true));
        // If the end of the call does not fit, the call is lost.
        to.waiting.fetch_add(QUEUE_BYTES, Relaxed);
        recorder.finished(&CallResult::default(), start);
        assert_eq!(to.lost_calls.load(Relaxed), 1);
    }
}
