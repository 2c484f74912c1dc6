//! What `kite` shows without arguments: the live table over the simulator.

use kite_wire::Mode;

use crate::exit::CliError;
use crate::feed::{Feed, SimFeed};
use crate::names::Names;
use crate::signals::Stop;
use crate::watch::{self, WatchOptions};

/// What `kite demo` was asked for.
#[derive(Debug)]
pub(crate) struct DemoOptions {
    pub(crate) feed: SimFeed,
    pub(crate) color: bool,
    pub(crate) ascii: bool,
    pub(crate) stop: Stop,
}

/// Shows the demonstration until the user ends it.
pub(crate) async fn run(options: DemoOptions) -> Result<(), CliError> {
    let names = Names::built_in();
    watch::run(WatchOptions {
        instruments: names.usual(),
        names,
        mode: Mode::Full,
        feed: Feed::Sim(options.feed),
        color: options.color,
        ascii: options.ascii,
        stop: options.stop,
    })
    .await
}
