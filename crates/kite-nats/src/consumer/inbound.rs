//! Decides what to deliver of what arrives.
//!
//! No I/O here: messages go in, and what is to be delivered comes out, in order.

mod message;
mod newest;

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use async_nats::Message;
use kite_manager::{
    AccountId, Batch, Event, MAX_CONNECTIONS, ManagerEvent, Severity, TextMessage, TickBatch,
};
use kite_wire::{FrameBuilder, Packet};

use super::Choice;
use super::notices::{self, Notice, Parts, reported, stamp};
use super::stats::Figures;
use crate::follower::{Follower, Standing};
use crate::headers::{HeaderError, Headers, names};
use crate::subject::{Subjects, Topic};
use message::{Invalid, header, headers, json};

/// Something to deliver.
#[derive(Debug)]
pub(super) enum Output {
    /// Ticks for the sink with this number.
    Batch(usize, Batch),
    /// Newest packets that were asked for.
    Snapshot(usize, Batch),
    /// Frames and ticks that are missing.
    Lost(usize, u64, u64),
    Event(usize, Event),
    Notify(ManagerEvent),
}

/// What has arrived.
#[derive(Debug)]
pub(super) struct Inbound {
    accounts: Vec<Account>,
    choice: Choice,
    /// Packets of one frame, which are delivered together.
    pending: Option<Pending>,
    /// Answers wait until nothing else does: the ticks before them arrive on other subscriptions.
    answers: Vec<(usize, Message)>,
    outputs: Vec<Output>,
    has_reported_invalid: bool,
    figures: Arc<Figures>,
}

/// One account.
#[derive(Debug)]
pub(super) struct Account {
    pub(super) id: AccountId,
    pub(super) subjects: Subjects,
    /// Where answers to requests arrive.
    pub(super) inbox: String,
    /// Whether the newest packets are still to be asked for, or answered.
    pub(super) awaits_newest: bool,
    follower: Follower,
    /// The socket and frame of the last ticks on each connection.
    places: [(u32, u64); MAX_CONNECTIONS],
    parts: Option<Parts>,
    /// The last term that was refused and reported.
    refused: Option<u64>,
    has_reported_silence: bool,
}

#[derive(Debug)]
struct Pending {
    slot: usize,
    headers: Headers,
    frame: FrameBuilder,
}

impl Inbound {
    pub(super) fn new(
        accounts: Vec<(AccountId, Subjects)>,
        choice: Choice,
        figures: Arc<Figures>,
    ) -> Self {
        let account = |(id, subjects)| Account {
            id,
            subjects,
            inbox: String::new(),
            awaits_newest: true,
            follower: Follower::new(),
            places: [(1, 0); MAX_CONNECTIONS],
            parts: None,
            refused: None,
            has_reported_silence: false,
        };
        Self {
            accounts: accounts.into_iter().map(account).collect(),
            choice,
            pending: None,
            answers: Vec::new(),
            outputs: Vec::new(),
            has_reported_invalid: false,
            figures,
        }
    }

    pub(super) fn accounts_mut(&mut self) -> &mut [Account] {
        &mut self.accounts
    }

    /// Makes all accounts ask for their newest packets.
    pub(super) fn await_newest(&mut self) {
        for account in &mut self.accounts {
            account.awaits_newest = true;
        }
    }

    pub(super) fn choice(&self) -> &Choice {
        &self.choice
    }

    /// Returns whether something waits for [`Inbound::flush`].
    pub(super) fn is_waiting(&self) -> bool {
        self.pending.is_some() || !self.answers.is_empty() || !self.outputs.is_empty()
    }

    /// Takes what is to be delivered.
    pub(super) fn take(&mut self) -> Vec<Output> {
        std::mem::take(&mut self.outputs)
    }

    /// Handles a message. Whole frames are to be delivered at once, packets of a frame together.
    pub(super) fn accept(&mut self, message: Message) {
        if let Some(account) = self.accounts.iter().position(|it| *it.inbox == *message.subject) {
            return self.answers.push((account, message));
        }
        if let Err(invalid) = self.try_accept(&message) {
            self.on_invalid(&message, &invalid);
        }
    }

    /// Handles that nothing else has arrived: delivers the packets of the last frame, and answers.
    pub(super) fn flush(&mut self) {
        self.flush_pending();
        for (account, answer) in std::mem::take(&mut self.answers) {
            if let Err(invalid) = self.on_answer(account, &answer) {
                self.on_invalid(&answer, &invalid);
            }
        }
    }

    /// Sends an event to the listeners of each account.
    pub(super) fn notify_all(&mut self, name: &str, severity: Severity, text: &str) {
        self.flush_pending();
        for account in &self.accounts {
            let event = reported(&account.id, None, name, severity, text);
            self.outputs.push(Output::Notify(event));
        }
    }

    #[cold]
    fn on_invalid(&mut self, message: &Message, invalid: &Invalid) {
        self.figures.invalid.fetch_add(1, Relaxed);
        if !std::mem::replace(&mut self.has_reported_invalid, true) {
            let text = format!("a message on {} is not readable: {invalid}", message.subject);
            self.notify_all("invalid_message", Severity::Error, &text);
        }
    }

    fn try_accept(&mut self, message: &Message) -> Result<(), Invalid> {
        let Some((at, topic)) = self.topic(&message.subject)? else { return Ok(()) };
        match topic {
            Topic::Tick(token) => return self.on_packet(at, message, token),
            Topic::Frame(_) => return self.on_frame(at, message),
            _ => self.flush_pending(),
        }
        match topic {
            Topic::Event => {
                let account = &self.accounts[at];
                let notice = notices::event(&account.id, &json(&message.payload)?)?;
                self.on_notice(at, notice);
            }
            Topic::Gap => {
                let account = &mut self.accounts[at];
                let gap = json(&message.payload)?;
                if let Some(notice) = notices::gap(&account.id, &gap, &mut account.parts)? {
                    self.on_notice(at, notice);
                }
            }
            Topic::Order => self.on_order(at, message)?,
            _ => {}
        }
        Ok(())
    }

    /// Returns the account of a subject and what its messages are; `None` for another account.
    fn topic(&self, subject: &str) -> Result<Option<(usize, Topic)>, Invalid> {
        // The prefix was checked when the subjects were made.
        let prefix = self.accounts.first().map_or("", |account| account.subjects.prefix());
        let (account, topic) = Topic::parse(prefix, subject)?;
        let at = self.accounts.iter().position(|it| it.id == account);
        Ok(at.map(|at| (at, topic)))
    }

    fn on_packet(&mut self, at: usize, message: &Message, token: u32) -> Result<(), Invalid> {
        let headers = headers(message)?;
        let name = names::TICK;
        let place = headers.packet.ok_or(HeaderError::Missing { name })?;
        let packet = Packet::from_bytes(&message.payload).ok();
        let packet = packet.filter(|it| it.instrument_token() == token).ok_or(Invalid::Packet)?;
        let before = self.accounts[at].follower.term();
        let standing = self.accounts[at].follower.on_packet(&headers, place, token);
        let slot = at * MAX_CONNECTIONS + headers.connection;
        if !self.is_to_deliver(at, slot, &headers, standing, before) {
            return Ok(());
        }
        self.figures.ticks.fetch_add(1, Relaxed);
        let is_same = |it: &Pending| {
            (it.slot, it.headers.epoch, it.headers.sequence)
                == (slot, headers.epoch, headers.sequence)
        };
        if !self.pending.as_ref().is_some_and(is_same) {
            self.flush_pending();
        }
        let is_last = place.index + 1 == place.count;
        let new = || Pending { slot, headers, frame: FrameBuilder::new() };
        let pending = self.pending.get_or_insert_with(new);
        // A frame has at most as many packets as a builder has room for.
        let _ = pending.frame.push(packet);
        if is_last {
            self.flush_pending();
        }
        Ok(())
    }

    fn on_frame(&mut self, at: usize, message: &Message) -> Result<(), Invalid> {
        let headers = headers(message)?;
        let ticks = TickBatch::new(message.payload.clone()).map_err(|_| Invalid::Frame)?;
        let before = self.accounts[at].follower.term();
        let standing = self.accounts[at].follower.on_frame(&headers);
        let slot = at * MAX_CONNECTIONS + headers.connection;
        if self.is_to_deliver(at, slot, &headers, standing, before) {
            self.figures.ticks.fetch_add(ticks.len() as u64, Relaxed);
            self.push_batch(slot, &headers, ticks);
        }
        Ok(())
    }

    /// Reports what is missing before a message; returns whether it is to be delivered.
    fn is_to_deliver(
        &mut self,
        at: usize,
        slot: usize,
        headers: &Headers,
        standing: Standing,
        before: Option<u64>,
    ) -> bool {
        let account = &mut self.accounts[at];
        match standing {
            Standing::Repeated => _ = self.figures.repeated.fetch_add(1, Relaxed),
            Standing::OldTerm { current } => {
                self.figures.refused.fetch_add(1, Relaxed);
                if account.refused.replace(headers.term) != Some(headers.term) {
                    let (term, id) = (headers.term, account.id.clone());
                    let text = format!(
                        "messages of a publisher with the term {term} are refused: another one has {current}"
                    );
                    let event = reported(&id, None, "publisher_refused", Severity::Warning, &text);
                    self.outputs.push(Output::Notify(event));
                }
            }
            _ => {
                account.places[headers.connection] = (headers.epoch, headers.sequence);
                if before.is_some_and(|before| before != headers.term) {
                    account.awaits_newest = true;
                    let text = "another publisher has taken over: what was sent between the two is missing";
                    let event =
                        reported(&account.id, None, "publisher_changed", Severity::Warning, text);
                    self.flush_pending();
                    self.outputs.push(Output::Notify(event));
                }
                self.on_missed(slot, headers.packet.is_some(), standing.missed());
            }
        }
        standing.is_new()
    }

    /// Reports what is missing: ticks or frames.
    fn on_missed(&mut self, slot: usize, are_ticks: bool, missed: u64) {
        if missed > 0 {
            self.flush_pending();
            self.figures.missed.fetch_add(missed, Relaxed);
            let (frames, ticks) = if are_ticks { (1, missed) } else { (missed, 0) };
            self.outputs.push(Output::Lost(slot, frames, ticks));
        }
    }

    fn flush_pending(&mut self) {
        if let Some(Pending { slot, headers, frame }) = self.pending.take() {
            self.push_batch(slot, &headers, frame.finish_batch());
        }
    }

    fn push_batch(&mut self, slot: usize, headers: &Headers, ticks: TickBatch) {
        let received = stamp(headers.received_unix_ns);
        let batch = Batch::new(ticks, received, headers.epoch, headers.sequence);
        self.outputs.push(Output::Batch(slot, batch));
    }

    fn on_notice(&mut self, at: usize, notice: Notice) {
        let slot = |connection| at * MAX_CONNECTIONS + connection;
        self.outputs.push(match notice {
            Notice::Connection(connection, event) => Output::Event(slot(connection), event),
            Notice::Manager(event) => Output::Notify(event),
            Notice::Dropped { connection, frames, ticks } => {
                self.figures.dropped_ticks.fetch_add(ticks, Relaxed);
                Output::Lost(slot(connection), frames, ticks)
            }
        });
    }

    fn on_order(&mut self, at: usize, message: &Message) -> Result<(), Invalid> {
        let text = std::str::from_utf8(&message.payload).map_err(|_| Invalid::Order)?;
        let parsed = Arc::new(TextMessage::parse(text).map_err(|_| Invalid::Order)?);
        let received = stamp(header(message, names::TIME)?);
        let text = message.payload.clone();
        // Each arrives once, so that any connection of the account will do.
        let event = Event::Text { text, message: parsed, received };
        self.outputs.push(Output::Event(at * MAX_CONNECTIONS, event));
        Ok(())
    }
}

#[cfg(test)]
mod tests;
