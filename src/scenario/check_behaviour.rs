//! Checks `target.agent.behaviour`, which `loadgen agent --behaviour` reads as well.
//!
//! In: values that passed the schema. Out: the checked behaviour, and problems in the [`Checker`].

use super::behaviour_file::{
    AgentHangUpFile, BehaviourFile, BetweenText, DurationsFile, EarlyFile, FaultFile, ResumeFile,
    SpokenFillerFile, StopFile,
};
use super::checker::{Checker, Zero};
use super::file::{DurationText, PercentText};
use super::places::{join, last};
use super::problem::Code;
use super::types::Sound;
use crate::vocab::{
    Behaviour, Between, Early, Fault, FaultKind, FillerSound, HangUp, Resume, SpokenFiller, Stop,
    duration,
};
use std::time::Duration;

const RESUME_UNDER: Duration = Duration::from_millis(800);
const RESUME_PAUSE: Duration = Duration::from_millis(500);
const FILLER_LENGTH: Duration = Duration::from_millis(500);
const FAULT_AT: Duration = Duration::from_millis(500);
/// Silence that the agent needs to notice a pause.
const SHORTEST_PAUSE: Duration = Duration::from_millis(120);
/// Longest duration in a behaviour; replies are not longer.
const LONGEST: Duration = Duration::from_secs(60);
/// Maximum number of combinations of places and lengths of a fault: each is encoded at the start.
const COMBINATIONS: usize = 64;

impl Checker<'_> {
    /// The behaviour at pointer `at`; each of its parts replaces that of `base`.
    pub(super) fn behaviour(
        &mut self,
        file: &BehaviourFile,
        at: &str,
        base: &Behaviour,
    ) -> Behaviour {
        let part = |name: &str| join(at, name);
        let stop = file.stop.as_ref();
        let stop = stop.map(|file| self.stopping(file, &part("stop")));
        let resume = file.resume.as_ref();
        let resume = resume.map(|file| self.resuming(file, &part("resume")));
        let early = file.early.as_ref();
        let early = early.and_then(|file| self.early(file, &part("early")));
        let filler = file.filler.as_ref();
        let filler = filler.and_then(|file| self.spoken_filler(file, &part("filler")));
        let faults = file.faults.as_deref();
        let faults = faults.map(|files| self.faults(files, &part("faults")));
        let time = |checker: &mut Self, text: &Option<DurationText>, name| {
            let text = text.as_ref()?;
            Some(checker.bounded_delay(Some(text), &part(name), Duration::ZERO, Zero::Fine))
        };
        let greeting_delay = time(self, &file.greeting_delay, "greeting_delay");
        let publish_after = time(self, &file.publish_after, "publish_after");
        let hang_up = file.hang_up.as_ref();
        Behaviour {
            stop: stop.or(base.stop),
            resume: resume.or(base.resume),
            early: early.or(base.early),
            filler: filler.or_else(|| base.filler.clone()),
            faults: faults.unwrap_or_else(|| base.faults.clone()),
            dtx: file.dtx.unwrap_or(base.dtx),
            silent: self.share_or(file.silent.as_ref(), &part("silent"), base.silent),
            greeting_delay: greeting_delay.or(base.greeting_delay),
            publish_after: publish_after.or(base.publish_after),
            republish: self.share_or(file.republish.as_ref(), &part("republish"), base.republish),
            hang_up: hang_up
                .and_then(|file| self.hanging_up(file, &part("hang_up")))
                .or(base.hang_up),
        }
    }

    /// Reports what the embedded agent cannot do, because its calls have no tracks.
    pub(super) fn without_tracks(&mut self, file: &BehaviourFile, at: &str) {
        let given = [
            ("publish_after", file.publish_after.is_some()),
            ("republish", file.republish.is_some()),
        ];
        for (key, _) in given.into_iter().filter(|(_, given)| *given) {
            let message = format!("`{key}` is about a track in a room of a LiveKit server");
            let hint = "leave it out, or start `loadgen agent --behaviour` with a server";
            self.problem_at_key(&join(at, key), Code::Contradiction, message, hint);
        }
    }

    fn stopping(&mut self, file: &StopFile, at: &str) -> Stop {
        let after = file.after.as_ref();
        let at_after = join(at, "after");
        Stop {
            after: after
                .map(|t| self.bounded_delay(Some(t), &at_after, Duration::ZERO, Zero::Refused)),
            ignore: self.share_or(file.ignore.as_ref(), &join(at, "ignore"), 0.0),
        }
    }

    fn resuming(&mut self, file: &ResumeFile, at: &str) -> Resume {
        let (at_under, at_pause) = (join(at, "under"), join(at, "pause"));
        Resume {
            under: self.bounded_delay(file.under.as_ref(), &at_under, RESUME_UNDER, Zero::Refused),
            share: self.share_or(file.share.as_ref(), &join(at, "share"), 1.0),
            restart: self.share_or(file.restart.as_ref(), &join(at, "restart"), 0.0),
            pause: self.bounded_delay(file.pause.as_ref(), &at_pause, RESUME_PAUSE, Zero::Fine),
        }
    }

    fn early(&mut self, file: &EarlyFile, at: &str) -> Option<Early> {
        let at_pauses = join(at, "pauses");
        let pauses = self.need(file.pauses.as_ref(), &at_pauses)?;
        let pauses = self.bounded_delay(Some(pauses), &at_pauses, SHORTEST_PAUSE, Zero::Fine);
        if pauses < SHORTEST_PAUSE {
            let message = format!(
                "the agent notices a pause after {}, which is longer than `pauses`",
                duration::format(SHORTEST_PAUSE)
            );
            let hint = format!("write {} or more", duration::format(SHORTEST_PAUSE));
            self.problem(&at_pauses, Code::BadValue, message, hint);
        }
        Some(Early {
            pauses,
            share: self.share_or(file.share.as_ref(), &join(at, "share"), 1.0),
        })
    }

    fn spoken_filler(&mut self, file: &SpokenFillerFile, at: &str) -> Option<SpokenFiller> {
        let (at_gap, at_length) = (join(at, "gap"), join(at, "length"));
        let sound = self.sound(file.sound.as_deref(), &join(at, "sound"));
        let sound = match sound {
            Some(Sound::File(path)) => Some(path),
            Some(Sound::Tone) | None => None,
        };
        if file.length.is_some() && sound.is_some() {
            let message = "`length` is the length of a tone, but `sound` is a sound file";
            self.problem_at_key(&at_length, Code::Contradiction, message, "leave it out");
        }
        let gap = self.need(file.gap.as_ref(), &at_gap)?;
        let length = file.length.as_ref();
        let length = self.bounded_delay(length, &at_length, FILLER_LENGTH, Zero::Refused);
        Some(SpokenFiller {
            sound: match sound {
                Some(sound) => FillerSound::File { sound },
                None => FillerSound::Tone { length },
            },
            gap: self.bounded_delay(Some(gap), &at_gap, Duration::ZERO, Zero::Refused),
            state: match file.state {
                Some(BetweenText::Listening) => Between::Listening,
                Some(BetweenText::Thinking) | None => Between::Thinking,
            },
            share: self.share_or(file.share.as_ref(), &join(at, "share"), 1.0),
        })
    }

    fn faults(&mut self, files: &[Option<FaultFile>], at: &str) -> Vec<Fault> {
        let mut faults = Vec::new();
        for (i, file) in files.iter().enumerate() {
            let at = join(at, &i.to_string());
            faults.extend(file.as_ref().and_then(|file| self.fault(file, &at)));
        }
        let sum: f64 = faults.iter().map(|fault: &Fault| fault.share).sum();
        if sum > 1.0 + 1e-9 {
            let message = format!(
                "the shares of the faults add up to {:.6}%, but a reply has at most one fault",
                sum * 100.0
            );
            let hint = "lower the shares to 100% in total, or less if some replies should be clean";
            self.problem_at_key(at, Code::Contradiction, message, hint);
        }
        faults
    }

    fn fault(&mut self, file: &FaultFile, at: &str) -> Option<Fault> {
        let (at_length, at_gain) = (join(at, "length"), join(at, "gain_db"));
        let kind = self.need(file.kind, &join(at, "kind"))?;
        let share = self.need(file.share.as_ref(), &join(at, "share"))?;
        let unfit = [
            ("at", file.at.is_some() && !kind.has_place()),
            ("length", file.length.is_some() && !kind.has_length()),
            ("gain_db", file.gain_db.is_some() && !kind.has_gain()),
        ];
        for (key, _) in unfit.into_iter().filter(|(_, unfit)| *unfit) {
            let message = format!("a fault of the kind `{}` has no `{key}`", kind.name());
            self.problem_at_key(&join(at, key), Code::Contradiction, message, "leave it out");
        }
        let optional = !kind.has_length() || kind == FaultKind::LevelJump;
        if file.length.is_none() && !optional && !self.is_unset(&at_length) {
            let message = format!("a fault of the kind `{}` needs a `length`", kind.name());
            self.problem(at, Code::MissingKey, message, "write `length: 200ms`");
        }
        let wrong = match (kind, file.gain_db) {
            (FaultKind::Clipping, None) => Some("`clipping` needs a `gain_db` above 0"),
            (FaultKind::Clipping, Some(gain)) if gain <= 0.0 => {
                Some("`clipping` amplifies, so its `gain_db` must be above 0")
            }
            (FaultKind::LevelJump, None) => Some("`level_jump` needs a `gain_db`"),
            _ => None,
        };
        if let Some(message) = wrong.filter(|_| !self.is_unset(&at_gain)) {
            self.problem(at, Code::BadValue, message, "write `gain_db: 18`");
        }
        let mut places = self.durations(file.at.as_ref(), &join(at, "at"), Zero::Fine);
        if places.is_empty() && kind.has_place() {
            places.push(FAULT_AT);
        }
        let lengths = self.durations(file.length.as_ref(), &at_length, Zero::Refused);
        if places.len() * lengths.len() > COMBINATIONS {
            let message = format!(
                "{} places and {} lengths are more than {COMBINATIONS} combinations",
                places.len(),
                lengths.len()
            );
            self.problem(at, Code::BadValue, message, "leave some of them out");
        }
        Some(Fault {
            kind,
            share: self.share_or(Some(share), &join(at, "share"), 0.0),
            at: places,
            length: lengths,
            gain_db: file.gain_db,
        })
    }

    fn durations(
        &mut self,
        file: Option<&DurationsFile>,
        pointer: &str,
        zero: Zero,
    ) -> Vec<Duration> {
        match file {
            None => Vec::new(),
            Some(DurationsFile::One(text)) => {
                vec![self.bounded_delay(Some(text), pointer, Duration::ZERO, zero)]
            }
            Some(DurationsFile::Many(texts)) => {
                let numbered = texts.iter().enumerate();
                let given = numbered.filter_map(|(i, text)| Some((i, text.as_ref()?)));
                given
                    .map(|(i, text)| {
                        let at = join(pointer, &i.to_string());
                        self.bounded_delay(Some(text), &at, Duration::ZERO, zero)
                    })
                    .collect()
            }
        }
    }

    fn hanging_up(&mut self, file: &AgentHangUpFile, at: &str) -> Option<HangUp> {
        let at_into = join(at, "into_reply");
        let into = file.into_reply.as_ref();
        Some(HangUp {
            turn: self.need(file.turn, &join(at, "turn"))?,
            into_reply: into
                .map(|t| self.bounded_delay(Some(t), &at_into, Duration::ZERO, Zero::Refused)),
        })
    }

    /// A duration of at most [`LONGEST`].
    fn bounded_delay(
        &mut self,
        text: Option<&DurationText>,
        pointer: &str,
        default: Duration,
        zero: Zero,
    ) -> Duration {
        let time = self.duration(text, pointer, default, zero);
        if time > LONGEST {
            let longest = duration::format(LONGEST);
            let message = format!("`{}` must be at most {longest}", last(pointer));
            let hint = format!("write {longest} or less");
            self.problem(pointer, Code::BadValue, message, hint);
            return default;
        }
        time
    }

    /// A share from 0 to 1, or `default` if there is none.
    fn share_or(&mut self, text: Option<&PercentText>, pointer: &str, default: f64) -> f64 {
        let share = text.and_then(|text| self.share(text, pointer, "write a share such as `20%`"));
        share.unwrap_or(default)
    }
}
