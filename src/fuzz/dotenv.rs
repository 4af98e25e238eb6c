//! `.env` files, which other programs write too.
//!
//! In: a file's bytes. Properties: a line that we append is read back after any existing content;
//! no message repeats any part of the file; a byte order mark at the beginning changes nothing.

use super::planted::planted;
use crate::cli::dotenv::DotEnv;

/// Longest message.
const LONGEST: usize = 128;

pub(super) fn run(bytes: &[u8]) {
    let none = |_: &str| None;
    let file = DotEnv::parse(bytes);
    for name in ["A", "B", "LIVEKIT_API_SECRET", "LIVEKIT_API_KEY"] {
        match file.get(name, &none) {
            Ok(Some(value)) => {
                let lines = value.contains('\n');
                planted([lines, value.len() > 12, name == "LIVEKIT_API_KEY"]);
            }
            Ok(None) => {}
            Err(e) => {
                let said = format!("{e} {}", e.hint());
                assert!(said.is_ascii() && said.len() <= LONGEST, "{said}");
            }
        }
    }
    let wide = bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]);
    if wide || bytes.starts_with(b"\xef\xbb\xbf") {
        return;
    }
    let marked = DotEnv::parse(&[b"\xef\xbb\xbf", bytes].concat());
    let longer = DotEnv::parse(&[bytes, b"\nLIVEKIT_URL=ws://h"].concat());
    for name in ["A", "LIVEKIT_API_SECRET"] {
        assert_eq!(marked.get(name, &none), file.get(name, &none), "{name}");
    }
    let url = longer.get("LIVEKIT_URL", &none);
    assert_eq!(url, Ok(Some("ws://h".to_owned())));
}
