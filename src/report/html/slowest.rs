//! Timelines of single turns: the slowest, and those without an answer whose audio was kept.
//!
//! In: the record and the kept audio. Out: two sections. Invariants: zero is the end of
//! the caller's speech; all slowest turns share one scale; the caller is drawn above the agent.

use super::super::figures::figure;
use super::super::text::clean;
use super::chart::drawing;
use super::draw::draw;
use super::plot::{Ink, Layer, Panel, Plot, Rise, Stand, WIDE};
use super::section::Section;
use super::spans;
use super::view::{View, name};
use crate::record::{EVIDENCE_FOLDER, EvidenceTurn, Ms, TurnRecord, Wave};
use maud::{Markup, html};
use std::ops::Range;

/// The caller's speech and the reply are drawn up to these lengths, in seconds.
const BEFORE_S: f64 = 4.0;
const AFTER_S: f64 = 2.5;
/// Length of the silence drawn after the end of speech if no reply came, in seconds.
const SILENCE_S: f64 = 6.0;
/// Maximum length of a transcript, in characters.
const LONGEST_TEXT: usize = 600;

pub(super) fn slowest(view: &View<'_>) -> Option<Section> {
    let turns = view.record.slowest();
    let longest = turns.first()?.ttfa_ms?.as_f64() / 1e3;
    let ends = turns.iter().map(|t| end(t).unwrap_or(f64::INFINITY));
    let after = ends.fold(longest, f64::max).min(longest + AFTER_S);
    let scale = -before(&turns)..after + 0.1;
    let body = html! {
        p.note {
            "Zero is the end of the caller's speech; the reply begins where it would leave the caller's loudspeaker."
            @if view.record.evidence.is_some() { " Caller left, agent right." }
        }
        ol.slowest { @for turn in turns { li { (timeline(view, turn, scale.clone())) } } }
    };
    Some(Section::new("slowest", "Slowest turns", body))
}

/// Missed, early and failed turns whose audio was kept.
pub(super) fn unanswered(view: &View<'_>) -> Option<Section> {
    let turns = view.record.unanswered();
    if turns.is_empty() {
        return None;
    }
    let scale = -before(&turns)..SILENCE_S;
    let body = html! {
        p.note { "Missed, early and failed turns, as their callers heard them: caller left, agent right." }
        ol.slowest { @for turn in turns { li { (timeline(view, turn, scale.clone())) } } }
    };
    Some(Section::new("unanswered", "Turns without an answer", body))
}

/// How much of the callers' speech is drawn, in seconds.
fn before(turns: &[&TurnRecord]) -> f64 {
    let said = turns.iter().filter_map(|t| said(t));
    said.fold(0.2, f64::max).min(BEFORE_S)
}

/// How long the caller spoke, in seconds.
fn said(turn: &TurnRecord) -> Option<f64> {
    let (from, to) = (turn.started_ms?, turn.speech_end_ms?);
    Some((to.as_f64() - from.as_f64()) / 1e3)
}

/// When the reply ended, in seconds from the end of speech. The record has the arrival time of its
/// last packet; the playout delay shifts the whole reply.
fn end(turn: &TurnRecord) -> Option<f64> {
    let (end, zero) = (turn.reply_end_ms?, turn.speech_end_ms?);
    Some((end.as_f64() - zero.as_f64() + turn.playout_ms?.as_f64()) / 1e3)
}

fn timeline(view: &View<'_>, turn: &TurnRecord, x: Range<f64>) -> Markup {
    let kept = view.record.evidence_of(turn);
    let wave = view
        .record
        .waves
        .iter()
        .find(|w| (w.call, w.turn) == (turn.call, turn.turn));
    let lanes = match (kept, wave) {
        (Some(kept), Some(wave)) => heard(kept, wave, &x),
        _ => stamped(turn, &x),
    };
    let mut marks = vec![(0.0, "end of speech".to_owned())];
    marks.extend(onset(turn).map(|(at, ttfa)| (at, format!("onset {ttfa:.1} ms"))));
    marks.extend(agent_marks(turn, &x));
    let between = onset(turn).map(|(at, _)| Layer::Boxes(vec![[0.0, at, 0.98, 1.02]], Ink::Alarm));
    let above = spans::panel(turn, &x);
    let heard = Panel {
        title: String::new(),
        rise: Rise::Lanes(vec!["agent".into(), "caller".into()]),
        height: 150,
        layers: lanes
            .into_iter()
            .chain(between)
            .chain([Layer::Marks(marks, Ink::Alarm, Stand::Top)])
            .collect(),
    };
    let drawn = draw(&Plot {
        width: WIDE,
        x,
        x_title: "seconds from the end of speech".into(),
        panels: above.into_iter().chain([heard]).collect(),
        spans: vec![],
    });
    html! {
        figure.timeline {
            figcaption {
                @match turn.ttfa_ms {
                    Some(ttfa) => { b.number { (figure(Some(ttfa))) " ms" } }
                    None => { b { (turn.outcome.name()) } }
                }
                " call " (turn.call) ", turn " (turn.turn) ", “" (name(&turn.utterance)) "”"
                @if view.variants { ", " (name(&turn.variant)) }
                " " code { (name(&turn.room)) }
                @for flag in &turn.flags { " " span.flag { (flag.name()) } }
            }
            (drawing(&drawn))
            @if view.record.shows_transcripts { (words(turn)) }
            @if let Some(kept) = kept {
                audio controls preload="none" src=(format!("{EVIDENCE_FOLDER}/{}", kept.file))
                    aria-label=(format!("Call {}, turn {}", turn.call, turn.turn)) {}
            }
        }
    }
}

/// The agent's states and tool calls, by its own account, in seconds from the end of speech.
fn agent_marks(turn: &TurnRecord, x: &Range<f64>) -> Vec<(f64, String)> {
    let (Some(agent), Some(zero)) = (&turn.agent, turn.speech_end_ms) else {
        return Vec::new();
    };
    let since = |at: Ms| (at.as_f64() - zero.as_f64()) / 1e3;
    let states = agent
        .states
        .iter()
        .map(|s| (since(s.at_ms), s.state.name().to_owned()));
    let tools = agent.tools.iter().flat_map(|tool| {
        let name = name(&tool.name);
        let ended = tool.ended_ms.map(|at| (since(at), format!("{name} ends")));
        [
            Some((since(tool.began_ms), format!("{name} begins"))),
            ended,
        ]
    });
    let all = states.chain(tools.flatten());
    all.filter(|(at, _)| x.contains(at)).collect()
}

/// The transcripts of the caller and of the agent.
fn words(turn: &TurnRecord) -> Markup {
    let agent = turn.agent.as_ref();
    let heard = agent.and_then(|a| a.heard_text.as_deref());
    let said = agent.and_then(|a| a.reply_text.as_deref());
    html! {
        @if heard.is_some() || said.is_some() {
            dl.words {
                @for (who, text) in [("understood", heard), ("said", said)] {
                    @if let Some(text) = text { div { dt { (who) } dd { (clean(text, LONGEST_TEXT)) } } }
                }
            }
        }
    }
}

/// When the reply began, in seconds from the end of speech, and its `ttfa`.
fn onset(turn: &TurnRecord) -> Option<(f64, Ms)> {
    turn.ttfa_ms.map(|ttfa| (ttfa.as_f64() / 1e3, ttfa))
}

/// Draws both sides from timestamps: a box for each stretch of speech.
fn stamped(turn: &TurnRecord, x: &Range<f64>) -> Vec<Layer> {
    let speech = said(turn).unwrap_or(0.0).min(-x.start);
    let mut lanes = vec![Layer::Boxes(vec![[-speech, 0.0, 1.2, 1.8]], Ink::Main)];
    lanes.extend(onset(turn).map(|(from, _)| {
        let to = end(turn).unwrap_or(x.end).clamp(from, x.end.max(from));
        Layer::Boxes(vec![[from, to, 0.2, 0.8]], Ink::Third)
    }));
    lanes
}

/// Draws both sides from the kept audio, as waveforms.
fn heard(kept: &EvidenceTurn, wave: &Wave, x: &Range<f64>) -> Vec<Layer> {
    let (length, zero) = (
        kept.length_ms.as_f64() / 1e3,
        kept.speech_end_ms.as_f64() / 1e3,
    );
    let lane = |levels: &[u8], middle: f64, ink: Ink| {
        // Scale each side to its own peak, so that a quiet agent is visible too.
        let loudest = f64::from(levels.iter().copied().max().unwrap_or(0).max(8));
        let columns = levels.len().max(1) as f64;
        let points = levels.iter().enumerate().map(|(nth, level)| {
            let at = (nth as f64 + 0.5) / columns * length - zero;
            (at, f64::from(*level) / loudest)
        });
        Layer::Wave(
            points.filter(|(at, _)| x.contains(at)).collect(),
            middle,
            ink,
        )
    };
    vec![
        lane(&wave.caller, 1.5, Ink::Main),
        lane(&wave.agent, 0.5, Ink::Third),
    ]
}
