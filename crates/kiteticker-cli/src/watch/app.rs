//! The state of the table: what comes in changes it, and it says what is to be done.
//!
//! No terminal, no socket and no clock here: keys, packets, events and the time are handed in, and
//! wishes to the feed are given back as [`Effect`]s.

mod keys;
#[cfg(test)]
mod tests;

use std::time::Instant;

use kite_manager::{ManagerEvent, OrderItem, Snapshot};
use kite_wire::{Mode, Packet};
use ratatui::layout::Rect;

use crate::instruments::directory::Directory;
use crate::instruments::names::Named;
use crate::watch::health::Health;
use crate::watch::journal::{Journal, Weight, describe_order_item};
use crate::watch::layout::Page;
use crate::watch::redraw::Redraw;
use crate::watch::row::FADED;
use crate::watch::table::{Table, Taken};
use crate::watch::theme::Theme;

/// Completions offered while an instrument is added.
pub(crate) const CHOICES: usize = 6;

/// What the table asks of the feed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Effect {
    Subscribe { token: u32, mode: Mode },
    Unsubscribe { token: u32 },
    SetMode { token: u32, mode: Mode },
    Quit,
}

/// What the keys go to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Focus {
    Table,
    Filter,
    Add(Adding),
    Help,
}

/// An instrument that is being named.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Adding {
    pub(crate) text: String,
    pub(crate) choices: Vec<Named>,
    /// The completion that the arrow keys went to.
    pub(crate) chosen: Option<usize>,
    /// Why the text cannot be added.
    pub(crate) refusal: Option<String>,
}

/// Where the ticks come from, as the title says it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Origin {
    /// `SIMULATOR`, `REPLAY` or `LIVE`.
    pub(crate) badge: &'static str,
    pub(crate) title: String,
    /// Whether exchange times are of this moment, so that their age says something.
    pub(crate) is_now: bool,
}

/// The time of a frame to be drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Moment {
    pub(crate) now: Instant,
    /// The machine's clock.
    pub(crate) unix_s: u64,
    /// The time of the tape that is played, if one is.
    pub(crate) tape_unix_s: Option<u64>,
}

/// The state of the table.
pub(crate) struct App {
    pub(crate) theme: Theme,
    pub(crate) origin: Origin,
    pub(crate) moment: Moment,
    pub(crate) table: Table,
    pub(crate) health: Health,
    pub(crate) journal: Journal,
    pub(crate) redraw: Redraw,
    pub(crate) focus: Focus,
    directory: Box<dyn Directory>,
    /// The mode of instruments that are added.
    mode: Mode,
}

impl App {
    pub(crate) fn new(
        theme: Theme,
        origin: Origin,
        directory: Box<dyn Directory>,
        instruments: Vec<Named>,
        mode: Mode,
        moment: Moment,
    ) -> Self {
        Self {
            theme,
            origin,
            moment,
            table: Table::new(instruments, mode, moment.now),
            health: Health::default(),
            journal: Journal::default(),
            redraw: Redraw::default(),
            focus: Focus::Table,
            directory,
            mode,
        }
    }

    /// Takes a packet; those of instruments that are not in the table are passed over.
    pub(crate) fn on_packet(&mut self, packet: Packet<'_>, received: Instant, now: Instant) {
        match self.table.take(packet, received, now) {
            Taken::Unlisted => return,
            Taken::Held => {}
            Taken::Shown { is_glowing } => {
                self.redraw.on_tick(received, is_glowing.then(|| now + FADED));
            }
        }
        self.health.on_exchange_time(packet.exchange_timestamp());
    }

    /// Notes ticks that were replaced by newer ones, or dropped, before they could be taken.
    pub(crate) fn on_lag(&mut self, ticks: u64) {
        self.health.losses.lagged += ticks;
        self.redraw.request();
    }

    /// Takes what happened to the connections.
    pub(crate) fn on_event(&mut self, event: &ManagerEvent) {
        self.redraw.request();
        match event {
            ManagerEvent::Connection { seat, event } => {
                self.health.on_connection(seat.connection, event, self.moment.now);
            }
            ManagerEvent::Lagged { missed } => self.health.losses.events += missed,
            _ => {}
        }
        if let Some(weight) = Weight::of(event.severity()) {
            self.log(weight, event.to_string());
        }
    }

    /// Takes an order update.
    pub(crate) fn on_order(&mut self, item: &OrderItem) {
        if let Some((weight, text)) = describe_order_item(item) {
            self.log(weight, text);
        }
    }

    /// Takes a reading of the feed; to be given once a second.
    pub(crate) fn on_reading(&mut self, feed: Snapshot) {
        self.health.feed = feed;
        self.redraw.on_second();
    }

    /// Takes back an instrument that the feed has refused.
    pub(crate) fn on_refused(&mut self, token: u32, why: &str) {
        let row = self.table.row(token);
        let name = row.map_or_else(|| token.to_string(), |row| row.name.clone());
        self.table.remove(token, self.moment.now);
        self.log(Weight::Bad, format!("cannot add {name}: {why}"));
    }

    pub(crate) fn on_resize(&mut self, width: u16, height: u16) {
        let page = Page::of(Rect { x: 0, y: 0, width, height });
        self.table.resize(page.map_or(0, |page| page.rows()));
        self.redraw.request();
    }

    /// Writes a line below the table.
    pub(crate) fn log(&mut self, weight: Weight, text: impl Into<String>) {
        self.journal.add(self.moment.unix_s, weight, text);
        self.redraw.request();
    }

    /// Prepares a frame that is drawn at this moment.
    pub(crate) fn on_frame(&mut self, moment: Moment) {
        self.moment = moment;
        if self.table.arrange_if_due(moment.now) {
            self.redraw.request();
        }
    }

    /// Notes that the frame was drawn.
    pub(crate) fn on_drawn(&mut self, now: Instant) {
        // Ticks wait for the next ordering, not the screen for the ticks.
        self.redraw.on_drawn(self.moment.now, now, self.table.is_out_of_order());
    }

    /// Returns what the list of instruments knows of one.
    pub(crate) fn facts(&self, token: u32) -> Vec<(&'static str, String)> {
        self.directory.facts(token)
    }
}
