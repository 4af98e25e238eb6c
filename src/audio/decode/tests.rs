//! Tables of good, broken and hostile files.

use super::*;
use crate::audio::RATE;
use crate::audio::test_signals::FIXTURES;
use proptest::prelude::*;

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
fn every_format_gives_the_same_tone() {
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
fn sixteen_bit_wav_at_48_khz_is_untouched() {
    let samples: Vec<i16> = (0..1000).map(|n| (n * 31) as i16).collect();
    assert_eq!(
        decode(&wav16(48_000, 1, &samples), None).expect("plain"),
        samples
    );
    let stereo: Vec<i16> = samples.iter().flat_map(|&x| [x, -x]).collect();
    assert!(
        decode(&wav16(48_000, 2, &stereo), None)
            .expect("stereo")
            .iter()
            .all(|&x| x == 0)
    );
}

#[test]
fn unknown_wav_length_is_not_a_truncation() {
    let data: Vec<u8> = (0..2003).map(|n| n as u8).collect();
    for promised in [0x7FFF_F000, u32::MAX] {
        let pcm = decode(&wav(1, 1, 48_000, 16, &data, promised), Some("wav")).expect("piped");
        assert_eq!(pcm.len(), 1000);
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
            "promises 9600 bytes, it holds 4956",
        ),
        (
            "a WAV cut in its header",
            good[..30].to_vec(),
            "without a `data` chunk",
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
            "out of all bounds",
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
    fn hostile_bytes_never_panic(file in 0usize..8, cut in 0.0..1.0f64,
                                 edits in prop::collection::vec((0usize..400, any::<u8>()), 0..12)) {
        let source = FORMATS.get(file).map_or(FIXTURES[2].wav, |(_, bytes)| bytes);
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
    fn made_up_wav_headers_never_panic(tag in 0u16..4, channels in 0u16..40, rate in any::<u32>(),
                                       bits in 0u16..40, promised in any::<u32>(),
                                       data in prop::collection::vec(any::<u8>(), 0..200)) {
        let block = u32::from(channels) * u32::from(bits / 8);
        prop_assume!(block <= u32::from(u16::MAX));
        let _ = decode(&wav(tag, channels, rate % 200_000, bits, &data, promised % 300), None);
    }
}
