//! The options of a run.

use std::time::Duration;

/// A day.
const MAX_SECONDS: u64 = 86_400;

/// The options of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Options {
    /// The seed of the markets, the faults and the clients.
    pub seed: u64,
    /// How long server and clients misbehave.
    pub time: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self { seed: 1, time: Duration::from_secs(600) }
    }
}

/// Why a command line is invalid.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OptionError(String);

impl std::fmt::Display for OptionError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for OptionError {}

impl Options {
    /// The help text.
    pub const HELP: &str = "Runs relays between a faulty server and misbehaving clients.\n\n\
        relay-checks [options]\n  \
        --seed S       for markets, faults and clients (default 1)\n  \
        --seconds MAX  how long they misbehave, 1 to 86400 (default 600)\n  \
        --help         this text\n\n\
        Exits with 0 if everything held, with 1 if not, with 2 if it could not run.\n";

    /// Reads a command line, without the program's name; `None` if help was requested.
    ///
    /// # Errors
    /// Returns an [`OptionError`] with the option and what it accepts.
    pub fn parse(arguments: impl IntoIterator<Item = String>) -> Result<Option<Self>, OptionError> {
        let mut options = Self::default();
        let mut arguments = arguments.into_iter();
        while let Some(option) = arguments.next() {
            let mut number = |accepts: &str, most: u64| {
                let text = arguments.next().unwrap_or_default();
                let number = text.parse().ok().filter(|number| *number <= most);
                let error = || OptionError(format!("{option} is {text:?}; it must be {accepts}"));
                number.ok_or_else(error)
            };
            match &*option {
                "--help" | "-h" => return Ok(None),
                "--seed" => options.seed = number("a number", u64::MAX)?,
                "--seconds" => {
                    let seconds = number("1 to 86400", MAX_SECONDS)?.max(1);
                    options.time = Duration::from_secs(seconds);
                }
                _ => return Err(OptionError(format!("unknown option {option}; see --help"))),
            }
        }
        Ok(Some(options))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_read_and_errors_name_them() {
        let parse = |line: &str| Options::parse(line.split_whitespace().map(str::to_owned));
        let expected = Options { seed: 7, time: Duration::from_secs(9) };
        assert_eq!(parse("--seed 7 --seconds 9"), Ok(Some(expected)));
        assert_eq!(parse("--help"), Ok(None));
        let error = parse("--seconds x").unwrap_err().to_string();
        assert_eq!(error, r#"--seconds is "x"; it must be 1 to 86400"#);
        assert!(parse("--second 1").is_err());
    }
}
