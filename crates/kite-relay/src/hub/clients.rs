//! Clients that connect and leave, and what they are sent.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::mpsc::UnboundedSender;
use tokio::time::Instant;

use super::{Hub, Joined, ToHub};
use crate::changes::{Changes, ClientId};
use crate::client::{Closing, ToClient};
use crate::losses::Notice;
use crate::roster::{RelayClient, Roster};
use crate::stats::SocketFigures;

/// Time for a client that may no longer connect to read what is queued for it.
const CLOSE_DEADLINE: Duration = Duration::from_secs(5);

/// A client that has not left.
#[derive(Debug)]
pub(super) struct Client {
    pub(super) listed: Arc<RelayClient>,
    pub(super) sender: UnboundedSender<ToClient>,
    pub(super) figures: Arc<SocketFigures>,
    pub(super) has_heartbeats: bool,
}

impl Client {
    pub(super) fn send(&self, message: ToClient) {
        // Fails if the client has left, which the hub learns next.
        let _ = self.sender.send(message);
    }

    /// Takes over the present limits; closes the socket and returns false if it may not stay.
    fn update(&mut self, roster: &Roster) -> bool {
        match roster.present(&self.listed) {
            Some(present) => {
                self.listed = Arc::clone(present);
                true
            }
            None => {
                let deadline = Instant::now() + CLOSE_DEADLINE;
                self.send(ToClient::Close(Closing::NotListed(deadline)));
                false
            }
        }
    }
}

impl Hub {
    pub(super) fn on_message(&mut self, message: ToHub) {
        match message {
            ToHub::Joined(joined) => self.on_joined(joined),
            ToHub::Command { id, text } => self.on_command(id, &text),
            ToHub::Left { id } => self.on_left(id),
            ToHub::Ended => self.tasks = self.tasks.saturating_sub(1),
        }
    }

    fn on_joined(&mut self, joined: Joined) {
        let Joined { id, client: listed, sender, figures } = joined;
        let mut client = Client { listed, sender, figures, has_heartbeats: true };
        if self.is_stopping {
            client.send(ToClient::Close(Closing::Stopping(Instant::now())));
        } else if client.update(&self.roster.lock()) {
            self.greetings.texts().for_each(|text| client.send(ToClient::Text(text)));
        }
        self.clients.insert(id, client);
        self.tasks += 1;
    }

    fn on_left(&mut self, id: ClientId) {
        if self.clients.remove(&id).is_none() {
            return;
        }
        let changes = Changes::leaving(self.groups.book(id));
        self.groups.leave(id);
        self.losses.leave(id);
        self.wishes.apply(&changes, Instant::now().into_std());
        self.update_upstream();
    }

    /// Closes the sockets of clients that may no longer connect.
    pub(super) fn on_roster_changed(&mut self) {
        let roster = self.roster.lock();
        for client in self.clients.values_mut() {
            client.update(&roster);
        }
    }

    /// Does what is due each second.
    pub(super) fn check(&mut self) {
        self.report_dropped();
        self.report_damaged();
        self.update_statuses();
        self.update_placement();
        let now = Instant::now().into_std();
        self.log_declined(now);
        for (&id, client) in &mut self.clients {
            let has_heartbeats = self.losses.sends_heartbeats(id, &self.groups, now);
            if has_heartbeats != client.has_heartbeats {
                client.has_heartbeats = has_heartbeats;
                client.send(ToClient::Heartbeats(has_heartbeats));
            }
        }
    }

    /// Sends a client a frame of this many bytes.
    pub(super) fn send_frame(&self, id: ClientId, bytes: usize, frame: ToClient) {
        let Some(client) = self.clients.get(&id) else { return };
        if self.block.is_some() {
            client.figures.backlog.fetch_add(bytes as u64, Ordering::AcqRel);
        }
        client.send(frame);
    }

    pub(super) fn send_notices(&self, notices: Vec<Notice>) {
        for notice in notices {
            for id in notice.clients {
                if let Some(client) = self.clients.get(&id) {
                    client.send(ToClient::Text(Arc::clone(&notice.text)));
                }
            }
        }
    }

    pub(super) fn send_to_all(&self, text: &Arc<str>) {
        for client in self.clients.values() {
            client.send(ToClient::Text(Arc::clone(text)));
        }
    }
}
