//! Breaks down the latency of a reply: the parts that the agent reports, between the instants that
//! the caller measured.
//!
//! In: replied turns with the agent's account. Out: a section with a waterfall of the turns that
//! *are* the quantiles. Invariants: parts that overlap are drawn at their own times and never added
//! up; a part of which only the length is known is placed directly before the event that it led to,
//! and marked as inferred.

use super::chart::{Chart, heads};
use super::plot::{Ink, Layer, Panel, Plot, Rise, WIDE};
use super::section::Section;
use super::view::{View, at_quantile, name};
use crate::record::{AgentAccount, Ms, Step, TurnRecord};
use maud::html;

/// Maximum number of variants that are drawn; the fastest ones are kept.
const VARIANTS: usize = 6;
/// The replies that are drawn.
const QUANTILES: [(&str, f64); 2] = [("median", 0.5), ("p95", 0.95)];
/// Tolerance, in ms: a tool may appear to end this much after the start of the reply that needed
/// it.
const TOUCHING_MS: f64 = 20.0;

/// The source of a part's length and position.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Known {
    Between,
    Claimed,
    Inferred,
}

impl Known {
    const ALL: [(Self, Ink, &'static str); 3] = [
        (
            Self::Between,
            Ink::Third,
            "between the agent and the caller",
        ),
        (Self::Claimed, Ink::Main, "reported by the agent"),
        (
            Self::Inferred,
            Ink::Second,
            "length reported by the agent, position inferred",
        ),
    ];
}

/// A part of a reply's latency, in ms from the caller's end of speech.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Part {
    /// Name beside the chart.
    short: &'static str,
    /// Name in the table.
    name: &'static str,
    from: f64,
    to: f64,
    known: Known,
}

pub(super) fn section(view: &View<'_>) -> Option<Section> {
    let told: Vec<(&TurnRecord, Ms)> = view
        .replied()
        .filter(|(turn, _)| !parts(turn).is_empty())
        .collect();
    let ranked = view.summary.variants.iter().take(VARIANTS);
    let mut names: Vec<Option<&str>> = ranked.map(|v| Some(v.name.as_str())).collect();
    if names.is_empty() {
        names.push(None);
    }
    let charts = names.iter().enumerate().flat_map(|(nth, variant)| {
        let own = |(turn, _): &&(&TurnRecord, Ms)| variant.is_none_or(|v| v == turn.variant);
        let mut turns: Vec<(&TurnRecord, Ms)> = told.iter().filter(own).copied().collect();
        turns.sort_by_key(|(_, ttfa)| *ttfa);
        let of = variant.map_or_else(String::new, |v| format!(" of {}", name(v)));
        QUANTILES.iter().filter_map(move |(word, q)| {
            let (turn, ttfa) = at_quantile(&turns, *q)?;
            let id = format!("account-{word}-{nth}");
            Some(chart((id, format!("The {word} reply{of}")), turn, *ttfa))
        })
    });
    let charts: Vec<Chart> = charts.collect();
    if charts.is_empty() {
        return None;
    }
    let body = html! {
        p.note {
            "The agent's own account of its work, placed on the caller's clock, between the caller's measurements. "
            "The agent does not measure the time before the instant at which it places the end of speech, nor the time after it reports that it is speaking: this is the blind spot."
        }
        @for chart in charts { (chart.figure()) }
    };
    Some(Section::new("account", "The agent's own account", body))
}

/// The parts of a turn, in the order of its time line; empty if the agent does not report
/// enough.
fn parts(turn: &TurnRecord) -> Vec<Part> {
    let (Some(agent), Some(zero)) = (turn.agent.as_ref(), turn.speech_end_ms) else {
        return Vec::new();
    };
    let (Some(placed), Some(started)) = (agent.heard_end_ms, agent.started_speaking_ms) else {
        return Vec::new();
    };
    let since = |at: Ms| at.as_f64() - zero.as_f64();
    let (placed, started) = (since(placed), since(started));
    let mut parts = vec![Part {
        short: "late end",
        name: "until the instant at which the agent places the end of speech",
        from: 0.0,
        to: placed,
        known: Known::Between,
    }];
    parts.extend(before_the_model(agent, placed));
    parts.extend(tools(agent, zero, started));
    parts.extend(until_it_speaks(agent, zero, started));
    if let (Some(wire), Some(ttfa)) = (turn.ttfa_wire_ms, turn.ttfa_ms) {
        let arrives = wire.as_f64();
        for (short, name, from, to) in [
            (
                "delivery",
                "from its start until audible on the wire",
                started,
                arrives,
            ),
            ("playout", "playout delay", arrives, ttfa.as_f64()),
        ] {
            let known = Known::Between;
            parts.push(Part {
                short,
                name,
                from,
                to,
                known,
            });
        }
    }
    parts.retain(|part| part.to > part.from);
    parts
}

/// The parts after the instant at which the agent places the end of speech.
fn before_the_model(agent: &AgentAccount, placed: f64) -> Vec<Part> {
    let claimed = |short, name, from, length: Option<Ms>| {
        length.map(|length| Part {
            short,
            name,
            from,
            to: from + length.as_f64(),
            known: Known::Claimed,
        })
    };
    let decided = agent
        .end_of_turn_delay_ms
        .map(|delay| placed + delay.as_f64());
    let hook = agent.on_user_turn_completed_delay_ms;
    [
        claimed(
            "transcription",
            "transcription",
            placed,
            agent.transcription_delay_ms,
        ),
        claimed(
            "end of turn",
            "decision that the turn is over",
            placed,
            agent.end_of_turn_delay_ms,
        ),
        decided.and_then(|decided| {
            let name = "the application's hook at the end of the turn";
            claimed("hook", name, decided, hook)
        }),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// The parts before the instant at which the agent began to play its reply out: the language model
/// from its request on, the synthesis backwards from its first audio.
fn until_it_speaks(agent: &AgentAccount, zero: Ms, started: f64) -> Vec<Part> {
    let of_this_reply = agent.path.iter().any(|step| step.step == Step::Llm);
    let spoken = agent.path.iter().any(|step| step.step == Step::Tts);
    let asked = agent.model_asked_ms.map(|at| at.as_f64() - zero.as_f64());
    let speech = agent.tts_node_ttfb_ms.map(Ms::as_f64).filter(|_| spoken);
    let speaks = started - speech.unwrap_or(0.0);
    let part = |short, name, from, to, known| Part {
        short,
        name,
        from,
        to,
        known,
    };
    let mut parts = Vec::new();
    // Otherwise the model's figures may belong to another reply.
    if asked.is_some() || of_this_reply {
        let sentence = agent.llm_node_ttfs_ms.or(agent.llm_node_ttft_ms);
        let (from, known) = match asked {
            Some(asked) => (asked, Known::Claimed),
            None => (speaks - sentence.map_or(0.0, Ms::as_f64), Known::Inferred),
        };
        for (short, name, length) in [
            (
                "LLM first token",
                "language model: first token",
                agent.llm_node_ttft_ms,
            ),
            (
                "LLM first sentence",
                "language model: first sentence",
                agent.llm_node_ttfs_ms,
            ),
        ] {
            parts.extend(
                length.map(|length| part(short, name, from, from + length.as_f64(), known)),
            );
        }
    }
    if spoken {
        let (short, name) = ("TTS first audio", "speech synthesis: first audio");
        parts.push(part(short, name, speaks, started, Known::Inferred));
    }
    parts
}

/// The tools of the turn that ended before the agent spoke.
fn tools(agent: &AgentAccount, zero: Ms, started: f64) -> Vec<Part> {
    let since = |at: Ms| at.as_f64() - zero.as_f64();
    let ended = agent
        .tools
        .iter()
        .filter_map(|tool| Some((tool, since(tool.ended_ms?))));
    let before = ended.filter(|(_, to)| *to <= started + TOUCHING_MS);
    let parts = before.map(|(tool, to)| Part {
        short: "tool",
        name: "a tool",
        from: since(tool.began_ms),
        to,
        known: Known::Claimed,
    });
    parts.collect()
}

/// The critical path in words.
fn path(agent: &AgentAccount) -> String {
    let steps = agent.path.iter();
    let steps: Vec<String> = steps
        .map(|s| format!("{} {:.1}", s.step.words(), s.ms))
        .collect();
    match steps.is_empty() {
        true => String::new(),
        false => format!(" Critical path: {}.", steps.join(" → ")),
    }
}

fn chart((id, title): (String, String), turn: &TurnRecord, ttfa: Ms) -> Chart {
    let parts = parts(turn);
    let names = parts.iter().rev().map(|part| part.short.to_owned());
    let boxes = |known| {
        let lanes = parts.iter().rev().enumerate();
        let of_kind = lanes.filter(move |(_, part)| part.known == known);
        let place = |(lane, part): (usize, &Part)| {
            let middle = lane as f64 + 0.5;
            [part.from, part.to, middle - 0.3, middle + 0.3]
        };
        of_kind.map(place).collect()
    };
    let agent = turn.agent.clone().unwrap_or_default();
    let figure = |ms: Option<Ms>| ms.map_or_else(|| "–".to_owned(), |ms| format!("{ms:.1}"));
    let caption = format!(
        "ttfa {ttfa:.1} ms; the agent reports {} ms; blind spot {} ms; unexplained {} ms. Its instants are {}.",
        figure(agent.e2e_latency_ms),
        figure(agent.blind_spot_ms),
        figure(agent.unexplained_ms),
        match agent.clock_width_ms {
            Some(width) => format!("known to within {width:.1} ms"),
            None => "the latest possible ones, since the agent answers no requests".to_owned(),
        },
    ) + &path(&agent);
    let row = |part: &Part| {
        let how = Known::ALL.iter().find(|(known, ..)| *known == part.known);
        vec![
            part.name.to_owned(),
            format!("{:.1}", part.from),
            format!("{:.1}", part.to),
            format!("{:.1}", part.to - part.from),
            how.map_or("", |(_, _, text)| text).to_owned(),
        ]
    };
    let first = parts.iter().map(|part| part.from).fold(0.0, f64::min);
    let last = parts.iter().map(|part| part.to).fold(1.0, f64::max);
    Chart {
        id: id.into(),
        title: title.into(),
        caption,
        legend: Known::ALL.map(|(_, ink, text)| (ink, text)).to_vec(),
        heads: heads(&["part", "from, ms", "to, ms", "length, ms", "source"]),
        rows: parts.iter().map(row).collect(),
        plot: Plot {
            width: WIDE,
            x: first..last * 1.02,
            x_title: "ms from the end of speech".into(),
            panels: vec![Panel {
                title: String::new(),
                rise: Rise::Lanes(names.collect()),
                height: 20 + 34 * parts.len() as u32,
                layers: Known::ALL
                    .iter()
                    .map(|(known, ink, _)| Layer::Boxes(boxes(*known), *ink))
                    .collect(),
            }],
            spans: vec![],
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::PathStep;
    use crate::record::fixtures::Run;

    #[test]
    fn parts_are_placed_on_the_time_line() {
        let mut run = Run::default();
        run.good(1);
        let turn = &mut run.turns[0];
        let ms = |ms: i64| Ms::from_micros(ms * 1_000);
        let zero = turn.speech_end_ms.expect("it spoke");
        turn.ttfa_wire_ms = Some(ms(1_440));
        turn.ttfa_ms = Some(ms(1_460));
        assert!(parts(turn).is_empty(), "the agent reports nothing");
        turn.agent = Some(AgentAccount {
            heard_end_ms: Some(zero + ms(200)),
            started_speaking_ms: Some(zero + ms(1_400)),
            end_of_turn_delay_ms: Some(ms(730)),
            llm_node_ttft_ms: Some(ms(300)),
            llm_node_ttfs_ms: Some(ms(450)),
            tts_node_ttfb_ms: Some(ms(15)),
            path: vec![
                PathStep {
                    step: Step::Llm,
                    ms: ms(450),
                },
                PathStep {
                    step: Step::Tts,
                    ms: ms(15),
                },
            ],
            ..AgentAccount::default()
        });
        let placed: Vec<(f64, f64)> = parts(turn).iter().map(|p| (p.from, p.to)).collect();
        let expected = [
            (0.0, 200.0),
            (200.0, 930.0),
            (935.0, 1_235.0),
            (935.0, 1_385.0),
            (1_385.0, 1_400.0),
            (1_400.0, 1_440.0),
            (1_440.0, 1_460.0),
        ];
        assert_eq!(placed, expected);

        // If the agent reports the time of the model's request, the model's parts are placed there.
        let agent = turn.agent.as_mut().expect("set above");
        agent.model_asked_ms = Some(zero + ms(700));
        let placed = parts(turn);
        let model = placed.iter().find(|p| p.short == "LLM first sentence");
        let model = model.expect("the model has a part");
        assert_eq!(
            (model.from, model.to, model.known),
            (700.0, 1_150.0, Known::Claimed)
        );
        assert!(path(turn.agent.as_ref().expect("set above")).contains("LLM 450.0 → TTS 15.0"));
    }
}
