//! `loadgen init`: writes the example scenarios and their sounds.
//!
//! Invariants: nothing is overwritten; if one file cannot be written, the others are removed.

use crate::cli::builtin::BUILTINS;
use crate::cli::console;
use crate::cli::exit::Exit;
use crate::cli::trouble::Trouble;
use clap::{Args, ValueHint};
use std::fs::{self, File};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

/// Where to write.
#[derive(Debug, Args)]
pub struct InitArgs {
    /// Folder to write to; made if it is not there
    #[arg(value_name = "DIR", default_value = ".", value_hint = ValueHint::DirPath)]
    pub dir: PathBuf,
}

/// Writes every file and lists the files on stdout.
pub(super) fn execute(args: &InitArgs) -> Exit {
    let mut made = Made::default();
    match write_all(&args.dir, &mut made) {
        Ok(()) => {
            let list = made
                .files
                .iter()
                .map(|file| format!("{}\n", file.display()));
            let exit = console::data(list);
            let quickstart = args.dir.join("scenarios/quickstart.yaml");
            console::note(&format!(
                "start with `loadgen run {}`",
                quickstart.display()
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
        // Failures to remove are ignored: the error that led here is the one to show.
        for file in &self.files {
            let _ = fs::remove_file(file);
        }
        for folder in self.folders.iter().rev() {
            let _ = fs::remove_dir(folder);
        }
    }
}

fn write_all(dir: &Path, made: &mut Made) -> Result<(), Trouble> {
    let present = BUILTINS
        .iter()
        .map(|(path, _)| dir.join(path))
        .filter(|path| path.exists());
    let present: Vec<String> = present
        .map(|path| format!("`{}`", path.display()))
        .collect();
    if let Some(first) = present.first() {
        let others = match present.len() - 1 {
            0 => String::new(),
            others => format!(" and {others} more"),
        };
        let hint = "nothing has been written; name a folder without them, or remove them";
        return Err(Trouble::new(
            Exit::Error,
            format!("{first}{others} would be overwritten"),
            hint,
        ));
    }
    for (path, content) in BUILTINS {
        let path = dir.join(path);
        make_folders(path.parent().unwrap_or(dir), made).map_err(|e| trouble(&path, &e))?;
        write(&path, content, made).map_err(|error| trouble(&path, &error))?;
    }
    Ok(())
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
        ErrorKind::PermissionDenied => "name a folder that you may write to",
        ErrorKind::AlreadyExists => "nothing has been overwritten; name another folder",
        _ => "no files were written; name another folder",
    };
    Trouble::new(
        Exit::Error,
        format!("cannot write `{}`: {error}", path.display()),
        hint,
    )
}
