//! `kite logout`: ends the access token, and removes the file that holds it.

use std::io;
use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::json;

use crate::blocking;
use crate::console::output::Output;
use crate::console::paths;
use crate::console::signals::Stop;
use crate::exit::{CliError, Status};
use crate::feed::credentials::{self, Found, Origin, TOKEN_VARIABLE};
use crate::network::Network;
use crate::plain_text;
use crate::session::api::Api;
use crate::session::url::ServerUrl;
use crate::session::{KITE_API_URL, store};

const EXAMPLES: &str = "\
Examples:
  kite logout
  kite logout --credentials account2

Sockets that are open stay open: Kite checks the token when one is opened. If
Kite does not answer, or refuses for another reason than a token that has ended
already, the file stays.";

/// End the access token at Kite and remove the credentials file
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Logout {
    /// File with api_key and access_token [the file that the other commands read]
    #[arg(long, value_name = "FILE")]
    credentials: Option<PathBuf>,
    /// Another API, such as that of `kite sim`
    #[arg(long, value_name = "URL", default_value = KITE_API_URL, hide_default_value = true)]
    api_url: ServerUrl,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    network: Network,
}

/// Logs out.
pub(crate) async fn run(args: &Logout, output: Output, stop: Stop) -> Result<Status, CliError> {
    if let Some(path) = missing(args.credentials.as_deref()) {
        let path = paths::shown(&path);
        return Err(CliError::unable(format!("not logged in: {path} does not exist"))
            .help("run kite login"));
    }
    let Found { credentials, origin } = credentials::find_silently(args.credentials.as_deref())?;
    let api = Api::new(args.api_url.clone(), &args.network)?;
    stop.listen()?;
    let ending = {
        let credentials = credentials.clone();
        blocking::run("the logout", move || api.end(&credentials))
    };
    let Some(ended) = stop.until_done(ending).await? else { return Ok(Status::Interrupted) };
    let was_dead = match ended {
        Ok(()) => false,
        Err(error) if error.is_dead_token() => {
            output.note(format_args!("the access token had ended before: {error}"));
            true
        }
        Err(error) => return Err(error.of("the logout failed, the access token is kept")),
    };
    let removed = match &origin {
        Origin::File(path) => store::remove(path, &credentials)?.then_some(path),
        Origin::Environment | Origin::Prompt => {
            output.note(format_args!("unset {TOKEN_VARIABLE}: it has ended"));
            None
        }
    };
    if args.json {
        return output
            .json(&json!({
                "ended_before": was_dead,
                "path": removed.map(|path| paths::json(path)),
            }))
            .map(|()| Status::Done);
    }
    let file = removed.map(|path| format!("; removed {}", paths::shown(path)));
    output.line(format_args!("logged out{}", file.unwrap_or_default()))?;
    Ok(Status::Done)
}

/// Returns the file of the credentials if it does not exist, unless the environment has a token.
fn missing(named_file: Option<&Path>) -> Option<PathBuf> {
    let path = match named_file {
        Some(path) => path.to_owned(),
        None if plain_text::variable(TOKEN_VARIABLE).is_some() => return None,
        None => credentials::default_path()?,
    };
    let found = path.metadata();
    found.is_err_and(|error| error.kind() == io::ErrorKind::NotFound).then_some(path)
}
