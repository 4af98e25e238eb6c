//! Plants faults in a reply before the calls: in its audio, or in its packets.
//!
//! In: a clip, a fault of the behaviour. Out: a script for every combination of place and length.
//! Invariant: a fault in the audio begins where the voice is at full level, so that it is in no
//! pause; what is logged is where it really is.

use super::clip::{Clip, ClipError};
use super::edits::{amplified, full_level_after, full_level_before, inserted, repeated};
use super::script::{Mark, Planted, Script, frames_in};
use crate::audio::{FRAME, FRAME_TIME, Pcm, samples_in, speech_span, time_of};
use crate::vocab::{Fault, FaultKind};
use std::sync::Arc;
use std::time::Duration;

/// Every form of a fault in this clip.
///
/// # Errors
/// Nothing audible is left of the clip, or the codec fails.
pub(super) fn forms(clip: &Arc<Clip>, fault: &Fault) -> Result<Vec<Arc<Script>>, ClipError> {
    let places = or_one(&fault.at, Duration::ZERO);
    let lengths = or_one(&fault.length, Duration::MAX);
    let mut forms = Vec::with_capacity(places.len() * lengths.len());
    for at in &places {
        for length in &lengths {
            let script = match fault.kind {
                FaultKind::Hole | FaultKind::Loss | FaultKind::Burst => {
                    in_packets(clip, fault.kind, *at, *length)
                }
                _ => in_audio(clip, fault, *at, *length)?,
            };
            forms.push(Arc::new(script));
        }
    }
    Ok(forms)
}

fn or_one(times: &[Duration], default: Duration) -> Vec<Duration> {
    match times {
        [] => vec![default],
        times => times.to_vec(),
    }
}

/// Where the fault begins in the recording: at full level, `at` after the first speech sample or
/// later.
fn place(clip: &Clip, at: Duration) -> usize {
    let start = speech_span(&clip.pcm).map_or(0, |span| span.start);
    let wanted = start + samples_in(at) as usize;
    full_level_after(&clip.pcm, wanted).unwrap_or(wanted.min(clip.pcm.len()))
}

fn in_packets(clip: &Arc<Clip>, kind: FaultKind, at: Duration, length: Duration) -> Script {
    let mut script = Script::plain(clip.clone());
    let first = (place(clip, at) + clip.codec.lookahead()) / FRAME;
    let first = script.item_of(first);
    let count = frames_in(length);
    let Some(begins) = script.items.get(first).map(|item| item.frame) else {
        return script;
    };
    let position = (begins * FRAME) as u64;
    let mut packets = 0;
    let mut logged = position;
    match kind {
        FaultKind::Hole => {
            for item in &mut script.items[first..] {
                item.at += length;
            }
        }
        FaultKind::Burst => {
            // The packets wait for the first one that is due afterwards.
            let released = FRAME_TIME * (begins + count) as u32;
            for item in &mut script.items[first..] {
                if item.at < released {
                    item.at = released;
                    packets += 1;
                }
            }
        }
        _ => {
            let until = script.item_of(begins + count);
            packets = until - first;
            script.items.drain(first..until);
            if let Some(next) = script.items.get_mut(first) {
                next.left_out = packets as u64;
                logged = (next.frame * FRAME) as u64;
            }
        }
    }
    let length = match kind {
        FaultKind::Hole => length,
        _ => FRAME_TIME * count as u32,
    };
    let planted = Planted {
        kind,
        media: script.place(position),
        length,
        gain_db: None,
        packets,
    };
    script.mark(logged, Mark::Fault(planted));
    script
}

/// A recording with a fault: the samples, where the fault is, and how long it is.
struct Faulty {
    pcm: Pcm,
    at: usize,
    length: usize,
}

fn in_audio(
    clip: &Clip,
    fault: &Fault,
    at: Duration,
    length: Duration,
) -> Result<Script, ClipError> {
    let pcm = &clip.pcm;
    let span = speech_span(pcm).ok_or(ClipError::Silent)?;
    let whole = pcm.len();
    let samples = match length {
        Duration::MAX => whole,
        length => samples_in(length) as usize,
    };
    let gain = fault.gain_db.unwrap_or_default();
    let faulty = match fault.kind {
        FaultKind::CutHead => {
            let wanted = span.start + samples;
            let at = full_level_after(pcm, wanted).ok_or(ClipError::Silent)?;
            Faulty {
                pcm: pcm[at..].to_vec(),
                at: 0,
                length: at - span.start,
            }
        }
        FaultKind::CutTail => {
            let wanted = span.end.saturating_sub(samples);
            let at = full_level_before(pcm, wanted).ok_or(ClipError::Silent)?;
            Faulty {
                pcm: pcm[..at].to_vec(),
                at,
                length: span.end - at,
            }
        }
        FaultKind::Clipping => Faulty {
            pcm: amplified(pcm, 0..whole, gain),
            at: span.start,
            length: span.end - span.start,
        },
        kind => {
            let at = place(clip, at);
            let length = match kind {
                FaultKind::DigitalSilence => samples,
                _ => samples.min(whole - at),
            };
            let pcm = match kind {
                FaultKind::DigitalSilence => inserted(pcm, at, length),
                FaultKind::Repeat => repeated(pcm, at, length),
                _ => amplified(pcm, at..at + length, gain),
            };
            Faulty { pcm, at, length }
        }
    };
    Ok(planted(
        clip,
        fault,
        Clip::from_pcm(faulty.pcm, clip.codec, clip.dtx)?,
        (faulty.at, faulty.length),
    ))
}

/// The script of a clip with a fault in its audio, `at` and `length` in samples of the recording.
fn planted(clip: &Clip, fault: &Fault, faulty: Clip, (at, length): (usize, usize)) -> Script {
    let mut script = Script::plain(Arc::new(faulty));
    let position = match fault.kind {
        FaultKind::CutHead => script.clip.onset,
        FaultKind::CutTail => script.clip.end.saturating_sub(1),
        _ => (at + clip.codec.lookahead()) as u64,
    };
    let planted = Planted {
        kind: fault.kind,
        media: script.place(position),
        length: time_of(length as u64),
        gain_db: fault.gain_db,
        packets: 0,
    };
    script.mark(position, Mark::Fault(planted));
    script
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audio::{Codec, decode};

    fn voice(dtx: bool) -> Arc<Clip> {
        let reply = include_bytes!("../../../fixtures/reply.wav");
        let pcm = decode(reply, Some("wav")).expect("a recording");
        Arc::new(Clip::from_pcm(pcm, Codec::Opus, dtx).expect("a voice"))
    }

    fn one(kind: FaultKind, at: u64, length: u64, gain_db: Option<f64>, dtx: bool) -> Script {
        let some = |ms: u64| {
            (ms > 0)
                .then_some(Duration::from_millis(ms))
                .into_iter()
                .collect()
        };
        let fault = Fault {
            kind,
            share: 1.0,
            at: some(at),
            length: some(length),
            gain_db,
        };
        let forms = forms(&voice(dtx), &fault).expect("possible");
        assert_eq!(forms.len(), 1);
        (*forms[0]).clone()
    }

    fn fault_of(script: &Script) -> Planted {
        let mut marks = script.marks.iter();
        let found = marks.find_map(|(_, mark)| match mark {
            Mark::Fault(planted) => Some(*planted),
            _ => None,
        });
        found.expect("a fault")
    }

    #[test]
    fn a_hole_delays_the_rest_and_leaves_no_gap_in_media_time() {
        let clean = Script::plain(voice(false));
        let holed = one(FaultKind::Hole, 500, 130, None, false);
        assert_eq!(clean.items.len(), holed.items.len());
        let late = |k: usize| holed.items[k].at - clean.items[k].at;
        let first = (0..clean.items.len())
            .find(|k| !late(*k).is_zero())
            .expect("late");
        assert!((first..clean.items.len()).all(|k| late(k) == Duration::from_millis(130)));
        let media = |s: &Script| s.items.iter().map(|i| i.media).collect::<Vec<_>>();
        assert_eq!(media(&clean), media(&holed));
        let planted = fault_of(&holed);
        let begins = time_of((first * FRAME) as u64 - clean.clip.onset);
        assert_eq!(
            (planted.media, planted.length),
            (begins, Duration::from_millis(130))
        );
        assert!(planted.media >= Duration::from_millis(480));
        assert_eq!(holed.end() - clean.end(), Duration::from_millis(130));
    }

    #[test]
    fn held_back_packets_leave_together_and_lost_ones_leave_a_gap_in_the_sequence() {
        let clean = Script::plain(voice(false));
        let burst = one(FaultKind::Burst, 500, 200, None, false);
        let planted = fault_of(&burst);
        assert_eq!(
            (planted.packets, planted.length),
            (10, Duration::from_millis(200))
        );
        let moved = burst
            .items
            .iter()
            .zip(&clean.items)
            .filter(|(a, b)| a.at != b.at);
        let at: Vec<_> = moved.map(|(a, _)| a.at).collect();
        assert!(
            at.len() == 10 && at.windows(2).all(|w| w[0] == w[1]),
            "{at:?}"
        );

        let lossy = one(FaultKind::Loss, 500, 61, None, false);
        assert_eq!(fault_of(&lossy).packets, 4);
        assert_eq!(lossy.items.len() + 4, clean.items.len());
        let gaps: Vec<u64> = lossy
            .items
            .iter()
            .map(|i| i.left_out)
            .filter(|n| *n > 0)
            .collect();
        assert_eq!(gaps, [4]);
    }

    #[test]
    fn digital_silence_is_put_into_the_voice_and_a_repeated_piece_after_itself() {
        for dtx in [false, true] {
            let clean = Script::plain(voice(dtx));
            for kind in [FaultKind::DigitalSilence, FaultKind::Repeat] {
                let faulty = one(kind, 500, 400, None, dtx);
                let longer = faulty.clip.pcm.len() - clean.clip.pcm.len();
                assert_eq!(longer, 19_200);
                assert_eq!(fault_of(&faulty).length, Duration::from_millis(400));
                let at = place(&clean.clip, Duration::from_millis(500));
                let piece = &faulty.clip.pcm[at..at + 19_200];
                match kind {
                    FaultKind::Repeat => assert_eq!(*piece, clean.clip.pcm[at..at + 19_200]),
                    _ => assert!(piece.iter().all(|x| *x == 0)),
                }
            }
        }
        // DTX leaves silence of this length out, after the encoder's 100 to 200 ms.
        let silent = one(FaultKind::DigitalSilence, 500, 800, None, true);
        assert!(silent.items.len() + 20 < silent.clip.frames.len());
    }

    #[test]
    fn cut_heads_and_tails_are_at_full_level() {
        let clean = voice(false);
        let level = f64::from(speech_span(&clean.pcm).expect("speech").active_level_dbfs);
        for length in [60, 120, 300] {
            for kind in [FaultKind::CutHead, FaultKind::CutTail] {
                let script = one(kind, 0, length, None, false);
                let planted = fault_of(&script);
                assert!(
                    planted.length >= Duration::from_millis(length),
                    "{planted:?}"
                );
                assert!(
                    planted.length < Duration::from_millis(length + 600),
                    "{planted:?}"
                );
                let pcm = &script.clip.pcm;
                let edge = match kind {
                    FaultKind::CutHead => &pcm[..480],
                    _ => &pcm[pcm.len() - 480..],
                };
                let power = edge.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>() / 480.0;
                assert!(
                    crate::audio::dbfs_of(power) > level - 6.0,
                    "{kind:?} {length}"
                );
            }
        }
    }

    #[test]
    fn clipping_reaches_full_scale_and_a_jump_changes_one_part() {
        let clean = voice(false);
        let clipped = one(FaultKind::Clipping, 0, 0, Some(20.0), false);
        let full = |x: &&i16| x.unsigned_abs() >= 32_767;
        assert!(clipped.clip.pcm.iter().filter(full).count() > 100);
        let jump = one(FaultKind::LevelJump, 500, 300, Some(-12.0), false);
        let at = place(&clean, Duration::from_millis(500));
        assert_eq!(jump.clip.pcm[..at], clean.pcm[..at]);
        assert_eq!(jump.clip.pcm[at + 14_400..], clean.pcm[at + 14_400..]);
        let quieter = jump.clip.pcm[at..at + 14_400].iter().zip(&clean.pcm[at..]);
        assert!(
            quieter
                .into_iter()
                .all(|(a, b)| a.unsigned_abs() <= b.unsigned_abs() / 3)
        );
        let to_the_end = one(FaultKind::LevelJump, 500, 0, Some(6.0), false);
        let rest = clean.pcm.len() - place(&clean, Duration::from_millis(500));
        assert_eq!(fault_of(&to_the_end).length, time_of(rest as u64));
    }

    #[test]
    fn there_is_a_form_for_every_place_and_length() {
        let fault = Fault {
            kind: FaultKind::Hole,
            share: 0.5,
            at: [200, 700].map(Duration::from_millis).into(),
            length: [40, 200, 800].map(Duration::from_millis).into(),
            gain_db: None,
        };
        assert_eq!(forms(&voice(false), &fault).expect("possible").len(), 6);
    }
}
