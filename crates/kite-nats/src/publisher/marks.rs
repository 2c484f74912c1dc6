//! Finds out what the server has received.
//!
//! NATS does not acknowledge what is published. But a server handles the messages of a socket in
//! order, so that a message to the publisher itself, once it is back, confirms all before it.

use std::sync::Arc;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed};

use async_nats::{Message, Statistics, Subject, Subscriber};
use futures_util::StreamExt as _;
use kite_manager::Stamp;

use super::{Ended, Sender};
use crate::server::ServerError;

/// The messages to the publisher itself.
#[derive(Debug)]
pub(super) struct Marks {
    sender: Sender,
    subject: Subject,
    returned: Subscriber,
    statistics: Arc<Statistics>,
    /// Number of messages before the last mark that was sent.
    marked: u64,
    /// When the last mark that is back was sent.
    since: Stamp,
    /// Number of sockets whose loss was handled.
    connects: u64,
}

/// What may not have arrived when a socket was lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Unconfirmed {
    pub(super) messages: u64,
    /// When all messages before it had arrived.
    pub(super) since: Stamp,
}

impl Marks {
    pub(super) async fn new(sender: &Sender) -> Result<Self, ServerError> {
        let subject = sender.client.new_inbox();
        let returned = sender.subscribe(subject.clone()).await?;
        let (sender, statistics) = (sender.clone(), sender.client.statistics());
        let (subject, now) = (subject.into(), Stamp::now());
        Ok(Self { sender, subject, returned, statistics, marked: 0, since: now, connects: 0 })
    }

    /// Sends a mark if anything was published after the last one.
    pub(super) async fn send(&mut self) -> Result<(), Ended> {
        let messages = self.sender.figures.messages.load(Acquire);
        if messages == self.marked {
            return Ok(());
        }
        self.marked = messages;
        let payload = format!("{messages} {}", Stamp::now().as_nanos());
        let sent = self.sender.client.publish(self.subject.clone(), payload.into()).await;
        sent.map_err(|_| Ended)
    }

    /// Waits for a mark that is back.
    pub(super) async fn next(&mut self) -> Option<Message> {
        self.returned.next().await
    }

    /// Handles a mark that is back. Call [`Marks::lost`] before.
    pub(super) fn on_returned(&mut self, mark: &Message) {
        if let Some((messages, sent)) = read(&mark.payload) {
            self.sender.figures.settled.fetch_max(messages, AcqRel);
            self.since = self.since.max(Stamp::from_nanos(sent));
        }
    }

    /// Returns what may not have arrived if a socket was lost and another one opened since the last
    /// call.
    pub(super) fn lost(&mut self) -> Option<Unconfirmed> {
        // Counted before anything is sent on the new socket.
        let connects = self.statistics.connects.load(Relaxed);
        let before = std::mem::replace(&mut self.connects, connects).max(1);
        if connects <= before {
            return None;
        }
        // A mark may have been lost too.
        self.marked = 0;
        let figures = &self.sender.figures;
        let messages = figures.messages.load(Acquire);
        let unconfirmed = messages.saturating_sub(figures.settled.fetch_max(messages, AcqRel));
        figures.unconfirmed.fetch_add(unconfirmed, Relaxed);
        let since = std::mem::replace(&mut self.since, Stamp::now());
        (unconfirmed > 0).then_some(Unconfirmed { messages: unconfirmed, since })
    }

    /// Returns whether everything published is confirmed, or was lost with a socket.
    pub(super) fn is_settled(&self) -> bool {
        let figures = &self.sender.figures;
        figures.settled.load(Acquire) >= figures.messages.load(Acquire)
    }
}

/// Reads a mark: the number of messages before it, and when it was sent.
fn read(payload: &[u8]) -> Option<(u64, u64)> {
    let (messages, sent) = std::str::from_utf8(payload).ok()?.split_once(' ')?;
    Some((messages.parse().ok()?, sent.parse().ok()?))
}
