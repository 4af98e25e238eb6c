//! Follows the streams in which agents write: when each began and when it ended.
//!
//! In: data packets, in order of arrival. Out: the first piece and the end of each stream, with
//! their arrivals. Invariants: what is kept is bounded and holds no text; what is said in the
//! caller's own name, transcripts of its speech, is not reported.

use super::claims::TRANSCRIPTION;
use crate::call::{ReplyText, TextPart};
use livekit_protocol as proto;
use proto::data_packet::Value;
use std::collections::VecDeque;
use std::time::Instant;

/// Maximum number of streams that are open at once.
const OPEN: usize = 32;

/// A part of a text, and whose it is.
pub(super) type Part = (String, ReplyText);

#[derive(Debug)]
struct Open {
    /// Who sends the stream's packets. The header may name somebody else.
    source: String,
    id: String,
    sender: String,
    number: u64,
    opened: Instant,
    /// Its first piece has arrived.
    begun: bool,
}

/// The streams of text of a room.
#[derive(Debug, Default)]
pub(super) struct Replies {
    open: VecDeque<Open>,
    /// Number of streams opened so far.
    streams: u64,
}

impl Replies {
    /// Takes a packet that arrived at `at`; returns what it begins and ends. `own`: identity of the
    /// caller.
    pub(super) fn packet(
        &mut self,
        packet: &proto::DataPacket,
        at: Instant,
        own: &str,
    ) -> Vec<Part> {
        let sender = &packet.participant_identity;
        // Older servers do not say who sent a packet besides in whose name.
        let source = match &*packet.participant_sid {
            "" => sender,
            sid => sid,
        };
        match &packet.value {
            Some(Value::StreamHeader(header)) if header.topic == TRANSCRIPTION && sender != own => {
                self.streams += 1;
                let mut open = Open {
                    source: source.to_owned(),
                    id: header.stream_id.clone(),
                    sender: sender.clone(),
                    number: self.streams,
                    opened: at,
                    begun: false,
                };
                if header
                    .inline_content
                    .as_ref()
                    .is_some_and(|text| !text.is_empty())
                {
                    // A short stream is its header alone.
                    return open.begin(at).into_iter().chain(open.end(at)).collect();
                }
                if self.open.len() == OPEN {
                    self.open.pop_front();
                }
                self.open.push_back(open);
                Vec::new()
            }
            Some(Value::StreamChunk(chunk)) if !chunk.content.is_empty() => {
                let place = self.position(source, &chunk.stream_id);
                let begun = place.and_then(|place| self.open[place].begin(at));
                begun.into_iter().collect()
            }
            Some(Value::StreamTrailer(trailer)) => {
                let place = self.position(source, &trailer.stream_id);
                let open = place.and_then(|place| self.open.remove(place));
                open.and_then(|open| open.end(at)).into_iter().collect()
            }
            _ => Vec::new(),
        }
    }

    fn position(&self, source: &str, id: &str) -> Option<usize> {
        let mut open = self.open.iter();
        open.position(|open| open.id == id && open.source == source)
    }
}

impl Open {
    fn begin(&mut self, at: Instant) -> Option<Part> {
        let again = std::mem::replace(&mut self.begun, true);
        (!again).then(|| self.part(at, TextPart::First))
    }

    /// The end of a stream that has begun; one without text does not exist for a call.
    fn end(&self, at: Instant) -> Option<Part> {
        self.begun.then(|| self.part(at, TextPart::End))
    }

    fn part(&self, at: Instant, part: TextPart) -> Part {
        let text = ReplyText {
            stream: self.number,
            opened: self.opened,
            at,
            part,
        };
        (self.sender.clone(), text)
    }
}

#[cfg(test)]
mod tests {
    use super::super::packets::TextStream;
    use super::super::wire::Bounded as _;
    use super::*;
    use std::collections::HashMap;
    use std::time::Duration;

    /// Number, instant of opening, instant and part of everything that is reported.
    type Seen = Vec<(u64, u64, u64, TextPart)>;

    fn seen(packets: impl IntoIterator<Item = (u64, &'static str, Vec<u8>)>) -> Seen {
        let start = Instant::now();
        let mut replies = Replies::default();
        let mut seen = Vec::new();
        for (ms, from, bytes) in packets {
            let mut packet = proto::DataPacket::bounded(&bytes).expect("a data packet");
            packet.participant_sid = "PA_agent".into();
            if packet.participant_identity.is_empty() {
                packet.participant_identity = from.to_owned();
            }
            let at = start + Duration::from_millis(ms);
            for (sender, text) in replies.packet(&packet, at, "caller") {
                assert_eq!(sender, "agent");
                let ms = |at: Instant| (at - start).as_millis() as u64;
                seen.push((text.stream, ms(text.opened), ms(text.at), text.part));
            }
        }
        assert!(replies.open.len() <= OPEN);
        seen
    }

    fn opened(id: &str, sender: &str, topic: &str) -> (TextStream, Vec<u8>) {
        TextStream::open(id.into(), sender, topic, HashMap::new(), 0)
    }

    #[test]
    fn the_first_piece_and_the_end_of_each_of_the_agents_texts_are_reported() {
        let (mut reply, header) = opened("a", "", TRANSCRIPTION);
        let (mut heard, own) = opened("b", "caller", TRANSCRIPTION);
        let (mut other, chat) = opened("c", "", "other");
        let (empty, nothing) = opened("d", "", TRANSCRIPTION);
        let (mut second, again) = opened("e", "", TRANSCRIPTION);
        let packets = vec![
            (0, "agent", header),
            (1, "agent", own),
            (2, "agent", chat),
            (3, "agent", reply.chunk("")),
            (4, "agent", reply.chunk("Sure,")),
            (5, "agent", heard.chunk("where is my order")),
            (6, "agent", other.chunk("x")),
            (7, "agent", reply.chunk(" let")),
            (8, "agent", nothing),
            (9, "agent", empty.close(HashMap::new())),
            (10, "agent", again),
            (11, "agent", second.chunk("And")),
            (12, "agent", reply.close(HashMap::new())),
            (13, "agent", second.close(HashMap::new())),
        ];
        let expected = [
            (1, 0, 4, TextPart::First),
            (3, 10, 11, TextPart::First),
            (1, 0, 12, TextPart::End),
            (3, 10, 13, TextPart::End),
        ];
        assert_eq!(seen(packets), expected);
    }

    #[test]
    fn a_flood_of_open_texts_is_bounded() {
        let flood = (0..1_000).map(|n| (n, "agent", opened(&n.to_string(), "", TRANSCRIPTION).1));
        assert_eq!(seen(flood), []);
    }
}
