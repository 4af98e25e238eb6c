//! Messages of a signalling server, in sequence.
//!
//! In: how the agent is chosen, then protobuf messages with their lengths. Properties: the memory
//! that a server can make us use is bounded; a track is reported once for each section, and its end
//! once; displayed text contains no terminal control characters.

use super::input::Input;
use super::planted::planted;
use crate::targets::livekit::fuzzed::{Reaction, Room, Told};
use std::collections::BTreeSet;
use std::time::Duration;

/// Maximum number of messages in one input.
const MESSAGES: usize = 64;
/// Bounds of the kept state: participants, tracks of each participant, characters of a name.
const MOST: (usize, usize, usize) = (1_000, 64, 256);
/// Maximum length, in characters, of displayed text from a server, and of a notice, which quotes up
/// to eight such texts.
const SHOWN: usize = 200;
const NOTICE: usize = 2_000;
/// Maximum number of bytes in a message of an input.
const MOST_BYTES: usize = u16::MAX as usize;

pub(super) fn run(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let flags = input.byte();
    let chosen = |bit: u8, name: &str| (flags & bit != 0).then(|| name.to_owned());
    let mut room = Room::new(flags & 1 == 0, chosen(2, "TR_voice"), chosen(4, "agent"));
    let (mut heard, mut most, mut numbered) = (BTreeSet::new(), 0, false);
    for number in 0..MESSAGES {
        if input.is_empty() {
            break;
        }
        let at = Duration::from_secs(number as u64);
        let reaction = room.message(input.long(), at);
        match reaction {
            None | Some(Reaction::Nothing) => {}
            Some(Reaction::Closed(failure)) => {
                is_plain(&failure.to_string(), NOTICE);
                assert!(!failure.cause().is_empty() && !failure.hint().is_empty());
            }
            Some(Reaction::Candidate(line)) => {
                assert!(
                    line.len() <= MOST_BYTES,
                    "a candidate of {} bytes",
                    line.len()
                );
            }
            Some(Reaction::Told(told)) => {
                follow(&told, &mut heard);
                numbered |= told.iter().any(is_numbered);
                most = most.max(heard.len());
            }
        }
        check(&mut room);
    }
    planted([most > 0, numbered]);
}

/// Whether an agent with a digit in its name has joined.
fn is_numbered(told: &Told) -> bool {
    matches!(told, Told::Present(identity) if identity.bytes().any(|b| b.is_ascii_digit()))
}

/// A track's id, and the transport and media section in which it is received.
type HeardIn = (String, usize, String);

fn follow(told: &[Told], heard: &mut BTreeSet<HeardIn>) {
    for event in told {
        match event {
            Told::Track(sid, transport, mid) => {
                let new = heard.insert((sid.clone(), *transport, mid.clone()));
                assert!(new, "reported twice: {event:?}");
            }
            Told::Gone(sid) => {
                let known = heard.iter().find(|(id, ..)| id == sid).cloned();
                let known = known.unwrap_or_else(|| panic!("never reported: {event:?}"));
                heard.remove(&known);
            }
            Told::Muted(sid) => {
                let known = heard.iter().find(|(id, ..)| id == sid);
                assert!(known.is_some(), "never reported: {event:?}");
            }
            Told::Present(_) | Told::State | Told::Left => {}
        }
    }
}

fn check(room: &mut Room) {
    let sizes = room.sizes();
    assert!(sizes.len() <= MOST.0, "{} participants", sizes.len());
    for (tracks, longest) in sizes {
        assert!(tracks <= MOST.1, "{tracks} tracks");
        assert!(longest <= MOST.2, "a name of {longest} characters");
    }
    room.newly_ignored();
    assert!(room.newly_ignored().is_empty(), "ignored twice");
    for text in room.seen() {
        is_plain(&text, SHOWN);
    }
    if let Some(notice) = room.take_notice() {
        is_plain(&notice, NOTICE);
        assert_eq!(room.take_notice(), None);
    }
}

fn is_plain(text: &str, longest: usize) {
    assert!(!text.chars().any(char::is_control), "{text:?}");
    assert!(text.chars().count() <= longest, "{text}");
}
