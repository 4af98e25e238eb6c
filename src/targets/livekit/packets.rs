//! Builds the data packets of streams: header, chunks, trailer.
//!
//! In: a stream's content. Out: encoded data packets, to be sent in this order. Invariant: both
//! [`Streams`](super::streams::Streams) and LiveKit's own clients can reassemble the stream.

use super::{claims, streams};
use livekit_protocol as proto;
use prost::Message as _;
use proto::data_packet::Value;
use proto::data_stream::header::ContentHeader;
use proto::data_stream::{ByteHeader, Chunk, Header, TextHeader, Trailer};
use std::collections::HashMap;

/// Topic of the byte streams in which an agent describes its session.
pub(in crate::targets) const SESSION: &str = claims::SESSION;
/// Topic of the text streams that carry transcripts.
pub(in crate::targets) const TRANSCRIPTION: &str = claims::TRANSCRIPTION;
/// Attribute that distinguishes final transcripts from interim ones.
pub(in crate::targets) const FINAL: &str = streams::FINAL;

/// Encodes a packet to the participants `to`, or to all participants if `to` is empty. `sender`:
/// the identity in whose name an agent sends the packet; empty for the agent's own identity.
pub(in crate::targets) fn packet(sender: &str, to: &[String], value: Value) -> Vec<u8> {
    let packet = proto::DataPacket {
        participant_identity: sender.to_owned(),
        destination_identities: to.to_vec(),
        value: Some(value),
        ..Default::default()
    };
    packet.encode_to_vec()
}

/// A byte stream of one chunk. `id` is unique in the room.
pub(in crate::targets) fn byte_stream(
    id: &str,
    topic: &str,
    content: Vec<u8>,
    to: &[String],
) -> [Vec<u8>; 3] {
    let name = id.to_owned();
    let header = Header {
        stream_id: id.to_owned(),
        topic: topic.to_owned(),
        mime_type: "application/octet-stream".into(),
        total_length: Some(content.len() as u64),
        content_header: Some(ContentHeader::ByteHeader(ByteHeader { name })),
        ..Default::default()
    };
    let chunk = Chunk {
        stream_id: id.to_owned(),
        content,
        ..Default::default()
    };
    let trailer = Trailer {
        stream_id: id.to_owned(),
        ..Default::default()
    };
    [
        Value::StreamHeader(header),
        Value::StreamChunk(chunk),
        Value::StreamTrailer(trailer),
    ]
    .map(|value| packet("", to, value))
}

/// A text stream to all participants that is still being written.
#[derive(Debug)]
pub(in crate::targets) struct TextStream {
    id: String,
    chunks: u64,
}

impl TextStream {
    /// Opens a stream at `opened` (ms since the Unix epoch); returns its first packet as well.
    pub(in crate::targets) fn open(
        id: String,
        sender: &str,
        topic: &str,
        attributes: HashMap<String, String>,
        opened: i64,
    ) -> (Self, Vec<u8>) {
        let header = Header {
            stream_id: id.clone(),
            timestamp: opened,
            topic: topic.to_owned(),
            mime_type: "text/plain".into(),
            attributes,
            content_header: Some(ContentHeader::TextHeader(TextHeader::default())),
            ..Default::default()
        };
        let packet = packet(sender, &[], Value::StreamHeader(header));
        (Self { id, chunks: 0 }, packet)
    }

    /// The packet with the next piece of text.
    pub(in crate::targets) fn chunk(&mut self, text: &str) -> Vec<u8> {
        let chunk = Chunk {
            stream_id: self.id.clone(),
            chunk_index: self.chunks,
            content: text.as_bytes().to_vec(),
            ..Default::default()
        };
        self.chunks += 1;
        packet("", &[], Value::StreamChunk(chunk))
    }

    /// The last packet; `attributes` replace those of the header.
    pub(in crate::targets) fn close(self, attributes: HashMap<String, String>) -> Vec<u8> {
        let trailer = Trailer {
            stream_id: self.id,
            attributes,
            ..Default::default()
        };
        packet("", &[], Value::StreamTrailer(trailer))
    }
}

#[cfg(test)]
mod tests {
    use super::super::streams::{DataStream, Streams};
    use super::super::wire::Bounded as _;
    use super::*;
    use std::time::Instant;

    /// The streams that a receiver reassembles from these packets. The server marks the packets
    /// with the sender's id.
    fn received(packets: impl IntoIterator<Item = Vec<u8>>) -> Vec<DataStream> {
        let mut streams = Streams::default();
        let take = |bytes: Vec<u8>| {
            let packet = proto::DataPacket {
                participant_sid: "PA_agent".into(),
                ..proto::DataPacket::bounded(&bytes).expect("a data packet")
            };
            streams.packet(packet, Instant::now(), |_, _, _| true)
        };
        packets.into_iter().filter_map(take).collect()
    }

    #[test]
    fn received_streams_equal_the_sent_streams() {
        let found = received(byte_stream("x", "topic", b"content".to_vec(), &[]));
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].topic, "topic");
        assert_eq!(found[0].content, b"content");

        let (mut text, header) =
            TextStream::open("y".into(), "caller", "topic", HashMap::new(), 1_000);
        let packets = vec![
            header,
            text.chunk("where is"),
            text.chunk(" my order"),
            text.close(HashMap::new()),
        ];
        let found = received(packets);
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].sender, "caller");
        assert_eq!(found[0].content, b"where is my order");
    }
}
