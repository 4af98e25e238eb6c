//! Checks what a scenario says about the conversation as a whole: fillers, awkward silences.
//!
//! In: values that passed the schema. Out: the checked parts, and problems in the [`Checker`].

use super::checker::{Checker, Zero};
use super::file::{CallFile, FillerFile};
use crate::vocab::Filler;
use std::ops::RangeInclusive;
use std::time::Duration;

const AWKWARD: Duration = Duration::from_secs(3);
const FILLER: Filler = Filler {
    max: Duration::from_millis(1500),
    gap: Duration::from_millis(250),
};
/// Longer speech is an answer, not a filler.
const LENGTHS: RangeInclusive<Duration> = Duration::from_millis(20)..=Duration::from_secs(10);
/// Shorter silences are pauses in speech, longer ones a mistake.
const GAPS: RangeInclusive<Duration> = Duration::from_millis(200)..=Duration::from_secs(60);

impl Checker<'_> {
    pub(super) fn awkward_silence(&mut self, file: &CallFile) -> Duration {
        let written = file.awkward_silence.as_ref();
        self.duration(written, "/call/awkward_silence", AWKWARD, Zero::Refused)
    }

    pub(super) fn filler(&mut self, file: Option<&FillerFile>) -> Option<Filler> {
        let file = file?;
        let hint = "a filler is as long as \"let me check\": `filler: {max: 1500ms, gap: 250ms}`";
        let [at_max, at_gap] = ["/call/filler/max", "/call/filler/gap"];
        let max = self.duration_within(file.max.as_ref(), at_max, FILLER.max, &LENGTHS, hint);
        let gap = self.duration_within(file.gap.as_ref(), at_gap, FILLER.gap, &GAPS, hint);
        Some(Filler {
            max: max.unwrap_or(FILLER.max),
            gap: gap.unwrap_or(FILLER.gap),
        })
    }
}
