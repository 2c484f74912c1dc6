//! Exit statuses, and the error type of every command.

use std::error::Error;
use std::fmt;
use std::process::ExitCode;

use kite_export::ExportError;

/// An exit status. Invalid usage is 2, as in clap.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Status {
    /// Success.
    Done = 0,
    /// Data was lost, damaged or wrong, or a check failed.
    Findings = 1,
    /// Invalid usage.
    Usage = 2,
    /// The command cannot start or continue: a file, the network, credentials.
    Unable = 3,
    /// Stopped by the user before the work was done.
    Interrupted = 130,
}

impl From<Status> for ExitCode {
    fn from(status: Status) -> Self {
        Self::from(status as u8)
    }
}

/// The exit status of a process stopped by a second Ctrl-C.
pub(crate) const FORCED: i32 = 130;

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
