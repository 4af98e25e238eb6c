//! Reassembles the data streams of a room from their headers, chunks and trailers.
//!
//! In: data packets, in order of arrival. Out: complete streams. Invariants: streams may
//! interleave, and their chunks may arrive in any order after the header. Incomplete streams are
//! bounded in number, size and time, so a stream that never ends is dropped.

use livekit_protocol as proto;
use proto::data_packet::Value;
use proto::data_stream::{Chunk, CompressionType, Header, Trailer};
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::time::{Duration, Instant};

/// Attribute that distinguishes final transcripts from interim ones; no other attribute is kept.
pub(super) const FINAL: &str = "lk.transcription_final";
/// Maximum number of open streams.
const OPEN: usize = 32;
/// Maximum content of a stream, in bytes; a message of an agent session takes 20 to 500.
const LONGEST: usize = 64 * 1024;
/// Maximum number of chunks of a stream; the transcript of a reply is sent word by word.
const CHUNKS: usize = 512;
/// Maximum time between two packets of a stream. The stream of a reply's transcript stays open
/// while the reply is spoken.
const PATIENCE: Duration = Duration::from_secs(60);

/// Maximum number of bytes kept for incomplete streams.
#[cfg(any(test, fuzzing))]
pub(crate) const MOST_KEPT: usize = OPEN * LONGEST;

/// A complete stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct DataStream {
    /// Identity in whose name the stream was sent: an agent sends transcripts of the caller's words
    /// in the caller's name.
    pub sender: String,
    pub topic: String,
    pub content: Vec<u8>,
    /// When the stream's header arrived.
    pub opened: Instant,
}

#[derive(Debug)]
struct Open {
    /// Who sends the stream. Its header may specify another participant; its chunks and trailer do
    /// not.
    source: String,
    id: String,
    stream: DataStream,
    /// Length according to the header, if the header states one.
    length: Option<u64>,
    /// When the stream's last packet arrived.
    last: Instant,
    /// The chunks by index, each with its version number.
    chunks: BTreeMap<u64, (i32, Vec<u8>)>,
    bytes: usize,
    /// The trailer has arrived.
    ended: bool,
}

impl Open {
    fn is(&self, source: &str, id: &str) -> bool {
        self.id == id && self.source == source
    }

    /// Whether the trailer and all chunks have arrived.
    fn is_complete(&self) -> bool {
        let is_whole = self.chunks.keys().copied().eq(0..self.chunks.len() as u64);
        let is_as_long = self.length.is_none_or(|length| length == self.bytes as u64);
        self.ended && is_whole && is_as_long
    }

    /// The complete stream with its content.
    fn put_together(self) -> DataStream {
        let chunks = self.chunks.into_values();
        DataStream {
            content: chunks.flat_map(|(_, bytes)| bytes).collect(),
            ..self.stream
        }
    }
}

/// The open streams of a room.
#[derive(Debug, Default)]
pub(super) struct Streams {
    /// Streams in the order in which they were opened.
    open: VecDeque<Open>,
}

impl Streams {
    /// Handles a packet that arrived at `at`; returns the stream that the packet completes. Only
    /// streams that `wanted` accepts by topic, attributes and sender are kept.
    pub(super) fn packet(
        &mut self,
        packet: proto::DataPacket,
        at: Instant,
        wanted: impl Fn(&str, &HashMap<String, String>, &str) -> bool,
    ) -> Option<DataStream> {
        let is_old = |open: &Open| at.saturating_duration_since(open.last) > PATIENCE;
        self.open.retain(|open| !is_old(open));
        let sender = packet.participant_identity;
        // Older servers state only in whose name a packet was sent, not which participant sent it.
        let source = match packet.participant_sid {
            none if none.is_empty() => sender.clone(),
            sid => sid,
        };
        match packet.value? {
            Value::StreamHeader(header) if wanted(&header.topic, &header.attributes, &sender) => {
                self.header(source, sender, header, at)
            }
            Value::StreamChunk(chunk) => self.chunk(&source, chunk, at),
            Value::StreamTrailer(trailer) => self.trailer(&source, &trailer),
            _ => None,
        }
    }

    /// Number of bytes kept for incomplete streams.
    #[cfg(any(test, fuzzing))]
    pub(super) fn kept(&self) -> usize {
        self.open.iter().map(|open| open.bytes).sum()
    }

    fn header(
        &mut self,
        source: String,
        sender: String,
        header: Header,
        at: Instant,
    ) -> Option<DataStream> {
        if header.compression != CompressionType::None as i32 {
            return None;
        }
        let stream = DataStream {
            sender,
            topic: header.topic,
            content: header.inline_content.unwrap_or_default(),
            opened: at,
        };
        if !stream.content.is_empty() {
            // A short stream consists of its header alone.
            return Some(stream);
        }
        // A second header with the same id restarts the stream.
        self.open
            .retain(|open| !open.is(&source, &header.stream_id));
        if self.open.len() == OPEN {
            self.open.pop_front();
        }
        self.open.push_back(Open {
            source,
            id: header.stream_id,
            stream,
            // The header of a text that is still being written states a length of 0.
            length: header.total_length.filter(|length| *length > 0),
            last: at,
            chunks: BTreeMap::new(),
            bytes: 0,
            ended: false,
        });
        None
    }

    fn chunk(&mut self, source: &str, chunk: Chunk, now: Instant) -> Option<DataStream> {
        let at = self.position(source, &chunk.stream_id)?;
        let open = &mut self.open[at];
        open.last = now;
        let known = open.chunks.get(&chunk.chunk_index);
        if known.is_some_and(|(version, _)| *version >= chunk.version) {
            return None;
        }
        open.bytes -= known.map_or(0, |(_, old)| old.len());
        open.bytes += chunk.content.len();
        let new = (chunk.version, chunk.content);
        open.chunks.insert(chunk.chunk_index, new);
        if open.bytes > LONGEST || open.chunks.len() > CHUNKS {
            self.open.remove(at);
            return None;
        }
        self.take_complete(at)
    }

    fn trailer(&mut self, source: &str, trailer: &Trailer) -> Option<DataStream> {
        let at = self.position(source, &trailer.stream_id)?;
        self.open[at].ended = true;
        self.take_complete(at)
    }

    fn position(&self, source: &str, id: &str) -> Option<usize> {
        self.open.iter().position(|open| open.is(source, id))
    }

    fn take_complete(&mut self, at: usize) -> Option<DataStream> {
        if !self.open.get(at)?.is_complete() {
            return None;
        }
        self.open.remove(at).map(Open::put_together)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn packet(sender: &str, value: Value) -> proto::DataPacket {
        proto::DataPacket {
            participant_identity: sender.into(),
            value: Some(value),
            ..Default::default()
        }
    }

    fn header(id: &str, length: Option<u64>) -> Value {
        Value::StreamHeader(Header {
            stream_id: id.into(),
            topic: "t".into(),
            total_length: length,
            ..Default::default()
        })
    }

    fn chunk(id: &str, chunk_index: u64, content: &[u8]) -> Value {
        Value::StreamChunk(Chunk {
            stream_id: id.into(),
            chunk_index,
            content: content.into(),
            ..Default::default()
        })
    }

    fn trailer(id: &str) -> Value {
        Value::StreamTrailer(Trailer {
            stream_id: id.into(),
            ..Default::default()
        })
    }

    fn all(streams: &mut Streams, values: Vec<(&str, Value)>) -> Vec<DataStream> {
        let now = Instant::now();
        let take = |(sender, value)| streams.packet(packet(sender, value), now, |_, _, _| true);
        values.into_iter().filter_map(take).collect()
    }

    proptest! {
        /// Two streams with the same id from two senders, interleaved, the chunks of each in any
        /// order and the trailer anywhere after the header.
        #[test]
        fn interleaved_and_reordered_streams_are_reassembled(
            order in Just((0..10usize).collect::<Vec<_>>()).prop_shuffle(),
            says_length in any::<bool>(),
        ) {
            let content = |sender: usize| -> Vec<u8> { (0..8).map(|i| (sender * 8 + i) as u8).collect() };
            let length = says_length.then_some(8);
            let mut values = vec![("a", header("x", length)), ("b", header("x", length))];
            for i in order {
                let (sender, part) = (i % 2, i / 2);
                let name = ["a", "b"][sender];
                values.push((name, match part {
                    4 => trailer("x"),
                    part => chunk("x", part as u64, &content(sender)[part * 2..part * 2 + 2]),
                }));
            }
            // Without a length, a trailer that arrives before a chunk would end the stream too
            // early.
            let mut found = all(&mut Streams::default(), values);
            if says_length {
                found.sort_by(|a, b| a.sender.cmp(&b.sender));
                prop_assert_eq!(found.len(), 2);
                prop_assert_eq!(&found[0].content, &content(0));
                prop_assert_eq!(&found[1].content, &content(1));
            }
            for stream in found {
                let whole = content(usize::from(stream.sender == "b"));
                prop_assert!(whole.starts_with(&stream.content));
            }
        }
    }

    #[test]
    fn endless_oversized_and_unwanted_streams_are_dropped() {
        let mut streams = Streams::default();
        let mut values = vec![("a", header("long", None))];
        values.extend((0..20).map(|i| ("a", chunk("long", i, &[0; 8 * 1024]))));
        values.push(("a", trailer("long")));
        assert_eq!(all(&mut streams, values), []);
        assert!(streams.open.is_empty());

        let mut values = vec![("a", header("many", None))];
        values.extend((0..1_000).map(|i| ("a", chunk("many", i, b"x"))));
        assert_eq!(all(&mut streams, values), []);
        assert!(streams.open.is_empty());

        let ids: Vec<String> = (0..1_000).map(|i| i.to_string()).collect();
        all(
            &mut streams,
            ids.iter().map(|id| ("a", header(id, None))).collect(),
        );
        assert_eq!(streams.open.len(), OPEN);
        let later = Instant::now() + PATIENCE + Duration::from_secs(1);
        streams.packet(packet("a", trailer("none")), later, |_, _, _| true);
        assert!(streams.open.is_empty());

        let unwanted = streams.packet(packet("a", header("x", None)), later, |_, _, _| false);
        assert!(unwanted.is_none() && streams.open.is_empty());
    }

    #[test]
    fn a_stream_in_another_participants_name_is_assigned_to_its_sender() {
        let mut streams = Streams::default();
        let now = Instant::now();
        let mut take = |name: &str, value| {
            let packet = proto::DataPacket {
                participant_sid: "PA_agent".into(),
                ..packet(name, value)
            };
            streams.packet(packet, now, |_, _, _| true)
        };
        take("caller", header("x", Some(0)));
        take("agent", chunk("x", 0, b"hello"));
        let found = take("agent", trailer("x")).expect("complete");
        assert_eq!((&*found.sender, &*found.content), ("caller", &b"hello"[..]));
    }

    #[test]
    fn a_stream_can_be_a_header_alone_and_newer_chunks_replace_older_ones() {
        let mut streams = Streams::default();
        let inline = Value::StreamHeader(Header {
            inline_content: Some(b"all".to_vec()),
            ..Default::default()
        });
        let found = all(&mut streams, vec![("a", inline)]);
        assert_eq!(found[0].content, b"all");
        let newer = Value::StreamChunk(Chunk {
            stream_id: "x".into(),
            content: b"new".to_vec(),
            version: 1,
            ..Default::default()
        });
        let values = vec![
            header("x", None),
            chunk("x", 0, b"old"),
            newer,
            trailer("x"),
        ];
        let found = all(&mut streams, values.into_iter().map(|v| ("a", v)).collect());
        assert_eq!(found[0].content, b"new");
    }
}
