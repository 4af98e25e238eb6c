//! Sends a peer's packets.
//!
//! In: a send slot. Out: at most one packet, handed to the kernel; the endpoint learns when.
//! Invariant: str0m starts the stream and sends it until the connection is steady; from then on
//! packets are sealed and sent without it.

use super::{Peer, Tools};
use crate::net::clock::since_held_up;
use crate::net::endpoint::{Endpoint, Outgoing};
use crate::net::media::Media;
use crate::net::transport::{Publication, Transport};
use std::time::Instant;
use str0m::rtp::RtpWrite;

impl<E: Endpoint> Peer<E> {
    pub(super) fn send(&mut self, due: Instant, tools: &mut Tools<'_>) {
        let Some(out) = self.endpoint.send(due) else {
            return;
        };
        let index = self.publisher;
        let Some(t) = self.transports[index].as_mut() else {
            return;
        };
        if self.publication.is_none() && t.connected {
            self.publication = t.publication();
        }
        let Some(p) = self.publication else { return };
        let left = match t.media.as_ref().is_some_and(Media::sends) {
            true => self.send_media(index, &out, tools),
            false => self.send_by_str0m(index, p, out, tools),
        };
        let sequence = self.sequence;
        self.sequence += 1;
        if let Some(actual) = left {
            tools.health.sent(actual.saturating_duration_since(due));
            self.endpoint.sent(due, actual, sequence);
        }
    }

    /// Sends one of the stream's first packets.
    fn send_by_str0m(
        &mut self,
        index: usize,
        p: Publication,
        out: Outgoing,
        tools: &Tools<'_>,
    ) -> Option<Instant> {
        let (t, now) = (self.transports[index].as_mut()?, Instant::now());
        if let Some(stream) = t.rtc.direct_api().stream_tx(&p.ssrc) {
            let sequence = self.sequence.into();
            stream.write_rtp(
                RtpWrite::new(p.pt, sequence, out.rtp_time, now, out.payload).marker(out.marker),
            );
        }
        // str0m sends what was written when its clock advances.
        t.tick(now);
        self.drain(index, now, None, tools.health)
    }

    /// Sends one of the later packets, and a report if one is due.
    fn send_media(
        &mut self,
        index: usize,
        out: &Outgoing,
        tools: &mut Tools<'_>,
    ) -> Option<Instant> {
        let Transport { media, port, .. } = self.transports[index].as_deref_mut()?;
        let (media, room) = (media.as_mut()?, &mut *tools.room);
        let made = media.packet(self.sequence, out.rtp_time, out.marker, &out.payload, room);
        let (length, to) = made?;
        let before = Instant::now();
        let sent = port.send(&room[..length], to);
        let left = since_held_up(before);
        if sent.is_err() {
            tools.health.send_error();
        }
        if let Some((length, to)) = media.report(left, out.rtp_time, room) {
            // A lost report is followed by the next one.
            let _ = port.send(&room[..length], to);
        }
        Some(left)
    }
}
