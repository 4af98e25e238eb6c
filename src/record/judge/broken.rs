//! Counts the replies whose audio broke.
//!
//! In: turn records. Out: how many replies were stalled, cut, clipped and so on. Invariant: absent
//! if no reply's audio was watched.

use super::samples::counting_turns;
use crate::record::{Ms, TurnRecord};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Replies by what broke in their audio; a reply can be counted in several.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct BrokenReplies {
    /// Replies whose audio was watched.
    pub replies: usize,
    /// With a hole of 60 ms or more.
    pub stalled: usize,
    /// Of these, with a hole that the sender accounts for.
    pub sender: usize,
    /// Of the stalled, with a hole that the network accounts for.
    pub network: usize,
    /// The longest of these holes.
    pub longest_stall_ms: Ms,
    /// With audio that was due for playout before it arrived.
    pub underrun: usize,
    /// With audio that arrived 100 ms or more ahead of time.
    pub burst: usize,
    /// That began in mid-voice.
    pub truncated_head: usize,
    /// That ended in mid-voice.
    pub truncated_tail: usize,
    /// Of whose sound more than 1 % is at full scale.
    pub clipped: usize,
    /// Whose level changed suddenly.
    pub level_jump: usize,
    /// In stereo with only one channel, or with channels that cancel each other out.
    #[serde(default)]
    pub stereo: usize,
}

impl BrokenReplies {
    /// The counts of these turns; `None` if there is no reply among them.
    pub(super) fn of(turns: &[TurnRecord]) -> Option<Self> {
        let mut counts = Self::default();
        for reply in counting_turns(turns, None).filter_map(|t| t.reply_audio.as_ref()) {
            counts.replies += 1;
            counts.stalled += usize::from(reply.is_stalled());
            counts.sender += usize::from(reply.sender_stalls.count > 0);
            counts.network += usize::from(reply.network_stalls.count > 0);
            counts.longest_stall_ms = counts.longest_stall_ms.max(reply.longest_stall());
            counts.underrun += usize::from(reply.underruns.count > 0);
            counts.burst += usize::from(reply.bursts.count > 0);
            counts.truncated_head += usize::from(reply.truncated_head);
            counts.truncated_tail += usize::from(reply.truncated_tail);
            counts.clipped += usize::from(reply.clipped);
            counts.level_jump += usize::from(reply.level_jump_db.is_some());
            counts.stereo += usize::from(reply.stereo.is_some());
        }
        (counts.replies > 0).then_some(counts)
    }

    /// In words, such as "12 of 300 replies stalled (sender 10, network 2), longest 420 ms"; one
    /// sentence for each kind that occurred.
    pub(crate) fn sentences(&self) -> Vec<String> {
        let of = self.replies;
        let mut sentences = Vec::new();
        if self.stalled > 0 {
            sentences.push(format!(
                "{} of {of} replies stalled (sender {}, network {}), longest {:.0} ms",
                self.stalled,
                self.sender,
                self.network,
                self.longest_stall_ms.as_f64()
            ));
        }
        let kinds = [
            (self.underrun, "ran the jitter buffer empty"),
            (self.burst, "arrived in bursts"),
            (self.truncated_head, "began in mid-voice"),
            (self.truncated_tail, "ended in mid-voice"),
            (self.clipped, "were clipped"),
            (self.level_jump, "changed their level suddenly"),
            (
                self.stereo,
                "had one silent channel, or channels that cancel each other out",
            ),
        ];
        let occurred = kinds.into_iter().filter(|(count, _)| *count > 0);
        sentences.extend(occurred.map(|(count, what)| format!("{count} of {of} replies {what}")));
        sentences
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::ReplyAudio;
    use crate::record::fixtures::Run;

    #[test]
    fn broken_replies_are_counted_and_told() {
        let mut run = Run::default();
        run.good(3);
        assert_eq!(BrokenReplies::of(&run.turns), None, "nothing was watched");
        let audio = |sender: u32, network: u32| ReplyAudio::stalled(sender, network);
        run.turns[0].reply_audio = Some(audio(1, 0));
        run.turns[1].reply_audio = Some(audio(0, 0));
        run.turns[2].reply_audio = Some(audio(1, 2));
        let counts = BrokenReplies::of(&run.turns).expect("replies");
        assert_eq!((counts.replies, counts.stalled), (3, 2));
        assert_eq!(
            counts.sentences(),
            ["2 of 3 replies stalled (sender 2, network 1), longest 420 ms"]
        );
    }
}
