//! Prints the first ticks of three instruments, then exits.
//!
//! `cargo run --example first_ticks -- 20` prints 20 ticks.
#![expect(clippy::print_stdout, reason = "a program for the terminal")]

use std::error::Error;

use examples::{INSTRUMENTS, Market};
use kite_manager::{Manager, Mode, StreamConfig, StreamItem};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut left: usize = std::env::args().nth(1).map_or(Ok(20), |count| count.parse())?;
    let market = Market::open().await?;
    let manager = Manager::builder()
        .account("mine", market.credentials()?)
        .endpoint(market.endpoint())
        .build()?;

    // Open the stream and subscribe before starting, so that no tick is missed.
    let mut stream = manager.stream(StreamConfig::default())?;
    manager.subscribe(&INSTRUMENTS, Mode::Full)?;
    manager.start().await?;

    while left > 0 {
        let Some(item) = stream.recv().await else { break };
        for packet in item.packets().take(left) {
            left -= 1;
            // An index has no volume. A `Price` is displayed in rupees.
            let volume = packet.volume().map_or("-".into(), |volume| volume.to_string());
            println!(
                "{:>7} {:>10} volume {volume}",
                packet.instrument_token(),
                packet.last_price()
            );
        }
        if let StreamItem::Dropped { ticks, .. } = item {
            eprintln!("this program is too slow: {ticks} ticks dropped");
        }
    }
    manager.stop().await;
    Ok(())
}
