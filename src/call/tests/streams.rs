//! Streams that turn out not to carry the agent's voice.

use super::sim::{Act, FIRST, TURN, World, ms, play_from, script};
use crate::audio::{Confidence, Heard, HeardAt, Onset, Segment};
use crate::call::{Anchor, CallScript, Flag, GreetingPolicy, Input, Outcome, TurnScript};
use Outcome::{Missed, Replied};
use std::time::{Duration, Instant};

/// A turn long enough for a sound to be recognised as music: its end of speech is at 2.61 s.
const PATIENT: TurnScript = TurnScript {
    timeout: ms(10_000),
    ..FIRST
};
const MUSIC: u32 = 1;

/// Endless music on a separate stream, beginning `after` the start of the call.
fn music(start: Instant, after: Duration) -> [(Duration, Input<'static>); 2] {
    let at = HeardAt {
        arrival: start + after,
        offset: Duration::ZERO,
    };
    let onset = Onset {
        at,
        confidence: Confidence::High,
        earlier_by_loss: None,
        later_by_loss: None,
        snr_db: 40.0,
        segment: Segment::default(),
        after: None,
    };
    [
        (after + ms(60), Input::Heard(MUSIC, Heard::Triggered { at })),
        (after + ms(530), Input::Heard(MUSIC, Heard::Onset(onset))),
    ]
}

#[test]
fn a_reply_over_music_counts_once_the_music_is_disowned() {
    // The music begins before the caller speaks, while the caller speaks, and between the end of
    // speech and the reply.
    for begins in [450, 1_500, 2_800] {
        let world = |start| World {
            acts: vec![vec![Act::Say(500, 1_500)], vec![Act::Say(600, 1_000)]],
            inputs: music(start, ms(begins))
                .into_iter()
                .chain([(ms(8_500), Input::NotAgent(MUSIC))])
                .collect(),
            ..World::default()
        };
        let played = play_from(script(&[PATIENT, TURN]), world);
        assert_eq!(played.outcomes(), [Replied, Replied], "{begins}");
        for (turn, ttfa) in [(0, 500), (1, 600)] {
            assert_eq!(played.turn(turn).ttfa_wire, Some(ms(ttfa)), "{begins}");
            assert_eq!(played.turn(turn).stream, Some(0), "{begins}");
            assert_eq!(played.flags(turn), [], "{begins}");
        }
        assert!(
            played.media_start(1) > ms(8_450),
            "{begins}: spoke over the music"
        );
    }
}

#[test]
fn a_reply_on_a_disowned_stream_is_kept_and_flagged() {
    // The reply lasts from 3.11 to 4.61 s. Then its stream turns out not to carry the agent's
    // voice.
    let world = |_| World {
        acts: vec![vec![Act::Say(500, 1_500)], vec![Act::Say(500, 1_000)]],
        inputs: vec![(ms(4_900), Input::NotAgent(0))],
        ..World::default()
    };
    let played = play_from(script(&[FIRST, TURN]), world);
    assert_eq!(played.outcomes(), [Replied, Replied]);
    assert_eq!(played.turn(0).ttfa_wire, Some(ms(500)));
    let doubts = [Flag::ReplyUnfinished, Flag::NotSpeech];
    assert!(doubts.iter().all(|flag| played.flags(0).contains(flag)));
    let end = played.turn(0).speech_end.expect("an end of speech");
    let next = played.turn(1).media_start.expect("a started turn");
    assert!(next - end < ms(6_000), "{:?} later", next - end);
}

#[test]
fn music_alone_is_a_missed_reply() {
    let world = |start| World {
        inputs: music(start, ms(450))
            .into_iter()
            .chain([(ms(8_500), Input::NotAgent(MUSIC))])
            .collect(),
        ..World::default()
    };
    let played = play_from(script(&[PATIENT]), world);
    assert_eq!(played.outcomes(), [Missed]);
}

#[test]
fn an_abandoned_stream_keeps_its_reply() {
    let world = |_| World {
        acts: vec![vec![Act::Say(500, 1_500)], vec![Act::Say(500, 1_000)]],
        inputs: vec![(ms(5_500), Input::Abandoned(0))],
        ..World::default()
    };
    let played = play_from(script(&[FIRST, TURN]), world);
    assert_eq!(played.outcomes(), [Replied, Replied]);
    assert_eq!(played.flags(0), []);
}

#[test]
fn music_that_outlasts_a_reply_does_not_extend_it() {
    // The reply lasts from 3.11 to 4.61 s. The music begins during the reply and continues after
    // it.
    let world = |start| World {
        acts: vec![vec![Act::Say(500, 1_500)], vec![Act::Say(600, 1_000)]],
        inputs: music(start, ms(3_800))
            .into_iter()
            .chain([(ms(8_500), Input::NotAgent(MUSIC))])
            .collect(),
        ..World::default()
    };
    let played = play_from(script(&[PATIENT, TURN]), world);
    assert_eq!(played.outcomes(), [Replied, Replied]);
    let first = played.turn(0);
    let end = first.reply_end.expect("an ended reply") - first.speech_end.expect("a started turn");
    assert_eq!((first.ttfa_wire, end), (Some(ms(500)), ms(2_000)));
    assert!(
        played.media_start(1) < ms(9_000),
        "the next turn does not wait for the music"
    );
}

#[test]
fn a_voice_after_a_jingle_is_the_reply() {
    // The jingle lasts from 200 to 990 ms after the end of speech, the voice from 1,400 ms on.
    let jingle = |start: Instant| {
        let [trigger, onset] = music(start, ms(2_810));
        let last_audible = HeardAt {
            arrival: start + ms(3_600),
            offset: Duration::ZERO,
        };
        let ended = Heard::Ended {
            last_audible,
            broke_off: false,
        };
        let ended = (ms(4_300), Input::Heard(MUSIC, ended));
        [trigger, onset, ended, (ms(6_000), Input::NotAgent(MUSIC))]
    };
    let world = |start| World {
        acts: vec![vec![Act::Say(1_400, 1_500)]],
        inputs: jingle(start).to_vec(),
        ..World::default()
    };
    let played = play_from(script(&[PATIENT]), world);
    assert_eq!(played.outcomes(), [Replied]);
    assert_eq!(played.turn(0).ttfa_wire, Some(ms(1_400)));
    assert_eq!(played.flags(0), []);
}

#[test]
fn music_is_not_the_greeting() {
    let world = |start| World {
        unprompted: vec![(1_600, 1_500)],
        acts: vec![vec![Act::Say(500, 1_500)]],
        inputs: music(start, ms(450))
            .into_iter()
            .chain([(ms(8_500), Input::NotAgent(MUSIC))])
            .collect(),
        ..World::default()
    };
    let greeted = CallScript {
        greeting: GreetingPolicy::Expect,
        ..script(&[TurnScript {
            anchor: Anchor::Greeting,
            ..PATIENT
        }])
    };
    let played = play_from(greeted, world);
    assert_eq!(played.result.greeting, Some(ms(1_600)));
    assert_eq!(played.outcomes(), [Replied]);
}
