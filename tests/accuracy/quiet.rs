//! Check 5: sounds that are not replies, with and without replies among them.

use crate::listen::{Found, Sent, coded, coded_with_dtx, hear};
use crate::noises::{Seed, ambience, typing, white};
use crate::signals::{Voice, add, body, cuts, ms, scaled, voices};
use crate::{in_parallel, size};
use loadgen::audio::echo::{Spoken, compare};
use std::time::{Duration, Instant};

const STREAM_MS: usize = 60_000;
/// Maximum distance of an onset from the start of its reply, in ms.
const OWN_MS: f64 = 60.0;

#[derive(Debug, Clone, Copy)]
enum Sound {
    Typing(f64),
    Ambience(f64),
    ComfortNoise(f64),
    Dtx,
}

fn background(sound: Sound, samples: usize, seed: u64) -> Vec<i16> {
    match sound {
        Sound::Typing(dbfs) => typing(dbfs, samples, seed),
        Sound::Ambience(dbfs) => ambience(dbfs, samples, seed),
        Sound::ComfortNoise(dbfs) => white(dbfs, samples, seed),
        Sound::Dtx => white(-66.0, samples, seed),
    }
}

fn packets(sound: Sound, pcm: &[i16]) -> Vec<Sent> {
    match sound {
        Sound::Dtx => coded_with_dtx(pcm),
        _ => coded(pcm),
    }
}

/// Counts from two streams with the same background, one without and one with replies.
struct Score {
    alone: usize,
    replies: usize,
    lost: usize,
    /// Onsets that belong to no reply.
    others: usize,
}

fn stream(voices: &[Voice], sound: Sound, seed: u64) -> Score {
    let noise = background(sound, ms(STREAM_MS), seed);
    let alone = hear(&packets(sound, &noise), None).len();
    let mut mixed = noise;
    let mut seeded = Seed::new(seed + 77);
    let mut truths = Vec::new();
    let mut at = ms(2000);
    while at + ms(2000) < mixed.len() {
        // Cut where the voice is loud, so that the first sample is the onset.
        let voice = &voices[seeded.below(voices.len())];
        let cuts = cuts(voice);
        let (spoken, _) = body(voice, cuts[seeded.below(cuts.len())], 0);
        add(&mut mixed, at, &spoken);
        truths.push(at as f64);
        at += spoken.len() + ms(2000) + seeded.below(ms(1500));
    }
    let found = hear(&packets(sound, &mixed), None);
    let is_own = |found: &Found, truth: f64| (found.at - truth).abs() / 48.0 <= OWN_MS;
    let is_lost = |t: &&f64| !found.iter().any(|f| is_own(f, **t));
    let is_other = |f: &&Found| !truths.iter().any(|t| is_own(f, *t));
    Score {
        alone,
        replies: truths.len(),
        lost: truths.iter().filter(is_lost).count(),
        others: found.iter().filter(is_other).count(),
    }
}

#[test]
fn background_sounds_cause_no_onset() {
    let voices = voices();
    let seeds: Vec<u64> = (0..size(2, 60)).collect();
    for (name, sound) in [
        ("typing, peaks -30", Sound::Typing(-30.0)),
        ("typing, peaks -20", Sound::Typing(-20.0)),
        ("ambience -55", Sound::Ambience(-55.0)),
        ("ambience -45", Sound::Ambience(-45.0)),
        ("comfort noise -50", Sound::ComfortNoise(-50.0)),
        ("DTX", Sound::Dtx),
    ] {
        let streams = in_parallel(&seeds, |seed| stream(&voices, sound, *seed));
        let sum = |of: fn(&Score) -> usize| streams.iter().map(of).sum::<usize>();
        let (alone, replies) = (sum(|s| s.alone), sum(|s| s.replies));
        let (lost, others) = (sum(|s| s.lost), sum(|s| s.others));
        eprintln!(
            "check 5: {name:<18} {} min alone: {alone} onsets; the same with {replies} replies: \
             {lost} lost, {others} false",
            seeds.len()
        );
        assert!(alone <= size(0, 1), "{name}: {alone} onsets");
        assert!(replies >= size(20, 200), "{name}: {replies} replies");
        // Allow one at small size: other builds of libopus differ in the last bits.
        assert!(lost <= size(1, replies / 100), "{name}: {lost} lost");
        // A lost reply may be detected in the wrong place.
        assert!(others <= lost + 1, "{name}: {others} false");
    }
}

/// The echo of a caller on the agent's track: at a gain of `db`, delayed by `delay` samples.
fn echo_stream(voice: &Voice, db: f64, delay: usize) -> Vec<i16> {
    // Through the caller's codec, the echo path, and the agent's codec.
    let mut decoder = loadgen::audio::opus::Decoder::new().expect("libopus");
    let said = [voice.pcm.clone(), vec![0; ms(300)]].concat();
    let mut back = vec![0; ms(1000) + delay];
    for (_, payload) in coded(&said) {
        back.extend(scaled(decoder.decode(&payload).expect("own packet"), db));
    }
    back.extend(vec![0; ms(600)]);
    back
}

#[test]
fn callers_own_echo_is_distinguished_from_a_reply() {
    let voices = voices();
    let delays: &[usize] = size(&[40, 370], &[20, 40, 90, 150, 230, 370, 520, 700, 930]);
    let mut work = Vec::new();
    for voice in 0..voices.len() {
        for db in [-20.0, -30.0, -40.0] {
            work.extend(delays.iter().map(|delay| (voice, db, *delay)));
        }
    }
    let heard = in_parallel(&work, |&(voice, db, delay)| {
        let start = Instant::now();
        let voice = &voices[voice];
        let spoken = Spoken::new(&voice.pcm);
        let said = instant(start, ms(1000) as f64);
        let found = hear(&coded(&echo_stream(voice, db, ms(delay))), Some(0));
        let mut onsets = 0;
        let mut unknown = 0;
        for found in &found {
            let audio = &found.audio[found.before..];
            let likeness = compare([(said, &spoken)], instant(start, found.at), audio);
            onsets += 1;
            unknown += usize::from(!likeness.is_echo());
        }
        (onsets, unknown)
    });
    for db in [-20.0, -30.0, -40.0] {
        let of = || {
            work.iter()
                .zip(&heard)
                .filter(|(w, _)| w.1 == db)
                .map(|(_, h)| h)
        };
        let (streams, onsets) = (of().count(), of().map(|h| h.0).sum::<usize>());
        let unknown: usize = of().map(|h| h.1).sum();
        eprintln!(
            "check 5: echo {db} dB: {streams} utterances, {onsets} onsets, {unknown} not taken for echo"
        );
        assert!(unknown * 100 <= onsets, "{unknown} of {onsets} at {db} dB");
    }
    // A reply that begins soon after the caller's speech is not taken for its echo.
    let pairs: Vec<(usize, usize, usize)> = (0..voices.len())
        .flat_map(|a| (0..voices.len()).map(move |b| (a, b)))
        .filter(|(a, b)| a != b)
        .flat_map(|(a, b)| {
            size(&[200usize][..], &[50, 200, 400, 700])
                .iter()
                .map(move |d| (a, b, *d))
        })
        .collect();
    let likeness = in_parallel(&pairs, |&(said, reply, after)| {
        let start = Instant::now();
        let (said, reply) = (&voices[said], &voices[reply]);
        let spoken = Spoken::new(&said.pcm);
        let onset = instant(start, (said.end + ms(after)) as f64);
        compare([(start, &spoken)], onset, &reply.pcm[reply.start..]).correlation
    });
    let taken = likeness.iter().filter(|c| **c > 0.5).count();
    let highest = likeness.iter().fold(0f32, |h, c| h.max(*c));
    eprintln!(
        "check 5: {} replies after speech: {taken} taken for echo (likeness ≤ {highest:.2})",
        pairs.len()
    );
    assert!(
        taken * 100 <= pairs.len(),
        "{taken} of {} replies",
        pairs.len()
    );
}

fn instant(start: Instant, samples: f64) -> Instant {
    start + Duration::from_secs_f64((samples / 48_000.0).max(0.0))
}
