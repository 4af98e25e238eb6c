//! The start of turns, by anchor and greeting policy.

use super::sim::{Act, FIRST, TURN, World, ms, play, script};
use crate::audio::FRAME_TIME;
use crate::call::{Anchor, CallScript, Expect, Flag, GreetingPolicy, Outcome, TurnScript};
use GreetingPolicy::{Expect as Greets, Ignore, None as NoGreeting};

/// Both sides are connected this long after the start of the call, in ms.
const CONNECTED: u64 = 400;
const GREETED: TurnScript = TurnScript {
    anchor: Anchor::Greeting,
    ..TURN
};

struct Case {
    name: &'static str,
    policy: GreetingPolicy,
    anchor: Anchor,
    /// Unprompted speech of the agent: start after the subscription and length, in ms.
    says: Option<(u64, u64)>,
    /// When the anchor fires, in ms after both sides are connected.
    fires: u64,
    doubt: bool,
    /// Measured delay of the greeting, in ms.
    measured: Option<u64>,
}

#[rustfmt::skip]
const FIRST_TURN: &[Case] = &[
    Case { name: "expected greeting", policy: Greets, anchor: Anchor::Greeting, says: Some((250, 1000)), fires: 1950, doubt: false, measured: Some(250) },
    Case { name: "expected greeting is missing", policy: Greets, anchor: Anchor::Greeting, says: None, fires: 2000, doubt: true, measured: None },
    Case { name: "expected greeting exceeds the timeout", policy: Greets, anchor: Anchor::Greeting, says: Some((1500, 9000)), fires: 11_200, doubt: false, measured: Some(1500) },
    Case { name: "expected greeting never ends", policy: Greets, anchor: Anchor::Greeting, says: Some((250, 90_000)), fires: 60_250, doubt: true, measured: Some(250) },
    Case { name: "ignored greeting is missing", policy: Ignore, anchor: Anchor::Greeting, says: None, fires: 5000, doubt: false, measured: None },
    Case { name: "ignored greeting is short", policy: Ignore, anchor: Anchor::Greeting, says: Some((250, 1000)), fires: 1950, doubt: false, measured: None },
    Case { name: "ignored greeting lasts beyond 5 s", policy: Ignore, anchor: Anchor::Greeting, says: Some((4000, 3000)), fires: 7700, doubt: false, measured: None },
    Case { name: "no greeting awaited", policy: NoGreeting, anchor: Anchor::Greeting, says: Some((250, 1000)), fires: 0, doubt: false, measured: None },
    Case { name: "call start", policy: Greets, anchor: Anchor::CallStart, says: Some((250, 1000)), fires: 0, doubt: false, measured: Some(250) },
    Case { name: "call start, and the caller speaks first", policy: Greets, anchor: Anchor::CallStart, says: Some((900, 1000)), fires: 0, doubt: false, measured: None },
    Case { name: "agent starts speaking", policy: NoGreeting, anchor: Anchor::AgentSpeechStart, says: Some((250, 9000)), fires: 280, doubt: false, measured: None },
    Case { name: "agent never speaks", policy: NoGreeting, anchor: Anchor::AgentSpeechStart, says: None, fires: 2000, doubt: true, measured: None },
    Case { name: "agent stops speaking", policy: NoGreeting, anchor: Anchor::AgentSpeechEnd, says: Some((250, 1000)), fires: 1950, doubt: false, measured: None },
    Case { name: "no previous turn", policy: NoGreeting, anchor: Anchor::PreviousTurn, says: None, fires: 0, doubt: false, measured: None },
];

#[test]
fn the_first_turn_starts_at_its_anchor() {
    for case in FIRST_TURN {
        let turn = TurnScript {
            anchor: case.anchor,
            ..TURN
        };
        let script = CallScript {
            greeting: case.policy,
            ..script(&[turn])
        };
        let world = World {
            unprompted: Vec::from_iter(case.says),
            ..World::default()
        };
        let played = play(script, world);
        let planned = played.turn(0).planned.expect("planned") - played.start;
        let expected = ms(CONNECTED + case.fires) + TURN.delay;
        assert_eq!(planned, expected, "{}", case.name);
        let lag = played.media_start(0) - planned;
        assert!(lag < FRAME_TIME, "{}: {lag:?}", case.name);
        let doubt = played.flags(0).contains(&Flag::AnchorTimeout);
        assert_eq!(doubt, case.doubt, "{}", case.name);
        assert_eq!(
            played.result.greeting,
            case.measured.map(ms),
            "{}",
            case.name
        );
    }
}

struct Next {
    name: &'static str,
    anchor: Anchor,
    expect: Expect,
    acts: &'static [Act],
    /// When the second turn's anchor fires, in ms after the first turn's end of speech.
    fires: u64,
    doubt: bool,
}

#[rustfmt::skip]
const SECOND_TURN: &[Next] = &[
    Next { name: "reply ends", anchor: Anchor::AgentSpeechEnd, expect: Expect::Respond, acts: &[Act::Say(400, 1000)], fires: 2100, doubt: false },
    Next { name: "reply missed", anchor: Anchor::AgentSpeechEnd, expect: Expect::Respond, acts: &[], fires: 2000, doubt: true },
    Next { name: "reply too late", anchor: Anchor::AgentSpeechEnd, expect: Expect::Respond, acts: &[Act::Say(2050, 1000)], fires: 3750, doubt: false },
    Next { name: "early reply, then the reply", anchor: Anchor::AgentSpeechEnd, expect: Expect::Respond, acts: &[Act::Say(-1500, 300), Act::Say(500, 1000)], fires: 2200, doubt: false },
    Next { name: "early reply only", anchor: Anchor::AgentSpeechEnd, expect: Expect::Respond, acts: &[Act::Say(-1500, 300)], fires: 2000, doubt: false },
    Next { name: "previous turn answered", anchor: Anchor::PreviousTurn, expect: Expect::Respond, acts: &[Act::Say(400, 1000)], fires: 2100, doubt: false },
    Next { name: "previous turn timed out", anchor: Anchor::PreviousTurn, expect: Expect::Respond, acts: &[], fires: 2000, doubt: false },
    Next { name: "previous utterance ignored as expected", anchor: Anchor::PreviousTurn, expect: Expect::Ignore, acts: &[], fires: 2000, doubt: false },
    Next { name: "reply begins", anchor: Anchor::AgentSpeechStart, expect: Expect::Respond, acts: &[Act::Say(400, 5000)], fires: 430, doubt: false },
    Next { name: "reply does not begin", anchor: Anchor::AgentSpeechStart, expect: Expect::Respond, acts: &[], fires: 2000, doubt: true },
    Next { name: "early reply does not fire the anchor", anchor: Anchor::AgentSpeechStart, expect: Expect::Respond, acts: &[Act::Say(-1500, 300), Act::Say(600, 1000)], fires: 630, doubt: false },
];

#[test]
fn the_second_turn_starts_at_its_anchor() {
    for case in SECOND_TURN {
        let first = TurnScript {
            expect: case.expect,
            ..FIRST
        };
        let second = TurnScript {
            anchor: case.anchor,
            ..TURN
        };
        let world = World {
            acts: vec![case.acts.to_vec()],
            ..World::default()
        };
        let played = play(script(&[first, second]), world);
        let speech_end = played.turn(0).speech_end.expect("a started turn");
        let planned = played.turn(1).planned.expect("planned") - speech_end;
        assert_eq!(planned, ms(case.fires) + TURN.delay, "{}", case.name);
        let doubt = played.flags(1).contains(&Flag::AnchorTimeout);
        assert_eq!(doubt, case.doubt, "{}", case.name);
    }
}

#[test]
fn a_turn_may_interrupt_the_reply_to_the_previous_turn() {
    let stop = |delay| TurnScript {
        anchor: Anchor::AgentSpeechStart,
        delay: ms(delay),
        expect: Expect::Stop,
        ..TURN
    };
    // The interruption starts immediately, before the reply's onset is known, or 1.5 s later.
    for delay in [0, 1500] {
        let world = World {
            acts: vec![vec![Act::Say(400, 9000)], vec![Act::Stop(250)]],
            ..World::default()
        };
        let played = play(script(&[FIRST, stop(delay)]), world);
        let replied = Outcome::Replied;
        assert_eq!(played.outcomes(), [replied, replied], "{delay}");
        assert_eq!(played.turn(0).ttfa_wire, Some(ms(400)), "{delay}");
        assert_eq!(played.flags(0), [Flag::ReplyUnfinished], "{delay}");
        assert_eq!(played.turn(1).stop_wire, Some(ms(250)), "{delay}");
        assert_eq!(played.ended, played.result.turns, "{delay}");
    }
}

#[test]
fn an_anchor_in_the_past_starts_the_turn_immediately() {
    let second = TurnScript {
        anchor: Anchor::Greeting,
        ..TURN
    };
    let world = World {
        acts: vec![vec![Act::Say(400, 1000)], vec![Act::Say(400, 1000)]],
        ..World::default()
    };
    let played = play(script(&[GREETED, second]), world);
    assert_eq!(played.turn(1).planned, played.turn(0).planned);
    let over = played.turn(0).reply_end.expect("an ended reply") - played.start + ms(705);
    let lag = played.media_start(1).saturating_sub(over);
    assert!(lag <= FRAME_TIME, "{lag:?}");
}
