//! `kite completions`: completion scripts for shells.

use clap::Args;
use clap_complete::Shell;

use crate::args;
use crate::console::output::Output;
use crate::exit::CliError;

const EXAMPLES: &str = "\
Examples:
  kite completions bash > ~/.local/share/bash-completion/completions/kite
  kite completions zsh > ~/.zfunc/_kite        (with ~/.zfunc in $fpath)
  kite completions fish > ~/.config/fish/completions/kite.fish";

/// Print a completion script for a shell
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Completions {
    /// bash, elvish, fish, powershell or zsh
    #[arg(hide_possible_values = true)]
    shell: Shell,
}

/// Prints the script.
pub(crate) fn run(args: &Completions, output: Output) -> Result<(), CliError> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut args::command(), "kite", &mut script);
    output.exactly(&script)
}
