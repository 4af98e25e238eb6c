//! Evidence on whether the figures are reliable: the network, the second opinion, doubts,
//! generator health, sentinel calls.
//!
//! In: the summary. Out: two sections. Invariant: the figures are those of the console.

use super::super::figures::hundredths;
use super::super::flags::{self, Meaning};
use super::super::text::{grouped, plural};
use super::section::Section;
use super::view::{View, name};
use crate::record::{Generator, Sentinels, Summary, TickLateness};
use maud::{Markup, html};

/// Deliberate packet loss, the second opinion, echoes and doubts.
pub(super) fn network(view: &View<'_>) -> Option<Section> {
    let summary = view.summary;
    let rows = network_rows(summary);
    let flags = flags(summary);
    if rows.is_empty() && flags.is_empty() {
        return None;
    }
    let body = html! {
        @if !rows.is_empty() { (list(&rows)) }
        @if !flags.is_empty() {
            div.scroll tabindex="0" role="group" aria-label="Doubts" {
                table.words {
                    caption { "Doubts: flags never change an outcome or a figure" }
                    thead { tr { th scope="col" { "flag" } th scope="col" { "turns" } th scope="col" { "meaning" } } }
                    tbody { @for (flag, count, meaning) in &flags {
                        tr { th scope="row" { code { (flag) } } td.number { (grouped(*count as u64)) } td { (meaning) } }
                    } }
                }
            }
        }
    };
    Some(Section::new("network", "Network and doubts", body))
}

fn network_rows(summary: &Summary) -> Vec<(&'static str, String)> {
    let mut rows = Vec::new();
    for part in summary.network.iter().flat_map(|network| &network.parts) {
        rows.push(("Simulated network", part.to_string()));
    }
    if let Some(network) = summary.network.as_ref().filter(|n| n.parts.is_empty()) {
        let bursts = network
            .burst
            .map_or_else(String::new, |b| format!(", in bursts of {b} on average"));
        let share = network.loss * 100.0;
        rows.push((
            "Deliberate loss",
            format!("callers drop {share} % of the agent's packets{bursts}"),
        ));
    }
    let second = &summary.second_opinion;
    if second.asked > 0 {
        rows.push((
            "Second opinion",
            format!(
                "{} of {} onsets judged: {} more than 60 ms apart, {} not speech (or not the declared tone)",
                grouped(second.asked as u64),
                grouped(second.onsets as u64),
                grouped(second.disputed as u64),
                grouped(second.not_speech as u64)
            ),
        ));
    }
    if summary.echoes > 0 {
        let times = plural(summary.echoes, "time");
        rows.push((
            "Echo",
            format!("the caller's own voice came back {times} and was not taken for a reply"),
        ));
    }
    rows
}

fn flags(summary: &Summary) -> Vec<(String, usize, String)> {
    let explained = |meaning: &Meaning| match meaning.hint {
        Some(hint) => format!("{}. Try: {hint}", meaning.text),
        None => meaning.text.to_owned(),
    };
    let rows = flags::found(&summary.flags).into_iter();
    rows.map(|(flag, n, meaning)| (name(flag), n, meaning.map(explained).unwrap_or_default()))
        .collect()
}

/// Generator health and the results of sentinel calls. A run that was cut off recorded neither.
pub(super) fn generator(view: &View<'_>) -> Option<Section> {
    let summary = view.complete.then_some(view.summary)?;
    let body = html! {
        p.note { "If the generator itself falls behind, the run is invalid: its latencies are then not those of the agent." }
        (list(&generator_rows(&summary.generator)))
        @if let Some(sentinels) = &summary.sentinels { (self::sentinels(sentinels)) }
    };
    Some(Section::new(
        "generator",
        "The generator's own health",
        body,
    ))
}

fn processor(g: &Generator) -> String {
    let mut text = format!("{:.2} cores on average", g.cpu_cores);
    if let Some(limit) = g.cpu_limit_cores {
        text += &format!(" of the {limit} that its container may use");
    }
    if let Some(share) = g.throttled {
        text += &format!(
            ", throttled at that limit in {:.1} % of the periods",
            share * 100.0
        );
    }
    text
}

fn generator_rows(g: &Generator) -> Vec<(&'static str, String)> {
    const MIB: f64 = 1_048_576.0;
    let late =
        |l: &TickLateness| format!("p50 {:.1}, p99 {:.1}, max {:.1} ms", l.p50, l.p99, l.max);
    let mut rows = vec![
        ("Send lateness", late(&g.tick_lateness_ms)),
        ("Wait in its receive buffers", late(&g.receive_wait_ms)),
        ("Signalling lateness", late(&g.signalling_lateness_ms)),
        ("Processor", processor(g)),
        (
            "Memory",
            format!("{:.0} MiB at most", g.rss_bytes as f64 / MIB),
        ),
        (
            "Packets per second",
            format!(
                "{:.0} out, {:.0} in",
                g.packets_out_per_s, g.packets_in_per_s
            ),
        ),
    ];
    if g.media_threads > 0 {
        let threads = plural(g.media_threads, "media thread");
        rows.push((
            "Threads",
            format!(
                "{threads}, the busiest with {:.0} % of a core",
                g.media_thread_cores * 100.0
            ),
        ));
    }
    if g.own_drops > 0 {
        rows.push((
            "Packets dropped by full receive buffers",
            grouped(g.own_drops),
        ));
    }
    for (what, count) in [
        ("Audio packets of no known track", g.packets_unheard),
        (
            "Media datagrams that failed authentication",
            g.packets_unauthenticated,
        ),
        ("Audio packets that had arrived before", g.packets_repeated),
        ("Audio packets too far behind", g.packets_behind),
        ("Callers' packets lost upstream", g.packets_lost_upstream),
        ("Connection events lost", g.events_lost),
    ] {
        if count > 0 {
            rows.push((what, grouped(count)));
        }
    }
    if let Some(wait) = g.run_queue_wait {
        rows.push((
            "Waited for a core",
            format!("{:.1} % of the time", wait * 100.0),
        ));
    }
    if let Some(steal) = g.steal {
        rows.push((
            "Taken by the machine's host",
            format!("{:.1} % of the time", steal * 100.0),
        ));
    }
    rows
}

fn sentinels(s: &Sentinels) -> Markup {
    let mut rows = vec![
        ("Calls", grouped(s.calls as u64)),
        ("Turns with a known true latency", grouped(s.turns as u64)),
    ];
    if s.unmatched > 0 {
        rows.push(("Turns without a figure", grouped(s.unmatched as u64)));
    }
    if let Some(bias) = s.bias_ms {
        rows.push((
            "ttfa_wire minus the true latency",
            format!("{bias:+.2} ms on average"),
        ));
        let (p50, max) = (hundredths(s.p50_abs_ms), hundredths(s.max_abs_ms));
        rows.push(("Absolute error", format!("p50 {p50}, max {max} ms")));
    }
    if let Some(shift) = s.shift_ms {
        rows.push(("Later half of the run", format!("{shift:+.1} ms")));
    }
    html! {
        h3 { "Sentinels" }
        p.note { "Calls to a reference agent whose true latency is known, made during the run." }
        @if s.moved {
            p.warning {
                strong { "Their error moved by more than 5 ms. " }
                "The generator or the path is the bottleneck, not the agent."
            }
        }
        (list(&rows))
    }
}

fn list(rows: &[(&'static str, String)]) -> Markup {
    html! {
        dl.list { @for (key, value) in rows { div { dt { (key) } dd { (value) } } } }
    }
}
