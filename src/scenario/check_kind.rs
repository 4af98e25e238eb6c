//! Checks that what is not speech for the agent is not expected to be answered.
//!
//! In: checked utterances and turns. Out: problems in the [`Checker`].

use super::checker::Checker;
use super::places::join;
use super::problem::Code;
use super::types::{CallConfig, Saying, UtteranceConfig};

impl Checker<'_> {
    /// An utterance of a kind other than speech needs a turn that does not ask for a reply.
    pub(super) fn kinds(&mut self, call: Option<&CallConfig>, utterances: &[UtteranceConfig]) {
        for (index, turn) in call.iter().flat_map(|call| &call.turns).enumerate() {
            let Saying::Utterances(said) = &turn.say else {
                continue;
            };
            if !turn.expect.asks_for_reply() {
                continue;
            }
            let said = said.iter().filter_map(|at| utterances.get(*at));
            let Some(other) = said.clone().find(|u| !u.kind.is_speech()) else {
                continue;
            };
            let pointer = format!("/call/turns/{index}");
            let at = join(&pointer, "expect");
            let at = match self.places.origin(&at) {
                Some(_) => at,
                None => join(&pointer, "say"),
            };
            let message = format!(
                "`{}` is of kind `{}`, which an agent should not answer, but the turn has `expect: {}`",
                other.name,
                other.kind.name(),
                turn.expect.name()
            );
            let hint = "set `expect: ignore` (or `stop`), or leave `kind` out";
            self.problem(&at, Code::Contradiction, message, hint);
        }
    }
}
