//! `-v`: logs of the crates below, on standard error.

use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::fmt;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

use super::log_line::{JsonLogs, LogFormat};
use crate::exit::CliError;

/// Returns whether the events of connections and of clients are logged.
pub(crate) fn are_shown() -> bool {
    tracing::event_enabled!(target: "kite_conn", tracing::Level::INFO)
}

/// Shows the logs of the project's own crates: `-v` is INFO, `-vv` DEBUG, `-vvv` TRACE.
///
/// Other crates stay silent: tungstenite logs the request line at TRACE, with the access token.
pub(crate) fn show(verbosity: u8, format: LogFormat) -> Result<(), CliError> {
    let level = match verbosity {
        0 => return Ok(()),
        1 => LevelFilter::INFO,
        2 => LevelFilter::DEBUG,
        _ => LevelFilter::TRACE,
    };
    let ours = [
        "kite",
        "kite_conn",
        "kite_http",
        "kite_manager",
        "kite_relay",
        "kite_server",
        "kite_sim",
        "kite_tape",
        "kite_instruments",
        "kite_export",
    ];
    tracing_subscriber::registry()
        .with((format == LogFormat::Json).then_some(JsonLogs))
        .with((format == LogFormat::Text).then(|| fmt::layer().with_writer(std::io::stderr)))
        .with(Targets::new().with_targets(ours.map(|target| (target, level))))
        .try_init()
        .map_err(|error| CliError::unable("cannot set up the logs").because(error))
}
