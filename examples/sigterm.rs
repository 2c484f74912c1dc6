//! Runs until SIGTERM or Ctrl-C, then takes everything that was sent, closes its sockets and exits
//! with status 0.
//!
//! Run `cargo run --example sigterm`, then press Ctrl-C or send `kill -TERM` from another terminal.
#![expect(clippy::print_stdout, reason = "a program for the terminal")]

use std::error::Error;
use std::io;
use std::pin::pin;
use std::time::Duration;

use examples::{INSTRUMENTS, Market};
use kite_manager::{Manager, Mode, StreamConfig};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let market = Market::open().await?;
    let manager = Manager::builder()
        .account("mine", market.credentials()?)
        .endpoint(market.endpoint())
        .build()?;
    let mut stream = manager.stream(StreamConfig::default())?;
    manager.subscribe(&INSTRUMENTS, Mode::Full)?;

    // The handler is installed when this is first polled, below. An earlier signal ends the
    // process, which has no socket open yet.
    let mut signal = pin!(shutdown_signal());
    tokio::select! {
        started = manager.start() => started?,
        result = &mut signal => return Ok(result?),
    }
    println!("process {} streams {} instruments", std::process::id(), INSTRUMENTS.len());

    let (mut ticks, mut is_draining) = (0, false);
    loop {
        tokio::select! {
            item = stream.recv() => match item {
                Some(item) => ticks += item.packets().count(),
                None => break,
            },
            result = &mut signal, if !is_draining => {
                result?;
                // Sends a close frame on each socket. The stream ends after its last item, at the
                // latest after two seconds.
                manager.begin_drain(Duration::from_secs(2));
                is_draining = true;
            }
        }
    }
    let stopped = manager.stop().await;
    println!("stopped after {ticks} ticks, clean: {}", stopped.clean);
    Ok(())
}

/// Completes on SIGTERM or Ctrl-C.
#[cfg(unix)]
async fn shutdown_signal() -> io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        interrupted = tokio::signal::ctrl_c() => interrupted,
        _ = terminate.recv() => Ok(()),
    }
}

/// Completes on Ctrl-C.
#[cfg(not(unix))]
async fn shutdown_signal() -> io::Result<()> {
    tokio::signal::ctrl_c().await
}
