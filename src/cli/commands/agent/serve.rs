//! Serves as the reference agent of `loadgen agent`, through a LiveKit server or over a pipe.
//!
//! In: the agent's settings. Out: replies, until a signal arrives or the pipe closes.

use crate::audio::Codec;
use crate::cli::console;
use crate::cli::exit::Exit;
use crate::cli::runtime::with_runtime;
use crate::cli::session::agent_flags::SHORTEST_KEPT;
use crate::cli::settings::{self, Environment, ServerFlags};
use crate::cli::trouble::Trouble;
use crate::scenario::{AgentSettings, Sound};
use crate::targets::agent::{
    self, Agent, AgentNotice, Clip, ClipError, EndDetection, TruthWriter, Voice, WorkerOptions,
};
use crate::vocab::{AgentDelay, FillerSound, duration};
use std::path::Path;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// Which agent to serve, and how.
#[derive(Debug, Clone)]
pub(super) struct Service {
    pub(super) settings: AgentSettings,
    /// Server and credentials from the command line.
    pub(super) server: ServerFlags,
    /// Name for explicit dispatch; empty for automatic dispatch.
    pub(super) agent_name: String,
    /// How the agent detects the caller's end of speech.
    pub(super) hearing: EndDetection,
    /// Serve over stdin and stdout instead of through a server.
    pub(super) pipe: bool,
    /// Describe each call's session in its room.
    pub(super) session: bool,
    /// Stop when standard input closes, that is, when the process that writes to it exits.
    pub(super) until_eof: bool,
}

/// Longest name of a sound file in transcripts, in characters.
const LABEL: usize = 100;
/// Media threads of the agent; one handles hundreds of calls.
const THREADS: usize = 1;

/// Returns a warning if the agent cannot always guarantee the delay.
fn doubt(delay: &AgentDelay) -> Option<String> {
    (delay.shortest() < SHORTEST_KEPT).then(|| {
        format!(
            "the agent cannot guarantee a delay under {}: it needs 120ms of silence to detect \
             that its caller has stopped speaking\n  hint: use 200ms or more; --truth records the actual delays",
            duration::format(SHORTEST_KEPT)
        )
    })
}

/// Prints the notice to stderr; the agent keeps running.
fn tell(notice: AgentNotice) {
    match notice {
        AgentNotice::TruthIncomplete(_) => console::say(&format!("error: {notice}")),
        AgentNotice::ConnectionLost(_)
        | AgentNotice::JobFailed { .. }
        | AgentNotice::TruthLost(_) => {
            console::warn(&notice.to_string());
        }
    }
}

/// Serves calls until the process is stopped or the pipe closes.
pub(super) fn serve(service: &Service) -> Exit {
    if let Some(doubt) = doubt(&service.settings.delay) {
        console::warn(&doubt);
    }
    let served = prepare(service).and_then(|agent| match service.pipe {
        true => pipe(agent),
        false => livekit(agent, service),
    });
    match served {
        Ok(()) => Exit::Success,
        Err(trouble) => trouble.tell(),
    }
}

fn prepare(service: &Service) -> Result<Agent, Trouble> {
    let settings = &service.settings;
    let usage = |e: &ClipError| Trouble::new(Exit::Usage, e.to_string(), e.hint());
    let tone = |length| Clip::tone(length, Codec::Opus).map_err(|e| usage(&e));
    let reply = match &settings.reply {
        Sound::Tone => tone(settings.reply_length)?,
        Sound::File(path) => recording(path)?,
    };
    let greeting = match &settings.greeting {
        None => None,
        Some(Sound::Tone) => Some(tone(settings.reply_length)?),
        Some(Sound::File(path)) => Some(recording(path)?),
    };
    let behaviour = (*settings.behaviour).clone();
    let filler = match behaviour.filler.as_ref().map(|filler| &filler.sound) {
        None => None,
        Some(FillerSound::File { sound }) => Some(recording(sound)?),
        Some(FillerSound::Tone { length }) => Some(tone(*length)?),
    };
    let voice = Voice::behaving(reply, greeting, filler, behaviour).map_err(|e| usage(&e))?;
    let truth = settings
        .truth
        .as_deref()
        .map(|path| TruthWriter::create(path, tell))
        .transpose()
        .map_err(|e| {
            Trouble::new(
                Exit::Error,
                format!("cannot write the truth file: {e}"),
                "choose another --truth FILE",
            )
        })?;
    let (delay, seed) = (settings.delay, settings.seed);
    let agent = Agent::new(THREADS, voice, delay, seed, service.hearing, truth)
        .map_err(|e| Trouble::new(Exit::Error, e.to_string(), "check `ulimit -n`"))?;
    Ok(match settings.capacity {
        Some(calls) => agent.with_capacity(calls),
        None => agent,
    })
}

/// The placeholder for the agent's words in transcripts: only the sound that is played is known,
/// not the words in it.
fn label(sound: &Sound) -> String {
    match sound {
        Sound::Tone => "[tone]".to_owned(),
        Sound::File(path) => {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            let short: String = name.chars().take(LABEL).collect();
            format!("[{short}]")
        }
    }
}

fn recording(path: &Path) -> Result<Clip, Trouble> {
    let shown = path.display();
    let bytes = std::fs::read(path).map_err(|e| {
        Trouble::new(
            Exit::Usage,
            format!("cannot read {shown}: {e}"),
            "give the path of a sound file",
        )
    })?;
    let extension = path.extension().and_then(|e| e.to_str());
    Clip::recording(&bytes, extension, Codec::Opus)
        .map_err(|e| Trouble::new(Exit::Usage, format!("cannot use {shown}: {e}"), e.hint()))
}

fn pipe(agent: Agent) -> Result<(), Trouble> {
    let served = with_runtime(CancellationToken::new(), async {
        let (input, output) = console::pipe();
        agent::serve_pipe(agent, input, output).await
    })?;
    served.map_err(|e| {
        Trouble::new(
            Exit::Error,
            format!("the pipe broke: {e}"),
            "check that the process at the other end of the pipe is still running",
        )
    })
}

fn livekit(agent: Agent, service: &Service) -> Result<(), Trouble> {
    let env = Environment::load()?;
    let (address, credentials) = settings::server(&service.server, &env, &ServerFlags::default())?;
    let shown = address.to_string();
    let options = WorkerOptions {
        address,
        credentials,
        agent_name: service.agent_name.clone(),
        session: service.session.then(|| label(&service.settings.reply)),
        tell,
    };
    let stop = CancellationToken::new();
    let told = stop.clone();
    let at_eof = service.until_eof.then(|| stop.clone());
    let served = with_runtime(stop, async {
        if let Some(stop) = at_eof {
            tokio::spawn(async move {
                // EOF or an error: the process at the other end is gone.
                let _ = tokio::io::copy(&mut tokio::io::stdin(), &mut tokio::io::sink()).await;
                stop.cancel();
            });
        }
        agent::serve_livekit(Arc::new(agent), options, told, |id| {
            console::say(&format!("registered at {shown} as worker {id}"));
        })
        .await
    })?;
    served.map_err(|e| Trouble::new(Exit::Error, e.to_string(), e.hint()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn delays_that_the_agent_cannot_guarantee_cause_a_warning() {
        for (delay, kept) in [
            ("0ms", false),
            ("100ms", false),
            ("179ms", false),
            ("180ms", true),
            ("uniform(100ms,500ms)", false),
            ("uniform(200ms,500ms)", true),
            ("normal(400ms,200ms)", false),
            ("normal(400ms,50ms)", true),
            ("lognormal(400ms,1)", false),
            ("lognormal(400ms,0.3)", true),
        ] {
            let parsed: AgentDelay = delay.parse().expect("a valid delay");
            assert_eq!(doubt(&parsed).is_none(), kept, "{delay}");
        }
        let said = doubt(&AgentDelay::Fixed(Duration::ZERO)).expect("a warning about the delay");
        assert!(said.contains("180ms") && said.contains("hint: "), "{said}");
    }
}
