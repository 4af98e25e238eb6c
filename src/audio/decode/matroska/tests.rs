//! Codec delay and discard padding, read from generated files without audio.

use super::*;
use proptest::prelude::*;

fn digits(id: u64) -> Vec<u8> {
    let bytes = id.to_be_bytes();
    bytes[id.leading_zeros() as usize / 8..].to_vec()
}

fn element_of(id: u64, content: &[u8]) -> Vec<u8> {
    let size = (content.len() as u32 | 1 << 28).to_be_bytes();
    [&digits(id), &size[..], content].concat()
}

/// An element whose length is unknown, as in a live recording.
fn open(id: u64, content: &[u8]) -> Vec<u8> {
    [&digits(id), &[0xFF][..], content].concat()
}

fn entry(number: u8, delay: u32) -> Vec<u8> {
    let delay = element_of(CODEC_DELAY, &delay.to_be_bytes());
    element_of(
        TRACK_ENTRY,
        &[element_of(TRACK_NUMBER, &[number]), delay].concat(),
    )
}

fn simple(track: u8) -> Vec<u8> {
    element_of(SIMPLE_BLOCK, &[0x80 | track, 0, 0, 0x80, 1, 2, 3])
}

fn group(track: u8, padding: Option<u32>) -> Vec<u8> {
    let block = element_of(BLOCK, &[0x80 | track, 0, 0, 0, 1, 2, 3]);
    let padding = padding.map(|ns| element_of(DISCARD_PADDING, &ns.to_be_bytes()));
    element_of(BLOCK_GROUP, &[block, padding.unwrap_or_default()].concat())
}

fn file(clusters: &[Vec<u8>], live: bool) -> Vec<u8> {
    let tracks = element_of(TRACKS, &[entry(1, 5_000_000), entry(2, 6_500_000)].concat());
    let wrap = if live { open } else { element_of };
    let clusters = clusters.iter().map(|cluster| wrap(CLUSTER, cluster));
    let content = [tracks, clusters.collect::<Vec<_>>().concat()].concat();
    [element_of(0x1A45_DFA3, b"webm"), wrap(SEGMENT, &content)].concat()
}

#[test]
fn codec_delay_and_trailing_discard_padding_of_a_track_are_read() {
    let cases = [
        ("no padding", vec![simple(1), simple(2)], 0),
        (
            "padding at the end",
            vec![simple(2), group(2, Some(13_500_000))],
            13_500_000,
        ),
        (
            "padding, then another track",
            vec![group(2, Some(7)), simple(1)],
            7,
        ),
        (
            "padding, then a group of another track",
            vec![group(2, Some(7)), group(1, Some(9))],
            7,
        ),
        (
            "padding in the middle",
            vec![group(2, Some(7)), simple(2)],
            0,
        ),
        (
            "a group without padding last",
            vec![group(2, Some(7)), group(2, None)],
            0,
        ),
    ];
    for (name, blocks, end) in cases {
        for live in [false, true] {
            let clusters = [simple(2), blocks.concat()];
            let found = trim(&file(&clusters, live), 2);
            assert_eq!(
                found,
                Trim {
                    start: 6_500_000,
                    end
                },
                "{name}, live {live}"
            );
        }
    }
    assert_eq!(trim(&file(&[], false), 3), Trim::default());
}

proptest! {
    #[test]
    fn hostile_elements_never_panic(edits in prop::collection::vec((0usize..200, any::<u8>()), 0..20),
                                    cut in 0usize..250) {
        let mut bytes = file(&[simple(2), group(2, Some(7))], true);
        bytes.truncate(cut);
        for (at, value) in edits {
            if let Some(byte) = bytes.get_mut(at) {
                *byte = value;
            }
        }
        let _ = trim(&bytes, 2);
    }
}
