//! Streams the NIFTY options around the index, and re-centres them when it moves to another strike.
//!
//! `cargo run --example option_chain -- 1` exits after the first chain and its ticks. With your own
//! server, `KITE_INSTRUMENTS` is the path of Kite's instrument list.
#![expect(clippy::print_stdout, reason = "a program for the terminal")]

use std::error::Error;

use examples::Market;
use kite_instruments::{Date, Filter};
use kite_manager::{Amount, Manager, Mode, Rounding, StreamConfig};

const NIFTY: u32 = 256_265;
/// Rupees between two strikes, and strikes on each side of the middle.
const STEP: i64 = 50;
const SIDE: i64 = 5;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let chains: usize = std::env::args().nth(1).map_or(Ok(usize::MAX), |count| count.parse())?;
    let market = Market::open().await?;
    let instruments = market.instruments()?;
    let options = Filter::new().name("NIFTY").nearest_expiry(Date::today_in_india());
    let manager = Manager::builder()
        .account("mine", market.credentials()?)
        .endpoint(market.endpoint())
        .build()?;
    let mut stream = manager.stream(StreamConfig::default())?;
    manager.subscribe(&[NIFTY], Mode::Ltp)?;
    manager.start().await?;

    let (mut centre, mut centred, mut option_ticks) = (None, 0, 0);
    while centred < chains || option_ticks == 0 {
        let Some(item) = stream.recv().await else { break };
        for packet in item.packets() {
            if packet.instrument_token() != NIFTY {
                option_ticks += 1;
                continue;
            }
            let spot = Amount::from(packet.last_price());
            // Re-centres only well past the middle between two strikes, so that a spot near it does
            // not change the chain with every tick.
            let is_near = |it: Amount| (spot - it).abs() * 4 < Amount::from(3 * STEP);
            if centre.is_some_and(is_near) {
                continue;
            }
            let strike = spot.round_to(STEP.into(), Rounding::Nearest).ok_or("no strike")?;
            let side = Amount::from(SIDE * STEP);
            let chain = options.clone().strikes(strike - side..=strike + side);
            let chain: Vec<u32> =
                instruments.filter(&chain).map(|option| option.instrument_token).collect();
            println!("NIFTY {spot}: {} options around {strike}", chain.len());
            // Sends the differences only: options that stay are not interrupted, and those that
            // leave make room for those that come.
            let index = [(NIFTY, Mode::Ltp)];
            let options = chain.into_iter().map(|token| (token, Mode::Full));
            manager.set_subscriptions(options.chain(index))?;
            (centre, centred) = (Some(strike), centred + 1);
        }
    }
    println!("{option_ticks} ticks of options");
    manager.stop().await;
    Ok(())
}
