//! Exit statuses, and the error type of every command.

use std::error::Error;
use std::fmt;
use std::process::ExitCode;

use kite_export::ExportError;

/// The exit statuses of all commands, for their help.
pub(crate) const RULE: &str = "\
Exit status:
  0    done; also when watch, record, replay, serve, sim, demo or candles --live
       is ended by Ctrl-C, SIGTERM or SIGHUP
  1    done with findings: data is lost, damaged or cut off, a check failed,
       or nothing was found
  2    wrong usage
  3    cannot start or go on
  130  interrupted before it was done: export, candles, chart, inspect, cut,
       merge, repair, pack, instruments, login, logout, doctor, and any command
       by a second Ctrl-C";

/// An exit status.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Status {
    /// Done. For a command that runs until it is stopped, a signal is its normal end.
    Done = 0,
    /// Done, but data is lost, damaged, cut off or wrong, a check failed, or nothing was found.
    Findings = 1,
    /// Wrong usage, as in clap.
    Usage = 2,
    /// The command cannot start or go on: a file, the network, credentials.
    Unable = 3,
    /// A signal interrupted a command before it was done.
    Interrupted = 130,
}

impl Status {
    /// Returns the status of a command that is done.
    pub(crate) fn done(has_findings: bool) -> Self {
        if has_findings { Self::Findings } else { Self::Done }
    }
}

impl From<Status> for ExitCode {
    fn from(status: Status) -> Self {
        Self::from(status as u8)
    }
}

/// Why a command failed: a message, its causes and advice.
#[derive(Debug)]
pub(crate) struct CliError {
    status: Status,
    what: String,
    source: Option<Box<dyn Error + Send + Sync>>,
    help: Option<String>,
}

impl CliError {
    /// Creates an error that keeps the command from starting or continuing.
    pub(crate) fn unable(what: impl Into<String>) -> Self {
        Self { status: Status::Unable, what: what.into(), source: None, help: None }
    }

    /// Creates an error for a command line that clap accepts but that is invalid.
    pub(crate) fn usage(what: impl Into<String>) -> Self {
        Self { status: Status::Usage, ..Self::unable(what) }
    }

    /// Creates an error for a command that ran, but did not find what it needs.
    pub(crate) fn found_nothing(what: impl Into<String>) -> Self {
        Self { status: Status::Findings, ..Self::unable(what) }
    }

    /// Adds the place where what is wrong was written.
    pub(crate) fn at(mut self, place: impl fmt::Display) -> Self {
        self.what = format!("{place}: {}", self.what);
        self
    }

    /// Adds the cause.
    pub(crate) fn because(mut self, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// Adds advice for the user.
    pub(crate) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    pub(crate) fn status(&self) -> Status {
        self.status
    }

    /// Returns the advice for the user, if any.
    pub(crate) fn advice(&self) -> Option<&str> {
        self.help.as_deref()
    }

    /// Returns whether the reader of standard output has exited, as `head` does. Not a failure.
    pub(crate) fn is_closed_pipe(&self) -> bool {
        let mut cause: Option<&(dyn Error + 'static)> = Error::source(self);
        while let Some(error) = cause {
            let io = match error.downcast_ref::<ExportError>() {
                // Its text names the system's error, which is therefore not its source.
                Some(ExportError::Write { source, .. }) => Some(source),
                _ => error.downcast_ref::<std::io::Error>(),
            };
            if io.is_some_and(|io| io.kind() == std::io::ErrorKind::BrokenPipe) {
                return true;
            }
            cause = error.source();
        }
        false
    }
}

impl fmt::Display for CliError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)
    }
}

impl Error for CliError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_deref().map(|source| source as &(dyn Error + 'static))
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use kite_conn::ErrorChain;
    use kite_export::Target;

    use super::*;

    #[test]
    fn an_error_is_shown_with_its_causes_on_one_line() {
        let error = CliError::unable("cannot read day.ktape")
            .because(io::Error::new(io::ErrorKind::NotFound, "no such file"))
            .help("look there");
        assert_eq!(ErrorChain(&error).to_string(), "cannot read day.ktape: no such file");
        assert_eq!((error.status(), error.advice()), (Status::Unable, Some("look there")));
    }

    #[test]
    fn a_closed_pipe_is_found_anywhere_in_the_chain_of_causes() {
        let pipe = || io::Error::new(io::ErrorKind::BrokenPipe, "closed");
        assert!(CliError::unable("cannot write").because(pipe()).is_closed_pipe());
        let deeper = CliError::unable("inner").because(pipe());
        assert!(CliError::unable("outer").because(deeper).is_closed_pipe());
        let export = ExportError::Write { target: Target::Writer, source: pipe() };
        assert!(CliError::unable("cannot export").because(export).is_closed_pipe());
        assert!(!CliError::unable("cannot write").because(io::Error::other("x")).is_closed_pipe());
        assert!(!CliError::unable("nothing").is_closed_pipe());
    }
}
