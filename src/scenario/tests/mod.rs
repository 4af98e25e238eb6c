//! Tests of the whole checker, with valid and invalid scenarios.

mod cases;
mod overriding;
mod sounds;
mod turns;

use super::*;
use crate::vocab::Anchor;
use std::time::Duration;

/// Checks `text` with a few variables set; every sound file except `missing.wav` exists, 2 s long.
pub(super) fn check_text(text: &str, unset: Unset) -> Result<Scenario, Vec<Problem>> {
    let env = |name: &str| match name {
        "HOST" => Some("example.org".to_owned()),
        "CALLS" => Some("12".to_owned()),
        "DIGITS" => Some("007".to_owned()),
        "WHOLE" => Some(" 2.0\r\n".to_owned()),
        "COPIED" => Some(" 5s\n".to_owned()),
        "LOSS" => Some("5% ".to_owned()),
        "GREETING" => Some("expect\r".to_owned()),
        "DECIMAL" => Some("1.10".to_owned()),
        "LONG" => Some("0123456789abcdef0123456789abcdef".to_owned()),
        _ => None,
    };
    let load = |sound: &SoundFile<'_>| match sound.path.ends_with("missing.wav") {
        true => Err(FileProblem {
            message: format!("there is no file `{}`", sound.path.display()),
            hint: "paths count from the folder of the scenario".to_owned(),
        }),
        false => {
            let mixed = sound.path.ends_with("voices.wav") && sound.channel.is_none();
            let doubt = FileProblem {
                message: "two voices".to_owned(),
                hint: "choose one".to_owned(),
            };
            Ok(Some(LoadedSound {
                length: Duration::from_secs(2),
                doubts: mixed.then_some(doubt).into_iter().collect(),
            }))
        }
    };
    check(
        text.as_bytes(),
        Path::new("dir/my test.yaml"),
        &env,
        unset,
        &load,
    )
}

const SMALL: &str = "version: 1\ntarget: {kind: livekit}\nutterances: {a: {file: a.wav}}\ncall: {turns: [{say: a}]}\n";

const FULL: &str = r#"
version: 1
name: example
seed: 7
target:
  kind: livekit
  url: wss://${HOST}
  api_key: key
  api_secret: hush
  agent_name: support
  room_prefix: lg
  metadata: '{"tier":"gold"}'
  attributes: {locale: en, digits: "${DIGITS}", plain: "$${X}"}
utterances:
  order: {file: ../fixtures/order.wav, text: "where is my order", speech_end: 2.914s}
  thanks: {file: ../fixtures/thanks.wav}
call:
  greeting: expect
  agent_timeout: 20s
  agent_track: voice
  agent_identity: helper-1
  agent_account: ignore
  on_agent_left: fail
  turns:
    - say: order
      start: {after: greeting, delay: 500ms}
      timeout: 5s
    - say: [thanks, order]
      start: {after: agent_speech_start, delay: {min: 300ms, max: 900ms}}
      expect: stop
    - say: thanks
load: {calls: "${CALLS}", concurrency: 4, ramp: 10s}
warmup: {calls: 5}
observe:
  - {name: worker, url: "http://${HOST}:8081", series: [lk_agents_worker_load, queue_depth]}
  - {name: server, url: "HTTPS://${HOST}/prom/"}
  - {name: agent, pid: "${CALLS}", children: true}
thresholds:
  ttfa: ["p(95)<1500ms", {expr: "avg<1s", on: steady}]
  ttfa{variant:fast}: [{expr: med<1s, abort_on_fail: true, delay: 30s}]
  missed: ["rate<0.01"]
variants:
  - {name: baseline}
  - {name: fast, agent_name: quick, metadata: x, attributes: {locale: de}}
  - {name: canary, url: wss://canary.example.org, api_key: k2, api_secret: hush-hush}
"#;

#[test]
fn a_matrix_expands_to_all_combinations_in_file_order() {
    let text = SMALL.replace(
        "target: {kind: livekit}",
        "target: {kind: livekit, agent_name: 'a-${matrix.stt}', attributes: {x: '${matrix.flag}'},\n\
         \x20 metadata: '{\"llm\": \"${matrix.llm}\", \"host\": \"${HOST}\", \"not\": \"$${matrix.llm}\"}'}\n\
         matrix: {stt: [deepgram, whisper], llm: {large: openai/gpt-4o, small: '${HOST}'}, flag: [true]}",
    );
    let scenario = check_text(&text, Unset::Problem).expect("valid");
    let meant = |v: &Variant| {
        let (agent, metadata) = (v.agent_name.as_deref(), v.metadata.as_deref());
        format!("{} {agent:?} {metadata:?} {:?}", v.name, v.attributes)
    };
    let variants: Vec<String> = scenario.variants.iter().map(meant).collect();
    insta::assert_snapshot!("matrix", variants.join("\n"));
    let text = SMALL.replace(
        "target: {kind: livekit}",
        "target: {kind: livekit, room_metadata: '${matrix.llm} ${matrix.vad}'}\n\
         matrix: {llm: [llm-100], vad: [vad-300, vad-500]}\n\
         thresholds: {'ttfa{variant:llm-100/vad-300}': [med<1s]}",
    );
    let scenario = check_text(&text, Unset::Problem).expect("valid");
    let rooms = scenario.variants.iter().map(|v| v.room_metadata.as_deref());
    assert!(rooms.eq([Some("llm-100 vad-300"), Some("llm-100 vad-500")]));
    let gate = &scenario.thresholds[0];
    assert_eq!(gate.variant.as_deref(), Some("llm-100/vad-300"));
    let text = SMALL.replace(
        "target: {kind: livekit}",
        "target: {kind: embedded, agent: {delay: '${matrix.delay}', reply_length: 1s}}\n\
         matrix: {delay: [300ms, 'normal(700ms,9ms)']}",
    );
    let text = text.replace("'normal(700ms,9ms)'", "700ms");
    let scenario = check_text(&text, Unset::Problem).expect("valid");
    let delays = scenario.variants.iter().map(|v| {
        let agent = v.agent.as_ref().expect("an agent of its own");
        (v.name.as_str(), agent.delay.to_string(), agent.reply_length)
    });
    let second = Duration::from_secs(1);
    let expected = [("300ms", second), ("700ms", second)];
    assert!(delays.eq(expected.map(|(name, length)| (name, name.to_owned(), length))));
}

#[test]
fn a_full_scenario_is_parsed() {
    let scenario = check_text(FULL, Unset::Problem).expect("valid");
    insta::assert_debug_snapshot!("full", scenario);
    assert!(
        !format!("{scenario:?}").contains("hush"),
        "secrets are never shown"
    );
}

#[test]
fn a_small_scenario_has_the_defaults() {
    let scenario = check_text(SMALL, Unset::Problem).expect("valid");
    insta::assert_debug_snapshot!("small", scenario);
}

#[test]
fn the_default_anchor_of_the_first_turn_follows_the_greeting() {
    let cases = [
        ("", Anchor::Greeting),
        ("greeting: ignore, ", Anchor::Greeting),
        ("greeting: expect, ", Anchor::Greeting),
        ("greeting: none, ", Anchor::CallStart),
    ];
    for (greeting, anchor) in cases {
        let text = SMALL.replace("call: {", &format!("call: {{{greeting}"));
        let scenario = check_text(&text, Unset::Problem).expect("valid");
        assert_eq!(scenario.call.turns[0].anchor, anchor, "{greeting}");
    }
}

#[test]
fn settings_of_an_embedded_agent_are_parsed() {
    let agent = "agent: {delay: 'uniform(300ms,500ms)', reply: x.wav, greeting: tone}";
    let text = SMALL.replace("kind: livekit", &format!("kind: embedded, {agent}"));
    let text = format!("seed: 9\n{text}");
    let scenario = check_text(&text, Unset::Problem).expect("valid");
    let TargetConfig::Embedded(agent) = scenario.target else {
        panic!("{:?}", scenario.target)
    };
    assert_eq!(agent.delay.to_string(), "uniform(300ms,500ms)");
    assert_eq!(agent.seed, 9);
    assert_eq!(agent.reply, Sound::File("dir/x.wav".into()));
    assert_eq!(agent.greeting, Some(Sound::Tone));
}

#[test]
fn a_load_has_a_number_of_calls_or_a_duration() {
    let minute = Extent::Duration(Duration::from_secs(60));
    let cases = [
        ("{}", Extent::Calls(1), 1),
        ("{calls: 9}", Extent::Calls(9), 9),
        ("{calls: 9, concurrency: 3}", Extent::Calls(9), 3),
        ("{duration: 1m}", minute, 1),
        ("{duration: 1m, concurrency: 5}", minute, 5),
        ("{soak: 1m, concurrency: 5}", minute, 5),
        ("{calls: 9, arrival: {rate: 0.5}}", Extent::Calls(9), 500),
        (
            "{duration: 1m, arrival: {rate: 2, process: poisson, max_concurrent: 8}}",
            minute,
            8,
        ),
        (
            "{stages: [{duration: 50s, target: 4}, {duration: 10s, target: 0}]}",
            minute,
            4,
        ),
        (
            "{spike: {base: 2, peak: 9, before: 20s, hold: 10s, after: 30s}}",
            minute,
            9,
        ),
    ];
    for (load, extent, concurrency) in cases {
        let scenario = check_text(&format!("{SMALL}load: {load}\n"), Unset::Problem);
        let load = scenario.expect(load).load;
        assert_eq!((load.extent, load.concurrency), (extent, concurrency));
    }
}

#[test]
fn unset_variables_are_absent_until_the_run() {
    let text = SMALL
        .replace("kind: livekit", "kind: livekit, url: \"${LIVEKIT_URL}\"")
        .replace("a.wav", "\"${DIR}/missing.wav\"")
        + "load: {calls: \"${N}\"}\nthresholds: {ttfa: [\"p(95)<${BOUND}\"]}\n";
    let scenario = check_text(&text, Unset::Absent).expect("valid without its variables");
    let unset: Vec<&str> = scenario.unset.iter().map(|u| u.name.as_str()).collect();
    assert_eq!(unset, ["LIVEKIT_URL", "DIR", "N", "BOUND"]);
    assert_eq!(scenario.load.extent, Extent::Calls(1));
    assert_eq!(scenario.thresholds, []);
    let problems = check_text(&text, Unset::Problem).expect_err("a run needs its variables");
    let lines: Vec<_> = problems
        .iter()
        .map(|p| (p.code, p.place.line, p.path.as_str()))
        .collect();
    let expected = [
        (Code::UnsetVariable, 2, "target.url"),
        (Code::UnsetVariable, 3, "utterances.a.file"),
        (Code::UnsetVariable, 5, "load.calls"),
        (Code::UnsetVariable, 6, "thresholds.ttfa[0]"),
    ];
    assert_eq!(lines, expected);
}

#[test]
fn integers_are_accepted_in_every_notation() {
    for (written, seed) in [
        ("1.0", 1),
        ("1e3", 1_000),
        ("+5", 5),
        ("010", 10),
        ("0x10", 16),
        ("0o17", 15),
        ("-0", 0),
        ("18446744073709551615", u64::MAX),
        ("18446744073709551615.0", u64::MAX),
        ("1e19", 10_000_000_000_000_000_000),
        ("!!float 3", 3),
        ("\"${CALLS}\"", 12),
        ("\"${WHOLE}\"", 2),
        ("${NONE:-1e1}", 10),
    ] {
        let text = format!("{SMALL}seed: {written}\n");
        let scenario = check_text(&text, Unset::Problem);
        assert_eq!(scenario.map(|s| s.seed), Ok(seed), "{written}");
    }
    let text = SMALL.replace("version: 1", "version: 1.0")
        + "load: {calls: 2e1, concurrency: 2.0, ramp: 1s}\nwarmup: {calls: \"${WHOLE}\"}\n\
           evidence: {slowest: 3.0}\nhealth: {own_drops: 1e2}\n\
           thresholds: {ttfa: [p(95)<1s]}\nnetwork: {loss: 5%, burst: 3}\n";
    let text = text.replace("call: {", "call: {reply_tone: 1e3, ");
    let scenario = check_text(&text, Unset::Problem).expect("valid");
    assert_eq!(scenario.load.extent, Extent::Calls(20));
    assert_eq!((scenario.load.concurrency, scenario.warmup), (2, 2));
    assert_eq!(scenario.call.reply_tone, Some(1_000));
    assert_eq!(scenario.health.own_drops, 100);
    assert_eq!(scenario.evidence.map(|e| e.slowest), Some(3));
    assert_eq!(
        scenario.networks.flat.and_then(|loss| loss.burst),
        Some(3.0)
    );
}

#[test]
fn blanks_around_the_value_of_a_variable_are_ignored() {
    let text = SMALL.replace(
        "call: {",
        "call: {greeting: \"${GREETING}\", agent_timeout: \"${COPIED}\", ",
    ) + "network: {loss: \"${LOSS}\"}\n";
    let scenario = check_text(&text, Unset::Problem).expect("valid");
    assert_eq!(scenario.call.agent_timeout, Duration::from_secs(5));
    assert_eq!(scenario.networks.flat.map(|loss| loss.share), Some(0.05));
}

#[test]
fn settings_beside_an_unset_variable_are_not_called_useless() {
    for direction in [
        "{jitter: \"${UNSET}\", correlation: 20%, order: free}",
        "{reorder: \"${UNSET}\", reorder_by: 20ms}",
        "{bandwidth: \"${UNSET}\", queue: 1s}",
        "{loss: \"${UNSET}\", burst: 2}",
    ] {
        let text = format!("{SMALL}network: {{up: {direction}}}\n");
        let checked = check_text(&text, Unset::Absent);
        assert!(checked.is_ok(), "{direction}: {checked:?}");
    }
}

#[test]
fn values_of_a_matrix_keep_their_spelling() {
    let text = SMALL.replace(
        "target: {kind: livekit}",
        "target: {kind: livekit, room_metadata: '${matrix.v} ${matrix.n}'}\n\
         matrix: {v: [1.10, 1.1, 1e3, 007, 0x10, 1_000, True, '1.50', \"${DECIMAL}0\"], n: {x: 2.50}}",
    );
    let scenario = check_text(&text, Unset::Problem).expect("valid");
    let told = scenario
        .variants
        .iter()
        .map(|v| (v.name.as_str(), v.room_metadata.as_deref()));
    let values = [
        "1.10", "1.1", "1e3", "007", "0x10", "1_000", "True", "1.50", "1.100",
    ];
    let expected = values.map(|value| (format!("{value}/x"), format!("{value} 2.50")));
    assert!(
        told.eq(expected
            .iter()
            .map(|(name, text)| (name.as_str(), Some(text.as_str()))))
    );
}

#[test]
fn line_endings_and_a_byte_order_mark_do_not_matter() {
    let full = check_text(FULL, Unset::Problem).expect("valid");
    for text in [FULL.replace('\n', "\r\n"), format!("\u{feff}{FULL}")] {
        let same = check_text(&text, Unset::Problem).expect("valid");
        assert_eq!(format!("{same:?}"), format!("{full:?}"));
    }
}

#[test]
fn a_long_value_of_a_variable_is_not_quoted() {
    for line in [
        "seed: \"${LONG}\"",
        "name: \"${LONG}%\"",
        "network: {loss: \"${LONG}\"}",
        "warmup: {calls: [\"${LONG}\"]}",
        "sentinels: \"${LONG}\"",
        "thresholds: {ttfa: \"${LONG}\"}",
        "evidence: {all: \"${LONG}\"}",
        "load: {ramp: \"${LONG}\"}",
    ] {
        let text = format!("{SMALL}{line}\n");
        let problems = check_text(&text, Unset::Problem).expect_err(line);
        let said = format!("{problems:?}");
        assert!(!said.contains("0123456789abcdef"), "{said}");
    }
}

#[test]
fn a_scalar_document_is_not_a_scenario() {
    for text in ["ver${NOTHING}s", "${NOTHING}", "\"${NOTHING}\"", "a"] {
        for unset in [Unset::Absent, Unset::Problem] {
            let problems = check_text(text, unset).expect_err(text);
            let said = format!("{problems:?}");
            assert!(!said.contains("worth reporting"), "{said}");
            let whole = problems.iter().any(|p| p.path.is_empty());
            assert!(whole, "{said}");
        }
    }
}

#[test]
fn doubts_about_a_sound_file_have_a_place() {
    let text = SMALL.replace("a.wav", "voices.wav");
    let scenario = check_text(&text, Unset::Problem).expect("valid");
    let doubt = &scenario.doubts[0];
    assert_eq!(
        (doubt.path.as_str(), doubt.place.line),
        ("utterances.a.file", 3)
    );
    assert_eq!(
        (doubt.message.as_str(), scenario.doubts.len()),
        ("two voices", 1)
    );
    assert_eq!(scenario.utterances[0].channel, None);
    let chosen = text.replace("voices.wav", "voices.wav, channel: right");
    let scenario = check_text(&chosen, Unset::Problem).expect("valid");
    assert_eq!(scenario.doubts, []);
    assert_eq!(
        scenario.utterances[0].channel,
        Some(crate::vocab::Channel::Right)
    );
    let wrong = text.replace("voices.wav", "voices.wav, channel: middle");
    let problems = check_text(&wrong, Unset::Problem).expect_err("no such channel");
    assert_eq!(problems[0].path, "utterances.a.channel");
}

#[test]
fn files_that_are_not_utf_8_text_are_problems() {
    let check = |text: &[u8]| {
        check(text, Path::new("x.yaml"), &|_| None, Unset::Absent, &|_| {
            Ok(None)
        })
        .expect_err("not a scenario")
        .remove(0)
    };
    let problem = check(b"version: 1\nname: \xff\xfe\n");
    assert_eq!((problem.code, problem.place.line), (Code::NotUtf8, 2));
    assert_eq!(check(&vec![b'#'; MAX_BYTES + 1]).code, Code::TooLarge);
    let problem = check(b"RIFF\0\0\0\0WAVE\0\0");
    assert_eq!((problem.code, problem.place.line), (Code::Syntax, 1));
    for bytes in [u16::to_le_bytes, u16::to_be_bytes] {
        for mark in ["", "\u{feff}"] {
            let text = format!("{mark}version: 1\n");
            let wide: Vec<u8> = text.encode_utf16().flat_map(bytes).collect();
            let problem = check(&wide);
            assert_eq!((problem.code, problem.place.line), (Code::NotUtf8, 1));
            assert_eq!(problem.hint, "it looks like UTF-16: save it as UTF-8");
        }
    }
}

#[test]
fn the_scenario_name_is_derived_from_the_file_name() {
    let cases = [
        ("100-calls.yaml", "100-calls"),
        ("dir/my test.v2.yml", "my-test.v2"),
        ("ümläut.yaml", "ml-ut"),
        ("..yaml", "scenario"),
        ("___", "scenario"),
    ];
    for (path, name) in cases {
        assert_eq!(name_of(Path::new(path)), name, "{path}");
    }
}
