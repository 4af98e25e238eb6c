//! Replies that stop and are resumed: whether the ear tells with what.
//!
//! In: spoken sentences, as for broken replies. Out: for each kind of resumption, how often it was
//! told, how often the ear did not know, and how often it was wrong. Invariants: time is virtual;
//! packets are encoded as a WebRTC sender does, with and without DTX, and 2 % of them are lost in
//! half of the streams.

use super::broken::{Draw, Sentence, sentences, wilson};
use super::listen::{coded, coded_with_dtx};
use super::{in_parallel, size};
use loadgen::audio::{Ear, FRAME, Heard, Packet, Resumption};
use loadgen::vocab::Resumed;
use std::time::{Duration, Instant};

const RATE: usize = 48_000;
/// Silence before the reply.
const BEFORE: usize = RATE / 2;

/// What the agent says after its stop.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Rest {
    /// The rest of its reply.
    Remaining,
    /// Another sentence of the same voice.
    Other,
    /// The reply from an earlier place.
    Earlier,
    /// The whole reply.
    Whole,
    /// The whole reply, spoken 4 % slower and lower.
    Slower,
}

const RESTS: [Rest; 5] = [
    Rest::Remaining,
    Rest::Other,
    Rest::Earlier,
    Rest::Whole,
    Rest::Slower,
];

impl Rest {
    fn truth(self) -> Resumed {
        match self {
            Self::Remaining | Self::Other => Resumed::WentOn,
            Self::Earlier => Resumed::WentBack,
            Self::Whole | Self::Slower => Resumed::BeganAnew,
        }
    }
}

/// A stream: a reply, a pause, and the rest.
struct Stream {
    pcm: Vec<i16>,
    /// Where the rest begins.
    resumes: usize,
}

fn stream(sentences: &[Sentence], rest: Rest, draw: &mut Draw) -> Option<Stream> {
    let sentence = &sentences[draw.below(sentences.len())];
    let said = &sentence.pcm[sentence.start..sentence.end];
    let stop = RATE * 4 / 5 + draw.below(RATE * 3);
    let resumed: Vec<i16> = match rest {
        Rest::Remaining => said.get(stop..)?.to_vec(),
        Rest::Other => {
            let of_voice = |other: &&Sentence| other.voice == sentence.voice;
            let others: Vec<&Sentence> = sentences.iter().filter(of_voice).collect();
            let other = others[draw.below(others.len())];
            if std::ptr::eq(other, sentence) {
                return None;
            }
            other.pcm[other.start..other.end].to_vec()
        }
        Rest::Earlier => {
            // A place from which 1 s was said, because it may be in a pause, and that is not the
            // beginning.
            let room = stop.checked_sub(RATE * 3 / 2)?;
            said.get(RATE / 2 + draw.below(room.max(1))..)?.to_vec()
        }
        Rest::Whole => said.to_vec(),
        Rest::Slower => {
            let at = |n: usize| -> Option<i16> {
                let (whole, part) = (n * 24 / 25, (n * 24 % 25) as f64 / 25.0);
                let (a, b) = (*said.get(whole)?, *said.get(whole + 1)?);
                Some((f64::from(a) * (1.0 - part) + f64::from(b) * part).round() as i16)
            };
            (0..).map_while(at).collect()
        }
    };
    if said.len() < stop || resumed.len() < RATE * 3 / 4 {
        return None;
    }
    let pause = RATE * 3 / 10 + draw.below(RATE);
    let mut pcm = vec![0; BEFORE + draw.below(FRAME)];
    pcm.extend_from_slice(&said[..stop]);
    pcm.resize(pcm.len() + pause, 0);
    let resumes = pcm.len();
    pcm.extend_from_slice(&resumed[..resumed.len().min(RATE * 3 / 2)]);
    pcm.resize(pcm.len() + RATE, 0);
    Some(Stream { pcm, resumes })
}

/// What the ear says; `None` if it heard no onset where the agent spoke on.
fn heard(stream: &Stream, dtx: bool, loss: f64, draw: &mut Draw) -> Option<Resumed> {
    let sent = match dtx {
        true => coded_with_dtx(&stream.pcm),
        false => coded(&stream.pcm),
    };
    let zero = Instant::now();
    let mut ear = Ear::new().expect("libopus");
    ear.keep_prints();
    let mut onsets = Vec::new();
    let mut poll = |ear: &mut Ear| {
        while let Some(heard) = ear.poll_heard() {
            if let Heard::Onset(onset) = heard {
                onsets.push(onset.at.wire());
            }
        }
    };
    for (k, (frame, payload)) in (0u64..).zip(&sent) {
        if draw.share() < loss {
            continue;
        }
        let arrival = zero + Duration::from_millis(20) * (*frame as u32 + 1);
        ear.advance(arrival);
        poll(&mut ear);
        ear.packet(&Packet {
            arrival,
            kernel_stamp: true,
            rtp_time: (*frame * FRAME as u64) as u32,
            sequence: k,
            level: None,
            payload,
        });
        poll(&mut ear);
    }
    ear.advance(zero + Duration::from_secs(60));
    poll(&mut ear);
    let behind = zero + Duration::from_secs_f64(stream.resumes as f64 / RATE as f64);
    let at = onsets.into_iter().find(|at| *at >= behind)?;
    ear.resumed(&Resumption {
        from: Some(zero),
        at,
    })
}

#[test]
fn resumed_replies_are_told_apart() {
    let sentences = sentences();
    let of_each = size(16, 120);
    let work: Vec<(Rest, u64)> = (RESTS.into_iter().enumerate())
        .flat_map(|(kind, rest)| (0..of_each).map(move |k| (rest, (kind * 10_000 + k) as u64)))
        .collect();
    let outcomes = in_parallel(&work, |(rest, seed)| {
        let mut draw = Draw::new(*seed + 1);
        let stream = (0..50).find_map(|_| stream(&sentences, *rest, &mut draw))?;
        let loss = if seed % 4 < 2 { 0.0 } else { 0.02 };
        Some((*rest, heard(&stream, seed % 2 == 0, loss, &mut draw)?))
    });
    let mut tallies = Vec::new();
    eprintln!("resumed     n    right   95 %            unknown  wrong");
    for rest in RESTS {
        let of: Vec<Resumed> = (outcomes.iter().flatten())
            .filter_map(|(one, told)| (*one == rest).then_some(*told))
            .collect();
        let count = |wanted: Resumed| of.iter().filter(|told| **told == wanted).count();
        let (right, unknown) = (count(rest.truth()), count(Resumed::Unknown));
        let wrong = of.len() - right - unknown;
        let (low, high) = wilson(right, of.len());
        let rest_name = format!("{rest:?}");
        eprintln!(
            "{rest_name:<10} {:>4} {right:>6}  [{low:>5.1}, {high:>5.1}] {unknown:>6} {wrong:>6}",
            of.len()
        );
        tallies.push((rest, of.len(), right, wrong));
    }
    for (rest, total, right, wrong) in tallies {
        assert!(total * 2 > of_each, "{rest:?}: {total} streams");
        // The same words spoken in another way can be taken for new ones.
        let most = if rest == Rest::Slower { 4 } else { 20 };
        assert!(wrong * most <= total, "{rest:?}: {wrong} wrong");
        if rest != Rest::Slower {
            assert!(right * 4 >= total * 3, "{rest:?}: {right} right");
        }
    }
}
