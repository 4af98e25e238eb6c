//! Tells what the agent does: states and events to the session, lines to the truth file.
//!
//! In: what happened, with the instants at which packets left. Out: messages, none of which blocks.

use super::AgentEnd;
use super::saying::{Part, Saying};
use crate::call::AgentState;
use crate::net::monotonic_ns;
use crate::targets::agent::moment::{Happening, Moment};
use crate::targets::agent::script::Mark;
use crate::targets::agent::told::{Again, Told, TruthLine, in_ms};
use std::time::{Duration, Instant};

impl AgentEnd {
    pub(super) fn state(&self, at: Instant, state: AgentState) {
        if let Some(s) = &self.states {
            let _ = s.try_send(state);
        }
        self.moment(at, Happening::State(state));
    }

    pub(super) fn moment(&self, at: Instant, what: Happening) {
        if let Some(moments) = &self.moments {
            let _ = moments.try_send(Moment { at, what });
        }
    }

    /// Writes a line of the truth file.
    pub(super) fn told(&self, told: Told) {
        if let Some(truth) = &self.truth {
            truth.send(TruthLine {
                room: self.room.clone(),
                told,
            });
        }
    }

    /// Tells about a mark that was on the wire at `at`, in a packet that left at `sent.0`.
    pub(super) fn tell_mark(
        &mut self,
        saying: &Saying,
        mark: Mark,
        at: Instant,
        sent: (Instant, Duration),
    ) {
        match mark {
            Mark::Onset => self.tell_onset(saying, at, sent),
            Mark::Fault(planted) => {
                let fault = Told::fault(saying.turn(), &planted, monotonic_ns(at));
                self.told(fault);
            }
            Mark::End => {
                self.last_audible = Some(at);
                match &saying.stop {
                    Some(stop) if stop.whole.is_some() => {
                        let end = saying.script.marks.last().map_or(0, |(end, _)| *end);
                        self.told(Told::Stop {
                            turn: saying.turn(),
                            caller_start_ns: monotonic_ns(stop.began),
                            last_audible_ns: monotonic_ns(at),
                            asked_ms: Some(in_ms(stop.after)),
                            media_ms: in_ms(saying.script.place(end)),
                        });
                    }
                    _ => self.told(Told::ReplyEnd {
                        turn: saying.turn(),
                        part: saying.part.name(),
                        last_audible_ns: monotonic_ns(at),
                    }),
                }
            }
        }
    }

    fn tell_onset(&self, saying: &Saying, at: Instant, (packet, offset): (Instant, Duration)) {
        let answered = saying.answers.filter(|_| {
            // What follows within the same reply answers nothing new.
            matches!(saying.part, Part::Reply | Part::Filler)
        });
        self.moment(
            packet,
            Happening::Audible {
                at,
                answers: answered.map(|answered| answered.speech_end),
                length: saying.script.length(),
            },
        );
        if let Some(answered) = answered {
            self.told(Told::Reply {
                turn: answered.turn,
                last_speech_packet_ns: monotonic_ns(answered.packet),
                speech_end_ns: monotonic_ns(answered.speech_end),
                reply_packet_ns: monotonic_ns(packet),
                onset_offset_ms: in_ms(offset),
                delay_ms: in_ms(answered.delay),
            });
        }
        let turn = saying.answers.map_or(0, |answered| answered.turn);
        let audible_ns = monotonic_ns(at);
        match saying.part {
            Part::Filler => self.told(Told::Filler { turn, audible_ns }),
            Part::Answer(gap) => self.told(Told::Answer {
                turn,
                audible_ns,
                gap_ms: in_ms(gap),
            }),
            Part::Again(pardon) => {
                let again = Again {
                    turn: saying.turn(),
                    caller_start_ns: monotonic_ns(pardon.began),
                    caller_end_ns: monotonic_ns(pardon.ended),
                    audible_ns,
                    pause_ms: in_ms(pardon.pause),
                    media_ms: in_ms(saying.script.place(saying.script.clip.onset)),
                };
                self.told(match pardon.restart {
                    true => Told::Restarted(again),
                    false => Told::Resumed(again),
                });
            }
            Part::Greeting | Part::Reply | Part::Silence => {}
        }
    }
}
