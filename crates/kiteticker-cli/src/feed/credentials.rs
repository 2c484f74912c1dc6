//! The API key and the access token: from the environment, a file that only its owner can read, or
//! a prompt. Never from arguments, which every user of the machine can read, and never shown.

use std::fmt;
use std::io::{self, IsTerminal as _};
use std::path::{Path, PathBuf};

use etcetera::BaseStrategy as _;
use kite_conn::{Credentials, Secret, TokenFile, TokenFileError};

use crate::console::paths;
use crate::exit::CliError;
use crate::plain_text::{self, trimmed};

/// Environment variable of the API key.
pub(crate) const KEY_VARIABLE: &str = "KITE_API_KEY";
/// Environment variable of the access token.
pub(crate) const TOKEN_VARIABLE: &str = "KITE_ACCESS_TOKEN";

/// The content of a file of credentials, for advice.
const TWO_LINES: &str = "two lines, api_key = … and access_token = …";

/// Where credentials came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Origin {
    Environment,
    File(PathBuf),
    Prompt,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Environment => write!(f, "{KEY_VARIABLE} and {TOKEN_VARIABLE}"),
            Self::File(path) => write!(f, "{}", paths::shown(path)),
            Self::Prompt => f.write_str("the prompt"),
        }
    }
}

/// Credentials and where they came from. `Debug` does not show the token.
#[derive(Debug, Clone)]
pub(crate) struct Found {
    pub(crate) credentials: Credentials,
    pub(crate) origin: Origin,
}

/// Finds credentials: in the named file, else in the environment, else in the default file, else
/// by a prompt.
pub(crate) fn find(named_file: Option<&Path>) -> Result<Found, CliError> {
    find_in(named_file, plain_text::variable, default_path().as_deref(), prompt)
}

/// Finds credentials as [`find`] does, but without a prompt.
pub(crate) fn find_silently(named_file: Option<&Path>) -> Result<Found, CliError> {
    find_in(named_file, plain_text::variable, default_path().as_deref(), || Ok(None))
}

fn find_in(
    named_file: Option<&Path>,
    variable: impl Fn(&str) -> Option<String>,
    default_file: Option<&Path>,
    prompt: impl FnOnce() -> Result<Option<Credentials>, CliError>,
) -> Result<Found, CliError> {
    if let Some(path) = named_file {
        let credentials = read(path)?;
        return Ok(Found { credentials, origin: Origin::File(path.to_owned()) });
    }
    let (key, token) = (variable(KEY_VARIABLE), variable(TOKEN_VARIABLE).map(Secret::from));
    // The key alone is set for `kite login`, which writes the file.
    if let (Some(key), None) = (&key, &token)
        && let Some(path) = default_file.filter(|path| path.exists())
    {
        let credentials = read(path)?;
        if credentials.api_key() != key {
            let file = paths::shown(path);
            let what = format!("{KEY_VARIABLE} is another api_key than that in {file}");
            return Err(CliError::unable(what).help(format!(
                "unset {KEY_VARIABLE} to use the file; for the other api_key, remove the \
                     file and run kite login, or use another file by --credentials"
            )));
        }
        return Ok(Found { credentials, origin: Origin::File(path.to_owned()) });
    }
    match (key, token) {
        (Some(key), Some(token)) => {
            let credentials = Credentials::new(key, token.expose());
            return Ok(Found { credentials, origin: Origin::Environment });
        }
        (None, None) => {}
        (key, _) => {
            let (set, missing) = match key {
                Some(_) => (KEY_VARIABLE, TOKEN_VARIABLE),
                None => (TOKEN_VARIABLE, KEY_VARIABLE),
            };
            return Err(CliError::unable(format!("{set} is set but {missing} is not"))
                .help(format!("set {missing} too, or unset {set} to use a file")));
        }
    }
    if let Some(path) = default_file.filter(|path| path.exists()) {
        let credentials = read(path)?;
        return Ok(Found { credentials, origin: Origin::File(path.to_owned()) });
    }
    if let Some(credentials) = prompt()? {
        return Ok(Found { credentials, origin: Origin::Prompt });
    }
    let file = default_file.map_or_else(
        || "pass a file by --credentials".to_owned(),
        |path| {
            format!(
                "write api_key = … and access_token = … to {} (chmod 600), as kite login does",
                paths::shown(path)
            )
        },
    );
    Err(CliError::unable("no credentials found")
        .help(format!("set {KEY_VARIABLE} and {TOKEN_VARIABLE}, or {file}")))
}

/// Returns the named file, else the one that is read if none is named.
///
/// # Errors
/// Returns an error if there is no home directory.
pub(crate) fn path(named_file: Option<&Path>) -> Result<PathBuf, CliError> {
    let path = named_file.map(Path::to_owned).or_else(default_path);
    path.ok_or_else(|| {
        CliError::unable("no home directory for the credentials")
            .help("pass a file by --credentials")
    })
}

/// Returns the file that is read if none is named.
pub(crate) fn default_path() -> Option<PathBuf> {
    let strategy = etcetera::choose_base_strategy().ok()?;
    Some(strategy.config_dir().join("kiteticker").join("credentials"))
}

/// Reads a file of `api_key = …` and `access_token = …` lines, which only its owner may read.
pub(crate) fn read(path: &Path) -> Result<Credentials, CliError> {
    TokenFile::new(path).read().map_err(|error| unusable(path, error))
}

/// Returns the error of a file that cannot be used.
pub(crate) fn unusable(path: &Path, error: TokenFileError) -> CliError {
    let what = "the credentials";
    let shown = paths::shown(path);
    let error = match error {
        TokenFileError::Shared { mode } => return shared(path, mode, what),
        TokenFileError::Io { source } if source.kind() == io::ErrorKind::NotFound => {
            return CliError::unable(format!("no credentials: {shown} does not exist")).help(
                format!("run kite login --credentials '{shown}', or write the file: {TWO_LINES}"),
            );
        }
        // Its text is the system's error, which would be repeated as its cause.
        TokenFileError::Io { source } => {
            CliError::unable(format!("cannot read {what} in {shown}")).because(source)
        }
        error => CliError::unable(format!("cannot use {what} in {shown}")).because(error),
    };
    error.help(format!("the file needs {TWO_LINES}"))
}

/// Checks that only its owner can access a file, which holds `what`.
#[cfg(unix)]
pub(crate) fn check_private(
    path: &Path,
    metadata: &std::fs::Metadata,
    what: &str,
) -> Result<(), CliError> {
    use std::os::unix::fs::PermissionsExt as _;

    let mode = metadata.permissions().mode() & 0o777;
    if mode & 0o077 == 0 { Ok(()) } else { Err(shared(path, mode, what)) }
}

fn shared(path: &Path, mode: u32, what: &str) -> CliError {
    let path = paths::shown(path);
    CliError::unable(format!("other users can access {what} in {path} (mode {mode:03o})"))
        .help(format!("chmod 600 '{path}'"))
}

/// Checks nothing on this system.
#[cfg(not(unix))]
pub(crate) fn check_private(_: &Path, _: &std::fs::Metadata, _: &str) -> Result<(), CliError> {
    Ok(())
}

/// Prompts for credentials on the terminal; `None` without one.
fn prompt() -> Result<Option<Credentials>, CliError> {
    if !io::stdin().is_terminal() || !io::stderr().is_terminal() {
        return Ok(None);
    }
    let cannot = |error| CliError::unable("cannot prompt for credentials").because(error);
    // The key is not echoed either: harmless alone, but private.
    let key = Secret::from(rpassword::prompt_password("api_key: ").map_err(cannot)?);
    let token = Secret::from(rpassword::prompt_password("access_token: ").map_err(cannot)?);
    let (key, token) = (trimmed(key.expose()), trimmed(token.expose()));
    if key.is_empty() || token.is_empty() {
        return Err(CliError::unable("no credentials entered"));
    }
    Ok(Some(Credentials::new(key, token)))
}

#[cfg(test)]
mod tests {
    use kite_conn::ErrorChain;

    use super::*;

    const TOKEN: &str = "verysecrettoken";

    fn no_prompt() -> Result<Option<Credentials>, CliError> {
        Ok(None)
    }

    fn both(name: &str) -> Option<String> {
        Some(if name == KEY_VARIABLE { "envkey".into() } else { TOKEN.into() })
    }

    fn file(text: &str) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        file
    }

    #[test]
    fn a_named_file_precedes_the_environment_which_precedes_the_default_file() {
        let named = file(&format!("api_key = filekey\naccess_token = {TOKEN}\n"));
        let usual = file(&format!("api_key = usualkey\naccess_token = {TOKEN}\n"));
        let key = |found: Found| found.credentials.api_key().to_owned();
        let found = find_in(Some(named.path()), both, Some(usual.path()), no_prompt).unwrap();
        assert_eq!(found.origin, Origin::File(named.path().into()));
        assert_eq!(key(found), "filekey");
        let found = find_in(None, both, Some(usual.path()), no_prompt).unwrap();
        assert_eq!(found.origin, Origin::Environment);
        assert_eq!(key(found), "envkey");
        let found = find_in(None, |_| None, Some(usual.path()), no_prompt).unwrap();
        assert_eq!(key(found), "usualkey");
        let asked = || Ok(Some(Credentials::new("typed", TOKEN)));
        let found = find_in(None, |_| None, Some(Path::new("/nowhere/at/all")), asked).unwrap();
        assert_eq!((found.origin.clone(), key(found)), (Origin::Prompt, "typed".into()));
    }

    #[test]
    fn the_key_alone_is_that_of_the_default_file() {
        let usual = file(&format!("api_key = usualkey\naccess_token = {TOKEN}\n"));
        let find = |key: &str| {
            let variable = |name: &str| (name == KEY_VARIABLE).then(|| key.to_owned());
            find_in(None, variable, Some(usual.path()), no_prompt)
        };
        assert_eq!(find("usualkey").unwrap().origin, Origin::File(usual.path().into()));
        let error = find("otherkey").unwrap_err();
        assert!(error.to_string().starts_with("KITE_API_KEY is another api_key than"), "{error}");
    }

    #[test]
    fn without_credentials_the_help_names_every_way_to_pass_them() {
        let error =
            find_in(None, |_| None, Some(Path::new("/nowhere/file")), no_prompt).unwrap_err();
        let help = error.advice().unwrap();
        for part in [KEY_VARIABLE, TOKEN_VARIABLE, "/nowhere/file"] {
            assert!(help.contains(part), "{help}");
        }
    }

    #[test]
    fn one_variable_without_the_other_is_an_error() {
        let half = |name: &str| (name == TOKEN_VARIABLE).then(|| TOKEN.to_owned());
        let error = find_in(None, half, None, no_prompt).unwrap_err();
        assert_eq!(error.to_string(), "KITE_ACCESS_TOKEN is set but KITE_API_KEY is not");
    }

    #[test]
    fn mistakes_in_a_file_are_reported_with_its_path_and_without_its_content() {
        let file = file(&format!("api_key = k\n{TOKEN}\n"));
        let error = read(file.path()).unwrap_err();
        let shown = format!("{} {error:?}", ErrorChain(&error));
        assert!(shown.contains("cannot use the credentials in "), "{shown}");
        assert!(shown.contains("line 2 is not of the form name = value"), "{shown}");
        assert!(!shown.contains(TOKEN), "{shown}");
    }

    #[test]
    fn a_file_that_does_not_exist_or_cannot_be_read_has_its_reason_once() {
        let error = read(Path::new("/nowhere/at/all")).unwrap_err();
        let text = ErrorChain(&error).to_string();
        assert_eq!(text, "no credentials: /nowhere/at/all does not exist");
        assert!(error.advice().unwrap().starts_with("run kite login "), "{error:?}");
        let denied = io::Error::new(io::ErrorKind::PermissionDenied, "denied");
        let error = unusable(Path::new("file"), denied.into());
        assert_eq!(ErrorChain(&error).to_string(), "cannot read the credentials in file: denied");
    }

    #[cfg(unix)]
    #[test]
    fn a_file_that_others_can_access_is_rejected_with_the_command_that_fixes_it() {
        use std::os::unix::fs::PermissionsExt;

        let file = file(&format!("api_key = k\naccess_token = {TOKEN}\n"));
        for mode in [0o640, 0o604, 0o620, 0o601] {
            std::fs::set_permissions(file.path(), PermissionsExt::from_mode(mode)).unwrap();
            let error = read(file.path()).unwrap_err();
            assert!(error.to_string().contains(&format!("(mode {mode:o})")), "{error}");
            assert_eq!(error.advice().unwrap(), format!("chmod 600 '{}'", file.path().display()));
        }
        std::fs::set_permissions(file.path(), PermissionsExt::from_mode(0o400)).unwrap();
        assert!(read(file.path()).is_ok());
    }

    #[test]
    fn found_credentials_never_show_the_token() {
        let found = find_in(None, both, None, no_prompt).unwrap();
        assert!(!format!("{found:?} {}", found.origin).contains(TOKEN));
    }
}
