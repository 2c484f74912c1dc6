//! A task that reads a stream to its end and records the items.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use futures_util::{Stream, StreamExt};
use kite_conn::{Gap, Stamp};
use kite_manager::{AccountId, InPlaceStream, StreamItem, TickStream};
use kite_sim::{Chain, Sent};

/// The recorded items of a stream.
#[derive(Debug, Default)]
pub(crate) struct Taken {
    /// Ticks of each instrument, comparable with the simulator's record of what it sent.
    pub(crate) ticks: BTreeMap<u32, Sent>,
    /// The instruments received on each connection.
    pub(crate) tokens: BTreeMap<(AccountId, usize), BTreeSet<u32>>,
    /// The number and hash chain of the frames of each socket, by its epoch.
    pub(crate) sockets: BTreeMap<(AccountId, usize, u32), (usize, Chain)>,
    /// Connection, token and receive time of every packet.
    pub(crate) log: Vec<Arrival>,
    /// The last frame's number on each connection.
    sequences: BTreeMap<(AccountId, usize), u64>,
    /// The epoch of each connection's socket while it is up.
    sockets_up: BTreeMap<(AccountId, usize), Option<u32>>,
    pub(crate) gaps: Vec<Arc<Gap>>,
    pub(crate) delivered: u64,
    pub(crate) dropped: u64,
    pub(crate) replaced: u64,
    /// The last packet of each instrument.
    pub(crate) last: BTreeMap<u32, Vec<u8>>,
    pub(crate) ended: bool,
}

#[derive(Debug, Clone)]
pub(crate) struct Arrival {
    pub(crate) connection: usize,
    pub(crate) token: u32,
    pub(crate) received: Stamp,
}

impl Taken {
    pub(crate) fn add(&mut self, item: StreamItem) {
        let ticks = match item {
            StreamItem::Ticks(ticks) => ticks,
            StreamItem::Conflated { ticks, replaced } => {
                self.replaced += replaced;
                ticks
            }
            StreamItem::Dropped { ticks, .. } => {
                self.dropped += ticks;
                return;
            }
            StreamItem::Up { account, connection, epoch, .. } => {
                let before = self.sockets_up.insert((account, connection), Some(epoch));
                assert_eq!(before.flatten(), None, "up twice");
                return;
            }
            StreamItem::Down { account, connection, epoch, .. } => {
                let before = self.sockets_up.insert((account, connection), None);
                assert!(before.is_none_or(|up| up == Some(epoch)), "down without up");
                return;
            }
            StreamItem::Gap { account, connection, gap } => {
                let up = self.sockets_up.get(&(account, connection)).copied().flatten();
                assert_eq!(up, Some(gap.epoch), "a gap ends on the next socket");
                self.gaps.push(gap);
                return;
            }
            other => panic!("{other:?}"),
        };
        let (seat, batch) = ((ticks.account, ticks.connection), ticks.batch);
        if let Some(up) = self.sockets_up.get(&seat) {
            assert_eq!(*up, Some(batch.epoch), "ticks are between their socket's up and down");
        }
        let sequence = self.sequences.entry(seat.clone()).or_default();
        assert!(*sequence < batch.sequence, "frames of one connection arrive in order");
        *sequence = batch.sequence;
        let socket = (seat.0.clone(), seat.1, batch.epoch);
        let (frames, chain) = self.sockets.entry(socket).or_default();
        *frames += 1;
        chain.add(batch.frame());
        let tokens = self.tokens.entry(seat).or_default();
        for packet in batch.ticks.packets() {
            let token = packet.instrument_token();
            tokens.insert(token);
            self.ticks.entry(token).or_default().add(packet.as_bytes());
            self.last.insert(token, packet.as_bytes().to_vec());
            let (connection, received) = (ticks.connection, batch.received);
            self.log.push(Arrival { connection, token, received });
            self.delivered += 1;
        }
    }

    /// Returns the number and hash chain of the frames received on one socket.
    pub(crate) fn socket(
        &self,
        account: AccountId,
        connection: usize,
        epoch: u32,
    ) -> (usize, Chain) {
        self.sockets.get(&(account, connection, epoch)).copied().unwrap_or_default()
    }
}

/// The test's side of the task.
#[derive(Debug, Clone, Default)]
pub(crate) struct Taking(Arc<Mutex<Taken>>);

impl Taking {
    /// Inspects the recorded items.
    pub(crate) fn look<T>(&self, look: impl FnOnce(&Taken) -> T) -> T {
        look(&self.0.lock().unwrap())
    }
}

/// Reads a stream to its end on its own task.
pub(crate) fn take(mut stream: impl Stream<Item = StreamItem> + Unpin + Send + 'static) -> Taking {
    let taking = Taking::default();
    let taken = Arc::clone(&taking.0);
    tokio::spawn(async move {
        while let Some(item) = stream.next().await {
            taken.lock().unwrap().add(item);
        }
        taken.lock().unwrap().ended = true;
    });
    taking
}

/// Reads a stream that drives its sockets to its end, on its own task.
pub(crate) fn drive(stream: InPlaceStream) -> Taking {
    take(stream.map(StreamItem::Ticks))
}

/// Reads the items queued in a stream.
pub(crate) fn take_now(stream: &mut TickStream) -> Taken {
    let mut taken = Taken::default();
    while let Ok(item) = stream.try_recv() {
        taken.add(item);
    }
    taken
}
