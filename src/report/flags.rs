//! What each flag means and what to do about it, shared by every report.
//!
//! Out: a table, most serious flag first. Invariant: every flag is listed exactly once (tested).

use crate::record::Flag;
use std::collections::BTreeMap;

/// The explanation of a flag.
#[derive(Debug, Clone, Copy)]
pub(super) struct Meaning {
    pub(super) flag: Flag,
    pub(super) text: &'static str,
    /// What to try next; `None` where there is nothing to do.
    pub(super) hint: Option<&'static str>,
}

const fn means(flag: Flag, text: &'static str) -> Meaning {
    Meaning {
        flag,
        text,
        hint: None,
    }
}

/// Every flag, most serious first.
pub(super) const FLAGS: &[Meaning] = &[
    Meaning {
        hint: Some(
            "the agent likely crashed, or its TTS stream broke off: check its log for that time",
        ),
        ..means(
            Flag::ReplyCutOff,
            "the agent's packets stopped in the middle of the reply",
        )
    },
    Meaning {
        hint: Some(
            "turns.csv has both readings; an agent that publishes its state removes the ambiguity",
        ),
        ..means(
            Flag::SpurtAmbiguous,
            "neither audio nor state shows whether the agent stopped and answered, or kept talking",
        )
    },
    Meaning {
        hint: Some(
            "listen to a kept turn (`evidence`); if the agent answers with a tone, as `loadgen agent` does, declare it: `call.reply_tone`",
        ),
        ..means(
            Flag::NotSpeech,
            "the second opinion finds no voice, or not the declared tone",
        )
    },
    means(
        Flag::OnsetDisputed,
        "the second opinion places the onset more than 60 ms earlier or later",
    ),
    Meaning {
        hint: Some(
            "unless `network` in the scenario loses it, check the network from here to the server: the agent may have heard gaps",
        ),
        ..means(
            Flag::UtteranceLost,
            "part of the caller's utterance was lost upstream",
        )
    },
    Meaning {
        hint: Some(
            "does the agent publish its transcripts (`lk.transcription`)? Otherwise branch on the outcome",
        ),
        ..means(
            Flag::NoTranscript,
            "a branch needed the transcript of the reply, and none had arrived",
        )
    },
    Meaning {
        hint: Some(
            "unless `network` in the scenario does it, look at the network from here to the server: report.html draws it over time, calls.jsonl has it by call",
        ),
        ..means(
            Flag::PoorNetwork,
            "the network's round trip was 300 ms or more, or it lost 10 % of the packets or more",
        )
    },
    means(
        Flag::TouchedByLoss,
        "packet loss may have affected the onset",
    ),
    means(
        Flag::LowConfidence,
        "the onset is less than 20 dB above the noise floor",
    ),
    means(
        Flag::LateSend,
        "the last speech packet left more than 2 ms late (a text: 50 ms)",
    ),
    means(
        Flag::AfterMissed,
        "the previous turn was missed: this may be the late reply to it",
    ),
    Meaning {
        hint: Some(
            "the interruption came too late: start it sooner, or have the agent speak longer",
        ),
        ..means(
            Flag::NothingToStop,
            "the agent was silent when the caller's interruption began",
        )
    },
    means(
        Flag::AnchorTimeout,
        "the event that the turn waited for never occurred",
    ),
    means(
        Flag::AfterAgentLeft,
        "the agent left and came back during the turn",
    ),
    means(
        Flag::TrackChanged,
        "another of the agent's tracks was first heard during the turn",
    ),
    means(
        Flag::ReplyUnfinished,
        "the reply had not ended when the caller stopped listening",
    ),
    means(
        Flag::UserSpaceStamp,
        "the arrival was stamped in user space, not by the kernel: scheduling delay is included",
    ),
];

/// The flags of a run, each with the number of turns that have it and its explanation: most serious
/// first, then the flags that this release does not know.
pub(super) fn found(
    flags: &BTreeMap<String, usize>,
) -> Vec<(&str, usize, Option<&'static Meaning>)> {
    let known = FLAGS.iter().filter_map(|meaning| {
        let name = meaning.flag.name();
        Some((name, *flags.get(name)?, Some(meaning)))
    });
    let unknown = flags.iter().filter(|(name, _)| named(name).is_none());
    let unknown = unknown.map(|(name, turns)| (name.as_str(), *turns, None));
    known.chain(unknown).collect()
}

/// Looks up the explanation of a flag by the flag's name.
pub(super) fn named(name: &str) -> Option<&'static Meaning> {
    FLAGS.iter().find(|m| m.flag.name() == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_flag_is_explained_once() {
        for &flag in Flag::ALL {
            let explained = FLAGS.iter().filter(|m| m.flag == flag).count();
            assert_eq!(explained, 1, "{flag:?}");
        }
        assert!(named("reply_cut_off").is_some_and(|m| m.hint.is_some()));
        assert!(named("nonsense").is_none());
    }
}
