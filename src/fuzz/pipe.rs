//! The pipe of the embedded agent: lines of JSON, both ways.
//!
//! In: the size of the pieces, then parts of lines: bytes as they are, or one byte repeated.
//! Properties: every whole line, and no other, comes out unchanged, or empty if it is too long; a
//! message that is written again is read back unchanged.

use super::input::Input;
use super::planted::planted;
use crate::targets::agent::fuzzed::{LONGEST_LINE, lines, reply, request};

/// An input is no longer expanded once it has this many bytes.
const LARGEST: usize = 256 << 10;
/// Inputs longer than this are read in larger pieces, since small ones take time.
const SMALL: usize = 4 << 10;

pub(super) fn run(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let piece = usize::from(input.u16()).max(1);
    let mut sent = Vec::new();
    while !input.is_empty() && sent.len() < LARGEST {
        match input.byte() {
            b'#' => {
                let (byte, times) = (input.byte(), 2 * usize::from(input.u16()));
                sent.extend(std::iter::repeat_n(byte, times));
            }
            byte => sent.push(byte),
        }
    }
    let piece = piece.max(if sent.len() > SMALL { SMALL } else { 1 });
    let expected = sent.split_inclusive(|b| *b == b'\n');
    let expected = expected.filter(|line| line.ends_with(b"\n")).map(|line| {
        let fits = line.len() <= LONGEST_LINE;
        line[..if fits { line.len() } else { 0 }].to_vec()
    });
    let read = lines(&sent, piece);
    assert_eq!(read, expected.collect::<Vec<_>>());
    for line in read {
        reply(&line);
        if let Some((call, room, offer, bye)) = request(&line) {
            planted([
                offer.is_some() && !bye,
                call < 10,
                room.len() == 1 && room != "r",
            ]);
        }
    }
}
