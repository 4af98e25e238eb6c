//! `loadgen run`: runs a scenario.

use crate::cli::comparing::HowArgs;
use crate::cli::completing;
use crate::cli::exit::Exit;
use crate::cli::live::{ListenAt, LiveFlags};
use crate::cli::overrides::OverrideArgs;
use crate::cli::reports::Output;
use crate::cli::server::ServerArgs;
use crate::cli::session::conduct::conduct;
use crate::cli::session::request::SessionRequest;
use crate::scenario::{EvidenceChoice, Overrides, Threshold, parse_threshold_line};
use crate::stats::Decider;
use clap::builder::{PossibleValuesParser, TypedValueParser as _};
use clap::{Args, ValueHint};
use std::path::PathBuf;

/// Arguments of `loadgen run`.
#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    /// Scenario file, or a scenario that comes with loadgen, such as quickstart
    #[arg(value_name = "SCENARIO", add = completing::scenarios())]
    pub scenario: String,
    /// Folder for the results, new or empty [default: reports/TIME-NAME]
    #[arg(short, long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub out: Option<PathBuf>,
    /// Run without confirmation even if there are more than 1,000 calls or 5,000 call-minutes, or
    /// more than 100 calls at once on a host that is not private
    #[arg(short, long)]
    pub yes: bool,
    /// Maximum number of concurrent joins; calls due meanwhile wait, and are timed from their
    /// planned start
    #[arg(long, value_name = "N", value_parser = crate::cli::number::whole(1..=u32::MAX))]
    pub join_concurrency: Option<u32>,
    /// Keep the audio of some turns as stereo WAV, caller left, agent right: `some` (the
    /// slowest and the failed ones, 10 each unless the scenario sets another number), `all`,
    /// `calls` (the same turns as `some`, and the 10 worst calls as a whole) or `off`
    #[arg(long, value_name = "WHICH", num_args = 0..=1, require_equals = true,
        default_missing_value = "some", value_parser = parse_evidence,
        add = completing::words(&["some", "all", "calls", "off"]))]
    pub evidence: Option<EvidenceChoice>,
    /// Serve the metrics of the run in progress to Prometheus, at /metrics on this address
    #[arg(long, value_name = "HOST:PORT")]
    pub metrics_listen: Option<ListenAt>,
    /// Send a span for every call and turn to the OpenTelemetry collector at this URL, by OTLP
    /// over HTTP
    #[arg(long, value_name = "URL")]
    pub otlp_endpoint: Option<String>,
    /// Receive the agents' own traces and metrics at this address, by OTLP over HTTP, and show their
    /// spans with the turns; 127.0.0.1:4318 is where exporters send by default
    #[arg(long, value_name = "HOST:PORT")]
    pub otlp_listen: Option<ListenAt>,
    /// Save the run as a baseline: a name, or a file such as ./main.json
    #[arg(long, value_name = "NAME|FILE", add = completing::baselines())]
    pub save_baseline: Option<String>,
    /// Compare the run with a baseline: its name, its file, or a run folder
    #[arg(long, value_name = "NAME|FILE", add = completing::comparable())]
    pub baseline: Option<String>,
    /// How to compare the run with the baseline.
    #[command(flatten)]
    pub how: HowArgs,
    /// Threshold in addition to the scenario's, such as 'ttfa: p(95)<1500ms' or
    /// 'ttfa{variant:fast}: med<1s'; replaces the scenario's threshold on the same
    /// figure; may be repeated
    #[arg(long, value_name = "THRESHOLD", value_parser = parse_gate)]
    pub threshold: Vec<Threshold>,
    /// What decides a gate whose bound lies within the confidence interval of its figure:
    /// `estimate` (the figure itself) or `upper` (the worse end of the interval, so that no gate
    /// passes weakly)
    #[arg(long, value_name = "WHAT", default_value = "estimate", hide_possible_values = true,
          value_parser = PossibleValuesParser::new(["estimate", "upper"]).map(decider))]
    pub gate_on: Decider,
    /// Print the summary as JSON instead of the table
    #[arg(long)]
    pub json: bool,
    /// Show every figure at the end, with its definition, instead of one screen
    #[arg(long, conflicts_with_all = ["json", "quiet"])]
    pub details: bool,
    /// Show no progress and no table
    #[arg(short, long)]
    pub quiet: bool,
    /// Overrides of the scenario's values.
    #[command(flatten)]
    pub overrides: OverrideArgs,
    /// The server.
    #[command(flatten)]
    pub server: ServerArgs,
}

pub(super) fn execute(args: RunArgs) -> Exit {
    conduct(&SessionRequest {
        overrides: Overrides {
            evidence: args.evidence,
            thresholds: args.threshold,
            ..args.overrides.overrides(args.server.url.clone())
        },
        scenario: args.scenario,
        out: args.out,
        server: args.server.into(),
        yes: args.yes,
        save_baseline: args.save_baseline,
        baseline: args.baseline,
        how: args.how,
        join_concurrency: args.join_concurrency.map(|n| n as usize),
        live: LiveFlags {
            metrics_listen: args.metrics_listen,
            otlp_endpoint: args.otlp_endpoint,
            otlp_listen: args.otlp_listen,
        },
        output: Output {
            json: args.json,
            quiet: args.quiet,
            details: args.details,
        },
        gate_on: args.gate_on,
    })
}

fn parse_evidence(text: &str) -> Result<EvidenceChoice, String> {
    match text {
        "some" => Ok(EvidenceChoice::Some),
        "all" => Ok(EvidenceChoice::All),
        "calls" => Ok(EvidenceChoice::Calls),
        "off" => Ok(EvidenceChoice::Off),
        _ => Err("write `some`, `all`, `calls` or `off`".to_owned()),
    }
}

fn parse_gate(text: &str) -> Result<Threshold, String> {
    parse_threshold_line(text).map_err(|error| {
        let [text, caret] = error.excerpt();
        let hint = error.hint();
        format!("{error}\n   | {text}\n   | {caret}\n  hint: {hint}")
    })
}

fn decider(word: String) -> Decider {
    match word.as_str() {
        "upper" => Decider::Upper,
        _ => Decider::Estimate,
    }
}
