//! Outcomes of turns, by the agent's behaviour.

use super::sim::{Act, FIRST, Played, TURN, World, ms, play, script};
use crate::audio::{Confidence, FRAME_TIME};
use crate::call::{AgentState, Anchor, Expect, Flag, Input, Outcome, Phase, TurnScript};
use Outcome::{Early, Missed, Replied};
use std::time::Duration;

const IGNORE: TurnScript = TurnScript {
    expect: Expect::Ignore,
    ..FIRST
};
/// A turn that barges in on the agent's greeting.
const BARGE: TurnScript = TurnScript {
    anchor: Anchor::AgentSpeechStart,
    delay: ms(500),
    ..TURN
};
const STOP: TurnScript = TurnScript {
    expect: Expect::Stop,
    ..BARGE
};
const IGNORED: TurnScript = TurnScript {
    expect: Expect::Ignore,
    ..BARGE
};

struct Case {
    name: &'static str,
    turn: TurnScript,
    greeting: Option<u64>,
    acts: &'static [Act],
    outcome: Outcome,
    /// `ttfa_wire`, `early_by` or `stop_wire`, in ms.
    figure: Option<u64>,
}

#[rustfmt::skip]
const CASES: &[Case] = &[
    Case { name: "replies", turn: FIRST, greeting: None, acts: &[Act::Say(400, 1500)], outcome: Replied, figure: Some(400) },
    Case { name: "replies with one word", turn: FIRST, greeting: None, acts: &[Act::Say(400, 90)], outcome: Replied, figure: Some(400) },
    Case { name: "replies exactly at the end of speech", turn: FIRST, greeting: None, acts: &[Act::Say(0, 900)], outcome: Replied, figure: Some(0) },
    Case { name: "replies 1 ms before the end of speech", turn: FIRST, greeting: None, acts: &[Act::Say(-1, 900)], outcome: Early, figure: Some(1) },
    Case { name: "replies at the utterance's first sample", turn: FIRST, greeting: None, acts: &[Act::Say(-1910, 4000)], outcome: Early, figure: Some(1910) },
    Case { name: "backchannel, then the reply", turn: FIRST, greeting: None, acts: &[Act::Say(-1500, 200), Act::Say(700, 800)], outcome: Early, figure: Some(1500) },
    Case { name: "replies at the timeout", turn: FIRST, greeting: None, acts: &[Act::Say(2000, 900)], outcome: Replied, figure: Some(2000) },
    Case { name: "replies 1 ms after the timeout", turn: FIRST, greeting: None, acts: &[Act::Say(2001, 900)], outcome: Missed, figure: None },
    Case { name: "replies after the timeout, before the judgement", turn: FIRST, greeting: None, acts: &[Act::Say(2120, 900)], outcome: Missed, figure: None },
    Case { name: "no reply", turn: FIRST, greeting: None, acts: &[], outcome: Missed, figure: None },
    Case { name: "barge-in: stops and replies", turn: BARGE, greeting: Some(9000), acts: &[Act::Stop(300), Act::Say(600, 900)], outcome: Replied, figure: Some(600) },
    Case { name: "barge-in: stops and replies early", turn: BARGE, greeting: Some(9000), acts: &[Act::Stop(300), Act::Say(-500, 2000)], outcome: Early, figure: Some(500) },
    Case { name: "barge-in: keeps speaking", turn: BARGE, greeting: Some(9000), acts: &[], outcome: Missed, figure: None },
    Case { name: "stop: stops", turn: STOP, greeting: Some(9000), acts: &[Act::Stop(340)], outcome: Replied, figure: Some(340) },
    Case { name: "stop: stops at the timeout", turn: STOP, greeting: Some(9000), acts: &[Act::Stop(3810)], outcome: Replied, figure: Some(3810) },
    Case { name: "stop: stops after the timeout", turn: STOP, greeting: Some(9000), acts: &[Act::Stop(3811)], outcome: Missed, figure: None },
    Case { name: "stop: keeps speaking", turn: STOP, greeting: Some(60_000), acts: &[], outcome: Missed, figure: None },
    Case { name: "stop: nothing to stop", turn: TurnScript { expect: Expect::Stop, ..FIRST }, greeting: None, acts: &[], outcome: Missed, figure: None },
    Case { name: "stop: agent finished before the caller spoke", turn: STOP, greeting: Some(540), acts: &[], outcome: Missed, figure: None },
    Case { name: "stop: starts speaking instead", turn: TurnScript { expect: Expect::Stop, ..FIRST }, greeting: None, acts: &[Act::Say(-800, 300)], outcome: Early, figure: Some(800) },
    Case { name: "ignore: stays silent", turn: IGNORE, greeting: None, acts: &[], outcome: Replied, figure: None },
    Case { name: "ignore: answers", turn: IGNORE, greeting: None, acts: &[Act::Say(500, 900)], outcome: Missed, figure: None },
    Case { name: "ignore: talks over the caller", turn: IGNORE, greeting: None, acts: &[Act::Say(-500, 900)], outcome: Missed, figure: None },
    Case { name: "ignore: answers after the timeout", turn: IGNORE, greeting: None, acts: &[Act::Say(2100, 900)], outcome: Replied, figure: None },
    Case { name: "ignore: keeps speaking", turn: IGNORED, greeting: Some(60_000), acts: &[], outcome: Replied, figure: None },
    Case { name: "ignore: stops", turn: IGNORED, greeting: Some(9000), acts: &[Act::Stop(400)], outcome: Missed, figure: Some(400) },
    Case { name: "ignore: agent finished before the caller spoke", turn: IGNORED, greeting: Some(540), acts: &[], outcome: Replied, figure: None },
];

fn play_case(case: &Case, ear_lag: Duration) -> Played {
    let world = World {
        unprompted: case
            .greeting
            .map(|length| (200, length))
            .into_iter()
            .collect(),
        acts: vec![case.acts.to_vec()],
        ear_lag,
        ..World::default()
    };
    play(script(std::slice::from_ref(&case.turn)), world)
}

#[test]
fn outcomes_and_figures_match_what_the_agent_did() {
    // In the second round the ear's reports are late, as on a starved generator.
    for lag in [ms(0), ms(120)] {
        for case in CASES {
            let played = play_case(case, lag);
            let turn = played.turn(0);
            assert_eq!(turn.outcome, case.outcome, "{} (lag {lag:?})", case.name);
            let figures = [turn.ttfa_wire, turn.early_by, turn.stop_wire];
            let figure = figures.into_iter().flatten().collect::<Vec<_>>();
            let expected = Vec::from_iter(case.figure.map(ms));
            assert_eq!(figure, expected, "{} (lag {lag:?})", case.name);
            assert_eq!(played.ended, played.result.turns, "{}", case.name);
            assert_eq!(played.result.failure, None, "{}", case.name);
            assert_eq!(played.phases.last(), Some(&Phase::Done), "{}", case.name);
        }
    }
}

#[test]
fn figures_of_a_reply_are_consistent() {
    let played = play_case(&CASES[0], ms(0));
    let turn = played.turn(0);
    let start = turn.media_start.expect("a started turn");
    assert_eq!(turn.speech_end, Some(start + FIRST.speech_end));
    // The stream is steady: the buffer holds one frame.
    assert_eq!(turn.playout_delay, Some(FRAME_TIME));
    assert_eq!(turn.ttfa, Some(ms(420)));
    let end = start + FIRST.speech_end + ms(1900);
    assert_eq!(turn.reply_end, Some(end));
    assert_eq!(turn.send_lateness, Some(ms(0)));
    assert!(turn.flags.is_empty(), "{:?}", turn.flags);
    assert_eq!(played.result.join, Some(ms(150)));
    assert_eq!(played.result.agent_present, Some(ms(400)));
    assert_eq!(played.result.agent_audible, Some(ms(400)));
}

#[test]
fn frames_are_sent_in_order_on_the_media_clock() {
    let played = play_case(&CASES[0], ms(0));
    let start = played.turn(0).media_start.expect("a started turn");
    assert_eq!(played.says.len(), FIRST.frames);
    for (k, (due, turn, frame)) in (0_u32..).zip(&played.says) {
        assert_eq!((*turn, *frame), (0, k as usize));
        assert_eq!(*due, start + FRAME_TIME * (k + 1));
    }
    let planned = played.turn(0).planned.expect("planned");
    assert!(start >= planned && start < planned + FRAME_TIME);
    let phases = [
        Phase::WaitingForAgent,
        Phase::Waiting,
        Phase::Speaking,
        Phase::AwaitingReply,
        Phase::Listening,
        Phase::Done,
    ];
    assert_eq!(played.phases, phases);
}

#[test]
fn doubtful_turns_are_flagged() {
    let heard = World {
        acts: vec![vec![Act::Say(400, 900)]],
        ..World::default()
    };
    let cases = [
        ("no doubt", heard.clone(), vec![]),
        (
            "sent 2 ms late",
            World {
                send_lateness: ms(2),
                ..heard.clone()
            },
            vec![],
        ),
        (
            "sent 3 ms late",
            World {
                send_lateness: ms(3),
                ..heard.clone()
            },
            vec![Flag::LateSend],
        ),
        (
            "a doubtful onset",
            World {
                confidence: Confidence::Low,
                loss: Some(ms(20)),
                kernel_stamp: false,
                ..heard.clone()
            },
            vec![
                Flag::LowConfidence,
                Flag::TouchedByLoss,
                Flag::UserSpaceStamp,
            ],
        ),
        (
            "a reply longer than the caller listens",
            World {
                acts: vec![vec![Act::Say(400, 100_000)]],
                ..heard
            },
            vec![Flag::ReplyUnfinished],
        ),
    ];
    for (name, world, flags) in cases {
        let lateness = world.send_lateness;
        let played = play(script(&[FIRST]), world);
        assert_eq!(played.outcomes(), [Replied], "{name}");
        assert_eq!(played.flags(0), flags, "{name}");
        assert_eq!(played.turn(0).send_lateness, Some(lateness), "{name}");
        let unfinished = flags.contains(&Flag::ReplyUnfinished);
        assert_eq!(played.turn(0).reply_end.is_none(), unfinished, "{name}");
    }
}

#[test]
fn a_late_reply_is_not_a_latency_of_the_next_turn() {
    // The late reply starts 400 ms into the next utterance, so it cannot answer that utterance.
    let late = Act::Say(2000 + 300 + 400, 500);
    let world = World {
        acts: vec![vec![late], vec![Act::Say(500, 900)]],
        ..World::default()
    };
    let played = play(script(&[FIRST, TURN]), world);
    assert_eq!(played.outcomes(), [Missed, Early]);
    assert_eq!(
        played.flags(1),
        [Flag::AfterMissed, Flag::AnchorTimeout],
        "no end of the agent's speech was heard before the turn"
    );
}

/// The amended result replaces the result from the end of the turn, so it must keep all its fields.
#[test]
fn a_late_reply_keeps_the_other_fields_of_its_turn() {
    let world = World {
        acts: vec![vec![], vec![Act::Say(2100, 900)]],
        ..World::default()
    };
    let played = play(script(&[FIRST, TURN]), world);
    assert_eq!(played.outcomes(), [Missed, Missed]);
    assert_eq!(played.turn(1).late_reply, Some(ms(2100)));
    assert!(played.flags(1).contains(&Flag::AfterMissed));
}

#[test]
fn a_reply_between_the_timeout_and_the_judgement_is_late() {
    for after in [2001, 2120, 2240] {
        let world = World {
            acts: vec![vec![Act::Say(after, 900)], vec![Act::Say(400, 900)]],
            ..World::default()
        };
        let played = play(script(&[FIRST, TURN]), world);
        assert_eq!(played.outcomes(), [Missed, Replied], "{after}");
        let late = played.turn(0).late_reply.expect("a late reply");
        assert_eq!(late, ms(after.unsigned_abs()), "{after}");
    }
}

#[test]
fn a_stop_is_ambiguous_until_the_agent_state_leaves_speaking() {
    let speaking = (ms(450), Input::AgentState(AgentState::Speaking));
    let listening = (ms(3_500), Input::AgentState(AgentState::Listening));
    for (inputs, flags) in [
        (vec![speaking.clone(), listening], vec![]),
        (vec![speaking], vec![Flag::SpurtAmbiguous]),
    ] {
        let world = World {
            unprompted: vec![(100, 9_000)],
            acts: vec![vec![Act::Stop(340)]],
            inputs,
            ..World::default()
        };
        let played = play(script(&[STOP]), world);
        assert_eq!(played.outcomes(), [Replied], "{flags:?}");
        assert_eq!(played.turn(0).stop_wire, Some(ms(340)), "{flags:?}");
        assert_eq!(played.flags(0), flags);
    }
}
