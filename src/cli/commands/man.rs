//! `loadgen man`: the manual, a page for each command.
//!
//! In: the definition of the command line, a folder. Out: pages in that folder; their paths on
//! stdout. Invariant: a page includes the text of `--help`.

use crate::cli::console;
use crate::cli::exit::Exit;
use crate::cli::trouble::Trouble;
use clap::{Args, Command, ValueHint};
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, roman};
use std::path::PathBuf;

/// Arguments of `loadgen man`.
#[derive(Debug, Args)]
pub(crate) struct ManArgs {
    /// Folder for the pages, such as ~/.local/share/man/man1; created if it does not exist
    #[arg(value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub dir: PathBuf,
}

/// A page and the name of its file.
struct Page {
    name: String,
    text: Vec<u8>,
}

/// Writes the pages for `whole`, the definition of the command line.
pub(super) fn execute(args: &ManArgs, whole: Command) -> Exit {
    match write(args, whole) {
        Ok(paths) => console::data(paths.iter().map(|path| format!("{}\n", path.display()))),
        Err(trouble) => trouble.tell(),
    }
}

fn write(args: &ManArgs, whole: Command) -> Result<Vec<PathBuf>, Trouble> {
    let dir = &args.dir;
    let trouble = |path: &PathBuf, e: &std::io::Error| {
        let message = format!("cannot write `{}`: {e}", path.display());
        Trouble::new(
            Exit::Error,
            message,
            "choose a folder that you can write to",
        )
    };
    std::fs::create_dir_all(dir).map_err(|e| trouble(dir, &e))?;
    let mut paths = Vec::new();
    for page in pages(whole).map_err(|e| trouble(dir, &e))? {
        let path = dir.join(page.name);
        std::fs::write(&path, page.text).map_err(|e| trouble(&path, &e))?;
        paths.push(path);
    }
    Ok(paths)
}

/// The pages of a command line, the main one first.
fn pages(whole: Command) -> Result<Vec<Page>, std::io::Error> {
    // Pages for `help` would repeat every command's page.
    let mut whole = whole.disable_help_subcommand(true);
    whole.build();
    let mut left = vec![whole];
    let mut pages = Vec::new();
    while let Some(command) = left.pop() {
        let shown = command.get_subcommands().filter(|c| !c.is_hide_set());
        let shown: Vec<Command> = shown.cloned().collect();
        left.extend(shown.into_iter().rev());
        pages.push(page(command)?);
    }
    Ok(pages)
}

fn page(command: Command) -> Result<Page, std::io::Error> {
    let is_main = command
        .get_display_name()
        .is_none_or(|name| !name.contains('-'));
    let man = Man::new(command).manual("loadgen");
    let mut text = Vec::new();
    man.render(&mut text)?;
    let mut rest = Roff::new();
    rest.control("SH", ["EXIT STATUS"]);
    for exit in Exit::ALL {
        rest.control("TP", []);
        rest.text([bold(exit.code().to_string())]);
        rest.text([roman(exit.meaning())]);
    }
    if !is_main {
        rest.control("SH", ["SEE ALSO"]);
        rest.text([bold("loadgen"), roman("(1)")]);
    }
    rest.to_writer(&mut text)?;
    Ok(Page {
        name: man.get_filename(),
        text,
    })
}
