//! Clients' commands.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use kite_server::texts;
use kite_wire::{Mode, ParsedCommand};
use tokio::time::Instant;

use super::Hub;
use super::declined::Outcome;
use crate::changes::{Cause, Changes, ClientId};
use crate::client::ToClient;
use crate::stats::CommandRefusal;

impl Hub {
    /// Applies a text from a client, or refuses it as a whole.
    pub(super) fn on_command(&mut self, id: ClientId, text: &str) {
        if !self.clients.contains_key(&id) {
            return;
        }
        match ParsedCommand::parse(text) {
            Ok(command) => {
                let ignored = command.tokens.ignored();
                if !ignored.is_empty() {
                    self.note_ignored(id, &ignored);
                }
                let changes = Changes::of(command, |token| self.groups.mode(id, token));
                match self.limit_exceeded_by(id, &changes) {
                    None => self.apply(id, &changes),
                    Some(refusal) => self.refuse(id, refusal),
                }
            }
            // Ignored, as Kite does.
            Err(error) => self.note_ignored(id, &error),
        }
        if let Some(client) = self.clients.get(&id) {
            client.send(ToClient::Applied);
        }
    }

    /// Counts and logs a text that is ignored. The reason holds nothing of the client's text.
    fn note_ignored(&mut self, id: ClientId, reason: &dyn fmt::Display) {
        if let Some(client) = self.clients.get(&id) {
            client.figures.ignored_commands.fetch_add(1, Ordering::Relaxed);
        }
        self.note_declined(id, Outcome::Ignored, reason.to_string());
    }

    /// Returns why changes are to be refused, if they are.
    fn limit_exceeded_by(&self, id: ClientId, changes: &Changes) -> Option<CommandRefusal> {
        let client = self.clients.get(&id)?;
        let (held, limit) = (self.groups.book_len(id), client.listed.instrument_limit());
        let (asked, free) = (changes.added(), limit.saturating_sub(held));
        if asked > free {
            return Some(CommandRefusal::SocketFull { asked, free, limit });
        }
        self.wishes.check(changes).err().map(CommandRefusal::AccountsFull)
    }

    fn refuse(&mut self, id: ClientId, refusal: CommandRefusal) {
        if let Some(client) = self.clients.get(&id) {
            self.figures.note_refusal(client.listed.name(), refusal);
            client.figures.refused_commands.fetch_add(1, Ordering::Relaxed);
            client.send(ToClient::Text(texts::too_many_instruments(refusal.limit()).into()));
        }
        let outcome = match refusal {
            CommandRefusal::SocketFull { .. } => Outcome::SocketFull,
            CommandRefusal::AccountsFull(_) => Outcome::AccountsFull,
        };
        self.note_declined(id, outcome, refusal.to_string());
    }

    /// Applies changes, and sends a snapshot of what is known before anything newer.
    fn apply(&mut self, id: ClientId, changes: &Changes) {
        let now = Instant::now().into_std();
        self.wishes.apply(changes, now);
        self.groups.apply(id, changes);
        if let Some(client) = self.clients.get(&id) {
            let instruments = self.groups.book_len(id) as u64;
            client.figures.instruments.store(instruments, Ordering::Relaxed);
        }
        self.losses.on_changes(changes, now);
        self.forget_unsubscribed(id, changes);
        if let Some((frame, packets)) = self.table.snapshot(to_snapshot(changes)) {
            self.send_frame(id, frame.len(), ToClient::Snapshot(frame.into(), packets));
        }
        self.update_upstream();
        self.send_errors();
    }

    fn forget_unsubscribed(&self, id: ClientId, changes: &Changes) {
        let gone = changes.iter().filter(|change| change.to.is_none());
        let gone: Vec<u32> = gone.map(|change| change.token).collect();
        if !gone.is_empty()
            && let Some(client) = self.clients.get(&id)
        {
            client.send(ToClient::Forget(gone));
        }
    }

    /// Sends the texts about outages upstream that are due.
    pub(super) fn send_errors(&mut self) {
        if self.losses.is_any_down() {
            self.update_statuses();
        }
        let notices = self.losses.poll(&self.groups, Instant::now().into_std());
        self.send_notices(notices);
    }

    /// Sends every client a message.
    pub(super) fn send_message(&self, data: &serde_json::Value) {
        self.send_to_all(&Arc::from(texts::message(data)));
    }
}

/// Returns the instruments to send a snapshot of, as Kite does: all that a subscribe names, and
/// those whose mode another command changes.
fn to_snapshot(changes: &Changes) -> impl Iterator<Item = (u32, Mode)> + Clone {
    let is_subscribe = changes.cause() == Cause::Subscribe;
    let asked = changes.iter().filter(move |change| is_subscribe || change.from != change.to);
    asked.filter_map(|change| Some((change.token, change.to?)))
}
