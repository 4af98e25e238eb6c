//! Calls that fail, and the results of their turns.

use super::sim::{Act, FIRST, Played, TURN, World, dropped, ms, play, script};
use crate::call::{CallScript, Failure, Flag, Input, Outcome, Phase};
use Outcome::{CutOff, Failed, NotRun, Replied};

/// The caller starts its first utterance at 700 ms and is answered at 3.0 s; the turn is over at
/// 4.7 s.
fn world() -> World {
    World {
        acts: vec![vec![Act::Say(400, 1000)], vec![Act::Say(400, 1000)]],
        ..World::default()
    }
}

fn two_turns(at: u64, input: Input<'static>) -> Played {
    let world = World {
        inputs: vec![(ms(at), input)],
        ..world()
    };
    play(script(&[FIRST, TURN]), world)
}

#[test]
fn failures_end_every_turn() {
    let at = |at, input: Input<'static>| two_turns(at, input);
    let absent = Failure::AgentAbsent { waited: ms(3000) };
    let no_agent = play(
        CallScript {
            agent_timeout: ms(3000),
            ..script(&[FIRST, TURN])
        },
        World {
            subscribed: ms(90_000),
            ..World::default()
        },
    );
    let cases = [
        ("agent absent", no_agent, absent, [Failed, Failed]),
        (
            "left right after joining",
            at(450, Input::AgentLeft),
            Failure::AgentLeft,
            [Failed, Failed],
        ),
        (
            "left during the first utterance",
            at(2000, Input::AgentLeft),
            Failure::AgentLeft,
            [Failed, Failed],
        ),
        (
            "left during its first reply",
            at(3600, Input::AgentLeft),
            Failure::AgentLeft,
            [Replied, Failed],
        ),
        (
            "left between turns",
            at(4800, Input::AgentLeft),
            Failure::AgentLeft,
            [Replied, Failed],
        ),
        (
            "dropped while joining",
            at(10, Input::Failed(dropped())),
            dropped(),
            [Failed, Failed],
        ),
        (
            "dropped during the first reply",
            at(3600, Input::Failed(dropped())),
            dropped(),
            [Failed, Failed],
        ),
        (
            "dropped during the second turn",
            at(6000, Input::Failed(dropped())),
            dropped(),
            [Replied, Failed],
        ),
    ];
    for (name, played, failure, outcomes) in cases {
        assert_eq!(played.result.failure, Some(failure), "{name}");
        assert_eq!(played.outcomes(), outcomes, "{name}");
        assert_eq!(played.ended, played.result.turns, "{name}");
        assert_eq!(played.phases.last(), Some(&Phase::Failed), "{name}");
        for turn in &played.result.turns {
            let measured = turn.outcome == Replied;
            assert_eq!(turn.ttfa.is_some(), measured, "{name}");
        }
    }
}

#[test]
fn an_agent_without_a_track_fails_the_call_after_the_first_turn() {
    for (turns, outcomes) in [
        (vec![FIRST], vec![Outcome::Missed]),
        (vec![FIRST, TURN], vec![Outcome::Missed, Failed]),
    ] {
        let present = World {
            inputs: vec![(ms(450), Input::AgentPresent)],
            subscribed: ms(90_000),
            ..World::default()
        };
        let played = play(script(&turns), present);
        assert_eq!(played.result.failure, Some(Failure::AgentSilent));
        assert_eq!(played.outcomes(), outcomes);
        assert_eq!(played.phases.last(), Some(&Phase::Failed));
    }
}

#[test]
fn an_agent_that_hangs_up_in_its_last_reply_has_replied() {
    let leaves = World {
        inputs: vec![(ms(3600), Input::AgentLeft)],
        ..world()
    };
    let played = play(script(&[FIRST]), leaves);
    assert_eq!(played.result.failure, None);
    assert_eq!(played.outcomes(), [Replied]);
    // The reply was cut off: the agent was audible when it left.
    let flags = [Flag::ReplyUnfinished, Flag::ReplyCutOff];
    assert_eq!(played.flags(0), flags);
    assert_eq!(played.turn(0).reply_end, None);
}

#[test]
fn an_agent_leaving_after_the_last_turn_does_not_fail_the_call() {
    let played = two_turns(60_000, Input::AgentLeft);
    assert_eq!(played.result.failure, None);
    assert_eq!(played.outcomes(), [Replied, Replied]);
}

#[test]
fn finishing_in_mid_turn_cuts_that_turn_off_and_skips_later_turns() {
    let world = World {
        until: ms(6000),
        ..world()
    };
    let played = play(script(&[FIRST, TURN, TURN]), world);
    assert_eq!(played.result.failure, Some(Failure::Stopped));
    assert_eq!(played.outcomes(), [Replied, CutOff, NotRun]);
    assert_eq!(played.ended.len(), 1);
    assert!(played.turn(1).media_start.is_some());
    let waited = played.turn(1).speech_end.map(|end| {
        let stopped = played.start + ms(6000);
        stopped.checked_duration_since(end)
    });
    assert_eq!(Some(played.turn(1).waited), waited);
    assert_eq!(played.turn(2).waited, None);
    assert!(played.turn(1).ttfa.is_none());
    assert!(played.turn(2).planned.is_none());
}

#[test]
fn a_call_without_turns_is_done() {
    let played = play(script(&[]), World::default());
    assert_eq!(played.result.failure, None);
    assert!(played.result.turns.is_empty());
}

#[test]
fn a_lost_utterance_flags_its_turn_during_and_after_the_turn() {
    let has = |played: &Played, turn: usize| {
        let flags = &played.result.turns[turn].flags;
        flags.iter().filter(|f| **f == Flag::UtteranceLost).count()
    };
    for at in [2000, 3600, 5500] {
        let played = two_turns(at, Input::UtteranceLost(0));
        assert_eq!([has(&played, 0), has(&played, 1)], [1, 0], "{at}");
        assert_eq!(played.result.turns[0].outcome, Replied, "{at}");
    }
    // Repeated reports flag the turn once.
    let world = World {
        inputs: [2000, 2500, 5000, 5500]
            .map(|at| (ms(at), Input::UtteranceLost(0)))
            .into(),
        ..world()
    };
    assert_eq!(has(&play(script(&[FIRST, TURN]), world), 0), 1);
    // A turn in progress keeps the flag when the call fails; a turn that never began has no flag.
    let stops = vec![
        (ms(2000), Input::UtteranceLost(0)),
        (ms(2100), Input::Failed(dropped())),
    ];
    let world = World {
        inputs: stops,
        ..self::world()
    };
    let played = play(script(&[FIRST, TURN]), world);
    assert_eq!([has(&played, 0), has(&played, 1)], [1, 0]);
}
