//! `loadgen init`: writes a scenario for the user's agent, the examples, and their sounds.
//!
//! Invariants: nothing is overwritten; if one file cannot be written, the others are removed.

use crate::cli::builtin::BUILTINS;
use crate::cli::console;
use crate::cli::exit::Exit;
use crate::cli::starter::{self, Agent, Ci};
use crate::cli::trouble::Trouble;
use clap::{Args, ValueHint};
use std::borrow::Cow;
use std::fs::{self, File};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

/// Arguments of `loadgen init`.
#[derive(Debug, Args)]
pub(crate) struct InitArgs {
    /// Folder to write to; created if it does not exist
    #[arg(value_name = "DIR", default_value = ".", value_hint = ValueHint::DirPath)]
    pub dir: PathBuf,
    /// Write a scenario for an agent on LiveKit, instead of the reference agent on this machine
    #[arg(long)]
    pub livekit: bool,
    /// Name of the agent to dispatch; without a name, the server dispatches one automatically
    #[arg(long, value_name = "NAME", conflicts_with = "pipecat")]
    pub agent_name: Option<String>,
    /// Write a scenario for a Pipecat bot in LiveKit rooms
    #[arg(long)]
    pub pipecat: bool,
    /// Also write a CI job that runs the scenario
    #[arg(long, value_name = "WHERE")]
    pub ci: Option<Ci>,
}

impl InitArgs {
    fn agent(&self) -> Agent {
        let name = self.agent_name.clone();
        match self.pipecat {
            true => Agent::Pipecat,
            false if self.livekit || name.is_some() => Agent::Livekit { name },
            false => Agent::Embedded,
        }
    }

    /// Path and content of every file.
    fn files(&self) -> Vec<(PathBuf, Cow<'static, [u8]>)> {
        let agent = self.agent();
        // A scenario that the user has begun to edit is kept, unless another one is requested.
        let kept = agent == Agent::Embedded && self.dir.join(starter::PATH).exists();
        let own = (!kept).then(|| starter::scenario(&agent).into_bytes());
        let own = own.map(|text| (starter::PATH, Cow::Owned(text)));
        let job = self.ci.map(Ci::job);
        let job = job.map(|(path, text)| (path, text.as_bytes().into()));
        let examples = BUILTINS
            .iter()
            .map(|(path, bytes)| (*path, (*bytes).into()));
        let all = own.into_iter().chain(job).chain(examples);
        all.map(|(path, content)| (self.dir.join(path), content))
            .collect()
    }
}

/// Writes every file and lists the files on stdout.
pub(super) fn execute(args: &InitArgs) -> Exit {
    let mut made = Made::default();
    match write_all(&args.files(), &mut made) {
        Ok(()) => {
            let list = made
                .files
                .iter()
                .map(|file| format!("{}\n", file.display()));
            let exit = console::data(list);
            let own = args.dir.join(starter::PATH);
            console::note(&format!(
                "`{}` is for your agent; its first lines say what to do next",
                own.display()
            ));
            exit
        }
        Err(trouble) => {
            made.undo();
            trouble.tell()
        }
    }
}

/// Files and folders created so far, so that they can be removed again.
#[derive(Default)]
struct Made {
    files: Vec<PathBuf>,
    folders: Vec<PathBuf>,
}

impl Made {
    fn undo(&self) {
        // Failures to remove are ignored: the original error is the one to show.
        for file in &self.files {
            let _ = fs::remove_file(file);
        }
        for folder in self.folders.iter().rev() {
            let _ = fs::remove_dir(folder);
        }
    }
}

fn write_all(files: &[(PathBuf, Cow<'static, [u8]>)], made: &mut Made) -> Result<(), Trouble> {
    // Files that already have this content are skipped: `init` may be run again with more options.
    let missing = files
        .iter()
        .filter(|(path, content)| !is_same(path, content));
    let missing: Vec<_> = missing.collect();
    let other = missing.iter().filter(|(path, _)| path.exists());
    let other: Vec<String> = other
        .map(|(path, _)| format!("`{}`", path.display()))
        .collect();
    if let Some(first) = other.first() {
        let others = match other.len() - 1 {
            0 => String::new(),
            others => format!(" and {others} more"),
        };
        let hint = "nothing has been written; choose a folder without these files, or remove them";
        return Err(Trouble::new(
            Exit::Error,
            format!("{first}{others} would be overwritten"),
            hint,
        ));
    }
    for (path, content) in missing {
        make_folders(path.parent().unwrap_or(path), made).map_err(|e| trouble(path, &e))?;
        write(path, content, made).map_err(|error| trouble(path, &error))?;
    }
    Ok(())
}

/// Whether the file exists and has this content.
fn is_same(path: &Path, content: &[u8]) -> bool {
    let length = fs::metadata(path).map(|found| found.len());
    length.is_ok_and(|length| length == content.len() as u64)
        && fs::read(path).is_ok_and(|found| found == content)
}

fn make_folders(folder: &Path, made: &mut Made) -> std::io::Result<()> {
    if folder.as_os_str().is_empty() || folder.is_dir() {
        return Ok(());
    }
    if let Some(parent) = folder.parent() {
        make_folders(parent, made)?;
    }
    fs::create_dir(folder)?;
    made.folders.push(folder.to_owned());
    Ok(())
}

fn write(path: &Path, content: &[u8], made: &mut Made) -> std::io::Result<()> {
    // `create_new`: another process may have created the file since the check.
    let mut file = File::create_new(path)?;
    made.files.push(path.to_owned());
    file.write_all(content)?;
    file.sync_all()
}

fn trouble(path: &Path, error: &std::io::Error) -> Trouble {
    let hint = match error.kind() {
        ErrorKind::StorageFull => "the disk is full; no files were written",
        ErrorKind::PermissionDenied => "choose a folder that you can write to",
        ErrorKind::AlreadyExists => "nothing has been overwritten; choose another folder",
        _ => "no files were written; choose another folder",
    };
    Trouble::new(
        Exit::Error,
        format!("cannot write `{}`: {error}", path.display()),
        hint,
    )
}
