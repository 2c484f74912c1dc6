//! Why a file holds no credentials. No message repeats the file's text.

use std::io;
use std::sync::Arc;

use crate::one_line::OneLine;

/// Why a [`TokenFile`](crate::TokenFile) cannot be used.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum TokenFileError {
    /// It cannot be read.
    #[error("{}", OneLine(source))]
    Io {
        /// The system's error.
        source: Arc<io::Error>,
    },
    /// It is a directory, a pipe or a device, which cannot be read again and again.
    #[error("it is not a regular file")]
    NotAFile,
    /// Other users of the machine can access it.
    #[error("other users can access it (mode {mode:03o})")]
    Shared {
        /// Its permissions.
        mode: u32,
    },
    /// It is too large for a file of two lines.
    #[error("it is larger than {limit_bytes} bytes")]
    TooLarge {
        /// The limit.
        limit_bytes: u64,
    },
    /// It is not text.
    #[error("it is not UTF-8 text")]
    NotText,
    /// A line sets nothing.
    #[error("line {line} is not of the form name = value")]
    Form {
        /// Its number, from 1.
        line: usize,
    },
    /// A line sets something else.
    #[error("line {line} sets neither api_key nor access_token")]
    Name {
        /// Its number, from 1.
        line: usize,
    },
    /// A line sets a value for the second time.
    #[error("line {line} sets {name} again")]
    Again {
        /// Its number, from 1.
        line: usize,
        /// The name of the value.
        name: &'static str,
    },
    /// A value is missing.
    #[error("{name} is missing or empty")]
    Missing {
        /// The name of the value.
        name: &'static str,
    },
    /// Its API key is not that of the connection that waits for a token.
    #[error("its api_key is another one")]
    OtherKey,
}

impl From<io::Error> for TokenFileError {
    fn from(source: io::Error) -> Self {
        Self::Io { source: Arc::new(source) }
    }
}

impl PartialEq for TokenFileError {
    /// Errors of the system are equal if they are of the same kind.
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Io { source: a }, Self::Io { source: b }) => a.kind() == b.kind(),
            // The texts contain every field of the others.
            (Self::Io { .. }, _) | (_, Self::Io { .. }) => false,
            _ => self.to_string() == other.to_string(),
        }
    }
}

impl Eq for TokenFileError {}
