//! Times the connectivity and consent checks of ICE, and reads the address that the other side saw.
//!
//! In: our binding requests as they are sent, the responses as they arrive. Out: round trips, and
//! the address from which the request came to the other side. Invariants: works on bytes only;
//! each request counts once; a fixed number of requests is remembered.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::{Duration, Instant};

/// Size of a STUN header (RFC 8489, 5).
const HEADER: usize = 20;
const REQUEST: [u8; 2] = [0x00, 0x01];
const RESPONSE: [u8; 2] = [0x01, 0x01];
/// Magic cookie in bytes 4 to 7.
const COOKIE: [u8; 4] = [0x21, 0x12, 0xa4, 0x42];
/// Type of the attribute XOR-MAPPED-ADDRESS.
const MAPPED: [u8; 2] = [0x00, 0x20];
/// Number of requests that can be answered; more than ICE sends within a long round trip.
const REMEMBERED: usize = 8;

/// The id of a request and of its response.
type Transaction = [u8; 12];

fn transaction(bytes: &[u8], kind: [u8; 2]) -> Option<Transaction> {
    let header = bytes.get(..HEADER)?;
    let is_kind = header[..2] == kind && header[4..8] == COOKIE;
    is_kind.then(|| header[8..].try_into().ok())?
}

/// The binding requests that have not been answered.
#[derive(Debug, Default)]
pub(super) struct Checks {
    open: [Option<(Transaction, Instant)>; REMEMBERED],
    next: usize,
}

impl Checks {
    /// A datagram of ours is sent at `at`.
    pub(super) fn sent(&mut self, bytes: &[u8], at: Instant) {
        if let Some(id) = transaction(bytes, REQUEST) {
            self.open[self.next] = Some((id, at));
            self.next = (self.next + 1) % REMEMBERED;
        }
    }

    /// The round trip that ends with this datagram of the other side; `None` if it is no response
    /// to a remembered request.
    pub(super) fn answered(&mut self, bytes: &[u8], arrival: Instant) -> Option<Duration> {
        let id = transaction(bytes, RESPONSE)?;
        let open = self
            .open
            .iter_mut()
            .find(|open| open.is_some_and(|(of, _)| of == id))?;
        let (_, sent) = open.take()?;
        arrival.checked_duration_since(sent)
    }
}

/// The address from which the other side received the request, in its response (RFC 8489, 14.2).
pub(super) fn mapped_address(bytes: &[u8]) -> Option<SocketAddr> {
    let id = transaction(bytes, RESPONSE)?;
    let mut attributes = bytes.get(HEADER..)?;
    while let [k0, k1, n0, n1, rest @ ..] = attributes {
        let length = usize::from(u16::from_be_bytes([*n0, *n1]));
        let value = rest.get(..length)?;
        if [*k0, *k1] == MAPPED {
            return plain(value, &id);
        }
        // Attributes are padded to whole words.
        attributes = rest.get(length.next_multiple_of(4)..)?;
    }
    None
}

fn plain(value: &[u8], id: &Transaction) -> Option<SocketAddr> {
    let (&[_, family, p0, p1], address) = value.split_first_chunk()?;
    let port = u16::from_be_bytes([p0 ^ COOKIE[0], p1 ^ COOKIE[1]]);
    let mut key = [0; 16];
    key[..4].copy_from_slice(&COOKIE);
    key[4..].copy_from_slice(id);
    let ip: IpAddr = match family {
        1 => {
            let bytes: [u8; 4] = address.try_into().ok()?;
            Ipv4Addr::from(std::array::from_fn(|i| bytes[i] ^ key[i])).into()
        }
        2 => {
            let bytes: [u8; 16] = address.try_into().ok()?;
            Ipv6Addr::from(std::array::from_fn(|i| bytes[i] ^ key[i])).into()
        }
        _ => return None,
    };
    Some(SocketAddr::new(ip, port))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(kind: [u8; 2], id: u8, attributes: &[u8]) -> Vec<u8> {
        let length = (attributes.len() as u16).to_be_bytes();
        [&kind[..], &length, &COOKIE, &[id; 12], attributes].concat()
    }

    #[test]
    fn the_round_trip_of_a_check_runs_from_its_request_to_its_first_response() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let mut checks = Checks::default();
        let response = |id| message(RESPONSE, id, &[]);
        assert_eq!(checks.answered(&response(1), at(0)), None, "not sent");
        checks.sent(&message(REQUEST, 1, &[]), at(0));
        checks.sent(&message(REQUEST, 2, &[]), at(10));
        checks.sent(&[0x80, 111, 0, 0], at(10));
        let round_trip = |ms| Some(Duration::from_millis(ms));
        assert_eq!(checks.answered(&response(2), at(40)), round_trip(30));
        assert_eq!(checks.answered(&response(2), at(50)), None, "repeated");
        assert_eq!(checks.answered(&response(1), at(50)), round_trip(50));
        let request = message(REQUEST, 3, &[]);
        checks.sent(&request, at(60));
        assert_eq!(checks.answered(&request, at(70)), None, "their own request");
        // The oldest of too many is forgotten.
        for id in 10..=10 + REMEMBERED as u8 {
            checks.sent(&message(REQUEST, id, &[]), at(100));
        }
        assert_eq!(checks.answered(&response(10), at(110)), None);
        assert_eq!(checks.answered(&response(11), at(110)), round_trip(10));
    }

    #[test]
    fn the_mapped_address_is_read_among_other_attributes() {
        // SOFTWARE with a length of 3, padded; then 192.0.2.1:32853 (RFC 5769, 2.2), whose masked
        // form does not depend on the transaction.
        let software = [0x80, 0x22, 0, 3, b'a', b'b', b'c', 0];
        let mapped = [0, 0x20, 0, 8, 0, 1, 0xa1, 0x47, 0xe1, 0x12, 0xa6, 0x43];
        let response = message(RESPONSE, 5, &[&software[..], &mapped].concat());
        let address = "192.0.2.1:32853".parse().ok();
        assert_eq!(mapped_address(&response), address);
        for cut in 0..response.len() {
            assert_eq!(mapped_address(&response[..cut]), None, "{cut}");
        }
        assert_eq!(mapped_address(&message(REQUEST, 5, &mapped)), None);
        // IPv6 is masked with the cookie and the transaction's id.
        let mut value = vec![0, 0x20, 0, 20, 0, 2, 0xa1, 0x47];
        let key = [&COOKIE[..], &[5; 12]].concat();
        let ip: Ipv6Addr = "2001:db8::1".parse().expect("an address");
        value.extend(ip.octets().iter().zip(key).map(|(byte, key)| byte ^ key));
        let found = mapped_address(&message(RESPONSE, 5, &value));
        assert_eq!(found, "[2001:db8::1]:32853".parse().ok());
    }
}
