//! The clients that are compared: bare loops, this project's and a published one.

use std::ops::ControlFlow;

use clap::ValueEnum;
use futures_util::StreamExt;
use futures_util::stream::select_all;
use http::Uri;
use kite_conn::{
    Batch, Connection, ConnectionConfig, Credentials, Endpoint, Event, EventLane, LaneConfig,
    LaneItem, Sink, Transport, lane,
};
use kite_manager::{Manager, StreamConfig, StreamItem};
use kiteticker_async_manager::{ChannelId, KiteTickerManagerBuilder, TickerMessage};
use serde::{Deserialize, Serialize};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{broadcast, mpsc, oneshot};
use tokio::task::JoinSet;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Bytes, Message};
use tokio_tungstenite::{WebSocketStream, client_async_with_config};

use crate::Failure;
use crate::application::{Application, Work};
use crate::load::Load;
use crate::reader::Reader;
use crate::shown;

/// A path from the socket to the application.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Client {
    /// Only reads the bytes from TCP.
    Tcp,
    /// A loop over tokio-tungstenite with our read buffer; the baseline.
    Bare,
    /// The same with tungstenite's default read buffer of 128 KiB.
    BareDefault,
    /// The bare loop, with one task for all sockets.
    BareMerged,
    /// The bare loop with a bounded tokio channel to another task.
    BareChannel,
    /// A loop over tokio-websockets.
    TokioWebsockets,
    /// A loop over a hand-written reader that checks nothing.
    ByHand,
    /// Our in-place stream per connection, which drives its socket.
    InPlace,
    /// Our single in-place stream for all connections.
    InPlaceMerged,
    /// Our sink, called on the connection's task.
    Inline,
    /// Our lane per connection, which blocks.
    Lane,
    /// Our manager's merged stream, which blocks.
    Typed,
    /// The same, subscribed to what it is sent, beside an HTTP server that is not asked.
    Shown,
    /// The same, with the server scraped each second; the CPU includes the scraper's.
    Scraped,
    /// Our facade's channels.
    Facade,
    /// Our facade's channels, with sixteen receivers on the first connection.
    FacadeSixteen,
    /// Our facade's raw channels.
    FacadeRaw,
    /// kiteconnect 1.0.1.
    Kiteconnect,
}

impl Client {
    /// Returns the name in a table.
    pub fn label(self) -> &'static str {
        match self {
            Self::Tcp => "TCP alone",
            Self::Bare => "bare loop",
            Self::BareDefault => "bare loop, 128 KiB buffer",
            Self::BareMerged => "bare loop, one task",
            Self::BareChannel => "bare loop, channel of 8",
            Self::TokioWebsockets => "tokio-websockets loop",
            Self::ByHand => "reader by hand",
            Self::InPlace => "in place",
            Self::InPlaceMerged => "in place, merged",
            Self::Inline => "inline sink",
            Self::Lane => "lane (Block)",
            Self::Typed => "typed stream (Block)",
            Self::Shown => "typed stream, HTTP server idle",
            Self::Scraped => "typed stream, scraped each second",
            Self::Facade => "facade channel",
            Self::FacadeSixteen => "facade channel, 16 receivers",
            Self::FacadeRaw => "facade raw",
            Self::Kiteconnect => "kiteconnect 1.0.1",
        }
    }
}

/// A run to make.
#[derive(Debug, Clone, Copy)]
pub struct Run {
    pub client: Client,
    pub work: Work,
    pub load: Load,
    pub port: u16,
    /// Bytes per read from the socket, for the bare loops and our clients.
    pub read_buffer: usize,
}

type Consumers = JoinSet<Result<Application, Failure>>;

impl Run {
    /// Connects and consumes until the last frame of every connection, and returns the application
    /// of each consumer.
    pub async fn consume(self) -> Result<Vec<Application>, Failure> {
        let mut consumers = Consumers::new();
        // Must live as long as the consumers.
        let _kept: Box<dyn Send> = match self.client {
            Client::Tcp => self.each(&mut consumers, Self::tcp),
            Client::Bare | Client::BareDefault => self.each(&mut consumers, Self::bare),
            Client::BareMerged => {
                consumers.spawn(self.bare_merged());
                Box::new(())
            }
            Client::BareChannel => self.each(&mut consumers, Self::bare_channel),
            Client::TokioWebsockets => self.each(&mut consumers, Self::tokio_websockets),
            Client::ByHand => self.each(&mut consumers, Self::by_hand),
            Client::InPlace => self.each(&mut consumers, Self::in_place),
            Client::InPlaceMerged => {
                consumers.spawn(self.in_place_merged());
                Box::new(())
            }
            Client::Inline => self.each(&mut consumers, Self::inline),
            Client::Lane => self.each(&mut consumers, Self::lane),
            Client::Typed => {
                let manager = manager(self.port, self.load.connections)?;
                self.typed(&mut consumers, manager).await?
            }
            Client::Shown | Client::Scraped => {
                let manager = shown::subscribed(&self)?;
                let server = shown::serve(&manager, self.client == Client::Scraped)?;
                Box::new((self.typed(&mut consumers, manager).await?, server))
            }
            Client::Facade | Client::FacadeSixteen => self.facade(&mut consumers).await?,
            Client::FacadeRaw => self.facade_raw(&mut consumers).await?,
            Client::Kiteconnect => self.each(&mut consumers, Self::kiteconnect),
        };
        let mut received = Vec::new();
        while let Some(consumer) = consumers.join_next().await {
            received.push(consumer??);
        }
        Ok(received)
    }

    fn each<F>(self, consumers: &mut Consumers, consume: fn(Self, usize) -> F) -> Box<dyn Send>
    where
        F: Future<Output = Result<Application, Failure>> + Send + 'static,
    {
        for number in 0..self.load.connections {
            consumers.spawn(consume(self, number));
        }
        Box::new(())
    }

    fn application(&self) -> Result<Application, Failure> {
        Application::new(self.work, self.load.rate > 0)
    }

    async fn socket(&self) -> Result<TcpStream, Failure> {
        let socket = TcpStream::connect(("127.0.0.1", self.port)).await?;
        socket.set_nodelay(true)?;
        Ok(socket)
    }

    fn url(&self) -> String {
        format!("ws://127.0.0.1:{}/", self.port)
    }

    async fn web_socket(&self) -> Result<WebSocketStream<TcpStream>, Failure> {
        let config = match self.client {
            Client::BareDefault => WebSocketConfig::default(),
            _ => WebSocketConfig::default().read_buffer_size(self.read_buffer),
        };
        let request = self.url().into_client_request()?;
        Ok(client_async_with_config(request, self.socket().await?, Some(config)).await?.0)
    }

    async fn tcp(self, _: usize) -> Result<Application, Failure> {
        // Only the handshake uses the WebSocket; the rest is read from the socket below it.
        let mut socket = self.web_socket().await?.into_inner();
        let mut buffer = vec![0; self.read_buffer];
        let mut application = self.application()?;
        let mut bytes = 0;
        while let read @ 1.. = socket.read(&mut buffer).await? {
            bytes += read as u64;
        }
        // A frame has a header and a count in addition to its packets.
        let frame = 2 + 186 * u64::from(self.load.packets);
        let header = if frame < 65_536 { 4 } else { 10 };
        let overhead = self.load.frames * (header + 2) + 4 + 2;
        application.ticks = bytes.saturating_sub(overhead) / 186;
        Ok(application)
    }

    async fn bare(self, _: usize) -> Result<Application, Failure> {
        let mut socket = self.web_socket().await?;
        let mut application = self.application()?;
        while let Some(message) = socket.next().await {
            if let Message::Binary(bytes) = message?
                && application.on_bytes(&bytes).is_break()
            {
                return Ok(application);
            }
        }
        Err("the socket ended before its last frame".into())
    }

    async fn bare_merged(self) -> Result<Application, Failure> {
        let mut sockets = Vec::new();
        for _ in 0..self.load.connections {
            sockets.push(self.web_socket().await?);
        }
        let mut messages = select_all(sockets);
        let mut application = self.application()?;
        let mut left = self.load.connections;
        while let Some(message) = messages.next().await {
            // A socket ends after its last frame, while others continue.
            if let Ok(Message::Binary(bytes)) = message
                && application.on_bytes(&bytes).is_break()
            {
                left -= 1;
                if left == 0 {
                    return Ok(application);
                }
            }
        }
        Err("the sockets ended before their last frames".into())
    }

    async fn bare_channel(self, _: usize) -> Result<Application, Failure> {
        let mut socket = self.web_socket().await?;
        let (sender, mut receiver) = mpsc::channel::<Bytes>(8);
        tokio::spawn(async move {
            while let Some(Ok(message)) = socket.next().await {
                if let Message::Binary(bytes) = message
                    && sender.send(bytes).await.is_err()
                {
                    return;
                }
            }
        });
        let mut application = self.application()?;
        while let Some(bytes) = receiver.recv().await {
            if application.on_bytes(&bytes).is_break() {
                return Ok(application);
            }
        }
        Err("the channel ended before its last frame".into())
    }

    async fn tokio_websockets(self, _: usize) -> Result<Application, Failure> {
        let uri: Uri = self.url().parse()?;
        let builder = tokio_websockets::ClientBuilder::from_uri(uri);
        let (mut socket, _) = builder.connect_on(self.socket().await?).await?;
        let mut application = self.application()?;
        while let Some(message) = socket.next().await {
            let message = message?;
            if message.is_binary() && application.on_bytes(message.as_payload()).is_break() {
                return Ok(application);
            }
        }
        Err("the socket ended before its last frame".into())
    }

    async fn by_hand(self, _: usize) -> Result<Application, Failure> {
        let socket = self.web_socket().await?.into_inner();
        let mut reader = Reader::new(socket, self.read_buffer);
        let mut application = self.application()?;
        while let Some(frame) = reader.next().await? {
            if application.on_bytes(&frame).is_break() {
                return Ok(application);
            }
        }
        Err("the socket ended before its last frame".into())
    }

    async fn in_place(self, number: usize) -> Result<Application, Failure> {
        let events = EventLane::default();
        let (_connection, mut stream) =
            Connection::in_place(self.config()?, credentials(), &events, number)?;
        let mut application = self.application()?;
        while let Some(batch) = stream.recv().await {
            if application.on_batch(&batch.ticks).is_break() {
                return Ok(application);
            }
        }
        Err("the stream ended before its last frame".into())
    }

    fn config(&self) -> Result<ConnectionConfig, Failure> {
        Ok(ConnectionConfig {
            endpoint: Endpoint::parse(&self.url())?,
            transport: Transport { read_buffer_bytes: self.read_buffer, ..Default::default() },
            ..ConnectionConfig::default()
        })
    }

    async fn inline(self, number: usize) -> Result<Application, Failure> {
        let (done, is_done) = oneshot::channel();
        let sink = Inline { application: Some((self.application()?, done)) };
        let events = EventLane::default();
        let _connection = Connection::spawn(self.config()?, credentials(), sink, &events, number)?;
        Ok(is_done.await?)
    }

    async fn lane(self, number: usize) -> Result<Application, Failure> {
        let (sink, mut lane) = lane(LaneConfig::default())?;
        let events = EventLane::default();
        let _connection = Connection::spawn(self.config()?, credentials(), sink, &events, number)?;
        let mut application = self.application()?;
        while let Some(item) = lane.recv().await {
            if let LaneItem::Batch(batch) = item
                && application.on_batch(&batch.ticks).is_break()
            {
                return Ok(application);
            }
        }
        Err("the lane ended before its last frame".into())
    }

    async fn typed(
        self,
        consumers: &mut Consumers,
        manager: Manager,
    ) -> Result<Box<dyn Send>, Failure> {
        let mut stream = manager.stream(StreamConfig::default())?;
        let mut application = self.application()?;
        consumers.spawn(async move {
            let mut left = self.load.connections;
            while let Some(item) = stream.recv().await {
                if let StreamItem::Ticks(ticks) = item
                    && application.on_batch(&ticks.batch.ticks).is_break()
                {
                    left -= 1;
                    if left == 0 {
                        return Ok(application);
                    }
                }
            }
            Err("the stream ended before the last frames".into())
        });
        manager.start().await?;
        Ok(Box::new(manager))
    }

    async fn in_place_merged(self) -> Result<Application, Failure> {
        let manager = manager(self.port, self.load.connections)?;
        let mut stream = manager.start_in_place()?;
        let mut application = self.application()?;
        let mut left = self.load.connections;
        while let Some(ticks) = stream.recv().await {
            if application.on_batch(&ticks.batch.ticks).is_break() {
                left -= 1;
                if left == 0 {
                    return Ok(application);
                }
            }
        }
        Err("the stream ended before the last frames".into())
    }

    fn builder(&self) -> KiteTickerManagerBuilder {
        let read_buffer = self.read_buffer;
        KiteTickerManagerBuilder::new("api_key", "access_token")
            .endpoint(self.url())
            .max_connections(self.load.connections)
            .connection(|connection| connection.transport.read_buffer_bytes = read_buffer)
    }

    fn channels(&self) -> impl Iterator<Item = ChannelId> {
        let channels = [ChannelId::Connection1, ChannelId::Connection2, ChannelId::Connection3];
        channels.into_iter().take(self.load.connections)
    }

    async fn facade(self, consumers: &mut Consumers) -> Result<Box<dyn Send>, Failure> {
        let mut manager = self.builder().build();
        manager.start().await?;
        for (number, channel) in self.channels().enumerate() {
            let receivers =
                if self.client == Client::FacadeSixteen && number == 0 { 16 } else { 1 };
            for _ in 0..receivers {
                let mut channel = manager.get_channel(channel).ok_or("no such channel")?;
                let mut application = self.application()?;
                consumers.spawn(async move {
                    loop {
                        match channel.recv().await {
                            Ok(TickerMessage::Ticks(ticks)) => {
                                if application.on_facade(&ticks).is_break() {
                                    return Ok(application);
                                }
                            }
                            Ok(_) => {}
                            Err(RecvError::Lagged(lost)) => application.lost += lost,
                            Err(RecvError::Closed) => return Err("the channel ended".into()),
                        }
                    }
                });
            }
        }
        Ok(Box::new(manager))
    }

    async fn facade_raw(self, consumers: &mut Consumers) -> Result<Box<dyn Send>, Failure> {
        let mut manager = self.builder().raw_only(true).build();
        manager.start().await?;
        for channel in self.channels() {
            let channel = manager.get_raw_frame_channel(channel).ok_or("no such channel")?;
            consumers.spawn(receive_raw(channel, self.application()?));
        }
        Ok(Box::new(manager))
    }

    async fn kiteconnect(self, _: usize) -> Result<Application, Failure> {
        let token = kiteconnect::AccessToken::new("access_token".to_owned())?;
        let client = kiteconnect::KiteConnect::builder("api_key").access_token(token).build()?;
        let (ticker, mut events) = client.ticker().url(self.url().parse()?).spawn()?;
        let mut application = self.application()?;
        while let Some(event) = events.recv().await {
            if let kiteconnect::TickerEvent::Ticks(ticks) = event
                && application.on_kiteconnect(&ticks).is_break()
            {
                ticker.close();
                return Ok(application);
            }
        }
        Err("the client ended before the last frame".into())
    }
}

async fn receive_raw(
    mut channel: broadcast::Receiver<Bytes>,
    mut application: Application,
) -> Result<Application, Failure> {
    loop {
        match channel.recv().await {
            Ok(bytes) => {
                if application.on_bytes(&bytes).is_break() {
                    return Ok(application);
                }
            }
            Err(RecvError::Lagged(lost)) => application.lost += lost,
            Err(RecvError::Closed) => return Err("the channel ended".into()),
        }
    }
}

/// Creates a manager with the library's defaults.
pub fn manager(port: u16, connections: usize) -> Result<Manager, Failure> {
    let manager = Manager::builder()
        .connections(connections.min(3))
        .endpoint(Endpoint::parse(&format!("ws://127.0.0.1:{port}/"))?);
    // Kite allows three connections per account.
    let accounts = (0..connections.div_ceil(3)).fold(manager, |manager, account| {
        manager.account(format!("load {account}"), credentials())
    });
    Ok(accounts.build()?)
}

fn credentials() -> Credentials {
    Credentials::new("api_key", "access_token")
}

/// The application as a sink.
struct Inline {
    /// `None` after the last frame.
    application: Option<(Application, oneshot::Sender<Application>)>,
}

impl Sink for Inline {
    fn on_batch(&mut self, batch: &Batch) {
        let Some((application, _)) = &mut self.application else { return };
        if application.on_batch(&batch.ticks) == ControlFlow::Break(())
            && let Some((application, done)) = self.application.take()
        {
            // The receiver waits for the whole run.
            let _ = done.send(application);
        }
    }

    fn on_event(&mut self, _: &Event) {}
}
