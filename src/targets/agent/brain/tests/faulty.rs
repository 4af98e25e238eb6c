//! Faults of replies as a receiver sees them: instants, RTP times, sequence numbers.

use super::*;
use crate::vocab::{Fault, FaultKind};

/// What a caller hears of one reply with this fault, and the line about the fault.
fn reply(kind: FaultKind, length: u64, dtx: bool) -> (Table, Heards, serde_json::Value) {
    let fault = Fault {
        kind,
        share: 1.0,
        at: vec![ms(500)],
        length: vec![ms(length)],
        gain_db: None,
    };
    let behaviour = Behaviour {
        faults: vec![fault],
        dtx,
        ..Behaviour::default()
    };
    let clip = Clip::tone(ms(1_500), Codec::Opus).expect("tone");
    let voice = Voice::behaving(clip, None, None, behaviour).expect("voice");
    let mut table = Table::of(ms(3), D, voice);
    let caller = says(table.zero, 6_000, &[(400, 1_000)]);
    let heard = table.play(caller, ms(6_000));
    let lines = table.truth.try_iter();
    let mut values = lines.map(|l| serde_json::to_value(l).expect("json"));
    let fault = values.find(|v| v.get("media_ms").is_some());
    (table, heard, fault.expect("a line about the fault"))
}

/// Packets by how far they are late against their RTP time, in ms, relative to the first packet.
fn lateness(heard: &Heards) -> Vec<f64> {
    let (zero, rtp) = heard.packets[0];
    let late = |(at, time): &(Instant, u32)| {
        at.duration_since(zero).as_secs_f64() * 1e3 - f64::from(time - rtp) / 48.0
    };
    heard.packets.iter().map(late).collect()
}

fn one_sequence(heard: &Heards) -> bool {
    heard.sequences.windows(2).all(|w| w[1] == w[0] + 1)
}

#[test]
fn a_hole_makes_packets_late_without_a_gap_in_the_sequence() {
    for length in [40, 130, 800] {
        let (table, heard, told) = reply(FaultKind::Hole, length, false);
        assert!(one_sequence(&heard));
        let late = lateness(&heard);
        let most = late.iter().copied().fold(0.0, f64::max);
        assert!((most - length as f64).abs() < 0.1, "{most}");
        let first = late.iter().position(|l| *l > 1.0).expect("late packets");
        let last = late.iter().rposition(|l| *l > 1.0).expect("late packets");
        assert!(late[first..=last].iter().all(|l| (*l - most).abs() < 0.1));
        // About 1 s of a reply of 1.5 s, and silence up to a tenth of a second after it.
        assert!((45..60).contains(&(last - first)), "{}", last - first);
        assert_eq!(told["kind"], "hole");
        let at = told["at_ns"].as_u64().expect("ns");
        assert_eq!(at, monotonic_ns(heard.packets[first].0));
        let place = told["media_ms"].as_f64().expect("ms");
        assert!((475.0..=525.0).contains(&place), "{place}");
        let gap = heard.packets[first].0 - heard.packets[first - 1].0;
        assert_eq!(gap, ms(length + 20));
        drop(table);
    }
}

#[test]
fn a_burst_leaves_at_once_and_catches_up() {
    let (_table, heard, told) = reply(FaultKind::Burst, 200, false);
    assert!(one_sequence(&heard));
    let late = lateness(&heard);
    let held: Vec<f64> = late.iter().copied().filter(|l| *l > 1.0).collect();
    assert_eq!(held.len(), 10);
    assert!(
        (held[0] - 200.0).abs() < 0.1 && (held[9] - 20.0).abs() < 0.1,
        "{held:?}"
    );
    let at = told["at_ns"].as_u64().expect("ns");
    let together = heard
        .packets
        .iter()
        .filter(|p| monotonic_ns(p.0) == at)
        .count();
    assert_eq!((together, told["packets"].as_u64()), (11, Some(10)));
}

#[test]
fn lost_packets_leave_a_gap_in_sequence_and_time() {
    let (_table, heard, told) = reply(FaultKind::Loss, 100, false);
    let gaps: Vec<usize> = (1..heard.sequences.len())
        .filter(|k| heard.sequences[*k] != heard.sequences[k - 1] + 1)
        .collect();
    let [gap] = gaps[..] else { panic!("{gaps:?}") };
    assert_eq!(heard.sequences[gap] - heard.sequences[gap - 1], 6);
    assert_eq!(heard.packets[gap].1 - heard.packets[gap - 1].1, 6 * 960);
    assert!(lateness(&heard).iter().all(|l| l.abs() < 0.1));
    assert_eq!(
        (&told["kind"], &told["length_ms"]),
        (&"loss".into(), &100.0.into())
    );
}

#[test]
fn digital_silence_is_heard_as_a_pause_of_its_length() {
    for dtx in [false, true] {
        let (table, heard, told) = reply(FaultKind::DigitalSilence, 400, dtx);
        assert!(one_sequence(&heard));
        assert_eq!(heard.onsets.len(), 2, "dtx {dtx}");
        let pause = told["at_ns"].as_u64().expect("ns");
        let again = monotonic_ns(heard.onsets[1]);
        let length = (again - pause) as f64 / 1e6;
        assert!((length - 400.0).abs() < 25.0, "{length}");
        drop(table);
    }
}

#[test]
fn with_dtx_hardly_anything_is_sent_in_silence_and_replies_are_as_exact() {
    let behaviour = Behaviour {
        dtx: true,
        ..Behaviour::default()
    };
    let clip = Clip::tone(ms(500), Codec::Opus).expect("tone");
    let voice = Voice::behaving(clip, None, None, behaviour).expect("voice");
    let mut table = Table::of(ms(3), D, voice);
    let caller = says(table.zero, 10_000, &[(400, 1_000)]);
    let heard = table.play(caller, ms(10_000));
    assert_eq!(heard.onsets.len(), 1);
    assert_near(
        heard.onsets[0],
        table.zero + ms(1_400),
        WINDOWS,
        "the reply",
    );
    // 25 packets of sound, the codec's settling, and one packet every 400 ms.
    let sent = heard.packets.len();
    assert!((45..80).contains(&sent), "{sent} packets");
}
