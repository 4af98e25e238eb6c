//! The course of a call: branches, turns that are left out, hang-ups; silence as an expectation.

use super::sim::{Act, FIRST, Played, TURN, World, ms, play, script};
use crate::call::{
    AgentState, Anchor, Branch, CallScript, Course, Expect, Failure, Flag, Go, Input, Leave,
    Outcome, ReplyMatches, TurnCourse, TurnScript, When,
};
use Outcome::{CutOff, Early, Failed, Missed, NotRun, Replied, Skipped};
use std::time::Duration;

/// A turn of a call that starts when the one before it is over.
const NEXT: TurnScript = TurnScript {
    anchor: Anchor::PreviousTurn,
    ..TURN
};
const SILENCE: TurnScript = TurnScript {
    expect: Expect::Silence,
    frames: 0,
    speech_start: Duration::ZERO,
    speech_end: Duration::ZERO,
    ..FIRST
};
const HANG_UP: TurnScript = TurnScript {
    expect: Expect::HangUp,
    ..FIRST
};

const fn branch(when: When, go: Go) -> Branch {
    Branch { when, go }
}

fn branches(next: &[Branch]) -> TurnCourse {
    TurnCourse {
        next: next.to_vec(),
        ..TurnCourse::default()
    }
}

fn leaves(anchor: Anchor, delay: u64) -> TurnCourse {
    TurnCourse {
        leave: Some(Leave {
            anchor,
            silence: ms(700),
            delay: ms(delay),
        }),
        ..TurnCourse::default()
    }
}

fn with(turns: &[TurnScript], course: &[TurnCourse]) -> CallScript {
    CallScript {
        course: Course {
            hang_up: None,
            turns: course.to_vec(),
        },
        ..script(turns)
    }
}

/// Every turn is answered after 400 ms, with a second of speech, except those in `unanswered`.
fn answering(turns: usize, unanswered: &[usize]) -> World {
    let reply = |turn: usize| match unanswered.contains(&turn) {
        true => Vec::new(),
        false => vec![Act::Say(400, 1000)],
    };
    World {
        acts: (0..turns).map(reply).collect(),
        ..World::default()
    }
}

/// Turns are reported once each, in order, and the call did not fail.
fn is_sound(played: &Played, name: &str) {
    assert_eq!(played.ended, played.result.turns, "{name}");
    assert_eq!(played.result.failure, None, "{name}");
}

#[test]
fn a_branch_is_chosen_by_the_outcome_and_passes_over_the_turns_between() {
    const MISSED: When = When::Outcome(Missed);
    const LAST: Go = Go::Turn(3);
    const NOT_MET: &[Branch] = &[branch(MISSED, LAST)];
    const DEFAULT: &[Branch] = &[branch(MISSED, LAST), branch(When::Always, Go::Turn(2))];
    const FIRST_OF_TWO: &[Branch] = &[
        branch(When::Outcome(Replied), LAST),
        branch(When::Always, Go::Turn(1)),
    ];
    const HANGS_UP: &[Branch] = &[branch(MISSED, Go::HangUp)];
    /// Branches of the first turn, turns that are not answered, outcomes.
    type Case = (
        &'static str,
        &'static [Branch],
        &'static [usize],
        &'static [Outcome],
    );
    let cases: [Case; 6] = [
        ("none", &[], &[], &[Replied; 4]),
        ("not met", NOT_MET, &[], &[Replied; 4]),
        ("met", NOT_MET, &[0], &[Missed, Skipped, Skipped, Replied]),
        (
            "the default",
            DEFAULT,
            &[],
            &[Replied, Skipped, Replied, Replied],
        ),
        (
            "the first of two",
            FIRST_OF_TWO,
            &[],
            &[Replied, Skipped, Skipped, Replied],
        ),
        (
            "hangs up",
            HANGS_UP,
            &[0],
            &[Missed, Skipped, Skipped, Skipped],
        ),
    ];
    for (name, next, unanswered, outcomes) in cases {
        let script = with(&[FIRST, NEXT, NEXT, NEXT], &[branches(next)]);
        let played = play(script, answering(4, unanswered));
        assert_eq!(played.outcomes(), outcomes, "{name}");
        is_sound(&played, name);
        for turn in &played.result.turns {
            assert_eq!(
                turn.media_start.is_none(),
                turn.outcome == Skipped,
                "{name}"
            );
        }
    }
}

#[test]
fn a_missed_turn_flags_the_turn_that_was_taken_after_it() {
    let to_last = branches(&[branch(When::Always, Go::Turn(2))]);
    let played = play(with(&[FIRST, NEXT, NEXT], &[to_last]), answering(3, &[0]));
    assert_eq!(played.outcomes(), [Missed, Skipped, Replied]);
    assert_eq!(played.flags(2), [Flag::AfterMissed]);
}

/// A call whose first turn branches on its reply, of which `told` is known so many ms after the
/// start of the call. The turn is over at 4.7 s.
fn by_reply(told: Option<(u64, bool, bool)>) -> Played {
    let next = [
        branch(When::ReplyMatches, Go::Turn(2)),
        branch(When::Outcome(Missed), Go::HangUp),
    ];
    let script = with(&[FIRST, NEXT, NEXT], &[branches(&next)]);
    let told = told.map(|(at, matches, complete)| {
        let known = ReplyMatches {
            turn: 0,
            matches: vec![matches, false],
            complete,
        };
        (ms(at), Input::ReplyMatches(known))
    });
    let world = World {
        inputs: told.into_iter().collect(),
        ..answering(3, &[])
    };
    play(script, world)
}

#[test]
fn a_branch_waits_for_the_transcript_of_the_reply_for_two_seconds() {
    let untold: &[Flag] = &[Flag::NoTranscript];
    let cases: [(&str, _, [Outcome; 3], &[Flag], u64); 5] = [
        (
            "matches",
            Some((4900, true, false)),
            [Replied, Skipped, Replied],
            &[],
            4900,
        ),
        (
            "is complete without it",
            Some((4900, false, true)),
            [Replied; 3],
            &[],
            4900,
        ),
        (
            "does not match so far",
            Some((4900, false, false)),
            [Replied; 3],
            &[],
            6700,
        ),
        ("never arrives", None, [Replied; 3], untold, 6700),
        (
            "arrives too late",
            Some((6900, true, true)),
            [Replied; 3],
            untold,
            6700,
        ),
    ];
    for (name, told, outcomes, flags, decided) in cases {
        let played = by_reply(told);
        assert_eq!(played.outcomes(), outcomes, "{name}");
        assert_eq!(played.flags(0), flags, "{name}");
        is_sound(&played, name);
        let next = if outcomes[1] == Skipped { 2 } else { 1 };
        let began = played.media_start(next).as_millis() as u64;
        let expected = decided.max(5000);
        assert!(
            (expected..expected + 60).contains(&began),
            "{name}: {began}"
        );
    }
}

#[test]
fn a_branch_waits_for_the_answer_of_an_agent_that_goes_on_to_think() {
    // A filler from 3.0 to 3.5 s, a tool until 8.0 s, an answer from 8.1 to 9.1 s.
    let known = |at, matches: bool| {
        let known = ReplyMatches {
            turn: 0,
            matches: vec![matches],
            complete: true,
        };
        (ms(at), Input::ReplyMatches(known))
    };
    let state = |at, state| (ms(at), Input::AgentState(state));
    let world = World {
        acts: vec![vec![Act::Say(400, 500), Act::Say(5500, 1000)]],
        inputs: vec![
            state(2990, AgentState::Speaking),
            state(3490, AgentState::Thinking),
            known(4300, false),
            state(8050, AgentState::Speaking),
            state(9150, AgentState::Listening),
            known(9200, true),
        ],
        ..World::default()
    };
    let next = [branch(When::ReplyMatches, Go::Turn(2))];
    let played = play(with(&[FIRST, NEXT, NEXT], &[branches(&next)]), world);
    assert_eq!(played.turn(1).outcome, Skipped);
    assert_eq!(played.flags(0), []);
    let began = played.media_start(2).as_millis();
    assert!((9180..9260).contains(&began), "{began}");
}

#[test]
fn a_turn_without_a_reply_does_not_wait_for_a_transcript() {
    let next = [
        branch(When::ReplyMatches, Go::Turn(2)),
        branch(When::Outcome(Missed), Go::HangUp),
    ];
    let script = with(&[FIRST, NEXT, NEXT], &[branches(&next)]);
    let played = play(script, answering(3, &[0]));
    assert_eq!(played.outcomes(), [Missed, Skipped, Skipped]);
    assert_eq!(played.flags(0), []);
}

#[test]
fn passes_that_a_loop_does_not_take_are_skipped() {
    let left_out = TurnCourse {
        left_out: true,
        ..TurnCourse::default()
    };
    let taken = TurnCourse::default();
    for (name, course, outcomes) in [
        (
            "in the middle",
            [taken.clone(), left_out.clone(), taken.clone()],
            [Replied, Skipped, Replied],
        ),
        (
            "at the end",
            [taken, left_out.clone(), left_out],
            [Replied, Skipped, Skipped],
        ),
    ] {
        let played = play(with(&[FIRST, NEXT, NEXT], &course), answering(3, &[]));
        assert_eq!(played.outcomes(), outcomes, "{name}");
        is_sound(&played, name);
    }
}

#[test]
fn of_a_call_that_ends_too_soon_only_the_turns_of_its_usual_course_are_owed() {
    let next = branches(&[
        branch(When::Outcome(Missed), Go::Turn(1)),
        branch(When::Always, Go::Turn(2)),
    ]);
    let cases = [
        (Failure::Stopped, [Replied, Skipped, CutOff, NotRun]),
        (Failure::AgentLeft, [Replied, Skipped, Failed, Failed]),
    ];
    for (failure, outcomes) in cases {
        let script = with(&[FIRST, NEXT, NEXT, NEXT], std::slice::from_ref(&next));
        let world = World {
            inputs: vec![(ms(6500), Input::Failed(failure.clone()))],
            ..answering(4, &[])
        };
        let played = play(script, world);
        assert_eq!(played.outcomes(), outcomes, "{failure}");
        assert_eq!(played.result.failure, Some(failure));
    }
    // Before the branch is decided, the default is owed.
    let world = World {
        inputs: vec![(ms(1000), Input::Failed(Failure::AgentLeft))],
        ..answering(4, &[])
    };
    let played = play(with(&[FIRST, NEXT, NEXT, NEXT], &[next]), world);
    assert_eq!(played.outcomes(), [Failed, Skipped, Failed, Failed]);
}

#[test]
fn the_caller_hangs_up_at_an_event_after_a_turn() {
    // The reply begins at 3.0 s and ends at 4.0 s.
    let cases = [
        (
            "when the turn is over",
            leaves(Anchor::PreviousTurn, 0),
            Replied,
            4700,
        ),
        (
            "in the reply",
            leaves(Anchor::AgentSpeechStart, 800),
            Replied,
            3800,
        ),
        (
            "before its onset is known",
            leaves(Anchor::AgentSpeechStart, 100),
            CutOff,
            3100,
        ),
        (
            "after a pause",
            leaves(Anchor::AgentSpeechEnd, 1000),
            Replied,
            5700,
        ),
    ];
    for (name, course, outcome, at) in cases {
        let played = play(with(&[FIRST, NEXT], &[course]), answering(2, &[]));
        assert_eq!(played.outcomes(), [outcome, Skipped], "{name}");
        is_sound(&played, name);
        let heard = played.turn(0).reply_end.is_some();
        assert_eq!(heard, at > 4000, "{name}");
        assert_eq!(played.result.broke_off(), !heard, "{name}");
        let cut = played.flags(0) == [Flag::ReplyUnfinished];
        assert_eq!(cut, outcome == Replied && at < 4000, "{name}");
    }
}

#[test]
fn the_caller_hangs_up_at_a_time() {
    // Media flows and the agent is there after 400 ms; the first reply begins at 3.0 s.
    let cases = [
        ("during the utterance", 1000, [CutOff, Skipped], None),
        ("before the reply", 2400, [CutOff, Skipped], Some(190)),
        ("in the reply", 3300, [Replied, Skipped], None),
        ("between two turns", 4450, [Replied, Skipped], None),
        ("in the second utterance", 6000, [Replied, CutOff], None),
        ("after the last turn", 30_000, [Replied, Replied], None),
    ];
    for (name, after, outcomes, waited) in cases {
        let mut script = with(&[FIRST, NEXT], &[]);
        script.course.hang_up = Some(ms(after));
        let played = play(script, answering(2, &[]));
        assert_eq!(played.outcomes(), outcomes, "{name}");
        is_sound(&played, name);
        let told = played
            .turn(0)
            .waited
            .map(|waited| waited.as_millis() as u64);
        let near = |told: u64| waited.is_some_and(|w| told.abs_diff(w) <= 20);
        assert_eq!(told.is_some_and(near), waited.is_some(), "{name}: {told:?}");
    }
}

#[test]
fn silence_is_judged_by_what_is_audible_from_the_start_of_the_turn_to_its_timeout() {
    // The turn begins at 700 ms and lasts until 2.7 s. Times are relative to 400 ms.
    /// The agent's speech, the outcome, the end of the speech that was listened to.
    type Case = (&'static str, &'static [(u64, u64)], Outcome, Option<u64>);
    let cases: [Case; 7] = [
        ("says nothing", &[], Replied, None),
        ("speaks", &[(1000, 500)], Missed, Some(1500)),
        (
            "speaks at the last moment",
            &[(2290, 500)],
            Missed,
            Some(2790),
        ),
        ("speaks after the timeout", &[(2340, 500)], Replied, None),
        ("is still speaking", &[(100, 900)], Missed, Some(1000)),
        ("has just fallen silent", &[(0, 290)], Replied, None),
        ("speaks on for long", &[(500, 9000)], Missed, Some(9500)),
    ];
    for (name, unprompted, outcome, end) in cases {
        let world = World {
            unprompted: unprompted.to_vec(),
            ..World::default()
        };
        let played = play(script(&[SILENCE]), world);
        assert_eq!(played.outcomes(), [outcome], "{name}");
        is_sound(&played, name);
        let turn = played.turn(0);
        assert_eq!((turn.ttfa, turn.early_by), (None, None), "{name}");
        let heard = turn.reply_end.map(|end| end - played.start - ms(400));
        assert_eq!(heard.map(|at| at.as_millis() as u64), end, "{name}");
    }
}

#[test]
fn the_agent_hangs_up_as_expected() {
    // The turn begins at 700 ms; its speech ends at 2.61 s; its timeout is 4.61 s.
    let ended = || Failure::Ended {
        detail: "ROOM_DELETED".to_owned(),
    };
    let left = || Input::AgentLeft;
    let closed = || Input::Failed(ended());
    let cases = [
        ("leaves", left(), 3500, Replied, None),
        ("deletes the room", closed(), 3500, Replied, None),
        ("leaves too soon", left(), 2000, Early, None),
        (
            "leaves too late",
            left(),
            4700,
            Failed,
            Some(Failure::AgentLeft),
        ),
        (
            "deletes the room before the turn",
            closed(),
            600,
            Failed,
            Some(ended()),
        ),
        ("stays", left(), 90_000, Missed, None),
    ];
    for (name, input, at, outcome, failure) in cases {
        let world = World {
            acts: vec![vec![Act::Say(100, 500)]],
            inputs: vec![(ms(at), input)],
            ..World::default()
        };
        let played = play(script(&[HANG_UP]), world);
        assert_eq!(played.outcomes(), [outcome], "{name}");
        assert_eq!(played.result.failure, failure, "{name}");
        assert_eq!(played.ended, played.result.turns, "{name}");
        let turn = played.turn(0);
        let after = turn.hang_up.map(|after| after.as_millis() as u64);
        let end = turn.speech_end.map(|end| end - played.start);
        let expected = end.map(|end| at.saturating_sub(end.as_millis() as u64));
        assert_eq!(after, expected.filter(|_| outcome == Replied), "{name}");
        assert_eq!(turn.early_by.is_some(), outcome == Early, "{name}");
    }
}

#[test]
fn turns_after_the_agents_hang_up_are_skipped() {
    let world = World {
        inputs: vec![(ms(3500), Input::AgentLeft)],
        ..World::default()
    };
    let played = play(script(&[HANG_UP, NEXT, NEXT]), world);
    assert_eq!(played.outcomes(), [Replied, Skipped, Skipped]);
    is_sound(&played, "hung up");
}

#[test]
fn speech_has_not_ended_while_the_agent_is_thinking() {
    // A filler from 3.0 to 3.5 s, a tool until 6.0 s, an answer from 6.1 to 7.1 s.
    let said = |thinks: bool| {
        let states = [
            (2700, AgentState::Thinking),
            (2990, AgentState::Speaking),
            (3490, AgentState::Thinking),
            (6050, AgentState::Speaking),
            (7100, AgentState::Listening),
        ];
        let inputs = states.map(|(at, state)| (ms(at), Input::AgentState(state)));
        let world = World {
            acts: vec![vec![Act::Say(400, 500), Act::Say(3500, 1000)]],
            inputs: if thinks { inputs.to_vec() } else { Vec::new() },
            ..World::default()
        };
        let played = play(script(&[FIRST, TURN]), world);
        played.media_start(1).as_millis()
    };
    assert!((4500..4560).contains(&said(false)), "{}", said(false));
    assert!((8100..8160).contains(&said(true)), "{}", said(true));
}
