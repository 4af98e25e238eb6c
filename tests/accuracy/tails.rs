//! Check 6: padded tails, silent lead-ins.

use crate::listen::{coded, hear};
use crate::noises::Seed;
use crate::signals::{body, cuts, ms, voices};
use crate::{in_parallel, quantile, size};
use loadgen::audio::{FRAME, speech_span};

/// The packet in which the lead-in begins.
const FIRST: u64 = 10;

#[test]
fn a_silent_tail_does_not_move_the_speech_span() {
    for voice in voices() {
        for tail in (0..=2000).step_by(size(500, 100)) {
            let padded = [voice.pcm.clone(), vec![0; ms(tail)]].concat();
            let span = speech_span(&padded).expect("speech");
            assert_eq!(
                (span.start, span.end),
                (voice.start, voice.end),
                "{} + {tail}",
                voice.name
            );
        }
    }
}

#[test]
fn a_silent_lead_in_is_measured() {
    let voices = voices();
    let mut work = Vec::new();
    for (voice, said) in voices.iter().enumerate() {
        for (k, cut) in cuts(said).into_iter().take(size(1, 4)).enumerate() {
            let lead_ins = (0..=500).step_by(size(125, 25));
            work.extend(lead_ins.map(|lead_in| (voice, cut, lead_in, k)));
        }
    }
    let errors = in_parallel(&work, |&(voice, cut, lead_in, k)| {
        let lead_in = ms(lead_in) + Seed::new((lead_in + k) as u64).below(480);
        let (pcm, _) = body(&voices[voice], cut, 0);
        // Some silence, three seconds without packets, then the lead-in and the reply.
        let before = FIRST as usize * FRAME;
        let stream = [vec![0; before + lead_in], pcm, vec![0; ms(900)]].concat();
        let mut packets = coded(&stream);
        let later = packets.iter_mut().filter(|(k, _)| *k >= FIRST);
        later.for_each(|(k, _)| *k += 150);
        let found = hear(&packets, None);
        let recovered = found.first().and_then(|f| f.lead_in);
        recovered.map_or(f64::INFINITY, |r| (r - lead_in as f64) / 48.0)
    });
    let sizes: Vec<f64> = errors.iter().map(|e| e.abs()).collect();
    let worst = quantile(&sizes, 1.0);
    eprintln!(
        "check 6: {} lead-ins of 0 to 510 ms: median {:.2} ms, p95 {:.2}, worst {worst:.2}",
        sizes.len(),
        quantile(&sizes, 0.5),
        quantile(&sizes, 0.95),
    );
    assert!(worst <= 5.0, "{worst} ms off");
}
