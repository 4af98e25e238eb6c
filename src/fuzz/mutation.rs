//! Mutations that follow the format of an input, so that most of their results are still valid.
//!
//! In: an input, another input of the same target, and a seed. Out: a changed input. Invariant: the
//! same seed causes the same change. In addition, libFuzzer applies its own mutations, which change
//! bytes anywhere.

use super::fields::change_field;
use super::items::change_item;
use super::words::{change_word, insert};
use rand::{Rng, RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

/// The format of a target's inputs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Lines and bracketed lists of words.
    Text,
    /// Protobuf messages, each preceded by its two-byte length, after this many other bytes.
    Messages(usize),
    /// Any other format; only libFuzzer's own mutations are used.
    Bytes,
}

impl Format {
    /// Changes an input, possibly with parts of another input. `None` if the chosen change is not
    /// possible.
    pub fn changed(self, input: &[u8], other: &[u8], seed: u64) -> Option<Vec<u8>> {
        let random = &mut ChaCha8Rng::seed_from_u64(seed);
        match self {
            Self::Text => match random.random_range(0..7) {
                0..3 => change_word(input, other, random),
                3 => insert(input, other, random),
                _ => change_item(input, other, random),
            },
            Self::Messages(head) => {
                let (head, rest) = input.split_at_checked(head)?;
                let other = other.get(head.len()..).unwrap_or_default();
                let mut messages = unpacked(rest);
                change_messages(&mut messages, &unpacked(other), random)?;
                Some([head, &packed(&messages)].concat())
            }
            Self::Bytes => None,
        }
    }
}

fn change_messages(
    messages: &mut Vec<Vec<u8>>,
    others: &[Vec<u8>],
    random: &mut impl Rng,
) -> Option<()> {
    let place = random.random_range(0..=messages.len());
    let at = (!messages.is_empty()).then(|| random.random_range(0..messages.len()));
    match random.random_range(0..10) {
        0 => drop(messages.remove(at?)),
        1 => messages.insert(place, messages[at?].clone()),
        2 => {
            let moved = messages.remove(at?);
            messages.insert(place.min(messages.len()), moved);
        }
        3 | 4 => {
            // With a probability of one half, all messages of the other input.
            let (mut from, mut to) = (0, others.len());
            if random.random() {
                from = random.random_range(0..=others.len());
                to = random.random_range(from..=others.len());
            }
            messages.splice(place..place, others[from..to].iter().cloned());
        }
        _ => {
            let message = &mut messages[at?];
            let other = others.len().checked_sub(1);
            let other = other.map(|last| &*others[random.random_range(0..=last)]);
            *message = change_field(message, other.unwrap_or_default(), random)?;
        }
    }
    Some(())
}

/// Extracts the messages from an input.
fn unpacked(mut input: &[u8]) -> Vec<Vec<u8>> {
    let mut messages = Vec::new();
    while let Some((length, rest)) = input.split_first_chunk() {
        let length = usize::from(u16::from_le_bytes(*length)).min(rest.len());
        let (message, rest) = rest.split_at(length);
        messages.push(message.to_vec());
        input = rest;
    }
    messages
}

/// Writes each message after its length; a message that is too long is truncated.
fn packed(messages: &[Vec<u8>]) -> Vec<u8> {
    let mut input = Vec::new();
    for message in messages {
        let length = u16::try_from(message.len()).unwrap_or(u16::MAX);
        input.extend(length.to_le_bytes());
        input.extend(&message[..length.into()]);
    }
    input
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn messages_are_removed_repeated_moved_and_taken_from_others() {
        // One byte, then two messages; each message is a field with a number.
        let (input, other) = (b"!\x02\0\x08\x01\x02\0\x08\x02", b"?\x02\0\x08\x09");
        let change = |seed| Format::Messages(1).changed(input, other, seed);
        let found: BTreeSet<_> = (0..2_000).filter_map(change).collect();
        for expected in [
            &b"!\x02\0\x08\x01"[..],
            b"!\x02\0\x08\x02\x02\0\x08\x01",
            b"!\x02\0\x08\x01\x02\0\x08\x02\x02\0\x08\x02",
            b"!\x02\0\x08\x01\x02\0\x08\x02\x02\0\x08\x09",
            b"!\x02\0\x08\x09\x02\0\x08\x02",
        ] {
            assert!(found.contains(expected), "{expected:x?}");
        }
        assert!(found.iter().all(|input| input.starts_with(b"!")));
    }

    #[test]
    fn a_length_that_exceeds_the_input_is_corrected() {
        assert_eq!(unpacked(b"\x05\0ab"), [b"ab"]);
        assert_eq!(packed(&unpacked(b"\x05\0ab")), b"\x02\0ab");
        let long = packed(&[vec![7; 70_000]]);
        assert_eq!(unpacked(&long), [vec![7; 65_535]]);
        assert!(unpacked(b"\x05").is_empty());
    }

    #[test]
    fn the_same_seed_causes_the_same_change() {
        for format in [Format::Text, Format::Messages(0)] {
            for seed in 0..50 {
                let change = || format.changed(b"\x02\0a1", b"\x02\0b2", seed);
                assert_eq!(change(), change());
            }
        }
        assert_eq!(Format::Bytes.changed(b"a", b"b", 1), None);
        assert_eq!(Format::Messages(1).changed(b"", b"", 1), None);
    }
}
