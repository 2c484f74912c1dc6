//! Watch lists, saved by name: text files that `--list` reads, too.

use std::fmt;
use std::fs;
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use etcetera::BaseStrategy as _;

use crate::plain_text;

/// Extension of a watch list's file.
const EXTENSION: &str = "list";
/// Number of characters of a name.
const LONGEST: usize = 40;
/// Read at most this much: 9,000 instruments take a tenth.
const LONGEST_FILE_BYTES: u64 = 4 * 1024 * 1024;

/// The name of a watch list: letters, digits, `-` and `_`, so that it is a file's name everywhere.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Name(String);

/// Why a text cannot be the name of a watch list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NameError {
    #[error("a name is needed")]
    Empty,
    #[error("a name has at most {LONGEST} characters")]
    Long,
    #[error("a name has letters, digits, - and _ only, and starts with a letter or a digit")]
    Symbol,
}

impl Name {
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Name {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let is_allowed = |symbol: char| symbol.is_alphanumeric() || matches!(symbol, '-' | '_');
        match text.chars().next() {
            None => Err(NameError::Empty),
            _ if text.chars().count() > LONGEST => Err(NameError::Long),
            Some(first) if !first.is_alphanumeric() || !text.chars().all(is_allowed) => {
                Err(NameError::Symbol)
            }
            Some(_) => Ok(Self(text.to_owned())),
        }
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The directory of the watch lists.
#[derive(Debug, Clone)]
pub(crate) struct Watchlists {
    directory: PathBuf,
}

impl Watchlists {
    /// Returns those of the user.
    ///
    /// # Errors
    /// Returns an error if the user has no home directory.
    pub(crate) fn of_user() -> io::Result<Self> {
        let strategy = etcetera::choose_base_strategy().map_err(io::Error::other)?;
        Ok(Self { directory: strategy.config_dir().join("kiteticker").join("watchlists") })
    }

    /// Returns the file of a list.
    pub(crate) fn path(&self, name: &Name) -> PathBuf {
        self.directory.join(format!("{name}.{EXTENSION}"))
    }

    /// Returns the names of all lists, sorted.
    ///
    /// # Errors
    /// Returns an error if the directory exists and cannot be read.
    pub(crate) fn names(&self) -> io::Result<Vec<Name>> {
        let entries = match fs::read_dir(&self.directory) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries?,
        };
        let mut names = Vec::new();
        for entry in entries {
            names.extend(name_of(&entry?.path()));
        }
        names.sort();
        Ok(names)
    }

    /// Reads a list's file.
    ///
    /// # Errors
    /// Returns an error if it cannot be read, or is no text.
    pub(crate) fn read(&self, name: &Name) -> io::Result<String> {
        plain_text::read(fs::File::open(self.path(name))?.take(LONGEST_FILE_BYTES))
    }

    /// Saves a list; a failure leaves the one that exists as it is.
    ///
    /// # Errors
    /// Returns an error if it cannot be written.
    pub(crate) fn save(&self, name: &Name, instruments: &[String]) -> io::Result<()> {
        fs::create_dir_all(&self.directory)?;
        // No list is read from it: a name does not start with a dot.
        let temporary = self.directory.join(format!(".{name}.{}.tmp", std::process::id()));
        let written =
            write(&temporary, instruments).and_then(|()| fs::rename(&temporary, self.path(name)));
        if written.is_err() {
            // The error of the write is the one to report.
            let _ = fs::remove_file(&temporary);
        }
        written
    }
}

fn write(path: &Path, instruments: &[String]) -> io::Result<()> {
    let mut file = fs::File::create(path)?;
    for instrument in instruments {
        writeln!(file, "{instrument}")?;
    }
    file.sync_all()
}

fn name_of(path: &Path) -> Option<Name> {
    let is_list = path.extension().is_some_and(|it| it == EXTENSION);
    path.file_stem().filter(|_| is_list)?.to_str()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lists(directory: &tempfile::TempDir) -> Watchlists {
        Watchlists { directory: directory.path().join("kiteticker/watchlists") }
    }

    #[test]
    fn names_cannot_leave_the_directory_or_be_taken_for_an_option() {
        for valid in ["bank", "nifty-50", "F_O", "1", "münchen"] {
            assert_eq!(valid.parse::<Name>().unwrap().as_str(), valid);
        }
        for wrong in ["", "..", "../x", "a/b", "a\\b", "-x", "_x", ".x", "a b", "a\u{1b}b", "a.b"] {
            assert!(wrong.parse::<Name>().is_err(), "{wrong:?}");
        }
        assert_eq!("x".repeat(41).parse::<Name>(), Err(NameError::Long));
    }

    #[test]
    fn a_saved_list_is_listed_and_read_as_the_option_list_reads_it() {
        let directory = tempfile::tempdir().unwrap();
        let lists = lists(&directory);
        assert_eq!(lists.names().unwrap(), []);
        let [bank, all] = ["bank", "all"].map(|name| name.parse::<Name>().unwrap());
        let instruments = ["NSE:NIFTY 50", "BSE:INFY", "5633"].map(str::to_owned);
        lists.save(&bank, &["NSE:SBIN".to_owned()]).unwrap();
        lists.save(&bank, &instruments).unwrap();
        lists.save(&all, &instruments).unwrap();
        fs::write(lists.path(&bank).with_file_name("notes.txt"), "").unwrap();
        fs::write(lists.path(&bank).with_file_name("a b.list"), "").unwrap();
        assert_eq!(lists.names().unwrap(), [all, bank.clone()]);
        let text = lists.read(&bank).unwrap();
        let listed: Vec<&str> = crate::args::feed::listed(&text).map(|(_, name)| name).collect();
        assert_eq!(listed, instruments);
    }

    #[test]
    fn a_list_that_cannot_be_replaced_stays_and_leaves_nothing_else() {
        let directory = tempfile::tempdir().unwrap();
        let lists = lists(&directory);
        let name: Name = "bank".parse().unwrap();
        // A directory in its place cannot be replaced by a file.
        fs::create_dir_all(lists.path(&name).join("x")).unwrap();
        assert!(lists.save(&name, &["NSE:SBIN".to_owned()]).is_err());
        assert_eq!(fs::read_dir(&lists.directory).unwrap().count(), 1);
    }
}
