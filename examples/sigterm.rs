//! Runs until SIGTERM or Ctrl-C, then closes its sockets and ends with status 0.
//!
//! `cargo run --example sigterm`, and `kill -TERM` from another terminal.
#![expect(clippy::print_stdout, reason = "a program for the terminal")]

use std::error::Error;
use std::io;
use std::pin::pin;

use examples::{INSTRUMENTS, Market};
use kite_manager::{Manager, Mode, StreamConfig, StreamItem};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let market = Market::open().await?;
    let manager = Manager::builder()
        .account("mine", market.credentials()?)
        .endpoint(market.endpoint())
        .build()?;
    let mut stream = manager.stream(StreamConfig::default())?;
    manager.subscribe(&INSTRUMENTS, Mode::Full)?;

    // Listened for from here on: before it, a signal ends the process at once, and nothing is lost.
    let mut ended = pin!(ended());
    tokio::select! {
        started = manager.start() => started?,
        signal = &mut ended => return Ok(signal?),
    }
    println!("process {} streams {} instruments", std::process::id(), INSTRUMENTS.len());

    let mut ticks = 0;
    loop {
        tokio::select! {
            item = stream.recv() => match item {
                Some(StreamItem::Ticks(batch)) => ticks += batch.batch.ticks.len(),
                Some(_) => {}
                None => break,
            },
            signal = &mut ended => {
                signal?;
                break;
            }
        }
    }
    // Sends each server a close frame and waits for its answer, two seconds at most.
    manager.stop().await;
    println!("stopped after {ticks} ticks");
    Ok(())
}

#[cfg(unix)]
async fn ended() -> io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        interrupted = tokio::signal::ctrl_c() => interrupted,
        _ = terminate.recv() => Ok(()),
    }
}

#[cfg(not(unix))]
async fn ended() -> io::Result<()> {
    tokio::signal::ctrl_c().await
}
