//! Mixes and encodes everything that callers send, before the run.
//!
//! In: a scenario. Out: for every scene (a variant's calls with one of the sounds), its utterances
//! and its background. Invariants: equal mixes are made once and shared; the scenario's seed
//! determines every sample.

use super::background::Background;
use super::error::RunError;
use super::sounds::{EncodedUtterance, load_said, load_utterance, presses, unusable};
use crate::audio::echo::Spoken;
use crate::audio::mix::{
    Bed, Bystander, Effects, Line, NoiseSource, Room, floats, loop_of, mixed, noise_loop,
};
use crate::audio::{AudioError, Codec, FRAME, Utterance};
use crate::plan::PlannedCall;
use crate::scenario::{
    BackgroundConfig, NoiseFrom, Scenario, Scene, SoundConfig, SoundFile, UtteranceConfig,
};
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Frames of the background between the places at which two utterances begin: a prime, so that
/// they are spread over the loop.
const APART: usize = 211;
/// The same for the places at which two calls begin.
const CALLS_APART: usize = 97;

/// What the callers of one scene send.
#[derive(Debug, Clone)]
pub(super) struct SceneSounds {
    /// By index of the utterance.
    pub said: Vec<EncodedUtterance>,
    /// Between the utterances.
    background: Background,
}

/// Everything that callers send.
#[derive(Debug)]
pub(super) struct Sounds {
    /// By variant, then by pick; equal scenes are shared.
    scenes: Vec<Arc<SceneSounds>>,
    /// Number of sounds from which the seed picks one for each call.
    picks: usize,
    /// An empty utterance, for turns in which the caller does not speak.
    pub nothing: EncodedUtterance,
    pub silence: Arc<[u8]>,
    pub codec: Codec,
}

impl Sounds {
    /// Reads, mixes and encodes everything.
    pub(super) fn load(scenario: &Scenario, codec: Codec) -> Result<Self, RunError> {
        let clean = scenario.utterances.iter().map(load_said);
        let mut mixer = Mixer {
            utterances: &scenario.utterances,
            clean: clean.collect::<Result<_, RunError>>()?,
            seed: scenario.seed,
            codec,
            silence: codec.silence().map_err(RunError::Codec)?,
            recordings: HashMap::new(),
            loops: HashMap::new(),
            beds: HashMap::new(),
            said: HashMap::new(),
        };
        let mut known: HashMap<Scene, Arc<SceneSounds>> = HashMap::new();
        let mut scenes = Vec::new();
        for scene in scenario.scenes() {
            let sounds = match known.get(&scene) {
                Some(sounds) => sounds.clone(),
                None => Arc::new(mixer.scene(&scene)?),
            };
            known.insert(scene, sounds.clone());
            scenes.push(sounds);
        }
        Ok(Self {
            scenes,
            picks: scenario.sounds(),
            nothing: EncodedUtterance::nothing(),
            silence: mixer.silence,
            codec,
        })
    }

    /// The same utterances in every call, and silence between them.
    #[cfg(test)]
    pub(super) fn plain(said: Vec<EncodedUtterance>, silence: Arc<[u8]>, codec: Codec) -> Self {
        let background = Background::silent(silence.clone());
        Self {
            scenes: vec![Arc::new(SceneSounds { said, background })],
            picks: 1,
            nothing: EncodedUtterance::nothing(),
            silence,
            codec,
        }
    }

    /// What the caller of a call says.
    pub(super) fn of(&self, call: &PlannedCall) -> &SceneSounds {
        let at = call.variant * self.picks + call.sound;
        // Every variant and every pick has a scene.
        &self.scenes[at.min(self.scenes.len() - 1)]
    }

    /// What the caller of a call sends between its utterances.
    pub(super) fn background(&self, call: &PlannedCall) -> Background {
        let mut background = self.of(call).background.clone();
        let from = (call.index as usize).wrapping_mul(CALLS_APART);
        background.start_at(from);
        background
    }
}

/// Makes mixes, and remembers them.
struct Mixer<'a> {
    utterances: &'a [UtteranceConfig],
    clean: Vec<Utterance>,
    seed: u64,
    codec: Codec,
    silence: Arc<[u8]>,
    /// Bystanders and noise, by file.
    recordings: HashMap<PathBuf, Arc<[i16]>>,
    loops: HashMap<NoiseFrom, Arc<[f32]>>,
    beds: HashMap<(BackgroundConfig, SoundConfig), Bed>,
    said: HashMap<(usize, SoundConfig, Option<BackgroundConfig>), EncodedUtterance>,
}

impl Mixer<'_> {
    fn scene(&mut self, scene: &Scene) -> Result<SceneSounds, RunError> {
        let background = match &scene.background {
            Some(background) => {
                let bed = self.bed(background, &scene.sound)?;
                Background::noise(bed.frames)
            }
            None => None,
        };
        let said = (0..self.utterances.len()).map(|index| self.said(index, scene));
        Ok(SceneSounds {
            said: said.collect::<Result<_, RunError>>()?,
            background: background.unwrap_or_else(|| Background::silent(self.silence.clone())),
        })
    }

    fn said(&mut self, index: usize, scene: &Scene) -> Result<EncodedUtterance, RunError> {
        let sound = self.utterances[index].sound.over(&scene.sound);
        let key = (index, sound, scene.background.clone());
        if let Some(said) = self.said.get(&key) {
            return Ok(said.clone());
        }
        let said = self.made(index, &key.1, scene)?;
        self.said.insert(key, said.clone());
        Ok(said)
    }

    fn made(
        &mut self,
        index: usize,
        sound: &SoundConfig,
        scene: &Scene,
    ) -> Result<EncodedUtterance, RunError> {
        let seed = self.seed.wrapping_mul(1 << 20).wrapping_add(index as u64);
        let effects = self.effects(sound, seed)?;
        let bed = match &scene.background {
            Some(background) => Some(self.bed(background, &scene.sound)?),
            None => None,
        };
        let from = bed
            .as_ref()
            .map_or(0, |bed| (index * APART) % bed.frames.len());
        let clean = &self.clean[index];
        if bed.is_none() && *sound == SoundConfig::default() {
            return self.encoded(index, &clean.pcm, None, 0);
        }
        let noise = bed.as_ref().map(|bed| (&*bed.samples, from * FRAME));
        let named = |e| self.unmixed(index, e);
        let pcm = mixed(&clean.pcm, &effects, noise).map_err(named)?;
        self.encoded(
            index,
            &pcm,
            bed.as_ref().map(|bed| (bed, &effects.line)),
            from,
        )
    }

    fn encoded(
        &self,
        index: usize,
        pcm: &[i16],
        bed: Option<(&Bed, &Line)>,
        from: usize,
    ) -> Result<EncodedUtterance, RunError> {
        let clean = &self.clean[index];
        let frames = match bed {
            Some((bed, line)) => bed.encode(pcm, from * FRAME, line, self.codec),
            // Encoded already, when it was read.
            None if self.codec == Codec::Opus && *pcm == *clean.pcm => {
                Ok(clean.frames.iter().map(|f| Arc::from(&**f)).collect())
            }
            None => self.codec.encode(pcm),
        };
        Ok(EncodedUtterance {
            spoken: Spoken::new(pcm),
            frames: frames.map_err(RunError::Codec)?.into(),
            speech_start: clean.speech_start,
            speech_end: clean.speech_end,
            segments: clean.speech_segments().clone(),
            background: from,
            presses: presses(&self.utterances[index]),
        })
    }

    fn effects(&mut self, sound: &SoundConfig, seed: u64) -> Result<Effects, RunError> {
        let noise = match &sound.noise {
            Some(noise) => Some((self.noise(&noise.from)?, noise.snr.as_f64())),
            None => None,
        };
        let bystander = match &sound.bystander {
            Some(other) => Some(Bystander {
                voice: self.recording(&other.file)?,
                snr_db: other.snr.as_f64(),
                start: other.start,
            }),
            None => None,
        };
        Ok(Effects {
            level_dbfs: sound.level.map(|level| level.as_f64()),
            room: sound.room.map(|room| Room {
                rt60: room.rt60,
                direct_db: room.direct.as_f64(),
            }),
            bystander,
            noise,
            line: line(sound),
            seed,
        })
    }

    fn recording(&mut self, path: &Path) -> Result<Arc<[i16]>, RunError> {
        if let Some(read) = self.recordings.get(path) {
            return Ok(read.clone());
        }
        let read = load_utterance(&SoundFile {
            path,
            speech_end: None,
            channel: None,
            annotated: false,
        })?;
        self.recordings.insert(path.to_owned(), read.pcm.clone());
        Ok(read.pcm)
    }

    fn noise(&mut self, from: &NoiseFrom) -> Result<NoiseSource, RunError> {
        Ok(match from {
            NoiseFrom::Kind(kind) => NoiseSource::Kind(*kind),
            NoiseFrom::File(_) => NoiseSource::Loop(self.looped(from)?),
        })
    }

    fn looped(&mut self, from: &NoiseFrom) -> Result<Arc<[f32]>, RunError> {
        if let Some(made) = self.loops.get(from) {
            return Ok(made.clone());
        }
        let made = match from {
            NoiseFrom::Kind(kind) => noise_loop(*kind, self.seed).map_err(RunError::Codec)?,
            NoiseFrom::File(path) => {
                let pcm = floats(&self.recording(path)?);
                loop_of(&pcm).map_err(|e| unusable(path, e))?
            }
        };
        self.loops.insert(from.clone(), made.clone());
        Ok(made)
    }

    /// The background at the far end of the line of the call.
    fn bed(&mut self, background: &BackgroundConfig, sound: &SoundConfig) -> Result<Bed, RunError> {
        let line = line(sound);
        let key = (background.clone(), only_line(sound));
        if let Some(bed) = self.beds.get(&key) {
            return Ok(bed.clone());
        }
        let noise = self.looped(&background.from)?;
        let bed = Bed::new(&noise, background.level.as_f64(), &line, self.codec);
        let bed = bed.map_err(RunError::Codec)?;
        self.beds.insert(key, bed.clone());
        Ok(bed)
    }

    /// An error of a mix, with the file that caused it.
    fn unmixed(&self, index: usize, error: AudioError) -> RunError {
        let utterance = &self.utterances[index];
        let path = utterance.recording().map(|sound| sound.path.to_owned());
        match path {
            Some(path) => unusable(&path, error),
            None => RunError::Codec(error),
        }
    }
}

fn line(sound: &SoundConfig) -> Line {
    Line {
        microphone: sound.microphone,
        gain_db: sound.gain.map_or(0.0, |gain| gain.as_f64()),
        clip_db: sound.clip.map(|clip| clip.as_f64()),
        band: sound.band,
    }
}

/// The settings that a background depends on.
fn only_line(sound: &SoundConfig) -> SoundConfig {
    SoundConfig {
        microphone: sound.microphone,
        gain: sound.gain,
        band: sound.band,
        ..SoundConfig::default()
    }
}

#[cfg(test)]
mod tests;
