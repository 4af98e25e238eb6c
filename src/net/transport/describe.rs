//! Session descriptions of a transport.
//!
//! In: the other side's descriptions and candidates. Out: ours. Invariants: one offer of ours
//! is outstanding at a time; the sections that a server can make us offer are bounded.

use super::{NetError, Shape, Transport, description};
use str0m::Candidate;
use str0m::change::{SdpAnswer, SdpOffer};
use str0m::channel::{ChannelConfig, Reliability};
use str0m::media::{Direction, MediaKind, Mid};

/// Most sections to receive on; a server that wants more than a room has tracks gets no more.
const MOST_SECTIONS: u32 = 128;

impl Transport {
    /// First offer, with our microphone named `track`.
    ///
    /// # Errors
    /// str0m refuses (it does not, for a new transport).
    pub fn offer(&mut self, track: &str, shape: Shape) -> Result<String, NetError> {
        let mut api = self.rtc.sdp_api();
        let direction = match shape {
            Shape::Direct => Direction::SendRecv,
            Shape::Single | Shape::Publisher => Direction::SendOnly,
        };
        let mid = api.add_media(
            MediaKind::Audio,
            direction,
            Some("mic".into()),
            Some(track.into()),
            None,
        );
        self.publish = Some(mid);
        if shape == Shape::Single {
            self.receiving.push(api.add_media(
                MediaKind::Audio,
                Direction::RecvOnly,
                None,
                None,
                None,
            ));
        }
        if shape != Shape::Direct {
            api.add_channel_with_config(ChannelConfig {
                label: "_reliable".into(),
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

    /// Offers again with `sections` more audio sections to receive on. A section whose track
    /// is gone was answered as inactive: it is offered anew, as the server uses it again, and
    /// sends nothing where it was offered as inactive. The server wants an offer even when
    /// nothing is to change, so each one is set off and on again.
    ///
    /// `None` while an answer is outstanding: ask again after it.
    ///
    /// # Errors
    /// str0m refuses.
    pub fn reoffer(&mut self, sections: u32) -> Result<Option<String>, NetError> {
        if self.pending.is_some() {
            return Ok(None);
        }
        let mut api = self.rtc.sdp_api();
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

    /// Takes the answer to the last offer.
    ///
    /// # Errors
    /// No offer is outstanding, or the answer does not fit it.
    pub fn answer(&mut self, sdp: &str) -> Result<(), NetError> {
        let answer = SdpAnswer::from_sdp_string(sdp).map_err(description)?;
        let pending = self.pending.take().ok_or(NetError::UnexpectedAnswer)?;
        self.rtc
            .sdp_api()
            .accept_answer(pending, answer)
            .map_err(description)
    }

    /// Takes the other side's offer; returns our answer. Audio that it offers to receive
    /// becomes our microphone.
    ///
    /// # Errors
    /// The offer cannot be used.
    pub fn accept(&mut self, sdp: &str) -> Result<String, NetError> {
        let offer = SdpOffer::from_sdp_string(sdp).map_err(description)?;
        let answer = self
            .rtc
            .sdp_api()
            .accept_offer(offer)
            .map_err(description)?;
        Ok(answer.to_sdp_string())
    }

    /// Takes a trickled candidate (`candidate:…`). Those we cannot use (TCP, names) are
    /// skipped: `false`.
    pub fn candidate(&mut self, line: &str) -> bool {
        if !line.to_ascii_lowercase().contains(" udp ") {
            return false;
        }
        match Candidate::from_sdp_string(line) {
            Ok(c) if c.addr().is_ipv4() == self.port.local().is_ipv4() => {
                self.rtc.add_remote_candidate(c);
                true
            }
            _ => false,
        }
    }

    /// Says that our microphone goes out in the section `mid` (for an accepted offer).
    pub fn publish_on(&mut self, mid: Mid) {
        self.publish = Some(mid);
    }
}

#[cfg(test)]
mod tests;
