//! Checks how callers sound: levels, rooms, noises and their files.
//!
//! In: values that passed the schema. Out: the checked parts, and problems in the [`Checker`].

use super::checker::Checker;
use super::file_sound::{
    BackgroundFile, BystanderFile, DecibelText, EffectsFile, LevelText, NoiseFile, RoomFile,
};
use super::places::{join, last};
use super::problem::{Code, did_you_mean};
use super::sound::{
    BackgroundConfig, BystanderConfig, NoiseConfig, NoiseFrom, RoomConfig, Scene, SoundConfig,
};
use super::types::{Scenario, SoundFile, UtteranceConfig, UtteranceSource};
use crate::vocab::sound::{DecibelError, decibels, level};
use crate::vocab::{Decibels, NoiseKind};
use std::collections::HashSet;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

/// Bounds in dB, both included.
type Bounds = (f64, f64);

const LEVELS: Bounds = (-60.0, -3.0);
const BACKGROUNDS: Bounds = (-80.0, -10.0);
const RATIOS: Bounds = (-20.0, 60.0);
const GAINS: Bounds = (-60.0, 40.0);
const CLIPS: Bounds = (0.1, 40.0);
/// Direct sound above reverberation, unless set: a telephone at arm's length in a living room.
const DIRECT_DB: f64 = 3.0;
const RT60S: RangeInclusive<Duration> = Duration::from_millis(50)..=Duration::from_secs(3);
const STARTS: RangeInclusive<Duration> = Duration::ZERO..=Duration::from_secs(60);
const IN_RANGE: &str = "choose a value in this range";
/// Largest number of utterances times scenes: each is mixed and encoded before the run.
const MOST_MIXES: usize = 10_000;
/// The reference agent finds the end of speech by level: noise that is closer to the speech than
/// this counts as speech at times.
const AGENT_NEEDS_DB: f64 = 23.0;

impl Checker<'_> {
    /// How speech sounds. `said`: the utterances, which a bystander may say.
    pub(super) fn effects(
        &mut self,
        file: Option<&EffectsFile>,
        at: &str,
        said: &[(String, Option<PathBuf>)],
    ) -> SoundConfig {
        let Some(file) = file else {
            return SoundConfig::default();
        };
        let bystander = file.bystander.as_ref();
        SoundConfig {
            level: self.level(file.level.as_ref(), &join(at, "level"), LEVELS),
            room: file
                .room
                .as_ref()
                .and_then(|room| self.room(room, &join(at, "room"))),
            bystander: bystander.and_then(|b| self.bystander(b, &join(at, "bystander"), said)),
            noise: file
                .noise
                .as_ref()
                .and_then(|noise| self.noise(noise, &join(at, "noise"))),
            microphone: file.microphone,
            gain: self.decibels(file.gain.as_ref(), &join(at, "gain"), GAINS),
            clip: self.decibels(file.clip.as_ref(), &join(at, "clip"), CLIPS),
            band: file.band,
        }
    }

    /// The sounds from which the seed picks one for each call; none if nothing is specified.
    pub(super) fn sounds(
        &mut self,
        one: Option<&EffectsFile>,
        many: Option<&Vec<Option<EffectsFile>>>,
        said: &[(String, Option<PathBuf>)],
    ) -> Vec<SoundConfig> {
        let Some(many) = many else {
            return one
                .map(|one| self.effects(Some(one), "/call/sound", said))
                .into_iter()
                .collect();
        };
        if one.is_some() {
            let message = "a call has either `sound` or `sounds`, not both";
            let hint = "leave one of them out; `sounds` is a list";
            self.problem_at_key("/call/sounds", Code::Contradiction, message, hint);
        }
        let mut sounds = Vec::new();
        for (index, file) in many.iter().enumerate() {
            let at = format!("/call/sounds/{index}");
            let file = self.need(file.as_ref(), &at);
            sounds.push(self.effects(file, &at, said));
        }
        sounds
    }

    /// Noise for whole calls.
    pub(super) fn background(
        &mut self,
        file: Option<&BackgroundFile>,
        at: &str,
    ) -> Option<BackgroundConfig> {
        let file = file?;
        let from = self.noise_from(file.kind, file.file.as_ref(), at);
        let at_level = join(at, "level");
        let level = self.need(file.level.as_ref(), &at_level);
        let level = self.level(level, &at_level, BACKGROUNDS)?;
        from.map(|from| BackgroundConfig { from, level })
    }

    fn room(&mut self, file: &RoomFile, at: &str) -> Option<RoomConfig> {
        let at_rt60 = join(at, "rt60");
        let rt60 = self.needed_duration(file.rt60.as_ref(), &at_rt60, &RT60S, IN_RANGE)?;
        let direct = self.decibels(file.direct.as_ref(), &join(at, "direct"), RATIOS);
        let direct = direct.unwrap_or(Decibels::new(DIRECT_DB));
        Some(RoomConfig { rt60, direct })
    }

    fn bystander(
        &mut self,
        file: &BystanderFile,
        at: &str,
        said: &[(String, Option<PathBuf>)],
    ) -> Option<BystanderConfig> {
        let at_snr = join(at, "snr");
        let snr = self.need(file.snr.as_ref(), &at_snr);
        let snr = self.decibels(snr, &at_snr, RATIOS);
        let at_start = join(at, "start");
        let start = file.start.as_ref();
        let start = self.duration_within(start, &at_start, Duration::ZERO, &STARTS, IN_RANGE);
        let (at_file, at_say) = (join(at, "file"), join(at, "say"));
        let path = match (&file.file, &file.say) {
            (Some(file), None) => self.sound_file(file, &at_file),
            (None, Some(name)) => self.said_by(name, &at_say, said),
            (None, None) => {
                let message = "the bystander has neither `file` nor `say`";
                let hint = "name a sound file, or an utterance with `say`";
                self.problem(at, Code::MissingKey, message, hint);
                None
            }
            (Some(_), Some(_)) => {
                let message = "a bystander has either `file` or `say`, not both";
                let hint = "leave one of them out";
                self.problem_at_key(&at_say, Code::Contradiction, message, hint);
                None
            }
        };
        Some(BystanderConfig {
            file: path?,
            snr: snr?,
            start: start?,
        })
    }

    /// The file of an utterance.
    fn said_by(
        &mut self,
        name: &str,
        at: &str,
        said: &[(String, Option<PathBuf>)],
    ) -> Option<PathBuf> {
        let Some((_, file)) = said.iter().find(|(known, _)| known == name) else {
            let shown: String = name.chars().take(64).collect();
            let names = said.iter().map(|(name, _)| name.as_str());
            let hint = did_you_mean(name, names, "utterances");
            let message = format!("there is no utterance `{shown}`");
            self.problem(at, Code::UnknownName, message, hint);
            return None;
        };
        if file.is_none() {
            let message = format!("`{name}` is no sound file, so nobody else can say it");
            let hint = "name an utterance with a `file`, or set `file` here";
            self.problem(at, Code::Contradiction, message, hint);
        }
        file.clone()
    }

    fn noise(&mut self, file: &NoiseFile, at: &str) -> Option<NoiseConfig> {
        let from = self.noise_from(file.kind, file.file.as_ref(), at);
        let at_snr = join(at, "snr");
        let snr = self.need(file.snr.as_ref(), &at_snr);
        let snr = self.decibels(snr, &at_snr, RATIOS)?;
        if self.embedded && snr.as_f64() < AGENT_NEEDS_DB {
            let message = format!(
                "the embedded agent finds the end of speech by level alone: noise less than \
                 {AGENT_NEEDS_DB} dB below the speech hides it"
            );
            let hint = "expect late replies, or call an agent that recognises speech";
            self.doubt(&at_snr, message, hint);
        }
        from.map(|from| NoiseConfig { from, snr })
    }

    fn noise_from(
        &mut self,
        kind: Option<NoiseKind>,
        file: Option<&String>,
        at: &str,
    ) -> Option<NoiseFrom> {
        match (kind, file) {
            (Some(kind), None) => Some(NoiseFrom::Kind(kind)),
            (None, Some(file)) => self
                .sound_file(file, &join(at, "file"))
                .map(NoiseFrom::File),
            (None, None) => {
                // A value that the schema rejected has been reported.
                if self.places.origin(&join(at, "kind")).is_none()
                    && self.places.origin(&join(at, "file")).is_none()
                {
                    let message = "the noise has neither `kind` nor `file`";
                    let hint = "name a sound file, or a `kind` such as `babble`";
                    self.problem(at, Code::MissingKey, message, hint);
                }
                None
            }
            (Some(_), Some(_)) => {
                let message = "a noise has either `kind` or `file`, not both";
                let hint = "leave one of them out";
                self.problem_at_key(&join(at, "file"), Code::Contradiction, message, hint);
                None
            }
        }
    }

    fn sound_file(&mut self, file: &str, at: &str) -> Option<PathBuf> {
        let path = self.folder.join(file);
        if self.is_unset(at) {
            return Some(path);
        }
        let sound = SoundFile {
            path: &path,
            speech_end: None,
            channel: None,
            annotated: false,
        };
        if let Err(error) = (self.load)(&sound) {
            self.problem(at, Code::Audio, error.message, error.hint);
            return None;
        }
        Some(path)
    }

    fn decibels(
        &mut self,
        text: Option<&DecibelText>,
        at: &str,
        bounds: Bounds,
    ) -> Option<Decibels> {
        self.in_decibels(decibels(&text?.0), at, bounds, "dB")
    }

    fn level(&mut self, text: Option<&LevelText>, at: &str, bounds: Bounds) -> Option<Decibels> {
        self.in_decibels(level(&text?.0), at, bounds, "dBFS")
    }

    fn in_decibels(
        &mut self,
        read: Result<Decibels, DecibelError>,
        at: &str,
        (least, most): Bounds,
        unit: &str,
    ) -> Option<Decibels> {
        let name = last(at);
        match read {
            Ok(value) if (least..=most).contains(&value.as_f64()) => Some(value),
            Ok(_) => {
                let message = format!("`{name}` must be between {least}{unit} and {most}{unit}");
                self.problem(at, Code::BadValue, message, IN_RANGE);
                None
            }
            Err(error) => {
                let message = format!("`{name}`: {error}");
                self.problem(at, Code::BadValue, message, error.hint());
                None
            }
        }
    }

    /// Bounds the number of mixes, which are made before the run.
    pub(super) fn mixes(&mut self, scenario: &Scenario) {
        let scenes: HashSet<Scene> = scenario.scenes().collect();
        let utterances = scenario.utterances.len();
        let count = scenes.len() * utterances;
        if count > MOST_MIXES {
            let scenes = scenes.len();
            let message = format!(
                "{utterances} utterances in {scenes} sounds are {count} mixes, more than {MOST_MIXES}"
            );
            let hint = "use fewer utterances, fewer `sounds`, or fewer variants with a `sound`";
            self.problem("/call", Code::TooLarge, message, hint);
        }
    }
}

/// The names of utterances, with their files.
pub(super) fn said(utterances: &[UtteranceConfig]) -> Vec<(String, Option<PathBuf>)> {
    let of = |u: &UtteranceConfig| match &u.source {
        UtteranceSource::File(path) => Some(path.clone()),
        UtteranceSource::Silence(_) | UtteranceSource::Dtmf(..) => None,
    };
    utterances.iter().map(|u| (u.name.clone(), of(u))).collect()
}
