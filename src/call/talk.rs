//! Tracks the agent's speech from the reports of its streams' ears.
//!
//! In: each stream's [`Heard`] reports in order, and the agent's states. Out: stretches of speech
//! without a pause, each with its link to the preceding speech. Invariants: a stretch that was
//! never reported as ended is dropped when that stream's next stretch begins; memory is bounded.

use super::span::{SEPARATES, Span};
use super::states::{PauseMeaning, States};
use super::{StreamId, later};
use crate::audio::{Heard, HeardAt, Onset, SPURT_GAP};
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Number of stretches remembered: enough for minutes of speech with a pause every half second.
const KEPT: usize = 256;

/// Relation of a stretch to the agent's earlier speech.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Link {
    /// Not known yet: the onset has not been reported.
    Open,
    /// New speech: the agent had stopped before.
    New,
    /// The same speech continues after a pause.
    Continues,
    /// Neither audio nor state shows whether the speech is new or continues. Holds the length of
    /// the pause.
    Unclear(Duration),
}

/// Speech without a pause.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stretch {
    pub(super) stream: StreamId,
    /// Coarse instant at which the stretch was triggered.
    trigger: Instant,
    /// When the trigger was reported.
    pub(super) noticed: Instant,
    /// The refined onset, once known.
    pub(super) onset: Option<Onset>,
    pub(super) link: Link,
    /// The last audible sample, once a pause follows.
    pub(super) end: Option<HeardAt>,
    /// Whether the stretch ended because its packets stopped mid-word.
    pub(super) broke_off: bool,
    /// Whether the track was unpublished or its participant left.
    taken_away: bool,
    /// Whether a silence of [`SPURT_GAP`] has followed.
    over: bool,
    /// Whether the agent's state was still `speaking` when the stretch ended.
    speaks_on: bool,
    /// How long a jitter buffer would have held back the first and the last audible sample.
    held: Holds,
}

/// How long a jitter buffer would have held back the first and the last audible sample of a
/// stretch; zero until they are known.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Holds {
    pub(super) first: Duration,
    pub(super) last: Duration,
}

impl Stretch {
    /// The first audible sample; coarse until the onset is known.
    pub(super) fn began(&self) -> Instant {
        self.onset.map_or(self.trigger, |o| o.at.wire())
    }

    /// Whether this is, or may be, new speech.
    pub(super) fn is_new(&self) -> bool {
        match self.link {
            Link::New => true,
            Link::Unclear(pause) => pause >= SEPARATES,
            Link::Open | Link::Continues => false,
        }
    }
}

/// Speech of all streams combined: overlapping stretches form one passage.
#[derive(Debug, Clone, Copy)]
pub(super) struct Passage {
    pub(super) began: Instant,
    /// The last audible sample; `None` while the passage is audible.
    pub(super) end: Option<HeardAt>,
    pub(super) link: Link,
    /// Whether a silence of [`SPURT_GAP`] has followed.
    pub(super) over: bool,
    /// Whether the agent's state was still `speaking` when the passage ended.
    pub(super) speaks_on: bool,
    pub(super) held: Holds,
    /// Level above the noise at the beginning, in dB, once the onset is known.
    pub(super) snr_db: Option<f32>,
}

/// The change that a report caused.
#[derive(Debug, Clone, Copy)]
pub(super) enum News {
    /// The onset of a stretch is known.
    Onset(Stretch),
    /// A stretch has ended: in a pause, or with its spurt.
    Ended(Stretch),
}

#[derive(Debug, Clone, Default)]
pub(super) struct Talk {
    stretches: VecDeque<Stretch>,
    /// Last audible sample of the first spurt that ended.
    pub(super) first_end: Option<Instant>,
}

impl Talk {
    /// Processes a report from a stream's ear.
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
                    // The stretch paused before its onset was reported, so it was noise.
                    stretch.link = Link::Continues;
                }
                Some(News::Ended(*stretch))
            }
            Heard::Dismissed => {
                let at = self
                    .position(stream)
                    .filter(|&at| self.stretches[at].end.is_none())?;
                self.stretches.remove(at);
                // The dismissed echo had seemed to continue earlier speech, but that speech ended
                // before the echo.
                let before = self.latest(stream).filter(|before| !before.over)?;
                before.over = true;
                before.speaks_on = before.end.is_some_and(|e| states.speaks_since(e.wire()));
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

    /// Records that the state is no longer `speaking`. Returns the last stretch whose end this
    /// confirms.
    pub(super) fn no_longer_speaks(&mut self) -> Option<Stretch> {
        let mut last = None;
        for stretch in self.stretches.iter_mut().filter(|s| s.speaks_on) {
            stretch.speaks_on = false;
            last = Some(*stretch);
        }
        last
    }

    /// Records that a stream's track was taken away: a reply whose packets then stop has not broken
    /// off.
    pub(super) fn taken_away(&mut self, stream: StreamId) {
        if let Some(stretch) = self.latest(stream) {
            stretch.taken_away = true;
        }
    }

    /// Drops the unfinished speech of a stream from which no more reports will come.
    pub(super) fn abandon(&mut self, stream: StreamId) {
        self.stretches
            .retain(|s| s.stream != stream || s.end.is_some());
    }

    /// Removes all stretches of a stream. Returns the new speech on other streams, oldest first.
    /// True marks speech that only now counts as new: before, it had seemed to continue the sound
    /// on the removed stream.
    pub(super) fn disown(&mut self, stream: StreamId, states: &States) -> Vec<(Stretch, bool)> {
        self.stretches.retain(|s| s.stream != stream);
        let over = self.stretches.iter().filter(|s| s.over);
        self.first_end = over.filter_map(|s| Some(s.end?.wire())).min();
        let mut new = Vec::new();
        for at in 0..self.stretches.len() {
            let stretch = self.stretches[at];
            let Some(onset) = stretch.onset else { continue };
            let was_new = stretch.is_new();
            self.stretches[at].link = self.link(at, &onset, states);
            if self.stretches[at].is_new() {
                new.push((self.stretches[at], !was_new));
            }
        }
        new.sort_by_key(|(stretch, _)| stretch.began());
        new
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
            // The ear never reported the end of the previous stretch: drop that stretch.
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
            held: Holds::default(),
        });
    }

    /// Records how long a jitter buffer would have held back the first audible sample of the
    /// stream's latest stretch, or its last one.
    pub(super) fn held(&mut self, stretch: &Stretch, set: impl FnOnce(&mut Holds)) {
        let same = |s: &&mut Stretch| s.stream == stretch.stream && s.trigger == stretch.trigger;
        if let Some(own) = self.stretches.iter_mut().rev().find(same) {
            set(&mut own.held);
        }
    }

    /// How long a jitter buffer would have held back the sample at which a stretch ended.
    pub(super) fn hold_at_end(&self, end: HeardAt) -> Duration {
        let mut ended = self.stretches.iter().rev();
        let found = ended.find(|s| s.end == Some(end));
        found.map_or(Duration::ZERO, |s| s.held.last)
    }

    /// Relation of stretch `own`, which begins with `onset`, to the speech before it.
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
            PauseMeaning::Stopped => Link::New,
            PauseMeaning::SpokeOn if pause < SPURT_GAP => Link::Continues,
            PauseMeaning::SpokeOn => Link::Unclear(pause),
            PauseMeaning::Nothing if pause >= SPURT_GAP || cut => Link::New,
            PauseMeaning::Nothing => Link::Unclear(pause),
        }
    }

    /// The stretch that is audible now; the first of them if several are audible.
    pub(super) fn current(&self) -> Option<&Stretch> {
        self.stretches.iter().find(|s| s.end.is_none())
    }

    /// When the latest stretch began.
    pub(super) fn last_began(&self) -> Option<Instant> {
        self.stretches.iter().map(Stretch::began).max()
    }

    /// The last audible sample before the current silence; `None` while the agent is audible, or if
    /// it has not spoken yet.
    pub(super) fn silent_since(&self) -> Option<Instant> {
        if self.current().is_some() {
            return None;
        }
        self.last_end()
    }

    /// The last audible sample of all ended stretches.
    fn last_end(&self) -> Option<Instant> {
        let ends = self.stretches.iter().filter_map(|s| s.end);
        ends.map(|end| end.wire()).max()
    }

    /// The last audible sample of the ended stretches that began at or after `after`.
    pub(super) fn last_end_since(&self, after: Instant) -> Option<Instant> {
        let since = self.stretches.iter().filter(|s| s.began() >= after);
        since.filter_map(|s| Some(s.end?.wire())).max()
    }

    /// Whether the agent, in what it has said since `after`, spoke again after a silence of at least
    /// `gap`.
    pub(super) fn went_on_after(&self, gap: Duration, after: Instant) -> bool {
        let passages = self.passages();
        let spoken = || passages.iter().filter(|p| p.began >= after);
        let mut pairs = spoken().zip(spoken().skip(1));
        pairs.any(|(one, next)| {
            let silence = |end: HeardAt| next.began.saturating_duration_since(end.wire());
            one.end.is_some_and(|end| silence(end) >= gap)
        })
    }

    /// The stretch after which the agent has been silent for [`SPURT_GAP`].
    pub(super) fn last_over(&self) -> Option<Stretch> {
        let last = self.silent_since()?;
        let over = |s: &&Stretch| s.over && s.end.is_some_and(|e| e.wire() == last);
        self.stretches.iter().find(over).copied()
    }

    /// The last audible sample before the current silence, once that has lasted for [`SPURT_GAP`].
    pub(super) fn fell_silent(&self) -> Option<Instant> {
        self.last_over()?.end.map(|end| end.wire())
    }

    /// Whether the agent has spoken and its speech is not over: it is audible, or has been silent
    /// for less than [`SPURT_GAP`].
    pub(super) fn may_go_on(&self) -> bool {
        !self.stretches.is_empty() && self.fell_silent().is_none()
    }

    /// Start of the latest talk spurt, in progress or over, that begins at or after `after` and
    /// does not continue earlier speech.
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

    /// For a stretch whose onset is still pending: when its trigger was reported.
    pub(super) fn pending_since(&self) -> Option<Instant> {
        let pending = |s: &&Stretch| s.onset.is_none() && s.end.is_none();
        self.stretches.iter().find(pending).map(|s| s.noticed)
    }

    /// Passages of all streams combined, oldest first.
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
                    held: stretch.held,
                    snr_db: stretch.onset.map(|onset| onset.snr_db),
                }),
            }
        }
        passages
    }
}

impl Passage {
    /// Merges a stretch that overlaps this passage.
    fn join(&mut self, stretch: &Stretch) {
        let Some((end, other)) = self.end.zip(stretch.end) else {
            (self.end, self.over, self.speaks_on) = (None, false, false);
            return;
        };
        if other.wire() >= end.wire() {
            (self.end, self.over) = (Some(other), stretch.over);
            self.speaks_on = stretch.speaks_on;
            self.held.last = stretch.held.last;
        }
    }

    /// When the caller hears the first sample, after the jitter buffer.
    pub(super) fn heard_from(&self) -> Instant {
        later(self.began, self.held.first)
    }

    /// The passage as the caller hears it, after the jitter buffer; one that has not ended lasts
    /// until `now`.
    pub(super) fn played(&self, now: Instant) -> Span {
        let end = self.end.map(|end| later(end.wire(), self.held.last));
        Span {
            from: self.heard_from(),
            to: end.unwrap_or(now),
        }
    }
}
