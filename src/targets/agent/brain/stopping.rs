//! Stops the agent when its caller interrupts it, and lets it go on afterwards.
//!
//! In: an interruption. Out: a script that ends at the sample, and later the rest of it, or all of
//! it again. Invariant: the truth file names the last audible sample, however the agent stopped.

use super::AgentEnd;
use super::saying::{Interrupted, Part, Saying, Stopping};
use crate::audio::{FRAME, FRAME_TIME, time_of};
use crate::call::AgentState;
use crate::net::monotonic_ns;
use crate::targets::agent::inbound::Inbound;
use crate::targets::agent::moment::Happening;
use crate::targets::agent::script::Mark;
use crate::targets::agent::splice;
use crate::targets::agent::told::{Told, in_ms};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The end is encoded this long before it is due: the codec's look-ahead reaches into the frame
/// before, and what has been sent cannot be changed.
const PREPARE: Duration = FRAME_TIME.saturating_mul(3);
/// The end is searched for during this time before that, one attempt for each packet.
const SEARCH: Duration = FRAME_TIME.saturating_mul(6);
/// The beginning of the caller's speech is known better once more of it has been heard, but it
/// moves by no more than this.
const MOVES: Duration = Duration::from_millis(200);

impl AgentEnd {
    /// Encodes the end of a script that stops soon.
    pub(super) fn prepare_stop(&mut self, due: Instant) {
        let Some(saying) = self.saying.as_mut() else {
            return;
        };
        let Some(stop) = saying.stop.as_mut().filter(|stop| stop.whole.is_none()) else {
            return;
        };
        if stop.began + stop.after >= due + PREPARE + SEARCH {
            return;
        }
        let start = self.inbound.as_ref().and_then(Inbound::speech_start);
        let near = |start: &Instant| {
            let (sooner, later) = (*start.min(&stop.began), *start.max(&stop.began));
            later - sooner < MOVES
        };
        if let Some(start) = start.filter(near) {
            stop.began = start;
        }
        let at = stop.began + stop.after;
        let on_wire = at.saturating_duration_since(saying.first);
        if saying.first + saying.script.end() <= at {
            if at < due + PREPARE {
                saying.stop = None; // it ends on its own before that
            }
            return;
        }
        // It fails only if an encoder cannot be allocated; then the agent does not stop.
        if at >= due + PREPARE {
            let _ = stop.cutting.attempt(&saying.script, saying.item, on_wire);
            return;
        }
        let cutting = std::mem::take(&mut stop.cutting);
        match cutting.finish(&saying.script, saying.item, on_wire) {
            Ok(cut) => stop.whole = Some(std::mem::replace(&mut saying.script, Arc::new(cut))),
            Err(_) => saying.stop = None,
        }
    }

    /// Stops at once: no further packet is sent.
    pub(super) fn stop_at_once(&mut self, now: Instant, began: Instant) {
        let Some(mut saying) = self.saying.take() else {
            return;
        };
        self.moment(now, Happening::Silent { interrupted: true });
        self.state(now, AgentState::Listening);
        // Where it broke off takes half a second of decoding to find, so only who needs it does.
        let is_needed = self.truth.is_some() || self.voice.behaviour.resume.is_some();
        let silence = &self.voice.silence;
        let end = match is_needed {
            true => splice::broken_off(&saying.script, saying.item, silence).unwrap_or(0),
            false => 0,
        };
        if let Some((frame, left)) = self.last_sent {
            let start = (frame * FRAME) as u64;
            let last_audible = match end.checked_sub(start) {
                Some(into) => left + time_of(into),
                None => left.checked_sub(time_of(start - end)).unwrap_or(left),
            };
            self.told(Told::Stop {
                turn: saying.turn(),
                caller_start_ns: monotonic_ns(began),
                last_audible_ns: monotonic_ns(last_audible),
                asked_ms: None,
                media_ms: in_ms(saying.script.place(end)),
            });
        }
        saying.stop = None;
        self.interrupted = Some(Interrupted {
            saying,
            position: end,
            began,
        });
    }

    /// The script that was cut has ended.
    pub(super) fn stopped(&mut self, mut saying: Saying) {
        let Some(Stopping {
            began,
            whole: Some(whole),
            ..
        }) = saying.stop.take()
        else {
            return;
        };
        let mut marks = saying.script.marks.iter().rev();
        let end = marks.find(|(_, mark)| *mark == Mark::End);
        let position = end.map_or(0, |(end, _)| *end);
        saying.script = whole;
        self.interrupted = Some(Interrupted {
            saying,
            position,
            began,
        });
        self.go_on();
    }

    /// Schedules what was interrupted, if the interruption has ended and asked for nothing.
    pub(super) fn go_on(&mut self) {
        let (Some(pardon), Some(_)) = (self.pardon, &self.interrupted) else {
            return;
        };
        self.pardon = None;
        let Some(Interrupted {
            saying, position, ..
        }) = self.interrupted.take()
        else {
            return;
        };
        let script = match pardon.restart {
            true => Some(saying.script),
            false => splice::rest(&saying.script, position)
                .ok()
                .flatten()
                .map(Arc::new),
        };
        let Some(script) = script else {
            return; // nothing was left to say
        };
        let audible = pardon.ended + pardon.pause;
        let first = audible.checked_sub(script.onset()).unwrap_or(audible);
        let again = Saying::new(Part::Again(pardon), saying.answers, script, first);
        self.say(Saying {
            then: saying.then,
            ..again
        });
    }
}
