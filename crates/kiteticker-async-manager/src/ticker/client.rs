//! One connection without balancing.

use bytes::Bytes;
use kite_conn::{Credentials, Endpoint};
use kite_manager::Manager;
use tokio::sync::broadcast;

use crate::error::describe;
use crate::manager::KiteManagerConfig;
use crate::manager::channels::Channels;
use crate::manager::ring::ended;
use crate::manager::runs::Runs;
use crate::manager::underlying::Underlying;
use crate::models::Mode;
use crate::ticker::{KiteTickerRawSubscriber184, KiteTickerSubscriber};

/// A single connection to Kite's ticker, up to 3,000 instruments.
///
/// It stays alive by itself as the connections of a
/// [`KiteTickerManager`](crate::KiteTickerManager) do: what is lost is told in the messages, and
/// the subscriptions come back with their modes. Only a token that has expired needs you:
/// [`set_access_token`](Self::set_access_token).
#[derive(Debug)]
pub struct KiteTickerAsync {
    runs: Runs,
    capacity: usize,
}

impl KiteTickerAsync {
    /// Connects to Kite.
    ///
    /// # Errors
    /// The connection was refused, or was not up within 30 seconds.
    ///
    /// # Cancel safety
    /// Cancel safe: dropping the future closes whatever was open.
    pub async fn connect(api_key: &str, access_token: &str) -> Result<Self, String> {
        Self::connect_with_options(api_key, access_token, false).await
    }

    /// Connects to Kite; with `raw_only` the messages carry no ticks, only the raw frames do.
    ///
    /// # Errors
    /// As for [`connect`](Self::connect).
    ///
    /// # Cancel safety
    /// Cancel safe: dropping the future closes whatever was open.
    pub async fn connect_with_options(
        api_key: &str,
        access_token: &str,
        raw_only: bool,
    ) -> Result<Self, String> {
        let endpoint = Endpoint::default();
        Self::open(endpoint, api_key, access_token, raw_only).await
    }

    /// Connects elsewhere: `wss://`, or `ws://` for loopback addresses only.
    ///
    /// # Errors
    /// As for [`connect`](Self::connect); also where the endpoint is no such URL.
    ///
    /// # Cancel safety
    /// Cancel safe: dropping the future closes whatever was open.
    pub async fn connect_to(
        endpoint: &str,
        api_key: &str,
        access_token: &str,
        raw_only: bool,
    ) -> Result<Self, String> {
        let endpoint = Endpoint::parse(endpoint).map_err(|error| describe("connect", &error))?;
        Self::open(endpoint, api_key, access_token, raw_only).await
    }

    async fn open(
        endpoint: Endpoint,
        api_key: &str,
        access_token: &str,
        raw_only: bool,
    ) -> Result<Self, String> {
        let config = KiteManagerConfig { max_connections: 1, ..KiteManagerConfig::default() };
        let credentials = Credentials::new(api_key, access_token);
        let mut settings = Underlying::default().manager_config(&config);
        let make_manager = |tap| {
            settings.taps.push(tap);
            Manager::new(credentials, settings)
        };
        let channels = Channels::new(config.max_connections, config.parser_buffer_size);
        let mut runs = Runs::new(make_manager, Ok(endpoint), channels);
        runs.start("connect", raw_only, None).await?;
        Ok(Self { runs, capacity: config.parser_buffer_size })
    }

    /// Subscribes instruments (those already subscribed get the mode) and gives a reader of the
    /// connection's messages. Without a mode it is [`Mode::Quote`].
    ///
    /// # Errors
    /// More instruments than there is room for, or the connection has been closed.
    ///
    /// # Cancel safety
    /// Cancel safe: done whole when first polled.
    pub async fn subscribe(
        &mut self,
        instrument_tokens: &[u32],
        mode: Option<Mode>,
    ) -> Result<KiteTickerSubscriber, String> {
        let receiver = self.runs.channels().messages(0).unwrap_or_else(ended);
        let mut subscriber = KiteTickerSubscriber::new(self.typed().clone(), receiver);
        subscriber.subscribe(instrument_tokens, mode).await?;
        Ok(subscriber)
    }

    /// Uses another access token from the next handshake on. A connection that is parked (the old
    /// token has expired) or waiting tries at once; an open socket stays up.
    pub fn set_access_token(&self, access_token: impl Into<String>) {
        self.typed().set_access_token(access_token);
    }

    /// Gives the typed layer beneath: state, counts and events. Close the connection here, not
    /// there.
    #[must_use]
    pub fn typed(&self) -> &Manager {
        self.runs.manager()
    }

    /// Closes the connection and ends its channels.
    ///
    /// # Errors
    /// None at present.
    ///
    /// # Cancel safety
    /// Once polled, the connection closes even if the future is dropped.
    pub async fn close(&mut self) -> Result<(), String> {
        self.runs.close().await;
        Ok(())
    }

    /// Says whether the socket is up at this moment.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        self.typed().is_live()
    }

    /// Sends a ping.
    ///
    /// # Errors
    /// The socket is not up.
    ///
    /// # Cancel safety
    /// Cancel safe: done whole when first polled.
    pub async fn ping(&mut self) -> Result<(), String> {
        if self.typed().ping() { Ok(()) } else { Err("ping: the socket is not up".to_owned()) }
    }

    /// Gives the number of readers of the message channel.
    #[must_use]
    pub fn receiver_count(&self) -> usize {
        self.runs.channels().receiver_count()
    }

    /// Gives the number of messages the channel holds for its slowest reader.
    #[must_use]
    pub fn channel_capacity(&self) -> usize {
        self.capacity
    }

    /// Gives the raw frames: see [`subscribe_raw_frames`](Self::subscribe_raw_frames).
    #[deprecated(note = "use `subscribe_raw_frames`")]
    #[must_use]
    pub fn subscribe_raw(&self) -> broadcast::Receiver<Bytes> {
        self.subscribe_raw_frames()
    }

    /// Gives every binary frame as received. After [`close`](Self::close) the channel has ended.
    #[must_use]
    pub fn subscribe_raw_frames(&self) -> broadcast::Receiver<Bytes> {
        self.runs.channels().raw(0).unwrap_or_else(ended)
    }

    /// Gives a reader of the full packets. After [`close`](Self::close) it has ended.
    #[must_use]
    pub fn subscribe_full_raw(&self) -> KiteTickerRawSubscriber184 {
        let lag = self.runs.channels().lag(0).unwrap_or_default();
        KiteTickerRawSubscriber184::new(self.subscribe_raw_frames(), lag)
    }
}
