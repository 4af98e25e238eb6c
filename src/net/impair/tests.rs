//! Tests of links; their models are checked against closed forms in `tests/statistics/network.rs`.

use super::*;
use crate::vocab::{Bandwidth, Distribution, Jitter, LinkConfig, Loss, LossModel, Outage, Reorder};
use std::time::Duration;

const MS: Duration = Duration::from_millis(1);

fn key(seed: u64, caller: u64, down: bool) -> LinkKey {
    LinkKey {
        seed,
        caller,
        down,
        connection: 0,
    }
}

/// The passages of `count` packets of 100 bytes, 20 ms apart.
fn passages(config: &LinkConfig, key: LinkKey, count: u32) -> Vec<(Instant, Passage)> {
    let start = Instant::now();
    let mut link = Link::new(config.clone(), key, start);
    (0..count)
        .map(|n| start + 20 * MS * n)
        .map(|at| (at, link.pass(at, Kind::Media, 100)))
        .collect()
}

fn lost(config: &LinkConfig, key: LinkKey, count: u32) -> Vec<bool> {
    let all = passages(config, key, count);
    all.iter().map(|(_, p)| p.arrives.is_err()).collect()
}

fn losing(loss: impl Into<LossModel>) -> LinkConfig {
    LinkConfig {
        loss: Some(loss.into()),
        ..LinkConfig::default()
    }
}

#[test]
fn a_clean_link_changes_nothing() {
    let all = passages(&LinkConfig::default(), key(1, 2, true), 500);
    assert!(all.iter().all(|(at, p)| p.arrives == Ok(*at) && !p.twice));
    assert_eq!(all[499].1.number, 499);
}

#[test]
fn shares_of_0_and_1_lose_nothing_and_everything() {
    for burst in [None, Some(3.0)] {
        let all = |share| lost(&losing(Loss { share, burst }), key(1, 0, true), 1_000);
        assert!(all(0.0).iter().all(|l| !l));
        assert!(all(1.0).iter().all(|l| *l));
    }
}

#[test]
fn losses_depend_on_the_seed_the_caller_and_the_direction() {
    let config = losing(Loss {
        share: 0.1,
        burst: Some(2.0),
    });
    let of = |key| lost(&config, key, 2_000);
    let one = of(key(9, 4, true));
    assert_eq!(one, of(key(9, 4, true)));
    for other in [key(8, 4, true), key(9, 5, true), key(9, 4, false)] {
        assert_ne!(one, of(other));
    }
    let again = LinkKey {
        connection: 1,
        ..key(9, 4, true)
    };
    assert_ne!(one, of(again));
}

#[test]
fn connectivity_checks_do_not_change_which_media_packets_are_lost_or_delayed() {
    let config = LinkConfig {
        jitter: Some(Jitter {
            size: 20 * MS,
            distribution: Distribution::Normal,
            correlation: 0.5,
            in_order: false,
        }),
        delay: 100 * MS,
        ..losing(Loss {
            share: 0.2,
            burst: Some(2.0),
        })
    };
    let alone = passages(&config, key(3, 1, true), 500);
    let start = Instant::now();
    let mut link = Link::new(config, key(3, 1, true), start);
    for (n, (entered, passage)) in alone.iter().enumerate() {
        let at = start + 20 * MS * n as u32;
        for _ in 0..n % 3 {
            link.pass(at, Kind::Rest, 60);
        }
        let mixed = link.pass(at, Kind::Media, 100);
        let delay = |p: &Passage, at| p.arrives.map(|arrives| arrives - at);
        assert_eq!(delay(&mixed, at), delay(passage, *entered));
    }
}

#[test]
fn a_bottleneck_delays_by_its_rate_and_drops_what_would_wait_too_long() {
    // 128 bytes with headers: 16 ms each at 64 kbit/s.
    let config = LinkConfig {
        bandwidth: Some(Bandwidth {
            rate: 64_000,
            queue: 40 * MS,
        }),
        ..LinkConfig::default()
    };
    let start = Instant::now();
    let mut link = Link::new(config, key(1, 1, false), start);
    let sent = std::array::from_fn(|_| link.pass(start, Kind::Media, 100).arrives);
    let at = |ms: u32| Ok(start + ms * MS);
    assert_eq!(sent, [at(16), at(32), at(48), Err(Dropped::Queue)]);
    let later = link.pass(start + 48 * MS, Kind::Media, 100);
    assert_eq!(later.arrives, at(64), "the queue is empty again");
}

#[test]
fn nothing_passes_during_an_outage() {
    let outage = Outage {
        at: 1_000 * MS,
        length: 200 * MS,
        every: Some(2_000 * MS),
    };
    let config = LinkConfig {
        outages: vec![outage],
        ..LinkConfig::default()
    };
    let all = lost(&config, key(1, 1, true), 250);
    let gone: Vec<usize> = (0..250).filter(|n| all[*n]).collect();
    let expected: Vec<usize> = (50..60).chain(150..160).collect();
    assert_eq!(gone, expected);
}

#[test]
fn packets_stay_in_order_unless_they_may_overtake() {
    let config = |in_order| LinkConfig {
        delay: 60 * MS,
        jitter: Some(Jitter {
            size: 30 * MS,
            distribution: Distribution::Normal,
            correlation: 0.0,
            in_order,
        }),
        ..LinkConfig::default()
    };
    let sorted = |in_order| {
        let all = passages(&config(in_order), key(1, 1, true), 1_000);
        all.iter().filter_map(|(_, p)| p.arrives.ok()).is_sorted()
    };
    assert!(sorted(true));
    assert!(!sorted(false));
}

#[test]
fn some_packets_arrive_late_and_some_twice() {
    let config = LinkConfig {
        duplicate: 0.1,
        reorder: Some(Reorder {
            share: 0.2,
            by: 50 * MS,
        }),
        ..LinkConfig::default()
    };
    let all = passages(&config, key(1, 1, true), 10_000);
    let late = all.iter().filter(|(at, p)| p.arrives == Ok(*at + 50 * MS));
    let late = late.count();
    let twice = all.iter().filter(|(_, p)| p.twice).count();
    assert!((1_800..2_200).contains(&late), "{late}");
    assert!((850..1_150).contains(&twice), "{twice}");
}

#[test]
fn only_media_suffers_from_a_loss_of_media() {
    let config = LinkConfig {
        media_only: true,
        ..losing(Loss {
            share: 1.0,
            burst: None,
        })
    };
    let start = Instant::now();
    let mut link = Link::new(config, key(1, 1, true), start);
    assert_eq!(link.pass(start, Kind::Rest, 60).arrives, Ok(start));
    assert_eq!(
        link.pass(start, Kind::Media, 60).arrives,
        Err(Dropped::Loss)
    );
}
