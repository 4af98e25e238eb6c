//! Formats a plan for people and for programs.
//!
//! In: a plan. Out: a summary as text, or one line of JSON per call. Prints nothing itself.

use super::{Plan, PlannedCall, PlannedTurn, Said, Start};
use crate::scenario::{CallConfig, Load, LoopPass, Process, Scenario, Shape, Stage, TargetConfig};
use crate::vocab::duration;
use serde::Serialize;
use std::fmt::Write;
use std::time::Duration;

/// Maximum number of rows in the table of calls.
const ROWS: usize = 20;
/// Number of characters of a text that are shown.
const TEXT: usize = 24;
/// Maximum number of variant names shown.
const NAMES: usize = 8;

#[derive(Serialize)]
struct CallLine<'a> {
    call: u64,
    warmup: bool,
    /// Time from the start of the phase; null if the call starts as soon as another call has ended.
    start_ms: Option<f64>,
    room: String,
    variant: &'a str,
    /// The simulated network; absent without a name.
    #[serde(skip_serializing_if = "Option::is_none")]
    network: Option<String>,
    /// Absent if there is only one variant, and for warm-up calls.
    #[serde(skip_serializing_if = "Option::is_none")]
    block: Option<u64>,
    turns: Vec<TurnLine<'a>>,
}

#[derive(Serialize)]
struct TurnLine<'a> {
    /// The utterance; absent if the caller sends a text.
    #[serde(skip_serializing_if = "Option::is_none")]
    say: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    say_text: Option<&'a str>,
    after: &'static str,
    delay_ms: f64,
    expect: &'static str,
    timeout_ms: f64,
    /// For a turn of a loop: the number of the pass, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pass: Option<u32>,
    /// For a turn of a loop: the number of passes in this call. A turn of a later pass is skipped.
    #[serde(skip_serializing_if = "Option::is_none")]
    passes: Option<u32>,
    /// When the caller hangs up after this turn.
    #[serde(skip_serializing_if = "Option::is_none")]
    hang_up: Option<LeavingLine>,
}

#[derive(Serialize)]
struct LeavingLine {
    after: &'static str,
    delay_ms: f64,
}

/// One call as a JSON object on one line, without the newline.
pub(crate) fn json_line(scenario: &Scenario, call: &PlannedCall) -> String {
    let line = CallLine {
        call: call.index,
        warmup: call.warmup,
        start_ms: match call.start {
            Start::At(offset) => Some(millis(offset)),
            Start::AfterSlot => None,
        },
        room: call.room.clone(),
        variant: &scenario.variants[call.variant].name,
        network: scenario
            .network(call.variant, call.network)
            .map(|network| network.name.clone())
            .filter(|name| !name.is_empty()),
        block: call.block,
        turns: call.turns.iter().map(planned_turn).collect(),
    };
    serde_json::to_string(&line).expect("keys are text and numbers are finite")
}

fn planned_turn(turn: &PlannedTurn) -> TurnLine<'_> {
    TurnLine {
        say: turn.utterance().map(|_| turn.say.as_str()),
        say_text: match &turn.said {
            Said::Utterance(_) | Said::Nothing => None,
            Said::Text(text) => Some(text),
        },
        after: turn.anchor.name(),
        delay_ms: millis(turn.delay),
        expect: turn.expect.name(),
        timeout_ms: millis(turn.timeout),
        pass: turn.pass.map(|(pass, _)| pass + 1),
        passes: turn.pass.map(|(_, passes)| passes),
        hang_up: turn.hang_up.as_ref().map(|leaving| LeavingLine {
            after: leaving.anchor.name(),
            delay_ms: millis(leaving.delay),
        }),
    }
}

/// Milliseconds, with microsecond resolution.
fn millis(duration: Duration) -> f64 {
    duration.as_micros() as f64 / 1_000.0
}

/// Summary of the plan with a table of its first calls; ends with a newline.
pub(crate) fn summary(scenario: &Scenario, plan: &Plan) -> String {
    let mut text = String::new();
    for (label, value) in head(scenario, plan) {
        text.push_str(&format!("{label:<13} {value}\n"));
    }
    let several = scenario.variants.len() > 1;
    let names = scenario.variants.iter().map(|v| v.name.chars().count());
    let width = names.max().unwrap_or(0).clamp(12, 40);
    let block = |of: Option<u64>| of.map_or_else(String::new, |block| block.to_string());
    let column = |text: &str| match several {
        true => format!("{text:>5}  "),
        false => String::new(),
    };
    let head = column("block");
    let _ = write!(
        text,
        "\n{:>6}  {:>10}  {head}{:<width$}  turns\n",
        "call", "start", "variant"
    );
    let mut calls = plan.calls();
    for call in calls.by_ref().take(ROWS) {
        let start = match call.start {
            Start::At(offset) => duration::format(Duration::from_millis(offset.as_millis() as u64)),
            Start::AfterSlot => "after slot".to_owned(),
        };
        let taken = call.turns.iter().filter(|turn| !turn.is_left_out());
        let turns: Vec<String> = taken.map(turn_text).collect();
        let variant = &scenario.variants[call.variant].name;
        let room = &call.room;
        let _ = writeln!(
            text,
            "{room:>6}  {start:>10}  {}{variant:<width$}  {}",
            column(&block(call.block)),
            turns.join(", ")
        );
    }
    let total = plan.measured().map(|measured| measured + plan.warmup());
    match total {
        Some(total) if total > ROWS as u64 => {
            let _ = writeln!(
                text,
                "… and {} more; `--json` lists all",
                total - ROWS as u64
            );
        }
        Some(_) => {}
        None => text.push_str("… and so on until the duration has passed\n"),
    }
    text
}

fn head(scenario: &Scenario, plan: &Plan) -> Vec<(&'static str, String)> {
    let target = match &scenario.target {
        TargetConfig::Embedded(agent) => format!("embedded agent, delay {}", agent.delay),
        TargetConfig::Livekit(livekit) => match &livekit.url {
            Some(url) => format!("LiveKit at {}", without_user(url)),
            None => "LiveKit at $LIVEKIT_URL".to_owned(),
        },
    };
    let calls = match (plan.measured(), plan.duration()) {
        (None, Some(time)) => format!("as many as fit in {}", duration::format(time)),
        (calls, _) => calls.unwrap_or(0).to_string(),
    };
    let at_once = at_once(&scenario.load);
    let estimate = plan.estimate();
    let mut head = vec![
        (
            "scenario",
            format!("{} (seed {})", scenario.name, scenario.seed),
        ),
        ("target", target),
        ("calls", calls),
        ("at once", at_once),
    ];
    if plan.warmup() > 0 {
        head.push(("warm-up calls", plan.warmup().to_string()));
    }
    if scenario.variants.len() > 1 {
        let names: Vec<&str> = scenario.variants.iter().map(|v| v.name.as_str()).collect();
        let more = names.len().saturating_sub(NAMES);
        let shown = names[..names.len() - more].join(", ");
        head.push(match more {
            0 => ("variants", shown),
            _ => ("variants", format!("{shown} and {more} more")),
        });
        head.push(("blocks", blocks(plan, names.len() as u64)));
    }
    head.push(("turns a call", turns_of(&scenario.call)));
    let round =
        |time: Duration| duration::format(Duration::from_secs(time.as_secs_f64().round() as u64));
    let minutes = format!(
        "about {:.1} ({} calls of about {}; the run about {})",
        estimate.call_minutes(),
        estimate.calls,
        round(estimate.call),
        round(estimate.run),
    );
    head.push(("call-minutes", minutes));
    head
}

/// The number of turns of a call, and what shortens it.
fn turns_of(call: &CallConfig) -> String {
    let text = call.turns.len().to_string();
    let mut loops: Vec<LoopPass> = Vec::new();
    let all = call.turns.iter().filter_map(|turn| turn.pass);
    for pass in all.filter(|at| at.pass == 0) {
        if loops.last().is_none_or(|last| last.group != pass.group) {
            loops.push(pass);
        }
    }
    let mut parts: Vec<String> = loops
        .iter()
        .map(|at| match at.min == at.max {
            true => format!("a loop of {} passes", at.max),
            false => format!("a loop of {} to {} passes", at.min, at.max),
        })
        .collect();
    let mut shortens = loops.iter().any(|at| at.min != at.max);
    if call.turns.iter().any(|turn| !turn.next.is_empty()) {
        parts.push("branches".to_owned());
        shortens = true;
    }
    if let Some(after) = call.hang_up {
        parts.push(format!("hung up after {}", duration::format(after)));
        shortens = true;
    }
    let most = if shortens { "at most " } else { "" };
    match parts.is_empty() {
        true => text,
        false => format!("{most}{text}, with {}", parts.join(", ")),
    }
}

/// Describes the blocks in which measured calls are assigned to `variants` variants.
fn blocks(plan: &Plan, variants: u64) -> String {
    let each = format!("of {variants} calls, each variant once, in an order set by the seed");
    let Some(calls) = plan.measured() else {
        return each;
    };
    let (whole, rest) = (calls / variants, calls % variants);
    match rest {
        0 => format!("{whole} {each}"),
        _ => format!("{whole} {each}; {rest} more in a final block"),
    }
}

fn at_once(load: &Load) -> String {
    let most = load.concurrency;
    match &load.shape {
        Shape::Constant if load.ramp.is_zero() => most.to_string(),
        Shape::Constant => format!("{most}, over {}", duration::format(load.ramp)),
        Shape::Stages(stages) => {
            let part = |s: &Stage| format!("{} by {}", s.target, duration::format(s.duration));
            let parts: Vec<String> = stages.iter().map(part).collect();
            format!("at most {most}: 0, {}", parts.join(", "))
        }
        Shape::Arrival(arrival) => {
            let spacing = match arrival.process {
                Process::Constant => "evenly",
                Process::Poisson => "at random",
            };
            let rate = arrival.rate;
            format!("{rate} calls a second arrive {spacing}; at most {most} at once")
        }
    }
}

fn turn_text(turn: &PlannedTurn) -> String {
    let delay = Duration::from_millis(turn.delay.as_millis() as u64);
    let say = match &turn.said {
        Said::Utterance(_) => turn.say.clone(),
        Said::Text(text) => quoted(text),
        Said::Nothing => "nothing".to_owned(),
    };
    let pass = match turn.pass {
        Some((pass, passes)) => format!("{}/{passes} ", pass + 1),
        None => String::new(),
    };
    let end = if turn.hang_up.is_some() {
        " …hangs up"
    } else {
        ""
    };
    match delay {
        Duration::ZERO => format!("{pass}{say}{end}"),
        delay => format!("{pass}{say} +{}{end}", duration::format(delay)),
    }
}

/// The beginning of a text, printable.
fn quoted(text: &str) -> String {
    let shown: String = text.chars().take(TEXT).collect();
    let more = if shown.len() < text.len() { "…" } else { "" };
    format!("\"{}{more}\"", shown.escape_debug())
}

fn without_user(url: &str) -> String {
    match (url.split_once("://"), url.rsplit_once('@')) {
        (Some((scheme, _)), Some((_, host))) => format!("{scheme}://…@{host}"),
        _ => url.to_owned(),
    }
}
