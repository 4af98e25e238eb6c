//! The waveform of a turn whose audio was kept, for reports that draw it.
//!
//! In: the evidence folder, and the entry of a turn in its index. Out: a [`Wave`]. Invariants: at
//! most [`COLUMNS`] levels per side, however much audio there is; a file that cannot be read has no
//! waveform.

use super::evidence::EvidenceTurn;
use std::path::Path;

/// Levels per side.
const COLUMNS: usize = 240;
/// Longest file that is read, in samples of both channels: ten minutes at 48 kHz.
const LONGEST: u32 = 2 * 600 * 48_000;

/// The loudest sample of each piece of a turn's audio, 0 to 255.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Wave {
    /// Index of the turn's call in the plan.
    pub call: usize,
    /// Index of the turn in its call.
    pub turn: usize,
    /// Levels of the caller's audio.
    pub caller: Vec<u8>,
    /// Levels of the agent's audio at the caller.
    pub agent: Vec<u8>,
}

impl Wave {
    /// Reads the audio of a turn from `folder`; `None` if the file cannot be read.
    pub(in crate::record) fn read(folder: &Path, kept: &EvidenceTurn) -> Option<Self> {
        let mut wav = hound::WavReader::open(folder.join(&kept.file)).ok()?;
        let spec = wav.spec();
        if spec.channels != 2 || spec.bits_per_sample != 16 || wav.len() > LONGEST {
            return None;
        }
        let frames = (wav.duration() as usize).max(1);
        let mut sides = [vec![0_u8; COLUMNS], vec![0_u8; COLUMNS]];
        for (nth, sample) in wav.samples::<i16>().enumerate() {
            // The top eight bits of the sample's magnitude.
            let level = (sample.ok()?.unsigned_abs() >> 7).min(255) as u8;
            let column = (nth / 2 * COLUMNS / frames).min(COLUMNS - 1);
            let place = &mut sides[nth % 2][column];
            *place = level.max(*place);
        }
        let [caller, agent] = sides;
        Some(Self {
            call: kept.call,
            turn: kept.turn,
            caller,
            agent,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::fixtures::kept;
    use crate::record::{EVIDENCE_FOLDER, EvidenceFolder};

    #[test]
    fn a_waveform_column_is_the_peak_of_its_samples() {
        let run = tempfile::tempdir().unwrap();
        let path = run.path().join(EVIDENCE_FOLDER);
        let folder = EvidenceFolder::create(&path).unwrap();
        // The caller in the first half, the agent in the last quarter.
        let frames = 4_800;
        let when = |sounds: fn(usize) -> bool, level: i16| -> Vec<i16> {
            (0..frames)
                .map(|n| if sounds(n) { level } else { 0 })
                .collect()
        };
        let (left, right) = (when(|n| n < 2_400, i16::MIN), when(|n| n >= 3_600, 12_800));
        folder
            .audio(&EvidenceFolder::name(5, 0), 48_000, &left, &right)
            .unwrap();
        let wave = Wave::read(&path, &kept(5, 0)).unwrap();
        assert_eq!((wave.call, wave.turn), (5, 0));
        assert!(wave.caller[..COLUMNS / 2].iter().all(|l| *l == 255));
        assert!(wave.caller[COLUMNS / 2..].iter().all(|l| *l == 0));
        assert!(wave.agent[..COLUMNS * 3 / 4].iter().all(|l| *l == 0));
        assert!(wave.agent[COLUMNS * 3 / 4..].iter().all(|l| *l == 100));
    }
}
