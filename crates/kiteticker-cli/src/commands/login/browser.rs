//! Opens a URL in the user's browser, without a shell.

use std::io;
use std::process::{Command, Stdio};

use super::secret::SECRET_VARIABLE;
use crate::feed::credentials::TOKEN_VARIABLE;
use crate::plain_text;

/// The variable in which `xdg-open` finds browsers.
const BROWSER_VARIABLE: &str = "BROWSER";

/// Starts a browser; returns before it shows the page.
///
/// # Errors
/// Returns an error if no program can be started.
pub(super) fn open(url: &str) -> io::Result<()> {
    let browsers = plain_text::variable(BROWSER_VARIABLE);
    let mut last = io::Error::from(io::ErrorKind::NotFound);
    for command in commands(browsers.as_deref(), url) {
        let [program, arguments @ ..] = &command[..] else { continue };
        match start(program, arguments) {
            Ok(()) => return Ok(()),
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// Returns the commands to try: those of `BROWSER`, separated by colons, with the URL in place of
/// `%s` or else at the end, and then that of the system.
fn commands(browsers: Option<&str>, url: &str) -> Vec<Vec<String>> {
    let named = browsers.unwrap_or_default().split(':').filter_map(|browser| {
        let mut words: Vec<String> = browser.split_whitespace().map(str::to_owned).collect();
        if words.is_empty() {
            return None;
        }
        if !browser.contains("%s") {
            words.push("%s".to_owned());
        }
        Some(words.into_iter().map(|word| word.replace("%s", url)).collect())
    });
    let system: &[&str] = if cfg!(target_os = "macos") {
        &["open"]
    } else if cfg!(windows) {
        // Not `start`, which is a command of the shell.
        &["rundll32", "url.dll,FileProtocolHandler"]
    } else {
        &["xdg-open"]
    };
    let system = system.iter().copied().chain([url]).map(str::to_owned).collect();
    named.chain([system]).collect()
}

fn start(program: &str, arguments: &[String]) -> io::Result<()> {
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    // A browser needs neither.
    command.env_remove(SECRET_VARIABLE).env_remove(TOKEN_VARIABLE);
    let mut child = command.spawn()?;
    // Ends with the browser, or with this process.
    std::thread::Builder::new().name("browser".to_owned()).spawn(move || child.wait()).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn browsers_of_the_user_are_tried_before_that_of_the_system() {
        let named = commands(Some("one --new-tab:two --url=%s x: "), "http://a?b&c");
        assert_eq!(named[0], ["one", "--new-tab", "http://a?b&c"]);
        assert_eq!(named[1], ["two", "--url=http://a?b&c", "x"]);
        assert_eq!(named.len(), 3);
        assert_eq!(commands(None, "http://a").len(), 1);
    }
}
