//! Streams from two accounts at the same time; each has its own sockets and limits.
//!
//! `cargo run --example two_accounts -- 10` exits when each account has received ten ticks.
#![expect(clippy::print_stdout, reason = "a program for the terminal")]

use std::collections::BTreeMap;
use std::error::Error;

use examples::{INSTRUMENTS, Market};
use kite_manager::{Manager, Mode, StreamConfig};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let wanted: usize = std::env::args().nth(1).map_or(Ok(10), |count| count.parse())?;
    let market = Market::open().await?;
    let manager = Manager::builder()
        .account("first", market.credentials()?)
        .account("second", market.second_credentials()?)
        .endpoint(market.endpoint())
        .connections(1)
        .build()?;

    // Each account subscribes to different instruments; a shared one would arrive twice.
    let (first, second) = INSTRUMENTS.split_at(1);
    manager.subscribe_on(&"first".into(), first, Mode::Full)?;
    manager.subscribe_on(&"second".into(), second, Mode::Full)?;
    let mut stream = manager.stream(StreamConfig::default())?;
    manager.start().await?;

    let mut ticks = BTreeMap::<String, usize>::new();
    while ticks.len() < 2 || ticks.values().any(|&ticks| ticks < wanted) {
        let Some(item) = stream.recv().await else { break };
        let Some(tagged) = item.ticks() else { continue };
        let account = tagged.account.to_string();
        for packet in tagged.packets() {
            println!("{account} {:>7} {:>10}", packet.instrument_token(), packet.last_price());
        }
        *ticks.entry(account).or_default() += tagged.batch.ticks.len();
    }
    manager.stop().await;
    for (account, ticks) in ticks {
        println!("{account}: {ticks} ticks");
    }
    Ok(())
}
