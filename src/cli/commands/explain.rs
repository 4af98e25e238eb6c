//! `loadgen explain`: prints the definition of a metric, a term or a doubt.
//!
//! In: a name, or none. Out: its definition, or all of them, on stdout.

use crate::cli::completing;
use crate::cli::console;
use crate::cli::exit::Exit;
use crate::cli::trouble::Trouble;
use crate::report::explain;
use clap::Args;

/// Arguments of `loadgen explain`.
#[derive(Debug, Args)]
pub(crate) struct ExplainArgs {
    /// A metric, a term or a doubt, as named in reports, such as ttfa [default: all]
    #[arg(value_name = "NAME", add = completing::explained())]
    pub name: Vec<String>,
}

/// Prints the definition.
pub(super) fn execute(args: &ExplainArgs) -> Exit {
    let screen = console::screen();
    if args.name.is_empty() {
        return console::data([explain::list(screen)]);
    }
    // A term may consist of several words.
    let name = args.name.join(" ");
    match explain::explain(&name, screen) {
        Ok(text) => console::data([text]),
        Err(nearest) => {
            let message = format!("there is no metric, term or doubt named `{name}`");
            let hint = match nearest {
                Some(nearest) => format!("did you mean `{nearest}`?"),
                None => "`loadgen explain` lists them all".to_owned(),
            };
            Trouble::new(Exit::Usage, message, hint).tell()
        }
    }
}
