//! Audio: PCM in and out of files and Opus, levels, onsets. Pure: bytes and samples only,
//! no file, no clock; instants come in as arguments.
//!
//! One rate inside: [`RATE`] mono `i16`, in frames of [`FRAME`] samples.

mod heard;

pub use heard::{Confidence, Heard, HeardAt, Onset, SPURT_GAP};

use std::time::Duration;

/// Sample rate inside the program, in Hz.
pub const RATE: u32 = 48_000;
/// Samples of one 20 ms frame at [`RATE`].
pub const FRAME: usize = 960;
/// One frame's duration.
pub const FRAME_TIME: Duration = Duration::from_millis(20);
/// The Opus encoder's look-ahead at 48 kHz, in samples: decoded audio lags its input by this much.
pub const OPUS_LOOKAHEAD: usize = 312;
