//! Which of the candidates a connection uses.
//!
//! In: the other side's candidates, the addresses between which media flow. Out: the kinds of both
//! ends. Invariant: the number of candidates remembered is bounded.

use crate::net::candidate::Candidate;
use crate::net::stun;
use crate::vocab::{CandidateKind, CandidatePair};
use std::net::SocketAddr;

/// Maximum number of candidates of the other side: ICE sends checks to each of them.
pub(super) const CANDIDATES: usize = 64;

/// What is known about the addresses of both ends.
#[derive(Debug, Default)]
pub(super) struct Ends {
    /// The other side's candidates.
    announced: Vec<(SocketAddr, CandidateKind)>,
    /// Where our audio goes to, or audio comes from.
    remote: Option<SocketAddr>,
    /// The address at which the other side sees us, once it has answered a check.
    mapped: Option<SocketAddr>,
}

impl Ends {
    /// The other side announces a candidate, as in a description: `candidate:…` or what follows it.
    pub(super) fn announced(&mut self, line: &str) {
        let candidate = Candidate::parse(line).map(|c| (c.address, c.kind));
        if let Some(candidate) = candidate
            && self.announced.len() < CANDIDATES
            && !self.announced.contains(&candidate)
        {
            self.announced.push(candidate);
        }
    }

    /// Media go to this address or come from it.
    pub(super) fn media(&mut self, remote: SocketAddr) {
        self.remote = Some(remote);
    }

    /// Whether a response from `from` is about the addresses in use; if none are yet, all are.
    pub(super) fn uses(&self, from: SocketAddr) -> bool {
        self.remote.is_none_or(|remote| remote == from)
    }

    /// The other side answered a check with this response.
    pub(super) fn answered(&mut self, response: &[u8]) {
        self.mapped = stun::mapped_address(response).or(self.mapped);
    }

    /// The pair in use; `local` is the address that we announced, the only one.
    pub(super) fn pair(&self, local: SocketAddr) -> Option<CandidatePair> {
        let remote = self.remote?;
        let known = self
            .announced
            .iter()
            .find(|(address, _)| *address == remote);
        Some(CandidatePair {
            local: match self.mapped {
                Some(mapped) if mapped != local => CandidateKind::Prflx,
                _ => CandidateKind::Host,
            },
            remote: known.map_or(CandidateKind::Prflx, |(_, kind)| *kind),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pair_in_use_is_named_by_the_announced_kind() {
        let address = |port| SocketAddr::from(([192, 0, 2, 1], port));
        let mut ends = Ends::default();
        let local = address(5_000);
        assert_eq!(ends.pair(local), None, "no media yet");
        for line in [
            "candidate:1 1 udp 2130706431 192.0.2.1 1 typ host generation 0",
            "2 1 UDP 16777215 192.0.2.1 2 typ relay raddr 10.0.0.1 rport 9",
            "3 1 udp 1 192.0.2.1 3 typ srflx raddr 10.0.0.1 rport 9",
            "4 1 udp 1 name.local 4 typ host",
            "5 1 udp 1 192.0.2.1 5 typ",
        ] {
            ends.announced(line);
        }
        for (port, remote) in [
            (1, CandidateKind::Host),
            (2, CandidateKind::Relay),
            (3, CandidateKind::Srflx),
            (5, CandidateKind::Prflx),
        ] {
            ends.media(address(port));
            let pair = ends.pair(local).expect("media flow");
            assert_eq!((pair.local, pair.remote), (CandidateKind::Host, remote));
        }
        ends.mapped = Some(address(6_000));
        let pair = ends.pair(local).expect("media flow");
        assert_eq!(pair.local, CandidateKind::Prflx, "behind a NAT");
    }
}
