//! Reports the turns of one call: each turn when it ends, and again when more is known about it.
//!
//! In: the call's events, second opinions, the agent's claims. Out: reports to the collector.
//! Invariant: a turn is reported as soon as it has ended; later information amends it.

use super::call_branches::CallBranches;
use super::call_claims::CallClaims;
use super::call_opinions::CallOpinions;
use super::call_report::{CallReport, CallTold, TurnDone};
use super::opinions::Excerpt;
use super::shared::Shared;
use crate::account::TurnAccount;
use crate::call::{CallEvent, Phase, ReplyMatches, StreamId, TurnResult};
use crate::plan::PlannedCall;
use crate::targets::{Connection, Event};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long a call waits for the agent's description of its last reply.
const LAST_CLAIM: Duration = Duration::from_secs(1);

/// The reports of one call's turns.
pub(super) struct TurnReports {
    shared: Arc<Shared>,
    plan: PlannedCall,
    room: String,
    opinions: CallOpinions,
    claims: CallClaims,
    branches: CallBranches,
}

impl TurnReports {
    /// `start`: an arbitrary instant near the call.
    pub(super) fn new(
        shared: Arc<Shared>,
        plan: PlannedCall,
        room: String,
        start: Instant,
    ) -> Self {
        Self {
            shared,
            plan,
            room,
            opinions: CallOpinions::default(),
            claims: CallClaims::new(start),
            branches: CallBranches::default(),
        }
    }

    /// Requests a second opinion on the onset at `at`.
    pub(super) fn ask(&mut self, at: Instant, excerpt: Excerpt) {
        self.opinions.asked(at, self.shared.opinions.ask(excerpt));
    }

    /// Processes an event of the connection, if the event is a claim of the agent.
    pub(super) fn claim(&mut self, event: Option<&Event>) {
        if let Some(Event::Claim(claim)) = event {
            self.claims.claim(claim);
        }
    }

    /// Reports an event of the call's state machine; returns whether the event was the end of the
    /// call.
    pub(super) async fn event(&mut self, event: CallEvent) -> bool {
        match event {
            CallEvent::Phase(phase) => {
                let report = CallReport::Phase(self.plan.index as usize, phase);
                self.send(report).await;
                return matches!(phase, Phase::Done | Phase::Failed);
            }
            CallEvent::TurnEnded(turn) => {
                let turn = self.opinions.judge(turn);
                let account = self.claims.turn(&turn);
                self.branches.ended(&turn, &self.shared.scenario.call.turns);
                self.turn(turn, account, CallReport::Turn).await;
                self.settle(false).await;
            }
            CallEvent::TurnAmended(turn) => {
                let turn = self.opinions.judge(turn);
                self.amend(turn).await;
            }
        }
        false
    }

    /// What is known of the transcript of a reply on which a branch depends, if that is news.
    pub(super) fn reply_matches(&mut self) -> Option<ReplyMatches> {
        self.branches
            .news(&self.claims, &self.shared.scenario.call.turns)
    }

    /// The next turn whose second opinion arrived after the turn had ended. Cancel safe.
    pub(super) async fn answered(&mut self) -> TurnResult {
        self.opinions.answered().await
    }

    /// Reports a turn again.
    pub(super) async fn amend(&mut self, turn: TurnResult) {
        let account = self.claims.turn(&turn);
        self.turn(turn, account, CallReport::Amended).await;
    }

    /// A stream that was confirmed as a voice since this was last called.
    pub(super) fn take_voice(&mut self) -> Option<StreamId> {
        self.opinions.take_voice()
    }

    /// Reports the remaining information when the call is over: the agent's description of its last
    /// reply, then second opinions, unless the run is stopped. Returns what the agents reported
    /// about the call.
    pub(super) async fn finish(mut self, connection: Option<&mut dyn Connection>) -> CallTold {
        let stop = self.shared.stop.clone();
        if let Some(connection) = connection {
            tokio::select! {
                () = self.last_claims(connection) => {}
                () = stop.cancelled() => {}
            }
        }
        self.settle(true).await;
        let last = async {
            while let Some(turn) = self.opinions.last_answered().await {
                self.amend(turn).await;
            }
        };
        tokio::select! {
            () = last => {}
            () = stop.cancelled() => {}
        }
        self.claims.told()
    }

    async fn last_claims(&mut self, connection: &mut dyn Connection) {
        let claims = async {
            while self.claims.awaits_reply() {
                let event = connection.event().await;
                if matches!(event, Some(Event::Closed(_)) | None) {
                    return;
                }
                self.claim(event.as_ref());
            }
        };
        // An agent that was cut off does not describe its reply.
        let _ = tokio::time::timeout(LAST_CLAIM, claims).await;
    }

    /// Reports the turns whose account has become complete.
    async fn settle(&mut self, over: bool) {
        for (turn, account) in self.claims.settled(over) {
            self.turn(turn, Some(account), CallReport::Amended).await;
        }
    }

    async fn turn(
        &mut self,
        turn: TurnResult,
        account: Option<TurnAccount>,
        report: fn(Box<TurnDone>) -> CallReport,
    ) {
        let done = Box::new(TurnDone {
            call: self.plan.index as usize,
            room: self.room.clone(),
            turn,
            account,
            plan: self.plan.clone(),
        });
        self.send(report(done)).await;
    }

    /// Sends a report; sending does not fail, because the collector outlives every call.
    async fn send(&mut self, report: CallReport) {
        let _ = self.shared.reports.send(report).await;
    }
}
