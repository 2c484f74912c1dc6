//! The live table in the terminal.

use kite_wire::Mode;

use crate::exit::CliError;
use crate::feed::Feed;
use crate::names::{Named, Names};
use crate::signals::Stop;

/// What `kite watch` was asked for.
#[derive(Debug)]
pub(crate) struct WatchOptions {
    pub(crate) instruments: Vec<Named>,
    /// For instruments that are added while it runs.
    pub(crate) names: Names,
    pub(crate) mode: Mode,
    pub(crate) feed: Feed,
    /// Whether colours are wanted.
    pub(crate) color: bool,
    /// Whether only ASCII may be drawn.
    pub(crate) ascii: bool,
    /// Rings when a signal asks for the end.
    pub(crate) stop: Stop,
}

/// Shows the table until the user ends it.
pub(crate) async fn run(options: WatchOptions) -> Result<(), CliError> {
    let open = options.feed.open(1).await?;
    let tokens: Vec<u32> = options.instruments.iter().map(|named| named.token).collect();
    open.manager
        .subscribe(&tokens, options.mode)
        .map_err(|error| CliError::unable("cannot subscribe").because(error))?;
    options.stop.asked().await;
    Ok(())
}
