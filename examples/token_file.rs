//! Reads the access token from a file, and picks up the next day's when another program, such as
//! `kite login`, writes it.
//!
//! `cargo run --example token_file -- 40` exits after 40 ticks. The simulator's token expires after
//! two seconds. With a real server, set `KITE_TOKEN_FILE` to the path of the credentials file.
#![expect(clippy::print_stdout, reason = "a program for the terminal")]

use std::error::Error;

use examples::{INSTRUMENTS, Market};
use kite_manager::{Manager, Mode, StreamConfig, TokenFile};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let wanted: u64 = std::env::args().nth(1).map_or(Ok(40), |count| count.parse())?;
    let market = Market::open().await?;
    let file = TokenFile::new(market.token_file()?);
    let manager = Manager::builder()
        .account("mine", file.read()?)
        .endpoint(market.endpoint())
        .connections(1)
        .connection(|connection| connection.token_source = Some(file.source()))
        .build()?;
    let mut stream = manager.stream(StreamConfig::default())?;
    let mut events = manager.events();
    manager.subscribe(&INSTRUMENTS, Mode::Full)?;
    manager.start().await?;

    let mut ticks = 0;
    while ticks < wanted {
        tokio::select! {
            Some(item) = stream.recv() => {
                ticks += item.packets().count() as u64;
                println!("{ticks} ticks");
            }
            Some(event) = events.recv() => println!("{event}"),
            else => break,
        }
    }
    manager.stop().await;
    Ok(())
}
