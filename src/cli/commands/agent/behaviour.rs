//! Reads the value of `loadgen agent --behaviour`.
//!
//! In: a mapping in YAML (it begins with a brace), or the path of a file with one. Out: the checked
//! behaviour. Invariant: paths in a file are relative to its folder.

use crate::cli::exit::Exit;
use crate::cli::sources::load_sound;
use crate::cli::trouble::Trouble;
use crate::run::read_at_most;
use crate::scenario::{MAX_BYTES, check_behaviour};
use crate::vocab::Behaviour;
use std::path::Path;

/// Reads and checks a behaviour.
pub(super) fn read(given: &str) -> Result<Behaviour, Trouble> {
    let inline = given.trim_start().starts_with('{');
    let (text, folder, source) = if inline {
        (given.as_bytes().to_vec(), Path::new(""), "--behaviour")
    } else {
        let path = Path::new(given);
        let text = read_at_most(path, MAX_BYTES).map_err(|e| {
            let message = format!("cannot read the behaviour `{given}`: {e}");
            let hint = "give a file, or a mapping such as --behaviour '{stop: {after: 300ms}}'";
            Trouble::new(Exit::Usage, message, hint)
        })?;
        (text, path.parent().unwrap_or(Path::new("")), given)
    };
    let env = |name: &str| std::env::var(name).ok();
    check_behaviour(&text, folder, &env, &load_sound)
        .map_err(|problems| Trouble::problems(source, &problems))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vocab::FillerSound;

    #[test]
    fn a_behaviour_is_a_mapping_or_a_file_whose_sounds_are_beside_it() {
        let dir = tempfile::tempdir().expect("a folder");
        let wav = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/yes.wav");
        std::fs::copy(wav, dir.path().join("hm.wav")).expect("copied");
        let path = dir.path().join("b.yaml");
        std::fs::write(&path, "filler:\n  sound: hm.wav\n  gap: 1s\n").expect("written");
        let read_file = read(&path.to_string_lossy()).map_err(|t| format!("{t:?}"));
        let filler = read_file.expect("valid").filler.expect("a filler");
        let sound = dir.path().join("hm.wav");
        assert_eq!(filler.sound, FillerSound::File { sound });
        let inline = read(" {silent: 25%, dtx: true}").map_err(|t| format!("{t:?}"));
        let inline = inline.expect("valid");
        assert!(inline.dtx && (inline.silent - 0.25).abs() < 1e-9);
    }

    #[test]
    fn problems_have_a_line_and_a_hint() {
        for (text, message) in [
            ("{stop: {after: soon}}", "stop.after"),
            (
                "{faults: [{kind: hole, share: 60%, length: 40ms}, {kind: loss, share: 41%, length: 1s}]}",
                "101",
            ),
            ("{faults: [{kind: hole, share: 5%}]}", "length"),
            (
                "{faults: [{kind: cut_head, share: 5%, at: 1s, length: 1s}]}",
                "`at`",
            ),
            ("{faults: [{kind: clipping, share: 5%}]}", "gain_db"),
            ("{early: {pauses: 50ms}}", "120ms"),
            ("{early: {}}", "pauses"),
            ("{silent: 101%}", "100%"),
            ("{stopp: {}}", "stop"),
            ("{hang_up: {turn: 0}}", "turn"),
            ("[1]", "mapping"),
            ("none.yaml", "none.yaml"),
        ] {
            let problem = format!("{:?}", read(text).expect_err(text));
            assert!(problem.contains(message), "{text}: {problem}");
        }
    }
}
