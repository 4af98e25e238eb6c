//! The messages about invalid scenarios, as users see them: one snapshot of all cases.

use super::*;
use proptest::prelude::*;
use std::fmt::Write;

/// Name, and top-level lines `key: …` that replace those of `SMALL` or are added to it.
const CASES: &[(&str, &str)] = &[
    ("not a mapping", "!just text"),
    ("syntax error", "!version: 1\ncall: [\n"),
    ("unsupported version", "version: 2"),
    ("version as text", "version: '1'"),
    ("unknown top key", "trget: {kind: livekit}"),
    (
        "unknown key similar to a known one",
        "call: {turn: [{say: a}], turns: [{say: a}]}",
    ),
    (
        "unknown key unlike any known one",
        "target: {kind: livekit, colour: red}",
    ),
    ("empty shapes", "load: {stages: [], arrival: {}}"),
    (
        "two shapes",
        "load: {stages: [{duration: 1m, target: 3}], arrival: {rate: 1}}",
    ),
    (
        "no call would start",
        "load: {stages: [{duration: 1m, target: 0}], calls: 3, ramp: 1s}",
    ),
    (
        "incomplete stages",
        "load: {stages: [{duration: 1m}, {target: 2}]}",
    ),
    (
        "arrivals without an end",
        "load: {arrival: {rate: 1}, ramp: 1s}",
    ),
    (
        "too many arrivals",
        "load: {arrival: {rate: 100, process: random}, soak: 4h}",
    ),
    ("no rate", "load: {arrival: {rate: 0}, duration: 1m}"),
    ("flat spike", "load: {spike: {base: 5, peak: 5}}"),
    ("duration and soak", "load: {soak: 4h, duration: 1m}"),
    ("merge keys", "load: {<<: {calls: 1}}"),
    ("unknown metric", "thresholds: {latency: ['p(95)<1s']}"),
    (
        "missing keys",
        "!version: 1\ntarget: {}\ncall: {turns: [{expect: respond}]}\n",
    ),
    (
        "nothing said",
        "call: {turns: [{expect: respond}, {say: 5}]}",
    ),
    (
        "said and written",
        "call: {turns: [{say: a, say_text: hello}]}",
    ),
    (
        "empty texts",
        "call: {turns: [{say_text: ''}, {say_text: [' ', 5]}]}",
    ),
    (
        "a text, expected to be ignored",
        "call: {turns: [{say_text: hello, expect: ignore}, {say: a, expect: respond_text}]}",
    ),
    (
        "a text whose reply is not read",
        "call: {agent_account: ignore, turns: [{say_text: hello}]}",
    ),
    (
        "a text for the embedded agent",
        "target: {kind: embedded}\ncall: {turns: [{say: a}, {say_text: hello}]}",
    ),
    ("wrong types", "load: {calls: many, ramp: 10}\nwarmup: 3"),
    (
        "number instead of text",
        "name: 100\ntarget: {kind: livekit, attributes: {tier: 1, vip: true}}",
    ),
    ("key without a value", "load:\nname:"),
    ("unknown kind", "target: {kind: livkit}"),
    ("number instead of a kind", "target: {kind: 3}"),
    ("bounds", "load: {calls: 0, concurrency: 100001}\nseed: -1"),
    (
        "empty collections",
        "utterances: {}\ncall: {turns: []}\nvariants: []",
    ),
    ("bad name", "name: a/b"),
    (
        "bad durations",
        "call: {agent_timeout: 30, turns: [{say: a, timeout: 10 s}, {say: a, timeout: 1s1m}]}",
    ),
    (
        "zero durations",
        "call: {agent_timeout: 0s, turns: [{say: a, timeout: 0s}]}",
    ),
    (
        "no such utterance",
        "utterances: {order: {file: a.wav}, thanks: {file: b.wav}}\ncall: {turns: [{say: odrer}, {say: [thanks, xyzzy]}]}",
    ),
    ("say is a number", "call: {turns: [{say: 3}]}"),
    ("say holds a number", "call: {turns: [{say: [a, 3]}]}"),
    (
        "no such file",
        "utterances: {a: {file: sounds/missing.wav}}",
    ),
    (
        "first turn after a previous turn",
        "call: {turns: [{say: a, start: {after: previous_turn}}]}",
    ),
    (
        "start after a greeting that is not awaited",
        "call: {greeting: none, turns: [{say: a, start: {after: greeting}}]}",
    ),
    (
        "greeting that is not measured",
        "thresholds: {greeting: [max<1s]}",
    ),
    (
        "stop of a silent agent",
        "call: {turns: [{say: a}, {say: a, expect: stop}]}",
    ),
    (
        "delay with swapped bounds",
        "call: {turns: [{say: a, start: {delay: {min: 2s, max: 1s}}}]}",
    ),
    (
        "delay without a maximum",
        "call: {turns: [{say: a, start: {delay: {min: 2s, mx: 3s}}}]}",
    ),
    (
        "delay as a number",
        "call: {turns: [{say: a, start: {delay: 500}}]}",
    ),
    (
        "thresholds",
        "thresholds: {ttfa: [fast, p(95)<1500], missed: [rate<1%], early: rate<1}",
    ),
    (
        "thresholds with filters",
        "thresholds:\n  ttfa{variant:fsat}: [med<1s]\n  ttfa{tag:x}: [med<1s]\n  latency{variant:fast}: [med<1s]\n  ttfa: [{expr: med<1}]\nvariants: [{name: fast}]",
    ),
    (
        "thresholds as mappings",
        "thresholds: {ttfa: [{expr: avg<1s, abort_on_fail: true}, {expr: med<1s, delay: 1s}, {on: ramp}, 3, {expr: med<1s, onn: steady}]}",
    ),
    (
        "steady threshold without a steady period",
        "load: {stages: [{duration: 10s, target: 5}, {duration: 10s, target: 0}]}\nthresholds: {ttfa: [{expr: med<1s, on: steady}]}",
    ),
    (
        "loss without a percent sign",
        "network: {loss: 5, burst: 0.5}",
    ),
    ("loss as a share of 1", "network: {loss: 0.05}"),
    ("loss with a space", "network: {loss: 5 %}"),
    ("loss with a comma", "network: {loss: '5,5%'}"),
    ("negative loss", "network: {loss: -5%}"),
    (
        "numbers with separators",
        "seed: 1_000\nload: {calls: 1,000, arrival: {rate: '2,5'}, duration: 1m}\nwarmup: {calls: 1'000}",
    ),
    (
        "infinite and undefined numbers",
        "seed: .inf\nwarmup: {calls: .nan}\nload: {arrival: {rate: 1e400}, duration: 1m}",
    ),
    (
        "numbers that are too large",
        "seed: 18446744073709551616\nload: {calls: 1e30}\nwarmup: {calls: 1e400}",
    ),
    (
        "numbers in quotes",
        "seed: '1'\nload: {arrival: {rate: '2.5'}, duration: 1m}",
    ),
    (
        "digits of other scripts",
        "seed: １２\nwarmup: {calls: 2.5}",
    ),
    ("one value in a list", "seed: [1]\nname: [x]"),
    (
        "a value instead of a list",
        "thresholds: {ttfa: p(95)<1s, missed: 'rate<0.1, x'}",
    ),
    ("null", "seed: ~\nname: null"),
    (
        "booleans spelled differently",
        "evidence: {all: yes}\nsentinels: true",
    ),
    ("flags in quotes", "evidence: {all: 'true'}\nsentinels: no"),
    ("flags as numbers", "evidence: {all: 1}"),
    (
        "nothing to observe",
        "observe: [{name: a}, {name: a, pid: 1}, {url: 'http://h'}, null]",
    ),
    (
        "observing two things at once",
        "observe: [{name: a, pid: 1, url: 'http://h'}, {name: b, url: 'http://h', children: true}, {name: c, pid: 1, series: [up]}]",
    ),
    (
        "observing with secrets in URLs",
        "observe: [{name: a, url: 'http://me:hunter2@h/metrics'}, {name: b, url: 'http://h/?token=hunter2'}]",
    ),
    (
        "things that cannot be observed",
        "observe: [{name: a, url: 'ws://h'}, {name: b, pid: 0}, {name: c, url: 'http://h', series: ['a b', '']}]",
    ),
    (
        "text that looks like a number",
        "name: 1.10\ntarget: {kind: livekit, attributes: {v: 1e5, w: 007, x: Yes, y: True}}",
    ),
    (
        "a Windows path",
        "!version: 1\nutterances: {a: {file: \"C:\\sounds\\a.wav\"}}\n",
    ),
    ("tabs", "!version: 1\ntarget:\n\tkind: livekit\n"),
    ("a control character", "!version: 1\nname: a\u{1}b\n"),
    (
        "durations in informal notation",
        "call: {agent_timeout: -1, turns: [{say: a, timeout: 1h30}, {say: a, timeout: 1,5s}, \
         {say: a, timeout: 10S}, {say: a, timeout: 1.5}, {say: a, timeout: 0}, \
         {say: a, timeout: '5 sec'}, {say: a, timeout: -1s}, {say: a, timeout: [1s]}]}",
    ),
    (
        "a delay without a unit",
        "target: {kind: embedded, agent: {delay: 400, reply_length: 2}}",
    ),
    (
        "a delay with a comma",
        "target: {kind: embedded, agent: {delay: 'lognormal(400ms,0,3)'}}",
    ),
    (
        "urls",
        "target: {kind: livekit, url: 'ws://127.0.0.1:78800'}\n\
         variants: [{name: a, url: 'ws://h/?a=1'}, {name: b, url: 'wss://me:hunter2@h'}, {name: c, url: 'ws://::1:7880'}]",
    ),
    ("loss above 100%", "network: {loss: 101%}"),
    ("bursts without loss", "network: {burst: 2.6}"),
    (
        "a loss beside directions",
        "network: {loss: 5%, down: {delay: 20ms}}",
    ),
    (
        "two models of loss",
        "network: {up: {loss: 5%, gilbert_elliott: {enter: 1%, leave: 0%}}}",
    ),
    (
        "a state of loss that never ends",
        "network: {up: {gilbert_elliott: {enter: 1%, leave: 0%}}}",
    ),
    (
        "settings of a jitter that there is not",
        "network: {up: {correlation: 20%, order: free, reorder_by: 20ms, queue: 1s}}",
    ),
    (
        "delays and rates out of bounds",
        "network: {down: {delay: 6s, jitter: 3s, bandwidth: 0.5kbit/s, reorder: 1%, reorder_by: 3s}}",
    ),
    (
        "a rate without a unit of time",
        "network: {down: {bandwidth: 64kbit}}",
    ),
    (
        "an outage without an end",
        "network: {down: {outages: [{at: 1s, length: 2s, every: 2s}, {at: 1s, length: 0ms}]}}",
    ),
    ("an unknown preset", "network: {preset: wify}"),
    (
        "mixes",
        "network: {mix: {wifi: 70%, wify: 20%, mine: 20%}, networks: {mine: {up: {delay: 10ms}}, spare: {}}}",
    ),
    (
        "a mix beside a direction, and one that is not whole",
        "network: {mix: {wifi: 70%, 4g: 20%}, up: {delay: 10ms}}",
    ),
    ("networks without a mix", "network: {networks: {mine: {}}}"),
    (
        "the network of a variant",
        "variants: [{name: a, network: {down: {loss: 120%}}}]",
    ),
    ("loss too high for bursts", "network: {loss: 80%, burst: 2}"),
    ("calls and duration", "load: {calls: 5, duration: 1m}"),
    (
        "concurrency above the number of calls",
        "load: {calls: 5, concurrency: 6}",
    ),
    (
        "ramp longer than the duration",
        "load: {duration: 10s, concurrency: 6, ramp: 1m}",
    ),
    ("bad url", "target: {kind: livekit, url: 'localhost:7880'}"),
    (
        "livekit settings of an embedded target",
        "target: {kind: embedded, url: 'ws://x', agent_name: x}",
    ),
    (
        "embedded settings of a livekit target",
        "target: {kind: livekit, agent: {delay: 1s}}",
    ),
    (
        "bad agent",
        "target: {kind: embedded, agent: {delay: 'gauss(1s,2s)', reply: missing.wav, reply_length: 1s}}",
    ),
    (
        "variants of an embedded target",
        "target: {kind: embedded, agent: {reply: a.wav}}\n\
         variants: [{name: a, metadata: x, room_metadata: x, url: 'ws://x'}, {name: b, agent: {delay: soon, reply_length: 1s}}]",
    ),
    (
        "variants of a livekit target",
        "variants: [{name: a, agent: {delay: 1s}}, {name: b, url: 'ftp://x'}, {name: c, api_key: k}]",
    ),
    (
        "variants with the same name",
        "variants: [{name: a}, {agent_name: x}, {name: a}]",
    ),
    (
        "a matrix that cannot be used",
        "name: '${matrix.llm}'\n\
         target: {kind: livekit, agent_name: '${matrix.lm}', metadata: '${matrix.llm} ${matrix.STT:-x}'}\n\
         matrix: {llm: [a, a, 'b/c'], tts: [], a-b: {x: 1}, vad: [1]}\nvariants: [{name: a}]",
    ),
    (
        "a matrix with too many combinations",
        "target: {kind: livekit, metadata: '${matrix.a} ${matrix.b}'}\n\
         matrix: {a: [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11], b: [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]}",
    ),
    (
        "a delay from the matrix",
        "target: {kind: embedded, agent: {delay: '${matrix.d}'}}\nmatrix: {d: [300ms, soon]}",
    ),
    (
        "references without a matrix",
        "target: {kind: livekit, metadata: '${matrix.llm}'}",
    ),
    ("duplicate keys", "name: a\nname: b"),
    (
        "unset variables",
        "target: {kind: '${KIND}', url: '${URL}'}\nload: {calls: '${N}'}",
    ),
    ("variable of the wrong type", "load: {calls: '${HOST}'}"),
    ("malformed variable", "name: '${-x}'"),
    (
        "three mistakes at once",
        "utterances: {a: {file: missing.wav}}\ncall: {turns: [{say: b, timeot: 3s}]}\nload: {calls: 0}",
    ),
];

/// `SMALL` with the top-level keys of `lines` in place of its own; a leading `!` replaces it all.
pub(super) fn document(lines: &str) -> String {
    if let Some(whole) = lines.strip_prefix('!') {
        return whole.to_owned();
    }
    let key = |line: &str| line.split(':').next().unwrap_or_default().to_owned();
    let own: Vec<String> = lines.lines().map(key).collect();
    let kept = SMALL.lines().filter(|line| !own.contains(&key(line)));
    kept.chain(lines.lines())
        .map(|line| format!("{line}\n"))
        .collect()
}

#[test]
fn every_problem_has_a_message_and_a_hint() {
    let mut shown = String::new();
    for (name, lines) in CASES {
        let text = document(lines);
        let problems = check_text(&text, Unset::Problem).expect_err(name);
        writeln!(shown, "======== {name}").expect("writing to a String cannot fail");
        for (number, line) in text.lines().enumerate() {
            writeln!(shown, "{:2} | {line}", number + 1).expect("writing to a String cannot fail");
        }
        for problem in &problems {
            let text = problem.display("x.yaml");
            writeln!(shown, "{text}  [{:?}]", problem.code).expect("as above");
        }
        assert!(problems.is_sorted(), "{name}");
        assert!(
            problems.iter().all(|p| !p.hint.is_empty()),
            "{name}: {problems:#?}"
        );
        assert!(!shown.contains("bug worth"), "{name}");
    }
    insta::assert_snapshot!("problems", shown);
}

#[test]
fn unset_variables_in_required_keys_are_problems() {
    let text = document("target: {kind: '${KIND}'}\ncall: {turns: [{say: ['${X}', a]}]}");
    let problems = check_text(&text, Unset::Absent).expect_err("kind and say are required");
    let paths: Vec<&str> = problems.iter().map(|p| p.path.as_str()).collect();
    assert_eq!(paths, ["target.kind", "call.turns[0].say[0]"]);
    assert!(problems.iter().all(|p| p.code == Code::UnsetVariable));
}

fn mangled() -> impl Strategy<Value = String> {
    let bytes = FULL.len();
    let junk = "[-+.e_~a-z0-9:{}\\[\\], \"'\n$]{0,6}";
    (0..bytes, 0usize..20, junk).prop_map(|(at, cut, junk)| {
        let end = (at + cut).min(FULL.len());
        format!("{}{junk}{}", &FULL[..at], &FULL[end..])
    })
}

proptest! {
    #[test]
    fn the_schema_rejects_everything_that_the_types_reject(text in mangled()) {
        if let Err(problems) = check_text(&text, Unset::Absent) {
            prop_assert!(!problems.is_empty());
            for problem in problems {
                prop_assert!(!problem.hint.contains("bug"), "{text}\n{problem:?}");
            }
        }
    }
}
