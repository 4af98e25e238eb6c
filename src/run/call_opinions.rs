//! The second opinions on one call's onsets.
//!
//! In: the second opinions that the call has requested, and its turns as they end. Out: turns with
//! their opinion. A turn whose opinion is not known yet is returned at once, and again when the
//! opinion arrives. Invariant: no turn waits for its opinion, so a stop or crash loses no turn that
//! has ended.

use crate::call::{SecondOpinion, StreamId, TurnResult};
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt as _, StreamExt as _};
use std::collections::VecDeque;
use std::time::Instant;
use tokio::sync::oneshot;

/// Number of opinions kept, so that an amended turn keeps the opinion on its onset.
const ANSWERS: usize = 16;

/// Answer to a request: the onset's instant, and the opinion unless the judge was too busy.
type Answer = (Instant, Option<SecondOpinion>);

/// Second opinions on the onsets of a call.
#[derive(Default)]
pub(super) struct CallOpinions {
    asked: FuturesUnordered<BoxFuture<'static, Answer>>,
    answers: VecDeque<(Instant, SecondOpinion)>,
    /// Turns that have ended and whose opinion is pending.
    waiting: Vec<TurnResult>,
    /// A stream newly confirmed as a voice, of which the caller's endpoint is not informed yet.
    voice: Option<StreamId>,
    /// The stream last confirmed as a voice.
    known: Option<StreamId>,
}

impl CallOpinions {
    /// Notes that an opinion on the onset at `at` was requested.
    pub(super) fn asked(&mut self, at: Instant, answer: oneshot::Receiver<SecondOpinion>) {
        self.asked
            .push(answer.map(move |second| (at, second.ok())).boxed());
    }

    /// Adds the opinion to a turn that ended or was amended, if the opinion is known; otherwise
    /// [`CallOpinions::answered`] returns the turn later, with its opinion.
    pub(super) fn judge(&mut self, mut turn: TurnResult) -> TurnResult {
        self.waiting.retain(|waits| waits.turn != turn.turn);
        let Some(onset) = turn.onset.map(|onset| onset.at.wire()) else {
            return turn;
        };
        if turn.second.is_some_and(|second| !second.as_declared) {
            return turn; // The call itself decided that the sound is not a voice.
        }
        while let Some(Some(answer)) = self.asked.next().now_or_never() {
            self.keep(answer);
        }
        match self.answers.iter().find(|(at, _)| *at == onset) {
            Some(&(_, second)) => self.apply(&mut turn, second),
            None if !self.asked.is_empty() => self.waiting.push(turn.clone()),
            None => {}
        }
        turn
    }

    /// The next turn whose opinion arrived after the turn had ended. Cancel safe; pending forever
    /// while no request is pending.
    pub(super) async fn answered(&mut self) -> TurnResult {
        loop {
            if let Some(turn) = self.ready() {
                return turn;
            }
            match self.asked.next().await {
                Some(answer) => self.keep(answer),
                None => std::future::pending().await,
            }
        }
    }

    /// As [`CallOpinions::answered`], but returns `None` once no turn waits for an opinion.
    pub(super) async fn last_answered(&mut self) -> Option<TurnResult> {
        loop {
            if let Some(turn) = self.ready() {
                return Some(turn);
            }
            if self.waiting.is_empty() {
                return None;
            }
            let answer = self.asked.next().await?;
            self.keep(answer);
        }
    }

    /// A stream that was confirmed as a voice since this was last called.
    pub(super) fn take_voice(&mut self) -> Option<StreamId> {
        self.voice.take()
    }

    /// A waiting turn whose opinion is now known.
    fn ready(&mut self) -> Option<TurnResult> {
        let known = |turn: &TurnResult| {
            let onset = turn.onset?.at.wire();
            let answer = self.answers.iter().find(|(at, _)| *at == onset);
            answer.map(|(_, second)| *second)
        };
        let (index, second) = self
            .waiting
            .iter()
            .enumerate()
            .find_map(|(index, turn)| known(turn).map(|second| (index, second)))?;
        let mut turn = self.waiting.remove(index);
        self.apply(&mut turn, second);
        Some(turn)
    }

    fn keep(&mut self, (at, second): Answer) {
        match second {
            Some(second) => {
                if self.answers.len() == ANSWERS {
                    self.answers.pop_front();
                }
                self.answers.push_back((at, second));
            }
            // The judge was too busy for this onset, so the turn is not amended.
            None => self
                .waiting
                .retain(|turn| turn.onset.is_none_or(|onset| onset.at.wire() != at)),
        }
    }

    fn apply(&mut self, turn: &mut TurnResult, second: SecondOpinion) {
        turn.second_opinion(second);
        if second.as_declared && turn.stream != self.known {
            (self.voice, self.known) = (turn.stream, turn.stream);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audio::{HeardAt, Onset, Segment};
    use crate::call::{Confidence, Expect, Flag, Outcome};
    use std::time::Duration;

    fn turn(index: usize, at: Instant) -> TurnResult {
        let mut turn = TurnResult::unstarted(index, Expect::Respond, Outcome::Replied);
        turn.onset = Some(Onset {
            at: HeardAt {
                arrival: at,
                offset: Duration::ZERO,
            },
            confidence: Confidence::High,
            earlier_by_loss: None,
            later_by_loss: None,
            snr_db: 30.0,
            segment: Segment::default(),
            after: None,
        });
        turn.stream = Some(1);
        turn
    }

    const NOISE: SecondOpinion = SecondOpinion {
        as_declared: false,
        apart: None,
    };
    const VOICE: SecondOpinion = SecondOpinion {
        as_declared: true,
        apart: None,
    };

    #[tokio::test]
    async fn a_turn_is_amended_when_its_opinion_arrives() {
        let mut opinions = CallOpinions::default();
        let (start, next) = (Instant::now(), Instant::now() + Duration::from_secs(9));
        let (first, answer) = oneshot::channel();
        opinions.asked(start, answer);
        let (second, answer) = oneshot::channel();
        opinions.asked(next, answer);
        // Both turns end before any opinion arrives.
        assert_eq!(opinions.judge(turn(0, start)).second, None);
        assert_eq!(opinions.judge(turn(1, next)).second, None);
        second.send(VOICE).expect("a receiver");
        let amended = opinions.answered().await;
        assert_eq!((amended.turn, amended.second), (1, Some(VOICE)));
        assert_eq!(opinions.take_voice(), Some(1));
        first.send(NOISE).expect("a receiver");
        let amended = opinions.last_answered().await.expect("a waiting turn");
        assert_eq!((amended.turn, amended.second), (0, Some(NOISE)));
        assert_eq!(amended.flags, [Flag::NotSpeech]);
        assert_eq!(opinions.last_answered().await, None);
        // A turn amended later keeps the opinion on its onset.
        assert_eq!(opinions.judge(turn(0, start)).second, Some(NOISE));
    }

    #[tokio::test]
    async fn known_opinions_are_attached_at_once_and_cancelled_ones_are_not_awaited() {
        let mut opinions = CallOpinions::default();
        let (start, next) = (Instant::now(), Instant::now() + Duration::from_secs(9));
        let (first, answer) = oneshot::channel();
        opinions.asked(start, answer);
        first.send(VOICE).expect("a receiver");
        assert_eq!(opinions.judge(turn(0, start)).second, Some(VOICE));
        assert_eq!(opinions.last_answered().await, None, "nothing is pending");
        let (second, answer) = oneshot::channel::<SecondOpinion>();
        opinions.asked(next, answer);
        assert_eq!(opinions.judge(turn(1, next)).second, None);
        drop(second);
        assert_eq!(
            opinions.last_answered().await,
            None,
            "the request was cancelled"
        );
    }
}
