//! Receives what one connection delivers: the loop that a real program has, too.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use kite_sim::Sent;
use kiteticker_async_manager::kite_wire::{Packet, Price};
use kiteticker_async_manager::{TickBatch, TickerMessage};
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;

use crate::latency::Latency;

/// What has been received over one connection, shared by its consumer and the screen.
#[derive(Debug)]
pub(crate) struct Feed(Mutex<Received>);

/// What has been received over one connection.
#[derive(Debug)]
pub(crate) struct Received {
    /// Frames with ticks.
    pub(crate) frames: u64,
    pub(crate) ticks: u64,
    /// Messages lost because this consumer was too slow.
    pub(crate) lagged: u64,
    /// What of each instrument, by the sender's own count.
    pub(crate) instruments: HashMap<u32, Sent>,
    /// The last state of the instruments that are shown.
    pub(crate) latest: BTreeMap<u32, Latest>,
    /// The last error that the connection told.
    pub(crate) error: Option<String>,
    latency: Latency,
    shown: BTreeSet<u32>,
}

/// The last state of one instrument.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Latest {
    pub(crate) last_price: Price,
    pub(crate) change_percent: Option<f64>,
    pub(crate) bid: Option<Price>,
    pub(crate) ask: Option<Price>,
    pub(crate) volume: Option<u32>,
}

/// Receives until the channel ends.
///
/// Lag does not end the loop: what was pushed out is lost and counted, what follows is not.
pub(crate) async fn consume(mut channel: Receiver<TickerMessage>, feed: &Feed) {
    loop {
        match channel.recv().await {
            Ok(TickerMessage::Ticks(ticks)) => {
                let age = ticks.age();
                feed.lock().on_ticks(&ticks, age);
            }
            Ok(TickerMessage::Error(error)) => feed.lock().error = Some(error),
            // Order updates and the broker's messages; not what is shown here.
            Ok(_) => {}
            Err(RecvError::Lagged(messages)) => feed.lock().lagged += messages,
            Err(RecvError::Closed) => return,
        }
    }
}

impl Feed {
    /// Makes an empty feed that keeps the last state of these instruments.
    pub(crate) fn new(shown: BTreeSet<u32>) -> Self {
        Self(Mutex::new(Received {
            frames: 0,
            ticks: 0,
            lagged: 0,
            instruments: HashMap::new(),
            latest: BTreeMap::new(),
            error: None,
            latency: Latency::new(),
            shown,
        }))
    }

    /// Locks what has been received: shortly, the consumer waits.
    pub(crate) fn lock(&self) -> MutexGuard<'_, Received> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Received {
    fn on_ticks(&mut self, ticks: &TickBatch, age: Duration) {
        self.frames += 1;
        self.ticks += ticks.len() as u64;
        self.latency.record(age);
        // Views into the socket's own memory: nothing is decoded that is not asked for.
        for packet in ticks.packets() {
            let token = packet.instrument_token();
            self.instruments.entry(token).or_default().add(packet.as_bytes());
            if self.shown.contains(&token) {
                self.latest.insert(token, Latest::of(packet));
            }
        }
    }

    /// Exchanges the latencies recorded since the last time for an empty record.
    pub(crate) fn swap_latency(&mut self, empty: &mut Latency) {
        std::mem::swap(&mut self.latency, empty);
    }
}

impl Latest {
    fn of(packet: Packet<'_>) -> Self {
        Self {
            last_price: packet.last_price(),
            change_percent: packet.change_percent(),
            bid: packet.best_bid(),
            ask: packet.best_ask(),
            volume: packet.volume(),
        }
    }
}
