//! Turns in which the caller sends a text.

use super::sim::*;
use crate::audio::SPURT_GAP;
use crate::call::text::SETTLES;
use crate::call::{AgentState, Anchor, Expect, Flag, Input, Outcome, TurnScript};
use std::time::Duration;

/// A text that is sent once the previous turn is over.
const TEXT: TurnScript = TurnScript {
    anchor: Anchor::PreviousTurn,
    expect: Expect::RespondText,
    frames: 0,
    speech_start: Duration::ZERO,
    speech_end: Duration::ZERO,
    ..TURN
};
/// A text that is sent at the start of the call.
const FIRST_TEXT: TurnScript = TurnScript {
    anchor: Anchor::CallStart,
    ..TEXT
};

struct Case {
    name: &'static str,
    acts: &'static [Act],
    outcome: Outcome,
    ttft: Option<u64>,
    reply: Option<u64>,
    /// Sending of the text → end of the turn.
    over: u64,
}

const SETTLE: u64 = SETTLES.as_millis() as u64;
const GAP: u64 = SPURT_GAP.as_millis() as u64;

#[rustfmt::skip]
const CASES: [Case; 7] = [
    Case { name: "writes only", acts: &[Act::Write(320, 610)], outcome: Outcome::Replied, ttft: Some(320), reply: Some(610), over: 610 + SETTLE },
    Case { name: "writes what it says", acts: &[Act::Say(560, 4300), Act::Write(690, 4850)], outcome: Outcome::Replied, ttft: Some(690), reply: Some(4850), over: 4850 + SETTLE },
    Case { name: "speaks longer than it writes", acts: &[Act::Write(400, 600), Act::Say(900, 5000)], outcome: Outcome::Replied, ttft: Some(400), reply: Some(600), over: 5900 + GAP },
    Case { name: "writes in two streams", acts: &[Act::Write(320, 430), Act::Write(1100, 1300)], outcome: Outcome::Replied, ttft: Some(320), reply: Some(1300), over: 1300 + SETTLE },
    Case { name: "at the deadline", acts: &[Act::Write(2000, 2100)], outcome: Outcome::Replied, ttft: Some(2000), reply: Some(2100), over: 2100 + SETTLE },
    Case { name: "says nothing", acts: &[], outcome: Outcome::Missed, ttft: None, reply: None, over: 2000 },
    Case { name: "speaks and writes nothing", acts: &[Act::Say(900, 5000)], outcome: Outcome::Missed, ttft: None, reply: None, over: 5900 + GAP },
];

#[test]
fn a_text_is_answered_by_a_text_and_over_when_the_voice_is_too() {
    for case in CASES {
        let world = World {
            acts: vec![case.acts.to_vec()],
            ..World::default()
        };
        let played = play(script(&[FIRST_TEXT, TEXT]), world);
        let turn = played.turn(0);
        assert_eq!(turn.outcome, case.outcome, "{}", case.name);
        assert_eq!(turn.text_ttft, case.ttft.map(ms), "{}", case.name);
        assert_eq!(turn.text_reply, case.reply.map(ms), "{}", case.name);
        assert_eq!((turn.ttfa, turn.onset), (None, None), "{}", case.name);
        let sent = turn.media_start.expect("a started turn");
        let next = played.turn(1).planned.expect("planned") - TEXT.delay;
        assert_eq!(next - sent, ms(case.over), "{}", case.name);
        assert_eq!(played.ended, played.result.turns, "{}", case.name);
    }
}

#[test]
fn a_tool_call_does_not_end_the_reply() {
    // The preamble, then three seconds in which the agent thinks, then the answer.
    let sent = ms(477) + SENDING;
    let state = |after: u64, state| (sent + ms(after), Input::AgentState(state));
    let world = World {
        subscribed: ms(150),
        acts: vec![vec![Act::Write(320, 430), Act::Write(3540, 3800)]],
        inputs: vec![
            state(20, AgentState::Thinking),
            state(320, AgentState::Speaking),
            state(437, AgentState::Thinking),
            state(3541, AgentState::Speaking),
            state(3806, AgentState::Listening),
        ],
        ..World::default()
    };
    let played = play(script(&[FIRST_TEXT]), world);
    let turn = played.turn(0);
    assert_eq!(turn.media_start, Some(played.start + sent));
    assert_eq!(turn.text_ttft, Some(ms(320)));
    assert_eq!(turn.text_reply, Some(ms(3800)));
    assert_eq!(turn.flags, []);
}

#[test]
fn the_voice_of_a_written_reply_is_no_reply_to_the_next_turn() {
    for anchor in [
        Anchor::PreviousTurn,
        Anchor::AgentSpeechEnd,
        Anchor::AgentTurnEnd,
    ] {
        let spoken = TurnScript { anchor, ..TURN };
        let world = World {
            acts: vec![
                vec![Act::Write(400, 600), Act::Say(900, 5000)],
                vec![Act::Say(450, 1000)],
            ],
            ..World::default()
        };
        let played = play(script(&[FIRST_TEXT, spoken]), world);
        assert_eq!(played.outcomes(), [Outcome::Replied; 2], "{anchor:?}");
        assert_eq!(played.turn(1).ttfa_wire, Some(ms(450)), "{anchor:?}");
        assert_eq!(played.flags(1), [], "{anchor:?}");
    }
}

#[test]
fn an_agent_without_a_voice_is_not_waited_for() {
    for anchor in [Anchor::AgentSpeechEnd, Anchor::AgentTurnEnd] {
        let second = TurnScript { anchor, ..TEXT };
        let world = World {
            acts: vec![vec![Act::Write(320, 610)], vec![Act::Write(320, 610)]],
            ..World::default()
        };
        let played = play(script(&[FIRST_TEXT, second]), world);
        assert_eq!(played.outcomes(), [Outcome::Replied; 2], "{anchor:?}");
        let sent = played.turn(0).media_start.expect("a started turn");
        let next = played.turn(1).planned.expect("planned") - TEXT.delay;
        assert_eq!(next - sent, ms(610) + SETTLES, "{anchor:?}");
        assert_eq!(played.flags(1), [], "{anchor:?}");
    }
}

#[test]
fn a_text_opened_before_the_callers_is_not_its_reply() {
    // A greeting that is still being written when the caller's text is sent.
    let world = World {
        acts: vec![vec![Act::Write(600, 700)]],
        ..World::default()
    };
    let played = play_from(script(&[FIRST_TEXT]), |start| {
        let early = crate::call::ReplyText {
            stream: 1_000,
            opened: start + ms(50),
            at: start + ms(300),
            part: crate::call::TextPart::First,
        };
        World {
            inputs: vec![(ms(800), Input::ReplyText(early))],
            ..world
        }
    });
    assert_eq!(played.turn(0).text_ttft, Some(ms(600)));
}

#[test]
fn a_reply_that_is_never_closed_has_no_end() {
    let world = World {
        acts: vec![vec![Act::Write(320, 90_000)]],
        ..World::default()
    };
    let played = play(script(&[FIRST_TEXT]), world);
    let turn = played.turn(0);
    assert_eq!((turn.text_ttft, turn.text_reply), (Some(ms(320)), None));
    assert_eq!(turn.flags, [Flag::ReplyUnfinished]);
}
