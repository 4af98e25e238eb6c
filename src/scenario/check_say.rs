//! Checks what the caller says in a turn, an utterance or a text, and what should follow.
//!
//! In: a turn of the file. Out: what is said, and problems in the [`Checker`].

use super::checker::Checker;
use super::file::{CallFile, SayFile, SayTextFile, TurnFile};
use super::places::join;
use super::problem::{Code, did_you_mean};
use super::turn_file::PickFile;
use super::types::{CallConfig, Pick, Saying, TargetConfig};
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

    /// What the caller says, and how that is picked.
    pub(super) fn saying(
        &mut self,
        file: &TurnFile,
        pointer: &str,
        expect: Expect,
        utterances: &[&str],
    ) -> Option<(Saying, Pick)> {
        let (at_say, at_text) = (join(pointer, "say"), join(pointer, "say_text"));
        let given = |at: &str| self.places.origin(at).is_some();
        let say = match (given(&at_say), given(&at_text)) {
            (true, true) => {
                let message = "a turn has either `say` or `say_text`, not both";
                let hint = "leave one of them out, or make them two turns";
                self.problem_at_key(&at_text, Code::Contradiction, message, hint);
                None
            }
            (false, false) if expect.may_be_unspoken() => Some(Saying::Nothing),
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
        };
        let say = say?;
        let pick = self.pick(file, pointer, &say);
        Some((say, pick))
    }

    fn pick(&mut self, file: &TurnFile, pointer: &str, say: &Saying) -> Pick {
        let at = join(pointer, "pick");
        let weights = match &file.say {
            Some(SayFile::Weighted(weights)) => weights,
            _ if file.pick == Some(PickFile::InOrder) => {
                if say.len() < 2 {
                    let message = "`pick: in_order`, but there is only one thing to say";
                    let hint = "leave it out, or give `say` a list: `say: [order, thanks]`";
                    self.problem(&at, Code::Contradiction, message, hint);
                }
                return Pick::InOrder;
            }
            _ => return Pick::Random,
        };
        if file.pick == Some(PickFile::InOrder) {
            let message = "`pick: in_order`, but `say` has weights";
            let hint = "leave out `pick`, or give `say` a list: `say: [order, thanks]`";
            self.problem(&at, Code::Contradiction, message, hint);
        }
        let weights = weights.values().flatten().map(|weight| weight.0);
        Pick::Weighted(weights.collect())
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
            SayFile::Weighted(weights) => {
                let mut indices = Vec::new();
                for (name, weight) in weights {
                    let at = join(at, name);
                    self.need(weight.as_ref(), &at);
                    let index = self.utterance_index(name, &at, known);
                    indices.extend(index.filter(|_| weight.is_some()));
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

    /// Checks that the target takes the texts that turns send, and has the transcripts that they
    /// need.
    pub(super) fn words_of_turns(
        &mut self,
        file: Option<&CallFile>,
        call: Option<&CallConfig>,
        target: Option<&TargetConfig>,
    ) {
        self.texts(file.and_then(CallFile::first_text), call, target);
        self.transcripts(call, target);
    }

    /// Checks that texts can be sent to the target and that replies are read.
    /// `first`: pointer of the first text.
    fn texts(
        &mut self,
        first: Option<String>,
        call: Option<&CallConfig>,
        target: Option<&TargetConfig>,
    ) {
        let (Some(at), Some((call, target))) = (first, call.zip(target)) else {
            return;
        };
        if matches!(target, TargetConfig::Embedded(_)) {
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
