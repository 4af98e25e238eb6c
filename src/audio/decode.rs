//! Decodes audio files of any supported format to PCM.
//!
//! In: the bytes of a file and the extension of its name. Out: mono `i16` at 48 kHz.
//! Invariants: what is at time t in the file is at sample t · 48 kHz; size and length are bounded;
//! hostile bytes give an error, never a panic.

use super::resample::to_rate;
use super::{AudioError, Pcm};
use std::borrow::Cow;
use std::io::{Cursor, ErrorKind};
use std::time::Duration;
use symphonia::core::codecs::audio::{AudioDecoder, AudioDecoderOptions};
use symphonia::core::errors::Error as SymphoniaError;
use symphonia::core::formats::probe::Hint;
use symphonia::core::formats::{FormatOptions, FormatReader, TrackType};
use symphonia::core::io::MediaSourceStream;
use symphonia::core::meta::MetadataOptions;

/// Longest audio accepted.
pub const MAX_LENGTH: Duration = Duration::from_secs(600);
/// Largest file accepted, in bytes.
pub const MAX_BYTES: usize = 64 << 20;
/// Accepted sample rates, in Hz.
const RATES: std::ops::RangeInclusive<u32> = 4_000..=192_000;
/// Largest number of channels accepted.
const MAX_CHANNELS: usize = 32;
/// A data length of at least this means "unknown": sox, espeak-ng and ffmpeg write it when they
/// write to a pipe and cannot know the length.
const UNKNOWN_LENGTH: u32 = 0x7FFF_F000;
/// Loudest sample accepted, where full scale is 1. Some writers scale to 32768; beyond that a file is
/// damaged, and the filters of the resampler would overflow.
const LOUDEST: f32 = 1e6;
/// A container's sample count may be off by this much: the codec's delay and padding.
const COUNT_SLACK: u64 = 4096;

/// Mono samples in −1..1 at the file's rate.
struct Mono {
    rate: u32,
    samples: Vec<f32>,
}

/// Decodes a file: 16-bit WAV with hound, everything else (other WAV, FLAC, MP3, Ogg Vorbis,
/// AAC, …) with symphonia, which detects the format from the bytes; `extension` (without the dot)
/// is only a hint. Channels are averaged and the audio is resampled to [`RATE`](super::RATE).
///
/// # Errors
/// [`AudioError`]: empty, truncated, unsupported, damaged, or over [`MAX_BYTES`] / [`MAX_LENGTH`].
pub fn decode(bytes: &[u8], extension: Option<&str>) -> Result<Pcm, AudioError> {
    if bytes.is_empty() {
        return Err(AudioError::Empty);
    }
    if bytes.len() > MAX_BYTES {
        return Err(AudioError::TooLarge {
            bytes: bytes.len(),
            limit: MAX_BYTES,
        });
    }
    let mono = match wav_kind(bytes)? {
        WavKind::Pcm16(bytes) => by_hound(&bytes)?,
        WavKind::Other(bytes) => without_panic(|| by_symphonia(&bytes, Some("wav")))?,
        WavKind::NotWav => without_panic(|| by_symphonia(bytes, extension))?,
    };
    if mono.samples.is_empty() {
        return Err(AudioError::Empty);
    }
    to_rate(&mono.samples, mono.rate)
}

enum WavKind<'a> {
    Pcm16(Cow<'a, [u8]>),
    Other(Cow<'a, [u8]>),
    NotWav,
}

/// Reads the `fmt ` and `data` chunks of a RIFF file to find its kind and to check that all of
/// the promised data is present. A length that the writer could not know is filled in.
fn wav_kind(bytes: &[u8]) -> Result<WavKind<'_>, AudioError> {
    let damaged = |detail: &str| AudioError::Damaged {
        detail: detail.to_owned(),
    };
    if bytes.get(..4) != Some(b"RIFF") || bytes.get(8..12) != Some(b"WAVE") {
        return Ok(WavKind::NotWav);
    }
    let (mut at, mut pcm16) = (12, None);
    while let Some((id, length)) = chunk_header(bytes, at) {
        let body = at + 8;
        if id == b"data" {
            let pcm16 =
                pcm16.ok_or_else(|| damaged("WAV without a `fmt ` chunk before its data"))?;
            let bytes = checked_data(bytes, body, length)?;
            return Ok(if pcm16 {
                WavKind::Pcm16(bytes)
            } else {
                WavKind::Other(bytes)
            });
        }
        if id == b"fmt " {
            let field = |i: usize| bytes.get(body + i..body + i + 2);
            // Tag 1 is PCM; 16 bits a sample.
            pcm16 = Some(field(0) == Some(&[1, 0]) && field(14) == Some(&[16, 0]));
        }
        // Chunks are padded to even lengths.
        at = body
            .saturating_add(length as usize)
            .saturating_add(length as usize & 1);
    }
    Err(damaged("WAV without a `data` chunk"))
}

fn chunk_header(bytes: &[u8], at: usize) -> Option<(&[u8], u32)> {
    let header = bytes.get(at..at.checked_add(8)?)?;
    let length = u32::from_le_bytes(header[4..].try_into().ok()?);
    Some((&header[..4], length))
}

/// Checks the length of the data; where the header says "unknown", returns a copy of the file
/// with the true length.
fn checked_data(bytes: &[u8], body: usize, promised: u32) -> Result<Cow<'_, [u8]>, AudioError> {
    let present = bytes.len() - body;
    if promised == 0 || present == 0 {
        return Err(AudioError::Empty);
    }
    if promised < UNKNOWN_LENGTH {
        if (promised as usize) > present {
            let (promised, present) = (u64::from(promised), present as u64);
            return Err(AudioError::Truncated {
                promised,
                present,
                unit: "bytes",
            });
        }
        return Ok(Cow::Borrowed(bytes));
    }
    // Whole frames of up to 8 bytes; MAX_BYTES keeps the lengths within u32.
    let whole = present - present % 8;
    let mut mended = bytes[..body + whole].to_vec();
    mended[body - 4..body].copy_from_slice(&(whole as u32).to_le_bytes());
    let riff = (body + whole - 8) as u32;
    mended[4..8].copy_from_slice(&riff.to_le_bytes());
    Ok(Cow::Owned(mended))
}

fn by_hound(bytes: &[u8]) -> Result<Mono, AudioError> {
    let failed = |error: hound::Error| match error {
        hound::Error::Unsupported => AudioError::Unsupported {
            detail: error.to_string(),
        },
        _ => AudioError::Damaged {
            detail: error.to_string(),
        },
    };
    let reader = hound::WavReader::new(Cursor::new(bytes)).map_err(failed)?;
    let spec = reader.spec();
    let channels = usize::from(spec.channels);
    let mut mono = Mono::new(spec.sample_rate, channels)?;
    let mut frame = Vec::with_capacity(channels);
    for sample in reader.into_samples::<i16>() {
        frame.push(f32::from(sample.map_err(failed)?) / 32768.0);
        if frame.len() == channels {
            mono.append(&frame, channels)?;
            frame.clear();
        }
    }
    Ok(mono)
}

/// Turns a panic of the decoder into an error. Damaged headers can make symphonia panic: version
/// 0.6.1 shifts a channel mask out of range, which panics where arithmetic is checked.
fn without_panic(decode: impl FnOnce() -> Result<Mono, AudioError>) -> Result<Mono, AudioError> {
    // Nothing outlives the closure, so no inconsistent state can be observed afterwards.
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(decode)).unwrap_or_else(|_| {
        Err(AudioError::Damaged {
            detail: "the decoder gave up on its contents".to_owned(),
        })
    })
}

fn by_symphonia(bytes: &[u8], extension: Option<&str>) -> Result<Mono, AudioError> {
    let mut hint = Hint::new();
    if let Some(extension) = extension {
        hint.with_extension(extension);
    }
    let stream = MediaSourceStream::new(Box::new(Cursor::new(bytes)), Default::default());
    let probe = symphonia::default::get_probe();
    let mut format = probe
        .probe(
            &hint,
            stream,
            FormatOptions::default(),
            MetadataOptions::default(),
        )
        .map_err(unsupported)?;
    let missing = |what: &str| AudioError::Unsupported {
        detail: what.to_owned(),
    };
    let track = format
        .default_track(TrackType::Audio)
        .ok_or_else(|| missing("no audio track"))?;
    let params = track
        .codec_params
        .as_ref()
        .and_then(|params| params.audio());
    let params = params.ok_or_else(|| missing("no known codec"))?;
    let (id, promised) = (track.id, track.num_frames);
    let mut decoder = symphonia::default::get_codecs()
        .make_audio_decoder(params, &AudioDecoderOptions::default())
        .map_err(unsupported)?;
    let mono = read_track(&mut *format, &mut *decoder, id)?;
    let present = mono.samples.len() as u64;
    match promised {
        Some(promised) if promised > present + COUNT_SLACK => Err(AudioError::Truncated {
            promised,
            present,
            unit: "samples",
        }),
        _ => Ok(mono),
    }
}

/// Decodes all packets of a track.
fn read_track(
    format: &mut (dyn FormatReader + '_),
    decoder: &mut dyn AudioDecoder,
    track: u32,
) -> Result<Mono, AudioError> {
    let (mut mono, mut interleaved) = (None, Vec::new());
    loop {
        let packet = match format.next_packet() {
            Ok(Some(packet)) => packet,
            Ok(None) => break,
            // Several readers end a truncated file like this; the sample count is checked later.
            Err(SymphoniaError::IoError(e)) if e.kind() == ErrorKind::UnexpectedEof => break,
            Err(error) => return Err(damaged(error)),
        };
        if packet.track_id != track {
            continue;
        }
        let decoded = decoder.decode(&packet).map_err(damaged)?;
        let channels = decoded.spec().channels().count();
        let rate = decoded.spec().rate();
        let mono: &mut Mono = match &mut mono {
            Some(mono) => mono,
            none => none.insert(Mono::new(rate, channels)?),
        };
        if rate != mono.rate || channels == 0 {
            let detail = "its sample rate or channels change midway".to_owned();
            return Err(AudioError::Unsupported { detail });
        }
        decoded.copy_to_vec_interleaved::<f32>(&mut interleaved);
        mono.append(&interleaved, channels)?;
    }
    mono.ok_or(AudioError::Empty)
}

fn unsupported(error: SymphoniaError) -> AudioError {
    AudioError::Unsupported {
        detail: error.to_string(),
    }
}

fn damaged(error: SymphoniaError) -> AudioError {
    AudioError::Damaged {
        detail: error.to_string(),
    }
}

impl Mono {
    fn new(rate: u32, channels: usize) -> Result<Self, AudioError> {
        if !RATES.contains(&rate) {
            let detail = format!("sample rate of {rate} Hz");
            return Err(AudioError::Unsupported { detail });
        }
        if !(1..=MAX_CHANNELS).contains(&channels) {
            return Err(AudioError::Unsupported {
                detail: format!("{channels} channels"),
            });
        }
        Ok(Self {
            rate,
            samples: Vec::new(),
        })
    }

    /// Appends interleaved samples, averaged over their channels.
    fn append(&mut self, interleaved: &[f32], channels: usize) -> Result<(), AudioError> {
        let added = interleaved.len() / channels;
        if (self.samples.len() + added) as u64 > MAX_LENGTH.as_secs() * u64::from(self.rate) {
            return Err(AudioError::TooLong { limit: MAX_LENGTH });
        }
        for frame in interleaved.chunks_exact(channels) {
            let mean = frame.iter().sum::<f32>() / channels as f32;
            if !mean.is_finite() || mean.abs() > LOUDEST {
                let detail = match mean.is_finite() {
                    true => "a sample is out of all bounds",
                    false => "a sample is not a number",
                };
                let detail = detail.to_owned();
                return Err(AudioError::Damaged { detail });
            }
            self.samples.push(mean);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
