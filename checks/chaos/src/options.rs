//! The options of a run, from the command line or tests.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use kite_sim::{Fault, FaultKind};

/// Maximum number of faults.
const MAX_FAULTS: u64 = 10_000_000;
/// Maximum number of connections.
const MAX_CONNECTIONS: usize = 500;
/// Maximum duration in seconds: a day.
const MAX_SECONDS: u64 = 86_400;

/// The options of a run.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Options {
    /// Seed of the decks, the markets and the backoff.
    pub seed: u64,
    /// Number of faults, across all connections.
    pub faults: u64,
    /// Number of concurrent connections.
    pub connections: usize,
    /// Time after which no further fault is injected.
    pub longest: Duration,
    /// Share of the connections over TLS, 0 to 1.
    pub tls_share: f64,
    /// The only connection to run, counted from 0, with its share of the faults; replays a failure.
    pub only_connection: Option<usize>,
    /// Kinds of faults to leave out.
    pub skip: Vec<FaultKind>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            seed: 1,
            faults: 10_000,
            connections: 24,
            longest: Duration::from_secs(900),
            tls_share: 0.5,
            only_connection: None,
            skip: Vec::new(),
        }
    }
}

/// What the command line requests.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Invocation {
    /// A run.
    Run(Options),
    /// The help text.
    Help,
}

/// Why a command line is invalid, with the option and the values it accepts.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum OptionError {
    /// The option does not exist.
    Unknown {
        /// The argument.
        option: String,
    },
    /// An option lacks its value.
    NoValue {
        /// The option.
        option: String,
        /// What it accepts.
        accepts: String,
    },
    /// An option has an invalid value.
    Value {
        /// The option.
        option: String,
        /// The argument.
        value: String,
        /// What it accepts.
        accepts: String,
    },
}

impl fmt::Display for OptionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown { option } => write!(f, "unknown option {option}; see --help"),
            Self::NoValue { option, accepts } => write!(f, "{option} needs a value, {accepts}"),
            Self::Value { option, value, accepts } => {
                write!(f, "{option} is {value}; it must be {accepts}")
            }
        }
    }
}

impl std::error::Error for OptionError {}

impl Options {
    /// Returns the help text.
    #[must_use]
    pub fn help() -> String {
        format!(
            "Injects faults into live connections on loopback and checks their promises.\n\n\
             kite-chaos [options]\n  \
             --seed S             for faults, markets and backoff, 0 to {} (default 1)\n  \
             --faults N           across all connections, 1 to {MAX_FAULTS} (default 10000)\n  \
             --connections C      concurrent, 1 to {MAX_CONNECTIONS} (default 24)\n  \
             --seconds MAX        no fault is injected later, 1 to {MAX_SECONDS} (default 900)\n  \
             --tls-share X        share of the connections over TLS, 0 to 1 (default 0.5)\n  \
             --only-connection K  replay one connection, 0 to C - 1\n  \
             --skip KIND,…        kinds to leave out, of: {}\n  \
             --help               this text\n\n\
             Exits with 0 if every promise was kept, with 1 if not, with 2 if it could not run.\n",
            u64::MAX,
            kind_names(),
        )
    }

    /// Reads a command line, without the program's name.
    ///
    /// # Errors
    /// Returns an [`OptionError`] with the option, its value and what it accepts.
    pub fn parse(arguments: impl IntoIterator<Item = String>) -> Result<Invocation, OptionError> {
        let mut options = Self::default();
        let mut arguments = arguments.into_iter();
        while let Some(option) = arguments.next() {
            let mut value = |accepts: &str| {
                let accepts = accepts.to_owned();
                match arguments.next() {
                    Some(text) => Ok(Value { option: option.clone(), text, accepts }),
                    None => Err(OptionError::NoValue { option: option.clone(), accepts }),
                }
            };
            match &*option {
                "--help" | "-h" => return Ok(Invocation::Help),
                "--seed" => options.seed = value(&format!("0 to {}", u64::MAX))?.number()?,
                "--faults" => {
                    let accepts = format!("1 to {MAX_FAULTS}");
                    options.faults = value(&accepts)?.within(1, MAX_FAULTS)?;
                }
                "--connections" => {
                    let accepts = format!("1 to {MAX_CONNECTIONS}");
                    options.connections = value(&accepts)?.within(1, MAX_CONNECTIONS)?;
                }
                "--seconds" => {
                    let accepts = format!("1 to {MAX_SECONDS}");
                    options.longest = Duration::from_secs(value(&accepts)?.within(1, MAX_SECONDS)?);
                }
                "--tls-share" => options.tls_share = value("0 to 1")?.within(0.0, 1.0)?,
                "--only-connection" => {
                    let accepts = "a number below that of the connections";
                    options.only_connection = Some(value(accepts)?.number()?);
                }
                "--skip" => {
                    options.skip = value(&format!("kinds, of {}", kind_names()))?.kinds()?;
                }
                _ => return Err(OptionError::Unknown { option }),
            }
        }
        if let Some(only) = options.only_connection.filter(|only| *only >= options.connections) {
            return Err(OptionError::Value {
                option: "--only-connection".into(),
                value: only.to_string(),
                accepts: format!("0 to {}", options.connections - 1),
            });
        }
        Ok(Invocation::Run(options))
    }

    /// Returns whether a connection uses TLS; these are spread evenly.
    pub(crate) fn is_tls(&self, connection: usize) -> bool {
        let until = |count: usize| (count as f64 * self.tls_share).round();
        until(connection + 1) > until(connection)
    }

    /// Returns a connection's share of the faults.
    pub(crate) fn share(&self, connection: usize) -> u64 {
        let (number, connections) = (connection as u64, self.connections as u64);
        self.faults / connections + u64::from(number < self.faults % connections)
    }
}

fn kind_names() -> String {
    let names: Vec<_> = Fault::KINDS.iter().map(|kind| kind.name()).collect();
    names.join(", ")
}

/// An option's value, with what to report if it is invalid.
struct Value {
    option: String,
    text: String,
    accepts: String,
}

impl Value {
    fn rejected(self) -> OptionError {
        OptionError::Value { option: self.option, value: self.text, accepts: self.accepts }
    }

    fn number<T: FromStr>(self) -> Result<T, OptionError> {
        self.text.parse().map_err(|_| self.rejected())
    }

    fn within<T: FromStr + PartialOrd>(self, least: T, most: T) -> Result<T, OptionError> {
        match self.text.parse() {
            Ok(value) if least <= value && value <= most => Ok(value),
            _ => Err(self.rejected()),
        }
    }

    fn kinds(self) -> Result<Vec<FaultKind>, OptionError> {
        let kind = |name: &str| Fault::KINDS.iter().copied().find(|kind| kind.name() == name);
        let kinds: Option<Vec<_>> = self.text.split(',').map(|name| kind(name.trim())).collect();
        kinds.ok_or_else(|| self.rejected())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Invocation, OptionError> {
        Options::parse(line.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn every_option_is_read() {
        let line = "--seed 7 --faults 50 --connections 4 --seconds 9 --tls-share 0.25 \
                    --only-connection 3 --skip reset,half_open";
        let expected = Options {
            seed: 7,
            faults: 50,
            connections: 4,
            longest: Duration::from_secs(9),
            tls_share: 0.25,
            only_connection: Some(3),
            skip: vec![FaultKind::Reset, FaultKind::HalfOpen],
        };
        assert_eq!(parse(line), Ok(Invocation::Run(expected)));
        assert_eq!(parse(""), Ok(Invocation::Run(Options::default())));
        assert_eq!(parse("--seed 7 --help"), Ok(Invocation::Help));
    }

    #[test]
    fn errors_name_the_option_and_its_range() {
        let rejected = |line: &str| parse(line).unwrap_err().to_string();
        assert_eq!(rejected("--faults 0"), "--faults is 0; it must be 1 to 10000000");
        assert_eq!(rejected("--connections x"), "--connections is x; it must be 1 to 500");
        assert_eq!(rejected("--tls-share 1.5"), "--tls-share is 1.5; it must be 0 to 1");
        assert_eq!(rejected("--tls-share NaN"), "--tls-share is NaN; it must be 0 to 1");
        assert_eq!(rejected("--seconds"), "--seconds needs a value, 1 to 86400");
        assert_eq!(rejected("--only-connection 24"), "--only-connection is 24; it must be 0 to 23");
        assert_eq!(rejected("--fault 1"), "unknown option --fault; see --help");
        assert!(rejected("--skip rest").starts_with("--skip is rest; it must be kinds, of auth_"));
    }

    #[test]
    fn faults_and_tls_are_spread_evenly() {
        let options = Options { faults: 100, connections: 24, ..Options::default() };
        let shares: Vec<_> = (0..24).map(|connection| options.share(connection)).collect();
        assert_eq!(shares.iter().sum::<u64>(), 100);
        assert!(shares.iter().all(|share| (4..=5).contains(share)));
        for (tls_share, expected) in [(0.0, 0), (0.25, 6), (0.5, 12), (1.0, 24)] {
            let options = Options { tls_share, ..options.clone() };
            assert_eq!((0..24).filter(|&number| options.is_tls(number)).count(), expected);
        }
    }
}
