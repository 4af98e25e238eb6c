//! The report printed on the terminal after a run.
//!
//! In: a summary and whether colour may be used. Out: lines of at most [`WIDTH`] characters.
//! Invariants: the verdict comes first; the text is the same with and without colour.

use super::figures::{
    QUANTILES, cells, figure, hundredths, in_tables, interval, possibly_infinite,
};
use super::text::{clean, grouped, plural, wrap};
use super::words;
use super::{Style, counts, definitions, flags, variants};
use crate::record::{
    Flag, GateVerdict, Generator, Metrics, Ms, SecondOpinions, Status, SteadySpan, Summary,
};
use crate::vocab::Metric;

/// Maximum line length, in characters.
pub const WIDTH: usize = 100;
/// Width of the key column on the left.
const KEY: usize = 12;
/// Indent of the lines that explain a gate.
const GATE_INDENT: usize = 13;
/// Maximum length of a name or message from outside; longer ones are truncated.
const LONGEST_NAME: usize = 60;
const LONGEST_MESSAGE: usize = 400;
/// Maximum number of steady spans listed.
const SPANS: usize = 6;

/// The report as one string, with a final newline.
pub fn render(summary: &Summary, style: Style) -> String {
    let mut page = Page {
        lines: Vec::new(),
        style,
    };
    page.verdict(summary);
    page.gates(summary);
    page.ttfa(summary);
    page.latencies("latency, ms", &summary.metrics);
    page.steady(summary);
    page.variants(summary);
    page.counts(summary);
    page.failures(summary);
    // A run that was cut off recorded no generator health.
    if summary.run.complete {
        page.generator(&summary.generator);
    }
    page.stamps(summary);
    page.sentinels(summary);
    page.definitions();
    let mut text = page.lines.join("\n");
    text.push('\n');
    text
}

struct Page {
    lines: Vec<String>,
    style: Style,
}

impl Page {
    fn verdict(&mut self, summary: &Summary) {
        let word = match summary.verdict.status {
            Status::Passed => self.style.good("PASSED "),
            Status::Unasked => self.style.head("NO GATES"),
            Status::Failed => self.style.bad("FAILED "),
            Status::Invalid => self.style.doubtful("INVALID"),
            Status::Stopped => self.style.doubtful("STOPPED"),
            Status::Error => self.style.bad("ERROR  "),
        };
        let run = &summary.run;
        let width = match summary.verdict.status {
            Status::Unasked => "NO GATES".len(),
            _ => "PASSED ".len(),
        };
        let pad = " ".repeat(KEY - width);
        let name = self.style.head(&clean(&run.name, LONGEST_NAME));
        self.lines.push(format!("{word}{pad}{name}"));
        let facts = format!(
            "{}, seed {}, {}, {:.1} s, loadgen {}",
            clean(&run.target, 200),
            run.seed,
            clean(&run.started_at, LONGEST_NAME),
            run.duration_ms.as_f64() / 1e3,
            clean(&run.loadgen_version, LONGEST_NAME),
        );
        self.entry("", &facts);
        if let Some(network) = summary.network {
            let share = network.loss * 100.0;
            let bursts = network.burst.map_or_else(String::new, |burst| {
                format!(", in bursts of {burst} on average")
            });
            let text = format!("callers drop {share} % of the agent's packets on purpose{bursts}");
            self.entry("network", &text);
        }
        for reason in &summary.verdict.reasons {
            self.entry("", &clean(reason, LONGEST_MESSAGE));
        }
    }

    fn gates(&mut self, summary: &Summary) {
        if summary.verdict.gates.is_empty() {
            return;
        }
        self.section("gates");
        for gate in &summary.verdict.gates {
            let word = format!("{:<9}", words::answer(gate.answer()));
            let word = match gate.verdict {
                GateVerdict::Passed => self.style.good(&word),
                GateVerdict::Failed => self.style.bad(&word),
                GateVerdict::Undecided => self.style.doubtful(&word),
            };
            let rule = clean(&gate.name(), LONGEST_NAME);
            self.lines.push(format!("  {word}  {rule}"));
            for line in wrap(&words::gate(gate), WIDTH - GATE_INDENT) {
                self.lines.push(format!("{:GATE_INDENT$}{line}", ""));
            }
        }
    }

    fn ttfa(&mut self, summary: &Summary) {
        let (replied, all) = (
            &summary.metrics.get(Metric::Ttfa),
            &summary.metrics.all_turns,
        );
        let mut all_head = plural(all.count, "turn");
        if all.infinite > 0 {
            let never = grouped(all.infinite as u64);
            // The definitions below explain what makes a turn infinite.
            all_head.push_str(&format!(", {never} of them ∞"));
        }
        let replied_head = format!("{} replied, 95 % interval", grouped(replied.count as u64));
        self.section("ttfa, ms");
        self.lines
            .push(format!("{:17}{replied_head:<39}all {all_head}", ""));
        let intervals = &summary.intervals;
        for quantile in &QUANTILES {
            let q = quantile.q;
            let line = format!(
                "  {:<9}{:>10}  {:<26}{:>10}  {}",
                quantile.name,
                figure((quantile.of)(replied)),
                interval(
                    (quantile.span)(&intervals.ttfa),
                    replied.count,
                    q,
                    intervals.level
                ),
                possibly_infinite((quantile.of_all)(all), all),
                interval(
                    (quantile.span)(&intervals.all_turns),
                    all.count,
                    q,
                    intervals.level
                ),
            );
            self.lines.push(line.trim_end().to_owned());
        }
    }

    fn latencies(&mut self, title: &str, metrics: &Metrics) {
        self.section(title);
        let heads = ["min", "mean", "p50", "p90", "p95", "p99", "max"];
        let heads: String = heads.iter().map(|h| format!("{h:>10}")).collect();
        self.lines
            .push(format!("  {:<12}{:>8}{heads}", "", "count"));
        for (metric, latency) in in_tables(metrics) {
            let name = metric.name();
            let count = grouped(latency.count as u64);
            let cells: String = cells(&latency).iter().map(|c| format!("{c:>10}")).collect();
            self.lines.push(format!("  {name:<13}{count:>7}{cells}"));
        }
    }

    /// The figures that `on: steady` gates are judged by.
    fn steady(&mut self, summary: &Summary) {
        let Some(steady) = &summary.steady else {
            return;
        };
        let metrics = &steady.metrics;
        self.latencies("while the load was level: latency, ms", metrics);
        let all = &metrics.all_turns;
        let cells: String = [
            all.min_ms,
            all.mean_ms,
            all.p50_ms,
            all.p90_ms,
            all.p95_ms,
            all.p99_ms,
            all.max_ms,
        ]
        .map(|ms| format!("{:>10}", possibly_infinite(ms, all)))
        .concat();
        let count = grouped(all.count as u64);
        self.lines
            .push(format!("  {:<12}{count:>8}{cells}", "ttfa of all"));
        let seconds = |ms: Ms| format!("{:.1} s", ms.as_f64() / 1e3);
        let span = |span: &SteadySpan| {
            let until = span.until_ms.map_or_else(|| "the end".to_owned(), seconds);
            format!("{} to {until}", seconds(span.from_ms))
        };
        let mut spans: Vec<String> = steady.spans.iter().take(SPANS).map(span).collect();
        let more = steady.spans.len().saturating_sub(SPANS);
        if more > 0 {
            spans.push(format!("and {more} more"));
        }
        self.entry("", &format!("begun in: {}", spans.join(", ")));
    }

    fn variants(&mut self, summary: &Summary) {
        for block in variants::blocks(&summary.variants) {
            self.section(&block.title);
            self.lines.extend(block.rows);
        }
    }

    fn counts(&mut self, summary: &Summary) {
        self.lines.push(String::new());
        self.entry("turns", &counts::turns(&summary.outcomes));
        for remark in counts::remarks(summary) {
            self.entry("", &remark);
        }
        self.entry("calls", &counts::calls(&summary.calls));
        self.second_opinion(summary);
        if !summary.flags.is_empty() {
            let flags: Vec<String> = summary
                .flags
                .iter()
                .map(|(flag, count)| format!("{} {count}", clean(flag, LONGEST_NAME)))
                .collect();
            self.entry("doubts", &format!("flagged turns: {}", flags.join(", ")));
            for flag in summary.flags.keys() {
                let Some((meaning, hint)) = flags::named(flag).and_then(|m| Some((m, m.hint?)))
                else {
                    continue;
                };
                self.entry("", &format!("{}: {}", meaning.flag.name(), meaning.text));
                self.entry("", &format!("  hint: {hint}"));
            }
        }
    }

    fn second_opinion(&mut self, summary: &Summary) {
        let second = &summary.second_opinion;
        if second.asked > 0 {
            let SecondOpinions {
                onsets,
                asked,
                not_speech,
                disputed,
            } = second;
            let text = format!(
                "{asked} of {onsets} onsets judged: {disputed} more than 60 ms apart, \
                 {not_speech} no speech (or not the declared tone)"
            );
            self.entry("2nd opinion", &text);
        }
        if summary.echoes > 0 {
            let times = plural(summary.echoes, "time");
            let text = format!("the caller's own voice came back {times}; not taken for a reply");
            self.entry("echo", &text);
        }
    }

    fn failures(&mut self, summary: &Summary) {
        if summary.failures.is_empty() {
            return;
        }
        self.section("failures");
        for failure in &summary.failures {
            let cause = clean(&failure.cause, LONGEST_NAME);
            let message = clean(&failure.message, LONGEST_MESSAGE);
            let calls = plural(failure.count, "call");
            self.entry("", &format!("{calls}, {cause}: {message}"));
            self.entry(
                "",
                &format!("  hint: {}", clean(&failure.hint, LONGEST_MESSAGE)),
            );
        }
    }

    fn generator(&mut self, generator: &Generator) {
        const MIB: f64 = 1_048_576.0;
        let late = &generator.tick_lateness_ms;
        self.lines.push(String::new());
        let (p50, p99, max) = (late.p50, late.p99, late.max);
        let ticks = format!("ticks late by p50 {p50:.1}, p99 {p99:.1}, max {max:.1} ms");
        self.entry("generator", &ticks);
        self.entry(
            "",
            &format!(
                "{:.2} cores, {:.0} MiB; packets/s {:.0} out, {:.0} in",
                generator.cpu_cores,
                generator.rss_bytes as f64 / MIB,
                generator.packets_out_per_s,
                generator.packets_in_per_s,
            ),
        );
    }

    /// How many turns have an arrival stamped by loadgen instead of the kernel.
    fn stamps(&mut self, summary: &Summary) {
        let flag = Flag::UserSpaceStamp.name();
        if let Some(&count) = summary.flags.get(flag) {
            let turns = plural(count, "turn");
            self.entry(
                "",
                &format!(
                    "arrivals of {turns} were stamped by loadgen itself, not by the kernel: \
                     what kept it busy is in these figures"
                ),
            );
        }
    }

    /// The measurement error, from sentinel calls whose true latency is known.
    fn sentinels(&mut self, summary: &Summary) {
        let Some(s) = &summary.sentinels else { return };
        let mut text = format!("{}, {}", plural(s.calls, "call"), plural(s.turns, "turn"));
        if s.unmatched > 0 {
            text += &format!(" and {} without a figure", s.unmatched);
        }
        if let Some(bias) = s.bias_ms {
            text += &format!(
                ": ttfa_wire less the truth {bias:+.2} ms, off by p50 {}, worst {} ms",
                hundredths(s.p50_abs_ms),
                hundredths(s.max_abs_ms)
            );
        }
        self.entry("sentinels", &text);
        if s.moved {
            let word = self.style.doubtful("their error moved by more than 5 ms");
            let shift = s
                .shift_ms
                .map_or_else(String::new, |shift| format!(" (later half {shift:+.1} ms)"));
            let rest = "the generator or the path is the bottleneck, not the agent";
            self.lines.push(format!("{:KEY$}{word}{shift}:", ""));
            self.entry("", rest);
        }
    }

    fn definitions(&mut self) {
        self.section("definitions");
        for definition in definitions() {
            let lines = wrap(definition.text, WIDTH - 18);
            for (nth, line) in lines.iter().enumerate() {
                let name = if nth == 0 { definition.name } else { "" };
                self.lines.push(format!("  {name:<16}{line}"));
            }
        }
    }

    fn section(&mut self, title: &str) {
        self.lines.push(String::new());
        self.lines.push(self.style.head(title));
    }

    /// Adds a key with its text wrapped beside it. Leading spaces indent the text.
    fn entry(&mut self, key: &str, text: &str) {
        let indent = text.len() - text.trim_start().len();
        for (nth, line) in wrap(text, WIDTH - KEY - indent).iter().enumerate() {
            let key = if nth == 0 { key } else { "" };
            // Pad before styling: escape sequences have no width on the screen.
            let key = self.style.head(&format!("{key:<KEY$}"));
            self.lines.push(format!("{key}{:indent$}{line}", ""));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::fixtures::{Outcome, Run, facts};
    use crate::record::{Ending, RunFacts};

    #[test]
    fn a_load_that_was_not_always_level_has_figures_of_its_own() {
        let mut run = Run::default();
        run.good(20).bad(Outcome::Missed, None);
        let at = |ms: i64| Ms::from_micros(1_000 * ms);
        let span = |from, until: Option<i64>| SteadySpan {
            from_ms: at(from),
            until_ms: until.map(at),
        };
        let of = |steady| {
            let facts = RunFacts {
                steady,
                ..facts(21, Ending::Finished)
            };
            let summary = Summary::build(&facts, &run.calls, &run.turns, &[]);
            render(&summary, Style::Plain)
        };
        let text = of(vec![span(3_000, Some(3_500)), span(12_500, None)]);
        let own = text.split("\n\n").find(|part| part.starts_with("while"));
        insta::assert_snapshot!(own.expect("it has a part"));
        let many = of((0..9).map(|n| span(n, Some(n + 1))).collect());
        assert!(many.contains("and 3 more"), "{many}");
        assert!(!of(vec![]).contains("while the load was level"));
    }
}
