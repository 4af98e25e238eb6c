//! Interruptions, resumptions, early replies, fillers and silence, each at its exact instant.

use super::*;
use crate::vocab::{Between, Early, FillerSound, HangUp, Resume, SpokenFiller, Stop};
use serde_json::Value;

/// An agent with a tone of `reply` ms.
fn agent(delay: u64, reply: u64, behaviour: Behaviour) -> Table {
    agent_at(3, delay, reply, behaviour)
}

fn agent_at(phase: u64, delay: u64, reply: u64, behaviour: Behaviour) -> Table {
    let clip = |length: Duration| Clip::tone(length, Codec::Opus).expect("tone");
    let filler = behaviour.filler.as_ref().map(|filler| match filler.sound {
        FillerSound::Tone { length } => clip(length),
        FillerSound::File { .. } => unreachable!("these tests have tones"),
    });
    let greeting = behaviour.greeting_delay.map(|_| clip(ms(500)));
    let voice = Voice::behaving(clip(ms(reply)), greeting, filler, behaviour).expect("voice");
    Table::of(ms(phase), ms(delay), voice)
}

impl Table {
    /// The lines of the truth file so far.
    fn told(&self) -> Vec<Value> {
        let lines = self.truth.try_iter();
        lines
            .map(|l| serde_json::to_value(l).expect("json"))
            .collect()
    }

    /// An instant of the truth file, in ms from the start.
    #[track_caller]
    fn at(&self, line: &Value, field: &str) -> f64 {
        let ns = line[field]
            .as_u64()
            .unwrap_or_else(|| panic!("no {field} in {line}"));
        (ns as f64 - monotonic_ns(self.zero) as f64) / 1e6
    }

    fn in_ms(&self, instants: &[Instant]) -> Vec<f64> {
        let ms = |at: &Instant| at.duration_since(self.zero).as_secs_f64() * 1e3;
        instants.iter().map(ms).collect()
    }
}

/// The events of the lines, in order.
fn events(lines: &[Value]) -> Vec<&str> {
    lines.iter().filter_map(|l| l["event"].as_str()).collect()
}

#[track_caller]
fn line<'a>(lines: &'a [Value], event: &str) -> &'a Value {
    let mut found = lines.iter().filter(|l| l["event"] == event);
    let first = found
        .next()
        .unwrap_or_else(|| panic!("no {event} in {lines:#?}"));
    assert!(found.next().is_none(), "several {event} in {lines:#?}");
    first
}

#[track_caller]
fn near(got: f64, want: f64, tolerance: f64) {
    assert!((got - want).abs() <= tolerance, "{got}, not {want}");
}

fn stops(after: u64, ignore: f64) -> Option<Stop> {
    let after = (after > 0).then(|| ms(after));
    Some(Stop { after, ignore })
}

fn resumes(share: f64, restart: f64) -> Option<Resume> {
    Some(Resume {
        under: ms(800),
        share,
        restart,
        pause: ms(500),
    })
}

#[test]
fn the_agent_stops_exactly_the_delay_after_the_callers_first_sample() {
    for (phase, after, from) in [
        (0, 300, 2_000),
        (7, 300, 2_003),
        (13, 455, 1_999),
        (19, 800, 2_010),
    ] {
        let behaviour = Behaviour {
            stop: stops(after, 0.0),
            ..Behaviour::default()
        };
        let mut table = agent_at(phase, 400, 3_000, behaviour);
        let caller = says(table.zero, 9_000, &[(400, 1_000), (from, 4_000)]);
        let heard = table.play(caller, ms(9_000));
        let want = (from + after) as f64;
        let ends = table.in_ms(&heard.ends);
        near(ends[0], want, 3.0);
        let told = table.told();
        let stop = line(&told, "stop");
        near(table.at(stop, "last_audible_ns"), ends[0], 0.1);
        near(table.at(stop, "caller_start_ns"), from as f64, 3.0);
        near(stop["asked_ms"].as_f64().expect("asked"), after as f64, 0.0);
        // The interruption is answered.
        near(table.in_ms(&heard.onsets)[1], 4_400.0, 3.0);
        assert_eq!(events(&told), ["reply", "stop", "reply", "reply_end"]);
    }
}

#[test]
fn an_agent_that_stops_at_once_tells_its_last_audible_sample() {
    for phase in [0, 5, 11] {
        let mut table = agent_at(phase, 400, 3_000, Behaviour::default());
        let caller = says(table.zero, 9_000, &[(400, 1_000), (2_000, 4_000)]);
        let heard = table.play(caller, ms(9_000));
        let told = table.told();
        let stop = line(&told, "stop");
        near(
            table.at(stop, "last_audible_ns"),
            table.in_ms(&heard.ends)[0],
            0.5,
        );
        assert!(stop.get("asked_ms").is_none());
    }
}

#[test]
fn a_reply_that_ends_before_the_agent_would_stop_ends_on_its_own() {
    let behaviour = Behaviour {
        stop: stops(800, 0.0),
        ..Behaviour::default()
    };
    let mut table = agent(400, 1_000, behaviour);
    let caller = says(table.zero, 6_000, &[(400, 1_000), (2_000, 3_000)]);
    let heard = table.play(caller, ms(6_000));
    let told = table.told();
    assert_eq!(events(&told), ["reply", "reply_end", "reply", "reply_end"]);
    near(
        table.at(&told[1], "last_audible_ns"),
        table.in_ms(&heard.ends)[0],
        0.1,
    );
}

#[test]
fn ignored_interruptions_change_nothing_and_are_not_answered() {
    let behaviour = Behaviour {
        stop: stops(0, 1.0),
        ..Behaviour::default()
    };
    let mut table = agent(400, 3_000, behaviour);
    let caller = says(
        table.zero,
        9_000,
        &[(400, 1_000), (2_000, 2_700), (5_500, 6_000)],
    );
    let heard = table.play(caller, ms(9_500));
    assert_eq!(heard.onsets.len(), 2);
    near(table.in_ms(&heard.ends)[0], 4_400.0, 25.0);
    near(table.in_ms(&heard.onsets)[1], 6_400.0, 3.0);
    let told = table.told();
    near(
        table.at(line(&told, "ignored"), "caller_start_ns"),
        2_000.0,
        3.0,
    );
    let expected = ["reply", "ignored", "reply_end", "reply", "reply_end"];
    assert_eq!(events(&told), expected);
}

#[test]
fn a_share_of_the_interruptions_is_ignored_as_the_seed_decides() {
    let mut ignored = 0;
    for call in 0..40 {
        let behaviour = Behaviour {
            stop: stops(300, 0.3),
            ..Behaviour::default()
        };
        let mut table = agent(400, 3_000, behaviour);
        table.agent.chances.dice = Dice::new(9, call);
        let caller = says(table.zero, 3_500, &[(400, 1_000), (2_000, 2_700)]);
        table.play(caller, ms(3_500));
        ignored += table
            .told()
            .iter()
            .filter(|l| l["event"] == "ignored")
            .count();
    }
    assert!((6..=18).contains(&ignored), "{ignored} of 40");
}

#[test]
fn after_a_cough_the_agent_goes_on_where_it_was_or_begins_anew() {
    for (after, restart) in [(0, 0.0), (0, 1.0), (300, 0.0), (300, 1.0)] {
        let behaviour = Behaviour {
            stop: stops(after, 0.0),
            resume: resumes(1.0, restart),
            ..Behaviour::default()
        };
        let mut table = agent(400, 3_000, behaviour);
        let caller = says(table.zero, 9_000, &[(400, 1_000), (2_000, 2_250)]);
        let heard = table.play(caller, ms(9_000));
        let told = table.told();
        let (event, rest) = match restart > 0.5 {
            true => ("restarted", 3_000.0),
            false => (
                "resumed",
                3_000.0 - line(&told, "stop")["media_ms"].as_f64().expect("ms"),
            ),
        };
        let again = line(&told, event);
        let from = table.at(again, "audible_ns");
        near(from, 2_750.0, 3.0);
        near(table.at(again, "caller_end_ns"), 2_250.0, 3.0);
        near(again["media_ms"].as_f64().expect("ms"), 3_000.0 - rest, 5.0);
        // A short pause is one of the same talk spurt.
        let onset = table
            .in_ms(&heard.onsets)
            .last()
            .copied()
            .expect("an onset");
        near(onset, from, 3.0);
        near(
            table.in_ms(&heard.ends).last().copied().expect("an end"),
            from + rest,
            25.0,
        );
        let last = told.last().expect("a line");
        assert_eq!(
            (&last["event"], &last["part"]),
            (&"reply_end".into(), &event.into())
        );
    }
}

#[test]
fn after_some_coughs_it_stays_silent_and_a_question_is_answered() {
    for (share, end, events_after) in [(0.0, 2_250, vec![]), (1.0, 3_500, vec!["reply"])] {
        let behaviour = Behaviour {
            stop: stops(300, 0.0),
            resume: resumes(share, 0.0),
            ..Behaviour::default()
        };
        let mut table = agent(400, 3_000, behaviour);
        let caller = says(table.zero, 5_500, &[(400, 1_000), (2_000, end)]);
        table.play(caller, ms(5_500));
        let told = table.told();
        assert_eq!(events(&told)[..2], ["reply", "stop"]);
        assert_eq!(events(&told)[2..], events_after);
    }
}

#[test]
fn a_resumed_reply_can_be_interrupted_and_resumed_again() {
    let behaviour = Behaviour {
        stop: stops(200, 0.0),
        resume: resumes(1.0, 0.0),
        ..Behaviour::default()
    };
    let mut table = agent(400, 4_000, behaviour);
    let caller = says(
        table.zero,
        9_000,
        &[(400, 1_000), (2_000, 2_200), (3_500, 3_700)],
    );
    table.play(caller, ms(9_000));
    let told = table.told();
    let expected = ["reply", "stop", "resumed", "stop", "resumed", "reply_end"];
    assert_eq!(events(&told), expected);
    let media: Vec<f64> = told[1..5]
        .iter()
        .map(|l| l["media_ms"].as_f64().expect("ms"))
        .collect();
    // It spoke from 1,400 to 2,200 ms and from 2,700 to 3,700 ms.
    near(media[0], 800.0, 5.0);
    near(media[1], 800.0, 8.0);
    near(media[2], 1_800.0, 12.0);
    near(media[3], 1_800.0, 15.0);
    near(
        table.at(&told[5], "last_audible_ns"),
        4_200.0 + 2_200.0,
        35.0,
    );
}

#[test]
fn an_early_agent_answers_into_long_pauses_and_not_into_short_ones() {
    for (pause, early) in [(400, false), (700, true), (1_500, true)] {
        let behaviour = Behaviour {
            early: Some(Early {
                pauses: ms(500),
                share: 1.0,
            }),
            ..Behaviour::default()
        };
        // The caller goes on after the pause for 3 s.
        let mut table = agent(900, 1_000, behaviour);
        let caller = says(
            table.zero,
            9_000,
            &[(400, 1_500), (1_500 + pause, 4_500 + pause)],
        );
        let heard = table.play(caller, ms(9_000));
        let told = table.told();
        let onsets = table.in_ms(&heard.onsets);
        if early {
            near(onsets[0], 2_400.0, 3.0);
            let line = line(&told, "early");
            near(table.at(line, "pause_start_ns"), 1_500.0, 3.0);
            near(table.at(line, "pause_end_ns"), 1_500.0 + pause as f64, 3.0);
        } else {
            assert!(!events(&told).contains(&"early"));
        }
        near(
            *onsets.last().expect("a reply"),
            5_400.0 + pause as f64,
            3.0,
        );
        if pause == 700 {
            // Begun while the caller speaks, it is said to its end.
            near(table.in_ms(&heard.ends)[0], 3_400.0, 25.0);
        }
    }
}

fn fills(gap: u64, state: Between) -> Behaviour {
    Behaviour {
        filler: Some(SpokenFiller {
            sound: FillerSound::Tone { length: ms(400) },
            gap: ms(gap),
            state,
            share: 1.0,
        }),
        ..Behaviour::default()
    }
}

#[test]
fn the_answer_follows_the_filler_after_exactly_the_gap() {
    for (gap, state) in [
        (200, Between::Thinking),
        (1_000, Between::Thinking),
        (1_013, Between::Listening),
    ] {
        let mut table = agent(400, 1_000, fills(gap, state));
        let (sender, mut states) = mpsc::channel(16);
        table.agent.tell_states(sender);
        let caller = says(table.zero, 6_000, &[(400, 1_000)]);
        let heard = table.play(caller, ms(6_000));
        let told = table.told();
        assert_eq!(
            events(&told),
            ["reply", "filler", "reply_end", "answer", "reply_end"]
        );
        let filler_end = table.at(&told[2], "last_audible_ns");
        let answer = table.at(&told[3], "audible_ns");
        near(answer - filler_end, gap as f64, 0.05);
        let onsets = table.in_ms(&heard.onsets);
        near(onsets[0], 1_400.0, 3.0);
        near(onsets[1], answer, 2.0);
        near(
            table.in_ms(&heard.ends)[heard.ends.len() - 1],
            answer + 1_000.0,
            25.0,
        );
        let mut all = Vec::new();
        while let Ok(state) = states.try_recv() {
            all.push(state);
        }
        let between = match state {
            Between::Thinking => AgentState::Thinking,
            Between::Listening => AgentState::Listening,
        };
        let (speaking, thinking) = (AgentState::Speaking, AgentState::Thinking);
        let expected = [thinking, speaking, between, speaking, AgentState::Listening];
        assert_eq!(all, expected);
    }
}

#[test]
fn a_caller_who_speaks_between_filler_and_answer_cancels_the_answer() {
    let mut table = agent(400, 1_000, fills(1_500, Between::Thinking));
    let caller = says(table.zero, 8_000, &[(400, 1_000), (2_500, 3_000)]);
    table.play(caller, ms(4_800));
    let told = table.told();
    let expected = [
        "reply",
        "filler",
        "reply_end",
        "reply",
        "filler",
        "reply_end",
    ];
    assert_eq!(events(&told), expected);
}

#[test]
fn an_interrupted_filler_is_not_answered_behind() {
    let behaviour = Behaviour {
        stop: stops(150, 0.0),
        ..fills(800, Between::Thinking)
    };
    let mut table = agent(400, 1_000, behaviour);
    let caller = says(table.zero, 4_000, &[(400, 1_000), (1_550, 2_800)]);
    table.play(caller, ms(3_150));
    assert_eq!(events(&table.told()), ["reply", "filler", "stop"]);
}

#[test]
fn silent_turns_are_told_and_the_next_one_is_a_new_turn() {
    let behaviour = Behaviour {
        silent: 1.0,
        ..Behaviour::default()
    };
    let mut table = agent(400, 1_000, behaviour);
    let caller = says(table.zero, 5_000, &[(400, 1_000), (1_900, 2_500)]);
    let heard = table.play(caller, ms(5_000));
    assert!(heard.onsets.is_empty());
    let told = table.told();
    assert_eq!(events(&told), ["silent", "silent"]);
    near(table.at(&told[0], "speech_end_ns"), 1_000.0, 3.0);
    near(table.at(&told[1], "speech_end_ns"), 2_500.0, 3.0);
}

#[test]
fn the_greeting_can_be_late() {
    let behaviour = Behaviour {
        greeting_delay: Some(ms(1_700)),
        ..Behaviour::default()
    };
    let mut table = agent(400, 1_000, behaviour);
    table.agent.caller_here(table.zero + ms(500));
    let heard = table.play(VecDeque::new(), ms(5_000));
    let onset = table.in_ms(&heard.onsets)[0];
    assert!((2_200.0..2_240.0).contains(&onset), "{onset}");
    let told = table.told();
    assert_eq!(events(&told), ["reply_end"]);
    assert_eq!(
        (&told[0]["part"], &told[0]["turn"]),
        (&"greeting".into(), &Value::Null)
    );
}

#[test]
fn the_agent_hangs_up_after_a_reply_or_within_it() {
    for (into, expected) in [(None, 4_425.0), (Some(ms(300)), 3_700.0)] {
        let behaviour = Behaviour {
            hang_up: Some(HangUp {
                turn: 2,
                into_reply: into,
            }),
            ..Behaviour::default()
        };
        let mut table = agent(400, 1_000, behaviour);
        let (sender, mut acts) = mpsc::channel(1);
        table.agent.tell_acts(sender);
        let caller = says(table.zero, 6_000, &[(400, 1_000), (2_500, 3_000)]);
        let heard = table.play(caller, ms(6_000));
        assert_eq!(acts.try_recv().ok(), Some(Act::HangUp));
        let told = table.told();
        let hung_up = line(&told, "hung_up");
        assert_eq!(hung_up["turn"], 1);
        let at = table.at(hung_up, "at_ns");
        near(at, expected, 130.0);
        let last = heard.packets.last().expect("packets").0;
        assert!(table.in_ms(&[last])[0] <= at, "nothing is sent after it");
    }
}
