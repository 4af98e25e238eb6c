//! Lines of text from a child process.
//!
//! In: a pipe. Out: its lines. Invariant: at most [`LONGEST`] bytes of a line are held in memory; a
//! longer line is returned in pieces.

use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, BufReader};

/// Longest line, in bytes; longer than any session description.
const LONGEST: usize = 1 << 20;

/// The lines of a pipe.
#[derive(Debug)]
pub(super) struct PipeLines<R>(BufReader<R>);

impl<R: AsyncRead + Unpin> PipeLines<R> {
    pub(super) fn of(pipe: R) -> Self {
        Self(BufReader::new(pipe))
    }

    /// The next line, without its newline; `None` at the end of the pipe. Not cancel safe.
    pub(super) async fn next(&mut self) -> Option<String> {
        let mut line = Vec::new();
        let mut bounded = (&mut self.0).take(LONGEST as u64);
        let read = bounded.read_until(b'\n', &mut line).await.ok()?;
        let text = String::from_utf8_lossy(&line);
        (read > 0).then(|| text.trim_end_matches(['\n', '\r']).to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn overlong_lines_are_split() {
        let long = "x".repeat(3 * LONGEST);
        let text = format!("one\r\n\n{long}\nlast");
        let mut lines = PipeLines::of(text.as_bytes());
        let mut found = Vec::new();
        while let Some(line) = lines.next().await {
            found.push(line);
        }
        let lengths: Vec<usize> = found.iter().map(String::len).collect();
        assert_eq!(lengths, [3, 0, LONGEST, LONGEST, LONGEST, 0, 4]);
        assert_eq!((found[0].as_str(), found[6].as_str()), ("one", "last"));
    }
}
