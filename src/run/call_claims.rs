//! The agent's own account of the turns of one call, kept alongside the caller's measurements.
//!
//! In: the agent's claims, and the call's turns as they end. Out: turns with the agent's account,
//! once the account is complete. Invariants: reporting a turn never waits for its account, and a
//! turn that is amended later keeps its account.

use super::call_report::CallTold;
use crate::account::{CallAccount, Claim, TurnAccount, TurnTimes};
use crate::call::TurnResult;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Instant;

/// The claims of a call's agent.
pub(super) struct CallClaims {
    account: CallAccount,
    /// Turns whose account is not complete.
    open: BTreeMap<usize, TurnResult>,
    known: HashMap<usize, TurnAccount>,
}

impl CallClaims {
    /// `epoch`: an arbitrary instant near the call.
    pub(super) fn new(epoch: Instant) -> Self {
        Self {
            account: CallAccount::new(epoch),
            open: BTreeMap::new(),
            known: HashMap::new(),
        }
    }

    /// Adds a claim of an agent to the account.
    pub(super) fn claim(&mut self, claim: &Claim) {
        self.account.claim(claim);
    }

    /// Adds a turn that has ended or was amended; returns the agent's account of the turn so far.
    pub(super) fn turn(&mut self, turn: &TurnResult) -> Option<TurnAccount> {
        let known = self.known.get(&turn.turn);
        if known.is_none()
            && let Some(times) = times(turn)
            && self.account.turn(times)
        {
            self.open.insert(turn.turn, turn.clone());
        }
        known.cloned()
    }

    /// The turns whose account has become complete since this was last called, or all remaining
    /// turns if the call is `over`.
    pub(super) fn settled(&mut self, over: bool) -> Vec<(TurnResult, TurnAccount)> {
        let settled = self.account.settle(over);
        let mut turns = Vec::new();
        for (turn, account) in settled {
            self.known.insert(turn, account.clone());
            turns.extend(self.open.remove(&turn).map(|result| (result, account)));
        }
        self.open.retain(|turn, _| !self.account.is_settled(*turn));
        turns
    }

    /// What the agents reported about the call.
    pub(super) fn told(self) -> CallTold {
        CallTold {
            usage: self.account.usage(),
            accounts: self.known,
            clocks: Some(self.account.into_clocks()),
        }
    }

    /// The text of the reply to the turn that ended last, as far as it is known, and whether the
    /// agent has described that reply, so that no more of it will follow.
    pub(super) fn reply_so_far(&self, turn: &TurnResult) -> Option<(Arc<str>, bool)> {
        self.account.reply_so_far(&times(turn)?)
    }

    /// Whether the agent's description of a reply is still missing. The agent sends it when the
    /// reply has ended.
    pub(super) fn awaits_reply(&self) -> bool {
        self.account.awaits_reply()
    }
}

/// The instants by which claims are matched; `None` if the turn never began.
fn times(turn: &TurnResult) -> Option<TurnTimes> {
    Some(TurnTimes {
        turn: turn.turn,
        media_start: turn.media_start?,
        speech_end: turn.speech_end?,
        onset: match turn.text_ttft {
            // A reply in text begins with its first piece.
            Some(ttft) => turn.speech_end?.checked_add(ttft),
            None => turn.onset.map(|onset| onset.at.wire()),
        },
    })
}
