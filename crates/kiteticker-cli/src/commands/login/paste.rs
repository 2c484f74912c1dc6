//! Reads where a login led to, from a terminal or a pipe.

use std::io::{self, BufRead as _, IsTerminal as _, Read as _};

use kite_conn::{OneLine, Secret};

use super::redirect::{self, Redirect, State};
use crate::blocking;
use crate::exit::CliError;
use crate::plain_text::trimmed;

/// No URL is longer.
const MAX_BYTES: u64 = 16 << 10;

/// Reads a line and returns its request token.
///
/// # Errors
/// Returns an error if the line has no request token, or if it is that of another login.
pub(super) async fn read(state: &State) -> Result<Secret, CliError> {
    let line = blocking::run("reading the pasted line", read_line).await?;
    let line = line.map_err(|error| CliError::unable("cannot read the line").because(error))?;
    request_token(line.expose(), state)
}

/// A request token is not shown on a terminal, although it is useless without the api_secret.
fn read_line() -> io::Result<Secret> {
    if io::stdin().is_terminal() {
        return rpassword::prompt_password("URL or request token: ").map(Secret::from);
    }
    let mut line = String::new();
    io::stdin().lock().take(MAX_BYTES).read_line(&mut line)?;
    Ok(line.into())
}

fn request_token(line: &str, state: &State) -> Result<Secret, CliError> {
    let line = trimmed(line);
    if redirect::is_token(line) {
        return Ok(line.into());
    }
    let query = line.split_once('?').map(|(_, query)| query.split('#').next().unwrap_or_default());
    match query.map(|query| redirect::read(query, state)) {
        Some(Redirect::LoggedIn(token)) => Ok(token),
        Some(Redirect::Failed(words)) => Err(failed(&words)),
        Some(Redirect::Foreign) => Err(CliError::unable("the pasted URL is that of another login")
            .help("open the URL that kite login printed, and paste where it leads to")),
        None => Err(CliError::unable("the pasted line is neither a URL nor a request token")
            .help("paste the whole address that the browser shows after the login")),
    }
}

/// Returns the error of a login that failed, in the words of the page.
pub(super) fn failed(words: &str) -> CliError {
    CliError::unable(format!("Kite did not log in: {}", OneLine(words)))
        .help("run kite login again")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_or_a_bare_token_is_pasted() {
        let state = State::random().unwrap();
        let url = redirect::login_url("x", "k", &state);
        let state_text = url.rsplit("%3D").next().unwrap().to_owned();
        let url = format!("http://127.0.0.1:5010/?request_token=abc&state={state_text}#x");
        for line in ["abc", " abc\r\n", &url] {
            assert_eq!(request_token(line, &state).unwrap().expose(), "abc", "{line}");
        }
        for line in [
            "",
            "a b",
            "http://127.0.0.1:5010/",
            "http://127.0.0.1:5010/?request_token=abc",
            "http://127.0.0.1:5010/?request_token=abc&state=other",
            &url.replace("request_token=abc", "status=error&message=no"),
        ] {
            let error = request_token(line, &state).unwrap_err();
            assert!(!format!("{error} {error:?}").contains("abc"), "{error:?}");
        }
    }
}
