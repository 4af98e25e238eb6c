//! An utterance of a caller: its audio, its Opus frames, and where its speech starts and ends.
//!
//! In: the bytes of a file and of its sidecar. Out: one immutable utterance that all callers
//! share. Invariants: `speech_start < speech_end ≤` the audio's length; the segments cover the
//! speech from its start to its end; the audio is encoded once.

use super::decode::recording;
use super::doubt::Doubt;
use super::level::judge;
use super::mix::{Dialled, Digits, dial};
use super::pauses::pauses;
use super::segments::{SHORTEST_PAUSE, SpeechSegment, check_pauses, segments};
use super::{AudioError, FRAME, opus, samples_in, time_of};
use crate::vocab::Channel;
use serde::Deserialize;
use std::sync::Arc;
use std::time::Duration;

#[derive(Debug, Clone)]
pub(crate) struct Utterance {
    /// Mono samples at [`RATE`](super::RATE).
    pub pcm: Arc<[i16]>,
    /// Opus packets of 20 ms each, including the encoder's flush (see [`opus::encode`]).
    pub frames: Arc<[Box<[u8]>]>,
    /// Position of the first speech sample, from the start of the audio.
    pub speech_start: Duration,
    /// End of the last speech sample, from the start of the audio.
    pub speech_end: Duration,
    /// See [`Utterance::speech_segments`].
    segments: Arc<[SpeechSegment]>,
    /// Doubts about the recording.
    pub doubts: Vec<Doubt>,
}

/// Information about a sound file that is not in its content.
#[derive(Debug, Clone, Default)]
pub(crate) struct SoundInfo<'a> {
    /// Extension of the file's name, without the dot: a hint about the format.
    pub extension: Option<&'a str>,
    /// The channel to use; if `None`, see [`Recording::mono`](super::recording::Recording::mono).
    pub channel: Option<Channel>,
    /// Annotated start of speech.
    pub speech_start: Option<Duration>,
    /// Annotated end of speech.
    pub speech_end: Option<Duration>,
    /// Annotated pauses; `None` to find them by level.
    pub pauses: Option<Vec<SpeechSegment>>,
}

/// Tolerance for an annotated end past the last sample: writers round up, and lossy formats lose a
/// few samples at the end.
const BEHIND_THE_END: Duration = Duration::from_millis(1);

/// The sidecar `NAME.json` of an audio file: its annotated (not detected) start and end of speech,
/// and the pauses between.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Annotation {
    version: u32,
    #[serde(default)]
    speech_start_ms: Option<f64>,
    speech_end_ms: f64,
    #[serde(default)]
    pauses: Option<Vec<AnnotatedPause>>,
    #[serde(default)]
    text: Option<String>,
}

/// A pause inside the speech, in ms from the start of the file.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct AnnotatedPause {
    start_ms: f64,
    end_ms: f64,
}

/// Exceeds every limit on audio and can still be converted to a `Duration`: a day.
const LONGEST_MS: f64 = 86_400_000.0;

impl Annotation {
    /// Parses a sidecar. `speech_start_ms`, `pauses` and `text` may be left out:
    /// `{"version": 1, "speech_start_ms": 60.0, "speech_end_ms": 2416.041667, "pauses":
    /// [{"start_ms": 900.0, "end_ms": 1400.0}], "text": "…"}`.
    ///
    /// # Errors
    /// [`AudioError::Foreign`] when another program wrote the file, such as a transcript;
    /// [`AudioError::Annotation`] when it is meant as an annotation but is malformed or has another
    /// version, or when its times are negative or out of order.
    pub(crate) fn parse(json: &[u8]) -> Result<Self, AudioError> {
        let wrong = |detail: String| AudioError::Annotation { detail };
        if is_foreign(json) {
            return Err(AudioError::Foreign);
        }
        let made: Self = serde_json::from_slice(json).map_err(|e| wrong(e.to_string()))?;
        if made.version != 1 {
            return Err(wrong(format!("unknown version {}", made.version)));
        }
        let start = made.speech_start_ms.unwrap_or(0.0);
        if !(start >= 0.0 && start < made.speech_end_ms && made.speech_end_ms < LONGEST_MS) {
            return Err(wrong(format!(
                "speech from {start} to {} ms",
                made.speech_end_ms
            )));
        }
        let mut pauses = made.pauses.iter().flatten();
        let bad = |p: &&AnnotatedPause| {
            !(p.start_ms >= 0.0 && p.start_ms < p.end_ms && p.end_ms < LONGEST_MS)
        };
        if let Some(pause) = pauses.find(bad) {
            let (from, to) = (pause.start_ms, pause.end_ms);
            return Err(wrong(format!("pause from {from} to {to} ms")));
        }
        Ok(made)
    }

    /// Position of the first speech sample, if annotated.
    pub(crate) fn speech_start(&self) -> Option<Duration> {
        self.speech_start_ms
            .map(|ms| Duration::from_secs_f64(ms / 1000.0))
    }

    /// End of the last speech sample.
    pub(crate) fn speech_end(&self) -> Duration {
        Duration::from_secs_f64(self.speech_end_ms / 1000.0)
    }

    /// The pauses inside the speech, if annotated; an empty list states that there are none.
    pub(crate) fn pauses(&self) -> Option<Vec<SpeechSegment>> {
        let time = |ms: f64| Duration::from_secs_f64(ms / 1000.0);
        let pauses = self.pauses.as_ref()?.iter();
        Some(pauses.map(|p| (time(p.start_ms), time(p.end_ms))).collect())
    }

    /// The words spoken, if annotated.
    pub(crate) fn text(&self) -> Option<&str> {
        self.text.as_deref()
    }
}

/// Whether another program wrote the JSON file next to a recording: the file has unknown keys, and
/// none of its keys is about speech.
fn is_foreign(json: &[u8]) -> bool {
    let ours = |key: &String| key.starts_with("speech") || key == "version" || key == "text";
    match serde_json::from_slice::<serde_json::Value>(json) {
        Ok(serde_json::Value::Object(object)) => {
            let speech = object.keys().any(|key| key.starts_with("speech"));
            !speech && (object.is_empty() || !object.keys().all(ours))
        }
        Ok(_) => true,
        // Damaged, or longer than the part that was read.
        Err(_) => !json.windows(6).any(|part| part == b"speech"),
    }
}

impl Utterance {
    /// Decodes and encodes an utterance. The start and end of its speech are as annotated, or else
    /// found by level ([`judge`]).
    ///
    /// # Errors
    /// [`AudioError`]: any error of [`recording`], [`AudioError::NoSpeech`], an annotation outside
    /// the audio, or an error of the encoder.
    pub(crate) fn new(bytes: &[u8], about: SoundInfo<'_>) -> Result<Self, AudioError> {
        let (pcm, doubt) = recording(bytes, about.extension)?.mono(about.channel)?;
        let judged = judge(&pcm).ok_or_else(|| Doubt::no_speech(doubt))?;
        let mut doubts = Vec::from_iter(doubt);
        if about.speech_end.is_none() {
            doubts.extend(Doubt::of_end(&judged));
        }
        let (span, length) = (judged.span, time_of(pcm.len() as u64));
        let end = about.speech_end.unwrap_or_else(|| time_of(span.end as u64));
        let start = about
            .speech_start
            .unwrap_or_else(|| time_of(span.start as u64));
        if start >= end || start >= length || end > length + BEHIND_THE_END {
            return Err(AudioError::AnnotationOutside { start, end, length });
        }
        let end = end.min(length);
        let pauses = match about.pauses {
            Some(annotated) => {
                check_pauses(start, end, &annotated)?;
                annotated
            }
            None => {
                let found = pauses(&judged.pcm, &span, samples_in(SHORTEST_PAUSE) as usize);
                let time = |at: usize| time_of(at as u64);
                found
                    .into_iter()
                    .map(|p| (time(p.start), time(p.end)))
                    .collect()
            }
        };
        Ok(Self {
            frames: opus::encode(&pcm)?.into(),
            speech_start: start,
            speech_end: end,
            segments: segments(start, end, &pauses).into(),
            doubts,
            pcm: pcm.into(),
        })
    }

    /// An utterance in which nobody speaks for this long; its end of speech is its end.
    ///
    /// # Errors
    /// An error of the encoder.
    pub(crate) fn silence(length: Duration) -> Result<Self, AudioError> {
        let pcm = vec![0; samples_in(length) as usize];
        Ok(Self {
            frames: opus::encode(&pcm)?.into(),
            speech_start: Duration::ZERO,
            speech_end: time_of(pcm.len() as u64),
            segments: Arc::default(),
            doubts: Vec::new(),
            pcm: pcm.into(),
        })
    }

    /// An utterance in which the caller dials: it "speaks" from the first tone to the last. If the
    /// tones are not audible, each key is an event, which is sent with the first frame of its tone;
    /// the agent knows everything when the last one is sent, so that is the end.
    ///
    /// # Errors
    /// An error of the encoder.
    pub(crate) fn dialled(digits: &Digits, audible: bool) -> Result<Self, AudioError> {
        let Dialled { mut pcm, tones, .. } = dial(digits);
        if !audible {
            pcm.fill(0);
        }
        let time = |at: Option<usize>| time_of(at.unwrap_or_default() as u64);
        // There is at least one tone.
        let start = time(tones.first().map(|tone| tone.0));
        let end = match audible {
            true => time(tones.last().map(|tone| tone.1)),
            false => time(tones.last().map(|tone| tone.0 + FRAME)),
        };
        let pauses = tones
            .windows(2)
            .map(|pair| (time(Some(pair[0].1)), time(Some(pair[1].0))));
        let pauses: Vec<SpeechSegment> = pauses.collect();
        Ok(Self {
            frames: opus::encode(&pcm)?.into(),
            speech_start: start,
            speech_end: end,
            segments: segments(start, end, &pauses).into(),
            doubts: Vec::new(),
            pcm: pcm.into(),
        })
    }

    /// The stretches in which the caller speaks, from the start of the audio: from `speech_start`
    /// to `speech_end`, divided at every pause of [`SHORTEST_PAUSE`] or more. The pauses are those
    /// of the annotation, otherwise those that are found by level.
    pub(crate) fn speech_segments(&self) -> &Arc<[SpeechSegment]> {
        &self.segments
    }

    /// Length of the audio. The frames are longer by the encoder's flush.
    pub(crate) fn length(&self) -> Duration {
        time_of(self.pcm.len() as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audio::OPUS_LOOKAHEAD;
    use crate::audio::speech_span;
    use crate::audio::test_signals::{CALLERS, FIXTURES, sine};

    #[test]
    fn fixtures_load_with_the_annotated_end_of_speech() {
        for fixture in FIXTURES {
            let annotation = fixture.annotation();
            let (start, end) = (annotation.speech_start(), annotation.speech_end());
            let about = SoundInfo {
                extension: Some("wav"),
                speech_start: start,
                speech_end: Some(end),
                ..SoundInfo::default()
            };
            let made = Utterance::new(fixture.wav, about)
                .unwrap_or_else(|e| panic!("{}: {e}", fixture.name));
            assert_eq!((Some(made.speech_start), made.speech_end), (start, end));
            assert!(
                made.frames.len() * FRAME >= made.pcm.len() + OPUS_LOOKAHEAD,
                "{}",
                fixture.name
            );
            assert!(annotation.text().is_some_and(|text| !text.is_empty()));
            let found = Utterance::new(fixture.wav, SoundInfo::default()).expect("loud");
            assert_eq!(found.doubts, [], "{}", fixture.name);
            let apart = found.speech_end.abs_diff(made.speech_end);
            assert!(
                apart < Duration::from_micros(500),
                "{}: {apart:?}",
                fixture.name
            );
        }
    }

    #[test]
    fn pauses_of_fixtures_are_found_where_they_are_annotated() {
        let within = |a: Duration, b: Duration, ms| a.abs_diff(b) < Duration::from_millis(ms);
        for fixture in CALLERS {
            let (name, annotation) = (fixture.name, fixture.annotation());
            let found = Utterance::new(fixture.wav, SoundInfo::default()).expect("loud");
            let about = SoundInfo {
                speech_start: annotation.speech_start(),
                speech_end: Some(annotation.speech_end()),
                pauses: annotation.pauses(),
                ..SoundInfo::default()
            };
            let made = Utterance::new(fixture.wav, about).expect("annotated");
            assert_eq!(found.doubts, [], "{name}");
            let level = speech_span(&fixture.pcm()).expect("loud").active_level_dbfs;
            assert!(
                (f64::from(level) - fixture.dbfs).abs() < 0.2,
                "{name}: {level}"
            );
            let (found, made) = (found.speech_segments(), made.speech_segments());
            assert_eq!(found.len(), made.len(), "{name}: {found:?}");
            let pauses = annotation.pauses().unwrap_or_default();
            assert_eq!(made.len(), pauses.len() + 1, "{name}");
            for (found, made) in found.iter().zip(made.iter()) {
                // Speech that fades in counts from where it is loud enough.
                assert!(within(found.0, made.0, 8), "{name}: {found:?} {made:?}");
                assert!(within(found.1, made.1, 1), "{name}: {found:?} {made:?}");
            }
        }
    }

    #[test]
    fn annotated_pauses_divide_the_speech_and_others_are_found_by_level() {
        let ms = Duration::from_millis;
        let [say, silence] = [sine(500.0, -20.0, 24_000), vec![0; 14_400]];
        let pcm = [&say[..], &silence, &say, &silence[..4_800], &say].concat();
        let spec = hound::WavSpec {
            channels: 1,
            sample_rate: 48_000,
            bits_per_sample: 16,
            sample_format: hound::SampleFormat::Int,
        };
        let mut wav = std::io::Cursor::new(Vec::new());
        let mut writer = hound::WavWriter::new(&mut wav, spec).expect("a cursor never fails");
        for x in &pcm {
            writer.write_sample(*x).expect("a cursor never fails");
        }
        writer.finalize().expect("a cursor never fails");
        let made = |pauses: Option<Vec<SpeechSegment>>| {
            let about = SoundInfo {
                pauses,
                ..SoundInfo::default()
            };
            Utterance::new(wav.get_ref(), about).expect("a tone is loud")
        };
        let found = made(None);
        let [first, second] = found.speech_segments()[..] else {
            panic!("{:?}", found.speech_segments());
        };
        assert_eq!((first.0, second.1), (found.speech_start, found.speech_end));
        let within = |a: Duration, b: Duration| a.abs_diff(b) < ms(1);
        assert!(within(first.1, ms(500)) && within(second.0, ms(800)));

        let annotated = made(Some(vec![(ms(480), ms(790)), (ms(1_290), ms(1_390))]));
        let inner = annotated.speech_segments();
        assert_eq!((inner.len(), inner[0].1, inner[1].0), (2, ms(480), ms(790)));
        assert_eq!(made(Some(Vec::new())).speech_segments().len(), 1);

        let about = SoundInfo {
            pauses: Some(vec![(ms(480), ms(9_000))]),
            ..SoundInfo::default()
        };
        let error = Utterance::new(wav.get_ref(), about).expect_err("outside");
        assert!(matches!(error, AudioError::PauseOutside { .. }), "{error}");
    }

    #[test]
    fn annotations_outside_the_audio_are_refused() {
        let fixture = &FIXTURES[2];
        let ms = |ms: u64| Some(Duration::from_millis(ms));
        for (name, start, end) in [
            ("past the end", None, ms(600)),
            ("before the start", None, ms(0)),
            ("end before start", ms(300), ms(200)),
            ("start past the end", ms(9_000), None),
        ] {
            let about = SoundInfo {
                speech_start: start,
                speech_end: end,
                ..SoundInfo::default()
            };
            let error = Utterance::new(fixture.wav, about).expect_err(name);
            assert!(
                matches!(error, AudioError::AnnotationOutside { .. }),
                "{name}: {error}"
            );
        }
    }

    #[test]
    fn a_silent_file_is_refused() {
        let spec = hound::WavSpec {
            channels: 1,
            sample_rate: 16_000,
            bits_per_sample: 16,
            sample_format: hound::SampleFormat::Int,
        };
        let mut bytes = std::io::Cursor::new(Vec::new());
        let mut writer = hound::WavWriter::new(&mut bytes, spec).expect("a cursor never fails");
        for _ in 0..16_000 {
            writer.write_sample(0i16).expect("a cursor never fails");
        }
        writer.finalize().expect("a cursor never fails");
        let error = Utterance::new(bytes.get_ref(), SoundInfo::default()).expect_err("silent");
        assert_eq!(error, AudioError::NoSpeech);
    }

    #[test]
    fn an_annotated_end_slightly_past_the_audio_is_clamped_to_its_length() {
        let fixture = &FIXTURES[2];
        let length = time_of(fixture.pcm().len() as u64);
        for (behind, good) in [(0, true), (999, true), (1_000, true), (1_001, false)] {
            let about = SoundInfo {
                speech_end: Some(length + Duration::from_micros(behind)),
                ..SoundInfo::default()
            };
            let made = Utterance::new(fixture.wav, about);
            assert_eq!(
                made.map(|u| u.speech_end).ok(),
                good.then_some(length),
                "{behind} us"
            );
        }
    }

    #[test]
    fn annotations_of_other_programs_are_recognised_as_foreign() {
        for (name, json, foreign) in [
            (
                "whisper",
                r#"{"text": "hi", "segments": [], "language": "en"}"#,
                true,
            ),
            (
                "whisper.cpp",
                r#"{"systeminfo": "x", "transcription": []}"#,
                true,
            ),
            (
                "another format with a version",
                r#"{"version": 1, "words": []}"#,
                true,
            ),
            ("a list", "[1, 2]", true),
            ("cut off", r#"{"text": "hi", "segme"#, true),
            ("not JSON", "\u{1}\u{2}", true),
            ("an empty object", "{}", true),
            ("a typo", r#"{"version": 1, "speech_end": 5}"#, false),
            (
                "a trailing comma",
                r#"{"version": 1, "speech_end_ms": 5,}"#,
                false,
            ),
            ("no end", r#"{"version": 1}"#, false),
            ("only a text", r#"{"version": 1, "text": "hi"}"#, false),
        ] {
            let error = Annotation::parse(json.as_bytes()).expect_err(name);
            assert_eq!(error == AudioError::Foreign, foreign, "{name}: {error}");
        }
    }

    #[test]
    fn bad_annotations_are_refused() {
        for (name, json) in [
            ("not JSON", "speech_end: 2"),
            ("no end", r#"{"version": 1}"#),
            ("another version", r#"{"version": 2, "speech_end_ms": 5}"#),
            (
                "a typo",
                r#"{"version": 1, "speech_end_ms": 5, "speach_start_ms": 1}"#,
            ),
            (
                "negative",
                r#"{"version": 1, "speech_start_ms": -1, "speech_end_ms": 5}"#,
            ),
            (
                "out of order",
                r#"{"version": 1, "speech_start_ms": 6, "speech_end_ms": 5}"#,
            ),
            ("far too late", r#"{"version": 1, "speech_end_ms": 1e300}"#),
            (
                "a pause without an end",
                r#"{"version": 1, "speech_end_ms": 9, "pauses": [{"start_ms": 2}]}"#,
            ),
            (
                "a pause that ends before it starts",
                r#"{"version": 1, "speech_end_ms": 9, "pauses": [{"start_ms": 2, "end_ms": 1}]}"#,
            ),
        ] {
            let error = Annotation::parse(json.as_bytes()).expect_err(name);
            assert!(
                matches!(error, AudioError::Annotation { .. }),
                "{name}: {error}"
            );
        }
    }
}
