//! Formats the results of a bench as a table or as JSON.

use super::measure::BenchResult;

pub(super) fn json(done: &BenchResult) -> String {
    // A struct of numbers and text always has a JSON form.
    serde_json::to_string_pretty(done).map_or_else(|e| e.to_string(), |t| t + "\n")
}

fn percent(value: Option<f64>) -> String {
    value.map_or_else(|| "–".to_owned(), |v| format!("{v:.3} %"))
}

pub(super) fn text(done: &BenchResult) -> String {
    let mut text = format!(
        "CPU (of one core) and memory per caller, {} ({} cores, {:.0} s per level)\n\n\
         {:>7} {:>10} {:>10} {:>10} {:>10} {:>9} {:>9} {:>9} {:>10}  heard\n",
        done.target,
        done.cores,
        done.window_s,
        "callers",
        "generator",
        "agent",
        "server",
        "memory",
        "tick p50",
        "tick p99",
        "join p50",
        "all joined"
    );
    for l in &done.levels {
        let tick = &l.came.generator.tick_lateness_ms;
        text += &format!(
            "{:>7} {:>10} {:>10} {:>10} {:>10} {:>9} {:>9} {:>9} {:>10}  {} of {} turns{}\n",
            l.calls,
            percent(Some(l.generator_cpu_percent)),
            percent(l.agent_cpu_percent),
            percent(l.server_cpu_percent),
            format!("{:.0} KiB", l.rss_kib),
            format!("{:.2} ms", tick.p50.as_f64()),
            format!("{:.2} ms", tick.p99.as_f64()),
            format!("{:.0} ms", l.came.join_p50_ms),
            format!("{:.2} s", l.came.all_joined_ms / 1e3),
            l.came.heard,
            l.came.turns,
            match l.came.failed_calls {
                0 => String::new(),
                n => format!(", {n} calls failed"),
            },
        );
    }
    for l in &done.levels {
        if let (Some(took), Some(ratio)) = (&l.peer, l.peer_ratio) {
            text += &format!(
                "\nGo SDK, {} participants, without decoding: {:.3} %, {:.0} KiB; {ratio:.1} times the generator's CPU\n",
                took.participants, took.cpu_percent, took.rss_kib,
            );
        }
        if let Some(pairs) = &l.account_pairs {
            text += &format!(
                "\nreading the agent's account at {} callers: {} pairs, median ratio of CPU {:.3}, \
                 95 % upper bound {}\n",
                l.calls,
                pairs.pairs.len(),
                pairs.ratio_median,
                pairs.ratio_upper_95.map_or_else(
                    || "none (5 pairs are needed)".to_owned(),
                    |r| format!("{r:.3}")
                ),
            );
        }
        for why in &l.came.failures {
            text += &format!("\nfailed at {} callers: {}\n", l.calls, why.escape_debug());
        }
        for why in &l.came.invalid {
            text += &format!(
                "\nthis machine was the limit at {} callers: {why}\n",
                l.calls
            );
        }
    }
    text
}
