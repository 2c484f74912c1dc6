//! `kite doctor`: everything between this machine and ticks, one check after the other.
//!
//! What can be checked without credentials comes first. The handshake is made by the project's own
//! client, so that what it says is what every other command would meet.

mod check;
mod clock;
mod feed;
mod network;

use std::path::PathBuf;
use std::time::Instant;

use clap::Args;
use kite_conn::Endpoint;
use serde_json::json;

use self::check::{Check, Finding, Sheet};
use crate::console::output::Output;
use crate::console::signals::Stop;
use crate::exit::{CliError, Status};
use crate::feed::credentials;

const EXAMPLES: &str = "\
Examples:
  kite doctor
  kite doctor --json | jq '.checks[] | select(.verdict == \"fail\")'
  kite doctor --endpoint ws://127.0.0.1:8765        against `kite sim`

Exit status: 0 when nothing failed, 1 when something did.";

/// Check the way to Kite: network, TLS, token, heartbeat, clock
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Doctor {
    /// Another server than Kite's
    #[arg(long, value_name = "URL")]
    endpoint: Option<Endpoint>,
    /// The file that has api_key and access_token
    #[arg(long, value_name = "FILE")]
    credentials: Option<PathBuf>,
    /// Print for machines
    #[arg(long)]
    json: bool,
}

/// Makes all checks and says how they went.
pub(crate) async fn run(asked: &Doctor, output: Output, stop: Stop) -> Result<Status, CliError> {
    let endpoint = asked.endpoint.clone().unwrap_or_default();
    if !asked.json {
        output.line(format_args!(
            "{} {endpoint}",
            output.paint(crate::console::output::BOLD, "endpoint")
        ))?;
    }
    let mut sheet = Sheet::new(output, !asked.json);
    tokio::select! {
        checked = examine(asked, &endpoint, &mut sheet, &stop) => checked?,
        () = stop.asked() => return Ok(Status::Done),
    }
    let has_failed = sheet.has_failed();
    if asked.json {
        output.json(&json!({
            "endpoint": endpoint.to_string(),
            "ok": !has_failed,
            "checks": sheet.to_json(),
        }))?;
    } else {
        output.line(sheet.summary())?;
    }
    Ok(if has_failed { Status::Findings } else { Status::Done })
}

async fn examine(
    asked: &Doctor,
    endpoint: &Endpoint,
    sheet: &mut Sheet,
    stop: &Stop,
) -> Result<(), CliError> {
    let probe = network::probe(endpoint);
    let addresses = sheet.run(Check::Dns, network::look_up(&probe, endpoint)).await?;
    let stream = match addresses {
        Some(addresses) => sheet.run(Check::Tcp, network::connect(&probe, &addresses)).await?,
        None => sheet.skip(Check::Tcp)?,
    };
    let stream = match stream {
        Some(stream) if endpoint.is_secure() => {
            sheet.run(Check::Tls, network::secure(&probe, stream, endpoint)).await?
        }
        Some(stream) => {
            sheet.add(Check::Tls, Finding::skipped("ws:// on this machine has none"), None)?;
            Some(stream)
        }
        None => sheet.skip(Check::Tls)?,
    };
    match stream {
        // The clock fails alone: what follows does not need it.
        Some(stream) => drop(sheet.run(Check::Clock, clock::compare(stream, endpoint)).await?),
        None => drop(sheet.skip::<()>(Check::Clock)?),
    }

    let begun = Instant::now();
    let file = asked.credentials.as_deref();
    // Nobody is asked for what cannot be tried.
    let found = match sheet.is_reached() {
        true => credentials::find(file),
        false => credentials::find_silently(file),
    };
    let found = match found {
        Ok(found) => {
            let says = format!("from {}", found.origin);
            sheet.add(Check::Credentials, Finding::ok(says), Some(begun.elapsed()))?;
            Some(found.credentials)
        }
        Err(error) => {
            sheet.add(Check::Credentials, Finding::error(&error), Some(begun.elapsed()))?;
            None
        }
    };
    // Credentials may have been asked for until here.
    stop.listen()?;
    match found.filter(|_| sheet.is_reached()) {
        Some(credentials) => feed::examine(endpoint, credentials, sheet).await,
        None => {
            for check in [Check::Handshake, Check::Token, Check::Heartbeat, Check::Ticks] {
                sheet.skip::<()>(check)?;
            }
            Ok(())
        }
    }
}
