//! The screen shown at the end of a run.
//!
//! In: a summary, the screen, the report's path. Out: at most as many lines as the screen has,
//! unless names and messages from outside are longer than any of loadgen's own. Invariants: if
//! there are more than a handful of gates, those that do not hold are shown and the others are
//! counted; anything else that is left out is counted too.

use super::page::{GATE_INDENT, KEY, Page, gate_head, section};
use super::wrong::{self, Finding};
use super::{head, ttfa};
use crate::record::{GateAnswer, GateResult, Latency, Summary};
use crate::report::figures::{QUANTILES, figure};
use crate::report::fit::{Item, Part, fit};
use crate::report::text::{beside, grouped};
use crate::report::{Screen, counts, talk, told, variants, words};
use crate::vocab::{Metric, Visibility};

/// Up to this many gates are shown one by one, whatever their results.
const HANDFUL: usize = 5;

/// The screen as one string, with a final newline. `report`: the path of the report, or of the
/// run folder.
pub(crate) fn render(summary: &Summary, screen: Screen, report: Option<&str>) -> String {
    let parts = vec![
        top(summary, screen),
        reasons(summary, screen),
        gates(&summary.verdict.gates, screen),
        latencies(summary, screen),
        account(summary, screen),
        ranking(summary, screen),
        outcomes(summary, screen),
        looks_wrong(summary, screen),
        place(report, screen),
    ];
    let page = Page {
        lines: fit(parts, screen.lines, screen.width),
        screen,
    };
    page.into_text()
}

fn top(summary: &Summary, screen: Screen) -> Part {
    let mut page = Page::new(screen);
    head::add(&mut page, summary);
    Part::whole(page.lines)
}

fn items(findings: Vec<Finding>, indent: usize, screen: Screen) -> Vec<Item> {
    let item = |finding: &Finding| Item {
        lines: finding.lines(indent, screen),
        kind: "",
    };
    findings.iter().map(item).collect()
}

fn reasons(summary: &Summary, screen: Screen) -> Part {
    Part::of(Vec::new(), items(wrong::reasons(summary), KEY, screen)).after(KEY)
}

fn gates(gates: &[GateResult], screen: Screen) -> Part {
    let mut by_weight: Vec<(usize, &GateResult)> = gates.iter().enumerate().collect();
    by_weight.sort_by_key(|(_, gate)| weight(gate.answer()));
    let named = |(_, gate): &(usize, &GateResult)| {
        gates.len() <= HANDFUL || weight(gate.answer()) < weight(GateAnswer::WeakPass)
    };
    let (shown, counted): (Vec<_>, Vec<_>) = by_weight.into_iter().partition(named);
    let items = shown
        .into_iter()
        .map(|(place, gate)| (place, row(gate, screen)));
    let counted = counted
        .into_iter()
        .map(|(_, gate)| words::answer(gate.answer()));
    Part::placed(section("gates", screen), items.collect()).and(counted.collect())
}

/// Rank by importance; the answers with the largest rank are left out first.
fn weight(answer: GateAnswer) -> usize {
    match answer {
        GateAnswer::Fail => 0,
        GateAnswer::WeakFail => 1,
        GateAnswer::Undecided => 2,
        GateAnswer::WeakPass => 3,
        GateAnswer::Pass => 4,
    }
}

fn row(gate: &GateResult, screen: Screen) -> Item {
    let (key, name) = gate_head(gate, screen.style);
    let text = format!("{name}: {}", words::gate(gate));
    Item {
        lines: beside(&key, &text, GATE_INDENT, screen.width),
        kind: words::answer(gate.answer()),
    }
}

/// `ttfa` with its intervals, and one line for each of the latencies that are measured only if the
/// scenario requests them.
fn latencies(summary: &Summary, screen: Screen) -> Part {
    let others = summary.metrics.latencies();
    // Without a filler, `answer` is the same as `ttfa`.
    let fillers = summary.conversation.as_ref().map_or(0, |talk| talk.fillers);
    let others = others.filter(|(metric, latency)| {
        let told = match *metric {
            Metric::Answer => fillers > 0,
            // The sentence about the network has them.
            Metric::Rtt | Metric::Jitter => false,
            _ => true,
        };
        metric.row().shown == Visibility::Measured && latency.count > 0 && told
    });
    let mut page = Page::new(screen);
    for (metric, latency) in others {
        let [p50, p95, p99] = [latency.p50_ms, latency.p95_ms, latency.p99_ms].map(figure);
        let count = grouped(latency.count as u64);
        let name = metric.name();
        page.section(&format!("{name}, ms"));
        page.indented(
            &format!("p50 {p50}, p95 {p95}, p99 {p99} of {count} measured"),
            2,
        );
    }
    let mut lines = Vec::new();
    // Turns that do not expect a reply have no `ttfa`.
    if page.lines.is_empty() || summary.metrics.all_turns.count > 0 {
        lines = ttfa::lines(summary, screen);
    }
    lines.extend(page.lines);
    Part::whole(lines)
}

/// The parts of the latency by the agent's own account, and the blind spot. Empty if there are
/// several variants: figures over all variants are not informative, and the report has those of
/// each variant.
fn account(summary: &Summary, screen: Screen) -> Part {
    if !summary.variants.is_empty() {
        return Part::whole(Vec::new());
    }
    let latencies = summary.metrics.latencies();
    let told: Vec<(Metric, Latency)> = latencies
        .filter(|(metric, latency)| metric.row().shown == Visibility::Account && latency.count > 0)
        .collect();
    let mut page = Page::new(screen);
    if !told.is_empty() {
        page.section("the agent's own account, ms");
        for quantile in QUANTILES
            .iter()
            .filter(|q| ["p50", "p95"].contains(&q.name))
        {
            let figures = told.iter().map(|(metric, latency)| {
                format!("{} {}", metric.name(), figure((quantile.of)(latency)))
            });
            let text = figures.collect::<Vec<_>>().join(", ");
            page.beside(&format!("  {}  ", quantile.name), &text, 7);
        }
    }
    let told = told::sentences(summary);
    if page.lines.is_empty() && !told.is_empty() {
        page.section("the agent's own account");
    }
    page.keyed(told);
    Part::whole(page.lines)
}

fn ranking(summary: &Summary, screen: Screen) -> Part {
    if !variants::are_ranked(&summary.variants) {
        return Part::whole(Vec::new());
    }
    let table = variants::table(&summary.variants, screen.width);
    let items = table.rows.into_iter().map(|lines| Item { lines, kind: "" });
    let title = section(&table.title, screen).into_iter().chain(table.head);
    Part::of(title.collect(), items.collect())
}

fn outcomes(summary: &Summary, screen: Screen) -> Part {
    let mut page = Page::new(screen);
    page.lines.push(String::new());
    page.entry("turns", &counts::turns(&summary.outcomes));
    if let Some(remark) = counts::cut_short(summary) {
        page.entry("", &remark);
    }
    page.entry("calls", &counts::calls(&summary.calls));
    for (key, text) in talk::sentences(summary) {
        page.entry(key, &text);
    }
    Part::whole(page.lines)
}

fn looks_wrong(summary: &Summary, screen: Screen) -> Part {
    let items = items(wrong::findings(summary), 2, screen);
    Part::of(section(wrong::TITLE, screen), items)
}

fn place(report: Option<&str>, screen: Screen) -> Part {
    let mut page = Page::new(screen);
    page.place(report);
    Part::whole(page.lines)
}
