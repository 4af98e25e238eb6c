//! Describes the conditions of a run as text that can be compared.
//!
//! In: a checked scenario, with the overrides applied. Out: [`Conditions`]. Invariant: scenarios
//! whose callers play the same utterances at the same times yield the same text.

use crate::call::MODEL;
use crate::cli::exit::Exit;
use crate::cli::trouble::Trouble;
use crate::record::{Conditions, MEASUREMENT_VERSION};
use crate::run::load_said;
use crate::scenario::{
    CallConfig, Delay, Extent, Load, Networks, NextTurn, NoiseFrom, Pick, Saying, Scenario, Shape,
    SoundConfig, TurnConfig, UtteranceConfig, UtteranceSource,
};
use crate::vocab::duration::format as time;
use crate::vocab::{Go, OnAgentLeft, Pattern, When};
use std::hash::Hasher;
use std::path::Path;
use std::sync::Arc;

pub(super) fn of_scenario(scenario: &Scenario) -> Result<Conditions, Trouble> {
    let utterances = scenario.utterances.iter();
    let utterances = utterances.map(|u| {
        let (name, mut what) = (u.name.clone(), sound(u)?);
        if u.sound != SoundConfig::default() {
            what += &format!(", {}", sounding(&u.sound)?);
        }
        Ok((name, what))
    });
    Ok(Conditions {
        definitions: MEASUREMENT_VERSION,
        playout_model: MODEL.to_owned(),
        utterances: utterances.collect::<Result<_, Trouble>>()?,
        call: heard(scenario)?
            .into_iter()
            .chain(script(&scenario.call, &scenario.utterances))
            .collect(),
        load: load(&scenario.load, scenario.warmup),
        network: network(&scenario.networks),
    })
}

/// The simulated networks of all variants; those of single variants may differ between runs.
fn network(networks: &Networks) -> String {
    if let Some(loss) = networks.flat {
        let burst = loss
            .burst
            .map_or_else(String::new, |b| format!(", burst {b}"));
        return format!("loss {}{burst}", loss.share);
    }
    let words = networks.in_words();
    let words: Vec<String> = words
        .map(|(_, share, words)| format!("{share} {words}"))
        .collect();
    match words.is_empty() {
        true => "untouched".to_owned(),
        false => words.join("; "),
    }
}

/// Identifies a sound by its content: another recording of the same words is another utterance.
fn sound(utterance: &UtteranceConfig) -> Result<String, Trouble> {
    let unreadable = |message: String| {
        let hint = "the scenario's sound files must stay where they are while it runs";
        Trouble::new(Exit::InvalidScenario, message, hint)
    };
    let path = match &utterance.source {
        UtteranceSource::File(path) => path,
        UtteranceSource::Silence(length) => return Ok(format!("silence of {}", time(*length))),
        UtteranceSource::Dtmf(digits, dialled) => {
            return Ok(format!("dials {digits} as {}", dialled.name()));
        }
    };
    let read = std::fs::read(path)
        .map_err(|e| unreadable(format!("cannot read `{}`: {e}", path.display())))?;
    let sound = load_said(utterance).map_err(|e| unreadable(e.to_string()))?;
    let mut fingerprint = Fnv::default();
    fingerprint.write(&read);
    let (length, end) = (time(sound.length()), time(sound.speech_end));
    let channel = match utterance.channel {
        None => String::new(),
        Some(channel) => format!(", channel {}", channel.name()),
    };
    Ok(format!(
        "{:016x}, {length}, speech ends at {end}{channel}",
        fingerprint.finish()
    ))
}

/// How callers sound, if that is specified: a line for each sound that the seed may pick, and one
/// for the background.
fn heard(scenario: &Scenario) -> Result<Vec<String>, Trouble> {
    let sounds = scenario.call.sounds.iter();
    let mut lines: Vec<String> = sounds.map(sounding).collect::<Result<_, Trouble>>()?;
    if let Some(background) = &scenario.call.background {
        let noise = noise_of(&background.from)?;
        lines.push(format!("background {noise} at {}FS", background.level));
    }
    Ok(lines)
}

fn sounding(sound: &SoundConfig) -> Result<String, Trouble> {
    let mut parts = Vec::new();
    parts.extend(sound.level.map(|level| format!("level {level}FS")));
    parts.extend(
        sound
            .room
            .map(|r| format!("room {}, direct {}", time(r.rt60), r.direct)),
    );
    if let Some(other) = &sound.bystander {
        let (file, start) = (content(&other.file)?, time(other.start));
        parts.push(format!("bystander {file} at {} from {start}", other.snr));
    }
    if let Some(noise) = &sound.noise {
        parts.push(format!("noise {} at {}", noise_of(&noise.from)?, noise.snr));
    }
    parts.extend(sound.microphone.map(|m| format!("microphone {}", m.name())));
    parts.extend(sound.gain.map(|gain| format!("gain {gain}")));
    parts.extend(sound.clip.map(|clip| format!("clipped by {clip}")));
    parts.extend(sound.band.map(|band| format!("band {}", band.name())));
    Ok(format!("sound: {}", parts.join(", ")))
}

fn noise_of(from: &NoiseFrom) -> Result<String, Trouble> {
    match from {
        NoiseFrom::Kind(kind) => Ok(kind.name().to_owned()),
        NoiseFrom::File(path) => content(path),
    }
}

/// Identifies a file by its content.
fn content(path: &Path) -> Result<String, Trouble> {
    let read = std::fs::read(path).map_err(|e| {
        let hint = "the scenario's sound files must stay where they are while it runs";
        let message = format!("cannot read `{}`: {e}", path.display());
        Trouble::new(Exit::InvalidScenario, message, hint)
    })?;
    let mut fingerprint = Fnv::default();
    fingerprint.write(&read);
    Ok(format!("{:016x}", fingerprint.finish()))
}

/// FNV-1a (Fowler, Noll, Vo), 64 bits: the same on every machine and in every release. It
/// distinguishes files, but does not resist deliberate collisions.
///
/// Summaries and baselines on disk contain its values, which are compared literally: with another
/// hash, such as SHA-256, every sound would differ from that of an earlier run. Records do not
/// contain the sounds, so they could not be hashed again.
struct Fnv(u64);

impl Default for Fnv {
    fn default() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }
}

impl Hasher for Fnv {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

/// Greeting and turns, one line each.
fn script(call: &CallConfig, utterances: &[UtteranceConfig]) -> Vec<String> {
    let greeting = call.greeting.name();
    let mut head = format!(
        "greeting {greeting}, agent within {}",
        time(call.agent_timeout)
    );
    if let Some(track) = &call.agent_track {
        head += &format!(", track {track}");
    }
    if let Some(identity) = &call.agent_identity {
        head += &format!(", identity {identity}");
    }
    if call.on_agent_left == OnAgentLeft::Fail {
        head += ", which may not leave";
    }
    if let Some(filler) = call.filler {
        let (max, gap) = (time(filler.max), time(filler.gap));
        head += &format!(", fillers of up to {max} before a gap of {gap}");
    }
    if let Some(after) = call.hang_up {
        head += &format!(", hung up after {}", time(after));
    }
    if let Some(tone) = call.reply_tone {
        head += &format!(", replies with a tone of {tone} Hz");
    }
    let turns = call.turns.iter().map(|turn| {
        let names = says(turn, utterances);
        let delay = match turn.delay {
            Delay::Between { min, max } if min == max => time(min),
            Delay::Between { min, max } => format!("{} to {}", time(min), time(max)),
            Delay::Normal { mean, sd } => format!("{} (normal, sd {})", time(mean), time(sd)),
        };
        let expect = turn.expect.name();
        let anchor = match turn.silence == TurnConfig::SILENCE {
            true => turn.anchor.name().to_owned(),
            false => format!("{} of {}", turn.anchor.name(), time(turn.silence)),
        };
        format!(
            "{names}: {delay} after {anchor}, {expect} within {}{}",
            time(turn.timeout),
            course(turn)
        )
    });
    std::iter::once(head).chain(turns).collect()
}

/// What the caller may say in a turn. A text is identified by its content, which is not kept.
fn says(turn: &TurnConfig, utterances: &[UtteranceConfig]) -> String {
    let text = |text: &Arc<str>| {
        let mut fingerprint = Fnv::default();
        fingerprint.write(text.as_bytes());
        format!("text {:016x}", fingerprint.finish())
    };
    let names: Vec<String> = match &turn.say {
        Saying::Utterances(all) => {
            let known = all.iter().filter_map(|&i| utterances.get(i));
            known.map(|u| u.name.clone()).collect()
        }
        Saying::Texts(all) => all.iter().map(text).collect(),
        Saying::Nothing => vec!["nothing".to_owned()],
    };
    match &turn.pick {
        Pick::Random => names.join(" or "),
        Pick::InOrder => names.join(" then "),
        Pick::Weighted(weights) => {
            let weighted = names.iter().zip(weights);
            let weighted = weighted.map(|(name, weight)| format!("{weight} {name}"));
            weighted.collect::<Vec<_>>().join(" or ")
        }
    }
}

/// How the call goes on after a turn, and how often the turn may be taken; empty if that is as
/// usual.
fn course(turn: &TurnConfig) -> String {
    let mut text = String::new();
    if let Some(at) = turn.pass.filter(|at| at.min != at.max) {
        text += &format!(", in {} to {} passes", at.min, at.max);
    }
    if let Some(leaving) = &turn.hang_up {
        text += &format!(", then hangs up after {}", leaving.anchor.name());
        text += &format!(" and {}", time(leaving.delay.typical()));
    }
    for NextTurn { branch, pattern } in &turn.next {
        let when = match branch.when {
            When::Always => String::new(),
            When::Outcome(outcome) => format!(" if {}", outcome.name()),
            When::ReplyMatches => {
                let pattern = pattern.as_ref().map_or("", Pattern::written);
                format!(" if the reply matches {pattern}")
            }
        };
        text += &match branch.go {
            Go::Turn(to) => format!(", then turn {}{when}", to + 1),
            Go::HangUp => format!(", then hangs up{when}"),
        };
    }
    text
}

/// The number of calls and their timing.
fn load(load: &Load, warmup: u32) -> String {
    let extent = match load.extent {
        Extent::Calls(calls) => format!("{calls} calls"),
        Extent::Duration(duration) => format!("calls for {}", time(duration)),
    };
    let shape = match &load.shape {
        Shape::Constant => format!("ramp {}", time(load.ramp)),
        Shape::Stages(stages) => {
            let stage = stages
                .iter()
                .map(|s| format!("{} in {}", s.target, time(s.duration)));
            format!("stages {}", stage.collect::<Vec<_>>().join(", "))
        }
        Shape::Arrival(arrival) => format!(
            "arriving {:?} at {} a second",
            arrival.process, arrival.rate
        )
        .to_lowercase(),
    };
    format!(
        "{extent}, {} at once, {shape}, {warmup} warm-up calls",
        load.concurrency
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The algorithm's published values: <http://www.isthe.com/chongo/tech/comp/fnv/>.
    #[test]
    fn fingerprints_match_the_published_fnv_values() {
        for (text, expected) in [
            ("", 0xcbf2_9ce4_8422_2325),
            ("a", 0xaf63_dc4c_8601_ec8c),
            ("foobar", 0x8594_4171_f739_67e8),
        ] {
            let mut fingerprint = Fnv::default();
            fingerprint.write(text.as_bytes());
            assert_eq!(fingerprint.finish(), expected, "{text}");
        }
    }
}
