//! Compares the channels of a stereo stream.
//!
//! In: the energies of both channels and of their mean, packet by packet. Out: what is wrong with
//! the channels of a talk spurt. Invariant: a mono stream has no defect.

use crate::audio::stereo::ChannelEnergy;
use crate::vocab::StereoDefect;

/// A channel is silent if its energy is this share of the other's at most: −30 dB.
const SILENT: f64 = 1e-3;
/// Channels cancel each other out if their mean has this share of their energy at most: −13 dB.
const CANCELLED: f64 = 0.05;
/// Energy of a talk spurt that is judged: 200 ms at −50 dBFS.
const AUDIBLE: f64 = 9_600.0 * 1e-5 * 32_768.0 * 32_768.0;

/// The channels of the current talk spurt.
#[derive(Debug, Default)]
pub(super) struct Channels(ChannelEnergy);

impl Channels {
    /// Adds a packet.
    pub(super) fn packet(&mut self, of: ChannelEnergy) {
        self.0.left += of.left;
        self.0.right += of.right;
        self.0.mean += of.mean;
    }

    /// The talk spurt is over: what was wrong with it.
    pub(super) fn ended(&mut self) -> Option<StereoDefect> {
        let ChannelEnergy { left, right, mean } = std::mem::take(self).0;
        if left.max(right) < AUDIBLE {
            None
        } else if left.min(right) <= left.max(right) * SILENT {
            Some(StereoDefect::OneSided)
        } else if mean <= f64::midpoint(left, right) * CANCELLED {
            Some(StereoDefect::Antiphase)
        } else {
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_sided_and_antiphase_streams_are_defects_and_others_are_not() {
        let loud = AUDIBLE * 10.0;
        for (left, right, mean, expected) in [
            (loud, 0.0, loud / 4.0, Some(StereoDefect::OneSided)),
            (0.0, loud, loud / 4.0, Some(StereoDefect::OneSided)),
            (loud, loud, 0.0, Some(StereoDefect::Antiphase)),
            (loud, loud, loud, None),
            (loud, loud / 100.0, loud / 3.0, None),
            (AUDIBLE / 10.0, 0.0, 0.0, None),
        ] {
            let mut channels = Channels::default();
            channels.packet(ChannelEnergy { left, right, mean });
            assert_eq!(channels.ended(), expected, "{left} {right} {mean}");
            assert_eq!(channels.ended(), None, "counted once");
        }
    }
}
