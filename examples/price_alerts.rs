//! Watches prices from a plain thread: an alert whenever an instrument has moved by a basis point.
//!
//! `cargo run --example price_alerts -- 3` exits after three alerts.
#![expect(clippy::print_stdout, reason = "a program for the terminal")]

use std::collections::HashMap;
use std::error::Error;
use std::thread;
use std::time::Duration;

use examples::{INSTRUMENTS, Market};
use kite_manager::{Amount, Latest, Manager, Mode, Price};
use tokio::runtime::Runtime;

/// The part of a price that is a basis point.
const PART: u32 = 10_000;

fn main() -> Result<(), Box<dyn Error>> {
    let alerts: usize = std::env::args().nth(1).map_or(Ok(3), |count| count.parse())?;
    // The connections run on this runtime; everything else here is ordinary code.
    let runtime = Runtime::new()?;
    let market = runtime.block_on(Market::open())?;
    let manager = Manager::builder()
        .account("mine", market.credentials()?)
        .endpoint(market.endpoint())
        .latest(true)
        .build()?;
    let latest = manager.latest().ok_or("the table is enabled above")?;
    manager.subscribe(&INSTRUMENTS, Mode::Quote)?;
    runtime.block_on(manager.start())?;

    let watching = thread::spawn(move || watch(&latest, alerts));
    watching.join().map_err(|_| "the thread panicked")?;
    runtime.block_on(manager.stop());
    Ok(())
}

/// Reads the newest prices ten times a second. The feed is never held up by it, and prices that
/// came and went in between do not matter here.
fn watch(latest: &Latest, mut alerts: usize) {
    let mut last_alerts: HashMap<u32, Price> = HashMap::new();
    while alerts > 0 {
        for token in INSTRUMENTS {
            // Nothing before its first tick.
            let Some(tick) = latest.get(token) else { continue };
            let price = tick.packet().last_price();
            let before = *last_alerts.entry(token).or_insert(price);
            let moved = Amount::from(price) - Amount::from(before);
            if moved.abs() * PART >= before && alerts > 0 {
                println!("{token}: {price}, moved by {moved}");
                last_alerts.insert(token, price);
                alerts -= 1;
            }
        }
        thread::sleep(Duration::from_millis(100));
    }
}
