//! Bounds the contents of a server's message before the message is decoded.
//!
//! In: a protobuf message as received; tables of the parts that are read, with the maximum number
//! of each. Out: the same message with only these parts, or the bound that it exceeds. Invariant:
//! only the parts listed in the tables are decoded, and repeated parts are counted first. Otherwise
//! two bytes on the wire could become hundreds in memory (an empty participant).

use crate::vocab::fields::{self, Groups, Malformed, fields};
use livekit_protocol as proto;

/// Maximum number of participants in one message.
const PARTICIPANTS: usize = 1_000;
/// Maximum number of tracks in one message, for all participants together.
const TRACKS: usize = 2_000;
/// Maximum number of media sections in one description.
const SECTIONS: usize = 256;
/// Longest session description, in bytes. A description with [`SECTIONS`] sections is shorter.
const DESCRIPTION: usize = 512 << 10;
/// Longest trickled candidate, in bytes.
const CANDIDATE: usize = 4 << 10;
/// Longest id, identity or topic in a data packet, in bytes.
const NAME: usize = 256;
/// Maximum number of pieces of text in a message of a conversation.
const TEXTS: usize = 32;
/// Maximum number of tools, and of models, in one message.
pub(super) const TOOLS: usize = 32;
const MODELS: usize = 32;
/// Maximum number of dispatches kept for a room, and of jobs kept for all of them together.
const DISPATCHES: usize = 16;

/// Why a message is not accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(in crate::targets) enum Unfit {
    /// The bytes are not a protobuf message.
    #[error("not a protobuf message")]
    Malformed,
    /// The message has more than `most` of a part.
    #[error("more than {most} {what} in one message")]
    TooMany {
        /// Plural name of the part that exceeds its bound.
        what: &'static str,
        /// Maximum number that is accepted.
        most: usize,
    },
}

impl From<Malformed> for Unfit {
    fn from(_: Malformed) -> Self {
        Self::Malformed
    }
}

/// A part of a message that is read.
#[derive(Debug)]
pub(in crate::targets) struct Part {
    field: u32,
    what: &'static str,
    /// Maximum number of occurrences in the whole message.
    most: usize,
    /// Occurrences beyond `most` are left out instead of causing a refusal.
    lenient: bool,
    /// Maximum length of one occurrence, in bytes.
    bytes: usize,
    /// If not empty, this part is itself a message, and only these parts of it are read.
    parts: &'static [Part],
    /// If not empty, a map's entry is read only if it has one of these keys.
    keys: &'static [&'static str],
}

/// A number, or text that is kept unchanged.
const fn plain(field: u32) -> Part {
    Part {
        field,
        what: "fields",
        most: usize::MAX,
        lenient: false,
        bytes: usize::MAX,
        parts: &[],
        keys: &[],
    }
}

/// A nested message.
const fn one(field: u32, parts: &'static [Part]) -> Part {
    Part {
        parts,
        ..plain(field)
    }
}

/// Nested messages: at most `most`.
const fn many(field: u32, what: &'static str, most: usize, parts: &'static [Part]) -> Part {
    Part {
        what,
        most,
        ..one(field, parts)
    }
}

/// Text of at most `bytes` bytes.
const fn text(field: u32, what: &'static str, bytes: usize) -> Part {
    Part {
        what,
        bytes,
        ..plain(field)
    }
}

/// Nested messages; only the first `most` are read.
const fn first(field: u32, most: usize, parts: &'static [Part]) -> Part {
    Part {
        lenient: true,
        ..many(field, "", most, parts)
    }
}

/// A message with a table of the parts that are read.
pub(in crate::targets) trait Bounded: prost::Message + Default {
    /// The parts, and the maximum number of each.
    const PARTS: &'static [Part];

    /// Decodes a message, keeping only the listed parts.
    ///
    /// # Errors
    /// The message is malformed, or a part exceeds its bound.
    fn bounded(bytes: &[u8]) -> Result<Self, Unfit> {
        let mut kept = Vec::new();
        let mut counts = Vec::new();
        keep(bytes, Self::PARTS, &mut counts, &mut kept)?;
        Self::decode(&kept[..]).map_err(|_| Unfit::Malformed)
    }
}

const TRACK: &[Part] = &[plain(1), plain(2), plain(3), plain(4), plain(9)];
const ENTRY: &[Part] = &[plain(1), plain(2)];
const PARTICIPANT: &[Part] = &[
    plain(1),
    plain(2),
    plain(3),
    many(4, "tracks", TRACKS, TRACK),
    one(11, &[plain(8)]),
    plain(14),
    Part {
        keys: &[super::state::ATTRIBUTE, super::roster::ON_BEHALF],
        ..many(15, "attributes", 2 * PARTICIPANTS, ENTRY)
    },
    plain(16),
];
/// What we may do: subscribe, publish, publish data, the sources that we may publish.
const PERMISSIONS: &[Part] = &[
    plain(1),
    plain(2),
    plain(3),
    text(9, "bytes of sources", NAME),
];
const SESSION_DESCRIPTION: &[Part] = &[
    plain(1),
    text(2, "bytes of a session description", DESCRIPTION),
    plain(3),
    many(4, "media sections", SECTIONS, ENTRY),
];

impl Bounded for proto::SignalResponse {
    const PARTS: &'static [Part] = &[
        // Join
        one(
            1,
            &[
                one(2, &[plain(1), plain(2), one(11, PERMISSIONS)]),
                many(3, "participants", PARTICIPANTS, PARTICIPANT),
                plain(10),
                plain(11),
                // Server: version, region
                one(
                    12,
                    &[
                        text(2, "bytes of a version", NAME),
                        text(4, "bytes of a region", NAME),
                    ],
                ),
            ],
        ),
        // Answer, offer
        one(2, SESSION_DESCRIPTION),
        one(3, SESSION_DESCRIPTION),
        // Trickle
        one(4, &[text(1, "bytes of a candidate", CANDIDATE), plain(2)]),
        // Update
        one(5, &[many(1, "participants", PARTICIPANTS, PARTICIPANT)]),
        // Our track is published: its id
        one(6, &[one(2, &[plain(1)])]),
        // Leave
        one(8, &[plain(2)]),
        // Ratings of connections: participant and quality
        one(12, &[first(1, PARTICIPANTS, &[plain(1), plain(2)])]),
        // Answer to a ping
        one(20, &[plain(1)]),
        // Response to a request
        one(22, &[plain(2), plain(3)]),
        // Required media sections
        one(25, &[plain(1)]),
    ];
}

impl Bounded for proto::ServerMessage {
    const PARTS: &'static [Part] = &[
        // Registered
        one(1, &[plain(1)]),
        // Availability
        one(2, &[one(1, &[plain(1)])]),
        // Assignment
        one(3, &[one(1, &[plain(1), one(3, &[plain(2)])]), plain(3)]),
        // Termination
        one(5, &[plain(1)]),
    ];
}

impl Bounded for proto::ListAgentDispatchResponse {
    const PARTS: &'static [Part] = &[first(
        1,
        DISPATCHES,
        &[
            plain(2),
            one(
                5,
                &[first(
                    1,
                    DISPATCHES,
                    &[one(8, &[plain(1), plain(2), plain(6)])],
                )],
            ),
        ],
    )];
}

impl Bounded for proto::DataPacket {
    const PARTS: &'static [Part] = &[
        text(4, "bytes of an identity", NAME),
        // Header of a data stream
        one(
            13,
            &[
                text(1, "bytes of a stream's id", NAME),
                text(3, "bytes of a topic", NAME),
                plain(5),
                Part {
                    keys: &[super::streams::FINAL],
                    ..many(
                        8,
                        "attributes",
                        1,
                        &[plain(1), text(2, "bytes of an attribute", NAME)],
                    )
                },
                plain(11),
                plain(12),
            ],
        ),
        // Chunk
        one(
            14,
            &[
                text(1, "bytes of a stream's id", NAME),
                plain(2),
                plain(3),
                plain(4),
            ],
        ),
        // Trailer
        one(15, &[text(1, "bytes of a stream's id", NAME)]),
        text(17, "bytes of a participant's id", NAME),
    ];
}

const TIMESTAMP: &[Part] = &[plain(1), plain(2)];
const METRICS: &[Part] = &[
    one(1, TIMESTAMP),
    one(2, TIMESTAMP),
    plain(3),
    plain(4),
    plain(5),
    plain(6),
    plain(7),
    plain(8),
    plain(10),
];

/// Role, text and metrics of a message, and the time of its creation.
const CHAT_MESSAGE: &[Part] = &[
    plain(2),
    first(3, TEXTS, &[plain(1)]),
    one(7, METRICS),
    one(8, TIMESTAMP),
];
const FUNCTION_CALL: &[Part] = &[
    text(2, "bytes of a tool call's id", NAME),
    text(4, "bytes of a tool's name", NAME),
    one(5, TIMESTAMP),
];
const FUNCTION_CALL_OUTPUT: &[Part] = &[
    text(3, "bytes of a tool call's id", NAME),
    plain(5),
    one(6, TIMESTAMP),
];
/// Provider, model and all amounts.
const MODEL_USAGE: &[Part] = &[
    text(1, "bytes of a provider", NAME),
    text(2, "bytes of a model", NAME),
    plain(3),
    plain(4),
    plain(5),
    plain(6),
    plain(11),
    plain(12),
];
const USAGE: &[Part] = &[first(
    1,
    MODELS,
    &[
        one(1, MODEL_USAGE),
        one(2, MODEL_USAGE),
        one(3, MODEL_USAGE),
    ],
)];

impl Bounded for proto::agent::AgentSessionMessage {
    const PARTS: &'static [Part] = &[
        // Event: its time, and its kind
        one(
            3,
            &[
                one(1, TIMESTAMP),
                // The agent's state
                one(10, &[plain(2)]),
                // The caller's state
                one(11, &[plain(2)]),
                // A message that was added to the conversation
                one(12, &[one(1, &[one(1, CHAT_MESSAGE)])]),
                // Tools that were called
                one(
                    14,
                    &[
                        first(1, TOOLS, FUNCTION_CALL),
                        first(2, TOOLS, FUNCTION_CALL_OUTPUT),
                    ],
                ),
                one(17, &[one(1, USAGE)]),
                one(20, &[first(1, TOOLS, FUNCTION_CALL)]),
                // A tool that began or ended
                one(
                    22,
                    &[
                        one(1, &[one(1, FUNCTION_CALL)]),
                        one(4, &[text(2, "bytes of a tool call's id", NAME), plain(4)]),
                    ],
                ),
            ],
        ),
        // Request: its id, and whether it requests the session's usage
        one(4, &[text(1, "bytes of a request's id", NAME), plain(9)]),
        // Response: the request's id, the usage, and the time of the response
        one(
            5,
            &[
                text(1, "bytes of a request's id", NAME),
                one(10, &[one(1, USAGE), one(2, TIMESTAMP)]),
            ],
        ),
    ];
}

/// How often each part has occurred so far.
type Counts = Vec<(*const Part, usize)>;

/// Counts an occurrence of `part`; returns the new count.
fn count(counts: &mut Counts, part: &Part) -> usize {
    let known = counts.iter_mut().find(|(of, _)| std::ptr::eq(*of, part));
    match known {
        Some((_, so_far)) => {
            *so_far += 1;
            *so_far
        }
        None => {
            counts.push((part, 1));
            1
        }
    }
}

/// Appends to `kept` those parts of a message that `parts` lists.
fn keep(
    message: &[u8],
    parts: &'static [Part],
    counts: &mut Counts,
    kept: &mut Vec<u8>,
) -> Result<(), Unfit> {
    for field in fields(message, Groups::Refused) {
        let field = field?;
        let Some(part) = parts.iter().find(|part| part.field == field.number) else {
            continue;
        };
        let content = field.content.unwrap_or_default();
        if content.len() > part.bytes {
            return Err(Unfit::TooMany {
                what: part.what,
                most: part.bytes,
            });
        }
        if !part.keys.is_empty() {
            let key = contents(content, 1).last().transpose()?.unwrap_or_default();
            if !part.keys.iter().any(|wanted| wanted.as_bytes() == key) {
                continue;
            }
        }
        if part.most < usize::MAX && count(counts, part) > part.most {
            match part.lenient {
                true => continue,
                false => {
                    return Err(Unfit::TooMany {
                        what: part.what,
                        most: part.most,
                    });
                }
            }
        }
        if part.parts.is_empty() {
            kept.extend_from_slice(field.whole);
            continue;
        }
        let mut inner = Vec::new();
        keep(content, part.parts, counts, &mut inner)?;
        // A message's key is its field number with wire type 2: a length prefix follows.
        for number in [((part.field as usize) << 3) | 2, inner.len()] {
            // Writing to a vector cannot fail.
            let _ = prost::encode_length_delimiter(number, kept);
        }
        kept.extend(inner);
    }
    Ok(())
}

/// Contents of the fields of a message that have this `number`: text, bytes or messages.
pub(super) fn contents(message: &[u8], number: u32) -> impl Iterator<Item = Result<&[u8], Unfit>> {
    fields::contents(message, number, Groups::Refused).map(|content| Ok(content?))
}

#[cfg(test)]
mod tests;
