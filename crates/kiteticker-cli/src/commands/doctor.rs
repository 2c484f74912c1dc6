//! `kite doctor`: checks everything between this machine and ticks, one step after the other.
//!
//! Checks that need no credentials come first. The handshake uses the same client as the other
//! commands, so that they would see the same result.

mod check;
mod clock;
mod feed;
mod network;
mod tls;
mod token;

use std::path::PathBuf;
use std::time::Instant;

use clap::Args;
use kite_conn::Endpoint;
use serde_json::json;

use self::check::{Check, Finding, Sheet};
use self::network::Way;
use crate::console::output::Output;
use crate::console::signals::Stop;
use crate::exit::{CliError, Status};
use crate::feed::credentials;
use crate::network::Network;

const EXAMPLES: &str = "\
Examples:
  kite doctor
  kite doctor --json | jq '.checks[] | select(.verdict == \"fail\")'
  kite doctor --endpoint ws://127.0.0.1:8765        check `kite sim`
  kite doctor --proxy http://proxy.example:3128 --ca-file company.pem

HTTPS_PROXY holds for wss:// and for the instrument list, unless NO_PROXY names
the host; --proxy holds for all.";

/// Check the connection to Kite: proxy, network, TLS, token, heartbeat, clock
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Doctor {
    /// Check a different server
    #[arg(long, value_name = "URL")]
    endpoint: Option<Endpoint>,
    /// File with api_key and access_token
    #[arg(long, value_name = "FILE")]
    credentials: Option<PathBuf>,
    /// Print the results as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    network: Network,
}

/// Runs all checks and prints their results.
pub(crate) async fn run(args: &Doctor, output: Output, stop: Stop) -> Result<Status, CliError> {
    let endpoint = args.endpoint.clone().unwrap_or_default();
    if !args.json {
        output.line(format_args!(
            "{} {endpoint}",
            output.paint(crate::console::output::BOLD, "endpoint")
        ))?;
    }
    let mut sheet = Sheet::new(output, !args.json);
    tokio::select! {
        checked = examine(args, &endpoint, &mut sheet, &stop) => checked?,
        () = stop.requested() => return Ok(Status::Interrupted),
    }
    let has_failed = sheet.has_failed();
    if args.json {
        output.json(&json!({
            "endpoint": endpoint.to_string(),
            "ok": !has_failed,
            "checks": sheet.to_json(),
        }))?;
    } else {
        output.line(sheet.summary())?;
    }
    Ok(Status::done(has_failed))
}

async fn examine(
    args: &Doctor,
    endpoint: &Endpoint,
    sheet: &mut Sheet,
    stop: &Stop,
) -> Result<(), CliError> {
    let way = Way::new(endpoint, &args.network)?;
    sheet.add(Check::Proxy, way.proxy_finding(), None)?;
    let addresses = sheet.run(Check::Dns, way.look_up()).await?;
    let stream = match addresses {
        Some(addresses) => sheet.run(Check::Tcp, way.connect(&addresses)).await?,
        None => sheet.skip(Check::Tcp)?,
    };
    let stream = match stream {
        Some(stream) if endpoint.is_secure() => {
            sheet.run(Check::Tls, tls::secure(&way, stream)).await?
        }
        Some(stream) => {
            sheet.add(Check::Tls, Finding::skipped("ws:// does not use TLS"), None)?;
            Some(stream)
        }
        None => sheet.skip(Check::Tls)?,
    };
    match stream {
        Some(stream) if feed::is_loopback(endpoint) => {
            drop(stream);
            let finding = Finding::skipped("the server is on this machine");
            sheet.add(Check::Clock, finding, None)?;
        }
        // Later checks do not depend on the clock.
        Some(stream) => drop(sheet.run(Check::Clock, clock::compare(stream, endpoint)).await?),
        None => drop(sheet.skip::<()>(Check::Clock)?),
    }

    let begun = Instant::now();
    let file = args.credentials.as_deref();
    // No prompt for credentials that cannot be tried.
    let found = match sheet.is_reached() {
        true => credentials::find(file),
        false => credentials::find_silently(file),
    };
    let found = match found {
        Ok(found) => {
            let finding = token::finding(&found.origin);
            sheet.add(Check::Credentials, finding, Some(begun.elapsed()))?;
            Some(found.credentials)
        }
        Err(error) => {
            sheet.add(Check::Credentials, Finding::error(&error), Some(begun.elapsed()))?;
            None
        }
    };
    // Only now, because Ctrl-C must end the prompt for credentials.
    stop.listen()?;
    match found.filter(|_| sheet.is_reached()) {
        Some(credentials) => feed::examine(&way, credentials, sheet).await,
        None => {
            for check in [Check::Handshake, Check::Token, Check::Heartbeat, Check::Ticks] {
                sheet.skip::<()>(check)?;
            }
            Ok(())
        }
    }
}
