//! How the command ends: its exit statuses, and the one form that errors have.

use std::error::Error;
use std::fmt;
use std::process::ExitCode;

/// What the exit status says. Wrong usage is 2, clap's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Status {
    /// Done.
    Done = 0,
    /// Something was lost, damaged or wrong in the data, or a check found a fault.
    Findings = 1,
    /// The command line cannot be meant so.
    Usage = 2,
    /// The command cannot start or go on: a file, the network, credentials.
    Unable = 3,
}

impl From<Status> for ExitCode {
    fn from(status: Status) -> Self {
        Self::from(status as u8)
    }
}

/// The exit status of a process that a second Ctrl-C has ended.
pub(crate) const FORCED: i32 = 130;

/// Why a command ended before it was done: a sentence, its causes and what to do.
#[derive(Debug)]
pub(crate) struct CliError {
    status: Status,
    what: String,
    source: Option<Box<dyn Error + Send + Sync>>,
    help: Option<String>,
}

impl CliError {
    /// Something that keeps the command from starting or going on.
    pub(crate) fn unable(what: impl Into<String>) -> Self {
        Self { status: Status::Unable, what: what.into(), source: None, help: None }
    }

    /// A command line that clap takes and that still cannot be meant so.
    pub(crate) fn usage(what: impl Into<String>) -> Self {
        Self { status: Status::Usage, ..Self::unable(what) }
    }

    /// Adds the cause.
    pub(crate) fn because(mut self, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// Adds what the user can do.
    pub(crate) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    pub(crate) fn status(&self) -> Status {
        self.status
    }

    /// What the user can do, where there is something.
    pub(crate) fn advice(&self) -> Option<&str> {
        self.help.as_deref()
    }

    /// Says whether the reader of standard output has gone, as `head` does: nothing is wrong then.
    pub(crate) fn is_closed_pipe(&self) -> bool {
        let mut cause: Option<&(dyn Error + 'static)> = Error::source(self);
        while let Some(error) = cause {
            let io = error.downcast_ref::<std::io::Error>();
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

    use super::*;

    #[test]
    fn an_error_is_shown_with_its_causes_in_one_line() {
        let error = CliError::unable("cannot read day.ktape")
            .because(io::Error::new(io::ErrorKind::NotFound, "no such file"))
            .help("look there");
        assert_eq!(ErrorChain(&error).to_string(), "cannot read day.ktape: no such file");
        assert_eq!((error.status(), error.advice()), (Status::Unable, Some("look there")));
    }

    #[test]
    fn a_closed_pipe_is_found_below_its_causes() {
        let pipe = || io::Error::new(io::ErrorKind::BrokenPipe, "closed");
        assert!(CliError::unable("cannot write").because(pipe()).is_closed_pipe());
        let deeper = CliError::unable("inner").because(pipe());
        assert!(CliError::unable("outer").because(deeper).is_closed_pipe());
        assert!(!CliError::unable("cannot write").because(io::Error::other("x")).is_closed_pipe());
        assert!(!CliError::unable("nothing").is_closed_pipe());
    }
}
