//! The task that publishes ticks and gaps, and answers requests for newest packets.

use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use async_nats::{HeaderMap, Message, Subscriber};
use futures_util::StreamExt as _;
use futures_util::stream::SelectAll;
use kite_manager::{Manager, StreamConfig, StreamItem, TaggedBatch, TickStream};
use serde_json::Value;
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval};

use super::marks::Marks;
use super::{Ended, PublisherConfig, Sender};
use crate::book::Book;
use crate::headers::{Headers, PacketPlace, names};
use crate::json;

/// Items of the stream that are published before anything else is handled.
const MAX_ITEMS: usize = 16;

/// How often the server is asked to confirm what was published.
const MARK_EVERY: Duration = Duration::from_secs(1);

/// How often a lost socket is looked for at the end.
const CHECK_EVERY: Duration = Duration::from_millis(50);

/// What the headers of an answer take of the server's limit for a message, without the numbers of
/// the packets.
const HEADER_BYTES: usize = 1_024;

/// See the module.
#[derive(Debug)]
pub(super) struct Ticks {
    pub(super) manager: Manager,
    pub(super) config: PublisherConfig,
    pub(super) sender: Sender,
    pub(super) stream: TickStream,
    pub(super) books: Vec<Book>,
    pub(super) requests: SelectAll<Subscriber>,
    pub(super) marks: Marks,
    pub(super) stopping: watch::Receiver<bool>,
}

impl Ticks {
    /// Publishes until the publisher stops.
    pub(super) async fn run(mut self) {
        // Fails only if the client has ended with its runtime.
        let _ = self.publish().await;
    }

    async fn publish(&mut self) -> Result<(), Ended> {
        let mut timer = interval(MARK_EVERY);
        timer.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut items = Vec::with_capacity(MAX_ITEMS);
        loop {
            tokio::select! {
                _ = self.stopping.changed() => return self.publish_rest().await,
                received = self.stream.recv_many(&mut items, MAX_ITEMS) => {
                    if received == 0 {
                        self.continue_with_next_run();
                    }
                    for item in items.drain(..) {
                        self.publish_item(item).await?;
                    }
                }
                Some(request) = self.requests.next() => self.answer(&request).await?,
                Some(mark) = self.marks.next() => {
                    self.report_lost().await?;
                    self.marks.on_returned(&mark);
                }
                _ = timer.tick() => {
                    self.report_lost().await?;
                    self.marks.send().await?;
                }
            }
        }
    }

    fn continue_with_next_run(&mut self) {
        let stream = StreamConfig { lane: self.config.lane.clone(), ..StreamConfig::default() };
        // The settings were valid at the start.
        if let Ok(stream) = self.manager.stream(stream) {
            self.stream = stream;
        }
    }

    /// Publishes what is queued, and waits until the server has it.
    async fn publish_rest(&mut self) -> Result<(), Ended> {
        while let Ok(item) = self.stream.try_recv() {
            self.publish_item(item).await?;
        }
        let mut timer = interval(CHECK_EVERY);
        while !self.marks.is_settled() {
            self.marks.send().await?;
            tokio::select! {
                mark = self.marks.next() => {
                    self.report_lost().await?;
                    self.marks.on_returned(&mark.ok_or(Ended)?);
                }
                _ = timer.tick() => self.report_lost().await?,
            }
        }
        Ok(())
    }

    async fn publish_item(&mut self, item: StreamItem) -> Result<(), Ended> {
        match item {
            StreamItem::Ticks(ticks) | StreamItem::Conflated { ticks, .. } => {
                self.publish_ticks(&ticks).await
            }
            StreamItem::Gap { account, connection, gap } => {
                let Some(at) = self.books.iter().position(|it| it.account == account) else {
                    return Ok(());
                };
                for part in json::gap(connection, &gap) {
                    self.publish_gap(at, &part).await?;
                }
                Ok(())
            }
            StreamItem::Dropped { account, connection, frames, ticks, notices } => {
                tracing::warn!(%account, connection, frames, ticks, "NATS took too little: dropped");
                self.sender.figures.dropped_frames.fetch_add(frames, Relaxed);
                self.sender.figures.dropped_ticks.fetch_add(ticks, Relaxed);
                let Some(at) = self.books.iter().position(|it| it.account == account) else {
                    return Ok(());
                };
                self.publish_gap(at, &json::dropped(connection, frames, ticks, notices)).await
            }
            // Sockets opened and lost are events.
            _ => Ok(()),
        }
    }

    async fn publish_gap(&self, book: usize, gap: &Value) -> Result<(), Ended> {
        let Some(book) = self.books.get(book) else { return Ok(()) };
        self.sender.figures.gaps.fetch_add(1, Relaxed);
        self.sender.send_json(book.subjects.gap(), &book.account, gap).await
    }

    /// Publishes as a gap what may not have arrived when a socket was lost.
    async fn report_lost(&mut self) -> Result<(), Ended> {
        let Some(lost) = self.marks.lost() else { return Ok(()) };
        tracing::warn!(messages = lost.messages, "NATS: at most these messages were lost");
        let gap = json::unconfirmed(lost.messages, lost.since);
        for book in 0..self.books.len() {
            self.publish_gap(book, &gap).await?;
        }
        Ok(())
    }

    async fn publish_ticks(&mut self, ticks: &TaggedBatch) -> Result<(), Ended> {
        let TaggedBatch { account, connection, batch, .. } = ticks;
        let Some(book) = self.books.iter_mut().find(|it| it.account == *account) else {
            return Ok(());
        };
        let (sender, figures) = (&self.sender, &self.sender.figures);
        let headers = Headers {
            term: sender.term,
            account: account.clone(),
            connection: *connection,
            epoch: batch.epoch,
            sequence: book.on_frame(*connection),
            received_unix_ns: batch.received.to_unix_ns(),
            packet: None,
        };
        let headers = map(&headers);
        let bytes = batch.ticks.as_bytes();
        let count = batch.ticks.len() as u16;
        let (mut index, mut published) = (0, 0);
        for packet in ticks.packets() {
            let (subject, tick) = book.on_packet(*connection, packet);
            if self.config.packets {
                let mut headers = headers.clone();
                let place = PacketPlace { index, count, tick };
                place.write(|name, value| headers.insert(name, value));
                let payload = bytes.slice_ref(packet.as_bytes());
                published += u64::from(sender.send(subject.clone(), headers, payload).await?);
            }
            index += 1;
        }
        if self.config.frames {
            let subject = book.subjects.frame(*connection);
            let is_sent = sender.send(subject.into(), headers, bytes.clone()).await?;
            if is_sent && !self.config.packets {
                published = u64::from(count);
            }
        }
        figures.frames.fetch_add(u64::from(published > 0), Relaxed);
        figures.ticks.fetch_add(published, Relaxed);
        Ok(())
    }

    /// Answers a request for newest packets: a JSON array of instrument tokens, or nothing for all.
    async fn answer(&mut self, request: &Message) -> Result<(), Ended> {
        let book = self.books.iter().find(|it| it.subjects.latest() == request.subject.as_str());
        let (Some(book), Some(reply)) = (book, &request.reply) else { return Ok(()) };
        let now = kite_manager::Stamp::now().to_unix_ns();
        let mut headers = self.sender.headers(&book.account, now);
        let tokens = match request.payload.is_empty() {
            true => Ok(Vec::new()),
            false => serde_json::from_slice::<Vec<u32>>(&request.payload),
        };
        let Ok(tokens) = tokens else {
            headers.insert(names::ERROR, "not a JSON array of instrument tokens");
            return self.sender.send(reply.clone(), headers, "".into()).await.map(drop);
        };
        let limit = self.sender.client.max_payload().saturating_sub(HEADER_BYTES);
        let parts = book.newest(&tokens, limit);
        for (number, part) in parts.iter().enumerate() {
            let mut headers = headers.clone();
            headers.insert(names::CONNECTION, part.connection.to_string());
            headers.insert(names::PART, number.to_string());
            headers.insert(names::PARTS, parts.len().to_string());
            headers.insert(names::TICKS, part.ticks.as_str());
            self.sender.send(reply.clone(), headers, part.frame.clone()).await?;
        }
        self.sender.figures.requests.fetch_add(1, Relaxed);
        Ok(())
    }
}

fn map(headers: &Headers) -> HeaderMap {
    let mut map = HeaderMap::new();
    headers.write(|name, value| map.insert(name, value));
    map
}
