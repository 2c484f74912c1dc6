//! `kite completions`: completion scripts for shells.

mod bash;

use clap::builder::PossibleValuesParser;
use clap::{Arg, Args, Command, ValueHint};
use clap_complete::Shell;
use kite_sim::Fault;
use kite_wire::Mode;

use crate::args;
use crate::console::output::Output;
use crate::exit::CliError;

const EXAMPLES: &str = "\
Examples:
  kite completions bash > ~/.local/share/bash-completion/completions/kite
  kite completions zsh > ~/.zfunc/_kite        (with ~/.zfunc in $fpath)
  kite completions fish > ~/.config/fish/completions/kite.fish";

/// Exchanges whose instruments Kite lists.
const EXCHANGES: [&str; 10] =
    ["NSE", "BSE", "NFO", "BFO", "CDS", "BCD", "MCX", "NCO", "NSEIX", "GLOBAL"];

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
    output.exactly(script(args.shell).as_bytes())
}

fn script(shell: Shell) -> String {
    let (mut kite, mut script) = (definition(), Vec::new());
    clap_complete::generate(shell, &mut kite, "kite", &mut script);
    let script = String::from_utf8_lossy(&script).into_owned();
    match shell {
        Shell::Bash => bash::extended(script, &kite),
        Shell::Zsh => script.lines().map(|line| zsh(line) + "\n").collect(),
        _ => script,
    }
}

/// Offers tapes in place of all files. The only files among the arguments without an option are
/// tapes. `_files` offers directories too.
fn zsh(line: &str) -> String {
    let is_argument = line.starts_with("':") || line.starts_with("'*::");
    match is_argument || line.contains(":TAPE:_files'") {
        true => line.replace(":_files'", ":_files -g \"*.ktape\"'"),
        false => line.to_owned(),
    }
}

/// Returns the command line with what the shells can complete. When it is parsed, values have types
/// instead, whose errors say more.
fn definition() -> Command {
    args::command().mut_args(completed).mut_subcommands(|command| command.mut_args(completed))
}

fn completed(arg: Arg) -> Arg {
    if !arg.get_action().takes_values() || !arg.get_possible_values().is_empty() {
        return arg;
    }
    let values = |names: Vec<&'static str>| PossibleValuesParser::new(names);
    let value_name = arg.get_value_names().and_then(|names| names.first()).map(|it| it.to_string());
    match (arg.get_id().as_str(), value_name.as_deref().unwrap_or_default()) {
        (_, "MODE") => arg.value_parser(values(Mode::ALL.map(|mode| mode.as_str()).to_vec())),
        ("exchange", _) => arg.value_parser(values(EXCHANGES.to_vec())),
        ("kind", _) => arg.value_parser(values(vec!["EQ", "FUT", "CE", "PE"])),
        ("expiry", _) => arg.value_parser(values(vec!["nearest", "next"])),
        ("fsync", _) => arg.value_parser(values(vec!["never", "block", "1s"])),
        ("speed", _) => arg.value_parser(values(vec!["1", "2", "10", "100", "max"])),
        (_, "DIR") => arg.value_hint(ValueHint::DirPath),
        // Two recordings, each a tape or a directory.
        (_, "FIRST" | "SECOND") => arg.value_name("TAPE").value_hint(ValueHint::AnyPath),
        (_, "TAPE") => arg.value_hint(ValueHint::AnyPath),
        (_, "FILE" | "CSV" | "PEM") => arg.value_hint(ValueHint::FilePath),
        // Not names of files.
        _ => arg.value_hint(ValueHint::Other),
    }
}

/// Returns the names of the simulator's faults.
fn faults() -> Vec<String> {
    Fault::KINDS.iter().map(|kind| kind.name().to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use kite_instruments::Exchange;

    use super::*;

    #[test]
    fn all_offered_exchanges_are_known() {
        for name in EXCHANGES {
            assert!(
                !matches!(Exchange::from_name(name), None | Some(Exchange::Other(_))),
                "{name}"
            );
        }
    }

    #[test]
    fn zsh_completes_tapes_directories_and_values() {
        let script = script(Shell::Zsh);
        for part in [
            ":TAPE:_files -g \"*.ktape\"'",
            ":DIR:_files -/'",
            ":MODE:(ltp quote full)'",
            ":NAME:(NSE BSE NFO BFO CDS BCD MCX NCO NSEIX GLOBAL)'",
        ] {
            assert!(script.contains(part), "{part}");
        }
        let files = script.lines().filter(|line| line.contains(":_files'"));
        assert!(files.clone().count() > 5);
        for line in files {
            let is_file = ["FILE", "CSV", "PEM"].iter().any(|it| line.contains(&format!(":{it}:")));
            assert!(is_file, "{line}");
        }
    }
}
