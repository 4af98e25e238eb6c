//! Turns in which the caller sends a text.

use super::sim::*;
use crate::audio::{Confidence, Heard, HeardAt, Onset, SPURT_GAP, Segment};
use crate::call::text::SETTLES;
use crate::call::{
    AgentState, Anchor, Expect, Flag, Input, Outcome, ReplyText, TextPart, TurnScript,
};
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
    // A greeting that is still being written when the caller's text is sent: opened before the
    // text's slot, or between that slot and the sending.
    for opened in [50, 850] {
        let world = World {
            sending: ms(300),
            acts: vec![vec![Act::Write(600, 700)]],
            ..World::default()
        };
        let played = play_from(script(&[FIRST_TEXT]), |start| {
            let early = ReplyText {
                stream: 1_000,
                opened: start + ms(opened),
                at: start + ms(900),
                part: TextPart::First,
            };
            World {
                inputs: vec![(ms(1_100), Input::ReplyText(early))],
                ..world
            }
        });
        let slot = played.media_start(0) - ms(300);
        assert!((ms(700)..ms(750)).contains(&slot), "{slot:?}");
        assert_eq!(played.turn(0).text_ttft, Some(ms(600)), "{opened}");
    }
}

#[test]
fn a_text_is_not_judged_before_it_is_sent() {
    let world = World {
        sending: ms(4_900),
        acts: vec![vec![Act::Write(320, 610)]],
        ..World::default()
    };
    let played = play(script(&[FIRST_TEXT]), world);
    let turn = played.turn(0);
    assert_eq!(turn.outcome, Outcome::Replied);
    assert_eq!(
        (turn.text_ttft, turn.text_reply),
        (Some(ms(320)), Some(ms(610)))
    );
    assert_eq!(turn.send_lateness, Some(ms(4_900)));
    assert_eq!(turn.flags, [Flag::LateSend]);
}

#[test]
fn a_text_that_leaves_late_is_flagged() {
    for (sending, flags) in [(50, &[][..]), (51, &[Flag::LateSend])] {
        let world = World {
            sending: ms(sending),
            acts: vec![vec![Act::Write(320, 610)]],
            ..World::default()
        };
        let played = play(script(&[FIRST_TEXT]), world);
        assert_eq!(played.turn(0).send_lateness, Some(ms(sending)));
        assert_eq!(played.flags(0), flags, "{sending}");
    }
}

#[test]
fn a_sending_counts_for_its_own_turn() {
    // The agent begins to speak, and so the second turn begins, before the first text is sent.
    let interrupting = TurnScript {
        anchor: Anchor::AgentSpeechStart,
        delay: Duration::ZERO,
        ..TEXT
    };
    let world = World {
        sending: ms(600),
        unprompted: vec![(450, 300)],
        acts: vec![vec![Act::Write(50, 90)], vec![Act::Write(320, 610)]],
        ..World::default()
    };
    let played = play(script(&[FIRST_TEXT, interrupting]), world);
    let between = played.media_start(1) - played.media_start(0);
    assert!((ms(100)..ms(400)).contains(&between), "{between:?}");
    assert_eq!(played.outcomes(), [Outcome::Replied; 2]);
    let [first, second] = [0, 1].map(|turn| played.turn(turn));
    // The first reply began before the second text was sent, and the caller did not wait for its end.
    assert_eq!((first.text_ttft, first.text_reply), (Some(ms(50)), None));
    assert_eq!(second.text_ttft, Some(ms(320)));
    assert_eq!(second.text_reply, Some(ms(610)));
}

#[test]
fn speech_under_way_when_a_text_is_sent_is_waited_for_but_not_its_reply() {
    // Speech that breaks off: begun before the text was sent, and after it.
    for (begins, in_reply) in [(0, false), (500, true)] {
        let world = World {
            unprompted: vec![(begins, 2_000)],
            breaks_off: true,
            acts: vec![vec![Act::Write(320, 610)]],
            ..World::default()
        };
        let subscribed = world.subscribed;
        let played = play(script(&[FIRST_TEXT, TEXT]), world);
        let silent = played.start + subscribed + ms(begins + 2_000);
        let turn = played.turn(0);
        assert_eq!(turn.text_reply, Some(ms(610)), "{begins}");
        assert_eq!(turn.reply_end, in_reply.then_some(silent), "{begins}");
        let flags: &[Flag] = if in_reply { &[Flag::ReplyCutOff] } else { &[] };
        assert_eq!(turn.flags, flags, "{begins}");
        let next = played.turn(1).planned.expect("planned") - TEXT.delay;
        assert_eq!(next, silent + SPURT_GAP, "{begins}");
    }
}

#[test]
fn a_pause_of_an_agent_that_only_speaks_does_not_end_the_turn() {
    // The turn is missed in the pause between the two stretches.
    let played = play_from(script(&[FIRST_TEXT, TEXT]), |start| {
        let at = |after: u64| HeardAt {
            arrival: start + ms(after),
            offset: Duration::ZERO,
        };
        let onset = Onset {
            at: at(1_400),
            confidence: Confidence::High,
            earlier_by_loss: None,
            later_by_loss: None,
            snr_db: 40.0,
            segment: Segment::default(),
            after: None,
        };
        let paused = Heard::Paused {
            last_audible: at(3_500),
            hard: false,
        };
        World {
            inputs: vec![
                (ms(1_930), Input::Heard(0, Heard::Onset(onset))),
                (ms(3_640), Input::Heard(0, paused)),
            ],
            unprompted: vec![(3_500, 2_000)],
            ..World::default()
        }
    });
    assert_eq!(played.turn(0).outcome, Outcome::Missed);
    let silent = played.start + World::default().subscribed + ms(5_500);
    assert_eq!(played.turn(0).reply_end, Some(silent));
    let next = played.turn(1).planned.expect("planned") - TEXT.delay;
    assert_eq!(next, silent + SPURT_GAP);
}

#[test]
fn a_reply_that_the_caller_does_not_wait_for_has_no_end() {
    // The next turn begins between a preamble and the answer.
    let interrupting = TurnScript {
        anchor: Anchor::AgentSpeechStart,
        delay: Duration::ZERO,
        ..TEXT
    };
    let world = World {
        acts: vec![vec![
            Act::Write(320, 430),
            Act::Say(900, 3_000),
            Act::Write(3_000, 3_400),
        ]],
        ..World::default()
    };
    let played = play(script(&[FIRST_TEXT, interrupting]), world);
    let turn = played.turn(0);
    assert_eq!((turn.text_ttft, turn.text_reply), (Some(ms(320)), None));
    assert_eq!(turn.flags, [Flag::ReplyUnfinished]);
    let waited = turn.waited.expect("the caller stopped waiting");
    assert!((ms(900)..ms(1_000)).contains(&waited), "{waited:?}");
}

#[test]
fn only_an_agent_that_left_between_two_streams_may_have_finished_its_reply() {
    for (closed, may_have_finished) in [(430, true), (1_400, false)] {
        let world = World {
            acts: vec![vec![Act::Write(320, closed)]],
            inputs: vec![(ms(2_000), Input::AgentLeft)],
            ..World::default()
        };
        let played = play(script(&[FIRST_TEXT]), world);
        let turn = played.turn(0);
        assert_eq!(turn.outcome, Outcome::Replied, "{closed}");
        assert_eq!(turn.text_reply, None, "{closed}");
        assert_eq!(turn.waited.is_some(), may_have_finished, "{closed}");
    }
}

#[test]
fn a_reply_that_is_never_closed_has_no_end() {
    let world = World {
        acts: vec![vec![Act::Write(320, 90_000)]],
        ..World::default()
    };
    let played = play(script(&[FIRST_TEXT]), world);
    let turn = played.turn(0);
    assert_eq!(
        turn.waited, None,
        "the caller waited as long as it ever does"
    );
    assert_eq!((turn.text_ttft, turn.text_reply), (Some(ms(320)), None));
    assert_eq!(turn.flags, [Flag::ReplyUnfinished]);
}
