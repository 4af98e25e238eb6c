//! Every figure of a run, for `--details`.
//!
//! In: a summary, the screen, the report's path. Out: any number of lines.
//! Invariant: everything that is shown by default is shown here too.

use super::page::{GATE_INDENT, KEY, LONGEST_NAME, Page, gate_head};
use super::{head, ttfa, wrong};
use crate::record::{Generator, Metrics, Ms, SecondOpinions, SteadySpan, Summary};
use crate::report::figures::{cells, hundredths, in_tables, possibly_infinite};
use crate::report::text::{clean, grouped, plural, width};
use crate::report::{Screen, counts, definitions, talk, told, variants, words};

/// Maximum number of steady spans listed.
const SPANS: usize = 6;
/// Width of the names of latencies, including their indent.
const NAMES: usize = 20;
/// Width of the defined terms, including their indent.
const DEFINITIONS: usize = 18;
/// Width of each figure of a latency, if the screen is wide enough.
const FIGURE: usize = 10;

/// Everything as one string, with a final newline. `report`: the path of the report, or of the
/// run folder.
pub(crate) fn render(summary: &Summary, screen: Screen, report: Option<&str>) -> String {
    let mut details = Details(Page::new(screen));
    details.verdict(summary);
    details.gates(summary);
    details.0.lines.extend(ttfa::lines(summary, screen));
    details.table("latency, ms", rows(&summary.metrics));
    details.steady(summary);
    details.variants(summary);
    details.told(summary);
    details.counts(summary);
    details.looks_wrong(summary);
    // A run that was cut off recorded no generator health.
    if summary.run.complete {
        details.generator(&summary.generator);
    }
    details.sentinels(summary);
    details.definitions();
    details.0.place(report);
    details.0.into_text()
}

/// A latency's name, its number of values, and its figures.
type Row = (&'static str, String, [String; 7]);

fn rows(metrics: &Metrics) -> Vec<Row> {
    let rows = in_tables(metrics).map(|(metric, latency)| {
        let count = grouped(latency.count as u64);
        (metric.name(), count, cells(&latency))
    });
    rows.collect()
}

struct Details(Page);

impl Details {
    fn told(&mut self, summary: &Summary) {
        let told = told::sentences(summary);
        if !told.is_empty() {
            self.0.section("the agent's own account");
        }
        self.0.keyed(told);
    }

    fn verdict(&mut self, summary: &Summary) {
        head::add(&mut self.0, summary);
        for reason in wrong::reasons(summary) {
            self.0.lines.extend(reason.lines(KEY, self.0.screen));
        }
    }

    fn gates(&mut self, summary: &Summary) {
        if summary.verdict.gates.is_empty() {
            return;
        }
        self.0.section("gates");
        let style = self.0.screen.style;
        for gate in &summary.verdict.gates {
            let (key, name) = gate_head(gate, style);
            self.0.beside(&key, &name, GATE_INDENT);
            self.0.indented(&words::gate(gate), GATE_INDENT);
        }
    }

    /// Adds a table of latencies; on a narrow screen its columns are only as wide as their figures.
    fn table(&mut self, title: &str, rows: Vec<Row>) {
        let heads = ["min", "mean", "p50", "p90", "p95", "p99", "max"].map(str::to_owned);
        let figures = rows.iter().flat_map(|(.., cells)| cells);
        let longest = figures.map(|cell| width(cell)).max().unwrap_or(0).max(4) + 1;
        let counts = rows.iter().map(|(_, count, _)| width(count));
        let counts = counts.max().unwrap_or(0).max("count".len());
        let room = self.0.screen.width.saturating_sub(NAMES + counts) / heads.len();
        let wide = room.min(FIGURE).max(longest);
        let line = |name: &str, count: &str, cells: &[String; 7]| {
            let cells: String = cells.iter().map(|c| format!("{c:>wide$}")).collect();
            format!("  {name:<0$}{count:>counts$}{cells}", NAMES - 2)
        };
        self.0.section(title);
        let head = line("", "count", &heads);
        self.0.lines.push(head);
        let rows = rows
            .iter()
            .map(|(name, count, cells)| line(name, count, cells));
        self.0.lines.extend(rows);
    }

    /// The figures that `on: steady` gates are judged by.
    fn steady(&mut self, summary: &Summary) {
        let Some(steady) = &summary.steady else {
            return;
        };
        let metrics = &steady.metrics;
        let all = &metrics.all_turns;
        let of_all = [
            all.min_ms,
            all.mean_ms,
            all.p50_ms,
            all.p90_ms,
            all.p95_ms,
            all.p99_ms,
            all.max_ms,
        ];
        let of_all = of_all.map(|ms| possibly_infinite(ms, all));
        let of_all = ("ttfa of all", grouped(all.count as u64), of_all);
        let title = "while the load was steady: latency, ms";
        let rows = rows(metrics).into_iter().chain([of_all]);
        self.table(title, rows.collect());
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
        self.0.entry("", &format!("began in: {}", spans.join(", ")));
    }

    fn variants(&mut self, summary: &Summary) {
        if !variants::are_ranked(&summary.variants) {
            return;
        }
        let table = variants::table(&summary.variants, self.0.screen.width);
        self.0.section(&table.title);
        self.0.lines.extend(table.head);
        self.0.lines.extend(table.rows.into_iter().flatten());
    }

    fn counts(&mut self, summary: &Summary) {
        self.0.lines.push(String::new());
        self.0.entry("turns", &counts::turns(&summary.outcomes));
        for remark in counts::remarks(summary) {
            self.0.entry("", &remark);
        }
        self.0.entry("calls", &counts::calls(&summary.calls));
        for (key, text) in talk::sentences(summary) {
            self.0.entry(key, &text);
        }
        self.second_opinion(summary);
        if !summary.flags.is_empty() {
            let flags = summary.flags.iter();
            let flags = flags.map(|(flag, count)| format!("{} {count}", clean(flag, LONGEST_NAME)));
            let flags: Vec<String> = flags.collect();
            self.0
                .entry("doubts", &format!("flagged turns: {}", flags.join(", ")));
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
                 {not_speech} not speech (or not the declared tone)"
            );
            self.0.entry("2nd opinion", &text);
        }
    }

    fn looks_wrong(&mut self, summary: &Summary) {
        let findings = wrong::findings(summary);
        if !findings.is_empty() {
            self.0.section(wrong::TITLE);
        }
        for finding in findings {
            self.0.lines.extend(finding.lines(2, self.0.screen));
        }
    }

    fn generator(&mut self, generator: &Generator) {
        const MIB: f64 = 1_048_576.0;
        let late = &generator.tick_lateness_ms;
        self.0.lines.push(String::new());
        let (p50, p99, max) = (late.p50, late.p99, late.max);
        let ticks = format!("send lateness p50 {p50:.1}, p99 {p99:.1}, max {max:.1} ms");
        self.0.entry("generator", &ticks);
        let limit = generator.cpu_limit_cores.map(|c| format!(" of {c}"));
        self.0.entry(
            "",
            &format!(
                "{:.2}{} cores, {:.0} MiB; packets/s {:.0} out, {:.0} in",
                generator.cpu_cores,
                limit.unwrap_or_default(),
                generator.rss_bytes as f64 / MIB,
                generator.packets_out_per_s,
                generator.packets_in_per_s,
            ),
        );
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
                ": ttfa_wire minus the true latency {bias:+.2} ms, absolute error p50 {}, max {} ms",
                hundredths(s.p50_abs_ms),
                hundredths(s.max_abs_ms)
            );
        }
        self.0.entry("sentinels", &text);
    }

    fn definitions(&mut self) {
        self.0.section("definitions");
        for definition in definitions() {
            let name = format!("  {:<1$} ", definition.name, DEFINITIONS - 3);
            self.0.beside(&name, definition.text, DEFINITIONS);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::fixtures::{Outcome, Run, facts};
    use crate::record::{Ending, RunFacts};

    #[test]
    fn steady_spans_have_their_own_figures() {
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
            render(&summary, Screen::default(), None)
        };
        let text = of(vec![span(3_000, Some(3_500)), span(12_500, None)]);
        let own = text.split("\n\n").find(|part| part.starts_with("while"));
        insta::assert_snapshot!(own.expect("a part about the steady spans"));
        let many = of((0..9).map(|n| span(n, Some(n + 1))).collect());
        assert!(many.contains("and 3 more"), "{many}");
        assert!(!of(vec![]).contains("while the load was steady"));
    }
}
