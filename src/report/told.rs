//! The agents' reports in sentences: critical path, word errors, usage and cost.
//!
//! In: a summary. Out: titled sentences, the same for every report. Invariant: figures that no
//! agent reports are left out.

use super::figures::figure;
use super::text::{clean, grouped, plural};
use crate::record::{
    Cost, ModelFigures, ModelKind, PathFigures, Rate, SpanCounts, StepFigures, Summary,
    UsageFigures,
};

/// Maximum length of the name of a model, in characters.
const NAME: usize = 60;
/// Maximum number of models listed.
const MODELS: usize = 8;

/// The sentences, each with its key.
pub(super) fn sentences(summary: &Summary) -> Vec<(&'static str, String)> {
    let path = summary.critical_path.as_ref().map(path);
    let said = summary.said.as_ref().map(|said| {
        let rates = said.named();
        let rates: Vec<String> = rates.map(|(metric, r)| rate(metric.name(), &r)).collect();
        rates.join(", ")
    });
    let usage = summary.usage.as_ref();
    let cost = usage.and_then(|u| u.cost.as_ref());
    [
        ("path", path),
        ("words", said),
        ("usage", usage.map(used)),
        ("cost", cost.map(self::cost)),
        ("spans", summary.agent_spans.as_ref().map(spans)),
    ]
    .into_iter()
    .filter_map(|(key, text)| Some((key, text.filter(|text| !text.is_empty())?)))
    .collect()
}

/// `93 of 159 in turns; 51 outside of turns, 15 of no call`.
fn spans(counts: &SpanCounts) -> String {
    if counts.received == 0 && counts.refused == 0 {
        return "none came: set OTEL_EXPORTER_OTLP_ENDPOINT for the agent".to_owned();
    }
    let others = [
        (counts.left_out, "more than a turn holds"),
        (counts.outside, "outside of turns"),
        (counts.unplaced, "of agents whose clock is unknown"),
        (counts.unmatched, "of no call"),
        (counts.dropped, "dropped"),
    ];
    let others = others.iter().filter(|(count, _)| *count > 0);
    let others = others.map(|(count, what)| format!("{} {what}", grouped(*count as u64)));
    let others: Vec<String> = others.collect();
    let mut text = format!(
        "{} of {} in turns",
        grouped(counts.in_turns as u64),
        grouped(counts.received as u64)
    );
    for (count, what) in [
        (counts.values_dropped, "metric values dropped"),
        (counts.refused, "requests refused"),
    ] {
        if count > 0 {
            text = format!("{text}; {} {what}", grouped(count as u64));
        }
    }
    match others.is_empty() {
        true => text,
        false => format!("{text}; {}", others.join(", ")),
    }
}

/// `end of turn 731.0, LLM 452.4, …: mean ms; most often the longest: end of turn, in 55 of 60 turns`.
fn path(path: &PathFigures) -> String {
    let mut steps: Vec<&StepFigures> = path.steps.iter().collect();
    steps.sort_by_key(|step| std::cmp::Reverse(step.mean_ms));
    let told = steps.iter().map(|step| {
        let mean = figure(Some(step.mean_ms));
        format!("{} {mean}", step.step.words())
    });
    let told: Vec<String> = told.collect();
    let longest = path.longest().map_or_else(String::new, |step| {
        let of = plural(path.turns, "turn");
        format!(
            "; most often the longest: {}, in {} of {of}",
            step.step.words(),
            step.longest
        )
    });
    format!("{}: mean ms{longest}", told.join(", "))
}

/// `wer 0.012 [0.004, 0.031] of 840`.
pub(super) fn rate(name: &str, rate: &Rate) -> String {
    let of = grouped(rate.of as u64);
    format!(
        "{name} {:.3} [{:.3}, {:.3}] of {of}",
        rate.rate, rate.lower, rate.upper
    )
}

/// `per call: gpt-4o-mini 1,204 tokens in, 61 out; …`.
fn used(usage: &UsageFigures) -> String {
    let of_model = |model: &ModelFigures| {
        let name = clean(&model.model, NAME);
        format!("{name} {}", amounts(model, usage.calls))
    };
    let shown = usage.models.iter().take(MODELS).map(of_model);
    let mut told: Vec<String> = shown.collect();
    if let Some(more) = usage.models.len().checked_sub(MODELS).filter(|n| *n > 0) {
        told.push(format!("and {more} more"));
    }
    if usage.model_changes > 0 {
        let times = plural(usage.model_changes, "time");
        told.push(format!("{times} a further model was used"));
    }
    format!("per call: {}", told.join("; "))
}

/// The amounts of a model, for one call.
pub(super) fn amounts(model: &ModelFigures, calls: usize) -> String {
    let each = |amount: u64| (amount as f64 / calls.max(1) as f64).round() as u64;
    let used = &model.used;
    let input = used.input_tokens + used.input_audio_tokens;
    let cached = used.cached_tokens + used.cached_audio_tokens;
    let output = used.output_tokens + used.output_audio_tokens;
    let mut told = Vec::new();
    if input + cached + output > 0 {
        let (input, output) = (each(input + cached), each(output));
        let cached = match each(cached) {
            0 => String::new(),
            n => format!(" ({} cached)", grouped(n)),
        };
        let (input, output) = (grouped(input), grouped(output));
        told.push(format!("{input} tokens in{cached}, {output} out"));
    }
    if used.characters > 0 {
        told.push(format!("{} characters", grouped(each(used.characters))));
    }
    if used.audio_ms > 0 {
        let verb = match model.kind {
            ModelKind::Stt => "heard",
            ModelKind::Llm | ModelKind::Tts => "spoken",
        };
        told.push(format!("{:.1} s {verb}", each(used.audio_ms) as f64 / 1e3));
    }
    told.join(", ")
}

/// `0.0123 USD a call, 0.0205 a minute, 4.10 an hour at this load`.
fn cost(cost: &Cost) -> String {
    let mut told = vec![format!(
        "{} {} a call",
        money(cost.per_call),
        clean(&cost.currency, 8)
    )];
    told.extend(cost.per_minute.map(|m| format!("{} a minute", money(m))));
    told.extend(
        cost.per_hour
            .map(|h| format!("{} an hour at this load", money(h))),
    );
    let unpriced: Vec<String> = cost
        .unpriced
        .iter()
        .take(MODELS)
        .map(|n| clean(n, NAME))
        .collect();
    match unpriced.is_empty() {
        true => told.join(", "),
        false => format!(
            "{}; without a price: {}",
            told.join(", "),
            unpriced.join(", ")
        ),
    }
}

/// An amount of money: two decimals from 1 on, four from a hundredth on, else six.
pub(super) fn money(amount: f64) -> String {
    let digits = match amount.abs() {
        a if a >= 1.0 => 2,
        a if a >= 0.01 => 4,
        _ => 6,
    };
    format!("{amount:.digits$}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_that_are_in_no_turn_are_counted_by_reason() {
        let counts = SpanCounts::default();
        assert!(spans(&counts).starts_with("none came: set OTEL_"));
        let counts = SpanCounts {
            received: 1_159,
            in_turns: 1_093,
            outside: 51,
            unmatched: 15,
            refused: 2,
            ..counts
        };
        let told =
            "1,093 of 1,159 in turns; 2 requests refused; 51 outside of turns, 15 of no call";
        assert_eq!(spans(&counts), told);
    }

    #[test]
    fn small_amounts_keep_their_digits() {
        for (amount, shown) in [
            (12.3456, "12.35"),
            (0.012_345, "0.0123"),
            (0.000_123, "0.000123"),
            (0.0, "0.000000"),
        ] {
            assert_eq!(money(amount), shown);
        }
    }
}
