//! How long a connection of 3,000 instruments takes from the server's accept to its last
//! subscription.

use std::io::Read;
use std::net::TcpListener;
use std::time::{Duration, Instant};

use benches::server::shake_hands;
use kite_conn::{Reconnect, Connection, ConnectionConfig, Credentials, Endpoint, EventLane};
use kite_wire::Mode;

use crate::Failure;

/// Silence after which no further subscription is expected.
const QUIET: Duration = Duration::from_millis(100);

/// How many are measured.
const RECONNECTS: usize = 41;

/// Measures and prints it.
pub fn report() -> Result<(), Failure> {
    let times = measure(RECONNECTS)?;
    let (Some(median), Some(longest)) = (times.get(RECONNECTS / 2), times.last()) else {
        return Err("no reconnect".into());
    };
    println!(
        "\nReconnect of 3,000 instruments, from the server's accept to the last subscription: \
         {:.2} ms, the longest of {RECONNECTS} {:.2} ms.",
        median.as_secs_f64() * 1e3,
        longest.as_secs_f64() * 1e3,
    );
    Ok(())
}

/// Gives the times of some reconnects, the shortest first. The server's own part is in them.
fn measure(reconnects: usize) -> Result<Vec<Duration>, Failure> {
    let runtime = tokio::runtime::Runtime::new()?;
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let config = ConnectionConfig { 
        endpoint: Endpoint::parse(&format!("ws://{}/", listener.local_addr()?))?,reconnect: Reconnect { 
        delay: Duration::from_millis(1), 
        // Each try is a first one.
        stable_after: Duration::from_millis(1), ..Default::default() }, ..ConnectionConfig::default() };
    let events = EventLane::default();
    let entered = runtime.enter();
    let credentials = Credentials::new("api_key", "access_token");
    let connection = Connection::spawn(config, credentials, (), &events, 0)?;
    drop(entered);
    let tokens: Vec<u32> = (0..3_000).map(|n| n << 8 | 1).collect();
    connection.subscribe(&tokens, Mode::Full)?;
    let mut times = Vec::new();
    // The first is no reconnect.
    for _ in 0..=reconnects {
        let (mut socket, _) = listener.accept()?;
        let accepted = Instant::now();
        shake_hands(&mut socket)?;
        socket.set_read_timeout(Some(QUIET))?;
        let (mut last, mut bytes, mut buffer) = (accepted, 0, vec![0; 64 * 1024]);
        while let Ok(read @ 1..) = socket.read(&mut buffer) {
            (last, bytes) = (Instant::now(), bytes + read);
        }
        // Five digits and a comma for each token at least, and as much again for the modes.
        if bytes < 2 * 3_000 * 6 {
            return Err(format!("{bytes} bytes of subscriptions, which are not all").into());
        }
        times.push(last - accepted);
    }
    times.remove(0);
    times.sort_unstable();
    Ok(times)
}
