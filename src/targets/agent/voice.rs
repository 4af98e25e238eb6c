//! What an agent can say: its clips, and their forms with faults.
//!
//! In: clips, the agent's behaviour. Out: scripts, shared by all calls. Invariant: everything is
//! encoded before the first call.

use super::clip::{Clip, ClipError};
use super::dice::{Decision, Dice};
use super::faults::forms;
use super::script::Script;
use crate::vocab::Behaviour;
use std::sync::Arc;

/// What an agent can say, and how it behaves.
#[derive(Debug)]
pub(crate) struct Voice {
    /// The reply to every turn.
    pub(super) reply: Arc<Script>,
    /// The reply with each of the faults, and the share of the replies that have it.
    faulty: Vec<(f64, Vec<Arc<Script>>)>,
    /// Said once, when the caller has arrived.
    pub(super) greeting: Option<Arc<Script>>,
    /// Said before the reply.
    pub(super) filler: Option<Arc<Script>>,
    /// A frame of silence.
    pub(super) silence: Arc<[u8]>,
    pub(super) behaviour: Behaviour,
}

impl Voice {
    /// Makes a voice from clips of the same codec, without any particular behaviour.
    ///
    /// # Errors
    /// The codec fails (out of memory).
    pub(crate) fn new(reply: Clip, greeting: Option<Clip>) -> Result<Self, ClipError> {
        Self::behaving(reply, greeting, None, Behaviour::default())
    }

    /// Makes a voice from clips of the same codec. `filler` is what the agent says before the
    /// answer, if its behaviour has a filler.
    ///
    /// # Errors
    /// A fault leaves nothing audible, or the codec fails.
    pub(crate) fn behaving(
        reply: Clip,
        greeting: Option<Clip>,
        filler: Option<Clip>,
        behaviour: Behaviour,
    ) -> Result<Self, ClipError> {
        let silence = reply.codec.silence()?;
        let clip = |clip: Clip| match behaviour.dtx {
            true => clip.with_dtx().map(Arc::new),
            false => Ok(Arc::new(clip)),
        };
        let script = |made| Ok::<_, ClipError>(Arc::new(Script::plain(clip(made)?)));
        let reply = clip(reply)?;
        let faults = behaviour.faults.iter();
        let faulty = faults.map(|fault| Ok((fault.share, forms(&reply, fault)?)));
        Ok(Self {
            faulty: faulty.collect::<Result<_, ClipError>>()?,
            reply: Arc::new(Script::plain(reply)),
            greeting: greeting.map(script).transpose()?,
            filler: filler.map(script).transpose()?,
            silence,
            behaviour,
        })
    }

    /// The script of the next reply.
    pub(super) fn draw(&self, dice: &mut Dice) -> Arc<Script> {
        if self.faulty.is_empty() {
            return self.reply.clone();
        }
        let drawn = dice.number(Decision::Fault);
        let mut below = 0.0;
        for (share, forms) in &self.faulty {
            below += share;
            if drawn < below && !forms.is_empty() {
                return forms[dice.pick(Decision::Fault, forms.len())].clone();
            }
        }
        self.reply.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audio::Codec;
    use crate::vocab::{Fault, FaultKind};
    use std::time::Duration;

    #[test]
    fn each_fault_has_its_share_of_the_replies() {
        let fault = |kind, share| Fault {
            kind,
            share,
            at: vec![Duration::from_millis(300)],
            length: vec![Duration::from_millis(100)],
            gain_db: None,
        };
        let behaviour = Behaviour {
            faults: vec![fault(FaultKind::Hole, 0.2), fault(FaultKind::Loss, 0.1)],
            ..Behaviour::default()
        };
        let reply = Clip::tone(Duration::from_secs(1), Codec::Pcm).expect("tone");
        let voice = Voice::behaving(reply, None, None, behaviour).expect("voice");
        let mut dice = Dice::new(1, 0);
        let drawn: Vec<_> = (0..2_000).map(|_| voice.draw(&mut dice)).collect();
        let clean = drawn
            .iter()
            .filter(|s| Arc::ptr_eq(s, &voice.reply))
            .count();
        let lossy = drawn
            .iter()
            .filter(|s| s.items.iter().any(|i| i.left_out > 0))
            .count();
        assert!((1_300..1_500).contains(&clean), "{clean}");
        assert!((150..250).contains(&lossy), "{lossy}");
    }
}
