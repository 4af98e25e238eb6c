//! Session descriptions of a transport.
//!
//! In: the other side's descriptions and candidates. Out: ours. Invariants: at most one of our
//! offers is outstanding; the number of sections that a server can make us offer is bounded, and
//! so are the items in its descriptions.

use super::pair::CANDIDATES;
use super::{NetError, Topology, Transport};
use crate::net::path::RELIABLE;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use str0m::Candidate;
use str0m::change::{SdpAnswer, SdpOffer};
use str0m::channel::{ChannelConfig, Reliability};
use str0m::media::{Direction, MediaKind, Mid};

/// Maximum number of sections to receive on, more than a room has tracks; a server that requests
/// more gets this many.
const MOST_SECTIONS: u32 = 128;
/// Maximum number of sections in one of the other side's descriptions.
const DESCRIBED: usize = 256;
/// Maximum number of streams that the other side announces in a call; a track that is
/// published again is a new stream.
const STREAMS: usize = 1_024;
/// Longest `ice-ufrag` accepted. Usual ones have 4 to 16 characters. str0m combines it with
/// ours into a STUN user name of at most 128 bytes, and panics if that does not fit.
const LONGEST_UFRAG: usize = 100;

/// Refuses a description that str0m would accept and later fail on.
fn is_usable(sdp: &str) -> Result<(), NetError> {
    let values = sdp.split("ice-ufrag:").skip(1);
    let mut ufrags = values.map(|rest| rest.split(['\r', '\n']).next().unwrap_or_default());
    match ufrags.any(|ufrag| ufrag.len() > LONGEST_UFRAG) {
        true => Err(NetError::description("its ice-ufrag is too long")),
        false => Ok(()),
    }
}

impl Transport {
    /// Makes the first offer, with our microphone named `track`.
    ///
    /// # Errors
    /// str0m has nothing to offer, which does not happen with a new transport.
    pub fn offer(&mut self, track: &str, topology: Topology) -> Result<String, NetError> {
        let mut api = self.str0m.rtc.sdp_api();
        let direction = match topology {
            Topology::Direct => Direction::SendRecv,
            Topology::Single | Topology::Publisher => Direction::SendOnly,
        };
        let mid = api.add_media(
            MediaKind::Audio,
            direction,
            Some("mic".into()),
            Some(track.into()),
            None,
        );
        self.str0m.publish = Some(mid);
        if topology == Topology::Single {
            self.receiving.push(api.add_media(
                MediaKind::Audio,
                Direction::RecvOnly,
                None,
                None,
                None,
            ));
        }
        if topology != Topology::Direct {
            api.add_channel_with_config(ChannelConfig {
                label: RELIABLE.into(),
                ordered: true,
                reliability: Reliability::Reliable,
                ..Default::default()
            });
            api.add_channel_with_config(ChannelConfig {
                label: "_lossy".into(),
                ordered: false,
                reliability: Reliability::MaxRetransmits { retransmits: 0 },
                ..Default::default()
            });
        }
        let (offer, pending) = api
            .apply()
            .ok_or_else(|| NetError::Transport("nothing to offer".into()))?;
        self.pending = Some(pending);
        Ok(offer.to_sdp_string())
    }

    /// Offers again, with `sections` more audio sections to receive on.
    ///
    /// The server answers a section whose track is gone as inactive, and later reuses it. If we
    /// then offered it as inactive, the server would send nothing on it, so it is offered as
    /// receiving again. The server expects an offer even when nothing changes, so every section is
    /// set to inactive and back.
    ///
    /// `None` while an answer is outstanding: call this again after the answer.
    ///
    /// # Errors
    /// str0m has nothing to offer.
    pub(crate) fn reoffer(&mut self, sections: u32) -> Result<Option<String>, NetError> {
        if self.pending.is_some() {
            return Ok(None);
        }
        let mut api = self.str0m.rtc.sdp_api();
        for mid in &self.receiving {
            api.set_direction(*mid, Direction::Inactive);
            api.set_direction(*mid, Direction::RecvOnly);
        }
        for _ in 0..sections.min(MOST_SECTIONS.saturating_sub(self.receiving.len() as u32)) {
            self.receiving.push(api.add_media(
                MediaKind::Audio,
                Direction::RecvOnly,
                None,
                None,
                None,
            ));
        }
        let (offer, pending) = api
            .apply()
            .ok_or_else(|| NetError::Transport("nothing to offer".into()))?;
        self.pending = Some(pending);
        Ok(Some(offer.to_sdp_string()))
    }

    /// Offers our microphone as a new track named `track` instead of the one that we send. Once the
    /// answer has come, [`Transport::switch_track`] sends on it.
    ///
    /// `None` while an answer is outstanding: call this again after the answer.
    ///
    /// # Errors
    /// str0m has nothing to offer.
    pub(crate) fn republish(&mut self, track: &str) -> Result<Option<String>, NetError> {
        if self.pending.is_some() {
            return Ok(None);
        }
        let mut api = self.str0m.rtc.sdp_api();
        if let Some(mid) = self.str0m.publish {
            api.set_direction(mid, Direction::Inactive);
        }
        // As in `reoffer`.
        for mid in &self.receiving {
            api.set_direction(*mid, Direction::Inactive);
            api.set_direction(*mid, Direction::RecvOnly);
        }
        self.next_track = Some(api.add_media(
            MediaKind::Audio,
            Direction::SendOnly,
            Some("mic".into()),
            Some(track.into()),
            None,
        ));
        let (offer, pending) = api
            .apply()
            .ok_or_else(|| NetError::Transport("nothing to offer".into()))?;
        self.pending = Some(pending);
        Ok(Some(offer.to_sdp_string()))
    }

    /// Sends on the track that was offered by [`Transport::republish`]; returns whether there was
    /// one. Its stream is a new one, so its sequence numbers must start anew.
    pub(crate) fn switch_track(&mut self) -> bool {
        let Some(mid) = self.next_track.take_if(|_| self.pending.is_none()) else {
            return false;
        };
        self.str0m.publish_anew(mid);
        if let Some(direct) = &mut self.direct {
            direct.stop_sending();
        }
        true
    }

    /// Applies the answer to the last offer.
    ///
    /// # Errors
    /// No offer is outstanding, or the answer does not fit it.
    pub fn answer(&mut self, sdp: &str) -> Result<(), NetError> {
        self.admit(sdp)?;
        is_usable(sdp)?;
        let answer = SdpAnswer::from_sdp_string(sdp).map_err(NetError::description)?;
        let pending = self.pending.take().ok_or(NetError::UnexpectedAnswer)?;
        self.str0m
            .rtc
            .sdp_api()
            .accept_answer(pending, answer)
            .map_err(NetError::description)
    }

    /// Applies the other side's offer and returns our answer. To send on one of its sections, call
    /// `Transport::publish_on`.
    ///
    /// # Errors
    /// The offer cannot be used.
    pub fn accept(&mut self, sdp: &str) -> Result<String, NetError> {
        self.admit(sdp)?;
        is_usable(sdp)?;
        let offer = SdpOffer::from_sdp_string(sdp).map_err(NetError::description)?;
        let answer = self
            .str0m
            .rtc
            .sdp_api()
            .accept_offer(offer)
            .map_err(NetError::description)?;
        Ok(answer.to_sdp_string())
    }

    /// Refuses a description with more items than a room can need, and records the candidates and
    /// streams that it announces.
    fn admit(&mut self, sdp: &str) -> Result<(), NetError> {
        let of = |what| sdp.lines().filter_map(move |line| line.strip_prefix(what));
        let sections = of("m=").count();
        self.candidates.extend(of("a=candidate:").map(fingerprint));
        of("a=candidate:").for_each(|line| self.ends.announced(line));
        self.announced.extend(of("a=ssrc:").map(|stream| {
            let id = stream.split_whitespace().next();
            fingerprint(id.unwrap_or_default())
        }));
        for (count, most, what) in [
            (sections, DESCRIBED, "sections"),
            (self.candidates.len(), CANDIDATES, "candidates"),
            (self.announced.len(), STREAMS, "streams"),
        ] {
            if count > most {
                return Err(NetError::Excess { most, what });
            }
        }
        Ok(())
    }

    /// Applies a trickled candidate (`candidate:…`). Returns false if the candidate is skipped: one
    /// that we cannot use (TCP, host names, the other IP version), or one beyond the maximum.
    pub(crate) fn candidate(&mut self, line: &str) -> bool {
        if !line.to_ascii_lowercase().contains(" udp ") {
            return false;
        }
        match Candidate::from_sdp_string(line) {
            Ok(c) if c.addr().is_ipv4() == self.port.local().is_ipv4() => {
                let named = fingerprint(line.trim_start_matches("candidate:"));
                if self.candidates.len() >= CANDIDATES && !self.candidates.contains(&named) {
                    return false;
                }
                self.candidates.insert(named);
                self.ends.announced(line);
                self.str0m.rtc.add_remote_candidate(c);
                true
            }
            _ => false,
        }
    }

    /// Sends our microphone on section `mid` of an accepted offer.
    pub(crate) fn publish_on(&mut self, mid: Mid) {
        self.str0m.publish = Some(mid);
    }
}

/// A hash of a text from the other side, to recognise repeats.
fn fingerprint(text: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    text.trim_end().hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests;
