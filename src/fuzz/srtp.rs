//! SRTP and SRTCP: sealing packets, and opening packets that may have been changed.
//!
//! In: a profile, an index, a header, a payload, and a change. Properties: a sealed packet opens to
//! the original, for both profiles and directions; a changed or truncated packet does not open.

use super::input::Input;
use super::planted::planted;
use crate::net::SrtpContext;
use crate::net::fuzzed::{contexts, open_rtcp, seal_rtcp};

/// Length of the authentication tag.
const TAG: usize = 16;

pub(super) fn run(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let flags = input.byte();
    let (long, client, change) = (flags & 1 != 0, flags & 2 != 0, flags >> 2 & 3);
    let (mut seals, _) = contexts(client, long);
    let (_, mut opens) = contexts(!client, long);
    match flags & 16 {
        0 => rtp(&mut input, change, &mut seals, &mut opens),
        _ => rtcp(&mut input, change, &mut seals, &mut opens),
    }
}

/// Changes a datagram as the input specifies; returns false if it is unchanged.
fn changed(input: &mut Input<'_>, change: u8, datagram: &mut Vec<u8>) -> bool {
    let (at, by) = (usize::from(input.u16()), input.byte());
    match change {
        0 => return false,
        1 => {
            let length = datagram.len().max(1);
            match datagram.get_mut(at % length) {
                Some(byte) => *byte ^= by.max(1),
                None => return false,
            }
        }
        2 => datagram.truncate(at % datagram.len().max(1)),
        _ => datagram.push(by),
    }
    true
}

fn rtp(input: &mut Input<'_>, change: u8, seals: &mut SrtpContext, opens: &mut SrtpContext) {
    let (ssrc, index) = (input.u32(), u64::from(input.u32()));
    let (header, payload) = (input.short(), input.long());
    // The receiver checks that the fixed header is complete before it opens a packet.
    let mut header = header.to_vec();
    header.resize(header.len().max(12), 0);
    let mut datagram = header.clone();
    datagram.resize(header.len() + payload.len() + TAG, 0);
    let sealed = seals.seal_rtp(ssrc, index, header.len(), payload, &mut datagram);
    assert_eq!(sealed, Some(datagram.len()));
    let was_changed = changed(input, change, &mut datagram);
    let mut room = vec![0; datagram.len().max(payload.len())];
    let opened = opens.open_rtp(ssrc, index, header.len(), &datagram, &mut room);
    match was_changed {
        true => assert_eq!(opened, None, "a changed datagram opens"),
        false => {
            assert_eq!(opened, Some(payload.len()));
            assert_eq!(&room[..payload.len()], payload);
        }
    }
    // A different index or SSRC.
    for (ssrc, index) in [(ssrc ^ 1, index), (ssrc, index ^ 0x1_0000)] {
        let opened = opens.open_rtp(ssrc, index, header.len(), &datagram, &mut room);
        assert_eq!(opened, None, "SSRC {ssrc}, index {index}");
    }
    // The output buffer is too small.
    let too_small = payload.len().saturating_sub(1);
    let opened = opens.open_rtp(ssrc, index, header.len(), &datagram, &mut room[..too_small]);
    assert!(opened.is_none() || payload.is_empty());
    planted([payload.starts_with(b"RTP"), payload.len() > 8, was_changed]);
}

fn rtcp(input: &mut Input<'_>, change: u8, seals: &mut SrtpContext, opens: &mut SrtpContext) {
    let index = input.u32() & 0x7fff_ffff;
    let packet = input.long();
    let Some(mut datagram) = seal_rtcp(seals, index, packet) else {
        assert!(packet.len() < 8, "a packet with a header can be sealed");
        return;
    };
    assert_eq!(datagram.len(), packet.len() + TAG + 4);
    let was_changed = changed(input, change, &mut datagram);
    let opened = open_rtcp(opens, &datagram);
    match was_changed {
        true => assert_eq!(opened, None, "a changed datagram opens"),
        false => assert_eq!(opened.as_deref(), Some(packet)),
    }
}
