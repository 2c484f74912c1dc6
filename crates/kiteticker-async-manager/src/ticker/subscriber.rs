//! A reader of a single connection's messages that also manages its subscriptions.

use kite_manager::Manager;
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;

use crate::error::describe;
use crate::manager::ring::ended;
use crate::models::{Mode, TickerMessage};

/// Reads the messages of a [`KiteTickerAsync`](crate::KiteTickerAsync) and manages its
/// subscriptions, which all subscribers of the connection share.
///
/// Lag is not an error and never ends the loop. Lost messages are counted in
/// [`lagged`](Self::lagged). The connection closes when its client and the last of its subscribers
/// are dropped.
#[derive(Debug)]
pub struct KiteTickerSubscriber {
    manager: Manager,
    receiver: broadcast::Receiver<TickerMessage>,
    lagged: u64,
}

impl KiteTickerSubscriber {
    pub(crate) fn new(manager: Manager, receiver: broadcast::Receiver<TickerMessage>) -> Self {
        Self { manager, receiver, lagged: 0 }
    }

    /// Returns the instruments subscribed on the connection, in ascending order.
    #[must_use]
    pub fn get_subscribed(&self) -> Vec<u32> {
        self.manager
            .distribution()
            .into_iter()
            .flat_map(|instruments| instruments.into_keys())
            .collect()
    }

    /// Returns the number of messages lost to lag so far.
    #[must_use]
    pub fn lagged(&self) -> u64 {
        self.lagged
    }

    /// Subscribes to instruments; those already subscribed switch to `mode`, which defaults to
    /// [`Mode::Quote`].
    ///
    /// # Errors
    /// Returns an error if the instruments exceed the free capacity or the connection has been
    /// closed. Nothing is subscribed in either case.
    ///
    /// # Cancel safety
    /// Cancel safe: completes on the first poll.
    pub async fn subscribe(&mut self, tokens: &[u32], mode: Option<Mode>) -> Result<(), String> {
        if !self.manager.is_running() {
            return Err("subscribe: the connection has been closed".to_owned());
        }
        let mode = mode.unwrap_or_default().into();
        self.manager.subscribe(tokens, mode).map_err(|error| describe("subscribe", &error))?;
        self.manager.set_mode(tokens, mode);
        Ok(())
    }

    /// Changes the mode of subscribed instruments; an empty list means all of them.
    ///
    /// # Errors
    /// Currently never fails.
    ///
    /// # Cancel safety
    /// Cancel safe: completes on the first poll.
    pub async fn set_mode(&mut self, instrument_tokens: &[u32], mode: Mode) -> Result<(), String> {
        self.manager.set_mode(&self.these_or_all(instrument_tokens), mode.into());
        Ok(())
    }

    /// Ends subscriptions; an empty list means all of them.
    ///
    /// # Errors
    /// Currently never fails.
    ///
    /// # Cancel safety
    /// Cancel safe: completes on the first poll.
    pub async fn unsubscribe(&mut self, instrument_tokens: &[u32]) -> Result<(), String> {
        self.manager.unsubscribe(&self.these_or_all(instrument_tokens));
        Ok(())
    }

    fn these_or_all(&self, tokens: &[u32]) -> Vec<u32> {
        if tokens.is_empty() { self.get_subscribed() } else { tokens.to_vec() }
    }

    /// Receives the next message; `Ok(None)` once the connection has been closed.
    ///
    /// # Errors
    /// Currently never fails. Lag is counted, not returned as an error, and failures of the
    /// connection arrive as [`TickerMessage::Error`].
    ///
    /// # Cancel safety
    /// Cancel safe: nothing is lost.
    pub async fn next_message(&mut self) -> Result<Option<TickerMessage>, String> {
        loop {
            match self.receiver.recv().await {
                Ok(message) => return Ok(Some(message)),
                Err(RecvError::Lagged(lost)) => self.lagged += lost,
                Err(RecvError::Closed) => return Ok(None),
            }
        }
    }

    /// Stops reading: `next_message` returns `Ok(None)` afterwards. The subscriptions belong to
    /// the connection and remain.
    ///
    /// # Errors
    /// Currently never fails.
    ///
    /// # Cancel safety
    /// Cancel safe: completes on the first poll.
    pub async fn close(&mut self) -> Result<(), String> {
        self.receiver = ended();
        Ok(())
    }
}
