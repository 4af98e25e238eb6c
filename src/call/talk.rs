//! What the agent has been saying, as far as the ears have told.
//!
//! In: [`Heard`] of each stream, in its ear's order, and the agent's states. Out: stretches of
//! speech without a pause, each with what links it to what was said before. Invariant: a stretch
//! that an ear forgot to end is ended by that stream's next one; memory is bounded.

use super::StreamId;
use super::states::{States, Told};
use crate::audio::{Heard, HeardAt, Onset, SPURT_GAP};
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Stretches remembered: minutes of talk.
const KEPT: usize = 64;
/// A silence that, where it contains or follows the caller's end of speech, separates a reply
/// from what the agent was saying before.
pub(super) const SEPARATES: Duration = Duration::from_millis(200);

/// How a stretch belongs to what the agent said before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Link {
    /// Its onset is not known yet.
    Open,
    /// Something new: the agent had stopped.
    New,
    /// The same speech goes on after a pause.
    Continues,
    /// Neither audio nor state tell which of the two; the pause was so long.
    Unclear(Duration),
}

/// Speech without a pause.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stretch {
    pub(super) stream: StreamId,
    /// Coarse instant of its trigger.
    trigger: Instant,
    /// When we were told of the trigger.
    pub(super) noticed: Instant,
    /// The refined onset, once known.
    pub(super) onset: Option<Onset>,
    pub(super) link: Link,
    /// Its last audible sample, once a pause follows.
    pub(super) end: Option<HeardAt>,
    /// Its packets stopped in mid-word.
    pub(super) broke_off: bool,
    /// Its track was taken away.
    taken_away: bool,
    /// Nothing has followed it within [`SPURT_GAP`].
    over: bool,
    /// The agent says all the same that it is still speaking.
    speaks_on: bool,
}

impl Stretch {
    /// Its first audible sample, as well as it is known.
    pub(super) fn began(&self) -> Instant {
        self.onset.map_or(self.trigger, |o| o.at.wire())
    }

    /// It is something new, or may be.
    pub(super) fn is_new(&self) -> bool {
        match self.link {
            Link::New => true,
            Link::Unclear(pause) => pause >= SEPARATES,
            Link::Open | Link::Continues => false,
        }
    }
}

/// All streams as one: speech that overlaps is one passage.
#[derive(Debug, Clone, Copy)]
pub(super) struct Passage {
    pub(super) began: Instant,
    /// `None` while it is audible.
    pub(super) end: Option<HeardAt>,
    pub(super) link: Link,
    /// It was followed by a silence of [`SPURT_GAP`].
    pub(super) over: bool,
    /// The agent says all the same that it is still speaking.
    pub(super) speaks_on: bool,
}

/// What came of a report.
#[derive(Debug, Clone, Copy)]
pub(super) enum News {
    /// The onset of a stretch is known.
    Onset(Stretch),
    /// A stretch has ended, in a pause or for good.
    Ended(Stretch),
}

#[derive(Debug, Clone, Default)]
pub(super) struct Talk {
    stretches: VecDeque<Stretch>,
    /// Last audible sample of the first spurt that ended.
    pub(super) first_end: Option<Instant>,
}

impl Talk {
    /// Takes a report in.
    pub(super) fn heard(
        &mut self,
        now: Instant,
        stream: StreamId,
        heard: &Heard,
        states: &States,
    ) -> Option<News> {
        match *heard {
            Heard::Triggered { at } => {
                self.begin(now, stream, at.wire());
                None
            }
            Heard::Onset(onset) => {
                let pending = self.latest(stream);
                if pending.is_none_or(|s| s.onset.is_some() || s.end.is_some()) {
                    self.begin(now, stream, onset.at.wire());
                }
                let own = self.position(stream)?;
                let link = self.link(own, &onset, states);
                let stretch = &mut self.stretches[own];
                (stretch.onset, stretch.link) = (Some(onset), link);
                Some(News::Onset(*stretch))
            }
            Heard::Paused { last_audible, .. } => {
                let stretch = self.latest(stream)?;
                stretch.end = Some(last_audible);
                if stretch.link == Link::Open {
                    // Only a noise was left of it.
                    stretch.link = Link::Continues;
                }
                Some(News::Ended(*stretch))
            }
            Heard::Dismissed => {
                let at = self
                    .position(stream)
                    .filter(|&at| self.stretches[at].end.is_none())?;
                self.stretches.remove(at);
                // Of speech that the echo seemed to continue, that was the end.
                let before = self.latest(stream).filter(|before| !before.over)?;
                before.over = true;
                Some(News::Ended(*before))
            }
            Heard::Ended {
                last_audible,
                broke_off,
            } => {
                let stretch = self.latest(stream)?;
                (stretch.end, stretch.over) = (Some(last_audible), true);
                stretch.speaks_on = states.speaks_since(last_audible.wire());
                stretch.broke_off = broke_off && !stretch.taken_away;
                let ended = *stretch;
                self.first_end.get_or_insert(last_audible.wire());
                Some(News::Ended(ended))
            }
        }
    }

    /// The agent no longer says that it speaks. Gives the speech whose end is certain with that.
    pub(super) fn no_longer_speaks(&mut self) -> Option<Stretch> {
        let mut last = None;
        for stretch in self.stretches.iter_mut().filter(|s| s.speaks_on) {
            stretch.speaks_on = false;
            last = Some(*stretch);
        }
        last
    }

    /// The track of a stream was taken away: that its packets stop says nothing.
    pub(super) fn taken_away(&mut self, stream: StreamId) {
        if let Some(stretch) = self.latest(stream) {
            stretch.taken_away = true;
        }
    }

    /// Nothing more will be told of a stream: speech of its that has not ended never will.
    pub(super) fn abandon(&mut self, stream: StreamId) {
        self.stretches
            .retain(|s| s.stream != stream || s.end.is_some());
    }

    /// As if nothing had been heard of a stream. Gives the speech in other streams that is
    /// something new now, oldest first: it seemed to go on with what sounded in this one.
    pub(super) fn disown(&mut self, stream: StreamId, states: &States) -> Vec<Stretch> {
        self.stretches.retain(|s| s.stream != stream);
        let mut anew = Vec::new();
        for at in 0..self.stretches.len() {
            let stretch = self.stretches[at];
            let Some(onset) = stretch.onset.filter(|_| !stretch.is_new()) else {
                continue;
            };
            let link = self.link(at, &onset, states);
            self.stretches[at].link = link;
            if self.stretches[at].is_new() {
                anew.push(self.stretches[at]);
            }
        }
        anew.sort_by_key(Stretch::began);
        anew
    }

    fn position(&self, stream: StreamId) -> Option<usize> {
        self.stretches.iter().rposition(|s| s.stream == stream)
    }

    fn latest(&mut self, stream: StreamId) -> Option<&mut Stretch> {
        let at = self.position(stream)?;
        self.stretches.get_mut(at)
    }

    fn begin(&mut self, now: Instant, stream: StreamId, trigger: Instant) {
        if self.latest(stream).is_some_and(|s| s.end.is_none()) {
            // Its ear forgot to end it: as if it had never been.
            if let Some(at) = self.position(stream) {
                self.stretches.remove(at);
            }
        }
        if self.stretches.len() == KEPT {
            self.stretches.pop_front();
        }
        self.stretches.push_back(Stretch {
            stream,
            trigger,
            noticed: now,
            onset: None,
            link: Link::Open,
            end: None,
            broke_off: false,
            taken_away: false,
            over: false,
            speaks_on: false,
        });
    }

    /// What links stretch `own`, which begins with `onset`, to the speech before it.
    fn link(&self, own: usize, onset: &Onset, states: &States) -> Link {
        let others = self.stretches.iter().enumerate();
        let others = others.filter(|(at, s)| *at != own && s.link != Link::Open);
        let at = onset.at.wire();
        let mut last: Option<Instant> = None;
        for (_, other) in others.filter(|(_, s)| s.began() <= at) {
            match other.end {
                None => return Link::Continues,
                Some(end) => last = last.max(Some(end.wire())),
            }
        }
        let Some(last) = last else { return Link::New };
        let Some(pause) = at.checked_duration_since(last) else {
            return Link::Continues;
        };
        let cut = onset.after.is_some_and(|pause| pause.cut);
        match states.of_pause(last, at) {
            Told::Stopped => Link::New,
            Told::SpokeOn if pause < SPURT_GAP => Link::Continues,
            Told::SpokeOn => Link::Unclear(pause),
            Told::Nothing if pause >= SPURT_GAP || cut => Link::New,
            Told::Nothing => Link::Unclear(pause),
        }
    }

    /// The stretch that is audible now; of several the first.
    pub(super) fn current(&self) -> Option<&Stretch> {
        self.stretches.iter().find(|s| s.end.is_none())
    }

    /// Since when the agent has been silent; `None` while it is audible, or was never heard.
    pub(super) fn silent_since(&self) -> Option<Instant> {
        if self.current().is_some() {
            return None;
        }
        self.last_end()
    }

    /// The last audible sample of all that has ended.
    fn last_end(&self) -> Option<Instant> {
        let ends = self.stretches.iter().filter_map(|s| s.end);
        ends.map(|end| end.wire()).max()
    }

    /// The agent has been silent for [`SPURT_GAP`], since this instant.
    pub(super) fn fell_silent(&self) -> Option<Instant> {
        let last = self.silent_since()?;
        let over = |s: &&Stretch| s.over && s.end.is_some_and(|e| e.wire() == last);
        self.stretches.iter().find(over).map(|_| last)
    }

    /// The agent is audible, or has not been silent for long enough to be done.
    pub(super) fn may_go_on(&self) -> bool {
        !self.stretches.is_empty() && self.fell_silent().is_none()
    }

    /// Beginning of the latest spurt, under way or over, that is no continuation of speech from
    /// before `after`.
    pub(super) fn began_after(&self, after: Instant) -> Option<Instant> {
        let mut last: Option<Instant> = None;
        let mut began = None;
        for stretch in &self.stretches {
            let at = stretch.began();
            let pause = last.map(|last| at.saturating_duration_since(last));
            if at >= after && pause.is_none_or(|p| p >= SEPARATES) {
                began = Some(at);
            }
            last = last.max(stretch.end.map(|end| end.wire()));
        }
        began
    }

    /// Whether an onset is still to come, and since when.
    pub(super) fn pending_since(&self) -> Option<Instant> {
        let pending = |s: &&Stretch| s.onset.is_none() && s.end.is_none();
        self.stretches.iter().find(pending).map(|s| s.noticed)
    }

    /// All streams as one, oldest first.
    pub(super) fn passages(&self) -> Vec<Passage> {
        let mut stretches: Vec<&Stretch> = self.stretches.iter().collect();
        stretches.sort_by_key(|s| s.began());
        let mut passages: Vec<Passage> = Vec::with_capacity(stretches.len());
        for stretch in stretches {
            let last = passages.last_mut();
            match last.filter(|p| p.end.is_none_or(|end| stretch.began() <= end.wire())) {
                Some(passage) => passage.join(stretch),
                None => passages.push(Passage {
                    began: stretch.began(),
                    end: stretch.end,
                    link: stretch.link,
                    over: stretch.over,
                    speaks_on: stretch.speaks_on,
                }),
            }
        }
        passages
    }
}

impl Passage {
    /// Takes in speech that overlaps it.
    fn join(&mut self, stretch: &Stretch) {
        let Some((end, other)) = self.end.zip(stretch.end) else {
            (self.end, self.over, self.speaks_on) = (None, false, false);
            return;
        };
        if other.wire() >= end.wire() {
            (self.end, self.over) = (Some(other), stretch.over);
            self.speaks_on = stretch.speaks_on;
        }
    }
}
