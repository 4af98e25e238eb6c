//! Datagrams to the socket of a transport that is not connected yet: STUN, DTLS, or anything else.
//!
//! In: datagrams with their lengths. Properties: no datagram from a stranger ends the transport;
//! the transport's output is finite; only a response to a check names our address. Data channels
//! open after the handshake, and loadgen drops their messages unread, so this target exercises only
//! the parsers in str0m and that of binding responses.

use super::input::Input;
use super::planted::planted;
use crate::net::Topology;
use crate::net::fuzzed::{Described, maps_address};
use std::time::Duration;

/// Maximum number of datagrams in one input.
const DATAGRAMS: usize = 32;

pub(super) fn run(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let mut ours = Described::new();
    let offer = ours.offer(Topology::Single);
    let answer = Described::new().accept(&offer).expect("our own offer");
    ours.answer(&answer).expect("an answer to our offer");
    for number in 0..DATAGRAMS {
        if input.is_empty() {
            break;
        }
        let datagram = input.long();
        ours.receive(datagram);
        let maps = maps_address(datagram);
        assert!(!maps || datagram.starts_with(&[1, 1]), "not a response");
        let after = Duration::from_millis(50 * number as u64);
        assert!(
            ours.drain(after),
            "a stranger's datagram kills the transport"
        );
        let handshake = datagram.starts_with(&[22, 0xfe]) && datagram.len() > 16;
        planted([handshake, handshake && datagram[2] != 0xff]);
    }
}
