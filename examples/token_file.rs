//! Reads the access token from a file, and picks up the next day's when another program writes it.
//!
//! `cargo run --example token_file -- 40` exits after 40 ticks. The simulator's token expires after
//! two seconds. With a real server, set `KITE_TOKEN_FILE` to the path of the file.
#![expect(clippy::print_stdout, reason = "a program for the terminal")]

use std::error::Error;
use std::io;
use std::path::{Path, PathBuf};

use examples::{INSTRUMENTS, Market};
use kite_manager::{Credentials, Manager, Mode, StreamConfig, TokenSource};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let wanted: u64 = std::env::args().nth(1).map_or(Ok(40), |count| count.parse())?;
    let market = Market::open().await?;
    let (api_key, path) = market.token_file()?;
    let credentials = Credentials::new(api_key, read(&path).await?);
    let manager = Manager::builder()
        .account("mine", credentials)
        .endpoint(market.endpoint())
        .connections(1)
        .connection(|connection| connection.token_source = Some(token_source(path)))
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

/// Called after a refusal, until it returns new credentials.
fn token_source(path: PathBuf) -> TokenSource {
    TokenSource::new(move |request| {
        let path = path.clone();
        async move {
            let token = read(&path).await?;
            if token == request.current.access_token().expose() {
                return Err(io::Error::other("the file still has the refused token"));
            }
            Ok(request.current.with_access_token(token))
        }
    })
}

async fn read(path: &Path) -> io::Result<String> {
    Ok(tokio::fs::read_to_string(path).await?.trim().to_owned())
}
