//! Reads RIFF WAVE files, following libsndfile, sox and ffmpeg where these agree.
//!
//! In: the bytes of a file. Out: a [`Recording`]. Invariants: of redundant header fields only one
//! is used (the size of `data`, not the size of the file or the byte rate); chunks of odd length
//! are padded; an incomplete frame is dropped; missing data is an error.

use super::super::AudioError;
use super::super::recording::Recording;
use super::packets::Decoding;
use symphonia::core::audio::Channels;
use symphonia::core::codecs::audio::well_known::*;
use symphonia::core::codecs::audio::{AudioCodecId, AudioCodecParameters};
use symphonia::core::packet::Packet;
use symphonia::core::units::{Duration, Timestamp};

/// A data length of at least this means "unknown": sox, espeak-ng and ffmpeg use it when they write
/// to a pipe, because the length is not known in advance.
const UNKNOWN_LENGTH: u32 = 0x7FFF_F000;
/// Number of frames decoded at once.
const FRAMES_AT_ONCE: usize = 1152;

/// The fields of `fmt ` that are used (mmreg.h of the Windows SDK).
#[derive(Debug, Clone, Copy)]
struct Format {
    tag: u16,
    channels: u16,
    rate: u32,
    block: u16,
    bits: u16,
}

const PCM: u16 = 1;
const ADPCM_MS: u16 = 2;
const FLOAT: u16 = 3;
const A_LAW: u16 = 6;
const MU_LAW: u16 = 7;
const ADPCM_IMA: u16 = 0x11;
const MP3: u16 = 0x55;
const EXTENSIBLE: u16 = 0xFFFE;

/// A WAVE file, ready to be decoded.
#[derive(Debug)]
pub(super) enum Wav<'a> {
    /// Blocks of a known length.
    Blocks(Blocks<'a>),
    /// An MP3 file inside the `data` chunk.
    Mp3(&'a [u8]),
}

/// The data of a WAVE file, and how it is encoded.
#[derive(Debug)]
pub(super) struct Blocks<'a> {
    codec: AudioCodecId,
    rate: u32,
    channels: u16,
    /// Bytes per block, and frames per block.
    block: (usize, usize),
    data: &'a [u8],
}

/// A reader of numbers in the byte order of the file: RIFF and RF64 are little-endian, RIFX is
/// big-endian.
#[derive(Debug, Clone, Copy)]
struct Bytes<'a> {
    all: &'a [u8],
    big: bool,
}

impl<'a> Bytes<'a> {
    fn u16(self, at: usize) -> Option<u16> {
        let two = self.all.get(at..at.checked_add(2)?)?.try_into().ok()?;
        Some(if self.big {
            u16::from_be_bytes(two)
        } else {
            u16::from_le_bytes(two)
        })
    }

    fn u32(self, at: usize) -> Option<u32> {
        let four = self.all.get(at..at.checked_add(4)?)?.try_into().ok()?;
        Some(if self.big {
            u32::from_be_bytes(four)
        } else {
            u32::from_le_bytes(four)
        })
    }

    /// Name and length of the chunk that begins at `at`.
    fn chunk(self, at: usize) -> Option<(&'a [u8], u32)> {
        Some((self.all.get(at..at.checked_add(4)?)?, self.u32(at + 4)?))
    }

    /// Where the next chunk begins: at an even offset, unless the writer has omitted the pad byte.
    fn after(self, body: usize, length: u32) -> usize {
        let end = body.saturating_add(length as usize);
        let name = |at: usize| {
            self.chunk(at)
                .is_some_and(|(name, _)| name.iter().all(is_name))
        };
        match length % 2 {
            1 if name(end) && !name(end.saturating_add(1)) => end,
            odd => end.saturating_add(odd as usize),
        }
    }
}

fn is_name(byte: &u8) -> bool {
    (0x20..0x7F).contains(byte)
}

/// Reads the chunks up to `data`; `None` if the file is not a WAVE file.
///
/// # Errors
/// A chunk is missing or invalid, or the file is shorter than its header states.
pub(super) fn read(all: &[u8]) -> Result<Option<Wav<'_>>, AudioError> {
    let big = match all.get(..4) {
        Some(b"RIFF" | b"RF64" | b"BW64") => false,
        Some(b"RIFX") => true,
        _ => return Ok(None),
    };
    if all.get(8..12) != Some(b"WAVE") {
        return Ok(None);
    }
    let bytes = Bytes { all, big };
    let (mut at, mut format, mut long) = (12, None, None);
    while let Some((name, length)) = bytes.chunk(at) {
        let body = at + 8;
        match name {
            b"fmt " => format = Some(self::format(bytes, body, length)?),
            // RF64 (EBU Tech 3306): the low half of the data's length; the high half is 0 within
            // `MAX_BYTES`.
            b"ds64" => {
                long = bytes
                    .u32(body + 8)
                    .filter(|_| bytes.u32(body + 12) == Some(0))
            }
            b"data" => {
                let format =
                    format.ok_or_else(|| damaged("WAV without a `fmt ` chunk before its data"))?;
                let promised = match long {
                    Some(long) if length == u32::MAX => long,
                    _ => length,
                };
                let data = data(bytes, body, promised)?;
                return blocks(format, data, big).map(Some);
            }
            _ => {}
        }
        at = bytes.after(body, length);
    }
    Err(damaged("WAV without a `data` chunk"))
}

fn damaged(detail: &str) -> AudioError {
    AudioError::Damaged {
        detail: detail.to_owned(),
    }
}

fn format(bytes: Bytes<'_>, body: usize, length: u32) -> Result<Format, AudioError> {
    let read = || {
        let tag = bytes.u16(body)?;
        // In the extensible format, the tag is at the start of a GUID.
        let tag = match tag {
            EXTENSIBLE if length >= 26 => bytes.u16(body + 24)?,
            tag => tag,
        };
        (length >= 16).then_some(Format {
            tag,
            channels: bytes.u16(body + 2)?,
            rate: bytes.u32(body + 4)?,
            block: bytes.u16(body + 12)?,
            bits: bytes.u16(body + 14)?,
        })
    };
    read().ok_or_else(|| damaged("the `fmt ` chunk of the WAV is too short"))
}

/// The content of the data chunk, or an error if the file holds less of it than promised.
fn data(bytes: Bytes<'_>, body: usize, promised: u32) -> Result<&[u8], AudioError> {
    let present = bytes.all.len() - body;
    let whole_file = bytes.u32(4).unwrap_or(0) as usize;
    // In a recording that was never closed, the lengths are still 0, or have the values from before
    // the first sample.
    let never_closed = promised == 0 && whole_file.saturating_add(8) <= body;
    let taken = match promised as usize {
        _ if promised >= UNKNOWN_LENGTH || never_closed => present,
        // Some writers count the header as data.
        promised if promised > present && promised <= bytes.all.len() => present,
        promised => promised,
    };
    match bytes.all.get(body..body + taken) {
        _ if taken == 0 || present == 0 => Err(AudioError::Empty),
        Some(data) => Ok(data),
        None => Err(AudioError::Truncated {
            promised: taken as u64,
            present: present as u64,
            unit: "bytes",
        }),
    }
}

fn blocks(format: Format, data: &[u8], big: bool) -> Result<Wav<'_>, AudioError> {
    let channels = usize::from(format.channels);
    if channels == 0 {
        return Err(damaged("WAV without channels"));
    }
    // A sample takes whole bytes. 24-bit samples may fill the upper three of four bytes.
    let width = match usize::from(format.bits.div_ceil(8)) {
        3 if usize::from(format.block) == 4 * channels => 4,
        width => width,
    };
    let samples = |codec| Ok((codec, (width * channels, 1)));
    let bytes = |codec| Ok((codec, (channels, 1)));
    let block = usize::from(format.block);
    // Each channel of a block has its own header, which also holds the first samples.
    let adpcm = |codec, header: usize, in_header: usize| match block.checked_sub(header * channels)
    {
        Some(rest) if rest > 0 => Ok((codec, (block, rest * 2 / channels + in_header))),
        _ => Err(damaged("WAV with blocks that are too short")),
    };
    let (codec, block) = match (format.tag, width) {
        (MP3, _) => return Ok(Wav::Mp3(data)),
        (PCM, 1) => samples(CODEC_ID_PCM_U8),
        (PCM, 2) => samples(CODEC_ID_PCM_S16LE),
        (PCM, 3) => samples(CODEC_ID_PCM_S24LE),
        (PCM, 4) => samples(CODEC_ID_PCM_S32LE),
        (FLOAT, 4) => samples(CODEC_ID_PCM_F32LE),
        (FLOAT, 8) => samples(CODEC_ID_PCM_F64LE),
        (A_LAW, _) => bytes(CODEC_ID_PCM_ALAW),
        (MU_LAW, _) => bytes(CODEC_ID_PCM_MULAW),
        (ADPCM_MS, _) => adpcm(CODEC_ID_ADPCM_MS, 7, 2),
        (ADPCM_IMA, _) => adpcm(CODEC_ID_ADPCM_IMA_WAV, 4, 1),
        (tag, _) => Err(AudioError::Unsupported {
            detail: format!("WAV with format {tag:#06x}, {} bits", format.bits),
        }),
    }?;
    let (rate, channels) = (format.rate, format.channels);
    Ok(Wav::Blocks(Blocks {
        codec: if big { big_endian(codec) } else { codec },
        rate,
        channels,
        block,
        data,
    }))
}

impl Blocks<'_> {
    /// Decodes the data.
    ///
    /// # Errors
    /// Rate, channels or length are out of bounds, or the data is damaged.
    pub(super) fn decode(&self) -> Result<Recording, AudioError> {
        let mut recording = Recording::new(self.rate, usize::from(self.channels))?;
        let (bytes, frames) = self.block;
        let at_once = (FRAMES_AT_ONCE / frames).max(1);
        let mut params = AudioCodecParameters::new();
        params
            .for_codec(self.codec)
            .with_sample_rate(self.rate)
            .with_channels(Channels::Discrete(self.channels))
            .with_max_frames_per_packet((at_once * frames) as u64)
            .with_frames_per_block(frames as u64);
        let mut decoding = Decoding::new(&params)?;
        let whole = self.data.len() - self.data.len() % bytes;
        if whole == 0 {
            return Err(AudioError::Empty);
        }
        for part in self.data[..whole].chunks(at_once * bytes) {
            let length = Duration::new((part.len() / bytes * frames) as u64);
            let packet = Packet::new(0, Timestamp::ZERO, length, part);
            recording.append(decoding.decode(&packet)?.samples)?;
        }
        Ok(recording)
    }
}

/// The big-endian counterpart of a codec.
fn big_endian(codec: AudioCodecId) -> AudioCodecId {
    match codec {
        CODEC_ID_PCM_S16LE => CODEC_ID_PCM_S16BE,
        CODEC_ID_PCM_S24LE => CODEC_ID_PCM_S24BE,
        CODEC_ID_PCM_S32LE => CODEC_ID_PCM_S32BE,
        CODEC_ID_PCM_F32LE => CODEC_ID_PCM_F32BE,
        CODEC_ID_PCM_F64LE => CODEC_ID_PCM_F64BE,
        codec => codec,
    }
}
