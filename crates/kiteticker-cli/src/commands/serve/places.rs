//! Where keys stand in a file of settings, for errors that are found after it was read.

use std::collections::BTreeMap;

use crate::exit::CliError;

/// The lines of keys whose values are tried only at the start.
#[derive(Debug, Clone, Default)]
pub(super) struct Places {
    /// The name of the file; empty if the settings are those of the arguments.
    file: String,
    lines: BTreeMap<&'static str, usize>,
}

impl Places {
    pub(super) fn new(file: String, lines: BTreeMap<&'static str, usize>) -> Self {
        Self { file, lines }
    }

    /// Returns whether the settings are those of a file.
    pub(super) fn are_in_a_file(&self) -> bool {
        !self.file.is_empty()
    }

    /// Adds to an error where its key stands, unless the settings are those of the arguments.
    pub(super) fn at(&self, key: &'static str, error: CliError) -> CliError {
        match self.lines.get(key) {
            Some(line) => error.at(format_args!("{}, line {line}: {key}", self.file)),
            // The value is the default.
            None if self.are_in_a_file() => error.at(format_args!("{}: {key}", self.file)),
            None => error,
        }
    }
}
