//! The slowest turns, each with its timeline.
//!
//! In: replied turns. Out: a section. Holds: every timeline is to the same scale, zero at the end
//! of the caller's speech.

use super::super::figures::figure;
use super::draw::draw;
use super::parts::Section;
use super::plot::{Drawn, Ink, Layer, Panel, Plot, Rise, WIDE};
use super::view::{View, name};
use crate::record::{Ms, TurnRecord};
use maud::{Markup, PreEscaped, html};

/// Turns that are shown.
const SHOWN: usize = 10;
/// What of the caller's words and of the reply is drawn at most, in seconds.
const BEFORE_S: f64 = 4.0;
const AFTER_S: f64 = 2.5;

pub(super) fn section(view: &View<'_>) -> Option<Section> {
    let mut turns: Vec<(&TurnRecord, Ms)> = view.replied().collect();
    turns.sort_by_key(|(turn, ttfa)| (std::cmp::Reverse(*ttfa), turn.call, turn.turn));
    turns.truncate(SHOWN);
    let longest = turns.first()?.1.as_f64() / 1e3;
    let before = turns
        .iter()
        .filter_map(|(t, _)| said(t))
        .fold(0.2, f64::max)
        .min(BEFORE_S);
    let after = turns
        .iter()
        .map(|(t, ttfa)| end(t, *ttfa).unwrap_or(f64::INFINITY))
        .fold(longest, f64::max);
    let scale = -before..after.min(longest + AFTER_S) + 0.1;
    let body = html! {
        p.note {
            "Zero is the end of the caller's speech; the reply begins where it would leave the caller's loudspeaker."
        }
        ol.slowest { @for (turn, ttfa) in &turns {
            li { (timeline(turn, *ttfa, scale.clone())) }
        } }
    };
    Some(Section::new("slowest", "Slowest turns", body))
}

/// How long the caller spoke, in seconds.
fn said(turn: &TurnRecord) -> Option<f64> {
    let (from, to) = (turn.started_ms?, turn.speech_end_ms?);
    Some((to.as_f64() - from.as_f64()) / 1e3)
}

/// When the reply ended, in seconds from the end of speech. Its packets' arrivals are known; what
/// the buffer holds back moves all of it.
fn end(turn: &TurnRecord, ttfa: Ms) -> Option<f64> {
    let (end, zero) = (turn.reply_end_ms?, turn.speech_end_ms?);
    let held = ttfa.as_f64() - turn.ttfa_wire_ms?.as_f64();
    Some((end.as_f64() - zero.as_f64() + held) / 1e3)
}

fn timeline(turn: &TurnRecord, ttfa: Ms, x: std::ops::Range<f64>) -> Markup {
    let onset = ttfa.as_f64() / 1e3;
    let speech = said(turn).unwrap_or(0.0).min(-x.start);
    let reply_end = end(turn, ttfa).unwrap_or(x.end).clamp(onset, x.end);
    let drawn = draw(&Plot {
        width: WIDE,
        x,
        x_title: "seconds from the end of speech".into(),
        panels: vec![Panel {
            title: String::new(),
            rise: Rise::Lanes(vec!["agent".into(), "caller".into()]),
            height: 130,
            layers: vec![
                Layer::Boxes(vec![[-speech, 0.0, 1.2, 1.8]], Ink::Main),
                Layer::Boxes(vec![[onset, reply_end, 0.2, 0.8]], Ink::Third),
                Layer::Boxes(vec![[0.0, onset, 0.47, 0.53]], Ink::Alarm),
                Layer::Marks(
                    vec![
                        (0.0, "end of speech".into()),
                        (onset, format!("onset {ttfa:.1} ms")),
                    ],
                    Ink::Alarm,
                ),
            ],
        }],
        spans: vec![],
    });
    html! {
        figure.timeline {
            figcaption {
                b.number { (figure(Some(ttfa))) " ms" }
                " call " (turn.call) ", turn " (turn.turn) ", “" (name(&turn.utterance)) "”"
                @if turn.variant != "default" { ", " (name(&turn.variant)) }
                " " code { (name(&turn.room)) }
                @for flag in &turn.flags { " " span.flag { (flag.name()) } }
            }
            (svg(&drawn))
        }
    }
}

fn svg(drawn: &Drawn) -> Markup {
    html! {
        svg viewBox=(format!("0 0 {} {}", drawn.width, drawn.height)) aria-hidden="true" focusable="false" {
            // Made by plotters, which escapes the text in it.
            (PreEscaped(&drawn.inside))
        }
    }
}
