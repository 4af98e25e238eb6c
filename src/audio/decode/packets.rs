//! Decodes the packets of one track: Opus with libopus, everything else with symphonia.
//!
//! In: packets. Out: interleaved samples in −1..1. Invariant: the number of channels is at least 1.

use super::super::{AudioError, MAX_PACKET, RATE};
use opus::Channels;
use symphonia::core::codecs::audio::well_known::CODEC_ID_OPUS;
use symphonia::core::codecs::audio::{AudioCodecParameters, AudioDecoder, AudioDecoderOptions};
use symphonia::core::errors::Error as SymphoniaError;
use symphonia::core::packet::Packet;

/// The decoder for one track.
pub(super) enum Decoding {
    Opus(OpusTrack),
    Other {
        decoder: Box<dyn AudioDecoder>,
        interleaved: Vec<f32>,
    },
}

/// An Opus stream in a file.
pub(super) struct OpusTrack {
    decoder: opus::Decoder,
    channels: usize,
    /// Samples to discard at the start of the recording, from the stream's header.
    pre_skip: Option<u16>,
    interleaved: Vec<f32>,
}

/// The decoded audio of one packet.
pub(super) struct Decoded<'a> {
    pub(super) rate: u32,
    pub(super) channels: usize,
    pub(super) samples: &'a [f32],
}

impl Decoding {
    /// Creates the decoder of a track.
    ///
    /// # Errors
    /// [`AudioError::Unsupported`].
    pub(super) fn new(params: &AudioCodecParameters) -> Result<Self, AudioError> {
        if params.codec == CODEC_ID_OPUS {
            return OpusTrack::new(params).map(Self::Opus);
        }
        let options = AudioDecoderOptions::default();
        let decoder = symphonia::default::get_codecs().make_audio_decoder(params, &options);
        Ok(Self::Other {
            decoder: decoder.map_err(unsupported)?,
            interleaved: Vec::new(),
        })
    }

    /// Decodes a packet.
    ///
    /// # Errors
    /// [`AudioError::Damaged`], or [`AudioError::Codec`] from libopus.
    pub(super) fn decode(&mut self, packet: &Packet) -> Result<Decoded<'_>, AudioError> {
        match self {
            Self::Opus(track) => track.decode(&packet.data),
            Self::Other {
                decoder,
                interleaved,
            } => {
                let decoded = decoder.decode(packet).map_err(damaged)?;
                let channels = decoded.spec().channels().count();
                let rate = decoded.spec().rate();
                if channels == 0 {
                    return Err(AudioError::Damaged {
                        detail: "a packet without channels".to_owned(),
                    });
                }
                decoded.copy_to_vec_interleaved::<f32>(interleaved);
                Ok(Decoded {
                    rate,
                    channels,
                    samples: interleaved,
                })
            }
        }
    }

    /// Whether the track is Opus.
    pub(super) fn is_opus(&self) -> bool {
        matches!(self, Self::Opus(_))
    }

    /// Samples to discard at the start of the recording, from the header of an Opus stream.
    pub(super) fn pre_skip(&self) -> Option<u64> {
        match self {
            Self::Opus(track) => track.pre_skip.map(u64::from),
            Self::Other { .. } => None,
        }
    }
}

impl OpusTrack {
    fn new(params: &AudioCodecParameters) -> Result<Self, AudioError> {
        let head = params.extra_data.as_deref().and_then(Head::read);
        let told = params
            .channels
            .as_ref()
            .map_or(1, |channels| channels.count());
        let channels = head
            .as_ref()
            .map_or(told, |head| usize::from(head.channels));
        let pair = match channels {
            1 => Channels::Mono,
            2 => Channels::Stereo,
            _ => return Err(surround(channels)),
        };
        if head.as_ref().is_some_and(|head| head.streams != 1) {
            return Err(surround(channels));
        }
        let mut decoder = opus::Decoder::new(RATE, pair)?;
        decoder.set_gain(head.as_ref().map_or(0, |head| i32::from(head.gain)))?;
        Ok(Self {
            decoder,
            channels,
            pre_skip: head.map(|head| head.pre_skip),
            interleaved: vec![0.0; MAX_PACKET * channels],
        })
    }

    fn decode(&mut self, payload: &[u8]) -> Result<Decoded<'_>, AudioError> {
        // libopus treats an empty payload as a lost packet.
        let count = match payload {
            [] => 0,
            payload => {
                let decoded = self
                    .decoder
                    .decode_float(payload, &mut self.interleaved, false);
                decoded.map_err(|e| AudioError::Damaged {
                    detail: e.to_string(),
                })?
            }
        };
        Ok(Decoded {
            rate: RATE,
            channels: self.channels,
            samples: &self.interleaved[..count * self.channels],
        })
    }
}

fn surround(channels: usize) -> AudioError {
    AudioError::Unsupported {
        detail: format!("Opus with {channels} channels"),
    }
}

/// The identification header of an Opus stream (RFC 7845, 5.1), or the same fields from a `dOps`
/// box (*Encapsulation of Opus in ISO Base Media File Format*, 4.3.2), whose version is 0 and whose
/// integers are big-endian.
struct Head {
    channels: u8,
    pre_skip: u16,
    /// In 1/256 dB.
    gain: i16,
    streams: u8,
}

impl Head {
    fn read(bytes: &[u8]) -> Option<Self> {
        let rest = bytes.strip_prefix(b"OpusHead")?;
        let two = |at: usize| -> Option<u16> {
            let two = rest.get(at..at + 2)?.try_into().ok()?;
            Some(match rest[0] {
                0 => u16::from_be_bytes(two),
                _ => u16::from_le_bytes(two),
            })
        };
        let streams = match *rest.get(10)? {
            0 => 1,
            _ => *rest.get(11)?,
        };
        Some(Self {
            channels: rest[1],
            pre_skip: two(2)?,
            gain: two(8)? as i16,
            streams,
        })
    }
}

/// The error for unknown formats and codecs.
pub(super) fn unsupported(error: SymphoniaError) -> AudioError {
    AudioError::Unsupported {
        detail: error.to_string(),
    }
}

/// The error for data that cannot be read.
pub(super) fn damaged(error: SymphoniaError) -> AudioError {
    AudioError::Damaged {
        detail: error.to_string(),
    }
}
