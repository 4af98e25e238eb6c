//! The expected words of a reply, as written and as checked.
//!
//! In: a turn of the file. Out: the expected text and pattern, and problems in the [`Checker`].

use super::checker::Checker;
use super::file::TurnFile;
use super::places::join;
use super::problem::Code;
use super::types::ReplyWords;
use crate::vocab::{Expect, Pattern};

impl Checker<'_> {
    pub(super) fn reply_words(
        &mut self,
        file: &TurnFile,
        pointer: &str,
        expect: Expect,
    ) -> ReplyWords {
        for (key, given) in [
            ("reply_text", file.reply_text.is_some()),
            ("reply_matches", file.reply_matches.is_some()),
        ] {
            if given && !expect.asks_for_reply() && !expect.asks_for_text() {
                let message = format!(
                    "`{key}` needs a reply, but `expect: {}` expects none",
                    expect.name()
                );
                let hint = "leave it out, or set `expect: respond`";
                self.problem_at_key(&join(pointer, key), Code::Contradiction, message, hint);
            }
        }
        let written = file.reply_matches.as_deref();
        ReplyWords {
            text: file.reply_text.clone(),
            pattern: written.and_then(|p| self.pattern(p, &join(pointer, "reply_matches"))),
        }
    }

    pub(super) fn pattern(&mut self, written: &str, pointer: &str) -> Option<Pattern> {
        match Pattern::new(written) {
            Ok(pattern) => Some(pattern),
            Err(error) => {
                let message = format!("not a regular expression: {error}");
                let hint = "write it in single quotes, so that YAML leaves backslashes alone: 'order \\d+'";
                self.problem(pointer, Code::BadValue, message, hint);
                None
            }
        }
    }
}
