//! A single connection, without load balancing.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

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

/// A single connection to Kite's ticker, for up to 3,000 instruments.
///
/// It reconnects automatically, as the connections of a
/// [`KiteTickerManager`](crate::KiteTickerManager) do. Losses are reported in the messages, and the
/// subscriptions are restored with their modes. Only an expired token needs action; see
/// [`set_access_token`](Self::set_access_token).
#[derive(Debug)]
pub struct KiteTickerAsync {
    runs: Runs,
    capacity: usize,
    last_activity: Arc<AtomicU64>,
}

impl KiteTickerAsync {
    /// Connects to Kite.
    ///
    /// # Errors
    /// Returns an error if the connection was refused or was not up within 30 seconds, or if the
    /// Tokio runtime has no timers or no I/O.
    ///
    /// # Cancel safety
    /// Cancel safe: dropping the future closes the socket.
    pub async fn connect(api_key: &str, access_token: &str) -> Result<Self, String> {
        Self::connect_with_options(api_key, access_token, false).await
    }

    /// Connects to Kite. With `raw_only`, ticks are delivered only in the raw frames, not in the
    /// messages.
    ///
    /// # Errors
    /// Same as [`connect`](Self::connect).
    ///
    /// # Cancel safety
    /// Cancel safe: dropping the future closes the socket.
    pub async fn connect_with_options(
        api_key: &str,
        access_token: &str,
        raw_only: bool,
    ) -> Result<Self, String> {
        let endpoint = Endpoint::default();
        Self::open(endpoint, api_key, access_token, raw_only).await
    }

    /// Connects to a different endpoint: `wss://`, or `ws://` for loopback addresses only.
    ///
    /// # Errors
    /// Same as [`connect`](Self::connect); also returns an error if the endpoint is not such a URL.
    ///
    /// # Cancel safety
    /// Cancel safe: dropping the future closes the socket.
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
        let last_activity = Arc::<AtomicU64>::default();
        settings.connection.last_activity = Some(Arc::clone(&last_activity));
        let make_manager = |tap| {
            settings.taps.push(tap);
            Manager::new(credentials, settings)
        };
        let channels = Channels::new(config.max_connections, config.parser_buffer_size);
        let mut runs = Runs::new(make_manager, Ok(endpoint), channels);
        runs.start("connect", raw_only, None).await?;
        Ok(Self { runs, capacity: config.parser_buffer_size, last_activity })
    }

    /// Subscribes to instruments and returns a reader of the connection's messages. Instruments
    /// already subscribed switch to `mode`, which defaults to [`Mode::Quote`].
    ///
    /// # Errors
    /// Returns an error if the instruments exceed the free capacity or the connection has been
    /// closed.
    ///
    /// # Cancel safety
    /// Cancel safe: completes on the first poll.
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

    /// Sets the access token that later handshakes use. A connection that is parked because the old
    /// token expired, or waiting to reconnect, tries immediately; an open socket stays up.
    pub fn set_access_token(&self, access_token: impl Into<String>) {
        self.typed().set_access_token(access_token);
    }

    /// Returns the underlying typed manager, for its state, counts and events. Close the
    /// connection with [`close`](Self::close), not through it.
    #[must_use]
    pub fn typed(&self) -> &Manager {
        self.runs.manager()
    }

    /// Closes the connection and ends its channels.
    ///
    /// # Errors
    /// Currently never fails.
    ///
    /// # Cancel safety
    /// Once polled, the connection closes even if the future is dropped.
    pub async fn close(&mut self) -> Result<(), String> {
        self.runs.close().await;
        Ok(())
    }

    /// Returns whether the socket is currently up.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        self.typed().is_live()
    }

    /// Returns when the last frame was received, in Unix seconds: frames of every kind count, pongs
    /// included, and the server's reply to a handshake. The value is updated as frames arrive, over
    /// all reconnects.
    #[must_use]
    pub fn last_activity(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.last_activity)
    }

    /// Sends a ping.
    ///
    /// # Errors
    /// Returns an error if the socket is not up.
    ///
    /// # Cancel safety
    /// Cancel safe: completes on the first poll.
    pub async fn ping(&mut self) -> Result<(), String> {
        if self.typed().ping() { Ok(()) } else { Err("ping: the socket is not up".to_owned()) }
    }

    /// Returns the number of receivers of the message channel.
    #[must_use]
    pub fn receiver_count(&self) -> usize {
        self.runs.channels().receiver_count()
    }

    /// Returns the number of messages that the channel holds for its slowest receiver.
    #[must_use]
    pub fn channel_capacity(&self) -> usize {
        self.capacity
    }

    /// Returns a receiver of raw frames; see [`subscribe_raw_frames`](Self::subscribe_raw_frames).
    #[deprecated(note = "use `subscribe_raw_frames`")]
    #[must_use]
    pub fn subscribe_raw(&self) -> broadcast::Receiver<Bytes> {
        self.subscribe_raw_frames()
    }

    /// Returns a receiver of every binary frame as received. After [`close`](Self::close) its
    /// channel is closed.
    #[must_use]
    pub fn subscribe_raw_frames(&self) -> broadcast::Receiver<Bytes> {
        self.runs.channels().raw(0).unwrap_or_else(ended)
    }

    /// Returns a reader of the full packets. After [`close`](Self::close) its channel is closed.
    #[must_use]
    pub fn subscribe_full_raw(&self) -> KiteTickerRawSubscriber184 {
        let lag = self.runs.channels().lag(0).unwrap_or_default();
        KiteTickerRawSubscriber184::new(self.subscribe_raw_frames(), lag)
    }
}
