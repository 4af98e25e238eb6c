//! Opens a scenario: a file on disk, or one built into the program.
//!
//! In: a path, or the name of a built-in scenario. Out: its text, and the checked scenario.
//! Invariants: the number of bytes read is bounded; a built-in scenario and its sounds are unpacked
//! to a private temporary folder, which lives as long as the [`ScenarioSource`].

use super::builtin::{BUILTINS, names};
use super::console;
use super::exit::Exit;
use super::trouble::Trouble;
use crate::audio::Doubt;
use crate::run::{RunError, load_utterance, read_at_most};
use crate::scenario::{FileProblem, LoadedSound, MAX_BYTES, Scenario, SoundFile, Unset, check};
use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fs;
use std::io::{Error, ErrorKind};
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// Looks up a variable; an error if it cannot be read.
pub(crate) type Lookup<'a> = &'a dyn Fn(&str) -> Result<Option<String>, Trouble>;

/// An opened scenario.
#[derive(Debug)]
pub(crate) struct ScenarioSource {
    name: String,
    path: PathBuf,
    text: Vec<u8>,
    /// The folder of unpacked files, which is removed on drop.
    _unpacked: Option<TempDir>,
}

impl ScenarioSource {
    /// Opens a file or, if there is none, the built-in scenario of that name.
    ///
    /// # Errors
    /// [`Exit::Usage`] if neither exists or the file cannot be read; [`Exit::Error`] if a built-in
    /// scenario cannot be unpacked.
    pub(crate) fn open(name: &str) -> Result<Self, Trouble> {
        let opened = |path: PathBuf, text, unpacked| Self {
            name: name.to_owned(),
            path,
            text,
            _unpacked: unpacked,
        };
        match read_at_most(Path::new(name), MAX_BYTES) {
            Ok(text) => Ok(opened(name.into(), text, None)),
            Err(_) if names().any(|builtin| builtin == name) && !Path::new(name).is_file() => {
                let dir = unpack().map_err(|e| cannot_unpack(name, &e))?;
                let path = dir.path().join(format!("scenarios/{name}.yaml"));
                let text = read_at_most(&path, MAX_BYTES).map_err(|e| unreadable(name, &e))?;
                Ok(opened(path, text, Some(dir)))
            }
            Err(error) => Err(unreadable(name, &error)),
        }
    }

    /// A scenario that the program itself generates. It can use the built-in sounds and those in
    /// `sounds`, which are pairs of file name and content.
    ///
    /// # Errors
    /// The sounds cannot be unpacked.
    pub(crate) fn made(
        name: &str,
        text: String,
        sounds: &[(&str, &[u8])],
    ) -> Result<Self, Trouble> {
        let dir = unpack().map_err(|e| cannot_unpack(name, &e))?;
        for (file, content) in sounds {
            let path = dir.path().join("fixtures").join(file);
            fs::write(path, content).map_err(|e| cannot_unpack(name, &e))?;
        }
        Ok(Self {
            name: name.to_owned(),
            path: dir.path().join(format!("scenarios/{name}.yaml")),
            text: text.into_bytes(),
            _unpacked: Some(dir),
        })
    }

    /// The text of the scenario, as written.
    pub(crate) fn text(&self) -> &[u8] {
        &self.text
    }

    /// Checks the scenario with all its sounds. `env` looks up variables.
    ///
    /// # Errors
    /// The first variable that cannot be read; else every problem, in the order of the file.
    pub(crate) fn check(&self, env: Lookup<'_>, unset: Unset) -> Result<Scenario, Trouble> {
        let unreadable = RefCell::new(None);
        let lookup = |name: &str| {
            env(name).unwrap_or_else(|trouble| {
                unreadable.borrow_mut().get_or_insert(trouble);
                None
            })
        };
        let checked = check(&self.text, &self.path, &lookup, unset, &load_sound);
        match unreadable.take() {
            Some(trouble) => Err(trouble),
            None => checked.map_err(|problems| Trouble::problems(&self.name, &problems)),
        }
    }
}

/// Reads a sound file.
pub(crate) fn load_sound(sound: &SoundFile<'_>) -> Result<Option<LoadedSound>, FileProblem> {
    let loaded = load_utterance(sound).map_err(|error| file_problem(&error))?;
    let doubt = |doubt: &Doubt| FileProblem {
        message: format!("{}: {doubt}", sound.path.display()),
        hint: doubt.hint().to_owned(),
    };
    Ok(Some(LoadedSound {
        length: loaded.length(),
        doubts: loaded.doubts.iter().map(doubt).collect(),
    }))
}

fn cannot_unpack(name: &str, e: &Error) -> Trouble {
    let message = format!("cannot unpack `{name}` to the temporary folder: {e}");
    let hint = "set TMPDIR to a folder with enough free space";
    Trouble::new(Exit::Error, message, hint)
}

fn file_problem(error: &RunError) -> FileProblem {
    let message = match error {
        RunError::Unreadable { path, source } if source.kind() == ErrorKind::NotFound => {
            format!("there is no file `{}`", path.display())
        }
        error => error.to_string(),
    };
    let hint = match error {
        RunError::Unreadable { path, source } if source.kind() == ErrorKind::NotFound => {
            spelling_hint(path).unwrap_or_else(|| error.hint())
        }
        error => error.hint(),
    };
    FileProblem { message, hint }
}

/// The hint for a path that does not exist because it is misspelled.
fn spelling_hint(path: &Path) -> Option<String> {
    let text = path.to_str()?;
    let name = path.file_name()?.to_str()?;
    if text.contains('\\') {
        let slashes = text.replace('\\', "/");
        return Some(format!("write `/` between folders: `{slashes}`"));
    }
    let blank = name.trim() != name || text.trim_start() != text;
    blank.then(|| "remove the space at the beginning or end of the path".to_owned())
}

fn unreadable(name: &str, error: &Error) -> Trouble {
    let (message, hint) = match error.kind() {
        ErrorKind::NotFound => (
            format!("there is no file `{name}`"),
            spelling_hint(Path::new(name)).unwrap_or_else(|| {
                let names = names().collect::<Vec<_>>().join(", ");
                format!("give a path, or a scenario that comes with loadgen: {names}")
            }),
        ),
        ErrorKind::IsADirectory => (
            format!("`{name}` is a directory"),
            "give a scenario file in that directory".to_owned(),
        ),
        ErrorKind::PermissionDenied => (
            format!("no permission to read `{name}`"),
            "check its permissions".to_owned(),
        ),
        _ => (
            format!("cannot read `{name}`: {error}"),
            "check the path and the disk".to_owned(),
        ),
    };
    Trouble::new(Exit::Usage, message, hint)
}

/// Writes every built-in file to a new temporary folder.
fn unpack() -> std::io::Result<TempDir> {
    let dir = TempDir::with_prefix("loadgen-")?;
    for (path, content) in BUILTINS {
        let path = dir.path().join(path);
        path.parent().map_or(Ok(()), fs::create_dir_all)?;
        fs::write(path, content)?;
    }
    Ok(dir)
}

/// Prints a warning for each doubt about the scenario.
pub(super) fn warn_of_doubts(scenario: &Scenario, file: &str) {
    for doubt in &scenario.doubts {
        let (message, hint) = (&doubt.message, &doubt.hint);
        let (path, line) = (&doubt.path, doubt.place.line);
        console::warn(&format!(
            "{message} (`{path}`, {file}:{line})\n  hint: {hint}"
        ));
    }
}

/// Prints one note for each unset variable that the scenario needs.
pub(super) fn note_unset(scenario: &Scenario, file: &str) {
    let mut seen = BTreeSet::new();
    for variable in scenario
        .unset
        .iter()
        .filter(|variable| seen.insert(&variable.name))
    {
        let (name, path, line) = (&variable.name, &variable.path, variable.place.line);
        console::note(&format!(
            "`{name}` is not set; a run will need it for `{path}` ({file}:{line})"
        ));
    }
}
