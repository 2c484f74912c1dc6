//! The files that a file of settings names, and what two of its parts must not share.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use kite_server::Account;

use super::document::Section;
use super::problems::Problems;
use crate::console::paths;
use crate::exit::{CliError, Status};
use crate::feed::credentials;

/// Looks at the files that are named, and remembers names, keys and addresses.
#[derive(Debug)]
pub(super) struct Files<'a> {
    /// The file of settings itself.
    file: &'a Path,
    problems: &'a Problems,
    /// By what has the name, and the name: the line.
    names: BTreeMap<(&'static str, String), usize>,
    /// By what has the api_key, and the key: the line.
    keys: BTreeMap<(&'static str, String), usize>,
    /// The addresses listened on, by the section.
    listeners: Vec<(&'static str, SocketAddr)>,
}

impl<'a> Files<'a> {
    pub(super) fn new(file: &'a Path, problems: &'a Problems) -> Self {
        let (names, keys) = Default::default();
        Self { file, problems, names, keys, listeners: Vec::new() }
    }

    /// Returns a path of the file, which is relative to its directory.
    pub(super) fn resolve(&self, path: &Path) -> PathBuf {
        match self.file.parent() {
            Some(directory) if directory.as_os_str().is_empty() => Path::new(".").join(path),
            Some(directory) => directory.join(path),
            None => path.to_owned(),
        }
    }

    /// Checks that a file is there. Its name is not shown, because it may be a secret that was
    /// written in its place.
    pub(super) fn exists(
        &self,
        section: &Section<'_>,
        key: &str,
        line: usize,
        path: &Path,
    ) -> bool {
        let path = self.resolve(path);
        let Err(error) = path.metadata() else { return true };
        let directory = path.parent().unwrap_or(Path::new("."));
        let directory = directory.canonicalize().unwrap_or_else(|_| directory.to_owned());
        let text = match error.kind() {
            ErrorKind::NotFound => format!("no such file in {}", paths::shown(&directory)),
            _ => format!("the file cannot be read: {error}"),
        };
        self.problems.lacks(line, format!("{}: {text}", section.key(key)));
        false
    }

    /// Notes the error of a file that a key names.
    pub(super) fn lacks(
        &self,
        section: &Section<'_>,
        key: &str,
        line: usize,
        status: Status,
        error: &CliError,
    ) {
        self.problems.add_error(line, &section.key(key), status, error);
    }

    /// Checks that a file of credentials can be used, and that nothing else of its kind has the same
    /// api_key.
    pub(super) fn credentials(
        &mut self,
        section: &Section<'_>,
        of: &'static str,
        line: usize,
        path: &Path,
    ) {
        const KEY: &str = "credentials";
        if !self.exists(section, KEY, line, path)
            || !self.is_private(section, KEY, line, path, "the credentials")
        {
            return;
        }
        let found = match credentials::read(&self.resolve(path)) {
            Ok(found) => found,
            Err(error) => {
                return self.problems.add_error(line, &section.key(KEY), Status::Unable, &error);
            }
        };
        let (api_key, token) = (found.api_key(), found.access_token().expose());
        if of == "client"
            && let Err(error) = Account::new(of, api_key, token)
        {
            self.problems.lacks(line, format!("{}: {error}", section.key(KEY)));
        }
        if let Some(first) = self.keys.insert((of, api_key.to_owned()), line) {
            section.wrong(
                line,
                KEY,
                format_args!("the api_key is that of the {of} of line {first}"),
            );
        }
    }

    /// Checks that others cannot access a file.
    pub(super) fn is_private(
        &self,
        section: &Section<'_>,
        key: &str,
        line: usize,
        path: &Path,
        what: &str,
    ) -> bool {
        let path = self.resolve(path);
        // A file that is not there has been reported.
        let Ok(metadata) = path.metadata() else { return true };
        let Err(error) = credentials::check_private(&path, &metadata, what) else { return true };
        self.problems.add_error(line, &section.key(key), Status::Usage, &error);
        false
    }

    /// Checks that others cannot access the file of settings, because a key of it holds a secret.
    pub(super) fn must_be_private(
        &self,
        section: &Section<'_>,
        line: usize,
        key: &str,
        what: &str,
    ) {
        let Ok(metadata) = self.file.metadata() else { return };
        if let Err(error) = credentials::check_private(self.file, &metadata, what) {
            self.problems.add_error(line, &section.key(key), Status::Usage, &error);
        }
    }

    /// Notes the name of something, which nothing else of its kind may have.
    pub(super) fn name(
        &mut self,
        section: &Section<'_>,
        of: &'static str,
        line: usize,
        name: &str,
    ) {
        if let Some(first) = self.names.insert((of, name.to_owned()), line) {
            section.wrong(line, "name", format_args!("the {of} of line {first} is {name}, too"));
        }
    }

    /// Notes an address to listen on, whose port no other one may have.
    pub(super) fn listens(
        &mut self,
        section: &Section<'_>,
        of: &'static str,
        line: usize,
        address: SocketAddr,
    ) {
        let overlaps = |other: &SocketAddr| {
            let (one, two) = (address.ip(), other.ip());
            one == two || one.is_unspecified() || two.is_unspecified()
        };
        let taken = self.listeners.iter().find(|(_, other)| {
            address.port() != 0 && address.port() == other.port() && overlaps(other)
        });
        if let Some((other, _)) = taken {
            let text = format_args!("the port {} is that of [{other}]", address.port());
            section.wrong(line, "listen", text);
        }
        self.listeners.push((of, address));
    }
}
