//! Replies that break: faults planted in speech, against the condition that the ear reports.
//!
//! In: spoken sentences (the fixtures, or the WAV files of the folder in `LOADGEN_VOICES`), faults
//! drawn from a seed. Out: for each fault the share found, and how often each was invented; with
//! `LOADGEN_MISSES=1`, each reply that was judged wrongly.
//! Invariants: time is virtual; no label comes from a detector; packets are encoded as a WebRTC
//! sender does, with and without DTX, and 2 % of them are lost.

use super::listen::{Sent, coded, coded_with_dtx};
use super::{in_parallel, size};
use loadgen::audio::{Ear, FRAME, Packet, ReplyWindow, decode, speech_span};
use loadgen::vocab::ReplyCondition;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// The active level to which every sentence is scaled, in dBFS.
const LEVEL_DBFS: f64 = -23.0;
/// Silence before and behind each reply, in frames.
const BEFORE: usize = 40;
const BEHIND: usize = 60;
/// Replies of one stream.
const REPLIES: usize = 6;
/// The share of packets that are lost.
const LOSS: f64 = 0.02;
/// The modelled buffer's target.
const TARGET: Duration = Duration::from_millis(80);

/// A fault to plant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Fault {
    Clean,
    /// The sender stops, then sends at once what it owes.
    Late,
    /// The sender stops, and all that follows is later.
    Shifted,
    /// The sender leaves frames out; its sequence numbers are unbroken.
    Skipped,
    /// Packets are lost in a row.
    Lost,
    /// Digital silence inside a vowel.
    Silence,
    /// Audio is sent ahead.
    Burst,
    /// The reply begins inside a vowel.
    Head,
    /// The reply ends inside a vowel.
    Tail,
    /// The gain is far too high.
    Clipped,
    /// The level changes in mid-speech.
    Jump,
}

const FAULTS: [Fault; 11] = [
    Fault::Clean,
    Fault::Late,
    Fault::Shifted,
    Fault::Skipped,
    Fault::Lost,
    Fault::Silence,
    Fault::Burst,
    Fault::Head,
    Fault::Tail,
    Fault::Clipped,
    Fault::Jump,
];

/// A seeded source of random numbers (xorshift64*, Vigna 2016).
#[derive(Debug, Clone)]
pub struct Draw(u64);

impl Draw {
    /// A source of its own for each seed.
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    /// A number below `bound`.
    pub fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) as usize % bound.max(1)
    }

    /// A number in 0..1.
    pub fn share(&mut self) -> f64 {
        self.below(1 << 24) as f64 / f64::from(1 << 24)
    }
}

/// A spoken sentence.
pub struct Sentence {
    /// The name of the file without its number.
    pub voice: String,
    /// The recording.
    pub pcm: Vec<i16>,
    /// The first sample of the speech.
    pub start: usize,
    /// The sample after the last one.
    pub end: usize,
}

/// The sentences, at the same active level.
pub fn sentences() -> Vec<Sentence> {
    let folder = std::env::var_os("LOADGEN_VOICES").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures"),
        PathBuf::from,
    );
    let mut files: Vec<_> = std::fs::read_dir(folder)
        .expect("voices")
        .map(|entry| entry.expect("readable").path())
        .filter(|path| path.extension().is_some_and(|e| e == "wav"))
        .filter(|path| is_spoken(path))
        .collect();
    files.sort();
    in_parallel(&files, |path| {
        let bytes = std::fs::read(path).expect("readable");
        let pcm = decode(&bytes, Some("wav")).expect("a voice");
        let span = speech_span(&pcm).expect("speech");
        let gain = 10f64.powf((LEVEL_DBFS - f64::from(span.active_level_dbfs)) / 20.0);
        let name = path
            .file_stem()
            .expect("a name")
            .to_string_lossy()
            .into_owned();
        Sentence {
            voice: name.rsplit_once('-').unwrap_or_default().0.to_owned(),
            pcm: pcm.iter().map(|&x| scaled(x, gain)).collect(),
            start: span.start,
            end: span.end,
        }
    })
}

/// Whether a recording is of words: its annotation, if it has one, says which. The fixtures also have
/// music and noises, of which docs/accuracy.md says how they are judged.
fn is_spoken(recording: &Path) -> bool {
    let annotation = std::fs::read_to_string(recording.with_extension("json"));
    annotation.map_or(true, |text| text.contains("\"text\""))
}

fn scaled(x: i16, gain: f64) -> i16 {
    (f64::from(x) * gain).round().clamp(-32_768.0, 32_767.0) as i16
}

fn dbfs(pcm: &[i16]) -> f64 {
    let sum: f64 = pcm.iter().map(|&x| f64::from(x) * f64::from(x)).sum();
    10.0 * (sum / pcm.len().max(1) as f64 / 32_768.0 / 32_768.0 + 1e-12).log10()
}

/// The largest normalised autocorrelation of 40 ms at the lags of a voice.
fn voicing(pcm: &[i16]) -> f64 {
    let of = |lag: usize| {
        let (mut ab, mut aa, mut bb) = (0.0, 1.0, 1.0);
        for at in (0..pcm.len() - lag).step_by(4) {
            let (a, b) = (f64::from(pcm[at]), f64::from(pcm[at + lag]));
            ab += a * b;
            aa += a * a;
            bb += b * b;
        }
        ab / (aa * bb).sqrt()
    };
    (120..=800).step_by(2).map(of).fold(0.0, f64::max)
}

/// A place inside a vowel: louder than the active level, and voiced, on both sides.
fn vowel(sentence: &Sentence, draw: &mut Draw) -> Option<usize> {
    let Sentence {
        pcm, start, end, ..
    } = sentence;
    (0..2_000)
        .map(|_| start + draw.below(end - start))
        .find(|&at| {
            let inside = at >= start + 9_600 && at + 9_600 < *end;
            inside
                && dbfs(&pcm[at..at + 960]) >= LEVEL_DBFS + 1.0
                && dbfs(&pcm[at - 960..at]) >= LEVEL_DBFS + 1.0
                && voicing(&pcm[at..at + 1_920]) >= 0.75
                && voicing(&pcm[at - 1_920..at]) >= 0.75
        })
}

/// A reply with its fault, as the sender's frames of PCM.
struct Planted {
    fault: Fault,
    pcm: Vec<i16>,
    /// Length of the hole, of the burst or of the repeated part.
    length: Duration,
    /// First sample of the fault.
    at: usize,
}

fn planted(sentence: &Sentence, fault: Fault, draw: &mut Draw) -> Option<Planted> {
    let frames = 3 + draw.below(38);
    let mut length = frames * FRAME;
    let at = match fault {
        Fault::Clean | Fault::Clipped => 0,
        _ => vowel(sentence, draw)?,
    };
    if matches!(fault, Fault::Lost | Fault::Skipped) {
        // The reply goes on behind the hole.
        let room = (sentence.end - at).saturating_sub(9_600) / FRAME;
        length = frames.min(room) * FRAME;
        if length < 3 * FRAME {
            return None;
        }
    }
    let mut pcm = sentence.pcm.clone();
    match fault {
        Fault::Silence => {
            length = 2_880 + draw.below(35_520);
            pcm.splice(at..at, std::iter::repeat_n(0, length));
        }
        Fault::Head => drop(pcm.drain(..at)),
        Fault::Tail => pcm.truncate(at),
        Fault::Clipped => pcm
            .iter_mut()
            .for_each(|x| *x = scaled(*x, 10f64.powf(18.0 / 20.0))),
        Fault::Jump => {
            let far = sentence.end - at >= 48_000 && at - sentence.start >= 48_000;
            let gain = if draw.below(2) == 0 { 0.1 } else { 8.0 };
            pcm[at..].iter_mut().for_each(|x| *x = scaled(*x, gain));
            if !far {
                return None;
            }
        }
        _ => {}
    }
    Some(Planted {
        fault,
        pcm,
        length: Duration::from_nanos(length as u64 * 62_500 / 3),
        at,
    })
}

/// A packet on its way: frame, bytes, delay.
struct Sending {
    frame: u64,
    bytes: Vec<u8>,
    delay: Duration,
    lost: bool,
}

/// Puts the faults of the packets into a stream. `at`: the first frame of the fault.
fn disturb(sent: Vec<Sent>, replies: &[(usize, usize, Planted)]) -> Vec<Sending> {
    let mut sending: Vec<Sending> = sent
        .into_iter()
        .map(|(frame, bytes)| Sending {
            frame,
            bytes,
            delay: Duration::ZERO,
            lost: false,
        })
        .collect();
    let step = Duration::from_millis(20);
    for (from, to, planted) in replies {
        let first = (from * FRAME + planted.at) as u64 / FRAME as u64;
        let frames = (planted.length.as_millis() / 20) as u64;
        let inside = |s: &Sending| s.frame >= first && s.frame < *to as u64;
        match planted.fault {
            Fault::Late => {
                for s in sending.iter_mut().filter(|s| inside(s)) {
                    let passed = (s.frame - first) as u32;
                    s.delay = planted.length.saturating_sub(step * passed);
                }
            }
            Fault::Shifted => {
                for s in sending.iter_mut().filter(|s| inside(s)) {
                    s.delay = planted.length;
                }
            }
            Fault::Lost => {
                for s in sending.iter_mut().filter(|s| inside(s)) {
                    s.lost = s.frame < first + frames;
                }
            }
            Fault::Skipped => {
                sending.retain(|s| s.frame < first || s.frame >= first + frames);
            }
            _ => {}
        }
    }
    sending
}

/// The instant of each packet: a burst is sent ahead, everything else when its frame is complete.
fn arrivals(
    sending: &[Sending],
    replies: &[(usize, usize, Planted)],
    draw: &mut Draw,
) -> Vec<Duration> {
    let step = Duration::from_millis(20);
    let mut last = Duration::ZERO;
    sending
        .iter()
        .map(|s| {
            let mut at = step * (s.frame as u32 + 1) + s.delay;
            for (from, _, planted) in replies.iter().filter(|(.., p)| p.fault == Fault::Burst) {
                let first = (from * FRAME + planted.at) as u64 / FRAME as u64;
                let frames = (planted.length.as_millis() / 20).max(8) as u64;
                if (first..first + frames).contains(&s.frame) {
                    at = step * (first as u32 + 1);
                }
            }
            let jitter = Duration::from_micros(draw.below(4_000) as u64);
            last = last.max(at + jitter);
            last
        })
        .collect()
}

/// What was planted in a reply, and what the ear says about it.
struct Outcome {
    fault: Fault,
    voice: String,
    heard: Option<ReplyCondition>,
}

/// One stream of replies.
fn stream(work: &[(&Sentence, Fault)], dtx: bool, loss: f64, seed: u64) -> Vec<Outcome> {
    let mut draw = Draw::new(seed);
    let mut pcm = Vec::new();
    let mut replies = Vec::new();
    let mut voices = Vec::new();
    for (sentence, fault) in work {
        let Some(planted) = planted(sentence, *fault, &mut draw) else {
            continue;
        };
        let from = pcm.len() / FRAME + BEFORE;
        pcm.resize(from * FRAME, 0);
        pcm.extend_from_slice(&planted.pcm);
        let to = pcm.len().div_ceil(FRAME) + BEHIND;
        pcm.resize(to * FRAME, 0);
        replies.push((from, to, planted));
        voices.push(sentence.voice.clone());
    }
    let sent = if dtx {
        coded_with_dtx(&pcm)
    } else {
        coded(&pcm)
    };
    let sending = disturb(sent, &replies);
    let arrivals = arrivals(&sending, &replies, &mut draw);
    let start = Instant::now();
    let mut ear = Ear::new().expect("libopus");
    let mut quickest = i64::MAX;
    let mut outcomes = Vec::new();
    let window = |k: usize| {
        let at = |frame: usize| start + Duration::from_millis(20) * frame as u32;
        let (from, to, _) = &replies[k];
        ReplyWindow {
            from: at(from - BEFORE),
            speech_end: at(from - BEFORE),
            until: Some(at(*to)),
        }
    };
    let mut told = 0;
    for (k, (s, &arrival)) in sending.iter().zip(&arrivals).enumerate() {
        let now = start + arrival;
        while told < replies.len() && window(told).until.is_some_and(|until| now >= until) {
            ear.advance(now);
            let heard = ear.reply(&window(told), window(told).until.unwrap_or(now));
            outcomes.push((told, heard));
            told += 1;
        }
        if s.lost || draw.share() < loss {
            continue;
        }
        let packet = Packet {
            arrival: now,
            kernel_stamp: true,
            rtp_time: s.frame as u32 * FRAME as u32,
            sequence: k as u64,
            level: None,
            payload: &s.bytes,
        };
        let transit = arrival.as_micros() as i64 - s.frame as i64 * 20_000;
        quickest = quickest.min(transit);
        let hold = TARGET.saturating_sub(Duration::from_micros((transit - quickest) as u64));
        ear.arrived(&packet, hold);
        ear.packet(&packet);
        while ear.poll_heard().is_some() {}
    }
    let end = start + Duration::from_secs(3_600);
    ear.advance(end);
    while ear.poll_heard().is_some() {}
    for k in told..replies.len() {
        outcomes.push((k, ear.reply(&window(k), end)));
    }
    let outcome = |(k, heard): (usize, Option<ReplyCondition>)| Outcome {
        fault: replies[k].2.fault,
        voice: voices[k].clone(),
        heard,
    };
    if std::env::var_os("LOADGEN_MISSES").is_some() {
        for (k, heard) in &outcomes {
            let Planted { fault, length, .. } = replies[*k].2;
            let (voice, found) = (&voices[*k], kinds(heard.as_ref()));
            let is_right = |n: usize| n == 2 || found[n] == (wanted(fault) == Some(n));
            if !(0..KINDS.len()).all(is_right) {
                eprintln!("{fault:?} {length:?} {voice} dtx {dtx} loss {loss}: {heard:?}");
            }
        }
    }
    outcomes.into_iter().map(outcome).collect()
}

/// The kinds of findings.
const KINDS: [&str; 9] = [
    "sender", "network", "underrun", "burst", "head", "tail", "clipped", "jump", "unheard",
];

fn kinds(heard: Option<&ReplyCondition>) -> [bool; 9] {
    let Some(c) = heard else {
        let mut none = [false; 9];
        none[8] = true;
        return none;
    };
    [
        c.sender_stalls.count > 0,
        c.network_stalls.count > 0,
        c.underruns.count > 0,
        c.bursts.count > 0,
        c.truncated_head,
        c.truncated_tail,
        c.is_clipped(),
        c.level_jump_db.is_some(),
        false,
    ]
}

fn wanted(fault: Fault) -> Option<usize> {
    Some(match fault {
        Fault::Clean => return None,
        Fault::Late | Fault::Shifted | Fault::Skipped | Fault::Silence => 0,
        Fault::Lost => 1,
        Fault::Burst => 3,
        Fault::Head => 4,
        Fault::Tail => 5,
        Fault::Clipped => 6,
        Fault::Jump => 7,
    })
}

/// Wilson's interval of a share at 95 %, in percent.
pub fn wilson(hits: usize, total: usize) -> (f64, f64) {
    let (n, z) = (total.max(1) as f64, 1.96f64);
    let p = hits as f64 / n;
    let centre = p + z * z / (2.0 * n);
    let half = z * (p * (1.0 - p) / n + z * z / (4.0 * n * n)).sqrt();
    let scale = 100.0 / (1.0 + z * z / n);
    (((centre - half) * scale).max(0.0), (centre + half) * scale)
}

/// How many replies were planted, and how many findings of each kind there were.
#[derive(Default, Clone)]
struct Tally {
    total: usize,
    any: usize,
    found: [usize; 9],
}

/// The streams of one run: their replies with a fault each, DTX, loss, seed.
type Work<'a> = (Vec<(&'a Sentence, Fault)>, bool, f64, u64);

fn work(sentences: &[Sentence]) -> Vec<Work<'_>> {
    let (per_fault, clean) = (size(36, 600), size(120, 1_200));
    let mut draw = Draw(7);
    let mut work = Vec::new();
    for (k, fault) in FAULTS.into_iter().enumerate() {
        let replies = if fault == Fault::Clean {
            clean
        } else {
            per_fault
        };
        for stream in 0..replies / REPLIES {
            let replies = (0..REPLIES)
                .map(|_| (&sentences[draw.below(sentences.len())], fault))
                .collect();
            let loss = if stream % 4 < 2 { 0.0 } else { LOSS };
            work.push((replies, stream % 2 == 0, loss, (k * 10_000 + stream) as u64));
        }
    }
    work
}

type Tallies = BTreeMap<(Fault, String), Tally>;

fn tallied(outcomes: &[(bool, bool, Vec<Outcome>)]) -> Tallies {
    let mut tallies = Tallies::new();
    for (dtx, loss, outcomes) in outcomes {
        for outcome in outcomes {
            let found = kinds(outcome.heard.as_ref());
            let conditions = format!("dtx {} loss {}", u8::from(*dtx), u8::from(*loss));
            for group in ["all".to_owned(), conditions, outcome.voice.clone()] {
                let tally = tallies.entry((outcome.fault, group)).or_default();
                tally.total += 1;
                // Underruns follow from the loss and the jitter; a reply must be heard.
                let any = (0..8).any(|kind| kind != 2 && found[kind]);
                tally.any += usize::from(any);
                for (count, is) in tally.found.iter_mut().zip(found) {
                    *count += usize::from(is);
                }
            }
        }
    }
    tallies
}

fn show(tallies: &Tallies) {
    let kinds = KINDS.join(" ");
    eprintln!("fault     group               n    found  95 %             found as {kinds}");
    for ((fault, group), tally) in tallies {
        let hits = wanted(*fault).map_or(tally.any, |kind| tally.found[kind]);
        let (low, high) = wilson(hits, tally.total);
        let share = 100.0 * hits as f64 / tally.total.max(1) as f64;
        let (fault, total, found) = (format!("{fault:?}"), tally.total, tally.found);
        eprintln!(
            "{fault:<9} {group:<14} {total:>6} {share:>7.1}% [{low:>5.1}, {high:>5.1}] {found:?}"
        );
    }
}

#[test]
fn planted_faults_are_found_and_clean_replies_stay_clean() {
    let sentences = sentences();
    let outcomes = in_parallel(&work(&sentences), |(replies, dtx, loss, seed)| {
        (*dtx, *loss > 0.0, stream(replies, *dtx, *loss, *seed))
    });
    let tallies = tallied(&outcomes);
    show(&tallies);
    check(&tallies);
}

/// The limits, in shares of the replies: generous, because the fixtures are few.
fn check(tallies: &Tallies) {
    let share = |fault: Fault, kind: usize| {
        let tally = &tallies[&(fault, "all".to_owned())];
        tally.found[kind] as f64 / tally.total.max(1) as f64
    };
    for fault in [
        Fault::Late,
        Fault::Shifted,
        Fault::Skipped,
        Fault::Lost,
        Fault::Burst,
    ] {
        let found = share(fault, wanted(fault).expect("a fault"));
        assert!(found >= 0.9, "{fault:?}: {found}");
    }
    for (fault, least) in [
        (Fault::Silence, 0.75),
        (Fault::Head, 0.75),
        (Fault::Tail, 0.5),
        (Fault::Clipped, 0.7),
    ] {
        let found = share(fault, wanted(fault).expect("a fault"));
        assert!(found >= least, "{fault:?}: {found}");
    }
    // The fixtures are cut hard at their end, so their tails are truncated by construction.
    for kind in [0, 1, 3, 4, 6, 7] {
        let invented = share(Fault::Clean, kind);
        assert!(invented <= 0.05, "{}: {invented}", KINDS[kind]);
    }
}
