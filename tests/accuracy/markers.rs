//! False positives of the marker detector in speech and music.
//!
//! At full size: two hours of speech, by all voices of espeak-ng at several speeds, and two hours
//! of synthetic music. At small size: the fixtures and two minutes of music.

use crate::noises::music;
use crate::signals::{ms, voices};
use crate::{full, in_parallel, size};
use loadgen::audio::decode;
use loadgen::audio::marker::MARKER;
use std::process::Command;

/// Words with a variety of sounds, for voices of any language.
const TEXT: &str = "my account number is four one nine zero two, where is my order, it should \
    have arrived on monday, please cancel my subscription now and thank you very much";

#[test]
fn music_is_not_taken_for_a_marker() {
    let seeds: Vec<u64> = (0..size(2, 120)).collect();
    let found = in_parallel(&seeds, |seed| MARKER.find(&music(ms(60_000), *seed)));
    let fired = found.iter().flatten().count();
    eprintln!("markers: {} min of music: {fired} found", seeds.len());
    assert_eq!(fired, 0, "{found:?}");
}

#[test]
fn speech_is_not_taken_for_a_marker() {
    for voice in voices() {
        assert_eq!(MARKER.find(&voice.pcm), None, "{}", voice.name);
    }
    if !full() {
        return;
    }
    let list = Command::new("espeak-ng")
        .arg("--voices")
        .output()
        .expect("espeak-ng");
    let list = String::from_utf8_lossy(&list.stdout).into_owned();
    let names = list
        .lines()
        .skip(1)
        .filter_map(|line| line.split_whitespace().nth(1));
    let work: Vec<(String, u32)> = names
        .flat_map(|name| {
            [80, 110, 140, 175, 220, 280, 360, 450].map(|speed| (name.to_owned(), speed))
        })
        .collect();
    let spoken = in_parallel(&work, |(voice, speed)| {
        let speed = speed.to_string();
        let output = Command::new("espeak-ng")
            .args(["-v", voice, "-s", &speed, "--stdout", TEXT])
            .output()
            .expect("espeak-ng");
        // A voice whose data is not installed produces no audio.
        let Ok(pcm) = decode(&output.stdout, Some("wav")) else {
            return (0, false);
        };
        (pcm.len(), MARKER.find(&pcm).is_some())
    });
    let minutes = spoken.iter().map(|s| s.0).sum::<usize>() as f64 / 48_000.0 / 60.0;
    let fired = spoken.iter().filter(|s| s.1).count();
    eprintln!(
        "markers: {minutes:.0} min of speech, {} voices and speeds: {fired} found",
        work.len()
    );
    assert_eq!(fired, 0);
    assert!(minutes >= 120.0, "{minutes} min");
}
