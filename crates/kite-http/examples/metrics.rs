//! Prints the metrics of a simulated feed with a relay and a recorder.
//!
//! ```sh
//! cargo run -p kite-http --example metrics | promtool check metrics
//! ```

#![expect(clippy::print_stdout, reason = "a command prints its result")]

use std::error::Error;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, SystemTime};

use kite_http::HttpServer;
use kite_manager::{Credentials, Endpoint, Manager, Mode};
use kite_relay::{Relay, RelayClient};
use kite_sim::{ACCESS_TOKEN, API_KEY, Sim};
use kite_tape::{Recorder, RecorderConfig};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let sim = Sim::builder().start().await?;
    let manager = Manager::builder()
        .endpoint(Endpoint::parse(&sim.endpoint())?)
        .account("main", Credentials::new(API_KEY, ACCESS_TOKEN))
        .build()?;
    manager.subscribe(&[256_265, 408_065, 738_561], Mode::Full)?;
    let local = "127.0.0.1:0".parse()?;
    let client = RelayClient::new("research", Credentials::new("research", "a-long-secret"));
    let relay = Relay::builder().listen(local).client(client).start(&manager).await?;
    // A client that connects, so that there are series of it.
    let research = Manager::builder()
        .endpoint(Endpoint::parse(&relay.endpoint())?)
        .account("research", Credentials::new("research", "a-long-secret"))
        .connections(1)
        .build()?;
    let tapes = tempfile::tempdir()?;
    let recorder = Recorder::start(tapes.path(), RecorderConfig::default())?;
    let counts = relay.counts();
    let http = HttpServer::builder(&manager)
        .listen(local)
        .relay(move || counts.stats())
        .recorder(tapes.path(), move || recorder.stats())
        .token_expires(|| Some(SystemTime::now() + Duration::from_secs(6 * 60 * 60)))
        .start()?;
    manager.start().await?;
    research.start().await?;
    manager.wait_until_live(Duration::from_secs(10)).await?;

    let mut stream = TcpStream::connect(http.address())?;
    let host = http.address();
    write!(stream, "GET /metrics HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let (_, metrics) = answer.split_once("\r\n\r\n").ok_or("no body")?;
    print!("{metrics}");
    Ok(())
}
