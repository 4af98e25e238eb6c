//! Tables by variant: critical path, word errors, usage and cost.
//!
//! In: a summary. Out: sections for what the agents report. Invariant: a figure that no agent
//! reports is a dash, never 0.

use super::super::figures::figure;
use super::super::told::{amounts, money, rate};
use super::section::Section;
use super::view::{View, name};
use crate::record::{PathFigures, Rate, SaidFigures, Step, Summary, UsageFigures};
use crate::vocab::Metric;
use maud::{Markup, html};

/// The figures that agents report for the whole run or for one variant.
struct Told<'a> {
    name: String,
    path: Option<&'a PathFigures>,
    said: Option<&'a SaidFigures>,
    usage: Option<&'a UsageFigures>,
}

/// The whole run, or each of its variants.
fn all(summary: &Summary) -> Vec<Told<'_>> {
    if summary.variants.is_empty() {
        return vec![Told {
            name: "all turns".to_owned(),
            path: summary.critical_path.as_ref(),
            said: summary.said.as_ref(),
            usage: summary.usage.as_ref(),
        }];
    }
    let variants = summary.variants.iter();
    let of = variants.map(|v| Told {
        name: name(&v.name),
        path: v.critical_path.as_ref(),
        said: v.said.as_ref(),
        usage: v.usage.as_ref(),
    });
    of.collect()
}

fn table(label: &str, heads: &[String], rows: &[(String, Vec<String>)]) -> Markup {
    html! {
        div.scroll tabindex="0" role="group" aria-label=(label) {
            table.figures {
                thead { tr { @for head in heads { th scope="col" { (head) } } } }
                tbody { @for (title, cells) in rows {
                    tr { th scope="row" { (title) } @for cell in cells { td { (cell) } } }
                } }
            }
        }
    }
}

/// The critical path, step by step.
pub(super) fn critical(view: &View<'_>) -> Option<Section> {
    let told = all(view.summary);
    let paths: Vec<(&str, &PathFigures)> = told
        .iter()
        .filter_map(|t| Some((&*t.name, t.path?)))
        .collect();
    if paths.is_empty() {
        return None;
    }
    let of = |path: &PathFigures, step: Step| path.steps.iter().find(|s| s.step == step).cloned();
    let known = |step: &Step| paths.iter().any(|(_, path)| of(path, *step).is_some());
    let steps: Vec<Step> = Step::ALL.iter().copied().filter(known).collect();
    let heads = ["", "replies"].map(str::to_owned).into_iter();
    let heads = heads.chain(steps.iter().map(|step| step.words().to_owned()));
    let heads: Vec<String> = heads
        .chain(["ttfa".to_owned(), "most often the longest".to_owned()])
        .collect();
    let row = |(name, path): &(&str, &PathFigures)| {
        let mean = |step: &Step| {
            let step = of(path, *step);
            step.map_or_else(|| "–".to_owned(), |s| figure(Some(s.mean_ms)))
        };
        let longest = path.longest().map_or_else(String::new, |s| {
            format!("{}, in {}", s.step.words(), s.longest)
        });
        let cells = std::iter::once(path.turns.to_string()).chain(steps.iter().map(mean));
        let cells = cells.chain([figure(Some(path.mean_ms)), longest]);
        ((*name).to_owned(), cells.collect())
    };
    let rows: Vec<(String, Vec<String>)> = paths.iter().map(row).collect();
    let body = html! {
        p.note {
            "The critical path of a reply is the chain of steps that it waited for, traced backwards from its first audio: shortening one of these steps makes the reply come sooner, shortening anything else does not. "
            "The table has means in ms; they add up to the mean ttfa."
        }
        (table("The critical path", &heads, &rows))
    };
    Some(Section::new("path", "Critical path of the replies", body))
}

/// Word error rates, usage and cost.
pub(super) fn words_and_cost(view: &View<'_>) -> Option<Section> {
    let told = all(view.summary);
    if told.iter().all(|t| t.said.is_none() && t.usage.is_none()) {
        return None;
    }
    let shown = |r: Option<Rate>, metric: Metric| {
        r.map_or_else(|| "–".to_owned(), |r| rate(metric.name(), &r))
    };
    let heads = [
        "",
        "understood",
        "said",
        "mismatched",
        "used per call",
        "a call",
        "a minute",
        "an hour",
    ];
    let heads = heads.map(str::to_owned);
    let row = |t: &Told<'_>| {
        let said = t.said.copied().unwrap_or_default();
        let models = t
            .usage
            .iter()
            .flat_map(|u| u.models.iter().map(|m| (m, u.calls)));
        let models: Vec<String> = models
            .map(|(m, calls)| format!("{} {}", name(&m.model), amounts(m, calls)))
            .collect();
        let cost = t.usage.and_then(|u| u.cost.as_ref());
        let amount = |of: Option<f64>| {
            let of = of.zip(cost);
            of.map_or_else(
                || "–".to_owned(),
                |(a, c)| format!("{} {}", money(a), name(&c.currency)),
            )
        };
        let cells = vec![
            shown(said.wer, Metric::Wer),
            shown(said.reply_wer, Metric::ReplyWer),
            shown(said.reply_mismatched, Metric::ReplyMismatched),
            if models.is_empty() {
                "–".to_owned()
            } else {
                models.join("; ")
            },
            amount(cost.map(|c| c.per_call)),
            amount(cost.and_then(|c| c.per_minute)),
            amount(cost.and_then(|c| c.per_hour)),
        ];
        (t.name.clone(), cells)
    };
    let rows: Vec<(String, Vec<String>)> = told.iter().map(row).collect();
    let unpriced = told.iter().filter_map(|t| t.usage?.cost.as_ref());
    let mut unpriced: Vec<String> = unpriced
        .flat_map(|c| c.unpriced.iter().map(|n| name(n)))
        .collect();
    unpriced.sort();
    unpriced.dedup();
    let body = html! {
        p.note { "Transcripts and usage are the agent's own account. Costs are its usage times the scenario's prices." }
        (table("Words and cost", &heads, &rows))
        @if !unpriced.is_empty() { p.note { "Without a price, and not in the cost: " (unpriced.join(", ")) "." } }
    };
    Some(Section::new("words", "Words and cost", body))
}
