//! `loadgen capacity`: finds how many concurrent calls the deployment sustains.
//!
//! In: a scenario, an SLO such as `p(95)<1200ms`. Out: a chart of the steps and the capacity.
//! Invariants: a step is judged by the confidence interval of its quantile, and gets more turns if
//! the interval is inconclusive; the capacity is measured twice; no conclusion about the agent is
//! drawn from a step that the generator cannot sustain.

mod answer;
mod full;
mod observed;
mod show;
mod step;

use crate::cli::completing;
use crate::cli::console;
use crate::cli::exit::Exit;
use crate::cli::overrides::OverrideArgs;
use crate::cli::server::ServerArgs;
use crate::cli::session::conduct::{self, OpenedScenario};
use crate::cli::session::request::SessionRequest;
use crate::cli::trouble::Trouble;
use crate::plan::Plan;
use crate::record::MEASUREMENT_VERSION;
use crate::scenario::{Aggregate, Bound, Op, Scenario, Threshold, parse_threshold};
use crate::stats::Sample;
use crate::stats::capacity::{Promise, Search, SearchStep};
use crate::vocab::Metric;
use answer::CapacityResult;
use clap::Args;
use std::cell::Cell;
use step::Taker;

/// Arguments of `loadgen capacity`.
#[derive(Debug, Args)]
pub(crate) struct CapacityArgs {
    /// Scenario file, or a scenario that comes with loadgen; its `load` is replaced
    #[arg(value_name = "SCENARIO", add = completing::scenarios())]
    pub scenario: String,
    /// Upper bound on a percentile of the ttfa of all turns; missed and failed turns count as
    /// infinite
    #[arg(long, value_name = "EXPRESSION", default_value = "p(95)<1500ms", value_parser = parse_slo)]
    pub slo: Slo,
    /// Largest number of concurrent calls to try
    #[arg(long, value_name = "N", default_value_t = 100,
          value_parser = crate::cli::number::whole(1..=10_000))]
    pub max: u32,
    /// Concurrent calls in the first step [default: a tenth of --max]
    #[arg(long, value_name = "N", value_parser = crate::cli::number::whole(1..=10_000))]
    pub start: Option<u32>,
    /// Turns per step; up to four times as many while the result is inconclusive
    #[arg(long, value_name = "N", default_value_t = 200,
          value_parser = crate::cli::number::whole(80..=100_000))]
    pub turns: u32,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
    /// Start even a load that is large enough to need confirmation
    #[arg(short, long)]
    pub yes: bool,
    /// Overrides of the scenario's values.
    #[command(flatten)]
    pub overrides: OverrideArgs,
    /// The server.
    #[command(flatten)]
    pub server: ServerArgs,
}

/// A quantile that must stay below a bound.
#[derive(Debug, Clone)]
pub(crate) struct Slo {
    threshold: Threshold,
    promise: Promise,
}

fn parse_slo(text: &str) -> Result<Slo, String> {
    let threshold =
        parse_threshold(Metric::Ttfa, text).map_err(|e| format!("{e}; {}", e.hint()))?;
    let quantile = match threshold.aggregate {
        Aggregate::Percentile(p) if p < 100.0 => p / 100.0,
        Aggregate::Med => 0.5,
        _ => return Err("an SLO bounds a percentile: p(95)<1200ms".to_owned()),
    };
    match (threshold.op, threshold.bound) {
        (Op::Less | Op::LessOrEqual, Bound::Time(below)) => Ok(Slo {
            threshold,
            promise: Promise {
                quantile,
                below: Sample::Finite(below),
            },
        }),
        _ => Err("an SLO is an upper bound: p(95)<1200ms".to_owned()),
    }
}

/// Searches for the capacity and prints the result.
pub(super) fn execute(args: CapacityArgs) -> Exit {
    match search(&args) {
        Ok(answer) => {
            let printed = console::data([match args.json {
                // A struct of numbers and text always has a JSON form.
                true => serde_json::to_string_pretty(&answer)
                    .map_or_else(|e| e.to_string(), |t| t + "\n"),
                false => show::render(&answer, args.slo.promise.below),
            }]);
            let exit = match (answer.generator_limit, answer.capacity) {
                (Some(_), _) => Exit::InvalidRun,
                (None, None) => Exit::GateFailed,
                (None, Some(_)) => Exit::Success,
            };
            exit.or(printed)
        }
        Err(trouble) => trouble.tell(),
    }
}

/// Refuses a scenario without a turn that an SLO can judge.
fn check_judgeable(scenario: &Scenario) -> Result<(), Trouble> {
    if step::judged_turns(scenario) > 0 {
        return Ok(());
    }
    let message = "`capacity` judges `ttfa`, and no turn of the scenario asks for a spoken reply";
    let hint = "add a turn with `say` that expects `respond` or `stop_and_respond`";
    Err(Trouble::new(Exit::InvalidScenario, message, hint))
}

fn search(args: &CapacityArgs) -> Result<CapacityResult, Trouble> {
    let OpenedScenario {
        scenario, targets, ..
    } = conduct::open(&SessionRequest {
        scenario: args.scenario.clone(),
        overrides: args.overrides.overrides(args.server.url.clone()),
        server: args.server.clone().into(),
        ..SessionRequest::default()
    })?;
    check_judgeable(&scenario)?;
    let taker = Taker {
        scenario,
        targets,
        turns: args.turns as usize,
        promise: args.slo.promise,
        turn: Cell::new(None),
    };
    let largest = Plan::new(&taker.loaded(args.max, 1));
    conduct::ask_consent(&largest, &taker.targets, args.yes)?;
    // Checked before the first step, since a failure at a later one would lose all figures.
    crate::run::allow(&largest, &taker.targets)
        .map_err(|e| Trouble::new(Exit::Error, e.to_string(), e.hint()))?;
    let mut search = Search::new(args.start.unwrap_or(args.max.div_ceil(10)), args.max);
    let mut answer = CapacityResult {
        measurement_version: MEASUREMENT_VERSION,
        target: taker.targets.describe(),
        slo: args.slo.threshold.to_string(),
        capacity: None,
        at_max: false,
        generator_limit: None,
        steps: Vec::new(),
    };
    loop {
        let (calls, recheck) = match search.step() {
            SearchStep::Measure(calls) => (calls, false),
            SearchStep::Recheck(calls) => (calls, true),
            SearchStep::Done(capacity) => {
                answer.capacity = capacity;
                answer.at_max = capacity == Some(args.max);
                return Ok(answer);
            }
        };
        let step = taker.take(calls, recheck, answer.steps.len() as u64)?;
        console::say(&show::line(&step));
        let (keeps, limit) = (step.keeps, step.generator_limit.clone());
        answer.steps.push(step);
        if let Some(limit) = limit {
            answer.generator_limit = Some(format!("at {calls} calls at once: {limit}"));
            answer.capacity = search.best();
            return Ok(answer);
        }
        search.measured(calls, keeps);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::{SoundFile, Unset, check};
    use std::path::Path;

    #[test]
    fn a_scenario_without_a_spoken_reply_is_refused() {
        let scenario = |turns: &str| {
            let text = format!(
                "version: 1\ntarget: {{kind: livekit, url: 'ws://localhost:7880'}}\n\
                 utterances: {{a: {{file: a.wav}}}}\ncall: {{turns: [{turns}]}}\n"
            );
            let path = Path::new("t.yaml");
            let read = |_: &SoundFile<'_>| Ok(None);
            check(text.as_bytes(), path, &|_| None, Unset::Absent, &read).expect("valid")
        };
        let interrupting = |expect: &str| {
            let start = "{after: agent_speech_start, delay: 1s}";
            format!("{{say: a, start: {start}, expect: {expect}}}")
        };
        let (stop, ignore) = (interrupting("stop"), interrupting("ignore"));
        let silent = format!("{{say_text: hi}}, {stop}, {ignore}");
        assert!(check_judgeable(&scenario(&silent)).is_err());
        for spoken in ["{say: a}", &interrupting("stop_and_respond")] {
            let all = scenario(&format!("{{say_text: hi}}, {spoken}"));
            assert!(check_judgeable(&all).is_ok(), "{spoken}");
        }
    }

    #[test]
    fn an_slo_is_an_upper_bound_of_a_percentile() {
        for (text, good) in [
            ("p(95)<1200ms", true),
            ("p(50) <= 1s", true),
            ("med<700ms", true),
            ("avg<700ms", false),
            ("p(100)<1s", false),
            ("p(95)>1s", false),
            ("rate<0.1", false),
            ("fast", false),
        ] {
            assert_eq!(parse_slo(text).is_ok(), good, "{text}");
        }
    }
}
