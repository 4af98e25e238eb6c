//! Session descriptions and candidates from the other side.
//!
//! In: a kind, then a description or lines of candidates. Properties: our answers and offers can be
//! read back; the number of sections that others can make us offer is bounded; the transport stays
//! alive; a track that is reported occurs in the text.

use super::input::Input;
use super::planted::planted;
use crate::net::fuzzed::{Described, is_description};
use crate::net::{Topology, tracks_by_mid};
use std::time::Duration;

/// Maximum number of sections of our offers: receiving sections, the microphone, the data channels.
const MOST_SECTIONS: usize = 128 + 2;
/// Prefix of an input; it is replaced by a valid description from another transport of ours.
const OURS: &str = "ours";

pub(super) fn run(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let flags = input.byte();
    let sections = input.byte();
    let Ok(text) = std::str::from_utf8(input.rest()) else {
        return;
    };
    let tracks = tracks_by_mid(text);
    for (mid, track) in &tracks {
        assert!(text.contains(&format!("a=mid:{mid}")), "{mid}");
        assert!(text.contains(track.as_str()), "{track}");
    }
    match flags & 3 {
        0 => answer(text, topology(flags), sections),
        1 => offer(text, tracks.keys().next()),
        2 => candidates(text),
        _ => {}
    }
}

fn topology(flags: u8) -> Topology {
    match flags >> 2 & 3 {
        0 => Topology::Publisher,
        1 => Topology::Direct,
        _ => Topology::Single,
    }
}

/// Passes an answer to our offer, then makes another offer and passes the same answer again.
fn answer(text: &str, topology: Topology, sections: u8) {
    let mut ours = Described::new();
    let offer = ours.offer(topology);
    let text = match text.strip_prefix(OURS) {
        // The other side's answer, followed by the rest of the input.
        Some(rest) => Described::new().accept(&offer).expect("our own offer") + rest,
        None => text.to_owned(),
    };
    let taken = ours.answer(&text).is_ok();
    assert!(ours.drain(Duration::ZERO), "an answer kills the transport");
    let next = ours.reoffer(sections.into());
    if let Ok(Some(next)) = next {
        assert!(is_description(&next), "{next}");
        let count = next.matches("\r\nm=").count();
        assert!(count <= MOST_SECTIONS, "{count} sections");
        let again = ours.answer(&text).is_ok();
        planted([taken && !again, text.contains("a=inactive"), sections > 77]);
    }
    assert!(ours.drain(Duration::from_secs(1)), "the transport is dead");
}

/// Passes an offer, to which we send an answer.
fn offer(text: &str, mid: Option<&String>) {
    let mut ours = Described::new();
    let text = match text.strip_prefix(OURS) {
        Some(rest) => Described::new().offer(Topology::Single) + rest,
        None => text.to_owned(),
    };
    if let Ok(answer) = ours.accept(&text) {
        assert!(is_description(&answer), "{answer}");
        // str0m omits trailing sections of an offer from its answer if it cannot parse them.
        let count = |sdp: &str| sdp.lines().filter(|l| l.starts_with("m=")).count();
        assert!(count(&answer) <= count(&text), "{answer}");
        planted([count(&answer) > 2, text.contains("a=end-of-candidates")]);
        if let Some(mid) = mid {
            ours.publish_on(mid);
        }
    }
    assert!(ours.drain(Duration::from_secs(1)), "the transport is dead");
}

/// Passes candidates, one per line.
fn candidates(text: &str) {
    let mut ours = Described::new();
    let taken = text.lines().filter(|line| ours.candidate(line)).count();
    assert!(ours.drain(Duration::from_secs(1)), "the transport is dead");
    planted([taken > 1, taken > 2]);
}
