//! An agent in this process as a target.
//!
//! In: the agent's delays and clips, the faults to inject. Out: calls to the agent. Invariant: two
//! runs of the same plan with the same settings have identical calls, if the runtime has one thread
//! and a paused clock.

use super::wire::{Befallen, Command, Mishap, Wire};
use crate::audio::Codec;
use crate::call::Failure;
use crate::net::Endpoint;
use crate::targets::agent::{AgentCalls, Clip, ClipError, EndDetection, Voice};
use crate::targets::{
    CallLine, CallerHandle, CallerJob, Connection, Dial, Event, Notice, OpenTarget, Opened,
    Opening, OwnAgent, Target,
};
use crate::vocab::AgentDelay;
use futures_util::future::BoxFuture;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;

/// The codec of the path.
const CODEC: Codec = Codec::Pcm;

/// The reference agent, in this process.
#[derive(Debug, Clone)]
pub struct InProcess {
    /// Time from the caller's end of speech to the first audible sample received, not counting
    /// `path`.
    pub delay: AgentDelay,
    /// Seed of the random delays.
    pub seed: u64,
    /// Length of each reply; every reply is a tone.
    pub reply: Duration,
    /// Length of the greeting; `None` if the agent does not greet.
    pub greeting: Option<Duration>,
    /// Delay of the path, in each direction.
    pub path: Duration,
    /// Faults to inject into each call, at times counted from its start.
    pub mishaps: Vec<(Duration, Mishap)>,
    /// Number of calls at the start of the run without injected faults.
    pub spared: u64,
    /// Counts the injected faults.
    pub befallen: Befallen,
}

impl Default for InProcess {
    fn default() -> Self {
        Self {
            delay: AgentDelay::Fixed(Duration::from_millis(400)),
            seed: 0,
            reply: Duration::from_secs(1),
            greeting: None,
            path: Duration::ZERO,
            mishaps: Vec::new(),
            spared: 0,
            befallen: Befallen::default(),
        }
    }
}

impl InProcess {
    fn agent(&self) -> Result<AgentCalls, ClipError> {
        let greeting = self.greeting.map(|length| Clip::tone(length, CODEC));
        let voice = Voice::new(Clip::tone(self.reply, CODEC)?, greeting.transpose()?)?;
        Ok(AgentCalls::new(
            voice,
            self.delay,
            self.seed,
            EndDetection::Level,
            None,
        ))
    }
}

impl<E: Endpoint> Target<E> for InProcess {
    fn describe(&self) -> String {
        "in process".into()
    }

    fn host(&self) -> Option<&str> {
        None
    }

    fn codec(&self) -> Codec {
        CODEC
    }

    fn descriptors(&self) -> u64 {
        0
    }

    fn ports(&self) -> u64 {
        0
    }

    fn open<'a>(&'a self, _run: Opening<'a, E>) -> BoxFuture<'a, Result<Opened<E>, Failure>> {
        Box::pin(async {
            let agent = self.agent().map_err(|e| Failure::Generator {
                detail: e.to_string(),
            })?;
            let opened: Opened<E> = Box::new(OpenInProcess {
                agent,
                settings: self.clone(),
            });
            Ok(opened)
        })
    }
}

struct OpenInProcess {
    agent: AgentCalls,
    settings: InProcess,
}

impl<E: Endpoint> OpenTarget<E> for OpenInProcess {
    fn room(&self, call: &str) -> String {
        format!("in-process-{call}")
    }

    fn connect(&self, dial: Dial<'_>, caller: E) -> CallLine<E> {
        let (commands, inbox) = mpsc::unbounded_channel();
        let (tell, events) = mpsc::unbounded_channel();
        let InProcess { path, befallen, .. } = &self.settings;
        let spared = dial.number.is_some_and(|n| n < self.settings.spared);
        let mishaps = match spared {
            true => Vec::new(),
            false => self.settings.mishaps.clone(),
        };
        let wire = Wire::new(caller, self.agent.end(dial.room), *path, dial.network, tell);
        tokio::spawn(wire.run(mishaps, befallen.clone(), inbox));
        CallLine {
            handle: Arc::new(TaskHandle(commands.clone())),
            connection: Box::new(Call { events, commands }),
        }
    }

    fn own_agent<'a>(&'a self, _own: &'a OwnAgent) -> BoxFuture<'a, Result<Opened<E>, Failure>> {
        let detail = "an in-process target cannot start a second agent".to_owned();
        Box::pin(std::future::ready(Err(Failure::Generator { detail })))
    }

    fn close<'a>(&'a self, _refused: bool, _notice: Notice<'a>) -> BoxFuture<'a, ()> {
        Box::pin(async {})
    }
}

/// The handle of a caller that runs in the task of its call.
struct TaskHandle<E>(mpsc::UnboundedSender<Command<E>>);

impl<E: Endpoint> CallerHandle<E> for TaskHandle<E> {
    fn post(&self, job: CallerJob<E>) {
        // A task that has ended drops the job, as [`CallerHandle::post`] requires.
        let _ = self.0.send(Command::Job(job));
    }
}

/// A call to the agent.
struct Call<E> {
    events: mpsc::UnboundedReceiver<Event>,
    commands: mpsc::UnboundedSender<Command<E>>,
}

impl<E: Endpoint> Call<E> {
    fn command(&self, command: Command<E>) {
        // A task that has ended needs no command.
        let _ = self.commands.send(command);
    }
}

impl<E: Endpoint> Connection for Call<E> {
    fn event(&mut self) -> BoxFuture<'_, Option<Event>> {
        Box::pin(self.events.recv())
    }

    // There is only one track.
    fn listen(&mut self, _track: u32) {
        self.command(Command::Listen(true));
    }

    fn stop_listening(&mut self, _track: u32) {
        self.command(Command::Listen(false));
    }

    fn ignore_all(&mut self) {
        self.command(Command::Listen(false));
    }

    fn hang_up(self: Box<Self>) -> BoxFuture<'static, ()> {
        self.command(Command::HangUp);
        Box::pin(async {})
    }
}
