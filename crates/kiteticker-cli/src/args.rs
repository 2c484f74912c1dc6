//! The command line, as clap reads it. Each command defines its own arguments.

pub(crate) mod bars;
pub(crate) mod feed;
pub(crate) mod period;
pub(crate) mod quiet;
pub(crate) mod range;
pub(crate) mod select;

use clap::builder::Styles;
use clap::builder::styling::AnsiColor;
use clap::error::{ContextKind, ContextValue};
use clap::{Args, CommandFactory as _, FromArgMatches as _, Parser, Subcommand, ValueEnum as _};

use kite_conn::OneLine;

use crate::commands;
use crate::console::clean;
use crate::console::log_line::LogFormat;
use crate::console::output::ColorChoice;
use crate::exit;

const STYLES: Styles = Styles::styled()
    .header(AnsiColor::Green.on_default().bold())
    .usage(AnsiColor::Green.on_default().bold())
    .literal(AnsiColor::Cyan.on_default().bold())
    .placeholder(AnsiColor::Cyan.on_default());

const ABOUT: &str = "Watch, record, replay and export Kite Connect market data";

const EXAMPLES: &str = "\
Start here:
  kite                                    a demo, no account needed
  kite watch --sim                        a table of a few simulated instruments
  kite record --sim --to tapes --for 10s
  kite inspect tapes                      show what was recorded
  kite replay tapes --speed 10            serve it to any client
  kite export tapes --to day.parquet
  kite candles tapes --every 5m --to bars.parquet
  kite chart tapes NSE:INFY               its candles in the terminal
  kite cut tapes --from 09:15 --until 15:30 --to session

With an account:
  export KITE_API_KEY=… KITE_API_SECRET=…
  kite login                              each morning: the day's access token
  kite doctor                             check network, token and feed
  kite watch NSE:INFY NSE:RELIANCE
  kite serve                              one account for any number of programs";

/// The parsed command line.
#[derive(Debug, Parser)]
#[command(
    name = "kite", version, about = ABOUT, after_help = EXAMPLES, styles = STYLES,
    max_term_width = 100, infer_long_args = false,
    subcommand_value_name = "COMMAND", subcommand_help_heading = "Commands"
)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
}

/// The options of every command.
#[derive(Debug, Args)]
#[command(next_help_heading = "Global options")]
pub(crate) struct Global {
    /// Colours: auto, always or never; auto respects NO_COLOR
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto")]
    #[arg(hide_possible_values = true, hide_default_value = true)]
    pub(crate) color: ColorChoice,
    /// Draw with ASCII only
    #[arg(long, global = true)]
    pub(crate) ascii: bool,
    /// Print only results, warnings and errors
    #[arg(short, long, global = true)]
    pub(crate) quiet: bool,
    /// What is written to standard error: text, or json, one object a line [text]
    #[arg(long, global = true, value_name = "FORMAT", default_value = "text")]
    #[arg(hide_possible_values = true, hide_default_value = true)]
    pub(crate) log: LogFormat,
    /// Show logs on standard error; -vv and -vvv show more
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub(crate) verbose: u8,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Demo(commands::demo::Demo),
    Watch(commands::watch::Watch),
    Record(commands::record::Record),
    Replay(commands::replay::ReplayArgs),
    Serve(Box<commands::serve::ServeArgs>),
    Inspect(commands::inspect::Inspect),
    Export(commands::export::ExportArgs),
    Candles(commands::candles::CandlesArgs),
    Chart(commands::chart::ChartArgs),
    Cut(commands::edit::CutArgs),
    Merge(commands::edit::Merge),
    Repair(commands::edit::Repair),
    Pack(commands::pack::Pack),
    Instruments(commands::instruments::InstrumentsArgs),
    Login(commands::login::Login),
    Logout(commands::logout::Logout),
    Sim(commands::sim::Sim),
    Doctor(commands::doctor::Doctor),
    Completions(commands::completions::Completions),
    Man(commands::man::ManArgs),
}

/// Parses the command line. Help, the version and invalid usage are returned as clap's error,
/// ready to print.
pub(crate) fn parse(
    arguments: impl IntoIterator<Item = std::ffi::OsString> + Clone,
) -> Result<Cli, clap::Error> {
    let color = requested_color(arguments.clone());
    let mut matches = command().color(color).try_get_matches_from(arguments).map_err(cleaned)?;
    Cli::from_arg_matches_mut(&mut matches).map_err(cleaned)
}

/// Hides secrets in what an error quotes of the command line, such as the token in an endpoint.
fn cleaned(mut error: clap::Error) -> clap::Error {
    let clean = |text: &str| clean::without_secrets(&OneLine(text).to_string()).into_owned();
    let quoted: Vec<(ContextKind, ContextValue)> = error
        .context()
        .filter_map(|(kind, value)| match value {
            ContextValue::String(text) => Some((kind, ContextValue::String(clean(text)))),
            ContextValue::Strings(all) => {
                Some((kind, ContextValue::Strings(all.iter().map(|text| clean(text)).collect())))
            }
            _ => None,
        })
        .collect();
    for (kind, value) in quoted {
        error.insert(kind, value);
    }
    error
}

/// Returns the definition of the command line, with the exit statuses in the help of each command.
pub(crate) fn command() -> clap::Command {
    let with_rule = |command: clap::Command| {
        let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
        command.after_help(format!("{help}\n\n{}", exit::RULE))
    };
    with_rule(Cli::command()).mut_subcommands(with_rule)
}

/// Finds `--color` before clap parses the line, because help and errors are coloured too.
fn requested_color(arguments: impl IntoIterator<Item = std::ffi::OsString>) -> clap::ColorChoice {
    let mut arguments = arguments.into_iter().take_while(|argument| argument != "--");
    let mut requested = clap::ColorChoice::Auto;
    while let Some(argument) = arguments.next() {
        let value = match argument.to_str() {
            Some("--color") => arguments.next(),
            Some(text) => text.strip_prefix("--color=").map(Into::into),
            None => None,
        };
        match value.as_ref().and_then(|value| value.to_str()) {
            Some("always") => requested = clap::ColorChoice::Always,
            Some("never") => requested = clap::ColorChoice::Never,
            _ => {}
        }
    }
    requested
}

/// Returns the form of the log that is requested, also by a line that clap rejects.
pub(crate) fn requested_log(arguments: impl IntoIterator<Item = std::ffi::OsString>) -> LogFormat {
    let mut arguments = arguments.into_iter().take_while(|argument| argument != "--");
    let mut requested = LogFormat::default();
    while let Some(argument) = arguments.next() {
        let value = match argument.to_str() {
            Some("--log") => arguments.next(),
            Some(text) => text.strip_prefix("--log=").map(Into::into),
            None => None,
        };
        if let Some(value) = value.and_then(|it| LogFormat::from_str(it.to_str()?, false).ok()) {
            requested = value;
        }
    }
    requested
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(crate) fn parsed(line: &str) -> Result<Cli, clap::Error> {
        parse(line.split_whitespace().map(Into::into).collect::<Vec<_>>())
    }

    #[test]
    fn the_definition_passes_claps_checks() {
        command().debug_assert();
    }

    #[test]
    fn every_page_of_help_fits_eighty_columns_and_ends_with_examples() {
        let mut kite = command().term_width(80);
        kite.build();
        let mut pages = vec![kite.clone()];
        // The command that prints the help of the others needs no examples.
        pages.extend(kite.get_subcommands().filter(|it| it.get_name() != "help").cloned());
        assert!(pages.len() > 5);
        for mut page in pages {
            let name = page.get_name().to_owned();
            let help = page.render_help().to_string();
            let overlong = help.lines().find(|line| line.trim_end().chars().count() > 80);
            assert_eq!(overlong, None, "{name}");
            // Wrapped examples would lose their columns.
            let after = page.get_after_help().map(ToString::to_string).unwrap_or_default();
            let overlong = after.lines().find(|line| line.chars().count() > 80);
            assert_eq!(overlong, None, "{name}");
            assert!(help.contains("\n  kite"), "{name} has no example:\n{help}");
            assert_eq!(after.matches("Exit status").count(), 1, "{name}:\n{after}");
            assert!(after.ends_with(exit::RULE), "{name}:\n{after}");
        }
    }

    #[test]
    fn invalid_usage_exits_with_two_and_help_with_zero() {
        let code = |line: &str| parsed(line).map(|_| -1).unwrap_or_else(|error| error.exit_code());
        assert_eq!(code("kite frobnicate"), 2);
        assert_eq!(code("kite record --to"), 2);
        assert_eq!((code("kite --help"), code("kite --version"), code("kite")), (0, 0, -1));
    }

    #[test]
    fn the_colour_choice_is_found_before_the_line_is_parsed() {
        let color = |line: &str| requested_color(line.split_whitespace().map(Into::into));
        assert_eq!(color("kite --color never --help"), clap::ColorChoice::Never);
        assert_eq!(color("kite --help --color=always"), clap::ColorChoice::Always);
        assert_eq!(color("kite watch -- --color never"), clap::ColorChoice::Auto);
    }
}
