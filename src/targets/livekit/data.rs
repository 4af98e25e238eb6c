//! Handles the messages that participants send over the data channel.
//!
//! In: messages of the channel. Out: claims, requests. Invariant: a malformed message is ignored.

use super::claims;
use super::media_failure::media_failure;
use super::packets::{TextStream, packet};
use super::requests::usage_request;
use super::session::{LiveSession, SessionEvent};
use super::wire::Bounded as _;
use crate::audio::mix::event_code;
use crate::call::Failure;
use crate::net::{Endpoint, Peer, PeerHandle};
use crate::vocab::truncated;
use livekit_protocol as proto;
use livekit_protocol::data_packet::Value;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Time between two attempts to send the rest of a text.
const ATTEMPT: Duration = Duration::from_millis(20);
/// How long sending a text may take. The call waits for it.
const SENDING: Duration = Duration::from_secs(5);
/// Maximum length of a chunk of text in bytes, as in LiveKit's SDKs.
const CHUNK: usize = 15_000;

impl<E: Endpoint> LiveSession<'_, E> {
    pub(super) async fn on_data(&mut self, arrival: Instant, bytes: &[u8]) -> Result<(), Failure> {
        let Ok(packet) = proto::DataPacket::bounded(bytes) else {
            return Ok(());
        };
        if let Some(replies) = &mut self.replies {
            for (sender, text) in replies.packet(&packet, arrival, &self.own_identity) {
                self.send_event(SessionEvent::ReplyText(sender, text))
                    .await?;
            }
        }
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

    /// Sends the text of a turn as LiveKit's SDKs do: a stream to everybody in the room. Reports
    /// the sending within [`SENDING`], or fails.
    pub(super) async fn send_text(&mut self, turn: usize, text: &str) -> Result<(), Failure> {
        self.texts += 1;
        let packets = text_stream(self.texts, text);
        let sending = send_all(self.peer, packets.into());
        let in_time = tokio::time::timeout(SENDING, sending).await;
        let at = in_time.map_err(|_| Failure::Dropped {
            detail: "the data channel takes no text".into(),
        })??;
        self.replies.get_or_insert_default();
        self.send_event(SessionEvent::TextSent { turn, at }).await
    }

    /// Tells everybody in the room that the caller presses a key, as LiveKit's telephone service
    /// does for an RFC 4733 event. An SFU passes no such events on in RTP.
    pub(super) async fn send_key(&mut self, key: char) -> Result<(), Failure> {
        let Some(packet) = key_packet(key) else {
            return Ok(());
        };
        let sending = send_all(self.peer, [packet].into());
        let in_time = tokio::time::timeout(SENDING, sending).await;
        let failed = |_| Failure::Dropped {
            detail: "the data channel takes no keys".into(),
        };
        in_time.map_err(failed)?.map(drop)
    }

    /// Sends the request that is due.
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

/// Sends packets in order; returns when the last one was sent. An agent answers a text only once it
/// has all of it.
async fn send_all<E: Endpoint>(
    peer: &PeerHandle<E>,
    packets: Arc<[Vec<u8>]>,
) -> Result<Instant, Failure> {
    let mut done = 0;
    loop {
        let rest = packets.clone();
        let send = move |peer: &mut Peer<E>, now: Instant| {
            let all = rest[done..].iter();
            let sent = all.take_while(|packet| peer.send_message(packet)).count();
            (sent, now)
        };
        let (sent, at) = peer.with(send).await.map_err(media_failure)?;
        done += sent;
        if done == packets.len() {
            return Ok(at);
        }
        // The data channel opens shortly after the media.
        tokio::time::sleep(ATTEMPT).await;
    }
}

/// The message for a key; `None` for what is no key.
fn key_packet(key: char) -> Option<Vec<u8>> {
    let dtmf = proto::SipDtmf {
        code: event_code(key)?,
        digit: key.to_string(),
    };
    Some(packet("", &[], Value::SipDtmf(dtmf)))
}

/// The packets of the caller's text number `number`.
fn text_stream(number: u64, text: &str) -> Vec<Vec<u8>> {
    let unix = SystemTime::now().duration_since(UNIX_EPOCH);
    let opened = unix.map_or(0, |since| {
        i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
    });
    let id = format!("loadgen-text-{number}");
    let (mut stream, header) = TextStream::open(id, "", claims::CHAT, HashMap::new(), opened);
    let mut packets = vec![header];
    let mut rest = text;
    while !rest.is_empty() {
        // Never empty, because a character has at most four bytes.
        let chunk = truncated(rest, CHUNK);
        packets.push(stream.chunk(chunk));
        rest = &rest[chunk.len()..];
    }
    packets.push(stream.close(HashMap::new()));
    packets
}

#[cfg(test)]
mod tests {
    use super::super::streams::Streams;
    use super::*;
    use prost::Message as _;

    #[test]
    fn keys_are_messages_with_their_number() {
        for (key, code) in [('5', 5), ('#', 11)] {
            let bytes = key_packet(key).expect("a key");
            let read = proto::DataPacket::decode(&*bytes).expect("a data packet");
            let digit = key.to_string();
            let expected = Value::SipDtmf(proto::SipDtmf { code, digit });
            assert_eq!(read.value, Some(expected));
        }
        assert_eq!(key_packet('x'), None);
    }

    #[test]
    fn a_text_is_put_together_again_however_long_it_is() {
        for text in ["hi".to_owned(), "größer ".repeat(4_000)] {
            let mut streams = Streams::default();
            let mut found = Vec::new();
            for bytes in text_stream(1, &text) {
                let packet = proto::DataPacket::bounded(&bytes).expect("a data packet");
                let now = Instant::now();
                found.extend(streams.packet(packet, now, |topic, _, _| topic == claims::CHAT));
            }
            assert_eq!(found.len(), 1);
            assert_eq!(found[0].content, text.as_bytes());
        }
    }
}
