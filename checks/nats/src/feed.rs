//! A simulated feed, and what a local consumer receives of it.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use kite_manager::{Credentials, Manager, Mode, StreamConfig, StreamItem};
use kite_sim::{ACCESS_TOKEN, API_KEY, Sim};
use parking_lot::Mutex;
use tokio::task::JoinHandle;

use crate::Failure;

/// The packets of an instrument on a connection, in order.
pub(crate) type Packets = BTreeMap<(usize, u32), Vec<Bytes>>;

/// A manager with three connections to a simulator, and a local consumer that blocks.
#[derive(Debug)]
pub(crate) struct Feed {
    pub(crate) sim: Sim,
    pub(crate) manager: Manager,
    received: Arc<Mutex<Packets>>,
    reader: JoinHandle<()>,
}

impl Feed {
    /// Prepares a feed of this many instruments. Nothing is connected yet.
    pub(crate) async fn new(instruments: usize, updates_per_second: f64) -> Result<Self, Failure> {
        let sim = Sim::builder().updates_per_second(updates_per_second).start().await?;
        let manager = Manager::builder()
            .account("mine", Credentials::new(API_KEY, ACCESS_TOKEN))
            .endpoint(sim.endpoint().parse()?)
            .connections(3)
            .build()?;
        manager.subscribe(&kite_sim::universe(instruments), Mode::Full)?;
        let mut stream = manager.stream(StreamConfig::default())?;
        let received = Arc::<Mutex<Packets>>::default();
        let to = Arc::clone(&received);
        let reader = tokio::spawn(async move {
            while let Some(item) = stream.recv().await {
                let StreamItem::Ticks(ticks) = item else { continue };
                let bytes = ticks.batch.ticks.as_bytes();
                let mut to = to.lock();
                for packet in ticks.packets() {
                    let key = (ticks.connection, packet.instrument_token());
                    to.entry(key).or_default().push(bytes.slice_ref(packet.as_bytes()));
                }
            }
        });
        Ok(Self { sim, manager, received, reader })
    }

    /// Returns the number of ticks that the local consumer has received.
    pub(crate) fn ticks(&self) -> u64 {
        count(&self.received.lock())
    }

    /// Ends the feed; returns what the local consumer has received.
    pub(crate) async fn finish(&mut self) -> Result<Packets, Failure> {
        self.sim.pause().await;
        self.manager.drain(std::time::Duration::from_secs(20)).await;
        (&mut self.reader).await?;
        Ok(std::mem::take(&mut self.received.lock()))
    }
}

/// Returns the number of packets.
pub(crate) fn count(packets: &Packets) -> u64 {
    packets.values().map(|it| it.len() as u64).sum()
}
