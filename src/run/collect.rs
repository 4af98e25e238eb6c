//! Turns the reports of calls into records, journal lines and events for the display.
//!
//! In: reports, from calls in any order. Out: records, in the journal and in events. Invariants: a
//! turn is written to the journal as soon as it has ended. Once a started call has ended, the
//! journal contains every turn of the call, and the call's counts match the journal. Memory does
//! not grow with the length of the run, except for records that could not be written to the
//! journal.

use super::call_report::{Begun, CallDone, CallReport, CallTold, LeftOut, TurnDone};
use super::clock::now;
use super::event::RunEvent;
use super::finished::SentinelTurns;
use super::observe::Presence;
use super::telemetry::{TelemetryDesk, TelemetryInbox};
use crate::account::TurnAccount;
use crate::call::{CallResult, Failure, MODEL, Outcome, TurnResult};
use crate::plan::PlannedCall;
use crate::record::{
    CallContext, CallRecord, ConnectionRecord, Journal, OpenCall, Reading, RecordError, SaidWords,
    SpanCounts, TurnContext, TurnCounts, TurnRecord,
};
use crate::scenario::{Scenario, UtteranceConfig};
use crate::vocab::UtteranceKind;
use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Instant;

/// Records that could not be written to the journal, kept so that a full disk loses none of them.
#[derive(Debug, Default)]
pub(super) struct Unwritten {
    pub turns: Vec<TurnRecord>,
    pub calls: Vec<CallRecord>,
}

/// Collects the reports of calls.
pub(super) struct Collector<'a> {
    scenario: &'a Scenario,
    run_start: Instant,
    journal: &'a mut Journal,
    /// Why the journal is incomplete, if it is.
    pub journal_error: Option<RecordError>,
    pub unwritten: Unwritten,
    pub sentinels: SentinelTurns,
    /// Which of the observed sources have yielded values.
    presence: Presence,
    /// A reading could not be recorded, so later readings are not recorded either.
    observed_lost: bool,
    /// Matches the agents' telemetry to calls, if it is received.
    telemetry: Option<TelemetryDesk>,
    /// Turns of calls in progress that are already recorded, with their outcome.
    recorded: HashMap<(usize, usize), Outcome>,
    /// Calls in progress, by index.
    begun: BTreeMap<usize, Begun>,
    /// Number of calls that have started.
    started: usize,
    /// Number of calls that failed because of the generator itself, and the first failure.
    own_failures: (usize, String),
}

impl<'a> Collector<'a> {
    pub(super) fn new(
        scenario: &'a Scenario,
        run_start: Instant,
        journal: &'a mut Journal,
    ) -> Self {
        Self {
            scenario,
            run_start,
            journal,
            journal_error: None,
            unwritten: Unwritten::default(),
            sentinels: SentinelTurns::default(),
            presence: Presence::default(),
            observed_lost: false,
            telemetry: None,
            recorded: HashMap::new(),
            begun: BTreeMap::new(),
            started: 0,
            own_failures: (0, String::new()),
        }
    }

    /// Receives the agents' telemetry from now on, if there is an inbox for it.
    pub(super) fn receive(&mut self, inbox: Option<Arc<TelemetryInbox>>) {
        let observed = self.scenario.observe.iter();
        let taken = observed.map(|observed| observed.name.clone()).collect();
        self.telemetry = inbox.map(|inbox| TelemetryDesk::new(inbox, self.run_start, taken));
    }

    /// Records what agents have sent.
    pub(super) fn look_at_telemetry(&mut self, tell: &mut dyn FnMut(RunEvent)) {
        let found = self.telemetry.as_mut().map(|desk| desk.look(now()));
        self.record_telemetry(found.unwrap_or_default(), tell);
    }

    /// Whether spans of calls that have ended may still come.
    pub(super) fn awaits_spans(&self) -> bool {
        let desk = self.telemetry.as_ref();
        desk.is_some_and(|desk| !desk.is_complete())
    }

    /// Records what agents have sent in all; what comes later is lost.
    pub(super) fn close_telemetry(&mut self, tell: &mut dyn FnMut(RunEvent)) {
        self.look_at_telemetry(tell);
        let found = self.telemetry.as_mut().map(|desk| desk.close(now()));
        self.record_telemetry(found.unwrap_or_default(), tell);
    }

    /// What became of the spans that agents have sent, if they are received.
    pub(super) fn spans(&self) -> Option<SpanCounts> {
        self.telemetry.as_ref().map(TelemetryDesk::counts)
    }

    /// Records readings, and writes another line for turns of calls that are over. Spans change no
    /// figure, so there is no event for such a turn.
    fn record_telemetry(
        &mut self,
        (readings, turns): (Vec<Reading>, Vec<TurnRecord>),
        tell: &mut dyn FnMut(RunEvent),
    ) {
        for reading in readings {
            self.observed(reading, tell);
        }
        for turn in turns {
            self.append(&turn, tell);
        }
    }

    /// Records a report and emits its event.
    pub(super) fn take(&mut self, report: CallReport, tell: &mut dyn FnMut(RunEvent)) {
        match report {
            CallReport::Started(begun) => {
                self.started += 1;
                let call = begun.plan.index as usize;
                self.note_begun(&begun, tell);
                let (variant, warmup) = (begun.plan.variant, begun.plan.warmup);
                self.begun.insert(call, *begun);
                tell(RunEvent::CallStarted {
                    call,
                    variant,
                    warmup,
                });
            }
            CallReport::Phase(call, phase) => tell(RunEvent::Phase { call, phase }),
            // A failed turn is recorded when its call ends, because the call's end has the cause.
            CallReport::Turn(done) if done.turn.outcome == Outcome::Failed => {}
            CallReport::Turn(done) => {
                let record = self.record(done.call, &done.room, &done.turn, &done.plan, None);
                self.turn(record, tell);
            }
            CallReport::Amended(done) => self.amended(&done, tell),
            CallReport::Ended(done) => self.ended(*done, tell),
            CallReport::LeftOut(call) => self.left_out(&call, tell),
            CallReport::Sentinel(turn) => self.sentinel(&turn.0, &turn.1, tell),
            CallReport::Notice(text) => tell(RunEvent::Notice(text)),
            CallReport::SentinelEnded(failure) => self.sentinel_ended(failure, tell),
            CallReport::Observed(reading) => self.observed(*reading, tell),
        }
        self.sync();
    }

    /// Writes a sentinel call's turn to the journal, marked as a sentinel turn, and emits no event.
    fn sentinel(&mut self, room: &str, turn: &TurnResult, tell: &mut dyn FnMut(RunEvent)) {
        let context = TurnContext {
            call: self.sentinels.calls,
            room,
            utterance: "chirp",
            kind: UtteranceKind::Speech,
            variant: "sentinel",
            block: None,
            warmup: false,
            playout_model: MODEL,
            failure: None,
        };
        let record = TurnRecord {
            sentinel: true,
            ..TurnRecord::new(&context, turn, self.run_start)
        };
        self.append(&record, tell);
    }

    fn sentinel_ended(&mut self, failure: Option<Failure>, tell: &mut dyn FnMut(RunEvent)) {
        self.sentinels.calls += 1;
        if let Some(f) = failure {
            if self.sentinels.failed == 0 {
                tell(RunEvent::Notice(format!("a sentinel call failed: {f}")));
            }
            self.sentinels.failed += 1;
        }
    }

    /// Records a reading. If it cannot be written, the user only gets a notice: no figure depends
    /// on readings, so the run remains valid.
    fn observed(&mut self, reading: Reading, tell: &mut dyn FnMut(RunEvent)) {
        self.presence.take(&reading);
        if self.observed_lost {
            return;
        }
        if let Err(e) = self.journal.append_reading(&reading) {
            self.observed_lost = true;
            tell(RunEvent::Notice(format!(
                "observations are no longer recorded: {e}"
            )));
        }
    }

    /// Notifies the user of observed sources that never yielded a value.
    pub(super) fn tell_absent(&self, tell: &mut dyn FnMut(RunEvent)) {
        let absent = self.presence.absent();
        absent
            .into_iter()
            .for_each(|text| tell(RunEvent::Notice(text)));
    }

    /// Writes a turn that has ended, unless the journal already contains it.
    fn turn(&mut self, record: TurnRecord, tell: &mut dyn FnMut(RunEvent)) {
        let Entry::Vacant(place) = self.recorded.entry((record.call, record.turn)) else {
            return;
        };
        place.insert(record.outcome);
        self.append(&record, tell);
        tell(RunEvent::TurnEnded(Box::new(record)));
    }

    /// Appends another line for a turn of a call in progress; readers use a turn's last line.
    fn amended(&mut self, done: &TurnDone, tell: &mut dyn FnMut(RunEvent)) {
        let TurnDone {
            call,
            room,
            turn,
            account,
            plan,
        } = done;
        match self.recorded.entry((*call, turn.turn)) {
            // The call has ended, or the turn has not ended yet and will be recorded at its end.
            Entry::Vacant(_) => return,
            Entry::Occupied(mut known) => known.insert(turn.outcome),
        };
        let record = self.record(*call, room, turn, plan, None);
        let record = self.with_account(record, account.as_ref(), turn, plan);
        self.append(&record, tell);
        tell(RunEvent::TurnAmended(Box::new(record)));
    }

    fn record(
        &self,
        call: usize,
        room: &str,
        turn: &TurnResult,
        plan: &PlannedCall,
        failure: Option<&Failure>,
    ) -> TurnRecord {
        let context = TurnContext {
            call,
            room,
            utterance: plan.turns.get(turn.turn).map_or("", |t| t.say.as_str()),
            kind: plan
                .turns
                .get(turn.turn)
                .map(|t| t.kind)
                .unwrap_or_default(),
            variant: &self.scenario.variants[plan.variant].name,
            block: plan.block,
            warmup: plan.warmup,
            playout_model: MODEL,
            failure,
        };
        let network = self.scenario.network(plan.variant, plan.network);
        let name = network.map(|network| network.name.clone());
        TurnRecord {
            network: name.filter(|name| !name.is_empty()),
            ..TurnRecord::new(&context, turn, self.run_start)
        }
    }

    /// The utterance that the caller speaks in a turn, if it speaks.
    fn utterance(&self, turn: &TurnResult, plan: &PlannedCall) -> Option<&UtteranceConfig> {
        let said = plan.turns.get(turn.turn)?.utterance()?;
        self.scenario.utterances.get(said)
    }

    /// Adds the agent's account of the turn, if there is one.
    fn with_account(
        &self,
        record: TurnRecord,
        account: Option<&TurnAccount>,
        turn: &TurnResult,
        plan: &PlannedCall,
    ) -> TurnRecord {
        let Some(account) = account else {
            return record;
        };
        let words = self.words(turn, plan);
        record.with_account(account, turn, &words, self.run_start)
    }

    /// The words that the caller and the agent are expected to say in a turn.
    fn words(&self, turn: &TurnResult, plan: &PlannedCall) -> SaidWords<'_> {
        let utterance = self.utterance(turn, plan);
        let config = self.scenario.call.turns.get(turn.turn);
        SaidWords {
            utterance: utterance.and_then(|u| u.text.as_deref()),
            reply: config.and_then(|c| c.reply.text.as_deref()),
            pattern: config.and_then(|c| c.reply.pattern.as_ref()),
            transcripts: self.scenario.transcripts,
        }
    }

    /// Closes calls that started but never reported their end. `result` provides their results.
    pub(super) fn close(
        &mut self,
        result: impl Fn(&PlannedCall, Instant) -> CallResult,
        tell: &mut dyn FnMut(RunEvent),
    ) {
        for (index, begun) in std::mem::take(&mut self.begun) {
            let done = CallDone {
                told: CallTold::default(),
                connection: None,
                index,
                result: result(&begun.plan, begun.planned_start),
                room: begun.room,
                planned_start: begun.planned_start,
                started: begun.started,
                ended: now(),
                plan: begun.plan,
            };
            self.ended(done, tell);
        }
    }

    /// Writes a call to the journal as soon as it starts, so that the journal lists it even if the
    /// run is killed.
    fn note_begun(&mut self, begun: &Begun, tell: &mut dyn FnMut(RunEvent)) {
        let context = CallContext {
            call: begun.plan.index as usize,
            room: &begun.room,
            variant: &self.scenario.variants[begun.plan.variant].name,
            block: begun.plan.block,
            warmup: begun.plan.warmup,
            planned_start: begun.planned_start,
            started: Some(begun.started),
            ended: None,
        };
        let call = CallRecord::begun(&context, begun.plan.turns.len(), self.run_start);
        if let Err(e) = self.journal.append_call(&call) {
            self.lost(e, tell);
        }
        if let Some(desk) = &mut self.telemetry {
            desk.begun(call.call, &begun.room);
        }
    }

    fn append(&mut self, turn: &TurnRecord, tell: &mut dyn FnMut(RunEvent)) {
        if let Some(desk) = &mut self.telemetry {
            desk.turn(turn);
        }
        match self.journal.append(turn) {
            // An earlier record of this turn, which could not be written, is out of date.
            Ok(()) => self.unwritten.turns.retain(|old| {
                turn.sentinel || old.sentinel || (old.call, old.turn) != (turn.call, turn.turn)
            }),
            Err(e) => {
                self.lost(e, tell);
                self.unwritten.turns.push(turn.clone());
            }
        }
    }

    /// Writes a call that has ended or never started.
    fn append_call(&mut self, call: &CallRecord, tell: &mut dyn FnMut(RunEvent)) {
        if let Err(e) = self.journal.append_call(call) {
            self.lost(e, tell);
            self.unwritten.calls.push(call.clone());
        }
    }

    fn left_out(&mut self, left_out: &LeftOut, tell: &mut dyn FnMut(RunEvent)) {
        let plan = &left_out.plan;
        let context = CallContext {
            call: plan.index as usize,
            room: &left_out.room,
            variant: &self.scenario.variants[plan.variant].name,
            block: plan.block,
            warmup: plan.warmup,
            planned_start: left_out.planned_start,
            started: None,
            ended: None,
        };
        let turns = plan.turns.len();
        if left_out.stopped {
            let call = CallRecord::not_run(&context, turns, self.run_start);
            self.append_call(&call, tell);
            tell(RunEvent::CallNotRun(Box::new(call)));
        } else {
            let call = CallRecord::dropped(&context, turns, self.run_start);
            self.append_call(&call, tell);
            tell(RunEvent::CallDropped(Box::new(call)));
        }
    }

    fn ended(&mut self, done: CallDone, tell: &mut dyn FnMut(RunEvent)) {
        self.begun.remove(&done.index);
        if let (false, Some(failure @ Failure::Generator { .. })) =
            (done.plan.warmup, &done.result.failure)
        {
            let (count, first) = &mut self.own_failures;
            if *count == 0 {
                *first = failure.to_string();
            }
            *count += 1;
        }
        let mut outcomes = Vec::new();
        for turn in &done.result.turns {
            if !self.recorded.contains_key(&(done.index, turn.turn)) {
                let failure = done.result.failure.as_ref();
                let record = self.record(done.index, &done.room, turn, &done.plan, failure);
                let account = done.told.accounts.get(&turn.turn);
                let record = self.with_account(record, account, turn, &done.plan);
                self.turn(record, tell);
            }
            outcomes.extend(self.recorded.remove(&(done.index, turn.turn)));
        }
        let context = CallContext {
            call: done.index,
            room: &done.room,
            variant: &self.scenario.variants[done.plan.variant].name,
            block: done.plan.block,
            warmup: done.plan.warmup,
            planned_start: done.planned_start,
            started: Some(done.started),
            ended: Some(done.ended),
        };
        let connection = done.connection.as_ref();
        let connection = connection.map(|c| ConnectionRecord::new(c, self.run_start));
        let call = CallRecord {
            turns: TurnCounts::of(done.result.turns.len(), outcomes),
            connection: connection.map(Box::new),
            usage: done.told.usage,
            ..CallRecord::new(&context, &done.result, self.run_start)
        };
        self.append_call(&call, tell);
        if let Some(desk) = &mut self.telemetry {
            desk.ended(done.index, done.ended, done.told.clocks);
        }
        tell(RunEvent::CallEnded(Box::new(call)));
    }

    /// Why the run's figures are not reliable: some calls failed because of the generator, not the
    /// agent. Empty if there was no such call.
    pub(super) fn own_failures(&self) -> Vec<String> {
        match &self.own_failures {
            (0, _) => Vec::new(),
            (1, first) => vec![format!("a call failed here, not at the agent: {first}")],
            (count, first) => vec![format!(
                "{count} calls failed here, not at the agent: {first}"
            )],
        }
    }

    /// Number of calls that have started so far.
    pub(super) fn started(&self) -> usize {
        self.started
    }

    /// Number of calls in progress.
    pub(super) fn under_way(&self) -> usize {
        self.begun.len()
    }

    /// The measured calls in progress, each with its turns that have not ended.
    pub(super) fn open(&self) -> Vec<OpenCall> {
        let open = |begun: &Begun| {
            let call = begun.plan.index as usize;
            let turns = begun.plan.turns.iter().enumerate();
            let unended = turns.filter(|(turn, _)| !self.recorded.contains_key(&(call, *turn)));
            OpenCall {
                call,
                variant: self.scenario.variants[begun.plan.variant].name.clone(),
                unended: unended.map(|(_, t)| t.expect).collect(),
            }
        };
        let measured = self.begun.values().filter(|b| !b.plan.warmup);
        measured.map(open).collect()
    }

    /// Syncs the journal to disk when due; see [`Journal::tick`].
    pub(super) fn sync(&mut self) {
        if let Err(e) = self.journal.tick(now()) {
            self.journal_error.get_or_insert(e);
        }
    }

    fn lost(&mut self, e: RecordError, tell: &mut dyn FnMut(RunEvent)) {
        if self.journal_error.is_none() {
            tell(RunEvent::Notice(format!("the journal is incomplete: {e}")));
            self.journal_error = Some(e);
        }
    }
}

#[cfg(test)]
mod tests;
