//! Tests of the whole page: which parts are present, and that no markup can be injected.

use super::render;
use super::view::View;
use crate::record::fixtures::{CallResult, Failure, Outcome, Run, facts, ms, replied};
use crate::record::{
    Ending, Evidence, EvidenceCall, EvidenceFolder, EvidencePlace, EvidenceReason, EvidenceTurn,
    Expect, Flag, Ms, Reading, RunFacts, RunRecord, Sentinels, Summary, Threshold, TurnRecord,
    Wave,
};
use crate::report::hostile_tests::{describe, with_prices_and_readings};
use crate::report::{Screen, console, definitions};
use crate::stats::{Aggregate, Gate, Inequality};
use crate::vocab::Metric;

const HOSTILE: &str = "</script><script>alert(1)</script><!--<img src=x onerror=alert(2)>\" onmouseover='x' &lt;\u{202e}";

fn record(run: Run) -> RunRecord {
    let gate = Gate {
        aggregate: Aggregate::Quantile(0.95),
        comparison: Inequality::Lt,
        bound: 600.0,
    };
    let gate = Threshold::new("ttfa", "p(95)<600ms", gate);
    let planned = run.calls.len();
    let facts = RunFacts {
        sentinels: Some(Sentinels::default()),
        ..facts(planned, Ending::Finished)
    };
    let summary = Summary::build(&facts, &run.calls, &run.turns, &[gate]);
    RunRecord::new(summary, run.turns, run.calls, Some("name: it\n".into()))
}

fn good(calls: usize) -> Run {
    let mut run = Run::default();
    run.good(calls);
    run
}

/// A run with every outcome, an interruption and a flag.
fn full() -> Run {
    let mut run = good(30);
    run.bad(Outcome::Missed, None)
        .bad(Outcome::Early, None)
        .bad(Outcome::Failed, Some(Failure::AgentLeft));
    // The calls end one after the other, so that the concurrency differs from turn to turn.
    for (nth, call) in run.calls.iter_mut().enumerate() {
        call.ended_ms = Some(Ms::from_micros(nth as i64 * 1_100_000));
    }
    run.turns[0].expect = Expect::Stop;
    run.turns[0].stop_ms = Some(Ms::from_micros(310_250));
    run.turns[1].flags = vec![Flag::LateSend];
    run
}

/// Anchors of the parts that the page contains.
fn parts(page: &str) -> Vec<&str> {
    let heads = page.split("<section class=\"part\" id=\"").skip(1);
    heads.filter_map(|rest| rest.split('"').next()).collect()
}

#[test]
fn sections_are_shown_if_they_have_data() {
    let usual = [
        "latency",
        "time",
        "parts",
        "slowest",
        "turns",
        "generator",
        "scenario",
        "definitions",
    ];
    let page = render(&record(good(30)));
    assert_eq!(parts(&page), usual);
    for part in usual {
        assert!(
            page.contains(&format!("<a href=\"#{part}\">")),
            "{part} is not in the contents"
        );
    }
    assert_eq!(
        parts(&render(&record(full()))),
        [
            "latency",
            "time",
            "load",
            "parts",
            "interruptions",
            "early",
            "failures",
            "slowest",
            "turns",
            "network",
            "generator",
            "scenario",
            "definitions"
        ]
    );
    let nothing = RunRecord {
        scenario: None,
        ..record(Run::default())
    };
    assert_eq!(parts(&render(&nothing)), ["generator", "definitions"]);
}

#[test]
fn observed_series_are_drawn_under_the_latency() {
    let reading = |name: &str, second: i64, load: Option<f64>| Reading {
        gauges: load
            .map(|load| [("lk_agents_worker_load".to_owned(), load)].into())
            .unwrap_or_default(),
        ..Reading::new(name, Ms::from_micros(second * 1_000_000))
    };
    let observed = |readings| record(good(30)).with_observed(readings);
    let page = render(&observed(vec![
        reading("worker", 0, Some(0.25)),
        reading("worker", 5, Some(0.75)),
        reading("worker", 6, None),
        reading(HOSTILE, 5, Some(1.0)),
        reading("server<", 5, None),
    ]));
    let [latency, chart] = ["over-time", "observed"].map(|id| {
        let figure = page
            .split_once(&format!("<figure class=\"chart\" id=\"{id}\""))
            .expect(id);
        figure
            .1
            .split_once("</figure>")
            .expect("its end")
            .0
            .to_owned()
    });
    let axis = |figure: &str| {
        let ticks = figure
            .split("</text>")
            .filter_map(|part| part.rsplit('>').next());
        let ticks: Vec<String> = ticks.map(|t| t.trim().to_owned()).collect();
        let numbers = ticks.iter().rev().skip(1).take(5).cloned();
        numbers.collect::<Vec<_>>()
    };
    assert!(
        chart.contains("worker: load, of 1") && chart.contains("<td>0.75</td>"),
        "{chart}"
    );
    assert!(chart.contains("× no value"));
    assert!(!chart.contains("<script"), "{chart}");
    assert_eq!(axis(&latency), axis(&chart), "the same time axis");
    assert!(page.contains("without a value during the whole run: server&lt;."));
    let nothing = render(&observed(Vec::new()));
    assert!(!nothing.contains("id=\"observed\""));

    // Without any turns, the chart stands alone: there is no latency chart.
    let alone = record(Run::default()).with_observed(vec![reading("worker", 1, Some(1.0))]);
    assert_eq!(parts(&render(&alone))[0], "time");
}

#[test]
fn hostile_text_is_escaped() {
    let mut run = full();
    for turn in &mut run.turns {
        turn.room = HOSTILE.into();
        turn.utterance = HOSTILE.into();
        turn.variant = HOSTILE.into();
        turn.failure = Some(HOSTILE.into());
    }
    let told = |mut run: Run, text: &dyn Fn(&str) -> String| {
        describe(&mut run, text);
        with_prices_and_readings(record(run), text)
    };
    let mut record = told(run, &|place| match place {
        // With the name of the other source, which has values, this source would not count as
        // silent.
        "silent source" => format!("{HOSTILE}2"),
        _ => HOSTILE.into(),
    });
    record.scenario = Some(HOSTILE.into());
    let summary = &mut record.summary;
    summary.run.name = HOSTILE.into();
    summary.run.target = HOSTILE.into();
    summary.run.started_at = HOSTILE.into();
    summary.run.loadgen_version = HOSTILE.into();
    summary.verdict.reasons = vec![HOSTILE.into()];
    summary.verdict.gates[0].metric = HOSTILE.into();
    summary.verdict.gates[0].expression = HOSTILE.into();
    summary.verdict.gates[0].reason = Some(HOSTILE.into());
    summary.verdict.gates[0].words = HOSTILE.into();
    summary.flags.insert(HOSTILE.into(), 1);
    for failure in &mut summary.failures {
        failure.cause = HOSTILE.into();
        failure.message = HOSTILE.into();
        failure.hint = HOSTILE.into();
    }
    let page = render(&record);
    let clean = render(&told(full(), &|place| format!("the-{place}")));
    for place in [
        "model",
        "currency",
        "tool",
        "heard",
        "reply",
        "source",
        "gauge",
        "counter",
        "silent source",
    ] {
        // A currency is at most 8 characters long.
        let shown = format!("the-{}", &place[..place.len().min(3)]);
        assert!(clean.contains(&shown), "{place} is not on the page");
    }
    for markup in [
        "<script", "</script", "<!--", "<img", "<section", "<a ", "<li",
    ] {
        let count = |page: &str| page.matches(markup).count();
        assert_eq!(count(&page), count(&clean), "{markup}");
    }
    // The hostile text contains a quote, which must not end an attribute inside a tag.
    for tag in page
        .split('<')
        .skip(1)
        .filter_map(|rest| rest.split('>').next())
    {
        assert!(!tag.contains("onmouseover='x'"), "{tag}");
    }
    assert!(!page.contains('\u{202e}'));
}

#[test]
fn the_page_loads_no_external_resource() {
    let page = render(&record(full()));
    for outside in ["http://", "https://", "src=", "@import", "url(", "<link"] {
        assert!(!page.contains(outside), "{outside}");
    }
    assert!(page.contains("default-src 'none'"));
    assert!(!page.contains("unsafe-"));
    // The policy forbids styles and scripts in attributes.
    for tag in page
        .split('<')
        .skip(1)
        .filter_map(|rest| rest.split('>').next())
    {
        assert!(
            !tag.contains(" style=") && !tag.contains(" onclick="),
            "{tag}"
        );
    }
}

#[test]
fn figures_are_those_of_the_console() {
    let record = record(full());
    let (page, console) = (
        render(&record),
        console::details(&record.summary, Screen::default(), None),
    );
    let m = &record.summary.metrics;
    for figure in [
        m.get(Metric::Ttfa).p50_ms,
        m.get(Metric::Ttfa).p95_ms,
        m.get(Metric::Ttfa).max_ms,
        m.get(Metric::Join).mean_ms,
        m.get(Metric::AgentPresent).p99_ms,
        m.get(Metric::AgentAudible).p99_ms,
    ] {
        let figure = format!("{:.1}", figure.unwrap());
        assert!(
            console.contains(&figure) && page.contains(&format!(">{figure}<")),
            "{figure}"
        );
    }
    assert!(page.contains(">∞<") && console.contains('∞'));
    for definition in definitions() {
        assert!(page.contains(definition.text), "{}", definition.name);
    }
}

fn kept(turn: &TurnRecord) -> EvidenceTurn {
    EvidenceTurn {
        file: EvidenceFolder::name(turn.call, turn.turn),
        call: turn.call,
        turn: turn.turn,
        why: EvidenceReason::All,
        sample_rate: 48_000,
        start_ms: Ms::default(),
        length_ms: Ms::from_micros(8_000_000),
        speech_end_ms: Ms::from_micros(3_000_000),
        onset_ms: None,
        onset_wire_ms: None,
        cut: false,
    }
}

#[test]
fn kept_evidence_has_a_waveform_and_a_player() {
    let mut record = record(full());
    let slowest = record.slowest()[0].clone();
    let missed = record.turns.iter().find(|t| t.outcome == Outcome::Missed);
    let turns = vec![kept(&slowest), kept(missed.unwrap())];
    let drawn = |page: &str| page.matches("<polygon").count();
    let silent = drawn(&render(&record));
    record.evidence = Some(Evidence {
        version: 1,
        measurement_version: crate::record::MEASUREMENT_VERSION,
        turns,
        left_out: 0,
        calls: Vec::new(),
        calls_left_out: 0,
    });
    record.waves = vec![Wave {
        call: slowest.call,
        turn: slowest.turn,
        caller: vec![200; 100],
        agent: vec![0; 100],
    }];
    let page = render(&record);
    assert_eq!(drawn(&page), silent + 2, "one waveform for each side");
    let sound = "<audio controls preload=\"none\" src=\"evidence/turn-0";
    assert_eq!(page.matches(sound).count(), 2);
    assert!(parts(&page).contains(&"unanswered"));
}

#[test]
fn kept_calls_can_be_played_from_any_turn() {
    let mut record = record(full());
    let missed = record.turns.iter().find(|t| t.outcome == Outcome::Missed);
    let (call, turn) = missed.map(|t| (t.call, t.turn)).unwrap();
    let place = |turn| EvidencePlace {
        turn,
        started_ms: Ms::from_micros(83_000_000),
        speech_end_ms: Ms::from_micros(84_000_000),
        onset_ms: None,
        onset_wire_ms: None,
    };
    let mut evidence = Evidence {
        version: 1,
        measurement_version: crate::record::MEASUREMENT_VERSION,
        turns: Vec::new(),
        left_out: 0,
        calls: Vec::new(),
        calls_left_out: 2,
    };
    record.evidence = Some(evidence.clone());
    assert!(!parts(&render(&record)).contains(&"recordings"));
    evidence.calls = vec![EvidenceCall {
        file: EvidenceFolder::call_name(call),
        call,
        why: EvidenceReason::Failed,
        sample_rate: 16_000,
        start_ms: Ms::default(),
        length_ms: Ms::from_micros(125_940_000),
        turns: vec![place(turn); 130],
        cut: true,
    }];
    record.evidence = Some(evidence);
    let page = render(&record);
    let file = format!("evidence/call-{call:05}.wav");
    for text in [
        format!("src=\"{file}\""),
        format!("<a href=\"{file}#t=82.5\">turn {turn} at 1:23.0</a> (missed)"),
        format!("call {call}, 2:05.9"),
        "2 calls could not be kept".to_owned(),
        "and 30 more turns".to_owned(),
        "without an answer</b>".to_owned(),
    ] {
        assert!(page.contains(&text), "{text}");
    }
}

#[test]
fn a_cut_off_run_is_marked_as_such() {
    let mut record = record(good(3));
    assert!(!render(&record).contains("Incomplete."));
    record.summary.run.complete = false;
    assert!(render(&record).contains("Incomplete."));
}

/// Five calls were under way when this run was killed; the journal also contains sentinel turns.
#[test]
fn a_killed_run_shows_only_what_was_recorded() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let record =
        RunRecord::read(&root.join("tests/records/v1-killed")).expect("a readable run folder");
    let page = render(&record);
    assert!(!parts(&page).contains(&"generator"), "not recorded");
    assert!(page.contains("10 of 10 onsets judged"), "{page}");
    let view = View::new(&record);
    let at = |ms: i64| view.calls_at(Ms::from_micros(1_000 * ms));
    assert_eq!((at(50), at(250), at(4_000)), (Some(1), Some(3), Some(5)));
}

#[test]
fn a_page_of_ten_thousand_turns_is_less_than_a_megabyte() {
    let mut run = good(3_333);
    for (nth, turn) in run.turns.iter_mut().enumerate() {
        turn.room = format!("loadgen-8f3a2c-c{:05}", turn.call);
        turn.ttfa_wire_ms = Some(Ms::from_micros(1_234_567 + 17 * nth as i64));
    }
    assert!(run.turns.len() > 9_990);
    let page = render(&record(run));
    assert!(page.len() < 1_000_000, "{} bytes", page.len());
    // Charts draw groups: the number of elements does not grow with the number of turns.
    let drawn = page.matches("<rect").count()
        + page.matches("<circle").count()
        + page.matches("<line").count();
    assert!(drawn < 2_000, "{drawn} elements");
}

#[test]
fn identical_turns_are_drawn() {
    for calls in [1, 2, 400] {
        let mut run = Run::default();
        for _ in 0..calls {
            run.call(|base| CallResult {
                turns: vec![replied(base, 0, ms(400), ms(20))],
                ..CallResult::default()
            });
        }
        let page = render(&record(run));
        assert!(
            page.contains("id=\"histogram\"") && page.contains("id=\"over-time\""),
            "{calls}"
        );
        assert!(!page.contains("NaN"), "{calls}");
    }
}

#[test]
fn several_variants_are_compared() {
    let page = render(&record(good(5)));
    assert!(!parts(&page).contains(&"variants"));
    let mut run = Run::default();
    run.compared();
    for turn in run.turns.iter_mut().filter(|t| t.variant == "slow") {
        turn.variant = HOSTILE.into();
    }
    for call in run.calls.iter_mut().filter(|c| c.variant == "slow") {
        call.variant = HOSTILE.into();
    }
    let page = render(&record(run));
    assert_eq!(parts(&page).first(), Some(&"variants"));
    assert!(page.contains("Later than quick") && page.contains("[+295.9, +304.1]"));
    assert!(!page.contains("<script>alert"), "a variant's name is text");
    assert_eq!(page.matches(">slower<").count(), 1);
}
