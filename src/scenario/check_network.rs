//! Checks `network`.
//!
//! In: values that passed the schema. Out: the checked part, and problems in the [`Checker`].

use super::checker::Checker;
use super::file::NetworkFile;
use super::problem::Code;
use crate::vocab::Loss;

impl Checker<'_> {
    /// The packet loss; `None` if no packets are lost, or if the settings are invalid.
    pub(super) fn network(&mut self, file: &NetworkFile) -> Option<Loss> {
        let text = file.loss.as_ref().map(|l| l.0.as_str());
        let hint = "write the share of packets to lose, such as `5%`";
        let loss = match &file.loss {
            Some(share) => self.share(share, "/network/loss", hint)?,
            None => 0.0,
        };
        if let Some(burst) = file.burst {
            if text.is_none() && !self.is_unset("/network/loss") {
                let message = "`burst` sets how packets are lost, but none are";
                let hint = "set `loss` too, or leave it out";
                self.problem_at_key("/network/burst", Code::Contradiction, message, hint);
                return None;
            }
            // Between two bursts, at least one packet gets through.
            let most = burst / (burst + 1.0);
            if loss > most {
                let message = format!(
                    "bursts of {burst} packets cannot lose {}: at least one gets through in between",
                    text.unwrap_or_default(),
                );
                let hint = format!("lose at most {:.1}%, or leave out `burst`", most * 100.0);
                self.problem("/network/burst", Code::Contradiction, message, hint);
                return None;
            }
        }
        (loss > 0.0).then_some(Loss {
            share: loss,
            burst: file.burst,
        })
    }
}
