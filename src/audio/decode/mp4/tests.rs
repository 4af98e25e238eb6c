//! Edit lists, read from generated files without audio.

use super::*;
use proptest::prelude::*;

fn boxed(kind: &[u8; 4], content: &[u8]) -> Vec<u8> {
    let size = (8 + content.len() as u32).to_be_bytes();
    [&size[..], kind, content].concat()
}

/// A header box of version 0 or 1 with `number` after its times.
fn headed(kind: &[u8; 4], version: u8, number: u32) -> Vec<u8> {
    let times = vec![0u8; if version == 0 { 8 } else { 16 }];
    let content = [
        &[version, 0, 0, 0][..],
        &times,
        &number.to_be_bytes(),
        &[0; 20],
    ]
    .concat();
    boxed(kind, &content)
}

fn list(version: u8, edits: &[(u64, i64)]) -> Vec<u8> {
    let mut content = vec![version, 0, 0, 0];
    content.extend((edits.len() as u32).to_be_bytes());
    for &(length, start) in edits {
        match version {
            0 => {
                content.extend((length as u32).to_be_bytes());
                content.extend((start as i32).to_be_bytes());
            }
            _ => {
                content.extend(length.to_be_bytes());
                content.extend(start.to_be_bytes());
            }
        }
        content.extend([0, 1, 0, 0]);
    }
    boxed(b"elst", &content)
}

fn track(version: u8, id: u32, scale: u32, edits: &[(u64, i64)]) -> Vec<u8> {
    let edits = match edits {
        [] => vec![],
        edits => boxed(b"edts", &list(version, edits)),
    };
    let media = boxed(b"mdia", &headed(b"mdhd", version, scale));
    boxed(
        b"trak",
        &[headed(b"tkhd", version, id), edits, media].concat(),
    )
}

/// A file whose movie has `tracks` and a time scale of 1000 units per second.
fn file(version: u8, tracks: &[Vec<u8>]) -> Vec<u8> {
    let movie = [headed(b"mvhd", version, 1_000), tracks.concat()].concat();
    let parts = [
        boxed(b"ftyp", b"M4A \0\0\0\0"),
        boxed(b"mdat", &[7; 99]),
        boxed(b"moov", &movie),
    ];
    parts.concat()
}

fn one(piece: Range<u64>) -> Option<Vec<Range<u64>>> {
    Some(std::iter::once(piece).collect())
}

#[test]
fn edit_lists_become_sample_ranges() {
    type Case<'a> = (&'static str, u32, &'a [(u64, i64)], Option<Vec<Range<u64>>>);
    let cases: [Case<'_>; 9] = [
        ("no edit list", 48_000, &[], None),
        ("priming", 48_000, &[(1_000, 1_024)], one(1_024..49_024)),
        ("up to the end", 48_000, &[(0, 312)], one(312..60_000)),
        (
            "longer than the media",
            48_000,
            &[(9_000, 312)],
            one(312..60_000),
        ),
        (
            "another time scale",
            16_000,
            &[(500, 1_024)],
            one(3_072..27_072),
        ),
        (
            "a pause before the audio",
            48_000,
            &[(64, -1), (1_000, 1_024)],
            one(1_024..49_024),
        ),
        (
            "two pieces in reverse order",
            48_000,
            &[(100, 48_000), (200, 0)],
            Some(vec![48_000..52_800, 0..9_600]),
        ),
        ("beyond the media", 48_000, &[(100, 60_000)], Some(vec![])),
        (
            "maximum values",
            48_000,
            &[(u64::MAX, i64::MAX)],
            Some(vec![]),
        ),
    ];
    for (name, scale, edits, expected) in cases {
        for version in [0, 1] {
            if version == 0 && name == "maximum values" {
                continue;
            }
            let others = [(1, 1)];
            let tracks = [
                track(version, 1, 600, &others),
                track(version, 2, scale, edits),
            ];
            let bytes = file(version, &tracks);
            assert_eq!(
                pieces(&bytes, 2, 48_000, 60_000),
                expected,
                "{name}, version {version}"
            );
            assert_eq!(
                pieces(&bytes, 3, 48_000, 60_000),
                None,
                "{name}: no such track"
            );
        }
    }
    let many = vec![(1u64, 0i64); 5_000];
    let kept = pieces(&file(0, &[track(0, 1, 48_000, &many)]), 1, 48_000, 60_000);
    assert_eq!(kept.map(|pieces| pieces.len()), Some(MAX_EDITS));
}

#[test]
fn boxes_with_extended_or_open_ended_sizes_are_skipped() {
    let good = file(0, &[track(0, 1, 48_000, &[(1_000, 1_024)])]);
    let long = [&[0, 0, 0, 1][..], b"free", &24u64.to_be_bytes(), &[0; 8]].concat();
    let expected = one(1_024..49_024);
    let found = |bytes: &[u8]| pieces(bytes, 1, 48_000, 60_000);
    assert_eq!(found(&[long, good.clone()].concat()), expected);
    let last = [good.clone(), vec![0, 0, 0, 0], b"mdat....".to_vec()].concat();
    assert_eq!(found(&last), expected);
    for wrong in [&[0, 0, 0, 4][..], &[0, 0, 0, 1, b'f', b'r', b'e', b'e', 0]] {
        assert_eq!(found(&[wrong, &good].concat()), None);
    }
}

proptest! {
    #[test]
    fn hostile_boxes_never_panic(edits in prop::collection::vec((0usize..300, any::<u8>()), 0..20),
                                 cut in 0usize..400, decoded in any::<u64>()) {
        let mut bytes = file(1, &[track(1, 1, 48_000, &[(1_000, 1_024), (5, 0)])]);
        bytes.truncate(cut);
        for (at, value) in edits {
            if let Some(byte) = bytes.get_mut(at) {
                *byte = value;
            }
        }
        for piece in pieces(&bytes, 1, 48_000, decoded).unwrap_or_default() {
            prop_assert!(piece.start < piece.end && piece.end <= decoded);
        }
    }
}
