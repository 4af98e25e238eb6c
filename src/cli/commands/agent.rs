//! `loadgen agent`: the reference agent as a worker of a LiveKit server.

mod behaviour;
mod serve;

use crate::cli::exit::Exit;
use crate::cli::server::ServerArgs;
use crate::scenario::{AgentSettings, Sound};
use crate::targets::agent::EndDetection;
use crate::vocab::AgentDelay;
use clap::Args;
use serve::{Service, serve};
use std::path::PathBuf;
use std::time::Duration;

/// Arguments of `loadgen agent`.
#[derive(Debug, Args)]
pub(crate) struct AgentArgs {
    /// Answer only dispatches to this name; without a name, the server dispatches the agent to
    /// every room
    #[arg(long, value_name = "NAME")]
    pub agent_name: Option<String>,
    /// End of the caller's speech to the first audible sample of the reply: a duration, or
    /// uniform(300ms,500ms), normal(400ms,50ms), lognormal(400ms,0.3)
    #[arg(long, value_name = "DELAY", default_value = "400ms", value_parser = parse_delay)]
    pub delay: AgentDelay,
    /// Seed of a random delay
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = crate::cli::number::seed)]
    pub seed: u64,
    /// Sound of the reply: tone, or a sound file
    #[arg(long, value_name = "tone|FILE", default_value = "tone", value_parser = parse_sound)]
    pub reply: Sound,
    /// Length of the tone
    #[arg(long, value_name = "DURATION", default_value = "1.5s", value_parser = parse_length)]
    pub reply_length: Duration,
    /// Sound of the greeting: tone, or a sound file [default: no greeting]
    #[arg(long, value_name = "tone|FILE", value_parser = parse_sound)]
    pub greeting: Option<Sound>,
    /// Concurrent calls that the agent sustains; beyond that, all delays double, as if overloaded
    #[arg(long, value_name = "N", value_parser = crate::cli::number::whole(1..=100_000))]
    pub capacity: Option<u32>,
    /// How the agent behaves beyond that, such as '{stop: {after: 300ms, ignore: 20%}}': a mapping
    /// in YAML, or a file with one
    #[arg(long, value_name = "YAML|FILE")]
    pub behaviour: Option<String>,
    /// Write one JSON object for every reply and everything else that the agent does, with the
    /// timestamps used to time it
    #[arg(long, value_name = "FILE")]
    pub truth: Option<PathBuf>,
    /// Describe each call in its room, as a LiveKit agent does: state, turns with their delays,
    /// transcripts with a placeholder for the words
    #[arg(
        long,
        value_enum,
        value_name = "on|off",
        default_value = "on",
        hide_possible_values = true
    )]
    pub session: Switch,
    /// Detect the end of the caller's speech by level, or by the calibration chirp
    #[arg(long, value_enum, default_value = "level", hide = true)]
    pub hear: Hear,
    /// Communicate with the parent process over standard input and output, without a server
    #[arg(long, hide = true, conflicts_with_all = ["agent_name", "url", "api_key", "api_secret"])]
    pub stdio: bool,
    /// Stop when standard input closes
    #[arg(long, hide = true, conflicts_with = "stdio")]
    pub until_eof: bool,
    /// The server.
    #[command(flatten)]
    pub server: ServerArgs,
}

/// How the agent detects the end of its caller's speech.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Hear {
    /// By level.
    Level,
    /// By the calibration chirp.
    Chirp,
}

/// The value of an on/off flag.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Switch {
    /// Enabled.
    On,
    /// Disabled.
    Off,
}

impl From<Hear> for EndDetection {
    fn from(hear: Hear) -> Self {
        match hear {
            Hear::Level => Self::Level,
            Hear::Chirp => Self::Chirp,
        }
    }
}

fn parse_delay(text: &str) -> Result<AgentDelay, String> {
    text.parse()
        .map_err(|e: crate::vocab::DelayError| format!("{e}; {}", e.hint()))
}

fn parse_sound(text: &str) -> Result<Sound, String> {
    match text {
        "" => Err("write tone, or the path of a sound file".to_owned()),
        "tone" => Ok(Sound::Tone),
        path => Ok(Sound::File(path.into())),
    }
}

fn parse_length(text: &str) -> Result<Duration, String> {
    match crate::cli::duration::parse_duration(text)? {
        Duration::ZERO => Err("it must be greater than 0".to_owned()),
        length => Ok(length),
    }
}

/// Serves calls until the process is stopped.
pub(super) fn execute(args: AgentArgs) -> Exit {
    let behaviour = match args.behaviour.as_deref().map(behaviour::read).transpose() {
        Ok(behaviour) => behaviour.unwrap_or_default(),
        Err(trouble) => return trouble.tell(),
    };
    serve(&Service {
        settings: AgentSettings {
            behaviour: Box::new(behaviour),
            truth: args.truth,
            delay: args.delay,
            seed: args.seed,
            reply: args.reply,
            reply_length: args.reply_length,
            greeting: args.greeting,
            capacity: args.capacity,
        },
        server: args.server.into(),
        agent_name: args.agent_name.unwrap_or_default(),
        hearing: args.hear.into(),
        session: args.session == Switch::On,
        pipe: args.stdio,
        until_eof: args.until_eof,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::session::agent_flags::arguments;
    use crate::vocab::{
        Behaviour, Between, Early, Fault, FaultKind, FillerSound, HangUp, Resume, SpokenFiller,
        Stop,
    };
    use clap::Parser;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        agent: AgentArgs,
    }

    /// A behaviour that sets everything.
    fn wild() -> Behaviour {
        let ms = Duration::from_millis;
        let fault = |kind: FaultKind| Fault {
            kind,
            share: 0.07,
            at: vec![ms(500); usize::from(kind.has_place())],
            length: vec![ms(40); if kind.has_length() { 2 } else { 0 }],
            gain_db: kind.has_gain().then_some(12.5),
        };
        Behaviour {
            stop: Some(Stop {
                after: Some(Duration::from_micros(300_500)),
                ignore: 0.2,
            }),
            resume: Some(Resume {
                under: ms(800),
                share: 0.5,
                restart: 0.25,
                pause: ms(400),
            }),
            early: Some(Early {
                pauses: ms(500),
                share: 0.123_456,
            }),
            filler: Some(SpokenFiller {
                sound: FillerSound::Tone { length: ms(400) },
                gap: ms(1_000),
                state: Between::Listening,
                share: 1.0,
            }),
            faults: FaultKind::ALL.iter().copied().map(fault).collect(),
            dtx: true,
            silent: 0.1,
            greeting_delay: Some(Duration::ZERO),
            publish_after: Some(ms(1_500)),
            republish: 0.3,
            hang_up: Some(HangUp {
                turn: 3,
                into_reply: Some(ms(200)),
            }),
        }
    }

    #[test]
    fn agent_arguments_round_trip() {
        let settings = AgentSettings {
            delay: "lognormal(400ms,0.3)".parse().expect("a valid delay"),
            seed: u64::MAX,
            reply: Sound::File("a b/-x.wav".into()),
            reply_length: Duration::from_micros(1_234_567),
            greeting: Some(Sound::Tone),
            capacity: Some(7),
            behaviour: Box::new(wild()),
            truth: Some("a b/truth.jsonl".into()),
        };
        let line = ["agent".to_owned()].into_iter().chain(arguments(&settings));
        let read = Line::try_parse_from(line).expect("valid arguments").agent;
        assert_eq!((read.delay, read.seed), (settings.delay, settings.seed));
        assert_eq!(
            (read.reply, read.greeting),
            (settings.reply, settings.greeting)
        );
        assert_eq!(read.reply_length, settings.reply_length);
        assert_eq!(read.capacity, settings.capacity);
        assert_eq!(read.truth, settings.truth);
        let behaviour = behaviour::read(&read.behaviour.expect("a behaviour"));
        assert_eq!(behaviour.ok(), Some(*settings.behaviour));
    }

    #[test]
    fn a_filler_from_a_file_round_trips() {
        let filler = SpokenFiller {
            sound: FillerSound::File {
                sound: concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/door.wav").into(),
            },
            gap: Duration::from_millis(800),
            state: Between::Thinking,
            share: 1.0,
        };
        let behaviour = Behaviour {
            filler: Some(filler),
            ..Behaviour::default()
        };
        let text = serde_json::to_string(&behaviour).expect("JSON");
        assert!(!text.contains("length"), "{text}");
        assert_eq!(behaviour::read(&text).ok(), Some(behaviour));
    }
}
