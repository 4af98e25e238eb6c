//! Cuts an utterance off at a sample, and goes on with one at a sample, while a call is under way.
//!
//! In: a script, a position. Out: a script with a few frames of its own. Invariants: only the
//! frames next to the cut are encoded, by an encoder that has heard the frames before them; the
//! positions of the first and the last audible sample are those of the decoded frames.

use super::clip::{Clip, decoded, onset};
use super::script::{Item, Mark, Script};
use crate::audio::{AudioError, FRAME, FRAME_TIME, loud_span, samples_in};
use crate::vocab::FaultKind;
use std::sync::Arc;
use std::time::Duration;

/// Frames that an encoder or a decoder hears before its frames are used: 100 ms.
const WARM: usize = 5;
/// Frames after which a decoder that began in the middle of the clip agrees with the receiver's,
/// which has heard all of it: 0.5 s.
const SETTLED: usize = 25;
/// Frames after the last audible one, during which the codec's memory of the voice fades.
const AFTER: usize = 2;
/// Frames at the beginning of a resumed utterance that are encoded anew; by then an encoder that
/// began in silence agrees with the one that encoded the whole utterance.
const HEAD: usize = 10;
/// Frames after the beginning of a resumed utterance by which its onset is found.
const HEARD: usize = 50;
/// The last samples of what is cut off fade out, so that the codec rings less: 0.5 ms.
const FADE: usize = 24;
/// How far ahead of its place the recording is cut, in samples, until the end is heard in its place:
/// the codec rings after a hard end for about a millisecond, and for how long is known only once
/// the end has been decoded.
const AHEAD: [u64; 6] = [30, 0, 60, 90, 15, 45];
/// Attempts that are made at once if the end is due too soon for more.
const ATTEMPTS: usize = 2;
/// A cut is exact if it is this close to its place, in samples: 0.5 ms.
const EXACT: u64 = 24;
/// Nothing is resumed that is shorter than this, in samples: 60 ms.
const REST: usize = 3 * FRAME;

/// The end of a cut clip.
#[derive(Debug)]
struct Ending {
    /// Number of the first frame that differs.
    from: usize,
    frames: Vec<Arc<[u8]>>,
    /// The sample after the last audible one.
    end: u64,
}

/// A search for the end of a script that is cut. Each attempt takes a few milliseconds, so they are
/// made one at a time while the script is played.
#[derive(Debug, Clone, Default)]
pub(super) struct Cutting {
    endings: Vec<Arc<Ending>>,
}

impl Cutting {
    /// Makes an attempt to cut the script so that its last audible sample is on the wire `at` after
    /// its start, unless no further one is needed. Packets before item number `unsent` cannot be
    /// changed.
    pub(super) fn attempt(
        &mut self,
        script: &Script,
        unsent: usize,
        at: Duration,
    ) -> Result<(), AudioError> {
        let wanted = wanted(script, at);
        let exact = |ending: &Arc<Ending>| ending.end.abs_diff(wanted) <= EXACT;
        let Some(first) = script.items.get(unsent) else {
            return Ok(());
        };
        let Some(ahead) = AHEAD.get(self.endings.len()) else {
            return Ok(());
        };
        if self.endings.iter().any(exact) {
            return Ok(());
        }
        let clip = &script.clip;
        let input = wanted.saturating_sub(clip.codec.lookahead() as u64 + ahead);
        let ending = ending(clip, input as usize, first.frame)?;
        self.endings.push(Arc::new(ending));
        Ok(())
    }

    /// The script with the end that is closest to `at`.
    pub(super) fn finish(
        mut self,
        script: &Script,
        unsent: usize,
        at: Duration,
    ) -> Result<Script, AudioError> {
        let free = script.items.get(unsent).map_or(0, |item| item.frame);
        self.endings.retain(|ending| ending.from >= free);
        let wanted = wanted(script, at);
        while self.endings.len() < ATTEMPTS {
            let before = self.endings.len();
            self.attempt(script, unsent, at)?;
            if self.endings.len() == before {
                break; // the last one was exact
            }
        }
        let endings = self.endings.into_iter();
        let best = endings.min_by_key(|ending| ending.end.abs_diff(wanted));
        Ok(best.map_or_else(|| script.clone(), |ending| ended(script, &ending)))
    }
}

/// The position that is on the wire `at` after the start of a script.
fn wanted(script: &Script, at: Duration) -> u64 {
    let begun = script.items.partition_point(|item| item.at <= at);
    match begun.checked_sub(1).map(|i| &script.items[i]) {
        None => 0,
        Some(item) => {
            let into = samples_in(at - item.at).min(FRAME as u64);
            (item.frame * FRAME) as u64 + into
        }
    }
}

/// Encodes the end of a clip whose recording stops at sample `input`; frames before `first_free`
/// cannot be changed.
fn ending(clip: &Clip, input: usize, first_free: usize) -> Result<Ending, AudioError> {
    let from = (input / FRAME).max(first_free).min(clip.frames.len());
    let input = input.max(from * FRAME).min(clip.pcm.len());
    let warm = from.min(WARM);
    let heard = (from - warm) * FRAME;
    let mut slice = clip.pcm.get(heard..input).unwrap_or_default().to_vec();
    let fades = slice.len().saturating_sub(FADE);
    for (k, x) in slice[fades..].iter_mut().enumerate() {
        let phase = (k + 1) as f64 / FADE as f64 * std::f64::consts::PI;
        *x = (f64::from(*x) * (0.5 + 0.5 * phase.cos())) as i16;
    }
    let encoded = clip.codec.encode_end(&slice, warm)?;
    let mut frames: Vec<_> = encoded.into_iter().skip(warm).collect();
    let end = last_audible(clip, from, &frames)?;
    let needed = (end as usize).div_ceil(FRAME).saturating_sub(from) + AFTER;
    frames.truncate(needed);
    Ok(Ending { from, frames, end })
}

/// The sample after the last audible one of the clip's frames before `until` and of `frames` after
/// them; 0 if none is audible.
fn last_audible(clip: &Clip, until: usize, frames: &[Arc<[u8]>]) -> Result<u64, AudioError> {
    // If there is nothing audible in the last half second, the cut is in a pause of the voice.
    for since in [until.saturating_sub(SETTLED), 0] {
        let kept = clip.frames.get(since..until).unwrap_or_default();
        let mut pcm = Vec::with_capacity((kept.len() + frames.len()) * FRAME);
        let all = [kept, frames].concat();
        decoded(&all, clip.codec, |samples| pcm.extend_from_slice(samples))?;
        if let Some((_, end)) = loud_span(&pcm, clip.power) {
            return Ok((since * FRAME + end) as u64);
        }
    }
    Ok(0)
}

/// The sample after the last audible one if the packets from item number `unsent` on are not sent
/// and `silence` follows.
pub(super) fn broken_off(
    script: &Script,
    unsent: usize,
    silence: &Arc<[u8]>,
) -> Result<u64, AudioError> {
    let clip = &script.clip;
    let until = match unsent.checked_sub(1).and_then(|i| script.items.get(i)) {
        Some(last) => last.frame + 1,
        None => 0,
    };
    let after = vec![silence.clone(); AFTER + 1];
    last_audible(clip, until, &after)
}

/// The script with another ending.
fn ended(script: &Script, ending: &Ending) -> Script {
    let (from, end) = (ending.from, ending.end);
    let keep = script.item_of(from);
    let mut items = script.items[..keep].to_vec();
    let first = script.items.get(keep);
    let (at, media) = match first.or(script.items.last()) {
        Some(item) => {
            let back = FRAME_TIME * item.frame.saturating_sub(from) as u32;
            let on = FRAME_TIME * from.saturating_sub(item.frame) as u32;
            (
                item.at.saturating_sub(back) + on,
                item.media.saturating_sub(back) + on,
            )
        }
        None => (Duration::ZERO, Duration::ZERO),
    };
    let left_out = first.map_or(0, |item| item.left_out);
    items.extend(ending.frames.iter().enumerate().map(|(k, payload)| Item {
        payload: payload.clone(),
        at: at + FRAME_TIME * k as u32,
        media: media + FRAME_TIME * k as u32,
        left_out: if k == 0 { left_out } else { 0 },
        frame: from + k,
    }));
    let mut marks = script.marks.clone();
    marks.retain(|(position, mark)| *position < end && *mark != Mark::End);
    marks.push((end, Mark::End));
    Script {
        clip: script.clip.clone(),
        items,
        marks,
        said: script.said,
    }
}

/// The rest of a script whose last audible sample was the one before `position`; `None` if there
/// is nothing left to say.
pub(super) fn rest(script: &Script, position: u64) -> Result<Option<Script>, AudioError> {
    let clip = &script.clip;
    let lookahead = clip.codec.lookahead() as u64;
    let input = position.saturating_sub(lookahead) as usize;
    if input + REST > clip.pcm.len() {
        return Ok(None);
    }
    let from = input / FRAME;
    let mut pcm = clip.pcm[from * FRAME..].to_vec();
    pcm[..input - from * FRAME].fill(0);
    let head = &pcm[..pcm.len().min((HEAD + 1) * FRAME)];
    let mut frames = clip.codec.encode(head)?;
    if head.len() < pcm.len() {
        frames.truncate(HEAD);
        frames.extend_from_slice(clip.frames.get(from + HEAD..).unwrap_or_default());
    }
    let heard = &frames[..frames.len().min(HEARD)];
    let Some(onset) = onset(heard, clip.codec)? else {
        return Ok(None);
    };
    let skipped = (from * FRAME) as u64;
    let rest = Clip {
        codec: clip.codec,
        dtx: clip.dtx,
        pcm,
        frames,
        onset,
        end: clip.end.saturating_sub(skipped).max(onset + 1),
        power: clip.power,
    };
    let mut rest = Script::plain(Arc::new(rest));
    rest.said = match script.said {
        0 => skipped.saturating_sub(clip.onset),
        said => said + skipped,
    };
    for (at, mark) in &script.marks {
        if let Mark::Fault(fault) = mark
            && *at >= position
            && is_in_audio(fault.kind)
        {
            rest.mark(at - skipped, *mark);
        }
    }
    Ok(Some(rest))
}

/// Whether the fault is in the audio rather than in the packets.
fn is_in_audio(kind: FaultKind) -> bool {
    !matches!(kind, FaultKind::Hole | FaultKind::Loss | FaultKind::Burst)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audio::{Codec, decode};

    fn scripts() -> Vec<Script> {
        let reply = include_bytes!("../../../fixtures/reply.wav");
        let voice = decode(reply, Some("wav")).expect("a recording");
        let tone = Clip::tone(Duration::from_secs(2), Codec::Opus).expect("tone");
        let voice = Clip::from_pcm(voice, Codec::Opus, false).expect("a voice");
        [tone, voice]
            .map(|clip| Script::plain(Arc::new(clip)))
            .into()
    }

    /// Cuts with all attempts.
    fn cut(script: &Script, unsent: usize, at: Duration) -> Script {
        let mut cutting = Cutting::default();
        for _ in AHEAD {
            cutting.attempt(script, unsent, at).expect("codec");
        }
        cutting.finish(script, unsent, at).expect("codec")
    }

    /// The first and last audible sample of what a receiver decodes.
    fn audible(script: &Script) -> (u64, u64) {
        let silence = script.clip.codec.silence().expect("silence");
        let mut frames: Vec<_> = script.items.iter().map(|i| i.payload.clone()).collect();
        frames.extend(vec![silence; 10]);
        let mut pcm = Vec::new();
        decoded(&frames, script.clip.codec, |s| pcm.extend_from_slice(s)).expect("decoded");
        let (start, end) = loud_span(&pcm, script.clip.power).expect("audible");
        (start as u64, end as u64)
    }

    #[test]
    fn a_tone_is_cut_at_the_sample_wherever_it_is_cut() {
        let tone = &scripts()[0];
        for at in [300, 307, 313, 519, 1_000, 1_203] {
            let at = Duration::from_millis(at);
            let cut = cut(tone, tone.item_of(frames_before(at)), at);
            let (_, end) = audible(&cut);
            assert_eq!(cut.marks.last(), Some(&(end, Mark::End)), "{at:?}");
            let off = cut.end().abs_diff(at);
            assert!(
                off <= Duration::from_micros(1_500),
                "{at:?}: off by {off:?}"
            );
        }
    }

    /// The frame that is not sent yet 40 ms before `at`.
    fn frames_before(at: Duration) -> usize {
        (at.as_millis() as usize / 20).saturating_sub(2)
    }

    #[test]
    fn a_voice_is_cut_close_to_the_place_and_the_truth_is_what_is_heard() {
        let voice = &scripts()[1];
        let mut offs = Vec::new();
        for at in (200..1_200).step_by(37) {
            let at = Duration::from_millis(at);
            let cut = cut(voice, voice.item_of(frames_before(at)), at);
            let (_, end) = audible(&cut);
            let told = cut.marks.last().expect("an end").0;
            assert!(told.abs_diff(end) <= 2, "{at:?}: {told}, heard {end}");
            offs.push(cut.end().abs_diff(at));
        }
        offs.sort_unstable();
        // In a pause of the voice, the last audible sample is the one before the pause.
        let median = offs[offs.len() / 2];
        assert!(median <= Duration::from_millis(2), "{offs:?}");
    }

    #[test]
    fn a_cut_that_comes_too_late_is_made_as_soon_as_possible() {
        let tone = &scripts()[0];
        let cut = cut(tone, 40, Duration::from_millis(300));
        let end = cut.end();
        let range = Duration::from_millis(800)..Duration::from_millis(830);
        assert!(range.contains(&end), "{end:?}");
        assert_eq!(cut.items[39].payload, tone.items[39].payload);
    }

    #[test]
    fn the_rest_of_an_utterance_goes_on_at_the_sample() {
        for script in scripts() {
            for at in [20_000, 24_000, 30_011, 41_111] {
                let rest = rest(&script, at).expect("codec").expect("a rest");
                let (start, _) = audible(&rest);
                let told = rest.clip.onset;
                assert!(told.abs_diff(start) <= 480, "{at}: {told}, heard {start}");
                let begins = rest.said + told + script.clip.onset;
                // A voice may go on in a pause.
                assert!(begins + 480 >= at && begins < at + 19_200, "{at}: {begins}");
            }
            assert!(rest(&script, script.clip.end).expect("codec").is_none());
        }
    }

    #[test]
    fn what_is_broken_off_ends_in_its_last_packet_or_just_after_it() {
        let tone = &scripts()[0];
        let silence = Codec::Opus.silence().expect("silence");
        let end = broken_off(tone, 40, &silence).expect("codec");
        let packets = 40 * FRAME as u64;
        assert!(
            (packets - 400..packets + 480).contains(&end),
            "{end} of {packets}"
        );
    }
}
