//! The command line.

use std::collections::BTreeSet;
use std::time::Duration;

use kiteticker_async_manager::kite_conn::Secret;

pub(crate) const HELP: &str = "\
Streams thousands of instruments over up to three connections and shows what arrives.

Usage: cargo run --release --example quickstart -- [OPTIONS]

Without --live it starts a simulator of Kite's ticker server on loopback and streams
9,000 instruments from it; at the end it compares what was sent with what was received.

  --seconds N       how long to run, 1 to 86400 (default 10); Ctrl-C ends it earlier
  --live            run against Kite, with KITE_API_KEY and KITE_ACCESS_TOKEN from the
                    environment
  --tokens A,B,...  with --live: the instruments (default: two indices and some shares)
  --endpoint URL    with --live: connect elsewhere (ws:// for loopback addresses only)
  --help            this text

Exit code: 0 nothing was lost, 1 something was lost, 2 wrong arguments, 3 it could not run.
Plain lines are printed where the output is no terminal, TERM is dumb or NO_COLOR is set.
";

/// Kite's limit: 3,000 instruments on each of three connections.
const MOST_TOKENS: usize = 9_000;
/// A day.
const MOST_SECONDS: u64 = 24 * 60 * 60;
const DEFAULT_DURATION: Duration = Duration::from_secs(10);

const API_KEY: &str = "KITE_API_KEY";
const ACCESS_TOKEN: &str = "KITE_ACCESS_TOKEN";

/// What the command line asks for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Asked {
    Run(Options),
    Help,
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Options {
    pub(crate) duration: Duration,
    pub(crate) source: Source,
}

/// Where the ticks come from.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Source {
    Simulator,
    Kite(Account),
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Account {
    pub(crate) api_key: Secret,
    pub(crate) access_token: Secret,
    pub(crate) endpoint: Option<Secret>,
    /// Distinct, in the order given; `None` for the default list.
    pub(crate) tokens: Option<Vec<u32>>,
}

/// Why the command line is not understood.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ArgumentError {
    #[error("unknown argument {argument:?}: --help lists those there are")]
    Unknown { argument: String },
    #[error("{option} takes no value")]
    Value { option: &'static str },
    #[error("{option} lacks its value")]
    NoValue { option: &'static str },
    #[error("--seconds is {value:?}, it must be a whole number from 1 to {MOST_SECONDS}")]
    Seconds { value: String },
    #[error("--tokens holds {value:?}, it must be numbers above 0, separated by commas")]
    Token { value: String },
    #[error("--tokens holds {asked} instruments, there may be {MOST_TOKENS}")]
    TooManyTokens { asked: usize },
    #[error("{option} is for --live: the simulator has its own")]
    NotLive { option: &'static str },
    #[error("--live takes {variable} from the environment, where it is not set")]
    NoCredentials { variable: &'static str },
}

/// Reads the arguments after the program's name; `variable` looks up the environment.
pub(crate) fn parse(
    mut arguments: impl Iterator<Item = String>,
    variable: impl Fn(&str) -> Option<String>,
) -> Result<Asked, ArgumentError> {
    let mut duration = DEFAULT_DURATION;
    let (mut is_live, mut endpoint, mut tokens) = (false, None, None);
    while let Some(argument) = arguments.next() {
        let (name, inline) = match argument.split_once('=') {
            Some((name, value)) => (name, Some(value.to_owned())),
            None => (argument.as_str(), None),
        };
        let mut value = |option, inline: Option<String>| {
            inline.or_else(|| arguments.next()).ok_or(ArgumentError::NoValue { option })
        };
        match (name, inline) {
            ("--help" | "-h", None) => return Ok(Asked::Help),
            ("--live", None) => is_live = true,
            ("--live", Some(_)) => return Err(ArgumentError::Value { option: "--live" }),
            ("--seconds", inline) => duration = seconds(value("--seconds", inline)?)?,
            ("--tokens", inline) => tokens = Some(token_list(&value("--tokens", inline)?)?),
            ("--endpoint", inline) => endpoint = Some(Secret::new(value("--endpoint", inline)?)),
            _ => return Err(ArgumentError::Unknown { argument: name.to_owned() }),
        }
    }
    let source = if is_live {
        let credential = |name| match variable(name) {
            Some(text) if !text.is_empty() => Ok(Secret::new(text)),
            _ => Err(ArgumentError::NoCredentials { variable: name }),
        };
        let (api_key, access_token) = (credential(API_KEY)?, credential(ACCESS_TOKEN)?);
        Source::Kite(Account { api_key, access_token, endpoint, tokens })
    } else if endpoint.is_some() {
        return Err(ArgumentError::NotLive { option: "--endpoint" });
    } else if tokens.is_some() {
        return Err(ArgumentError::NotLive { option: "--tokens" });
    } else {
        Source::Simulator
    };
    Ok(Asked::Run(Options { duration, source }))
}

fn seconds(value: String) -> Result<Duration, ArgumentError> {
    match value.parse() {
        Ok(seconds @ 1..=MOST_SECONDS) => Ok(Duration::from_secs(seconds)),
        _ => Err(ArgumentError::Seconds { value }),
    }
}

fn token_list(value: &str) -> Result<Vec<u32>, ArgumentError> {
    let mut seen = BTreeSet::new();
    let mut tokens = Vec::new();
    for text in value.split(',').map(str::trim) {
        match text.parse() {
            Ok(token @ 1_u32..) if seen.insert(token) => tokens.push(token),
            Ok(1..) => {}
            _ => return Err(ArgumentError::Token { value: text.to_owned() }),
        }
    }
    if tokens.len() > MOST_TOKENS {
        return Err(ArgumentError::TooManyTokens { asked: tokens.len() });
    }
    Ok(tokens)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse_with(line: &str, environment: &[(&str, &str)]) -> Result<Asked, ArgumentError> {
        parse(line.split_whitespace().map(str::to_owned), |name| {
            let found = environment.iter().find(|(variable, _)| *variable == name);
            found.map(|(_, value)| (*value).to_owned())
        })
    }

    fn error_of(line: &str) -> String {
        parse_with(line, &CREDENTIALS).unwrap_err().to_string()
    }

    const CREDENTIALS: [(&str, &str); 2] =
        [("KITE_API_KEY", "the-key"), ("KITE_ACCESS_TOKEN", "the-token")];

    #[test]
    fn without_arguments_the_simulator_runs_for_ten_seconds() {
        let expected = Options { duration: Duration::from_secs(10), source: Source::Simulator };
        // Credentials alone do not connect to Kite.
        assert_eq!(parse_with("", &CREDENTIALS), Ok(Asked::Run(expected)));
    }

    #[test]
    fn a_value_follows_its_option_or_an_equals_sign() {
        for line in ["--seconds 3", "--seconds=3"] {
            let Ok(Asked::Run(options)) = parse_with(line, &[]) else { panic!("{line}") };
            assert_eq!(options.duration, Duration::from_secs(3));
        }
        for line in ["--help", "-h", "--seconds 3 --help"] {
            assert_eq!(parse_with(line, &[]), Ok(Asked::Help));
        }
    }

    #[test]
    fn live_takes_credentials_from_the_environment_and_tokens_once_each() {
        let line = "--live --tokens 408065,738561,408065 --endpoint=wss://example.com/?user_id=AB1";
        let expected = Account {
            api_key: Secret::new("the-key"),
            access_token: Secret::new("the-token"),
            endpoint: Some(Secret::new("wss://example.com/?user_id=AB1")),
            tokens: Some(vec![408_065, 738_561]),
        };
        let Ok(Asked::Run(options)) = parse_with(line, &CREDENTIALS) else { panic!("{line}") };
        assert_eq!(options.source, Source::Kite(expected));
        let shown = format!("{options:?}");
        assert!(!shown.contains("the-") && !shown.contains("AB1"), "{shown}");
    }

    #[test]
    fn live_names_the_variable_that_is_not_set() {
        for (environment, variable) in [
            (&CREDENTIALS[..1], "KITE_ACCESS_TOKEN"),
            (&CREDENTIALS[1..], "KITE_API_KEY"),
            (&[CREDENTIALS[0], ("KITE_ACCESS_TOKEN", "")], "KITE_ACCESS_TOKEN"),
        ] {
            let error = parse_with("--live", environment);
            assert_eq!(error, Err(ArgumentError::NoCredentials { variable }));
        }
    }

    #[test]
    fn mistakes_are_named_with_what_is_possible() {
        for (line, error) in [
            ("--second 3", r#"unknown argument "--second": --help lists those there are"#),
            ("now", r#"unknown argument "now": --help lists those there are"#),
            ("--seconds", "--seconds lacks its value"),
            ("--seconds 0", r#"--seconds is "0", it must be a whole number from 1 to 86400"#),
            (
                "--seconds 86401",
                r#"--seconds is "86401", it must be a whole number from 1 to 86400"#,
            ),
            ("--seconds -1", r#"--seconds is "-1", it must be a whole number from 1 to 86400"#),
            ("--live=yes", "--live takes no value"),
            (
                "--live --tokens 1,,2",
                r#"--tokens holds "", it must be numbers above 0, separated by commas"#,
            ),
            (
                "--live --tokens 0",
                r#"--tokens holds "0", it must be numbers above 0, separated by commas"#,
            ),
            ("--tokens 1", "--tokens is for --live: the simulator has its own"),
            ("--endpoint ws://localhost", "--endpoint is for --live: the simulator has its own"),
        ] {
            assert_eq!(error_of(line), error, "{line}");
        }
    }

    #[test]
    fn more_tokens_than_kite_allows_are_refused() {
        let list = |count: u32| {
            let tokens: Vec<String> = (1..=count).map(|token| token.to_string()).collect();
            token_list(&tokens.join(","))
        };
        assert_eq!(list(9_000).map(|tokens| tokens.len()), Ok(9_000));
        assert_eq!(list(9_001), Err(ArgumentError::TooManyTokens { asked: 9_001 }));
    }

    #[test]
    fn the_help_fits_a_narrow_terminal_and_names_every_option() {
        assert!(HELP.lines().all(|line| line.chars().count() <= 92));
        for option in ["--seconds", "--live", "--tokens", "--endpoint", API_KEY, ACCESS_TOKEN] {
            assert!(HELP.contains(option), "{option}");
        }
    }
}
