//! Decides what happens to the packets of each media section: heard, ignored, or unheard.
//!
//! In: the session's claims on sections; packets with their section. Out: each packet's fate.
//! Invariant: a packet counts as unheard only if its section is still unclaimed [`GRACE`] after the
//! section's first packet: descriptions may arrive after the media that they describe.

use std::time::{Duration, Instant};
use str0m::media::Mid;

/// How long a section may receive packets before the session claims it.
const GRACE: Duration = Duration::from_secs(1);
/// Maximum number of sections remembered; a session negotiates fewer.
const MOST: usize = 256;

/// The session's claim on a section.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Claim {
    /// The section holds this track, as numbered by the session.
    Heard(u32),
    /// The section holds something that the session does not want.
    Ignored,
    /// There is no claim yet; the section's first packet arrived at this instant.
    Unknown(Instant),
}

/// What happens to a received audio packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    /// Passed to the endpoint, as a packet of this track.
    Heard(u32),
    /// Dropped for a known reason.
    Ignored,
    /// Dropped because the session has not claimed the section.
    Unheard,
}

/// A section of one of the peer's transports; `None` for packets of no known section.
type SectionKey = (usize, Option<Mid>);

/// The claims on a peer's sections.
#[derive(Debug, Default)]
pub(super) struct Claims {
    sections: Vec<(SectionKey, Claim)>,
    /// The call is over: packets that still arrive are ignored.
    over: bool,
}

impl Claims {
    /// Claims the section for `track`, replacing an older claim on the section.
    pub(super) fn hear(&mut self, transport: usize, mid: Mid, track: u32) {
        self.set((transport, Some(mid)), Claim::Heard(track));
    }

    /// Marks the section as one that the session does not want.
    pub(super) fn ignore(&mut self, transport: usize, mid: Mid) {
        self.set((transport, Some(mid)), Claim::Ignored);
    }

    /// Ends every claim for `track`.
    pub(super) fn release(&mut self, track: u32) {
        self.sections
            .retain(|(_, claim)| *claim != Claim::Heard(track));
    }

    /// Ignores every packet from now on.
    pub(super) fn end(&mut self) {
        self.over = true;
    }

    /// The fate of a packet that arrived at `arrival` in a section of transport `transport`.
    pub(super) fn fate(&mut self, transport: usize, mid: Option<Mid>, arrival: Instant) -> Fate {
        if self.over {
            return Fate::Ignored;
        }
        let section = (transport, mid);
        let known = self.sections.iter().find(|(of, _)| *of == section);
        match known.map(|(_, claim)| *claim) {
            Some(Claim::Heard(track)) => Fate::Heard(track),
            Some(Claim::Ignored) => Fate::Ignored,
            Some(Claim::Unknown(first)) => match arrival.saturating_duration_since(first) < GRACE {
                true => Fate::Ignored,
                false => Fate::Unheard,
            },
            None => {
                self.set(section, Claim::Unknown(arrival));
                Fate::Ignored
            }
        }
    }

    fn set(&mut self, section: SectionKey, claim: Claim) {
        match self.sections.iter_mut().find(|(of, _)| *of == section) {
            Some((_, before)) => *before = claim,
            None => {
                if self.sections.len() == MOST {
                    self.sections.remove(0);
                }
                self.sections.push((section, claim));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unclaimed_section_is_unheard_after_a_second() {
        let mut claims = Claims::default();
        let (one, two): (Mid, Mid) = ("1".into(), "2".into());
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        claims.hear(0, one, 7);
        assert_eq!(claims.fate(0, Some(one), at(0)), Fate::Heard(7));
        // The same name on another transport is another section.
        assert_eq!(claims.fate(1, Some(one), at(0)), Fate::Ignored, "grace");
        assert_eq!(claims.fate(1, Some(one), at(999)), Fate::Ignored, "grace");
        assert_eq!(claims.fate(1, Some(one), at(1_000)), Fate::Unheard);
        claims.ignore(1, one);
        assert_eq!(claims.fate(1, Some(one), at(1_020)), Fate::Ignored);
        // A packet without a section gets the grace period too.
        assert_eq!(claims.fate(0, None, at(0)), Fate::Ignored);
        assert_eq!(claims.fate(0, None, at(5_000)), Fate::Unheard);
        // The section is reused for another track.
        claims.hear(0, one, 8);
        claims.hear(0, two, 7);
        assert_eq!(claims.fate(0, Some(one), at(2_000)), Fate::Heard(8));
        claims.release(8);
        assert_eq!(claims.fate(0, Some(one), at(2_020)), Fate::Ignored, "grace");
        assert_eq!(claims.fate(0, Some(one), at(3_020)), Fate::Unheard);
        assert_eq!(claims.fate(0, Some(two), at(3_020)), Fate::Heard(7));
        claims.end();
        for mid in [Some(one), Some(two), None] {
            assert_eq!(claims.fate(0, mid, at(9_000)), Fate::Ignored);
        }
    }

    #[test]
    fn sections_remembered_are_bounded() {
        let mut claims = Claims::default();
        for n in 0..10_000 {
            claims.ignore(0, n.to_string().as_str().into());
        }
        assert_eq!(claims.sections.len(), MOST);
    }
}
