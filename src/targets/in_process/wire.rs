//! One call inside the process: a caller, an agent, and the audio between them.
//!
//! In: commands for the caller, the runtime's clock. Out: the call's events. Invariants: both
//! endpoints are driven at exactly the instants that they request, in chronological order, even if
//! the runtime's timers are coarse. Audio arrives in order, one path delay after it was sent unless
//! a [`Mishap`] delays it further.

use crate::call::{Failure, TargetFailure};
use crate::net::{Endpoint, Impairment, Kind, Link, Outgoing, RtpStream};
use crate::targets::agent::AgentEnd;
use crate::targets::{CallerJob, Event, Moment, now, until};
use crate::vocab::Packet;
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::mpsc;

/// Number of the agent's only track.
const TRACK: u32 = 0;
/// The only stream of each direction.
const STREAM: RtpStream = RtpStream {
    track: TRACK,
    ssrc: 1,
    restarts: 0,
};
/// Capacity of the queue of agent states; an agent makes fewer changes than this at any one
/// instant.
const STATES: usize = 64;

/// A fault injected into a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mishap {
    /// The agent leaves the call.
    AgentLeaves,
    /// The target disappears, and the connection is lost.
    TargetGone,
    /// The target refuses the call. At the start of a call, this means that the caller never joins.
    Refuses,
    /// No audio or event is delivered for this long; then everything is delivered at once.
    Stalls(Duration),
    /// Audio sent within this time is lost, in both directions.
    Drops(Duration),
    /// Every later frame to the caller, and every later event but the last, is delivered twice.
    Repeats,
    /// The path delays later audio by this much more, in both directions.
    Delays(Duration),
}

impl Mishap {
    /// Name of the fault, as in [`Befallen::counts`].
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::AgentLeaves => "agent leaves",
            Self::TargetGone => "target gone",
            Self::Refuses => "refuses",
            Self::Stalls(_) => "stalls",
            Self::Drops(_) => "drops",
            Self::Repeats => "repeats",
            Self::Delays(_) => "delays",
        }
    }
}

/// Number of injected faults of each kind; clones share the counts.
#[derive(Debug, Clone, Default)]
pub struct Befallen(Arc<Mutex<BTreeMap<&'static str, u64>>>);

impl Befallen {
    /// The counts so far, by the name of the fault.
    pub fn counts(&self) -> BTreeMap<&'static str, u64> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn count(&self, mishap: Mishap) {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *counts.entry(mishap.name()).or_default() += 1;
    }
}

/// A command from the run to a call.
pub(super) enum Command<E> {
    /// Runs a job on the caller's endpoint.
    Job(CallerJob<E>),
    /// Starts or stops passing on the agent's audio.
    Listen(bool),
    /// Ends the call.
    HangUp,
}

/// One direction of the audio.
#[derive(Debug, Default)]
struct Way {
    /// The frames in transit, each with its arrival time and sequence number.
    frames: VecDeque<(Instant, u64, Outgoing)>,
    sent: u64,
}

impl Way {
    /// Sends a frame that arrives at `arrival`; with `None` it is lost.
    fn send(&mut self, arrival: Option<Instant>, frame: Outgoing) {
        if let Some(arrival) = arrival {
            // A frame may overtake others.
            let place = self.frames.partition_point(|(at, ..)| *at <= arrival);
            self.frames.insert(place, (arrival, self.sent, frame));
        }
        self.sent += 1;
    }

    /// Delays the frames in transit so that none arrives before `until`.
    fn hold_up(&mut self, until: Instant) {
        for (arrival, ..) in &mut self.frames {
            *arrival = until.max(*arrival);
        }
    }

    fn next(&self) -> Option<Instant> {
        self.frames.front().map(|(arrival, ..)| *arrival)
    }

    /// Passes the next frame to `to`.
    fn arrives(&mut self, to: impl FnOnce(Instant, Packet<'_>)) {
        let Some((arrival, sequence, frame)) = self.frames.pop_front() else {
            return;
        };
        let packet = Packet {
            arrival,
            // Counts as a kernel timestamp, because the arrival time is exact.
            kernel_stamp: true,
            rtp_time: frame.rtp_time,
            sequence,
            level: None,
            payload: &frame.payload,
        };
        to(arrival, packet);
    }
}

/// The next step of the simulation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Step {
    // The media engine's order: sends, then arrivals, then timers.
    EventsArrive,
    CallerSends,
    AgentSends,
    AgentHears,
    CallerHears,
    AgentTimer,
    CallerTimer,
}

/// A call: both endpoints and the path between them.
pub(super) struct Wire<E> {
    caller: E,
    agent: Option<AgentEnd>,
    to_agent: Way,
    to_caller: Way,
    path: Duration,
    /// The end of the current stall, and the events held back until then.
    stalled: Option<(Instant, Vec<Event>)>,
    /// Audio sent before this instant is lost.
    drops: Option<Instant>,
    /// Frames to the caller and events are delivered twice.
    repeats: bool,
    /// The simulated network, to the agent and to the caller.
    network: Option<(Link, Link)>,
    /// The agent's audio is passed on to the caller.
    listened: bool,
    /// Every step that was due up to this instant has been executed.
    done: Instant,
    states: mpsc::Receiver<crate::call::AgentState>,
    /// The connection has ended, so there are no more events.
    closed: bool,
    tell: mpsc::UnboundedSender<Event>,
}

impl<E: Endpoint> Wire<E> {
    /// Connects the two endpoints.
    pub(super) fn new(
        caller: E,
        mut agent: AgentEnd,
        path: Duration,
        network: Option<&Impairment>,
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
            stalled: None,
            drops: None,
            repeats: false,
            network: network.map(|n| (n.link(false, 0), n.link(true, 0))),
            listened: false,
            done,
            states: changed,
            closed: false,
            tell,
        }
    }

    /// Runs the call until it is hung up.
    pub(super) async fn run(
        mut self,
        mishaps: Vec<(Duration, Mishap)>,
        befallen: Befallen,
        mut inbox: mpsc::UnboundedReceiver<Command<E>>,
    ) {
        let mut mishaps: VecDeque<_> = mishaps
            .into_iter()
            .map(|(after, mishap)| (self.done + after, mishap))
            .collect();
        mishaps.make_contiguous().sort_by_key(|(at, _)| *at);
        // Faults due at the start take effect before the caller joins the call.
        while mishaps.front().is_some_and(|(at, _)| *at <= self.done)
            && let Some((_, mishap)) = mishaps.pop_front()
        {
            befallen.count(mishap);
            self.goes_wrong(mishap);
        }
        let identity = "in-process".to_owned();
        let name = "in-process/agent".into();
        for event in [
            Event::Joined,
            Event::AgentPresent { identity },
            Event::AgentTrack { track: TRACK, name },
        ] {
            self.tell(event);
        }
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
                        befallen.count(mishap);
                        self.goes_wrong(mishap);
                    }
                }
            }
        }
    }

    fn tell(&mut self, event: Event) {
        if self.closed {
            return;
        }
        let ends = matches!(event, Event::Closed(_));
        let again = Some(event.clone()).filter(|_| self.repeats && !ends);
        let all = std::iter::once(event).chain(again);
        if ends {
            // The caller detects the loss of the connection by itself, even during a stall. Events
            // held back are lost with the connection.
            self.stalled = None;
        }
        match &mut self.stalled {
            Some((_, waiting)) => waiting.extend(all),
            _ => all.for_each(|event| {
                // If the run no longer receives events, it is about to hang up the call.
                let _ = self.tell.send(event);
            }),
        }
        self.closed |= ends;
    }

    /// When a frame sent at `at` arrives; `None` if it is lost.
    fn arrival(&self, at: Instant) -> Option<Instant> {
        let arrival = at + self.path;
        let lost = self.drops.is_some_and(|until| at < until);
        let stalled = self.stalled.as_ref().map(|(until, _)| *until);
        (!lost).then_some(stalled.map_or(arrival, |until| arrival.max(until)))
    }

    fn work(&mut self, job: CallerJob<E>) {
        let now = now();
        // Timers fire up to a millisecond late, so execute every step that was due before this job.
        self.serve(now);
        job(&mut self.caller, Moment { now, slot: now });
    }

    fn agent_is_gone(&mut self) {
        self.agent = None;
        self.to_caller.frames.clear();
    }

    fn goes_wrong(&mut self, mishap: Mishap) {
        match mishap {
            Mishap::AgentLeaves => {
                self.agent_is_gone();
                self.tell(Event::AgentTrackGone(TRACK));
                self.tell(Event::AgentLeft);
            }
            Mishap::TargetGone => {
                self.agent_is_gone();
                let detail = "the agent's process is gone".to_owned();
                self.tell(Event::Closed(Failure::Dropped { detail }));
            }
            Mishap::Refuses => {
                self.agent_is_gone();
                self.tell(Event::Closed(Failure::Target(TargetFailure {
                    cause: "refused",
                    message: "the agent refused the call".to_owned(),
                    hint: "the test injects this refusal",
                    unreached: true,
                })));
            }
            Mishap::Stalls(time) => {
                let until = self.done.max(now()) + time;
                self.to_agent.hold_up(until);
                self.to_caller.hold_up(until);
                let stalled = self.stalled.get_or_insert((until, Vec::new()));
                stalled.0 = stalled.0.max(until);
            }
            Mishap::Drops(time) => self.drops = Some(self.done.max(now()) + time),
            Mishap::Repeats => self.repeats = true,
            Mishap::Delays(more) => self.path += more,
        }
    }

    /// Ends the stall and delivers the events held back.
    fn events_arrive(&mut self) {
        let waiting = self.stalled.take().map(|(_, waiting)| waiting);
        for event in waiting.into_iter().flatten() {
            let _ = self.tell.send(event);
        }
    }

    /// The next step, and when it is due.
    fn next(&self) -> Option<(Instant, Step)> {
        let agent = self.agent.as_ref();
        let stalled = self.stalled.as_ref().map(|(until, _)| *until);
        let steps = [
            (stalled, Step::EventsArrive),
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

    /// Executes every step that is due by `now`.
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
            Step::EventsArrive => self.events_arrive(),
            Step::CallerSends => {
                if let Some(frame) = self.caller.send(at) {
                    let sequence = self.to_agent.sent;
                    let up = self.network.as_mut().map(|(up, _)| up);
                    let arrival = passes(up, at, &frame).and_then(|at| self.arrival(at));
                    self.to_agent.send(arrival, frame);
                    self.caller.sent(at, at, sequence);
                }
            }
            Step::AgentSends => {
                let Some(agent) = &mut self.agent else { return };
                if let Some(frame) = agent.send(at) {
                    agent.sent(at, at, self.to_caller.sent);
                    let down = self.network.as_mut().map(|(_, down)| down);
                    let arrival = passes(down, at, &frame).and_then(|at| self.arrival(at));
                    self.to_caller.send(arrival, frame);
                }
            }
            Step::AgentHears => {
                let agent = self.agent.as_mut();
                self.to_agent.arrives(|at, packet| {
                    if let Some(agent) = agent {
                        agent.audio(at, STREAM, packet);
                    }
                });
            }
            Step::CallerHears => {
                let caller = Some(&mut self.caller).filter(|_| self.listened);
                let times = if self.repeats { 2 } else { 1 };
                self.to_caller.arrives(|at, packet| {
                    if let Some(caller) = caller {
                        (0..times).for_each(|_| caller.audio(at, STREAM, packet));
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

/// When a frame that is sent at `at` has passed the simulated network; `None` if it is lost.
fn passes(link: Option<&mut Link>, at: Instant, frame: &Outgoing) -> Option<Instant> {
    match link {
        // With the header of RTP and its seal.
        Some(link) => link
            .pass(at, Kind::Media, frame.payload.len() + 22)
            .arrives
            .ok(),
        None => Some(at),
    }
}
