//! Waveforms of the kept audio, for a page that draws them.
//!
//! In: a run's folder and its record. Out: a [`Wave`] for each turn that a page shows.
//! Invariants: at most [`COLUMNS`] levels per side and 2 · [`SHOWN`] turns, however much audio
//! there is; a file that cannot be read has no waveform.

use super::{EVIDENCE_FOLDER, EvidenceTurn, Outcome, RunRecord, TurnRecord};
use std::path::Path;

/// Turns of each kind that a page shows: the slowest, and the unanswered.
const SHOWN: usize = 10;
/// Levels per side.
const COLUMNS: usize = 240;
/// Longest file that is read, in samples of both sides: ten minutes at 48 kHz.
const LONGEST: u32 = 2 * 600 * 48_000;

/// The loudest sample of each piece of a turn's audio, 0 to 255.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wave {
    /// The turn's call in the plan.
    pub call: usize,
    /// Index of the turn in its call.
    pub turn: usize,
    /// What the caller said.
    pub caller: Vec<u8>,
    /// What the caller heard.
    pub agent: Vec<u8>,
}

impl RunRecord {
    /// Reads the waveforms of the turns that a page shows.
    pub fn with_waves(mut self, folder: &Path) -> Self {
        let shown = self.slowest().into_iter().chain(self.unanswered());
        let kept = shown.filter_map(|t| self.evidence_of(t));
        let folder = folder.join(EVIDENCE_FOLDER);
        self.waves = kept.filter_map(|e| Wave::read(&folder, e)).collect();
        self
    }

    /// The measured turns with the longest `ttfa`, the longest first.
    pub fn slowest(&self) -> Vec<&TurnRecord> {
        let mut turns: Vec<_> =
            self.asked(|t| t.outcome == Outcome::Replied && t.ttfa_ms.is_some());
        turns.sort_by_key(|t| (std::cmp::Reverse(t.ttfa_ms), t.call, t.turn));
        turns.truncate(SHOWN);
        turns
    }

    /// The first measured turns that were missed, answered early or failed, and whose audio is
    /// kept.
    pub fn unanswered(&self) -> Vec<&TurnRecord> {
        let mut turns =
            self.asked(|t| t.outcome != Outcome::Replied && self.evidence_of(t).is_some());
        turns.truncate(SHOWN);
        turns
    }

    /// The kept audio of a turn, if there is any.
    pub fn evidence_of(&self, turn: &TurnRecord) -> Option<&EvidenceTurn> {
        let kept = &self.evidence.as_ref()?.turns;
        kept.iter()
            .find(|e| (e.call, e.turn) == (turn.call, turn.turn))
    }

    fn asked(&self, which: impl Fn(&TurnRecord) -> bool) -> Vec<&TurnRecord> {
        let asked = |t: &&TurnRecord| t.counts() && t.expect.asks_for_reply();
        self.turns
            .iter()
            .filter(asked)
            .filter(|t| which(t))
            .collect()
    }
}

impl Wave {
    fn read(folder: &Path, kept: &EvidenceTurn) -> Option<Self> {
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
    use super::super::fixtures::{Outcome, Run, facts};
    use super::super::{
        EVIDENCE_VERSION, Ending, Evidence, EvidenceFolder, EvidenceReason, Ms, Summary,
    };
    use super::*;

    fn kept(call: usize, turn: usize) -> EvidenceTurn {
        EvidenceTurn {
            file: EvidenceFolder::name(call, turn),
            call,
            turn,
            why: EvidenceReason::All,
            sample_rate: 48_000,
            start_ms: Ms::default(),
            length_ms: Ms::from_micros(1_000_000),
            speech_end_ms: Ms::from_micros(500_000),
            onset_ms: None,
            onset_wire_ms: None,
            cut: false,
        }
    }

    fn record(kept: Vec<EvidenceTurn>) -> RunRecord {
        let mut run = Run::default();
        run.good(5).bad(Outcome::Missed, None);
        let summary = Summary::build(&facts(6, Ending::Finished), &run.calls, &run.turns, &[]);
        let evidence = Evidence {
            version: EVIDENCE_VERSION,
            measurement_version: super::super::MEASUREMENT_VERSION,
            turns: kept,
            left_out: 0,
        };
        RunRecord {
            evidence: Some(evidence),
            ..RunRecord::new(summary, run.turns, run.calls, None)
        }
    }

    #[test]
    fn the_slowest_and_the_unanswered_are_shown() {
        let record = record(vec![kept(5, 1), kept(0, 0)]);
        let slowest = record.slowest();
        assert_eq!(slowest.len(), SHOWN);
        assert!(slowest.is_sorted_by_key(|t| std::cmp::Reverse(t.ttfa_ms)));
        let unanswered: Vec<_> = record
            .unanswered()
            .iter()
            .map(|t| (t.call, t.turn))
            .collect();
        assert_eq!(unanswered, [(5, 1)], "only what can be heard");
    }

    #[test]
    fn a_wave_has_the_loudest_of_each_piece() {
        let run = tempfile::tempdir().unwrap();
        let folder = EvidenceFolder::create(&run.path().join(EVIDENCE_FOLDER)).unwrap();
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
        let broken = run
            .path()
            .join(EVIDENCE_FOLDER)
            .join(EvidenceFolder::name(5, 1));
        std::fs::write(broken, b"RIFF?").unwrap();
        let record = record(vec![kept(5, 0), kept(5, 1), kept(5, 2)]).with_waves(run.path());
        // The second file is not audio, the third does not exist.
        assert_eq!(record.waves.len(), 1);
        let wave = &record.waves[0];
        assert_eq!((wave.call, wave.turn), (5, 0));
        assert!(wave.caller[..COLUMNS / 2].iter().all(|l| *l == 255));
        assert!(wave.caller[COLUMNS / 2..].iter().all(|l| *l == 0));
        assert!(wave.agent[..COLUMNS * 3 / 4].iter().all(|l| *l == 0));
        assert!(wave.agent[COLUMNS * 3 / 4..].iter().all(|l| *l == 100));
    }
}
