//! Checks `utterances`: files, silence, digits, and how each sounds.
//!
//! In: values that passed the schema. Out: the checked utterances, and problems in the [`Checker`].

use super::checker::{Checker, Zero};
use super::file::{DurationText, UtteranceFile};
use super::places::{join, readable};
use super::problem::Code;
use super::types::{Doubtful, UtteranceConfig, UtteranceSource};
use crate::audio::mix::{Digits, dial};
use crate::audio::time_of;
use crate::vocab::DialledAs;
use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

/// Valid lengths of a silence; recordings are at most 10 minutes long as well.
const SILENCES: RangeInclusive<Duration> = Duration::from_millis(100)..=Duration::from_secs(600);

impl Checker<'_> {
    /// Checks every utterance; one that cannot be read is replaced by a placeholder with its name.
    pub(super) fn utterances(
        &mut self,
        file: &BTreeMap<String, Option<UtteranceFile>>,
    ) -> Vec<UtteranceConfig> {
        let files = file.iter().map(|(name, entry)| {
            let path = entry.as_ref().and_then(|entry| entry.file.as_ref());
            (name.clone(), path.map(|path| self.folder.join(path)))
        });
        let said: Vec<(String, Option<PathBuf>)> = files.collect();
        let mut utterances = Vec::new();
        for (name, entry) in file {
            let pointer = join("/utterances", name);
            let entry = entry.as_ref();
            let source = entry.and_then(|entry| self.said_from(entry, &pointer));
            let sound = entry.and_then(|entry| entry.sound.as_ref());
            let mut utterance = UtteranceConfig {
                name: name.clone(),
                // Turns refer to utterances by index, so one that cannot be read keeps its place.
                source: source.unwrap_or_else(|| UtteranceSource::File(self.folder.to_path_buf())),
                sound: self.effects(sound, &join(&pointer, "sound"), &said),
                kind: entry.and_then(|entry| entry.kind).unwrap_or_default(),
                text: entry.and_then(|entry| entry.text.clone()),
                speech_end: entry.and_then(|entry| self.speech_end(entry, &pointer)),
                channel: entry.and_then(|entry| entry.channel),
                length: None,
            };
            if entry.is_some_and(|e| e.file.is_some() || e.silence.is_some() || e.dtmf.is_some()) {
                self.measure(&mut utterance, &join(&pointer, "file"));
            }
            utterances.push(utterance);
        }
        utterances
    }

    fn speech_end(&mut self, entry: &UtteranceFile, pointer: &str) -> Option<Duration> {
        let at = join(pointer, "speech_end");
        let text = entry.speech_end.as_ref();
        let end = self.duration(text, &at, Duration::ZERO, Zero::Refused);
        (!end.is_zero()).then_some(end)
    }

    /// Where the audio comes from: exactly one of `file`, `silence` and `dtmf`.
    fn said_from(&mut self, entry: &UtteranceFile, pointer: &str) -> Option<UtteranceSource> {
        let at = |key: &str| join(pointer, key);
        let keys = ["file", "silence", "dtmf"].map(at);
        let given: Vec<&String> = keys
            .iter()
            .filter(|key| self.places.origin(key).is_some())
            .collect();
        match given[..] {
            [] => {
                let message = "the utterance has no `file`";
                let hint = "name a sound file; or say nothing with `silence`, or dial with `dtmf`";
                self.problem(pointer, Code::MissingKey, message, hint);
                return None;
            }
            [_] => {}
            [_, second, ..] => {
                let message = "an utterance has only one of `file`, `silence` and `dtmf`";
                let hint = "leave the others out, or make them utterances of their own";
                self.problem_at_key(second, Code::Contradiction, message, hint);
                return None;
            }
        }
        let [at_file, at_silence, at_dtmf] = &keys;
        if given[0] != at_file {
            self.only_of_files(pointer);
        }
        let at_as = join(pointer, "dtmf_as");
        if given[0] != at_dtmf && self.places.origin(&at_as).is_some() {
            let message = "`dtmf_as` is about `dtmf`, and there is none";
            self.problem_at_key(&at_as, Code::Contradiction, message, "leave it out");
        }
        if given[0] == at_silence {
            let text = self.need(entry.silence.as_ref(), at_silence)?;
            return self.silence_of(text, at_silence);
        }
        if given[0] == at_dtmf {
            let text = self.need(entry.dtmf.as_ref(), at_dtmf)?;
            return self.digits(text, at_dtmf, entry.dtmf_as.unwrap_or_default(), pointer);
        }
        let file = self.need(entry.file.as_ref(), at_file)?;
        Some(UtteranceSource::File(self.folder.join(file)))
    }

    /// Reports keys that have no meaning without a file.
    fn only_of_files(&mut self, pointer: &str) {
        for key in ["speech_end", "channel"] {
            let at = join(pointer, key);
            if self.places.origin(&at).is_some() {
                let message = format!("`{key}` is about a `file`, and there is none");
                self.problem_at_key(&at, Code::Contradiction, message, "leave it out");
            }
        }
    }

    fn silence_of(&mut self, text: &DurationText, at: &str) -> Option<UtteranceSource> {
        let hint = "to wait before an utterance, set `delay` in the turn's `start`";
        let length = self.duration_within(Some(text), at, *SILENCES.start(), &SILENCES, hint);
        length.map(UtteranceSource::Silence)
    }

    fn digits(
        &mut self,
        text: &str,
        at: &str,
        dialled: DialledAs,
        pointer: &str,
    ) -> Option<UtteranceSource> {
        if self.embedded && dialled.has_events() {
            let message = "the embedded agent receives no `events`";
            let hint = "leave it out to dial with tones, or set `target.kind: livekit`";
            self.problem(
                &join(pointer, "dtmf_as"),
                Code::Contradiction,
                message,
                hint,
            );
        }
        match text.parse::<Digits>() {
            Ok(digits) => Some(UtteranceSource::Dtmf(digits, dialled)),
            Err(error) => {
                let hint = "digits are 0 to 9, `*`, `#` and `A` to `D`; `,` is a pause of 500ms";
                self.problem(at, Code::BadValue, format!("`dtmf`: {error}"), hint);
                None
            }
        }
    }

    /// Fills in the length, and reads the sound file, if there is one.
    fn measure(&mut self, utterance: &mut UtteranceConfig, at_file: &str) {
        match &utterance.source {
            UtteranceSource::Silence(length) => utterance.length = Some(*length),
            UtteranceSource::Dtmf(digits, _) => {
                utterance.length = Some(time_of(dial(digits).pcm.len() as u64));
            }
            UtteranceSource::File(_) => self.read(utterance, at_file),
        }
    }

    fn read(&mut self, utterance: &mut UtteranceConfig, at_file: &str) {
        let Some(sound) = utterance.recording().filter(|_| !self.is_unset(at_file)) else {
            return;
        };
        match (self.load)(&sound) {
            Ok(None) => {}
            Ok(Some(loaded)) => {
                utterance.length = Some(loaded.length);
                let doubts = loaded.doubts.into_iter().map(|doubt| Doubtful {
                    path: readable(at_file),
                    place: self.places.value(at_file),
                    message: doubt.message,
                    hint: doubt.hint,
                });
                self.doubts.extend(doubts);
            }
            Err(error) => self.problem(at_file, Code::Audio, error.message, error.hint),
        }
    }
}
