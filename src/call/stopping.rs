//! Finds when the agent stopped speaking after an interruption.
//!
//! In: the passages of the agent's speech, and the start and end of the caller's interruption.
//! Out: a [`Stopping`]. Pure: the same passages always give the same judgement.

use super::Readings;
use super::span::SEPARATES;
use super::talk::{Link, Passage};
use crate::audio::{HeardAt, SPURT_GAP};
use std::time::{Duration, Instant};

/// How the agent has reacted to an interruption so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stopping {
    /// The agent was silent when the interruption began.
    Nothing,
    /// The agent is still speaking, or has not been silent for long enough for a judgement.
    Open(Option<Stop>),
    Stopped(Stop),
}

/// Where the agent stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stop {
    /// The agent's last audible sample.
    pub(super) at: HeardAt,
    /// Both readings, measured from the interruption, if audio and state allow two.
    pub(super) readings: Option<Readings>,
    /// Whether the agent's state or a long enough silence shows that the agent stopped at `at`. If
    /// false, the agent is just as likely to be still speaking.
    pub(super) likely: bool,
}

/// A pause at which the agent may or may not have stopped.
#[derive(Debug, Clone, Copy)]
struct Candidate {
    at: HeardAt,
    pause: Duration,
    /// When the agent became audible again; `None` if it is still silent.
    resumed: Option<Instant>,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Interruption {
    /// The caller's first speech sample.
    pub(super) began: Instant,
    /// The caller's end of speech.
    pub(super) speech_end: Instant,
}

impl Interruption {
    /// Judges the interruption by the agent's `passages`, oldest first.
    pub(super) fn judge(self, passages: &[Passage]) -> Stopping {
        let Some(first) = passages.iter().rposition(|p| p.began <= self.began) else {
            return Stopping::Nothing;
        };
        let mut candidates = Vec::new();
        let mut from = &passages[first];
        for next in passages[first + 1..].iter().map(Some).chain([None]) {
            let Some(at) = from.end else {
                return Stopping::Open(self.undecided(&candidates));
            };
            let silent_before = at.wire() < self.began;
            let stopped = match next {
                None if from.over && from.speaks_on && !silent_before => {
                    candidates.push(Candidate {
                        at,
                        pause: SPURT_GAP,
                        resumed: None,
                    });
                    return Stopping::Open(self.undecided(&candidates));
                }
                None if !from.over => return Stopping::Open(self.undecided(&candidates)),
                None => true,
                Some(next) => match next.link {
                    Link::Open => return Stopping::Open(self.undecided(&candidates)),
                    Link::New => true,
                    Link::Continues => false,
                    Link::Unclear(pause) => {
                        let resumed = Some(next.began);
                        candidates.push(Candidate { at, pause, resumed });
                        false
                    }
                },
            };
            if stopped && silent_before {
                return Stopping::Nothing;
            }
            if stopped {
                return Stopping::Stopped(self.stopped(at, &candidates));
            }
            from = next.unwrap_or(from);
        }
        Stopping::Open(self.undecided(&candidates))
    }

    /// Determines the stop. The agent had certainly stopped at `last`, but may have stopped
    /// earlier, at one of the `candidates`.
    fn stopped(self, last: HeardAt, candidates: &[Candidate]) -> Stop {
        // If the agent's last speech ended while the caller was still speaking, that speech cannot
        // be the answer, so the short pauses before it were not stops.
        let broke_off = last.wire() < self.speech_end;
        let counts = |c: &&Candidate| !broke_off || c.pause >= SEPARATES;
        let mut likely = candidates.iter().filter(counts);
        let Some(earliest) = likely.clone().next() else {
            return Stop {
                at: last,
                readings: None,
                likely: true,
            };
        };
        let separated = likely.find(|c| self.separates(c));
        Stop {
            at: separated.map_or(last, |c| c.at),
            readings: Some(self.readings(earliest, Some(last))),
            likely: true,
        }
    }

    /// The most likely stop while the judgement is still open.
    fn undecided(self, candidates: &[Candidate]) -> Option<Stop> {
        let earliest = candidates.first()?;
        let separated = candidates.iter().find(|c| self.separates(c));
        Some(Stop {
            at: separated.unwrap_or(earliest).at,
            readings: Some(self.readings(earliest, None)),
            likely: separated.is_some(),
        })
    }

    /// Whether the pause separates an answer from earlier speech: it is long enough and ends after
    /// the caller's end of speech.
    fn separates(self, candidate: &Candidate) -> bool {
        let later = candidate.resumed.is_none_or(|at| at >= self.speech_end);
        candidate.pause >= SEPARATES && later
    }

    fn readings(self, earliest: &Candidate, latest: Option<HeardAt>) -> Readings {
        let since = |at: HeardAt| at.wire().saturating_duration_since(self.began);
        Readings {
            low: Some(since(earliest.at)),
            high: latest.map(since),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::talk::Holds;
    use super::*;

    /// Start, end (`None`: still audible), and link to the preceding speech.
    type Said = (u64, Option<u64>, Link);

    fn judge(said: &[Said], over: bool) -> (Instant, Stopping) {
        judge_of(said, over, false)
    }

    /// `speaks_on`: whether the agent's state is still `speaking` at the end.
    fn judge_of(said: &[Said], over: bool, speaks_on: bool) -> (Instant, Stopping) {
        let start = Instant::now();
        let ms = |ms| start + Duration::from_millis(ms);
        let passages: Vec<Passage> = said
            .iter()
            .enumerate()
            .map(|(n, &(began, end, link))| Passage {
                began: ms(began),
                end: end.map(|end| HeardAt {
                    arrival: ms(end),
                    offset: Duration::ZERO,
                }),
                link,
                over: over && n + 1 == said.len(),
                speaks_on: speaks_on && n + 1 == said.len(),
                held: Holds::default(),
                snr_db: None,
            })
            .collect();
        let interruption = Interruption {
            began: ms(1000),
            speech_end: ms(2500),
        };
        (start, interruption.judge(&passages))
    }

    /// The stop and both its readings in ms after the start of the interruption, whether the stop
    /// is likely, and whether it is decided.
    type Judged = Option<(u64, Option<(u64, Option<u64>)>, bool, bool)>;

    fn shown((start, judged): (Instant, Stopping)) -> Judged {
        let ms = |d: Duration| d.as_millis() as u64;
        let (stop, decided) = match judged {
            Stopping::Nothing | Stopping::Open(None) => return None,
            Stopping::Open(Some(stop)) => (stop, false),
            Stopping::Stopped(stop) => (stop, true),
        };
        let at = ms(stop.at.wire() - start) - 1000;
        let both = stop
            .readings
            .map(|r| (r.low.map(ms).expect("a stop"), r.high.map(ms)));
        Some((at, both, stop.likely, decided))
    }

    #[test]
    fn stops_are_judged_by_spurts_and_links() {
        use Link::{Continues, New, Unclear};
        let unclear = |ms| Unclear(Duration::from_millis(ms));
        let cases: [(&str, &[Said], bool, Judged); 12] = [
            (
                "stops",
                &[(0, Some(1450), New)],
                true,
                Some((450, None, true, true)),
            ),
            (
                "silent for less than the gap",
                &[(0, Some(1450), New)],
                false,
                None,
            ),
            ("keeps speaking", &[(0, None, New)], false, None),
            (
                "stops, then answers after 310 ms, by its state",
                &[(0, Some(1450), New), (1760, None, New)],
                false,
                Some((450, None, true, true)),
            ),
            (
                "a pause in continuous speech, by its state",
                &[(0, Some(1200), New), (1500, Some(1700), Continues)],
                true,
                Some((700, None, true, true)),
            ),
            (
                "a possible stop across the caller's end of speech",
                &[(0, Some(2400), New), (2700, None, unclear(300))],
                false,
                Some((1400, Some((1400, None)), true, false)),
            ),
            (
                "a possible stop, and the speech after it has ended",
                &[(0, Some(2400), New), (2700, Some(4000), unclear(300))],
                true,
                Some((1400, Some((1400, Some(3000))), true, true)),
            ),
            (
                "a pause while the caller speaks, then a stop",
                &[(0, Some(1200), New), (1500, Some(1900), unclear(300))],
                true,
                Some((900, Some((200, Some(900))), true, true)),
            ),
            (
                "a short pause, then a stop",
                &[(0, Some(1200), New), (1350, Some(1900), unclear(150))],
                true,
                Some((900, None, true, true)),
            ),
            (
                "a short pause, then a long answer",
                &[(0, Some(1450), New), (1600, Some(5000), unclear(150))],
                true,
                Some((4000, Some((450, Some(4000))), true, true)),
            ),
            (
                "a short pause, then speech continues",
                &[(0, Some(1450), New), (1600, None, unclear(150))],
                false,
                Some((450, Some((450, None)), false, false)),
            ),
            (
                "interrupted in a pause",
                &[(0, Some(900), New), (1300, Some(1700), unclear(400))],
                true,
                Some((700, Some((0, Some(700))), true, true)),
            ),
        ];
        for (name, said, over, expected) in cases {
            assert_eq!(shown(judge(said, over)), expected, "{name}");
        }
    }

    #[test]
    fn a_stop_stays_open_while_the_agent_state_is_speaking() {
        let fell_silent = [(0, Some(1450), Link::New)];
        let open = Some((450, Some((450, None)), true, false));
        assert_eq!(shown(judge_of(&fell_silent, true, true)), open);
        // The agent resumes 800 ms later; that speech may still be an answer.
        let pause = Link::Unclear(Duration::from_millis(800));
        let goes_on = [(0, Some(1450), Link::New), (2250, Some(4000), pause)];
        let told = shown(judge_of(&goes_on, true, false));
        assert_eq!(told, Some((3000, Some((450, Some(3000))), true, true)));
        let before = [(0, Some(900), Link::New)];
        assert_eq!(judge_of(&before, true, true).1, Stopping::Nothing);
    }

    #[test]
    fn if_the_agent_is_silent_there_is_nothing_to_stop() {
        for (name, said) in [
            ("never spoke", &[][..]),
            ("was silent", &[(0, Some(900), Link::New)]),
            ("begins later", &[(1200, None, Link::New)]),
            (
                "was silent and starts again",
                &[(0, Some(900), Link::New), (1200, None, Link::New)],
            ),
        ] {
            assert_eq!(judge(said, true).1, Stopping::Nothing, "{name}");
        }
    }
}
