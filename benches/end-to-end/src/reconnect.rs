//! Measures the time from the server's accept to the last subscription of a connection with 3,000
//! instruments.

use std::io::Read;
use std::net::TcpListener;
use std::time::{Duration, Instant};

use benches::server::shake_hands;
use kite_conn::{Connection, ConnectionConfig, Credentials, Endpoint, EventLane, Reconnect};
use kite_wire::Mode;

use crate::Failure;

/// Silence after which no further subscription is expected.
const QUIET: Duration = Duration::from_millis(100);

/// Number of reconnects that are measured.
const RECONNECTS: usize = 41;

/// Measures reconnects and prints the result.
pub fn report() -> Result<(), Failure> {
    let times = measure(RECONNECTS)?;
    let (Some(median), Some(longest)) = (times.get(RECONNECTS / 2), times.last()) else {
        return Err("no reconnect was measured".into());
    };
    println!(
        "\nReconnect of 3,000 instruments, from the server's accept to the last subscription: \
         {:.2} ms, the longest of {RECONNECTS} {:.2} ms.",
        median.as_secs_f64() * 1e3,
        longest.as_secs_f64() * 1e3,
    );
    Ok(())
}

/// Returns the times of `reconnects` reconnects, in ascending order, including the server's part.
fn measure(reconnects: usize) -> Result<Vec<Duration>, Failure> {
    let runtime = tokio::runtime::Runtime::new()?;
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let config = ConnectionConfig {
        endpoint: Endpoint::parse(&format!("ws://{}/", listener.local_addr()?))?,
        reconnect: Reconnect {
            delay: Duration::from_millis(1),
            // Every attempt counts as the first, so the delay does not grow.
            stable_after: Duration::from_millis(1),
            ..Default::default()
        },
        ..ConnectionConfig::default()
    };
    let events = EventLane::default();
    let entered = runtime.enter();
    let credentials = Credentials::new("api_key", "access_token");
    let connection = Connection::spawn(config, credentials, (), &events, 0)?;
    drop(entered);
    let tokens: Vec<u32> = (0..3_000).map(|n| n << 8 | 1).collect();
    connection.subscribe(&tokens, Mode::Full)?;
    let mut times = Vec::new();
    // One more, because the first is the initial connect.
    for _ in 0..=reconnects {
        let (mut socket, _) = listener.accept()?;
        let accepted = Instant::now();
        shake_hands(&mut socket)?;
        socket.set_read_timeout(Some(QUIET))?;
        let (mut last, mut bytes, mut buffer) = (accepted, 0, vec![0; 64 * 1024]);
        while let Ok(read @ 1..) = socket.read(&mut buffer) {
            (last, bytes) = (Instant::now(), bytes + read);
        }
        // At least five digits and a comma per token, and the same again for the modes.
        if bytes < 2 * 3_000 * 6 {
            return Err(format!("only {bytes} bytes of subscriptions were received").into());
        }
        times.push(last - accepted);
    }
    times.remove(0);
    times.sort_unstable();
    Ok(times)
}
