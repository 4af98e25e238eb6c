//! One call inside the process: a caller, an agent, and the audio between them.
//!
//! In: commands for the caller, the runtime's clock. Out: the call's events. Invariants: both ends
//! are driven in the order of the instants that they ask for, at exactly those instants, however
//! coarse the runtime's timers are; audio arrives the path's delay after it was sent.

use crate::call::Failure;
use crate::net::{AudioPacket, Endpoint, Impairment, Outgoing};
use crate::targets::agent::AgentEnd;
use crate::targets::{Event, Job, Moment, now, until};
use std::collections::VecDeque;
use std::time::{Duration, Instant};
use tokio::sync::mpsc;

/// Number of the agent's only track.
const TRACK: u32 = 0;
/// States that may wait until they are passed on: more than an agent changes within an instant.
const STATES: usize = 64;

/// Something that goes wrong with a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mishap {
    /// The agent leaves the call.
    AgentLeaves,
    /// The target is gone, and the connection with it.
    TargetGone,
}

/// What a run wants of a call.
pub(super) enum Command<E> {
    /// Something to do with the caller.
    Job(Job<E>),
    /// Passes the agent's audio on, or no longer.
    Listen(bool),
    /// Ends the call.
    HangUp,
}

/// One direction of the audio.
#[derive(Debug, Default)]
struct Way {
    /// When each frame on its way arrives.
    frames: VecDeque<(Instant, u64, Outgoing)>,
    sent: u64,
}

impl Way {
    fn send(&mut self, arrival: Instant, frame: Outgoing) {
        self.frames.push_back((arrival, self.sent, frame));
        self.sent += 1;
    }

    fn next(&self) -> Option<Instant> {
        self.frames.front().map(|(arrival, ..)| *arrival)
    }

    /// Hands over the frame that arrives next.
    fn arrives(&mut self, to: impl FnOnce(Instant, AudioPacket<'_>)) {
        let Some((arrival, sequence, frame)) = self.frames.pop_front() else {
            return;
        };
        let packet = AudioPacket {
            track: TRACK,
            ssrc: 1,
            restarts: 0,
            arrival,
            // As exact as a kernel's: this is when it arrives.
            kernel_stamp: true,
            rtp_time: frame.rtp_time,
            sequence,
            level: None,
            payload: &frame.payload,
        };
        to(arrival, packet);
    }
}

/// What is next to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Step {
    // In the order of the media engine: sends, then arrivals, then timers.
    CallerSends,
    AgentSends,
    AgentHears,
    CallerHears,
    AgentTimer,
    CallerTimer,
}

/// A call: both of its ends, and what is between them.
pub(super) struct Wire<E> {
    caller: E,
    agent: Option<AgentEnd>,
    to_agent: Way,
    to_caller: Way,
    path: Duration,
    /// Decides which of the agent's frames are lost on the way.
    loss: Option<Impairment>,
    /// The agent's audio is passed on.
    listened: bool,
    /// The instant up to which everything has been done.
    done: Instant,
    states: mpsc::Receiver<crate::call::AgentState>,
    tell: mpsc::UnboundedSender<Event>,
}

impl<E: Endpoint> Wire<E> {
    /// Both ends are there from now on.
    pub(super) fn new(
        caller: E,
        mut agent: AgentEnd,
        path: Duration,
        loss: Option<Impairment>,
        tell: mpsc::UnboundedSender<Event>,
    ) -> Self {
        let (states, changed) = mpsc::channel(STATES);
        agent.tell_states(states);
        let done = now();
        agent.connected(done);
        agent.caller_here(done);
        Self {
            caller,
            agent: Some(agent),
            to_agent: Way::default(),
            to_caller: Way::default(),
            path,
            loss,
            listened: false,
            done,
            states: changed,
            tell,
        }
    }

    /// Carries the call until it is hung up, or its target is gone.
    pub(super) async fn run(
        mut self,
        mishaps: Vec<(Duration, Mishap)>,
        mut inbox: mpsc::UnboundedReceiver<Command<E>>,
    ) {
        let identity = "in-process".to_owned();
        let name = "in-process/agent".into();
        for event in [
            Event::Joined,
            Event::AgentPresent { identity },
            Event::AgentTrack { track: TRACK, name },
        ] {
            self.tell(event);
        }
        let mut mishaps: VecDeque<_> = mishaps
            .into_iter()
            .map(|(after, mishap)| (self.done + after, mishap))
            .collect();
        mishaps.make_contiguous().sort_by_key(|(at, _)| *at);
        loop {
            let mishap = mishaps.front().map(|(at, _)| *at);
            let next = self.next().map(|(at, _)| at);
            let wake = [mishap, next].into_iter().flatten().min();
            tokio::select! {
                biased;
                command = inbox.recv() => match command {
                    None | Some(Command::HangUp) => return,
                    Some(Command::Job(job)) => self.work(job),
                    Some(Command::Listen(on)) => self.listened = on,
                },
                () = until(wake) => {
                    self.serve(now());
                    if mishap.is_some_and(|at| at <= now())
                        && let Some((_, mishap)) = mishaps.pop_front()
                    {
                        self.goes_wrong(mishap);
                    }
                }
            }
        }
    }

    fn tell(&self, event: Event) {
        // A run that no longer listens hangs up soon.
        let _ = self.tell.send(event);
    }

    fn work(&mut self, job: Job<E>) {
        let now = now();
        // Timers are late by up to a millisecond: what was due first comes first.
        self.serve(now);
        job(&mut self.caller, Moment { now, slot: now });
    }

    fn goes_wrong(&mut self, mishap: Mishap) {
        self.agent = None;
        self.to_caller.frames.clear();
        match mishap {
            Mishap::AgentLeaves => {
                self.tell(Event::AgentTrackGone(TRACK));
                self.tell(Event::AgentLeft);
            }
            Mishap::TargetGone => {
                let detail = "the agent's process is gone".to_owned();
                self.tell(Event::Closed(Failure::Dropped { detail }));
            }
        }
    }

    /// The next step, and when it is due.
    fn next(&self) -> Option<(Instant, Step)> {
        let agent = self.agent.as_ref();
        let steps = [
            (self.caller.poll_send(), Step::CallerSends),
            (agent.and_then(Endpoint::poll_send), Step::AgentSends),
            (self.to_agent.next(), Step::AgentHears),
            (self.to_caller.next(), Step::CallerHears),
            (agent.and_then(Endpoint::poll_timeout), Step::AgentTimer),
            (self.caller.poll_timeout(), Step::CallerTimer),
        ];
        let due = steps.into_iter().filter_map(|(at, step)| Some((at?, step)));
        due.min()
    }

    /// Does everything that is due by `now`.
    fn serve(&mut self, now: Instant) {
        while let Some((at, step)) = self.next().filter(|(at, _)| *at <= now) {
            self.done = self.done.max(at);
            self.step(step, at);
            while let Ok(state) = self.states.try_recv() {
                self.tell(Event::AgentState(state));
            }
        }
    }

    fn step(&mut self, step: Step, at: Instant) {
        match step {
            Step::CallerSends => {
                if let Some(frame) = self.caller.send(at) {
                    let sequence = self.to_agent.sent;
                    self.to_agent.send(at + self.path, frame);
                    self.caller.sent(at, at, sequence);
                }
            }
            Step::AgentSends => {
                let Some(agent) = &mut self.agent else { return };
                if let Some(frame) = agent.send(at) {
                    agent.sent(at, at, self.to_caller.sent);
                    self.to_caller.send(at + self.path, frame);
                }
            }
            Step::AgentHears => {
                let agent = self.agent.as_mut();
                self.to_agent.arrives(|at, packet| {
                    if let Some(agent) = agent {
                        agent.audio(at, packet);
                    }
                });
            }
            Step::CallerHears => {
                let lost = self.loss.as_mut().is_some_and(Impairment::loses);
                let caller = Some(&mut self.caller).filter(|_| self.listened && !lost);
                self.to_caller.arrives(|at, packet| {
                    if let Some(caller) = caller {
                        caller.audio(at, packet);
                    }
                });
            }
            Step::AgentTimer => {
                if let Some(agent) = &mut self.agent {
                    agent.timeout(self.done);
                }
            }
            Step::CallerTimer => self.caller.timeout(self.done),
        }
    }
}
