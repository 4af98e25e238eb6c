//! Tables of valid, broken and hostile files.

use super::*;
use crate::audio::RATE;
use crate::audio::test_signals::FIXTURES;
use proptest::prelude::*;
use symphonia::core::codecs::audio::AudioCodecParameters;
use symphonia::core::codecs::audio::well_known::CODEC_ID_OPUS;

/// A WAV file with the given header fields; `tag` 1 is PCM, 3 is float.
fn wav(tag: u16, channels: u16, rate: u32, bits: u16, data: &[u8], promised: u32) -> Vec<u8> {
    let block = channels * (bits / 8);
    let mut out = b"RIFF".to_vec();
    out.extend((36u32.wrapping_add(promised)).to_le_bytes());
    out.extend(b"WAVEfmt \x10\0\0\0");
    out.extend(tag.to_le_bytes());
    out.extend(channels.to_le_bytes());
    out.extend(rate.to_le_bytes());
    out.extend((rate.wrapping_mul(u32::from(block))).to_le_bytes());
    out.extend(block.to_le_bytes());
    out.extend(bits.to_le_bytes());
    out.extend(b"data");
    out.extend(promised.to_le_bytes());
    out.extend(data);
    out
}

fn wav16(rate: u32, channels: u16, samples: &[i16]) -> Vec<u8> {
    let data: Vec<u8> = samples.iter().flat_map(|x| x.to_le_bytes()).collect();
    wav(1, channels, rate, 16, &data, data.len() as u32)
}

fn floats(samples: &[f32]) -> Vec<u8> {
    let data: Vec<u8> = samples.iter().flat_map(|x| x.to_le_bytes()).collect();
    wav(3, 1, 48_000, 32, &data, data.len() as u32)
}

macro_rules! format_file {
    ($name:literal) => {
        (
            $name,
            include_bytes!(concat!("../../../fixtures/formats/", $name)).as_slice(),
        )
    };
}

const FORMATS: [(&str, &[u8]); 7] = [
    format_file!("pcm24.wav"),
    format_file!("float.wav"),
    format_file!("ulaw.wav"),
    format_file!("tone.flac"),
    format_file!("tone.ogg"),
    format_file!("tone.mp3"),
    format_file!("tone.aiff"),
];

#[test]
fn every_format_decodes_to_the_same_tone() {
    for (name, bytes) in FORMATS {
        let extension = name.rsplit('.').next();
        let pcm = decode(bytes, extension).unwrap_or_else(|e| panic!("{name}: {e}"));
        // 200 ms of 1 kHz at a peak of 0.25; lossy codecs may round up to a whole frame.
        assert!(
            (9_590..11_500).contains(&pcm.len()),
            "{name}: {} samples",
            pcm.len()
        );
        let middle = &pcm[2_400..7_200];
        let power = middle
            .iter()
            .map(|&x| (f64::from(x) / 32768.0).powi(2))
            .sum::<f64>()
            / 4_800.0;
        assert!(
            (power / (0.0625 / 2.0) - 1.0).abs() < 0.12,
            "{name}: {power}"
        );
        let rising = middle.windows(2).filter(|w| w[0] < 0 && w[1] >= 0).count();
        assert!(
            (99..=101).contains(&rising),
            "{name}: {rising} periods in 100 ms"
        );
        // The extension is only a hint.
        assert!(decode(bytes, None).is_ok(), "{name} without an extension");
    }
}

#[test]
fn sixteen_bit_wav_at_48_khz_is_decoded_unchanged() {
    let samples: Vec<i16> = (0..1000).map(|n| (n * 31) as i16).collect();
    assert_eq!(
        decode(&wav16(48_000, 1, &samples), None).expect("plain"),
        samples
    );
    let stereo: Vec<i16> = samples.iter().flat_map(|&x| [x, x / 3]).collect();
    let mean = samples
        .iter()
        .map(|&x| (f32::from(x) + f32::from(x / 3)) / 2.0);
    assert_eq!(
        decode(&wav16(48_000, 2, &stereo), None).expect("stereo"),
        mean.map(|x| x.round() as i16).collect::<Vec<_>>()
    );
}

#[test]
fn unknown_wav_length_is_not_a_truncation() {
    let data: Vec<u8> = (0..2003).map(|n| n as u8).collect();
    for promised in [0x7FFF_F000, u32::MAX] {
        let pcm = decode(&wav(1, 1, 48_000, 16, &data, promised), Some("wav")).expect("piped");
        assert_eq!(pcm.len(), 1001);
    }
}

/// 400 ms of audio with a 1 kHz tone from 100 to 300 ms.
const BURSTS: [(&str, &[u8]); 7] = [
    format_file!("burst.m4a"),
    format_file!("burst.mov"),
    format_file!("burst.3gp"),
    format_file!("burst.mp4"),
    format_file!("burst.webm"),
    format_file!("burst.opus"),
    format_file!("burst.caf"),
];

#[test]
fn encoder_delay_and_padding_are_trimmed_in_every_container() {
    for (name, bytes) in BURSTS {
        let mut bytes = bytes.to_vec();
        // ffmpeg does not write the codec's delay into a CAF file. It belongs in the packet table,
        // after the numbers of packets and frames.
        if name == "burst.caf" {
            let at = bytes.windows(4).position(|w| w == b"pakt").expect(name) + 28;
            bytes[at..at + 4].copy_from_slice(&312u32.to_be_bytes());
        }
        let pcm = decode(&bytes, None).unwrap_or_else(|e| panic!("{name}: {e}"));
        let loud = |x: &i16| x.unsigned_abs() >= 4096;
        let start = pcm.iter().position(loud).expect(name) as f64 / 48.0;
        let end = pcm.iter().rposition(loud).expect(name) as f64 / 48.0;
        let length = pcm.len() as f64 / 48.0;
        // The codecs blur the edges by a period of the tone; their delays are 6 to 64 ms.
        assert!(
            (start - 100.0).abs() < 1.5 && (end - 300.0).abs() < 1.5,
            "{name}: {start:.2} to {end:.2} ms"
        );
        assert!((399.0..416.0).contains(&length), "{name}: {length:.1} ms");
    }
}

#[test]
fn opus_headers_are_read_in_either_byte_order() {
    let header = |version: u8, order: fn(u16) -> [u8; 2], family: &[u8]| {
        let (skip, gain) = (order(312), order(256));
        let rest = [&skip[..], &[0; 4], &gain, family].concat();
        [&b"OpusHead"[..], &[version, 2], &rest].concat()
    };
    let decoding = |head: &[u8]| {
        let mut params = AudioCodecParameters::new();
        params.for_codec(CODEC_ID_OPUS).with_extra_data(head.into());
        Decoding::new(&params).map(|decoding| decoding.pre_skip())
    };
    for (name, head, expected) in [
        ("Ogg", header(1, u16::to_le_bytes, &[0]), Ok(Some(312))),
        ("MP4", header(0, u16::to_be_bytes, &[0]), Ok(Some(312))),
        (
            "one stream",
            header(1, u16::to_le_bytes, &[1, 1, 1, 0, 1]),
            Ok(Some(312)),
        ),
        ("none", vec![], Ok(None)),
        ("cut off", header(1, u16::to_le_bytes, &[]), Ok(None)),
        (
            "two streams",
            header(1, u16::to_le_bytes, &[1, 2, 0, 0, 1]),
            Err(()),
        ),
        (
            "no channels",
            {
                let mut head = header(1, u16::to_le_bytes, &[0]);
                head[9] = 0;
                head
            },
            Err(()),
        ),
    ] {
        assert_eq!(decoding(&head).map_err(|_| ()), expected, "{name}");
    }
}

/// A WAV file of `chunks`, each padded to an even length, with `size` in its header.
fn riff(magic: &[u8; 4], size: u32, chunks: &[(&[u8; 4], Vec<u8>)]) -> Vec<u8> {
    let number = |n: u32| match magic {
        b"RIFX" => n.to_be_bytes(),
        _ => n.to_le_bytes(),
    };
    let mut out = magic.to_vec();
    out.extend(number(size));
    out.extend(b"WAVE");
    for (name, body) in chunks {
        out.extend(*name);
        out.extend(number(body.len() as u32));
        out.extend(body);
        out.resize(out.len() + body.len() % 2, 0);
    }
    out
}

/// The body of a `fmt ` chunk for mono at 48 kHz, followed by `more`.
fn fmt(tag: u16, bits: u16, byte_rate: u32, more: &[u8]) -> Vec<u8> {
    let block = bits.div_ceil(8);
    let mut out = Vec::new();
    out.extend([tag.to_le_bytes(), 1u16.to_le_bytes()].concat());
    out.extend(48_000u32.to_le_bytes());
    out.extend(byte_rate.to_le_bytes());
    out.extend([block.to_le_bytes(), bits.to_le_bytes()].concat());
    out.extend(more);
    out
}

/// The same samples as PCM of 8 to 32 bits or as floats.
fn coded(samples: &[i16], bits: u16, float: bool) -> Vec<u8> {
    let code = |&x: &i16| match (bits, float) {
        (32, true) => (f32::from(x) / 32768.0).to_le_bytes().to_vec(),
        (64, true) => (f64::from(x) / 32768.0).to_le_bytes().to_vec(),
        (8, _) => vec![((x >> 8) + 128) as u8],
        (bits, _) => {
            let wide = (i32::from(x) << 16).to_le_bytes();
            wide[4 - usize::from(bits.div_ceil(8))..].to_vec()
        }
    };
    samples.iter().flat_map(code).collect()
}

#[test]
fn wav_headers_that_other_readers_accept_are_accepted() {
    let samples: Vec<i16> = (0..1_000).map(|n| (n * 31) as i16).collect();
    for (bits, float) in [
        (8, false),
        (16, false),
        (24, false),
        (32, false),
        (32, true),
        (64, true),
    ] {
        let tag = if float { 3 } else { 1 };
        let data = coded(&samples, bits, float);
        let plain = fmt(tag, bits, 48_000 * u32::from(bits) / 8, &[]);
        let of =
            |format: &[u8], data: &[u8]| vec![(b"fmt ", format.to_vec()), (b"data", data.to_vec())];
        let odd = vec![(b"LIST", b"INFOx".to_vec()), (b"junk", vec![1])];
        let guid = b"\0\0\0\0\x10\0\x80\0\0\xaa\0\x38\x9b\x71";
        let valid = [
            &[22, 0][..],
            &bits.to_le_bytes(),
            &[4, 0, 0, 0],
            &[tag as u8, 0],
            guid,
        ]
        .concat();
        let one_more = [&data[..], &[7]].concat();
        let right = 36 + data.len() as u32;
        let wide = [&data[..], b"LIST\x04\0\0\0INFO"].concat();
        let cases: [(&str, Vec<u8>); 14] = [
            ("plain", riff(b"RIFF", right, &of(&plain, &data))),
            (
                "chunks of odd length before the data",
                riff(b"RIFF", right + 28, &[odd, of(&plain, &data)].concat()),
            ),
            ("size 0", riff(b"RIFF", 0, &of(&plain, &data))),
            (
                "size 8 too small",
                riff(b"RIFF", right - 8, &of(&plain, &data)),
            ),
            (
                "size too large",
                riff(b"RIFF", u32::MAX, &of(&plain, &data)),
            ),
            (
                "fmt of 18 bytes",
                riff(
                    b"RIFF",
                    right + 2,
                    &of(&[&plain[..], &[0, 0]].concat(), &data),
                ),
            ),
            (
                "fmt of 20 bytes",
                riff(
                    b"RIFF",
                    right + 4,
                    &of(&[&plain[..], &[2, 0, 9, 9]].concat(), &data),
                ),
            ),
            (
                "extensible",
                riff(
                    b"RIFF",
                    right + 24,
                    &of(&fmt(0xFFFE, bits, 1, &valid), &data),
                ),
            ),
            (
                "byte rate 0",
                riff(b"RIFF", right, &of(&fmt(tag, bits, 0, &[]), &data)),
            ),
            (
                "a byte too many",
                riff(b"RIFF", right + 1, &of(&plain, &one_more)),
            ),
            (
                "never closed",
                [riff(b"RIFF", 0, &of(&plain, &[])), data.clone()].concat(),
            ),
            (
                "closed before the first sample",
                [riff(b"RIFF", 36, &of(&plain, &[])), data.clone()].concat(),
            ),
            ("header counted as data", {
                let mut bytes = riff(b"RIFF", right, &of(&plain, &data));
                bytes[40..44].copy_from_slice(&(data.len() as u32 + 44).to_le_bytes());
                bytes
            }),
            ("a chunk after the data", {
                let mut bytes = riff(b"RIFF", right + 12, &of(&plain, &wide));
                bytes[40..44].copy_from_slice(&(data.len() as u32).to_le_bytes());
                bytes
            }),
        ];
        let expected = match bits {
            8 => samples.iter().map(|x| x & !0xFF).collect(),
            _ => samples.clone(),
        };
        for (name, bytes) in cases {
            // With 8 bits per sample, the extra byte is another sample.
            if bits == 8 && name == "a byte too many" {
                continue;
            }
            let found =
                decode(&bytes, Some("wav")).unwrap_or_else(|e| panic!("{bits} {name}: {e}"));
            assert!(found == expected, "{bits} bits, float {float}: {name}");
        }
    }
}

#[test]
fn big_endian_and_64_bit_wav_variants_are_read() {
    let samples: Vec<i16> = (0..1_000).map(|n| (n * 31) as i16).collect();
    let data = coded(&samples, 16, false);
    let big = |bytes: &[u8]| {
        bytes
            .chunks(2)
            .flat_map(|two| [two[1], two[0]])
            .collect::<Vec<u8>>()
    };
    let mut format = big(&fmt(1, 16, 96_000, &[]));
    // Sample rate and byte rate have four bytes each; `big` has only swapped pairs of bytes.
    format[4..8].copy_from_slice(&48_000u32.to_be_bytes());
    format[8..12].copy_from_slice(&96_000u32.to_be_bytes());
    let mut long = fmt(1, 16, 96_000, &[]);
    let ds64 = [&[0; 8][..], &2_000u64.to_le_bytes(), &[0; 12]].concat();
    let mut rf64 = riff(
        b"RF64",
        u32::MAX,
        &[
            (b"ds64", ds64),
            (b"fmt ", long.clone()),
            (b"data", data.clone()),
        ],
    );
    let at = rf64.len() - data.len() - 4;
    rf64[at..at + 4].copy_from_slice(&u32::MAX.to_le_bytes());
    rf64.extend(b"LIST\x04\0\0\0INFO");
    // 24 bits in the upper three bytes of four.
    (long[12], long[14]) = (4, 24);
    let wide = coded(&samples, 32, false);
    // A chunk of odd length without its pad byte.
    let mut unpadded = riff(b"RIFF", 0, &[(b"LIST", b"INFOx".to_vec())]);
    unpadded.pop();
    let rest = riff(
        b"RIFF",
        0,
        &[(b"fmt ", fmt(1, 16, 0, &[])), (b"data", data.clone())],
    );
    unpadded.extend(&rest[12..]);
    for (name, bytes) in [
        (
            "RIFX",
            riff(b"RIFX", 0, &[(b"fmt ", format), (b"data", big(&data))]),
        ),
        ("RF64", rf64),
        (
            "24 bits in 4 bytes",
            riff(b"RIFF", 0, &[(b"fmt ", long), (b"data", wide)]),
        ),
        ("no pad byte", unpadded),
    ] {
        let found = decode(&bytes, None).unwrap_or_else(|e| panic!("{name}: {e}"));
        assert!(found == samples, "{name}");
    }
}

#[test]
fn bad_files_are_errors_with_a_hint() {
    let tone = vec![1000i16; 4800];
    let good = wav16(48_000, 1, &tone);
    let flac = FORMATS[3].1;
    let cases: [(&str, Vec<u8>, &str); 15] = [
        ("no bytes", vec![], "the audio is empty"),
        ("a header only", wav16(48_000, 1, &[]), "the audio is empty"),
        (
            "nothing after the header",
            wav(1, 1, 48_000, 16, &[], 9600),
            "the audio is empty",
        ),
        (
            "a truncated WAV",
            good[..5000].to_vec(),
            "promises 9600 bytes, but it holds 4956",
        ),
        (
            "a WAV cut in its header",
            good[..30].to_vec(),
            "`fmt ` chunk of the WAV is too short",
        ),
        (
            "a truncated FLAC",
            flac[..flac.len() / 3].to_vec(),
            "promises 8820 samples",
        ),
        ("rate 0", wav16(0, 1, &tone), "sample rate of 0 Hz"),
        ("rate 1 Hz", wav16(1, 1, &tone), "sample rate of 1 Hz"),
        ("a rate of 4 GHz", wav16(u32::MAX, 1, &tone), ""),
        ("no channels", wav(1, 0, 48_000, 16, &[0; 100], 100), ""),
        (
            "not a number",
            floats(&[0.1, f32::NAN, 0.2]),
            "not a number",
        ),
        ("infinite", floats(&[0.1, f32::INFINITY]), "not a number"),
        (
            "far too loud",
            floats(&[0.1, 1e38, -1e38]),
            "far above full scale",
        ),
        (
            "text",
            b"version: 1\nname: this is no audio\n".repeat(20),
            "cannot be decoded",
        ),
        (
            "noise",
            (0..4000u32)
                .map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8)
                .collect(),
            "",
        ),
    ];
    for (name, bytes, message) in cases {
        let error = decode(&bytes, Some("wav"))
            .map(|pcm| pcm.len())
            .expect_err(name);
        assert!(error.to_string().contains(message), "{name}: {error}");
        assert!(!error.hint().is_empty(), "{name}");
    }
}

#[test]
fn size_and_length_are_bounded() {
    let huge = vec![0u8; MAX_BYTES + 1];
    assert!(matches!(
        decode(&huge, None),
        Err(AudioError::TooLarge { .. })
    ));
    let samples = vec![0i16; 4_000 * 600 + 1];
    assert!(matches!(
        decode(&wav16(4_000, 1, &samples), None),
        Err(AudioError::TooLong { .. })
    ));
    let fits = decode(&wav16(4_000, 1, &samples[1..]), None).expect("ten minutes are allowed");
    assert_eq!(fits.len(), 600 * RATE as usize);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn hostile_bytes_never_panic(file in 0usize..15, cut in 0.0..1.0f64,
                                 edits in prop::collection::vec((0usize..400, any::<u8>()), 0..12)) {
        let source = FORMATS.iter().chain(&BURSTS).nth(file).map_or(FIXTURES[2].wav, |(_, bytes)| bytes);
        let mut bytes = source[..(source.len() as f64 * (1.0 - cut * cut)) as usize].to_vec();
        for (at, value) in edits {
            if let Some(byte) = bytes.get_mut(at) {
                *byte = value;
            }
        }
        if let Ok(pcm) = decode(&bytes, None) {
            prop_assert!(pcm.len() <= 600 * RATE as usize);
        }
    }

    #[test]
    fn random_wav_headers_never_panic(tag in 0u16..4, channels in 0u16..40, rate in any::<u32>(),
                                       bits in 0u16..40, promised in any::<u32>(),
                                       data in prop::collection::vec(any::<u8>(), 0..200)) {
        let block = u32::from(channels) * u32::from(bits / 8);
        prop_assume!(block <= u32::from(u16::MAX));
        let _ = decode(&wav(tag, channels, rate % 200_000, bits, &data, promised % 300), None);
    }
}
