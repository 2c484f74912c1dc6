//! The measured process: the relay, or the bare loop that it is compared with.

use std::time::Duration;

use benches::{Contents, frame};
use futures_util::stream::{SelectAll, select_all};
use futures_util::{SinkExt, StreamExt};
use kite_conn::Credentials;
use kite_relay::{Relay, RelayClient, RelayStats};
use kite_wire::{Command, Mode};
use serde::{Deserialize, Serialize};
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Bytes, Message};
use tokio_tungstenite::{WebSocketStream, accept_async, client_async_with_config};

use super::readers::{ACCESS_TOKEN, API_KEY};
use super::shape::{Shape, Side, UPSTREAMS};
use crate::Failure;
use crate::clients;
use crate::load::{read_line, send_line};
use crate::machine::{Memory, cpu_seconds};

/// Bytes per read from the feed, as the manager's default.
const READ_BUFFER: usize = 64 * 1024;

/// What the process used while the feed was sent.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Used {
    /// CPU seconds in user mode; `system_s` is the time in the kernel.
    pub user_s: f64,
    pub system_s: f64,
    /// Peak memory above what the process had before its clients connected.
    pub clients_bytes: u64,
    /// What the relay counted: ticks missed upstream, replaced, dropped.
    pub missed: u64,
    pub replaced: u64,
    pub dropped: u64,
}

/// Connects to the feed and receives its first packets, writes its port, and measures between two
/// lines.
pub fn run(side: Side, shape: Shape, upstream: u16) -> Result<(), Failure> {
    // As `kite serve` does.
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(shape.threads as usize)
        .enable_all()
        .build()?;
    match side {
        Side::Bare => {
            let (upstreams, listener) = runtime.block_on(bare_start(shape, upstream))?;
            runtime.spawn(async move {
                if let Err(error) = bare(shape, upstreams, listener).await {
                    eprintln!("bare loop: {error}");
                }
            });
            measure(RelayStats::default)
        }
        Side::Relay => {
            let (relay, _manager) = runtime.block_on(async {
                let manager = clients::manager(upstream, UPSTREAMS as usize)?;
                let relay = start(&shape, &manager).await?;
                Ok::<_, Failure>((relay, manager))
            })?;
            measure(|| relay.stats())
        }
    }
}

fn measure(stats: impl Fn() -> RelayStats) -> Result<(), Failure> {
    let before = Memory::read()?;
    read_line()?;
    let (user, system) = cpu_seconds()?;
    send_line("started")?;
    read_line()?;
    let (user_after, system_after) = cpu_seconds()?;
    let stats = stats();
    let used = Used {
        user_s: user_after - user,
        system_s: system_after - system,
        clients_bytes: Memory::read()?.peak.saturating_sub(before.resident),
        missed: stats.ticks_missed,
        replaced: stats.replaced,
        dropped: stats.dropped,
    };
    send_line(&serde_json::to_string(&used)?)?;
    Ok(())
}

async fn start(shape: &Shape, manager: &kite_manager::Manager) -> Result<Relay, Failure> {
    let client = RelayClient::new("bench", Credentials::new(API_KEY, ACCESS_TOKEN))
        .max_sockets(None)
        .max_instruments(shape.instruments as usize);
    let instruments: Vec<_> = shape.tokens().iter().map(|&token| (token, Mode::Full)).collect();
    let relay = Relay::builder()
        .listen("127.0.0.1:0".parse()?)
        .client(client)
        .instruments(&instruments)
        .start(manager)
        .await?;
    manager.start().await?;
    while relay.stats().ticks_in < u64::from(shape.instruments) {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    send_line(&relay.address().port().to_string())?;
    Ok(relay)
}

type Upstreams = SelectAll<WebSocketStream<TcpStream>>;

/// Subscribes the feed and receives the first packet of each instrument.
async fn bare_start(shape: Shape, upstream: u16) -> Result<(Upstreams, TcpListener), Failure> {
    let mut sockets = Vec::new();
    for tokens in shape.tokens().chunks(shape.instruments.div_ceil(UPSTREAMS) as usize) {
        let socket = TcpStream::connect(("127.0.0.1", upstream)).await?;
        socket.set_nodelay(true)?;
        let request = format!("ws://127.0.0.1:{upstream}/").into_client_request()?;
        let config = WebSocketConfig::default().read_buffer_size(READ_BUFFER);
        let (mut socket, _) = client_async_with_config(request, socket, Some(config)).await?;
        socket.send(Message::text(Command::Mode(Mode::Full, tokens).to_string())).await?;
        sockets.push(socket);
    }
    let mut upstreams = select_all(sockets);
    let mut ticks = 0;
    while ticks < shape.instruments {
        let message = upstreams.next().await.ok_or("the feed ended")??;
        if let Message::Binary(frame) = message
            && let Some(&packets) = frame.first_chunk()
        {
            ticks += u32::from(u16::from_be_bytes(packets));
        }
    }
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    send_line(&listener.local_addr()?.port().to_string())?;
    Ok((upstreams, listener))
}

/// Writes each frame to all clients, one after the other.
async fn bare(shape: Shape, mut feed: Upstreams, listener: TcpListener) -> Result<(), Failure> {
    let mut sockets = Vec::new();
    let first = Bytes::from(frame(Contents::Full, 0, 1));
    for _ in 0..shape.sockets() {
        let socket = listener.accept().await?.0;
        socket.set_nodelay(true)?;
        let mut socket = accept_async(socket).await?;
        while !socket.next().await.ok_or("a client left")??.is_text() {}
        socket.send(Message::Binary(first.clone())).await?;
        sockets.push(socket);
    }
    while let Some(message) = feed.next().await {
        if let Message::Binary(frame) = message? {
            for socket in &mut sockets {
                socket.send(Message::Binary(frame.clone())).await?;
            }
        }
    }
    Ok(())
}
