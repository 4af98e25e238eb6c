//! Messages of a data channel, in sequence, and the account of an agent that results from them.
//!
//! In: protobuf messages with their lengths. Properties: the memory that participants can make us
//! use is bounded; delays are plausible; each turn is settled at most once, and its instants are in
//! order.

use super::input::Input;
use super::planted::planted;
use crate::account::{CallAccount, Claim, ClaimKind, TurnAccount, TurnTimes};
use crate::targets::livekit::fuzzed::{Data, LONGEST_STREAM};
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

/// Maximum number of messages in one input.
const MESSAGES: usize = 256;
/// Time between two messages, and between two turns.
const APART: Duration = Duration::from_millis(100);
const TURN: Duration = Duration::from_secs(2);
/// Maximum delay that an agent can claim.
const LONGEST: Duration = Duration::from_secs(3_600);

pub(super) fn run(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let start = Instant::now();
    let (mut data, mut account) = (Data::default(), CallAccount::new(start));
    let (mut agents, mut turns, mut settled) = (BTreeSet::new(), 0, Vec::new());
    for number in 0..MESSAGES as u32 {
        if input.is_empty() {
            break;
        }
        let at = start + APART * number;
        if let Some(claim) = data.packet(input.long(), at) {
            is_plausible(&claim);
            account.claim(&claim);
            agents.insert(claim.agent);
        }
        assert!(data.kept() <= LONGEST_STREAM, "{} bytes", data.kept());
        if at >= start + TURN * (turns as u32 + 1) {
            account.turn(TurnTimes {
                turn: turns,
                media_start: at - TURN,
                speech_end: at - TURN / 2,
                onset: Some(at - APART),
            });
            turns += 1;
            settled.extend(account.settle(false));
        }
    }
    settled.extend(account.settle(true));
    assert!(settled.is_sorted_by(|(one, _), (other, _)| one < other));
    assert!(settled.iter().all(|(turn, _)| *turn < turns));
    for placed in settled.iter().filter_map(|(_, told)| told.started_speaking) {
        assert!(
            placed
                .earliest
                .is_none_or(|earliest| earliest <= placed.latest)
        );
        assert!(placed.likely() <= placed.latest);
    }
    let of_replies = |(_, told): &(usize, TurnAccount)| told.e2e_latency.is_some();
    // Transcripts of the caller's words state no agent.
    agents.remove("");
    let transcribed = settled.iter().any(|(_, told)| told.transcribed.is_some());
    planted([
        settled.iter().any(of_replies),
        transcribed,
        agents.len() > 2,
    ]);
}

fn is_plausible(claim: &Claim) {
    let delays = match &claim.kind {
        ClaimKind::UserTurn(turn) => vec![
            turn.transcription_delay,
            turn.end_of_turn_delay,
            turn.on_user_turn_completed_delay,
        ],
        ClaimKind::Reply(reply) => vec![
            reply.llm_node_ttft,
            reply.llm_node_ttfs,
            reply.tts_node_ttfb,
            reply.e2e_latency,
        ],
        _ => vec![],
    };
    assert!(
        delays.into_iter().flatten().all(|delay| delay <= LONGEST),
        "{claim:?}"
    );
}
