//! The parts of the reference agent's pipe that the fuzz targets exercise.
//!
//! In: bytes as they could arrive through the pipe. Out: their lines, and the message parsed from
//! each line. Invariant: neither an agent nor media is started.

use super::pipe::{MAX_LINE, PipeReply, PipeRequest, next_line};
use futures_util::FutureExt as _;
use tokio::io::BufReader;

/// Longest line, including its newline.
pub(crate) const LONGEST_LINE: usize = MAX_LINE;

/// The lines of `bytes`, read in pieces of at most `piece` bytes.
pub(crate) fn lines(bytes: &[u8], piece: usize) -> Vec<Vec<u8>> {
    let mut input = BufReader::with_capacity(piece, bytes);
    let (mut lines, mut line) = (Vec::new(), Vec::new());
    loop {
        let read = next_line(&mut input, &mut line).now_or_never();
        match read.expect("bytes in memory are available at once") {
            Ok(true) => lines.push(line.clone()),
            Ok(false) => return lines,
            Err(e) => panic!("{e}"),
        }
    }
}

/// The call, room, offer and `bye` of a request; checks that the request survives a round trip.
pub(crate) fn request(line: &[u8]) -> Option<(u64, String, Option<String>, bool)> {
    let request: PipeRequest = serde_json::from_slice(line).ok()?;
    let written = serde_json::to_vec(&request).expect("plain fields");
    let again: PipeRequest = serde_json::from_slice(&written).expect("our own line");
    assert_eq!(again, request);
    let PipeRequest {
        call,
        room,
        offer,
        bye,
    } = request;
    Some((call, room, offer, bye))
}

/// Whether a line is a reply; checks that the reply survives a round trip.
pub(crate) fn reply(line: &[u8]) -> bool {
    let Ok(reply) = serde_json::from_slice::<PipeReply>(line) else {
        return false;
    };
    let written = serde_json::to_vec(&reply).expect("plain fields");
    assert!(!written.contains(&b'\n'), "a reply is one line");
    let again: PipeReply = serde_json::from_slice(&written).expect("our own line");
    assert_eq!(again, reply);
    true
}
