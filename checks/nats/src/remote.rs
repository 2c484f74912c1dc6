//! What a consumer of kite-nats receives.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use kite_manager::{ManagerEvent, StreamConfig, StreamItem};
use kite_nats::{Choice, Consumer, ConsumerConfig, ConsumerStats};
use parking_lot::Mutex;
use tokio::task::JoinHandle;

use crate::Failure;

/// What a stream and the listeners have received.
#[derive(Debug, Default)]
pub(crate) struct Received {
    /// Ticks by connection and instrument.
    pub(crate) packets: BTreeMap<(usize, u32), Vec<Bytes>>,
    /// The newest packets that were asked for, likewise.
    pub(crate) first: BTreeMap<(usize, u32), Vec<Bytes>>,
    /// Ticks in order of their arrival.
    pub(crate) ticks: u64,
    /// Newest packets that were asked for.
    pub(crate) newest: u64,
    pub(crate) dropped: u64,
    /// Sockets lost and opened, and gaps, in the stream.
    pub(crate) notices: Vec<&'static str>,
    /// Events by name.
    pub(crate) events: Vec<String>,
    pub(crate) orders: Vec<String>,
}

/// A consumer whose stream and listeners are read on tasks.
#[derive(Debug)]
pub(crate) struct Remote {
    pub(crate) consumer: Consumer,
    received: Arc<Mutex<Received>>,
    readers: Vec<JoinHandle<()>>,
}

impl Remote {
    /// Prepares a consumer of the server with this URL.
    pub(crate) async fn connect(url: &str, choice: Choice) -> Result<Consumer, Failure> {
        let accounts = vec!["mine".into()];
        let config = ConsumerConfig { accounts, choice, ..ConsumerConfig::default() };
        Ok(kite_nats::connect(&url.parse()?, config).await?)
    }

    /// Starts to consume.
    pub(crate) async fn start(url: &str, choice: Choice) -> Result<Self, Failure> {
        let mut consumer = Self::connect(url, choice).await?;
        let received = Arc::<Mutex<Received>>::default();
        let config = StreamConfig { mark_first: true, ..StreamConfig::default() };
        let mut stream = consumer.stream(config)?;
        let (mut events, mut orders) = (consumer.events(), consumer.orders());
        let to = Arc::clone(&received);
        let ticks = tokio::spawn(async move {
            while let Some(item) = stream.recv().await {
                to.lock().on_item(&item);
            }
        });
        let to = Arc::clone(&received);
        let events = tokio::spawn(async move {
            while let Some(event) = events.recv().await {
                to.lock().events.push(match event {
                    ManagerEvent::Connection { event, .. } => event.name().to_owned(),
                    ManagerEvent::Reported { name, .. } => name,
                    other => other.to_string(),
                });
            }
        });
        let to = Arc::clone(&received);
        let orders = tokio::spawn(async move {
            while let Some(kite_manager::OrderItem::Update(order)) = orders.recv().await {
                to.lock().orders.push(String::from_utf8_lossy(&order.text).into_owned());
            }
        });
        consumer.start().await?;
        Ok(Self { consumer, received, readers: vec![ticks, events, orders] })
    }

    /// Reads what was received so far.
    pub(crate) fn read<R>(&self, read: impl FnOnce(&Received) -> R) -> R {
        read(&self.received.lock())
    }

    /// Stops; returns what was received to the end.
    pub(crate) async fn stop(self) -> Result<(Received, ConsumerStats), Failure> {
        let stats = self.consumer.stop().await;
        for reader in self.readers {
            reader.await?;
        }
        let received = std::mem::take(&mut *self.received.lock());
        Ok((received, stats))
    }
}

impl Received {
    pub(crate) fn on_item(&mut self, item: &StreamItem) {
        match item {
            StreamItem::Ticks(ticks) => {
                for packet in ticks.packets() {
                    let key = (ticks.connection, packet.instrument_token());
                    let bytes = ticks.batch.ticks.as_bytes().slice_ref(packet.as_bytes());
                    if ticks.is_first(&packet) {
                        self.newest += 1;
                        self.first.entry(key).or_default().push(bytes);
                    } else {
                        self.ticks += 1;
                        self.packets.entry(key).or_default().push(bytes);
                    }
                }
            }
            StreamItem::Dropped { ticks, .. } => self.dropped += ticks,
            StreamItem::Up { .. } => self.notices.push("up"),
            StreamItem::Down { .. } => self.notices.push("down"),
            StreamItem::Gap { .. } => self.notices.push("gap"),
            _ => {}
        }
    }

    /// Returns how often something is in a list.
    pub(crate) fn count<T: AsRef<str>>(list: &[T], name: &str) -> usize {
        list.iter().filter(|it| it.as_ref() == name).count()
    }
}
