//! The app's API key and API secret.

use std::io::{self, IsTerminal as _};
use std::path::Path;

use kite_conn::{Secret, TokenFile, TokenFileError};

use crate::console::paths;
use crate::exit::CliError;
use crate::feed::credentials::{self, KEY_VARIABLE};
use crate::plain_text::{self, trimmed};

/// Environment variable of the API secret.
pub(super) const SECRET_VARIABLE: &str = "KITE_API_SECRET";

/// Finds the API key: the option, else the environment, else that of yesterday's credentials.
///
/// # Errors
/// Returns an error if there is none, or if the file has the credentials of another key, which the
/// login would replace.
pub(super) fn api_key(option: Option<&str>, credentials: &Path) -> Result<String, CliError> {
    let option = option.map(trimmed).filter(|key| !key.is_empty()).map(str::to_owned);
    let option = option.map(|key| ("--api-key", key));
    let named = option.or_else(|| Some((KEY_VARIABLE, plain_text::variable(KEY_VARIABLE)?)));
    match (named, kept_key(credentials)?) {
        (Some((name, key)), Some(kept)) if key != kept => Err(other_key(name, credentials)),
        (Some((_, key)), _) | (None, Some(key)) => Ok(key),
        (None, None) => Err(CliError::unable("no api_key")
            .help(format!("pass the app's API key by {KEY_VARIABLE} or --api-key"))),
    }
}

/// Returns the API key of the credentials that the login would replace, if there are any.
fn kept_key(path: &Path) -> Result<Option<String>, CliError> {
    match TokenFile::new(path).read() {
        Ok(credentials) => Ok(Some(credentials.api_key().to_owned())),
        // The file is empty or lacks one of the two, so that no command can use it.
        Err(TokenFileError::Missing { .. }) => Ok(None),
        Err(_) if !path.is_file() => Ok(None),
        Err(error) => Err(credentials::unusable(path, error)),
    }
}

fn other_key(name: &str, path: &Path) -> CliError {
    let path = paths::shown(path);
    CliError::usage(format!(
        "{path} has the credentials of another api_key than that of {name}, and the login would \
         replace them"
    ))
    .help(format!("pass --credentials FILE to write another file, or remove {path}"))
}

/// Finds the API secret: in the named file, else in the environment, else by a prompt. There is no
/// prompt if standard input is for something else.
pub(super) fn api_secret(file: Option<&Path>, is_input_used: bool) -> Result<Secret, CliError> {
    if let Some(path) = file {
        return read(path);
    }
    if let Some(secret) = plain_text::variable(SECRET_VARIABLE) {
        return Ok(secret.into());
    }
    let is_terminal = io::stdin().is_terminal() && io::stderr().is_terminal();
    if !is_terminal {
        let is_piped = if is_input_used { "; standard input is for --paste" } else { "" };
        return Err(CliError::unable("no api_secret").help(format!(
            "pass the app's API secret by {SECRET_VARIABLE} or --secret-file{is_piped}"
        )));
    }
    let cannot = |error| CliError::unable("cannot prompt for the api_secret").because(error);
    let typed = Secret::from(rpassword::prompt_password("api_secret: ").map_err(cannot)?);
    usable(&typed).ok_or_else(|| CliError::unable("no api_secret entered"))
}

/// Reads a file that has the secret on one line, which only its owner may read.
fn read(path: &Path) -> Result<Secret, CliError> {
    let cannot = |error: io::Error| {
        CliError::unable(format!("cannot read the api_secret in {}", paths::shown(path)))
            .because(error)
    };
    // Checked on the open file: the path may name another file a moment later.
    let file = std::fs::File::open(path).map_err(cannot)?;
    credentials::check_private(path, &file.metadata().map_err(cannot)?, "the api_secret")?;
    let text = Secret::from(plain_text::read(file).map_err(cannot)?);
    usable(&text).ok_or_else(|| {
        CliError::unable(format!("{} holds no api_secret", paths::shown(path)))
            .help("the file needs one line: the app's API secret")
    })
}

/// Returns what was entered, if it is one word.
fn usable(entered: &Secret) -> Option<Secret> {
    let text = trimmed(entered.expose());
    let is_word = !text.is_empty() && !text.contains(char::is_whitespace);
    is_word.then(|| Secret::from(text))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exit::Status;

    /// Creates a file that only its owner may read.
    fn file(text: &str) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        file
    }

    #[test]
    fn credentials_of_another_key_and_files_of_something_else_are_not_replaced() {
        let kept = file("api_key = kept\naccess_token = t0ken\n");
        assert_eq!(api_key(Some(" kept "), kept.path()).unwrap(), "kept");
        let error = api_key(Some("other"), kept.path()).unwrap_err();
        assert_eq!(error.status(), Status::Usage);
        let path = kept.path().display().to_string();
        assert!(error.to_string().contains(&path) && error.to_string().contains("--api-key"));
        assert!(error.advice().unwrap().starts_with("pass --credentials FILE "), "{error:?}");
        assert!(!format!("{error} {error:?}").contains("t0ken"), "{error:?}");

        assert_eq!(api_key(Some("key"), file("").path()).unwrap(), "key");
        assert_eq!(api_key(Some("key"), Path::new("/nowhere/at/all")).unwrap(), "key");
        let error = api_key(Some("key"), file("Host kite\n").path()).unwrap_err();
        assert_eq!(error.status(), Status::Unable);
    }

    #[test]
    fn a_secret_is_one_word_and_no_error_shows_it() {
        let file = file("\u{feff}s3cr3t\r\n");
        assert_eq!(read(file.path()).unwrap().expose(), "s3cr3t");
        for text in ["", "\n", "s3cr3t s3cr3t", "s3cr3t\nother\n"] {
            std::fs::write(file.path(), text).unwrap();
            let error = read(file.path()).unwrap_err();
            assert!(!format!("{error} {error:?}").contains("s3cr3t"), "{error:?}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_secret_that_others_can_read_is_not_used() {
        use std::os::unix::fs::PermissionsExt;

        let file = file("s3cr3t");
        std::fs::set_permissions(file.path(), PermissionsExt::from_mode(0o640)).unwrap();
        let error = read(file.path()).unwrap_err();
        assert!(error.to_string().starts_with("other users can access the api_secret"), "{error}");
    }
}
