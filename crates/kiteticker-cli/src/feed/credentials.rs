//! The API key and the access token: from the environment, a file of their owner's alone, or asked
//! on the terminal. Never from arguments, which everybody on the machine can read, and never shown.

use std::fmt;
use std::io::{self, IsTerminal as _};
use std::path::{Path, PathBuf};

use etcetera::BaseStrategy as _;
use kite_conn::{Credentials, Secret};

use crate::exit::CliError;

/// Names the API key in the environment.
pub(crate) const KEY_VARIABLE: &str = "KITE_API_KEY";
/// Names the access token in the environment.
pub(crate) const TOKEN_VARIABLE: &str = "KITE_ACCESS_TOKEN";

/// A token of Kite's is 32 characters; what is longer than this is another file.
const LONGEST_FILE_BYTES: u64 = 64 * 1024;

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
            Self::File(path) => write!(f, "{}", path.display()),
            Self::Prompt => f.write_str("the prompt"),
        }
    }
}

/// Credentials and where they came from. `Debug` shows neither.
#[derive(Debug, Clone)]
pub(crate) struct Found {
    pub(crate) credentials: Credentials,
    pub(crate) origin: Origin,
}

/// Finds credentials: the file that is named, else the environment, else the file of the
/// configuration directory, else the prompt.
pub(crate) fn find(named_file: Option<&Path>) -> Result<Found, CliError> {
    find_in(named_file, variable, default_path().as_deref(), prompt)
}

/// Finds credentials as [`find`] does, but asks nobody.
pub(crate) fn find_silently(named_file: Option<&Path>) -> Result<Found, CliError> {
    find_in(named_file, variable, default_path().as_deref(), || Ok(None))
}

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
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
    match (variable(KEY_VARIABLE), variable(TOKEN_VARIABLE).map(Secret::from)) {
        (Some(key), Some(token)) => {
            let credentials = Credentials::new(key, token.expose());
            return Ok(Found { credentials, origin: Origin::Environment });
        }
        (None, None) => {}
        (key, _) => {
            let (there, missing) = match key {
                Some(_) => (KEY_VARIABLE, TOKEN_VARIABLE),
                None => (TOKEN_VARIABLE, KEY_VARIABLE),
            };
            return Err(CliError::unable(format!("{there} is set and {missing} is not"))
                .help(format!("set {missing} too, or unset {there} to use a file")));
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
        || "pass a file with --credentials".to_owned(),
        |path| format!("write api_key = … and access_token = … to {} (chmod 600)", path.display()),
    );
    Err(CliError::unable("no credentials")
        .help(format!("set {KEY_VARIABLE} and {TOKEN_VARIABLE}, or {file}")))
}

/// The file that is read when none is named.
pub(crate) fn default_path() -> Option<PathBuf> {
    let strategy = etcetera::choose_base_strategy().ok()?;
    Some(strategy.config_dir().join("kiteticker").join("credentials"))
}

/// Reads a file of `api_key = …` and `access_token = …` lines that nobody else can read.
pub(crate) fn read(path: &Path) -> Result<Credentials, CliError> {
    use std::io::Read as _;

    let cannot = |error: io::Error| {
        CliError::unable(format!("cannot read the credentials in {}", path.display()))
            .because(error)
            .help("write two lines there: api_key = … and access_token = …")
    };
    // The permissions of what is open are asked, not of what the name means a moment later.
    let file = std::fs::File::open(path).map_err(cannot)?;
    let metadata = file.metadata().map_err(cannot)?;
    check_permissions(path, &metadata)?;
    let mut text = String::new();
    file.take(LONGEST_FILE_BYTES).read_to_string(&mut text).map_err(cannot)?;
    parse(&text).map_err(|error| {
        CliError::unable(format!("cannot use the credentials in {}", path.display()))
            .because(error)
            .help("write two lines there: api_key = … and access_token = …")
    })
}

#[cfg(unix)]
fn check_permissions(path: &Path, metadata: &std::fs::Metadata) -> Result<(), CliError> {
    use std::os::unix::fs::PermissionsExt as _;

    let mode = metadata.permissions().mode() & 0o777;
    if mode & 0o077 == 0 {
        return Ok(());
    }
    let path = path.display();
    Err(CliError::unable(format!("others can get at the credentials in {path} (mode {mode:03o})"))
        .help(format!("chmod 600 '{path}'")))
}

#[cfg(not(unix))]
fn check_permissions(_: &Path, _: &std::fs::Metadata) -> Result<(), CliError> {
    Ok(())
}

/// Why a file has no credentials. None of these repeats what the file says.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
enum FileError {
    #[error("line {line} is not of the form name = value")]
    Form { line: usize },
    #[error("line {line} sets neither api_key nor access_token")]
    Name { line: usize },
    #[error("line {line} sets {name} again")]
    Again { line: usize, name: &'static str },
    #[error("{name} is missing or empty")]
    Missing { name: &'static str },
}

fn parse(text: &str) -> Result<Credentials, FileError> {
    let (mut key, mut token) = (None, None);
    for (line, text) in (1..).zip(text.lines()) {
        let text = text.trim();
        if text.is_empty() || text.starts_with('#') {
            continue;
        }
        let (name, value) = text.split_once('=').ok_or(FileError::Form { line })?;
        let (place, name) = match name.trim() {
            "api_key" => (&mut key, "api_key"),
            "access_token" => (&mut token, "access_token"),
            _ => return Err(FileError::Name { line }),
        };
        let value = Secret::from(unquoted(value.trim()));
        if place.replace(value).is_some() {
            return Err(FileError::Again { line, name });
        }
    }
    let there = |value: Option<Secret>, name| {
        value.filter(|value| !value.expose().is_empty()).ok_or(FileError::Missing { name })
    };
    let (key, token) = (there(key, "api_key")?, there(token, "access_token")?);
    Ok(Credentials::new(key.expose(), token.expose()))
}

fn unquoted(value: &str) -> &str {
    let inner = |quote| value.strip_prefix(quote).and_then(|value| value.strip_suffix(quote));
    inner('"').or_else(|| inner('\'')).unwrap_or(value)
}

/// Asks on the terminal, if there is one.
fn prompt() -> Result<Option<Credentials>, CliError> {
    if !io::stdin().is_terminal() || !io::stderr().is_terminal() {
        return Ok(None);
    }
    let cannot = |error| CliError::unable("cannot ask for credentials").because(error);
    // Neither is echoed: the key alone is harmless, and still nobody else's business.
    let key = Secret::from(rpassword::prompt_password("api_key: ").map_err(cannot)?);
    let token = Secret::from(rpassword::prompt_password("access_token: ").map_err(cannot)?);
    let (key, token) = (key.expose().trim(), token.expose().trim());
    if key.is_empty() || token.is_empty() {
        return Err(CliError::unable("no credentials given"));
    }
    Ok(Some(Credentials::new(key, token)))
}

#[cfg(test)]
mod tests {
    use kite_conn::ErrorChain;

    use super::*;

    const TOKEN: &str = "verysecrettoken";

    fn nobody() -> Result<Option<Credentials>, CliError> {
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
    fn a_named_file_comes_before_the_environment_and_that_before_the_usual_file() {
        let named = file(&format!("api_key = filekey\naccess_token = {TOKEN}\n"));
        let usual = file(&format!("api_key = usualkey\naccess_token = {TOKEN}\n"));
        let key = |found: Found| found.credentials.api_key().to_owned();
        let found = find_in(Some(named.path()), both, Some(usual.path()), nobody).unwrap();
        assert_eq!(found.origin, Origin::File(named.path().into()));
        assert_eq!(key(found), "filekey");
        let found = find_in(None, both, Some(usual.path()), nobody).unwrap();
        assert_eq!(found.origin, Origin::Environment);
        assert_eq!(key(found), "envkey");
        let found = find_in(None, |_| None, Some(usual.path()), nobody).unwrap();
        assert_eq!(key(found), "usualkey");
        let asked = || Ok(Some(Credentials::new("typed", TOKEN)));
        let found = find_in(None, |_| None, Some(Path::new("/nowhere/at/all")), asked).unwrap();
        assert_eq!((found.origin.clone(), key(found)), (Origin::Prompt, "typed".into()));
    }

    #[test]
    fn without_any_the_help_names_all_ways() {
        let error = find_in(None, |_| None, Some(Path::new("/nowhere/file")), nobody).unwrap_err();
        let help = error.advice().unwrap();
        for part in [KEY_VARIABLE, TOKEN_VARIABLE, "/nowhere/file"] {
            assert!(help.contains(part), "{help}");
        }
    }

    #[test]
    fn half_of_the_environment_is_an_error_and_not_passed_over() {
        let half = |name: &str| (name == TOKEN_VARIABLE).then(|| TOKEN.to_owned());
        let error = find_in(None, half, None, nobody).unwrap_err();
        assert_eq!(error.to_string(), "KITE_ACCESS_TOKEN is set and KITE_API_KEY is not");
    }

    #[test]
    fn files_may_have_comments_blanks_and_quotes() {
        let text = "# mine\n\n api_key=\"k\" \r\naccess_token = 'a=b#c'\n";
        assert_eq!(parse(text), Ok(Credentials::new("k", "a=b#c")));
    }

    #[test]
    fn mistakes_in_a_file_are_named_by_line_and_never_shown() {
        for (text, wanted) in [
            (format!("api_key = k\n{TOKEN}\n"), FileError::Form { line: 2 }),
            (format!("token = {TOKEN}\n"), FileError::Name { line: 1 }),
            (
                format!("access_token = {TOKEN}\naccess_token = {TOKEN}\n"),
                FileError::Again { line: 2, name: "access_token" },
            ),
            (format!("access_token = {TOKEN}\n"), FileError::Missing { name: "api_key" }),
            (
                "api_key = k\naccess_token = ''\n".into(),
                FileError::Missing { name: "access_token" },
            ),
        ] {
            let file = file(&text);
            assert_eq!(parse(&text), Err(wanted));
            let error = read(file.path()).unwrap_err();
            assert!(!ErrorChain(&error).to_string().contains(TOKEN), "{error}");
            assert!(!format!("{error:?}").contains(TOKEN));
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_file_that_others_can_read_is_refused_with_the_command_that_mends_it() {
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
    fn nothing_found_shows_its_token() {
        let found = find_in(None, both, None, nobody).unwrap();
        assert!(!format!("{found:?} {}", found.origin).contains(TOKEN));
    }
}
