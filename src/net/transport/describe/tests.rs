//! Tests of renegotiation, and of the bounds on session descriptions.

use super::*;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Instant;

/// The mid and direction of each section of a description.
fn directions(sdp: &str) -> Vec<(String, String)> {
    let sections = sdp.split("\r\nm=audio").skip(1);
    let line = |section: &str, wanted: &[&str]| {
        let mut lines = section.lines().filter_map(|l| l.strip_prefix("a="));
        let found = lines.find(|l| wanted.iter().any(|w| l.starts_with(w)));
        found.unwrap_or_default().to_owned()
    };
    let of = |s| {
        let direction = line(s, &["sendrecv", "sendonly", "recvonly", "inactive"]);
        (line(s, &["mid:"]), direction)
    };
    sections.map(of).collect()
}

/// The answer with all its sending sections set to inactive.
fn answered_as_inactive(answer: &str) -> String {
    answer.replace("a=sendonly", "a=inactive")
}

#[test]
fn sections_answered_as_inactive_are_offered_again() {
    let here = IpAddr::V4(Ipv4Addr::LOCALHOST);
    let now = Instant::now();
    let mut ours = Transport::new(here, now).expect("a socket");
    let mut server = Transport::new(here, now).expect("a socket");
    let offer = ours.offer("mic", Topology::Single).expect("an offer");
    let answer = server.accept(&offer).expect("an answer");
    ours.answer(&answer).expect("an accepted answer");
    for (round, sections, expected) in [(0, 1, 2), (1, 0, 2), (2, 2, 4)] {
        let offer = ours
            .reoffer(sections)
            .expect("an offer")
            .expect("no outstanding offer");
        let receiving = directions(&offer).split_off(1);
        assert_eq!(receiving.len(), expected, "round {round}");
        for (mid, direction) in receiving {
            assert_eq!(direction, "recvonly", "round {round}, {mid}");
        }
        let early = ours.reoffer(0).expect("no error");
        assert_eq!(early, None, "an answer is outstanding");
        let answer = answered_as_inactive(&server.accept(&offer).expect("an answer"));
        let inactive = directions(&answer)
            .into_iter()
            .filter(|d| d.1 == "inactive");
        assert_eq!(inactive.count(), expected, "round {round}");
        ours.answer(&answer).expect("an accepted answer");
    }
}

#[test]
fn receiving_sections_are_bounded() {
    let here = IpAddr::V4(Ipv4Addr::LOCALHOST);
    let now = Instant::now();
    let mut ours = Transport::new(here, now).expect("a socket");
    let mut server = Transport::new(here, now).expect("a socket");
    let offer = ours.offer("mic", Topology::Single).expect("an offer");
    ours.answer(&server.accept(&offer).expect("an answer"))
        .expect("an accepted answer");
    for _ in 0..4 {
        let offer = ours
            .reoffer(50)
            .expect("an offer")
            .expect("no outstanding offer");
        let answer = server.accept(&offer).expect("an answer");
        ours.answer(&answer).expect("an accepted answer");
    }
    assert_eq!(ours.receiving.len() as u32, MOST_SECTIONS);
}

/// A transport that has offered, and the answer to its offer.
fn offered() -> (Transport, String) {
    let here = IpAddr::V4(Ipv4Addr::LOCALHOST);
    let mut ours = Transport::new(here, Instant::now()).expect("a socket");
    let mut server = Transport::new(here, Instant::now()).expect("a socket");
    let offer = ours.offer("mic", Topology::Single).expect("an offer");
    let answer = server.accept(&offer).expect("an answer");
    (ours, answer)
}

fn candidate(port: usize) -> String {
    format!("candidate:1 1 udp 2130706431 127.0.0.1 {port} typ host")
}

#[test]
fn session_descriptions_are_bounded() {
    let lines = |line: &dyn Fn(usize) -> String, count: usize| -> String {
        (1_000..1_000 + count).map(|n| line(n) + "\r\n").collect()
    };
    let candidates = |n| format!("a={}", candidate(n));
    let streams = |n| format!("a=ssrc:{n} cname:x");
    let sections = |_| "m=audio 9 UDP/TLS/RTP/SAVPF 111".to_owned();
    for (what, more, words) in [
        (
            "candidates",
            lines(&candidates, CANDIDATES + 1),
            "more than 64 candidates in session descriptions",
        ),
        (
            "streams",
            lines(&streams, STREAMS + 1),
            "more than 1024 streams in session descriptions",
        ),
        (
            "sections",
            lines(&sections, DESCRIBED),
            "more than 256 sections in session descriptions",
        ),
    ] {
        let (mut ours, answer) = offered();
        let refused = ours.answer(&(answer.clone() + &more)).expect_err(what);
        assert_eq!(refused.to_string(), words);
        let refused = ours.accept(&(answer + &more)).expect_err(what);
        assert_eq!(refused.to_string(), words);
    }
    // Repeated candidates count once.
    let (mut ours, answer) = offered();
    let again = lines(&|_| candidates(1_000), 10 * CANDIDATES);
    ours.answer(&(answer + &again)).expect("an accepted answer");
}

#[test]
fn trickled_candidates_beyond_a_bound_are_skipped() {
    let (mut ours, answer) = offered();
    ours.answer(&answer).expect("an accepted answer");
    let before = ours.candidates.len();
    let taken = (1_000..2_000).filter(|n| ours.candidate(&candidate(*n)));
    assert_eq!(taken.count(), CANDIDATES - before);
    assert!(ours.candidate(&candidate(1_000)), "known");
    assert!(!ours.candidate(&candidate(9_000)), "one too many");
}

#[test]
fn a_description_whose_ufrag_is_too_long_for_stun_is_refused() {
    let here = IpAddr::V4(Ipv4Addr::LOCALHOST);
    let now = Instant::now();
    let with = |sdp: &str, length: usize| {
        let lines = sdp
            .lines()
            .map(|line| match line.starts_with("a=ice-ufrag:") {
                true => format!("a=ice-ufrag:{}\r\n", "u".repeat(length)),
                false => format!("{line}\r\n"),
            });
        lines.collect::<String>()
    };
    for (length, taken) in [(LONGEST_UFRAG, true), (LONGEST_UFRAG + 1, false)] {
        let mut ours = Transport::new(here, now).expect("a socket");
        let mut server = Transport::new(here, now).expect("a socket");
        let offer = ours.offer("mic", Topology::Single).expect("an offer");
        let answer = server.accept(&offer).expect("an answer");
        assert_eq!(ours.answer(&with(&answer, length)).is_ok(), taken);
        let mut third = Transport::new(here, now).expect("a socket");
        assert_eq!(third.accept(&with(&offer, length)).is_ok(), taken);
        // With a candidate, checks are sent: an accepted ufrag fits into them.
        ours.candidate("candidate:1 1 udp 2130706431 127.0.0.1 9 typ host");
        ours.tick(now + std::time::Duration::from_millis(500));
        for _ in 0..100 {
            let output = ours.str0m.rtc.poll_output().expect("alive");
            if matches!(output, str0m::Output::Timeout(_)) {
                break;
            }
        }
    }
}
