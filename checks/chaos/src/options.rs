//! What a run is asked for, on the command line and by tests.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use kite_sim::{Fault, FaultKind};

/// Most faults of a run.
const MOST_FAULTS: u64 = 10_000_000;
/// Most connections of a run.
const MOST_CONNECTIONS: usize = 500;
/// Longest run in seconds: a day.
const MOST_SECONDS: u64 = 86_400;

/// What a run is asked for.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Options {
    /// Seed of the decks, the markets and the backoff.
    pub seed: u64,
    /// How many faults are dealt, over all connections.
    pub faults: u64,
    /// How many connections suffer them, side by side.
    pub connections: usize,
    /// After how long no further fault is dealt.
    pub longest: Duration,
    /// Which part of the connections goes over TLS, 0 to 1.
    pub tls_share: f64,
    /// Only this connection, counted from 0, with its part of the faults: the replay of a failure.
    pub only_connection: Option<usize>,
    /// Kinds that are not dealt.
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

/// What the command line asks for.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Asked {
    /// A run.
    Run(Options),
    /// How to use the program.
    Help,
}

/// Why a command line is not understood. It names the option, and what it takes.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum OptionError {
    /// There is no such option.
    Unknown {
        /// What was given.
        option: String,
    },
    /// An option lacks its value.
    NoValue {
        /// The option.
        option: String,
        /// What it takes.
        takes: String,
    },
    /// An option has a value that it does not take.
    Value {
        /// The option.
        option: String,
        /// What was given.
        value: String,
        /// What it takes.
        takes: String,
    },
}

impl fmt::Display for OptionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown { option } => write!(f, "{option} is no option, see --help"),
            Self::NoValue { option, takes } => write!(f, "{option} lacks its value, {takes}"),
            Self::Value { option, value, takes } => {
                write!(f, "{option} is {value}, it takes {takes}")
            }
        }
    }
}

impl std::error::Error for OptionError {}

impl Options {
    /// Says how the program is used.
    #[must_use]
    pub fn help() -> String {
        format!(
            "Breaks live connections on loopback and holds them to what they promise.\n\n\
             kite-chaos [options]\n  \
             --seed S             of decks, markets and backoff, 0 to {} (default 1)\n  \
             --faults N           over all connections, 1 to {MOST_FAULTS} (default 10000)\n  \
             --connections C      side by side, 1 to {MOST_CONNECTIONS} (default 24)\n  \
             --seconds MAX        no fault is dealt later, 1 to {MOST_SECONDS} (default 900)\n  \
             --tls-share X        part of the connections over TLS, 0 to 1 (default 0.5)\n  \
             --only-connection K  replay one connection, 0 to C - 1\n  \
             --skip KIND,…        kinds that are not dealt, of: {}\n  \
             --help               this text\n\n\
             Exits with 0 if every promise was held, with 1 if not, with 2 if it could not run.\n",
            u64::MAX,
            kind_names(),
        )
    }

    /// Reads a command line, without the program's name.
    ///
    /// # Errors
    /// [`OptionError`] names the option, its value and what it takes.
    pub fn parse(arguments: impl IntoIterator<Item = String>) -> Result<Asked, OptionError> {
        let mut options = Self::default();
        let mut arguments = arguments.into_iter();
        while let Some(option) = arguments.next() {
            let mut value = |takes: &str| {
                let takes = takes.to_owned();
                match arguments.next() {
                    Some(text) => Ok(Value { option: option.clone(), text, takes }),
                    None => Err(OptionError::NoValue { option: option.clone(), takes }),
                }
            };
            match &*option {
                "--help" | "-h" => return Ok(Asked::Help),
                "--seed" => options.seed = value(&format!("0 to {}", u64::MAX))?.number()?,
                "--faults" => {
                    let takes = format!("1 to {MOST_FAULTS}");
                    options.faults = value(&takes)?.within(1, MOST_FAULTS)?;
                }
                "--connections" => {
                    let takes = format!("1 to {MOST_CONNECTIONS}");
                    options.connections = value(&takes)?.within(1, MOST_CONNECTIONS)?;
                }
                "--seconds" => {
                    let takes = format!("1 to {MOST_SECONDS}");
                    options.longest = Duration::from_secs(value(&takes)?.within(1, MOST_SECONDS)?);
                }
                "--tls-share" => options.tls_share = value("0 to 1")?.within(0.0, 1.0)?,
                "--only-connection" => {
                    let takes = "a number below that of the connections";
                    options.only_connection = Some(value(takes)?.number()?);
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
                takes: format!("0 to {}", options.connections - 1),
            });
        }
        Ok(Asked::Run(options))
    }

    /// Says whether a connection goes over TLS: spread evenly over all.
    pub(crate) fn is_tls(&self, connection: usize) -> bool {
        let until = |count: usize| (count as f64 * self.tls_share).round();
        until(connection + 1) > until(connection)
    }

    /// Gives a connection's part of the faults.
    pub(crate) fn share(&self, connection: usize) -> u64 {
        let (number, connections) = (connection as u64, self.connections as u64);
        self.faults / connections + u64::from(number < self.faults % connections)
    }
}

fn kind_names() -> String {
    let names: Vec<_> = Fault::KINDS.iter().map(|kind| kind.name()).collect();
    names.join(", ")
}

/// An option's value, with what to say where it is no good.
struct Value {
    option: String,
    text: String,
    takes: String,
}

impl Value {
    fn refused(self) -> OptionError {
        OptionError::Value { option: self.option, value: self.text, takes: self.takes }
    }

    fn number<T: FromStr>(self) -> Result<T, OptionError> {
        self.text.parse().map_err(|_| self.refused())
    }

    fn within<T: FromStr + PartialOrd>(self, least: T, most: T) -> Result<T, OptionError> {
        match self.text.parse() {
            Ok(value) if least <= value && value <= most => Ok(value),
            _ => Err(self.refused()),
        }
    }

    fn kinds(self) -> Result<Vec<FaultKind>, OptionError> {
        let kind = |name: &str| Fault::KINDS.iter().copied().find(|kind| kind.name() == name);
        let kinds: Option<Vec<_>> = self.text.split(',').map(|name| kind(name.trim())).collect();
        kinds.ok_or_else(|| self.refused())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Asked, OptionError> {
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
        assert_eq!(parse(line), Ok(Asked::Run(expected)));
        assert_eq!(parse(""), Ok(Asked::Run(Options::default())));
        assert_eq!(parse("--seed 7 --help"), Ok(Asked::Help));
    }

    #[test]
    fn what_is_refused_is_named_with_its_range() {
        let refused = |line: &str| parse(line).unwrap_err().to_string();
        assert_eq!(refused("--faults 0"), "--faults is 0, it takes 1 to 10000000");
        assert_eq!(refused("--connections x"), "--connections is x, it takes 1 to 500");
        assert_eq!(refused("--tls-share 1.5"), "--tls-share is 1.5, it takes 0 to 1");
        assert_eq!(refused("--tls-share NaN"), "--tls-share is NaN, it takes 0 to 1");
        assert_eq!(refused("--seconds"), "--seconds lacks its value, 1 to 86400");
        assert_eq!(refused("--only-connection 24"), "--only-connection is 24, it takes 0 to 23");
        assert_eq!(refused("--fault 1"), "--fault is no option, see --help");
        assert!(refused("--skip rest").starts_with("--skip is rest, it takes kinds, of auth_"));
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
