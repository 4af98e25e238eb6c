//! The second opinion: an independent detector's judgement of reply onsets.
//!
//! In: the audio around onsets, from the media threads. Out: the judgement of a voice detector, or
//! of a tone detector if the scenario declares a tone. Invariants: media threads never block; one
//! separate thread uses about 5 % of a core and skips onsets when it is too busy.

use super::watchdog::{Pulses, WatchedPart};
use crate::audio::goertzel::tone_onset;
use crate::audio::opinion::{OPINION_AFTER, OPINION_BEFORE, SecondEar};
use crate::audio::time_of;
use crate::call::SecondOpinion;
use crate::os::thread_cpu_time;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::oneshot;

/// Capacity of the queue of questions, 70 kB each. A longer queue would only make them wait longer.
const QUEUE: usize = 16;
/// The thread sleeps 19 times as long as it worked, so it uses at most 5 % of a core.
const REST: u32 = 19;
/// Upper bound of a rest, because a call that has ended waits for its last opinions. If an opinion
/// takes longer than 13 ms, the thread therefore uses more than 5 % of a core.
const LONGEST_REST: Duration = Duration::from_millis(250);
/// For how long, and at what interval, a question that must be answered is repeated.
const PERSISTS: Duration = Duration::from_secs(10);
const AGAIN: Duration = Duration::from_millis(500);
/// Number of samples after the onset in which a declared tone is searched for.
const TONE_LENGTH: usize = 9_600;

/// The audio around an onset.
#[derive(Debug, Clone)]
pub(super) struct Excerpt {
    /// At most [`OPINION_BEFORE`] samples before the onset, then the onset and the audio after it.
    pub audio: Vec<i16>,
    /// Number of samples before the onset.
    pub before: usize,
}

impl Excerpt {
    /// Samples before the onset, if that many are available.
    pub(super) const BEFORE: usize = OPINION_BEFORE;
    /// Length of a full excerpt, in samples.
    pub(super) const LENGTH: usize = OPINION_BEFORE + OPINION_AFTER;
}

pub(super) struct Question {
    excerpt: Excerpt,
    answer: oneshot::Sender<SecondOpinion>,
}

/// Where second opinions are computed.
pub(super) enum Opinions {
    /// A thread that ends when the handle is dropped.
    Thread(SyncSender<Question>),
    /// Immediately, in the task that requests the opinion. For runs in virtual time, where nothing
    /// may run outside the runtime.
    AtOnce(Box<Mutex<Judge>>),
}

/// Judges excerpts.
pub(super) struct Judge {
    /// Frequency of the tone that the agent is declared to reply with, in Hz.
    tone: Option<u32>,
    ear: SecondEar,
}

impl Judge {
    fn new(tone: Option<u32>) -> Self {
        let ear = SecondEar::new();
        Self { tone, ear }
    }

    fn judge(&mut self, excerpt: &Excerpt) -> SecondOpinion {
        match self.tone {
            Some(hz) => of_tone(f64::from(hz), excerpt),
            None => of_voice(&mut self.ear, excerpt),
        }
    }
}

impl Opinions {
    /// Starts the thread. `tone`: frequency of the tone that the agent is declared to reply with,
    /// in Hz.
    ///
    /// # Errors
    /// The system cannot start a thread.
    pub(super) fn start(tone: Option<u32>, pulses: Pulses) -> std::io::Result<Self> {
        let (questions, inbox) = sync_channel(QUEUE);
        std::thread::Builder::new()
            .name("opinions".into())
            .spawn(move || answer(Judge::new(tone), &inbox, &pulses))?;
        Ok(Self::Thread(questions))
    }

    /// Answers every question immediately, without a thread.
    pub(super) fn at_once(tone: Option<u32>) -> Self {
        Self::AtOnce(Box::new(Mutex::new(Judge::new(tone))))
    }

    /// Requests an opinion; the receiver fails if the judge is too busy for it.
    pub(super) fn ask(&self, excerpt: Excerpt) -> oneshot::Receiver<SecondOpinion> {
        let (answer, opinion) = oneshot::channel();
        match self {
            // A full queue drops the question, which closes the receiver.
            Self::Thread(questions) => drop(questions.try_send(Question { excerpt, answer })),
            Self::AtOnce(judge) => {
                let mut judge = judge.lock().unwrap_or_else(PoisonError::into_inner);
                // The receiver still exists: the function returns it.
                let _ = answer.send(judge.judge(&excerpt));
            }
        }
        opinion
    }

    /// Whether the excerpt contains the declared sound of the agent: a voice, or the declared tone.
    /// Repeats the question until it is answered; `None` after [`PERSISTS`].
    pub(super) async fn insist(&self, excerpt: Excerpt) -> Option<bool> {
        let until = tokio::time::Instant::now() + PERSISTS;
        loop {
            if let Ok(opinion) = self.ask(excerpt.clone()).await {
                return Some(opinion.as_declared);
            }
            if tokio::time::Instant::now() >= until {
                return None;
            }
            tokio::time::sleep(AGAIN).await;
        }
    }
}

fn answer(mut judge: Judge, inbox: &Receiver<Question>, pulses: &Pulses) {
    while let Ok(Question { excerpt, answer }) = inbox.recv() {
        if answer.is_closed() {
            continue;
        }
        let at_work = pulses.work(WatchedPart::Opinions);
        // Measured in processor time, which does not grow while the process is stopped or waits for
        // a core.
        let before = thread_cpu_time();
        let opinion = judge.judge(&excerpt);
        let took = thread_cpu_time().saturating_sub(before);
        let _ = answer.send(opinion);
        drop(at_work);
        std::thread::sleep(rest(took));
    }
}

/// How long to rest after work that took `took` of processor time.
fn rest(took: Duration) -> Duration {
    (took * REST).min(LONGEST_REST)
}

fn of_voice(ear: &mut SecondEar, excerpt: &Excerpt) -> SecondOpinion {
    let opinion = ear.judge(&excerpt.audio, excerpt.before);
    SecondOpinion {
        as_declared: opinion.speech,
        apart: opinion.apart(excerpt.before),
    }
}

fn of_tone(hz: f64, excerpt: &Excerpt) -> SecondOpinion {
    let until = excerpt
        .audio
        .len()
        .min(excerpt.before + TONE_LENGTH.min(OPINION_AFTER));
    let found = tone_onset(&excerpt.audio[..until], hz);
    let onset = time_of(excerpt.before as u64);
    SecondOpinion {
        as_declared: found.is_some(),
        apart: found.map(|f| {
            let at = Duration::from_secs_f64(f.position.max(0.0) / f64::from(crate::audio::RATE));
            at.abs_diff(onset)
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audio::{TONE_HZ, tone};

    fn excerpt(sound: &[i16], silence: usize) -> Excerpt {
        Excerpt {
            audio: [&vec![0; silence], sound].concat(),
            before: Excerpt::BEFORE,
        }
    }

    #[tokio::test]
    async fn only_the_declared_tone_is_recognised() {
        let sound = tone(Duration::from_millis(600));
        let declared = Opinions::start(Some(TONE_HZ as u32), Pulses::default()).expect("a thread");
        let there = declared.ask(excerpt(&sound, Excerpt::BEFORE)).await;
        let there = there.expect("an answer");
        assert!(there.as_declared, "{there:?}");
        assert!(there.apart.is_some_and(|by| by < Duration::from_millis(5)));
        let late = declared.ask(excerpt(&sound, Excerpt::BEFORE + 4_800)).await;
        let apart = late.expect("an answer").apart.expect("a tone");
        assert!(apart.abs_diff(Duration::from_millis(100)) < Duration::from_millis(5));
        let other = Opinions::start(Some(440), Pulses::default()).expect("a thread");
        let other = other.ask(excerpt(&sound, Excerpt::BEFORE)).await;
        assert!(!other.expect("an answer").as_declared);
        let voice = Opinions::start(None, Pulses::default()).expect("a thread");
        let voice = voice.ask(excerpt(&sound, Excerpt::BEFORE)).await;
        assert!(!voice.expect("an answer").as_declared);
    }

    #[test]
    fn the_rest_is_a_bounded_multiple_of_the_work() {
        let ms = Duration::from_millis;
        for (took, rested) in [(0, 0), (3, 57), (13, 247), (14, 250), (3_000, 250)] {
            assert_eq!(rest(ms(took)), ms(rested));
        }
        // A sleeping thread uses no processor time, and neither does a stopped process.
        let before = thread_cpu_time();
        std::thread::sleep(ms(200));
        assert!(thread_cpu_time().saturating_sub(before) < ms(100));
    }

    #[tokio::test]
    async fn excerpts_that_do_not_fit_in_the_queue_are_not_judged() {
        let opinions = Opinions::start(None, Pulses::default()).expect("a thread");
        let sound = tone(Duration::from_millis(600));
        let asked: Vec<_> = (0..4 * QUEUE)
            .map(|_| opinions.ask(excerpt(&sound, Excerpt::BEFORE)))
            .collect();
        drop(opinions);
        let mut unasked = 0;
        for answer in asked.into_iter().rev().take(QUEUE) {
            unasked += usize::from(answer.await.is_err());
        }
        assert!(unasked > 0);
    }
}
