//! Checks what the caller says in a turn, an utterance or a text, and what should follow.
//!
//! In: a turn of the file. Out: what is said, and problems in the [`Checker`].

use super::checker::Checker;
use super::file::{SayFile, SayTextFile, TurnFile};
use super::places::join;
use super::problem::{Code, did_you_mean};
use super::types::{CallConfig, Saying, TargetConfig};
use crate::vocab::{AccountUse, Expect};

impl Checker<'_> {
    /// What the turn expects: a text is answered in text, an utterance is not.
    pub(super) fn expectation(&mut self, file: &TurnFile, pointer: &str) -> Expect {
        let writes = self.places.origin(&join(pointer, "say_text")).is_some();
        let default = match writes {
            true => Expect::RespondText,
            false => Expect::Respond,
        };
        let expect = file.expect.unwrap_or(default);
        if expect.asks_for_text() == writes {
            return expect;
        }
        let (message, hint) = match writes {
            true => (
                format!(
                    "`expect: {}`, but the caller sends a text, whose reply is a text",
                    expect.name()
                ),
                "leave it out: a turn with `say_text` expects `respond_text`",
            ),
            false => (
                "`expect: respond_text`, but the caller sends no text".to_owned(),
                "leave it out, or replace `say` by `say_text`",
            ),
        };
        self.problem(&join(pointer, "expect"), Code::Contradiction, message, hint);
        default
    }

    /// What the caller says.
    pub(super) fn saying(
        &mut self,
        file: &TurnFile,
        pointer: &str,
        utterances: &[&str],
    ) -> Option<Saying> {
        let (at_say, at_text) = (join(pointer, "say"), join(pointer, "say_text"));
        let given = |at: &str| self.places.origin(at).is_some();
        match (given(&at_say), given(&at_text)) {
            (true, true) => {
                let message = "a turn has either `say` or `say_text`, not both";
                let hint = "leave one of them out, or make them two turns";
                self.problem_at_key(&at_text, Code::Contradiction, message, hint);
                None
            }
            (false, false) => {
                let message = "the turn has neither `say` nor `say_text`";
                let hint = "name an utterance with `say`, or send a text with `say_text`";
                self.problem(pointer, Code::MissingKey, message, hint);
                None
            }
            (true, false) => {
                let say = self.need(file.say.as_ref(), &at_say)?;
                self.utterances_said(say, &at_say, utterances)
            }
            (false, true) => {
                let texts = self.need(file.say_text.as_ref(), &at_text)?;
                Some(self.texts_said(texts, &at_text))
            }
        }
    }

    fn utterances_said(&mut self, say: &SayFile, at: &str, known: &[&str]) -> Option<Saying> {
        Some(Saying::Utterances(match say {
            SayFile::One(name) => vec![self.utterance_index(name, at, known)?],
            SayFile::Many(names) => {
                let mut indices = Vec::new();
                for (i, name) in names.iter().enumerate() {
                    let at = format!("{at}/{i}");
                    let name = self.need(name.as_ref(), &at);
                    indices.extend(name.and_then(|n| self.utterance_index(n, &at, known)));
                }
                indices
            }
        }))
    }

    fn texts_said(&mut self, texts: &SayTextFile, at: &str) -> Saying {
        let mut said = Vec::new();
        match texts {
            SayTextFile::One(text) => said.push((text.as_str(), at.to_owned())),
            SayTextFile::Many(all) => {
                for (i, text) in all.iter().enumerate() {
                    let at = format!("{at}/{i}");
                    let text = self.need(text.as_ref(), &at);
                    said.extend(text.map(|text| (text.0.as_str(), at)));
                }
            }
        }
        for (text, at) in &said {
            if text.trim().is_empty() {
                let hint = "agents do not answer a text that is empty";
                self.problem(at, Code::BadValue, "the text has no characters", hint);
            }
        }
        Saying::Texts(said.into_iter().map(|(text, _)| text.into()).collect())
    }

    fn utterance_index(&mut self, name: &str, pointer: &str, known: &[&str]) -> Option<usize> {
        let index = known.iter().position(|utterance| *utterance == name);
        if index.is_none() {
            let shown: String = name.chars().take(64).collect();
            let hint = did_you_mean(name, known.iter().copied(), "utterances");
            self.problem(
                pointer,
                Code::UnknownName,
                format!("there is no utterance `{shown}`"),
                hint,
            );
        }
        index
    }

    /// Checks that texts can be sent to the target and that replies are read.
    pub(super) fn texts(&mut self, call: Option<&CallConfig>, target: Option<&TargetConfig>) {
        let Some((call, target)) = call.zip(target) else {
            return;
        };
        let writes = |at: usize| matches!(call.turns[at].say, Saying::Texts(_));
        let Some(first) = (0..call.turns.len()).find(|at| writes(*at)) else {
            return;
        };
        if matches!(target, TargetConfig::Embedded(_)) {
            let at = format!("/call/turns/{first}/say_text");
            let message = "the embedded agent reads no texts";
            let hint = "say an utterance, or set `target.kind: livekit`";
            self.problem_at_key(&at, Code::Contradiction, message, hint);
        }
        if call.agent_account == AccountUse::Ignore {
            let message = "with `agent_account: ignore`, the agent's texts are not read, but a turn waits for one";
            let hint = "leave it out, or send no text";
            let at = "/call/agent_account";
            self.problem(at, Code::Contradiction, message, hint);
        }
    }
}
