//! Tests of plans: reproducibility from the seed, starts, variants, estimates.

use super::*;
use crate::scenario::{Delay, LoadedSound, Saying, SoundFile, Unset, check};
use proptest::prelude::*;
use std::collections::BTreeSet;
use std::path::Path;

fn scenario(seed: u64, load: &str, more: &str) -> Scenario {
    let text = format!(
        "version: 1\nname: test\nseed: {seed}\ntarget: {{kind: livekit, url: 'ws://localhost:7880'}}\n\
         utterances: {{a: {{file: a.wav}}, b: {{file: b.wav}}, c: {{file: c.wav}}}}\n\
         call:\n  turns:\n    - {{say: a, start: {{after: greeting, delay: 500ms}}}}\n    \
         - {{say: [a, b, c], start: {{after: agent_speech_end, delay: {{min: 300ms, max: 900ms}}}}}}\n    \
         - {{say: [b, c], start: {{delay: {{min: 1s, max: 1s}}}}, timeout: 3s}}\n\
         load: {load}\n{more}"
    );
    let length = |_: &SoundFile<'_>| {
        let length = Duration::from_secs(2);
        Ok(Some(LoadedSound {
            length,
            doubts: Vec::new(),
        }))
    };
    check(
        text.as_bytes(),
        Path::new("test.yaml"),
        &|_| None,
        Unset::Problem,
        &length,
    )
    .expect("a valid scenario")
}

fn lines(scenario: &Scenario) -> String {
    let plan = Plan::new(scenario);
    plan.calls()
        .map(|call| json_line(scenario, &call) + "\n")
        .collect()
}

const VARIANTS: &str = "variants: [{name: x}, {name: y}, {name: z}]\nwarmup: {calls: 2}\n";

#[test]
fn the_same_seed_gives_the_same_bytes() {
    let load = "{calls: 7, concurrency: 3, ramp: 10s}";
    let first = lines(&scenario(7, load, VARIANTS));
    assert_eq!(first, lines(&scenario(7, load, VARIANTS)));
    assert_ne!(first, lines(&scenario(8, load, VARIANTS)));
    // The snapshot is compared byte for byte, so a new version of a library cannot change a plan
    // unnoticed.
    insta::assert_snapshot!("plan_json", first);
}

#[test]
fn the_summary_shows_the_scenario_and_the_first_calls() {
    let scenario = scenario(7, "{calls: 30, concurrency: 3, ramp: 10s}", VARIANTS);
    insta::assert_snapshot!("plan_text", summary(&scenario, &Plan::new(&scenario)));
}

#[test]
fn calls_start_evenly_during_the_ramp_and_then_in_free_slots() {
    let at = |ms| Start::At(Duration::from_millis(ms));
    let cases = [
        (
            "{calls: 4, ramp: 8s}",
            "",
            vec![at(0), at(2000), at(4000), at(6000)],
        ),
        ("{calls: 2}", "", vec![at(0), at(0)]),
        (
            "{calls: 3, concurrency: 1, ramp: 9s}",
            "",
            vec![at(0), Start::AfterSlot, Start::AfterSlot],
        ),
        (
            "{calls: 2, concurrency: 2, ramp: 4s}",
            "warmup: {calls: 3}",
            vec![at(0), at(2000), Start::AfterSlot, at(0), at(2000)],
        ),
    ];
    for (load, more, expected) in cases {
        let plan = Plan::new(&scenario(1, load, more));
        let starts: Vec<Start> = plan.calls().map(|call| call.start).collect();
        assert_eq!(starts, expected, "{load} {more}");
    }
}

#[test]
fn a_load_bounded_by_a_duration_has_no_last_call() {
    let plan = Plan::new(&scenario(1, "{duration: 1m, concurrency: 5}", ""));
    assert_eq!(plan.measured(), None);
    assert_eq!(plan.duration(), Some(Duration::from_secs(60)));
    assert_eq!(plan.calls().take(1000).count(), 1000);
    assert_eq!(
        plan.call(4).map(|call| call.start),
        Some(Start::At(Duration::ZERO))
    );
    assert_eq!(
        plan.call(u64::MAX).map(|call| call.start),
        Some(Start::AfterSlot)
    );
}

#[test]
fn large_runs_need_consent() {
    let cases = [
        ("{calls: 1000, concurrency: 100}", "example.org", None),
        (
            "{calls: 1001, concurrency: 1}",
            "localhost",
            Some("this run makes 1001 calls, about 454 call-minutes"),
        ),
        (
            "{calls: 101}",
            "example.org",
            Some("this run makes 101 calls at once to `example.org`"),
        ),
        ("{calls: 101}", "10.0.0.1", None),
        ("{calls: 101, concurrency: 100}", "example.org", None),
        ("{duration: 1m, concurrency: 10}", "localhost", None),
        (
            "{duration: 100h, concurrency: 100}",
            "localhost",
            Some("in 100h this run makes about 1323600 calls, about 600032 call-minutes"),
        ),
    ];
    for (load, host, expected) in cases {
        let plan = Plan::new(&scenario(1, load, ""));
        let reason = plan
            .needs_consent(Some(host))
            .map(|reason| reason.to_string());
        assert_eq!(reason.as_deref(), expected, "{load} {host}");
    }
    let embedded = Plan::new(&scenario(1, "{calls: 500}", "")).needs_consent(None);
    assert_eq!(embedded, None);
}

#[test]
fn call_minutes_are_estimated_from_the_utterances() {
    // Join 1 s, greeting 4 s; three turns, each with 2 s of speech and a reply of 4.7 s; pauses of
    // 0.5, 0.6 and 1 s.
    let call = Duration::from_millis(1000 + 4000 + 3 * 6700 + 500 + 600 + 1000);
    let estimate = Plan::new(&scenario(
        1,
        "{calls: 10, concurrency: 5}",
        "warmup: {calls: 2}",
    ))
    .estimate();
    assert_eq!(
        (estimate.call, estimate.calls, estimate.run),
        (call, 12, call * 3)
    );
    assert!((estimate.call_minutes() - call.as_secs_f64() * 12.0 / 60.0).abs() < 1e-9);
}

proptest! {
    #[test]
    fn a_call_does_not_depend_on_the_number_of_calls(
        seed in any::<u64>(), calls in 1u32..200, index in 0u64..200, warmup in 0u32..5,
    ) {
        let small = scenario(seed, "{duration: 1h}", VARIANTS.trim_end_matches("warmup: {calls: 2}\n"));
        let large = scenario(
            seed,
            &format!("{{calls: {calls}}}"),
            &format!("variants: [{{name: x}}, {{name: y}}, {{name: z}}]\nwarmup: {{calls: {warmup}}}\n"),
        );
        let alone = Plan::new(&small).call(index).expect("endless");
        let among = Plan::new(&large).call(index + u64::from(warmup));
        prop_assert_eq!(among.is_some(), index < u64::from(calls));
        if let Some(among) = among {
            prop_assert_eq!(&among.turns, &alone.turns);
            prop_assert_eq!(among.variant, alone.variant);
            prop_assert_eq!(&among.room, &alone.room);
        }
    }

    #[test]
    fn every_planned_call_is_within_the_scenarios_bounds(seed in any::<u64>(), calls in 1u32..60, slots in 1u32..60, warmup in 0u32..9) {
        let slots = slots.min(calls);
        let load = format!("{{calls: {calls}, concurrency: {slots}, ramp: 7s}}");
        let scenario = scenario(seed, &load, &format!("warmup: {{calls: {warmup}}}"));
        let plan = Plan::new(&scenario);
        let all: Vec<PlannedCall> = plan.calls().collect();
        prop_assert_eq!(all.len() as u64, plan.measured().expect("counted") + plan.warmup());
        let rooms: BTreeSet<&str> = all.iter().map(|call| call.room.as_str()).collect();
        prop_assert_eq!(rooms.len(), all.len());
        let mut last = Duration::ZERO;
        for call in all.iter().filter(|call| !call.warmup) {
            if let Start::At(offset) = call.start {
                prop_assert!(offset >= last && offset < Duration::from_secs(7));
                last = offset;
            }
        }
        let started = all.iter().filter(|c| !c.warmup && matches!(c.start, Start::At(_))).count();
        prop_assert_eq!(started, slots as usize);
        for call in &all {
            for (turn, written) in call.turns.iter().zip(&scenario.call.turns) {
                let Saying::Utterances(known) = &written.say else {
                    panic!("the scenario sends no texts");
                };
                prop_assert!(turn.utterance().is_some_and(|said| known.contains(&said)));
                let Delay::Between { min, max } = written.delay else {
                    panic!("the scenario has no normal delays");
                };
                prop_assert!((min..=max).contains(&turn.delay));
            }
        }
    }

    #[test]
    fn every_block_has_each_variant_once(seed in any::<u64>(), blocks in 1usize..20) {
        let more = VARIANTS.replace("warmup: {calls: 2}\n", "");
        let plan = Plan::new(&scenario(seed, &format!("{{calls: {}}}", blocks * 3), &more));
        let variants: Vec<usize> = plan.calls().map(|call| call.variant).collect();
        for block in variants.chunks(3) {
            let mut block = block.to_vec();
            block.sort_unstable();
            prop_assert_eq!(block, vec![0, 1, 2]);
        }
    }
}

#[test]
fn texts_are_picked_by_the_seed_and_named_without_their_words() {
    let plan = |seed: u64| {
        let text = format!(
            "version: 1\nseed: {seed}\ntarget: {{kind: livekit}}\ncall: {{turns: [{{say_text: only}}, \
             {{say_text: [first, second]}}]}}\nload: {{calls: 20}}\n"
        );
        let read = |_: &SoundFile<'_>| Ok(None);
        let path = Path::new("t.yaml");
        check(text.as_bytes(), path, &|_| None, Unset::Absent, &read).expect("valid")
    };
    let said = |seed| -> Vec<(String, Option<Arc<str>>)> {
        let scenario = plan(seed);
        let calls: Vec<PlannedCall> = Plan::new(&scenario).calls().collect();
        let turns = calls.into_iter().flat_map(|call| call.turns);
        turns.map(|turn| (turn.say.clone(), turn.text())).collect()
    };
    let (one, other) = (said(1), said(2));
    assert_eq!(one, said(1));
    assert_ne!(one, other);
    for (say, text) in one {
        let text = text.expect("every turn sends a text");
        let expected = match &*say {
            "say_text" => "only",
            "say_text[0]" => "first",
            "say_text[1]" => "second",
            other => panic!("{other}"),
        };
        assert_eq!(&*text, expected);
    }
}

/// The names of what a scenario's calls say, turn by turn; of turns that the call takes.
fn said(turns: &str, more: &str) -> Vec<Vec<String>> {
    let text = format!(
        "version: 1\nseed: 3\ntarget: {{kind: livekit}}\nutterances: {{a: {{file: a.wav}}, b: {{file: \
         b.wav}}, c: {{file: c.wav}}}}\ncall: {{turns: {turns}}}\n{more}"
    );
    let read = |_: &SoundFile<'_>| Ok(None);
    let path = Path::new("t.yaml");
    let scenario = check(text.as_bytes(), path, &|_| None, Unset::Absent, &read).expect("valid");
    let calls = Plan::new(&scenario).calls().collect::<Vec<_>>().into_iter();
    let calls = calls.map(|call| {
        let taken = call.turns.into_iter().filter(|turn| !turn.is_left_out());
        taken.map(|turn| turn.say).collect()
    });
    calls.collect()
}

#[test]
fn entries_in_order_advance_with_every_call_and_every_pass() {
    let one = said("[{say: [a, b, c], pick: in_order}]", "load: {calls: 4}\n");
    assert_eq!(one.concat(), ["a", "b", "c", "a"]);
    let looped = "[{repeat: 4, turns: [{say: [a, b, c], pick: in_order}]}]";
    let two = said(looped, "load: {calls: 2}\n");
    assert_eq!(two, [["a", "b", "c", "a"], ["b", "c", "a", "b"]]);
    // The calls of a block say the same.
    let variants = "load: {calls: 4}\nvariants: [{name: x}, {name: y, agent_name: z}]\n";
    let blocks = said("[{say: [a, b, c], pick: in_order}]", variants);
    assert_eq!(blocks.concat(), ["a", "a", "b", "b"]);
}

#[test]
fn weights_are_shares_of_the_calls() {
    let drawn = said("[{say: {a: 6, b: 3, c: 1}}]", "load: {calls: 4000}\n").concat();
    for (name, share) in [("a", 0.6), ("b", 0.3), ("c", 0.1)] {
        let count = drawn.iter().filter(|say| *say == name).count() as f64 / 4000.0;
        // Four standard deviations.
        assert!((count - share).abs() < 0.031, "{name}: {count}");
    }
}

#[test]
fn loops_are_taken_as_often_as_the_seed_says_within_their_bounds() {
    let turns = "[{repeat: {min: 2, max: 5}, turns: [{say: a}, {say: b}]}, {say: c}]";
    let calls = said(turns, "load: {calls: 400}\n");
    let mut lengths: Vec<usize> = calls.iter().map(Vec::len).collect();
    for call in &calls {
        assert_eq!(call.last().map(String::as_str), Some("c"));
    }
    lengths.sort_unstable();
    lengths.dedup();
    assert_eq!(lengths, [5, 7, 9, 11]);
    // What the turns before a loop say does not depend on the loop.
    let first = |turns: &str| -> Vec<String> {
        let calls = said(turns, "load: {calls: 50}\n");
        calls.into_iter().map(|call| call[0].clone()).collect()
    };
    let alone = first("[{say: [a, b, c]}]");
    let looped = first("[{say: [a, b, c]}, {repeat: {min: 1, max: 9}, turns: [{say: a}]}]");
    assert_eq!(alone, looped);
}

#[test]
fn normal_pauses_have_their_mean_and_deviation_and_end_at_zero() {
    let delays = |mean: &str, sd: &str| -> Vec<f64> {
        let text = format!(
            "version: 1\ntarget: {{kind: livekit}}\nutterances: {{a: {{file: a.wav}}}}\ncall: {{turns: \
             [{{say: a, start: {{delay: {{mean: {mean}, sd: {sd}}}}}}}]}}\nload: {{calls: 4000}}\n"
        );
        let read = |_: &SoundFile<'_>| Ok(None);
        let path = Path::new("t.yaml");
        let scenario = check(text.as_bytes(), path, &|_| None, Unset::Absent, &read);
        let plan = Plan::new(&scenario.expect("valid"));
        plan.calls()
            .map(|call| call.turns[0].delay.as_secs_f64())
            .collect()
    };
    let all = delays("800ms", "200ms");
    let mean = all.iter().sum::<f64>() / all.len() as f64;
    let variance = all.iter().map(|d| (d - mean).powi(2)).sum::<f64>() / all.len() as f64;
    assert!((mean - 0.8).abs() < 0.013, "{mean}");
    assert!((variance.sqrt() - 0.2).abs() < 0.01, "{variance}");
    let within = all.iter().filter(|d| (**d - 0.8).abs() < 0.2).count();
    assert!((within as f64 / 4000.0 - 0.683).abs() < 0.03, "{within}");
    let cut = delays("100ms", "200ms");
    let zero = cut.iter().filter(|delay| **delay == 0.0).count();
    // Of a normal distribution, 30.9 % are below the mean minus half a deviation.
    assert!((zero as f64 / 4000.0 - 0.309).abs() < 0.03, "{zero}");
}
