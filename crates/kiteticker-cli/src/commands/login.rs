//! `kite login`: turns a login in the browser into the day's access token.
//!
//! Passwords are typed on Kite's own page and nowhere else: the broker forbids programs that do it.

mod browser;
mod listener;
mod page;
mod paste;
mod redirect;
mod secret;

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use clap::Args;
use kite_conn::{Credentials, Secret};
use serde_json::json;
use tokio::time::timeout;

use self::listener::Listener;
use self::redirect::State;
use crate::args::range::within;
use crate::blocking;
use crate::console::output::Output;
use crate::console::paths;
use crate::console::signals::Stop;
use crate::exit::{CliError, Status};
use crate::feed::credentials::{self, TOKEN_VARIABLE};
use crate::format::times::{self, SECOND_NS};
use crate::network::Network;
use crate::plain_text;
use crate::session::api::{Api, Session};
use crate::session::store::{self, Store};
use crate::session::url::ServerUrl;
use crate::session::{KITE_API_URL, KITE_LOGIN_URL, REDIRECT_PORT, lifetime};

const EXAMPLES: &str = "\
Once: register http://127.0.0.1:5010 as the app's redirect URL at
https://developers.kite.trade. Then, each morning:
  export KITE_API_KEY=… KITE_API_SECRET=…
  kite login
  kite watch NSE:INFY                     serve and record that run go on alone

Examples:
  kite login --secret-file ~/.config/kiteticker/secret
  kite login --no-browser                 print the URL, to open it yourself
  kite login --paste                      paste where another browser was led to
  kite login --port 8000                  if that is in the redirect URL

The password is typed on Kite's page. Zerodha forbids programs that type it.";

/// Log in at Kite and write the day's access token to the credentials file
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Login {
    /// The app's API key [KITE_API_KEY, else that of the credentials file]
    #[arg(long, value_name = "KEY")]
    api_key: Option<String>,
    /// File with the app's API secret, which only you may read [KITE_API_SECRET, else a
    /// prompt]
    #[arg(long, value_name = "FILE")]
    secret_file: Option<PathBuf>,
    /// Write the token here [the file that the other commands read]
    #[arg(long, value_name = "FILE")]
    credentials: Option<PathBuf>,
    /// Port of the redirect URL that is registered for the app [5010]
    #[arg(long, value_name = "PORT", default_value_t = REDIRECT_PORT, hide_default_value = true)]
    #[arg(value_parser = within(0..=u16::MAX), allow_hyphen_values = true)]
    port: u16,
    /// Print the URL instead of opening a browser
    #[arg(long)]
    no_browser: bool,
    /// Read the URL that the login leads to, or its request token, from standard input
    #[arg(long, conflicts_with = "port")]
    paste: bool,
    /// Wait this long for the login [10m]
    #[arg(long, value_name = "DURATION", value_parser = times::positive_duration, allow_hyphen_values = true)]
    wait: Option<Duration>,
    /// Another login page, such as that of `kite sim`
    #[arg(long, value_name = "URL", default_value = KITE_LOGIN_URL, hide_default_value = true)]
    login_url: ServerUrl,
    /// Another API, such as that of `kite sim`
    #[arg(long, value_name = "URL", default_value = KITE_API_URL, hide_default_value = true)]
    api_url: ServerUrl,
    /// Print the URL and the result as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    network: Network,
}

/// Time for a person to log in.
const PATIENCE: Duration = Duration::from_secs(600);

/// Logs in.
pub(crate) async fn run(args: &Login, output: Output, stop: Stop) -> Result<Status, CliError> {
    // Whatever can fail does so before the user logs in.
    let path = credentials::path(args.credentials.as_deref())?;
    let api_key = secret::api_key(args.api_key.as_deref(), &path)?;
    if credentials::default_path().as_ref() == Some(&path) {
        store::create_directory(&path)?;
    }
    let store = Store::prepare(&path)?;
    let api = Api::new(args.api_url.clone(), &args.network)?;
    let listener = if args.paste { None } else { Some(Listener::bind(args.port).await?) };
    let api_secret = secret::api_secret(args.secret_file.as_deref(), args.paste)?;
    let state = State::random()?;
    let url = redirect::login_url(args.login_url.as_str(), &api_key, &state);
    show(args, &url, listener.as_ref(), output)?;
    if args.paste {
        output.note("paste the URL that the login leads to, or its request token");
    } else {
        stop.listen()?;
    }
    let exchange = Exchange { api, api_key, api_secret, store };
    let waiting = async {
        match listener {
            Some(listener) => listener.wait(&state, &exchange).await,
            None => exchange.run(paste::read(&state).await?).await,
        }
    };
    let patience = args.wait.unwrap_or(PATIENCE);
    let waiting = async {
        timeout(patience, waiting).await.unwrap_or_else(|_| {
            let what = format!("no login within {}", times::span(patience));
            Err(CliError::unable(what).help("run kite login again; --wait sets the time"))
        })
    };
    let Some(session) = stop.until_done(waiting).await? else { return Ok(Status::Interrupted) };
    report(&session, exchange.store.path(), args.json, output)?;
    Ok(Status::Done)
}

/// Exchanges a request token for a session, and writes its token.
#[derive(Debug, Clone)]
struct Exchange {
    api: Api,
    api_key: String,
    api_secret: Secret,
    store: Store,
}

impl Exchange {
    async fn run(&self, request_token: Secret) -> Result<Session, CliError> {
        let Self { api, api_key, api_secret, store } = self.clone();
        let exchanging = move || {
            let session = api.exchange(&api_key, &request_token, &api_secret);
            let session = session.map_err(|error| error.of("the login failed"))?;
            store.write(&Credentials::new(api_key, session.access_token.expose()))?;
            Ok(session)
        };
        blocking::run("the login", exchanging).await?
    }
}

/// Opens the URL in a browser, or prints it.
fn show(
    args: &Login,
    url: &str,
    listener: Option<&Listener>,
    output: Output,
) -> Result<(), CliError> {
    let redirect_url = listener.map(Listener::url);
    if args.json {
        output.json(&json!({"login_url": url, "redirect_url": redirect_url}))?;
    }
    let opened = if args.no_browser { Ok(false) } else { browser::open(url).map(|()| true) };
    match opened {
        Ok(true) => output.note("log in in the browser; if none opens, open this URL yourself:"),
        Ok(false) => {}
        Err(error) => output.note(format_args!("cannot open a browser: {error}")),
    }
    // On standard output, because a note has no query, and the login needs it.
    if !args.json {
        output.line(url)?;
    }
    if let Some(redirect_url) = redirect_url {
        output.note(format_args!("waiting for the login on {redirect_url}"));
    }
    Ok(())
}

fn report(session: &Session, path: &Path, is_json: bool, output: Output) -> Result<(), CliError> {
    let expires = times::ist(lifetime::dies_at(SystemTime::now()) * SECOND_NS);
    if plain_text::variable(TOKEN_VARIABLE).is_some() {
        output.warn(format_args!(
            "{TOKEN_VARIABLE} is set and precedes the file: unset it to use the new token"
        ));
    }
    if is_json {
        return output.json(&json!({
            "user_id": session.user_id,
            "user_name": session.user_name,
            "login_time": session.login_time,
            "expires": expires.to_string(),
            "path": paths::json(path),
        }));
    }
    let name = session.user_name.as_ref().map(|name| format!(" ({name})")).unwrap_or_default();
    output.line(format_args!("logged in as {}{name}", session.user_id))?;
    output.line(format_args!(
        "the access token is in {} and expires on {} at about {} in India",
        paths::shown(path),
        expires.date(),
        // Without the seconds.
        &expires.clock()[..5],
    ))
}
