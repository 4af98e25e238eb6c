//! The course of a call in a scenario: loops, picks, branches, hang-ups.

use super::cases::document;
use super::*;
use crate::scenario::{Delay, LoopPass, Pick, Saying};
use crate::vocab::{Anchor, Expect, Go, Outcome, When};
use std::fmt::Write;
use std::time::Duration;

/// Name, and the lines that replace those of `SMALL`.
const WRONG: &[(&str, &str)] = &[
    (
        "an interruption in a first turn",
        "call: {greeting: none, turns: [{say: a, expect: stop}]}",
    ),
    (
        "a branch to nowhere",
        "call: {turns: [{say: a, name: order, next: [{if: missed, go: oder}]}, {say: a}]}",
    ),
    (
        "a branch backwards",
        "call: {turns: [{say: a, name: x}, {say: a, next: [{go: x}]}]}",
    ),
    (
        "a branch to its own turn",
        "call: {turns: [{say: a, name: x, next: [{if: missed, go: x}]}]}",
    ),
    (
        "two turns of one name",
        "call: {turns: [{say: a, name: x}, {say: a, name: x}, {say: a, name: hang_up}]}",
    ),
    (
        "unreachable turns",
        "call: {turns: [{say: a, next: [{go: x}]}, {say: a}, {say: a, name: x, hang_up: {}}, {say: a}]}",
    ),
    (
        "a branch after the default",
        "call: {turns: [{say: a, next: [{go: x}, {if: missed, go: hang_up}]}, {say: a, name: x}]}",
    ),
    (
        "conditions that are none",
        "call: {turns: [{say: a, next: [{if: failed, go: x}, {if: {reply_matches: '('}, go: x}, {if: {reply: a}, go: x}, {if: missed}]}, {say: a, name: x}]}",
    ),
    (
        "a reply that is not expected",
        "call: {turns: [{say: a, expect: silence, next: [{if: {reply_matches: a}, go: hang_up}]}]}",
    ),
    (
        "a transcript that is not read",
        "call: {agent_account: ignore, turns: [{say: a, next: [{if: {reply_matches: a}, go: hang_up}]}]}",
    ),
    (
        "a transcript of the embedded agent",
        "target: {kind: embedded}\ncall: {turns: [{say: a, next: [{if: {reply_matches: a}, go: hang_up}]}]}",
    ),
    (
        "a branch of a turn that hangs up",
        "call: {turns: [{say: a, hang_up: {}, next: [{if: missed, go: hang_up}]}]}",
    ),
    (
        "a hang-up before its turn",
        "call: {hang_up: {after: 0s}, turns: [{say: a, hang_up: {after: greeting}}, {say: a}]}",
    ),
    (
        "loops that are incomplete",
        "call: {turns: [{repeat: 3}, {turns: [{say: a}]}, {repeat: 2, say: a, turns: [{say: a}]}]}",
    ),
    (
        "numbers of passes",
        "call: {turns: [{repeat: 0, turns: [{say: a}]}, {repeat: {min: 3, max: 2}, turns: [{say: a}]}, {repeat: {min: 3}, turns: [{say: a}]}]}",
    ),
    (
        "a loop in a loop",
        "call: {turns: [{repeat: 2, turns: [{repeat: 2, turns: [{say: a}]}]}]}",
    ),
    (
        "too many turns",
        "call: {turns: [{repeat: 600, turns: [{say: a}, {say: a}]}]}",
    ),
    (
        "a branch into a loop",
        "call: {turns: [{say: a, next: [{if: missed, go: y}]}, {repeat: 2, turns: [{say: a, name: x}, {say: a, name: y}]}]}",
    ),
    (
        "picks",
        "call: {turns: [{say: a, pick: in_order}, {say: {a: 2}, pick: in_order}, {say: {b: 2}}, {say: {a: 0}}, {say: [a, a], pick: weighted}]}",
    ),
    (
        "distributions of a pause",
        "call: {turns: [{say: a, start: {delay: {mean: 1s}}}, {say: a, start: {delay: {mean: 1s, sd: 1s, max: 2s}}}, {say: a, start: {delay: {}}}]}",
    ),
    (
        "an inner text for the embedded agent",
        "target: {kind: embedded}\ncall: {turns: [{repeat: 2, turns: [{say: a}, {say_text: hello}]}]}",
    ),
];

#[test]
fn mistakes_in_the_course_of_a_call_are_told_with_line_and_hint() {
    let mut shown = String::new();
    for (name, change) in WRONG {
        let text = document(change);
        let problems = check_text(&text, Unset::Absent).expect_err(name);
        writeln!(shown, "======== {name}\n{change}").expect("writing to a string");
        for problem in &problems {
            writeln!(shown, "{}", problem.display("x.yaml")).expect("as above");
        }
        assert!(problems.iter().all(|p| !p.hint.is_empty()), "{name}");
        assert!(!shown.contains("bug worth"), "{name}");
    }
    insta::assert_snapshot!("turn_problems", shown);
}

fn turns(call: &str) -> CallConfig {
    let text = document(&format!("call: {call}"));
    let scenario = check_text(&text, Unset::Absent);
    scenario
        .unwrap_or_else(|problems| panic!("{call}: {problems:#?}"))
        .call
}

#[test]
fn loops_unroll_and_branches_in_them_stay_in_their_pass() {
    let call = turns(
        "{turns: [{say: a}, {repeat: {min: 1, max: 2}, turns: [\
         {say: a, next: [{if: early, go: second}, {if: missed, go: end}]}, {say: a}, \
         {say: a, name: second}]}, {say: a, name: end, hang_up: {after: agent_speech_start}}]}",
    );
    assert_eq!(call.turns.len(), 1 + 2 * 3 + 1);
    let passes: Vec<Option<u32>> = call.turns.iter().map(|t| t.pass.map(|p| p.pass)).collect();
    let expected = [
        None,
        Some(0),
        Some(0),
        Some(0),
        Some(1),
        Some(1),
        Some(1),
        None,
    ];
    assert_eq!(passes, expected);
    let pass = LoopPass {
        group: 0,
        pass: 1,
        min: 1,
        max: 2,
    };
    assert_eq!(call.turns[4].pass, Some(pass));
    for (at, second) in [(1, 3), (4, 6)] {
        let next = call.turns[at]
            .next
            .iter()
            .map(|next| (next.branch.when, next.branch.go));
        let expected = [
            (When::Outcome(Outcome::Early), Go::Turn(second)),
            (When::Outcome(Outcome::Missed), Go::Turn(7)),
        ];
        assert_eq!(next.collect::<Vec<_>>(), expected);
    }
    assert!(call.turns[7].hang_up.is_some());
}

#[test]
fn only_the_first_pass_of_a_loop_at_the_start_waits_for_the_greeting() {
    let call = turns("{greeting: expect, turns: [{repeat: 2, turns: [{say: a}, {say: a}]}]}");
    let anchors: Vec<Anchor> = call.turns.iter().map(|turn| turn.anchor).collect();
    use Anchor::{Greeting, PreviousTurn};
    assert_eq!(
        anchors,
        [Greeting, PreviousTurn, PreviousTurn, PreviousTurn]
    );
}

#[test]
fn picks_pauses_and_unspoken_turns_are_read() {
    let call = turns(
        "{hang_up: {after: 30s}, turns: [{say: {a: 3}}, {say: [a, a], pick: in_order}, \
         {expect: silence, start: {delay: {mean: 800ms, sd: 200ms}}}, {expect: hang_up}]}",
    );
    let picks: Vec<&Pick> = call.turns.iter().map(|turn| &turn.pick).collect();
    let weighted = Pick::Weighted(vec![3]);
    assert_eq!(
        picks,
        [&weighted, &Pick::InOrder, &Pick::Random, &Pick::Random]
    );
    let normal = Delay::Normal {
        mean: Duration::from_millis(800),
        sd: Duration::from_millis(200),
    };
    assert_eq!(
        (&call.turns[2].say, call.turns[2].delay),
        (&Saying::Nothing, normal)
    );
    assert_eq!(call.turns[3].expect, Expect::HangUp);
    assert_eq!(call.hang_up, Some(Duration::from_secs(30)));
}
