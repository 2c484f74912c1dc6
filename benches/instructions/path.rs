//! The path of a frame from the socket to the application, for every kind of consumer.
//!
//! One thread, one real socket on loopback, production code throughout. A burst is written, then
//! received. Callgrind counts the system calls, but not the kernel's work in them.

use std::error::Error;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;
use futures_util::future::{Either, select};
use kite_wire::Mode;
use kiteticker_async_manager::kite_conn::{
    Batch, Connection, ConnectionConfig, Credentials, Endpoint, Event, EventLane, InPlace, Lane,
    LaneConfig, LaneItem, Sink, lane,
};
use kiteticker_async_manager::kite_manager::{Manager, StreamConfig, StreamItem, TickStream};
use kiteticker_async_manager::{
    ChannelId, KiteTickerManager, KiteTickerManagerBuilder, Mode as FacadeMode, TickerMessage,
};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::sync::{Notify, broadcast};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;

use crate::feeder::{Server, bursts};

type Failure = Box<dyn Error>;

/// Delivers `frames` frames to a consumer, in bursts: `20x8` is eight frames of twenty packets.
pub(crate) fn run(consumer: &str, load: &str, frames: u32) -> Result<(), Failure> {
    let (packets, per_burst) = load.split_once('x').ok_or("a load is PACKETSxBURST")?;
    let (packets, per_burst): (u32, u32) = (packets.parse()?, per_burst.parse()?);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let server = Server::bind()?;
        let address = server.address()?;
        let bursts = bursts(packets, per_burst);
        let (burst_bytes, expected) = (bursts[0].len(), u64::from(packets * per_burst));
        let accepting = tokio::spawn(server.accept(bursts));
        let mut consumer = Consumer::new(consumer, &address.to_string(), burst_bytes).await?;
        // A consumer that is not spawned as a task opens its socket here.
        let mut feeder = match select(accepting, pin!(consumer.receive(1, 0))).await {
            Either::Left((feeder, _)) => feeder??,
            Either::Right(_) => return Err("the consumer ended before its first frame".into()),
        };
        for _ in 0..frames / per_burst {
            feeder.feed()?;
            let received = consumer.receive(per_burst, expected).await?;
            if received != expected {
                return Err(format!("received {received} of {expected} packets").into());
            }
        }
        // Kept, because closing would be counted.
        std::mem::forget(consumer);
        Ok(())
    })
}

/// Counts packets, and notifies when the expected number is reached.
#[derive(Debug, Default)]
struct Counted {
    packets: AtomicU64,
    expected: AtomicU64,
    reached: Notify,
}

struct CountingSink(Arc<Counted>);

impl Sink for CountingSink {
    fn on_batch(&mut self, batch: &Batch) {
        let packets = self.0.packets.load(Ordering::Relaxed) + batch.ticks.len() as u64;
        self.0.packets.store(packets, Ordering::Relaxed);
        if packets == self.0.expected.load(Ordering::Relaxed) {
            self.0.reached.notify_one();
        }
    }

    fn on_event(&mut self, _: &Event) {}
}

/// A consumer of frames.
enum Consumer {
    /// Reads only the bytes: the baseline for the others.
    Tcp {
        socket: TcpStream,
        buffer: BytesMut,
        burst_bytes: usize,
    },
    /// tungstenite; reads only the packet count of each frame.
    Tungstenite(WebSocketStream<TcpStream>),
    InPlace {
        _connection: Connection,
        stream: InPlace,
    },
    Sink {
        _connection: Connection,
        counted: Arc<Counted>,
    },
    Lane {
        _connection: Connection,
        lane: Lane,
    },
    Stream {
        _manager: Manager,
        stream: TickStream,
    },
    Channel {
        _manager: KiteTickerManager,
        channels: Vec<broadcast::Receiver<TickerMessage>>,
    },
    Raw {
        _manager: KiteTickerManager,
        channel: broadcast::Receiver<Bytes>,
    },
}

impl Consumer {
    async fn new(name: &str, address: &str, burst_bytes: usize) -> Result<Self, Failure> {
        let url = format!("ws://{address}");
        let credentials = Credentials::new("key", "token");
        let events = EventLane::default();
        let config = ConnectionConfig {
            endpoint: Endpoint::parse(&url)?,
            track_instruments: !name.ends_with("-untracked"),
            ..ConnectionConfig::default()
        };
        let tokens: Vec<u32> = (0..200).map(|n| n << 8 | 1).collect();
        let facade = || {
            KiteTickerManagerBuilder::new("key", "token")
                .endpoint(url.clone())
                .max_connections(1)
                .build()
        };
        Ok(match name.trim_end_matches("-untracked") {
            "tcp" => {
                let mut socket = TcpStream::connect(address).await?;
                let request = "GET / HTTP/1.1\r\nSec-WebSocket-Key: x\r\n\r\n";
                tokio::io::AsyncWriteExt::write_all(&mut socket, request.as_bytes()).await?;
                let mut buffer = BytesMut::with_capacity(64 * 1024);
                while !buffer.ends_with(b"\r\n\r\n") {
                    socket.read_buf(&mut buffer).await?;
                }
                Self::Tcp { socket, buffer, burst_bytes }
            }
            "tungstenite" => {
                let socket = TcpStream::connect(address).await?;
                let config = WebSocketConfig::default().read_buffer_size(64 * 1024);
                let (socket, _) =
                    tokio_tungstenite::client_async_with_config(&url, socket, Some(config)).await?;
                Self::Tungstenite(socket)
            }
            "in-place" => {
                let (connection, stream) = Connection::in_place(config, credentials, &events, 1)?;
                connection.subscribe(&tokens, Mode::Full)?;
                Self::InPlace { _connection: connection, stream }
            }
            "sink" => {
                let counted = Arc::new(Counted::default());
                let sink = CountingSink(Arc::clone(&counted));
                let connection = Connection::spawn(config, credentials, sink, &events, 1)?;
                connection.subscribe(&tokens, Mode::Full)?;
                Self::Sink { _connection: connection, counted }
            }
            "lane" => {
                let (sink, lane) = lane(LaneConfig::default())?;
                let connection = Connection::spawn(config, credentials, sink, &events, 1)?;
                connection.subscribe(&tokens, Mode::Full)?;
                Self::Lane { _connection: connection, lane }
            }
            "stream" => {
                let manager = Manager::builder()
                    .account("mine", credentials)
                    .connections(1)
                    .endpoint(Endpoint::parse(&url)?)
                    .build()?;
                let stream = manager.stream(StreamConfig::default())?;
                manager.start().await?;
                manager.subscribe(&tokens, Mode::Full)?;
                Self::Stream { _manager: manager, stream }
            }
            "channel" | "channel-of-sixteen" => {
                let mut manager = facade();
                manager.start().await?;
                manager.subscribe_symbols(&tokens, Some(FacadeMode::Full)).await?;
                let one = || {
                    manager.get_channel(ChannelId::Connection1).ok_or("the channel does not exist")
                };
                let receivers = if name == "channel-of-sixteen" { 16 } else { 1 };
                let channels = (0..receivers).map(|_| one()).collect::<Result<_, _>>()?;
                Self::Channel { _manager: manager, channels }
            }
            "raw" => {
                let mut manager = facade().with_raw_only(true);
                manager.start().await?;
                manager.subscribe_symbols(&tokens, Some(FacadeMode::Full)).await?;
                let channel = manager.get_raw_frame_channel(ChannelId::Connection1);
                Self::Raw {
                    channel: channel.ok_or("the channel does not exist")?,
                    _manager: manager,
                }
            }
            _ => return Err("unknown consumer".into()),
        })
    }

    /// Receives a burst of frames and returns the number of packets in them.
    async fn receive(&mut self, frames: u32, expected: u64) -> Result<u64, Failure> {
        let mut packets = 0;
        match self {
            Self::Tcp { socket, buffer, burst_bytes } => {
                let mut left = *burst_bytes;
                while left > 0 {
                    buffer.clear();
                    left -= socket.read_buf(buffer).await?;
                }
                packets = expected;
            }
            Self::Tungstenite(socket) => {
                for _ in 0..frames {
                    let Some(Ok(Message::Binary(frame))) = socket.next().await else { break };
                    packets +=
                        frame.first_chunk().map_or(0, |it| u64::from(u16::from_be_bytes(*it)));
                }
            }
            Self::InPlace { stream, .. } => {
                for _ in 0..frames {
                    let Some(batch) = stream.recv().await else { break };
                    packets += batch.ticks.len() as u64;
                }
            }
            Self::Sink { counted, .. } => {
                counted.expected.store(expected, Ordering::Relaxed);
                counted.reached.notified().await;
                packets = counted.packets.swap(0, Ordering::Relaxed);
            }
            Self::Lane { lane, .. } => {
                let mut left = frames;
                while left > 0 {
                    match lane.recv().await {
                        Some(LaneItem::Batch(batch)) => packets += batch.ticks.len() as u64,
                        Some(LaneItem::Up { .. }) => continue,
                        _ => break,
                    }
                    left -= 1;
                }
            }
            Self::Stream { stream, .. } => {
                let mut left = frames;
                while left > 0 {
                    match stream.recv().await {
                        Some(StreamItem::Ticks(ticks)) => packets += ticks.batch.ticks.len() as u64,
                        Some(StreamItem::Up { .. }) => continue,
                        _ => break,
                    }
                    left -= 1;
                }
            }
            Self::Channel { channels, .. } => {
                for channel in &mut *channels {
                    for _ in 0..frames {
                        let TickerMessage::Ticks(ticks) = channel.recv().await? else { break };
                        packets += ticks.len() as u64;
                    }
                }
                packets /= channels.len() as u64;
            }
            Self::Raw { channel, .. } => {
                for _ in 0..frames {
                    let frame = channel.recv().await?;
                    packets +=
                        frame.first_chunk().map_or(0, |it| u64::from(u16::from_be_bytes(*it)));
                }
            }
        }
        Ok(packets)
    }
}
