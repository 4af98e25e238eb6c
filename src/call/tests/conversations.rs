//! Fillers, spurts, overlap, silences, false interruptions.

use super::sim::{Act, FIRST, Played, TURN, World, ms, play, script};
use crate::call::{AgentState, Anchor, Conversation, Expect, Flag, Input, Outcome, TurnScript};
use crate::vocab::Filler;
use std::time::Duration;

/// The jitter buffer's hold in a simulation without jitter.
const HOLD: Duration = ms(20);
const FILLER: Filler = Filler {
    max: ms(1500),
    gap: ms(250),
};

fn conversation(played: &Played, turn: usize) -> &Conversation {
    let conversation = played.turn(turn).conversation.as_deref();
    conversation.expect("a turn that ended")
}

/// Plays one turn, and a second one 300 ms after the agent's speech has ended.
fn answered(turn: &TurnScript, acts: &[Act], states: &[(u64, AgentState)]) -> Played {
    // The first turn's end of speech, in ms after the start of the call.
    let zero = 2_627;
    let inputs = states
        .iter()
        .map(|(at, state)| (ms(zero + at), Input::AgentState(*state)));
    let world = World {
        acts: vec![acts.to_vec(), vec![Act::Say(300, 500)]],
        inputs: inputs.collect(),
        ..World::default()
    };
    let played = play(script(&[turn.clone(), TURN]), world);
    let end = played.turn(0).speech_end.expect("spoken");
    assert_eq!(end - played.start, ms(zero));
    played
}

#[test]
fn the_answer_follows_a_declared_filler() {
    type Case = (&'static str, Option<Filler>, &'static [Act], [u64; 2]);
    // What is declared, what the agent says, `ttfa_wire` and `answer_wire`.
    let cases: [Case; 5] = [
        (
            "filler, gap, answer",
            Some(FILLER),
            &[Act::Say(400, 600), Act::Say(1800, 900)],
            [400, 1800],
        ),
        (
            "not declared",
            None,
            &[Act::Say(400, 600), Act::Say(1300, 900)],
            [400, 400],
        ),
        (
            "too long for a filler",
            Some(FILLER),
            &[Act::Say(200, 1600), Act::Say(2200, 400)],
            [200, 200],
        ),
        (
            "the gap is too short",
            Some(FILLER),
            &[Act::Say(400, 600), Act::Say(1220, 900)],
            [400, 400],
        ),
        (
            "only a short answer",
            Some(FILLER),
            &[Act::Say(400, 600)],
            [400, 400],
        ),
    ];
    for (name, filler, acts, [wire, answer]) in cases {
        let turn = TurnScript {
            filler,
            timeout: ms(4000),
            ..FIRST
        };
        let played = answered(&turn, acts, &[]);
        let (turn, talk) = (played.turn(0), conversation(&played, 0));
        assert_eq!(turn.ttfa_wire, Some(ms(wire)), "{name}");
        assert_eq!(talk.answer_wire, Some(ms(answer)), "{name}");
        assert_eq!(talk.answer, Some(ms(answer) + HOLD), "{name}");
        assert_eq!(talk.behind_filler.is_some(), answer != wire, "{name}");
    }
}

#[test]
fn the_next_turn_waits_for_the_answer_behind_a_filler() {
    let turn = TurnScript {
        filler: Some(FILLER),
        timeout: ms(4000),
        ..FIRST
    };
    let played = answered(&turn, &[Act::Say(400, 600), Act::Say(2600, 900)], &[]);
    let answer_end = played.turn(0).speech_end.expect("spoken") + ms(3500);
    assert_eq!(played.turn(0).reply_end, Some(answer_end));
    let next = played.turn(1).media_start.expect("spoken");
    assert!(next > answer_end + ms(700), "{:?}", next - answer_end);
    assert_eq!(played.outcomes(), [Outcome::Replied; 2]);
    assert_eq!(conversation(&played, 0).spurts.len(), 2);
}

#[test]
fn an_agent_that_thinks_after_its_first_words_has_not_answered_yet() {
    use AgentState::{Listening, Speaking, Thinking};
    let turn = TurnScript {
        timeout: ms(6000),
        ..FIRST
    };
    let acts = [Act::Say(400, 600), Act::Say(3000, 900)];
    let states = [
        (10, Thinking),
        (395, Speaking),
        (1000, Thinking),
        (2990, Speaking),
        (3900, Listening),
    ];
    let played = answered(&turn, &acts, &states);
    let talk = conversation(&played, 0);
    assert_eq!(talk.answer_wire, Some(ms(3000)));
    assert_eq!(talk.behind_filler, Some(1));
    assert_eq!(played.outcomes(), [Outcome::Replied; 2]);

    // It says nothing more: the turn is over as soon as it listens.
    let states = [
        (10, Thinking),
        (395, Speaking),
        (1000, Thinking),
        (2000, Listening),
    ];
    let played = answered(&turn, &acts[..1], &states);
    assert_eq!(conversation(&played, 0).answer_wire, Some(ms(400)));
    let next = played.turn(1).media_start.expect("spoken");
    let waited = next - played.turn(0).speech_end.expect("spoken");
    assert!((ms(2000)..ms(2400)).contains(&waited), "{waited:?}");

    // It never stops thinking: the turn is over at its timeout, but the anchor of the next one waits
    // for a thinking agent for up to a minute.
    let played = answered(&turn, &acts[..1], &states[..3]);
    let next = played.turn(1).media_start.expect("spoken");
    let waited = next - played.turn(0).speech_end.expect("spoken");
    assert!((ms(6000)..ms(61_500)).contains(&waited), "{waited:?}");
}

#[test]
fn an_early_reply_that_breaks_off_is_no_filler() {
    use AgentState::{Listening, Speaking, Thinking};
    let turn = TurnScript {
        timeout: ms(6000),
        ..FIRST
    };
    // The agent speaks too early, hears the caller, and answers after the end of speech.
    let acts = [Act::Say(-900, 500), Act::Say(1200, 900)];
    let states: [(i64, AgentState); 4] = [
        (-905, Speaking),
        (-390, Listening),
        (150, Thinking),
        (1190, Speaking),
    ];
    let inputs = states
        .iter()
        .map(|(at, state)| (ms((2_627 + at) as u64), Input::AgentState(*state)));
    let world = World {
        acts: vec![acts.to_vec()],
        inputs: inputs.collect(),
        ..World::default()
    };
    let played = play(script(std::slice::from_ref(&turn)), world);
    let talk = conversation(&played, 0);
    assert_eq!(played.turn(0).outcome, Outcome::Early);
    assert_eq!((talk.behind_filler, talk.answer), (None, None));
    assert_eq!(talk.spurts.len(), 2);
}

#[test]
fn overlap_is_measured_at_the_callers_ear() {
    let turn = TurnScript {
        anchor: Anchor::CallStart,
        delay: ms(1000),
        expect: Expect::Stop,
        ..TURN
    };
    let world = World {
        unprompted: vec![(0, 9000)],
        acts: vec![vec![Act::Stop(340)]],
        ..World::default()
    };
    let played = play(script(&[turn]), world);
    let (turn, floor) = (played.turn(0), conversation(&played, 0).floor);
    assert_eq!(
        (turn.stop_wire, turn.stop),
        (Some(ms(340)), Some(ms(340) + HOLD))
    );
    assert_eq!(floor.overlap, ms(340) + HOLD);
    assert_eq!(floor.caller, ms(1810));
    assert_eq!((floor.caller_came_in, floor.agent_came_in), (1, 0));
    // The agent spoke from the beginning of the call; the turn started later.
    assert_eq!(played.result.floor.overlap, floor.overlap);
    assert!(played.result.floor.agent > floor.agent);
    assert_eq!(played.result.floor.caller_came_in, 1);
}

#[test]
fn an_early_reply_is_attributed_to_the_pause_it_fell_into() {
    let segments = [
        (ms(100), ms(500)),
        (ms(900), ms(1200)),
        (ms(1800), ms(1910)),
    ];
    let turn = TurnScript {
        segments: Some(segments.into()),
        ..FIRST
    };
    for (offset, pause) in [
        (1500, None),
        (1300, Some(400)),
        (900, Some(400)),
        (400, Some(600)),
        (50, Some(600)),
    ] {
        let played = answered(&turn, &[Act::Say(-offset, 3000)], &[]);
        let talk = conversation(&played, 0);
        assert_eq!(played.turn(0).outcome, Outcome::Early);
        assert_eq!(talk.early_pause, pause.map(ms), "{offset}");
        assert_eq!(talk.pauses, [ms(400), ms(600)]);
    }
}

#[test]
fn silences_count_while_it_is_the_agents_turn() {
    let turn = |timeout| TurnScript {
        timeout: ms(timeout),
        ..FIRST
    };
    let played = answered(&turn(9000), &[Act::Say(3500, 600)], &[]);
    let silences = conversation(&played, 0).silences;
    assert_eq!((silences.count, silences.longest), (1, ms(3500) + HOLD));
    assert_eq!(played.result.dead_air, None);

    let played = answered(&turn(9000), &[Act::Say(2900, 600)], &[]);
    assert_eq!(conversation(&played, 0).silences.count, 0);

    let world = World::default();
    let played = play(script(&[turn(5000)]), world);
    assert_eq!(played.turn(0).outcome, Outcome::Missed);
    let silences = conversation(&played, 0).silences;
    assert_eq!((silences.count, silences.longest), (1, ms(5000)));
    let dead = played.result.dead_air.expect("the agent owed a reply");
    assert!((ms(5000)..ms(5400)).contains(&dead), "{dead:?}");
}

#[test]
fn an_agent_that_stops_for_a_cough_is_heard_out() {
    let cough = TurnScript {
        anchor: Anchor::CallStart,
        delay: ms(1000),
        expect: Expect::Ignore,
        timeout: ms(4000),
        ..TURN
    };
    let stops = |resumes: Option<u64>| {
        let mut acts = vec![Act::Stop(300)];
        // The first speech sample is 1,810 ms before the end of speech.
        acts.extend(resumes.map(|after| Act::Say(300 + after as i64 - 1810, 2000)));
        let world = World {
            unprompted: vec![(0, 9000)],
            acts: vec![acts],
            ..World::default()
        };
        play(script(std::slice::from_ref(&cough)), world)
    };
    for after in [900, 1500, 4000] {
        let played = stops(Some(after));
        let turn = played.turn(0);
        assert_eq!(turn.outcome, Outcome::Missed);
        assert_eq!(turn.stop_wire, Some(ms(300)));
        assert_eq!(turn.resume, Some(ms(after)), "{after}");
        assert!(!turn.flags.contains(&Flag::ReplyUnfinished));
    }
    let played = stops(None);
    assert_eq!(
        (played.turn(0).stop_wire, played.turn(0).resume),
        (Some(ms(300)), None)
    );
    assert_eq!(played.turn(0).outcome, Outcome::Missed);
}
