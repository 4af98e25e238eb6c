//! The pipe of the embedded agent: lines of JSON in both directions.
//!
//! In: the size of the pieces, then parts of lines: literal bytes, or one byte repeated.
//! Properties: every complete line, and no other, is returned unchanged, or empty if it is too
//! long; a message survives writing and reading unchanged.

use super::input::Input;
use super::planted::planted;
use crate::targets::agent::fuzzed::{LONGEST_LINE, lines, reply, request};

/// Size in bytes from which an input is no longer expanded.
const LARGEST: usize = 256 << 10;
/// Inputs longer than this are read in larger pieces, since small pieces take time.
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
