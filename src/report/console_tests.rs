//! Terminal output for runs: snapshots, and invariants of every text.
//!
//! Invariants: the default text fits on a screen; everything is the same with and without colour.

use super::tests::{
    all_missed, empty, every_summary, failed, hostile, passed, sentinels, stopped, summary,
};
use super::tests::{gates, threshold};
use super::*;
use crate::record::fixtures::{Failure, Outcome, Run, facts};
use crate::record::{Ending, Flag, RunFacts, SteadySpan, Summary, Threshold};
use crate::stats::Aggregate;

const REPORT: &str = "reports/20260131T120000Z-quickstart/report.html";
/// Every width that is tested: the narrowest layout, usual terminals, the widest layout.
const WIDTHS: [usize; 5] = [40, 72, 80, 100, 120];

fn screen(width: usize) -> Screen {
    Screen::new(Style::Plain, Some(width))
}

fn brief(summary: &Summary) -> String {
    console::brief(summary, screen(100), Some(REPORT))
}

/// Every reason why the generator can make a run invalid.
const DOUBTS: [&str; 7] = [
    "a part of the generator did not move for a minute, so the run was ended",
    "the generator was too slow: 1 in 100 packets left at least 7.3 ms late, over the bound `health.tick_lateness` of 5 ms, first at 150 calls",
    "the generator's signalling was too slow: 1 in 100 of its timers fired at least 63.0 ms late, over the bound `health.signalling_lateness` of 30 ms, first at 40 calls: join times and agent states are late too",
    "our receive buffers were full: the kernel dropped 1093 packets, over the bound `health.own_drops` of 0, first at 150 calls",
    "the operating system refused to send 12 packets, first at 150 calls",
    "20 of 1000 received audio packets belong to no known track: replies may have been missed",
    "300 of 10000 received packets were of no use: 100 failed authentication, 150 had arrived before, 50 were too far behind",
];

fn invalid() -> Summary {
    let mut run = Run::default();
    run.good(60).bad(Outcome::Missed, None);
    let facts = RunFacts {
        invalid: DOUBTS.map(str::to_owned).to_vec(),
        sentinels: Some(sentinels(7_300, 6.1)),
        ..facts(61, Ending::Finished)
    };
    Summary::build(&facts, &run.calls, &run.turns, &gates())
}

/// A killed run.
fn interrupted() -> Summary {
    let mut run = Run::default();
    run.good(4).stopped();
    Summary::build(&facts(50, Ending::Cut), &run.calls, &run.turns, &[])
}

/// A run with every flag, and with calls that failed for several causes.
fn doubted() -> Summary {
    let mut run = Run::default();
    run.good(40)
        .bad(Outcome::Missed, None)
        .bad(Outcome::Early, None)
        .bad(Outcome::Failed, Some(Failure::AgentLeft));
    for _ in 0..2 {
        let detail = "ICE".into();
        run.bad(Outcome::Failed, Some(Failure::Dropped { detail }));
    }
    run.turns[0].flags = Flag::ALL.to_vec();
    let mut summary = summary(&run, 45, Ending::Finished);
    summary.echoes = 3;
    summary.late_replies = 2;
    summary.flags.insert("of_a_later_release".into(), 1);
    summary
}

/// Twenty gates, some of which do not hold.
fn many_gates() -> Summary {
    let mut run = Run::default();
    run.good(110).bad(Outcome::Missed, None);
    let gates: Vec<Threshold> = (1..=20)
        .map(|n| {
            let bound = 100.0 * f64::from(n);
            let gate = threshold(
                "ttfa",
                &format!("p(90)<{bound}ms"),
                Aggregate::Quantile(0.9),
                bound,
            );
            let variant = (n % 7 == 0).then(|| "baseline".to_owned());
            Threshold { variant, ..gate }
        })
        .collect();
    Summary::build(
        &facts(111, Ending::Finished),
        &run.calls,
        &run.turns,
        &gates,
    )
}

fn compared() -> Summary {
    let mut run = Run::default();
    run.compared();
    summary(&run, 30, Ending::Finished)
}

/// As many variants as a scenario may have, with names of the maximum length.
fn many_variants() -> Summary {
    let mut summary = compared();
    let variants = summary.variants.clone();
    summary.variants = (0..50)
        .map(|n| {
            let mut variant = variants[n % variants.len()].clone();
            variant.name = format!("llm-{n}-{}", "long".repeat(14));
            variant
        })
        .collect();
    summary
}

/// A run whose turns all expect a stop.
fn stops() -> Summary {
    let mut summary = failed();
    let stop = summary.metrics.get(crate::vocab::Metric::Join);
    summary.metrics.set(crate::vocab::Metric::Stop, stop);
    summary.metrics.all_turns = Default::default();
    summary
}

/// A run with all of the problems above.
fn worst() -> Summary {
    let (doubted, many) = (doubted(), many_gates());
    Summary {
        verdict: crate::record::Verdict {
            gates: many.verdict.gates,
            ..invalid().verdict
        },
        sentinels: Some(sentinels(7_300, 6.1)),
        variants: many_variants().variants,
        longest_wait_ms: stopped().longest_wait_ms,
        network: Some(crate::record::Network {
            loss: 0.05,
            burst: Some(2.6),
            parts: Vec::new(),
        }),
        ..doubted
    }
}

fn every() -> Vec<(&'static str, Summary)> {
    let mut all = vec![
        ("invalid", invalid()),
        ("interrupted", interrupted()),
        ("doubted", doubted()),
        ("twenty gates", many_gates()),
        ("variants", compared()),
        ("many variants", many_variants()),
        ("stops", stops()),
        ("worst", worst()),
    ];
    all.extend(every_summary().map(|summary| ("one of the others", summary)));
    all
}

#[test]
fn brief_of_a_run_that_passed() {
    insta::assert_snapshot!(brief(&passed()));
}

#[test]
fn brief_of_a_failed_gate() {
    insta::assert_snapshot!(brief(&failed()));
}

#[test]
fn brief_when_all_were_missed() {
    insta::assert_snapshot!(brief(&all_missed()));
}

#[test]
fn brief_of_an_empty_run() {
    insta::assert_snapshot!(brief(&empty()));
}

#[test]
fn brief_of_a_stopped_run() {
    insta::assert_snapshot!(brief(&stopped()));
}

#[test]
fn brief_of_an_interrupted_run() {
    insta::assert_snapshot!(brief(&interrupted()));
}

#[test]
fn brief_of_an_invalid_run() {
    insta::assert_snapshot!(brief(&invalid()));
}

#[test]
fn brief_of_a_run_with_doubts() {
    insta::assert_snapshot!(brief(&doubted()));
}

#[test]
fn brief_of_twenty_gates() {
    insta::assert_snapshot!(brief(&many_gates()));
}

#[test]
fn brief_of_variants() {
    insta::assert_snapshot!("brief_of_variants", brief(&compared()));
    let narrow = console::brief(&many_variants(), screen(80), Some(REPORT));
    insta::assert_snapshot!("brief_of_many_variants_at_80", narrow);
}

#[test]
fn brief_of_turns_that_expect_a_stop() {
    let text = brief(&stops());
    assert!(
        text.contains("\nstop, ms\n  p50 123.0, p95 130.0, p99 130.0 of 22 measured\n"),
        "{text}"
    );
    assert!(!text.contains("ttfa, ms"), "{text}");
}

#[test]
fn brief_with_hostile_names() {
    insta::assert_snapshot!(brief(&hostile().0));
}

#[test]
fn brief_on_narrow_screens() {
    insta::assert_snapshot!(
        "brief_at_80",
        console::brief(&failed(), screen(80), Some(REPORT))
    );
    insta::assert_snapshot!(
        "brief_at_40",
        console::brief(&failed(), screen(40), Some(REPORT))
    );
}

#[test]
fn details_of_a_passed_and_a_failed_run() {
    insta::assert_snapshot!("details_of_a_run_that_passed", details(&passed()));
    insta::assert_snapshot!("details_of_a_failed_gate", details(&failed()));
}

fn details(summary: &Summary) -> String {
    console::details(summary, screen(100), Some(REPORT))
}

/// The text of a run fits on a screen whatever went wrong, and in the lines left for it if a
/// comparison follows, unless names are longer than a scenario allows.
#[test]
fn the_default_view_fits_on_a_screen() {
    for (name, summary) in every() {
        for width in [80, 100, 120] {
            let text = console::brief(&summary, screen(width), Some(REPORT));
            let lines = text.lines().count();
            assert!(lines <= 40, "{name} at {width}: {lines} lines\n{text}");
        }
    }
    for summary in [passed(), failed(), stopped(), many_gates()] {
        let text = console::brief(&summary, screen(100).with_lines(25), Some(REPORT));
        assert!(text.lines().count() <= 25, "{text}");
    }
}

#[test]
fn lines_fit_the_width_and_hold_no_control_characters() {
    for (name, summary) in every() {
        for width in WIDTHS {
            // A path is never wrapped; this one is short.
            let mut texts = vec![console::brief(
                &summary,
                screen(width),
                Some("run/report.html"),
            )];
            // The tables of `--details` need at least 80 columns.
            if width >= 80 {
                texts.push(console::details(&summary, screen(width), None));
            }
            for text in texts {
                assert!(text.ends_with('\n'));
                // The largest figures that a run can have need 100 columns.
                let fits = width >= 100 || !text.contains("1,000,000");
                for line in text.lines() {
                    let wide = text::width(line);
                    assert!(wide <= width || !fits, "{name} at {width}: {line}");
                    let acts = |c: char| c.is_control() || c == '\u{202e}';
                    assert!(!line.contains(acts), "{line:?}");
                    assert_eq!(line, line.trim_end(), "trailing space");
                }
            }
        }
    }
}

/// `text` without its escape sequences.
fn bare(text: &str) -> String {
    let mut bare = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("\u{1b}[") {
        bare.push_str(before);
        rest = after
            .split_once('m')
            .expect("every escape sequence ends with m")
            .1;
    }
    bare + rest
}

#[test]
fn colour_does_not_change_the_text() {
    let lines = |t: &str| {
        let lines = t.lines().map(|l| l.trim_end().to_owned());
        lines.collect::<Vec<_>>()
    };
    for (name, summary) in every() {
        for width in WIDTHS {
            let coloured = Screen::new(Style::Colour, Some(width));
            type Render = fn(&Summary, Screen, Option<&str>) -> String;
            for render in [console::brief as Render, console::details] {
                let colour = render(&summary, coloured, Some(REPORT));
                assert!(colour.contains("\u{1b}["));
                let plain = render(&summary, screen(width), Some(REPORT));
                assert_eq!(lines(&bare(&colour)), lines(&plain), "{name} at {width}");
            }
        }
    }
}

/// No figure is lost or split, however narrow the screen.
#[test]
fn wrapping_keeps_every_figure() {
    let figures = |text: &str| {
        let figure = |word: &&str| word.contains(|c: char| c.is_ascii_digit());
        let words = text.split_whitespace().filter(figure);
        words.map(str::to_owned).collect::<Vec<_>>()
    };
    for summary in [passed(), failed(), stopped(), invalid(), many_gates()] {
        let whole = |width| screen(width).with_lines(Screen::ALL);
        let mut wide = figures(&console::brief(&summary, whole(120), None));
        let mut narrow = figures(&console::brief(&summary, whole(60), None));
        wide.sort_unstable();
        narrow.sort_unstable();
        assert_eq!(wide, narrow);
    }
}

#[test]
fn the_path_of_the_report_is_not_wrapped() {
    let long = format!(
        "/tmp/{}/report.html",
        "a folder with a long name ".repeat(9)
    );
    let text = console::brief(&passed(), screen(80), Some(&long));
    assert!(text.contains(&format!("\nreport      {long}\n")), "{text}");
    let none = console::brief(&passed(), screen(80), None);
    assert!(!none.contains("\nreport"), "{none}");
}

#[test]
fn generator_drift_and_missing_kernel_stamps_are_reported() {
    let steady = passed();
    let moved = Summary {
        sentinels: Some(sentinels(7_300, 6.1)),
        ..passed()
    };
    let none = Summary {
        sentinels: None,
        flags: Default::default(),
        ..passed()
    };
    for (name, summary, said, bottleneck) in [
        ("steady", &steady, true, false),
        ("moved", &moved, true, true),
        ("none", &none, false, false),
    ] {
        let text = details(summary);
        let sentinels = text.contains("sentinels   2 calls, 14 turns");
        assert_eq!(sentinels, said, "{name}:\n{text}");
        for text in [text, brief(summary)] {
            let named = text.contains("is the bottleneck") && text.contains("later half +6.1 ms");
            assert_eq!(named, bottleneck, "{name}:\n{text}");
            let stamped = "1 turn flagged user_space_stamp: the arrival was stamped in user space";
            assert_eq!(text.contains(stamped), said, "{name}:\n{text}");
        }
    }
}

#[test]
fn a_hint_shared_by_several_reasons_is_shown_once() {
    let text = console::brief(&invalid(), screen(100).with_lines(Screen::ALL), None);
    assert_eq!(
        text.matches("how many calls it can carry").count(),
        1,
        "{text}"
    );
    for part in [
        "did not move",
        "7.3 ms late",
        "63.0 ms",
        "1093 packets",
        "its firewall",
    ] {
        assert!(text.contains(part), "{part}\n{text}");
    }
    // A gate's own reason is shown only next to the gate.
    assert_eq!(
        brief(&failed())
            .matches("12 of 72 beyond the bound")
            .count(),
        1
    );
}

#[test]
fn steady_figures_are_in_details_only() {
    let mut run = Run::default();
    run.good(20);
    let span = SteadySpan {
        from_ms: Default::default(),
        until_ms: None,
    };
    let facts = RunFacts {
        steady: vec![span],
        ..facts(20, Ending::Finished)
    };
    let summary = Summary::build(&facts, &run.calls, &run.turns, &gates());
    assert!(details(&summary).contains("while the load was steady"));
    assert!(!brief(&summary).contains("while the load was steady"));
}
