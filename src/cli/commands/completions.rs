//! `loadgen completions`: a shell's completion script for loadgen's command line.
//!
//! In: a shell. Out: its script on stdout. Invariant: the script runs loadgen for each completion,
//! so it offers the commands, flags, scenarios, runs and baselines that exist at that moment.

use crate::cli::completing::VARIABLE;
use crate::cli::console;
use crate::cli::exit::Exit;
use crate::cli::trouble::Trouble;
use clap::Args;
use clap_complete::Shell;
use clap_complete::env::Shells;

/// The program's name on the command line.
const NAME: &str = "loadgen";

/// Arguments of `loadgen completions`.
#[derive(Debug, Args)]
pub(crate) struct CompletionsArgs {
    /// The shell; to enable completions, put `source <(loadgen completions bash)` in its start-up
    /// file
    #[arg(value_name = "SHELL", value_enum)]
    pub shell: Shell,
}

/// Prints the script.
pub(super) fn execute(args: &CompletionsArgs) -> Exit {
    match script(args.shell) {
        Ok(script) => console::data([script]),
        Err(trouble) => trouble.tell(),
    }
}

fn script(shell: Shell) -> Result<String, Trouble> {
    let shells = Shells::builtins();
    let mut script = Vec::new();
    let written = shells
        .completer(&shell.to_string())
        .map(|completer| completer.write_registration(VARIABLE, NAME, NAME, NAME, &mut script));
    match (written, String::from_utf8(script)) {
        (Some(Ok(())), Ok(script)) => Ok(script),
        _ => {
            let message = format!("there are no completions for {shell}");
            Err(Trouble::new(Exit::Usage, message, "try bash, zsh or fish"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::ValueEnum as _;

    #[test]
    fn every_shell_has_a_script_that_runs_the_program() {
        for shell in Shell::value_variants() {
            let script = script(*shell).expect("every shell has a script");
            assert!(
                script.contains(VARIABLE) && script.contains(NAME),
                "{shell}: {script}"
            );
        }
    }
}
