//! Handles the messages that participants send over the data channel.
//!
//! In: messages of the channel. Out: claims, requests. Invariant: a malformed message is ignored.

use super::claims;
use super::media_failure::media_failure;
use super::requests::usage_request;
use super::session::{LiveSession, SessionEvent};
use super::wire::Bounded as _;
use crate::call::Failure;
use crate::net::Endpoint;
use livekit_protocol as proto;
use std::time::Instant;

impl<E: Endpoint> LiveSession<'_, E> {
    pub(super) async fn on_data(&mut self, arrival: Instant, bytes: &[u8]) -> Result<(), Failure> {
        let Ok(packet) = proto::DataPacket::bounded(bytes) else {
            return Ok(());
        };
        let own = &self.own_identity;
        let wanted = |topic: &str, attributes: &_, sender: &str| {
            claims::is_wanted(topic, attributes, sender, own)
        };
        let Some(stream) = self.streams.packet(packet, arrival, wanted) else {
            return Ok(());
        };
        let claim = if stream.topic == claims::SESSION {
            let answered = |(mut claim, id): claims::Answer| {
                if let Some(id) = id {
                    claim.requested = Some(self.requests.answered(&stream.sender, &id)?);
                }
                Some(claim)
            };
            claims::session(&stream, arrival).and_then(answered)
        } else {
            claims::transcript(&stream, &self.own_identity, arrival)
        };
        if let Some(claim) = claim {
            self.offer(SessionEvent::Claim(claim)).await;
        } else if stream.topic == claims::SESSION
            && let Some(id) = usage_request(&stream)
        {
            self.offer(SessionEvent::UsageRequest(id)).await;
        }
        Ok(())
    }

    /// Sends the request that is currently due.
    pub(super) async fn request(&mut self) -> Result<(), Failure> {
        let Some((id, packets)) = self.requests.next() else {
            return Ok(());
        };
        let sent = self
            .peer
            .with(move |peer, now| {
                let all = packets.iter().all(|packet| peer.send_message(packet));
                all.then_some(now)
            })
            .await
            .map_err(media_failure)?;
        if let Some(at) = sent {
            self.requests.sent(id, at);
        }
        Ok(())
    }
}
