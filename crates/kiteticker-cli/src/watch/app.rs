//! The state of the live table.
//!
//! Performs no I/O; the caller passes in keys, packets, events and the time, and applies the
//! returned [`Effect`]s to the feed.

mod keys;
mod mouse;
mod overlays;
#[cfg(test)]
mod tests;

use std::time::Instant;

use kite_manager::{ManagerEvent, OrderItem, Snapshot};
use kite_sim::ReplayProgress;
use kite_wire::{Mode, Packet, UnixSeconds};
use ratatui::layout::Rect;

use crate::format::numbers::counted;
use crate::instruments::directory::Directory;
use crate::instruments::names::Named;
use crate::watch::day::Today;
use crate::watch::health::Health;
use crate::watch::journal::{Journal, Weight, describe_order_item};
use crate::watch::layout::{Content, Page, Panel};
use crate::watch::playback::{Order, Playback};
use crate::watch::redraw::Redraw;
use crate::watch::row::FADED;
use crate::watch::table::{Table, Taken};
use crate::watch::theme::Theme;
use crate::watch::watchlists::Name;

pub(crate) use overlays::{Choice, Saving};

/// The number of completions offered while an instrument is added.
pub(crate) const CHOICES: usize = 6;

/// What the table requests from the feed, the files or the terminal.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Effect {
    Subscribe {
        token: u32,
        mode: Mode,
    },
    Unsubscribe {
        token: u32,
    },
    SetMode {
        token: u32,
        mode: Mode,
    },
    Replace {
        removed: Vec<u32>,
        added: Vec<u32>,
        mode: Mode,
    },
    Replay(Order),
    /// Calls [`App::choose_list`] with the watch lists.
    ChooseList,
    /// Calls [`App::name_list`] with the watch lists.
    NameList,
    Load(Name),
    Save {
        name: Name,
        listed: Vec<String>,
    },
    Suspend,
    Quit,
}

/// The part of the screen that receives keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Focus {
    Table,
    Filter,
    Add(Adding),
    Help {
        /// The first line shown.
        top: usize,
    },
    Choose(Choice),
    Save(Saving),
}

/// The input of an instrument to add.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Adding {
    pub(crate) text: String,
    pub(crate) choices: Vec<Named>,
    /// The completion selected with the arrow keys.
    pub(crate) chosen: Option<usize>,
    /// Why the instrument cannot be added.
    pub(crate) refusal: Option<String>,
}

/// The source of ticks, as shown in the title.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Origin {
    /// `SIMULATOR`, `REPLAY` or `LIVE`.
    pub(crate) badge: &'static str,
    pub(crate) title: String,
    /// Whether exchange times are current, so that their delay is meaningful.
    pub(crate) is_now: bool,
}

/// The time at which a frame is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Moment {
    pub(crate) now: Instant,
    /// The local clock.
    pub(crate) unix_s: u64,
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
    pub(crate) panel: Panel,
    pub(crate) content: Content,
    /// The bars of the day, for the chart.
    pub(crate) today: Today,
    /// The state of the replay, if there is one.
    pub(crate) playback: Option<Playback>,
    /// The watch list that was loaded or saved last.
    pub(crate) list: Option<Name>,
    /// Columns and lines of the screen.
    size: (u16, u16),
    directory: Box<dyn Directory>,
    /// The mode of instruments added later.
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
            panel: Panel::default(),
            content: Content::default(),
            today: Today::default(),
            playback: None,
            list: None,
            size: (0, 0),
            directory,
            mode,
        }
    }

    /// Processes a packet; ignores instruments that are not in the table.
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

    /// Processes a packet of a connection for the chart, with the wall-clock time of its receipt. In
    /// a replay, the time of the tape takes its place.
    pub(crate) fn on_traded(&mut self, connection: usize, packet: Packet<'_>, recv_unix_ns: u64) {
        if self.table.row(packet.instrument_token()).is_none() {
            return;
        }
        let at = match &self.playback {
            None => Some(recv_unix_ns),
            Some(playback) => {
                let exchange = packet.exchange_timestamp().map(UnixSeconds::unix_ns);
                exchange.or(playback.position_unix_ns)
            }
        };
        if let Some(at) = at {
            self.today.on_packet(connection, packet, at);
        }
    }

    /// Processes the loss of a connection for the chart.
    pub(crate) fn on_down(&mut self, connection: usize, from_unix_ns: u64) {
        if self.playback.is_none() {
            self.today.on_lost(connection, from_unix_ns);
        }
    }

    /// Counts ticks of a connection that were replaced by newer ones before they were processed.
    pub(crate) fn on_replaced(&mut self, connection: usize, ticks: u64) {
        if ticks > 0 {
            self.today.on_replaced(connection);
        }
        self.on_lag(ticks);
    }

    /// Counts ticks that were replaced by newer ones, or dropped, before they were processed.
    fn on_lag(&mut self, ticks: u64) {
        self.health.losses.lagged += ticks;
        self.redraw.request();
    }

    /// Processes an event from a connection.
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

    /// Processes an order update.
    pub(crate) fn on_order(&mut self, item: &OrderItem) {
        if let Some((weight, text)) = describe_order_item(item) {
            self.log(weight, text);
        }
    }

    /// Updates the feed's figures; called once a second.
    pub(crate) fn on_reading(&mut self, feed: Snapshot) {
        self.health.feed = feed;
        self.redraw.on_second();
    }

    /// Takes what the replay reports.
    pub(crate) fn on_progress(&mut self, progress: &ReplayProgress) {
        let Some(playback) = &mut self.playback else { return };
        if playback.update(progress) {
            self.log(Weight::Plain, "the tape has ended: left and [ go back");
        }
    }

    /// Removes instruments that the feed refused.
    pub(crate) fn on_refused(&mut self, tokens: &[u32], why: &str) {
        let name = match tokens {
            [token] => {
                let row = self.table.row(*token);
                row.map_or_else(|| token.to_string(), |row| row.name.clone())
            }
            all => counted(all.len() as u64, "instrument"),
        };
        for &token in tokens {
            self.table.remove(token, self.moment.now);
        }
        self.log(Weight::Bad, format!("cannot add {name}: {why}"));
    }

    /// Returns the division of the screen.
    pub(crate) fn page(&self) -> Page {
        let (width, height) = self.size;
        Page::of(Rect { x: 0, y: 0, width, height }, self.panel, self.content)
    }

    /// Fits the table to the size of the screen.
    pub(crate) fn on_resize(&mut self, width: u16, height: u16) {
        if self.size == (width, height) {
            return;
        }
        self.size = (width, height);
        self.on_panel();
        if let Focus::Help { top } = self.focus {
            self.focus = Focus::Help { top: self.help_top(top) };
        }
    }

    /// Adapts the table to the panel.
    fn on_panel(&mut self) {
        self.table.resize(self.page().rows());
        self.redraw.request();
    }

    /// Adds a line to the events below the table.
    pub(crate) fn log(&mut self, weight: Weight, text: impl Into<String>) {
        self.journal.add(self.moment.unix_s, weight, text);
        self.redraw.request();
    }

    /// Prepares the frame to draw at this instant.
    pub(crate) fn on_frame(&mut self, moment: Moment) {
        self.moment = moment;
        if self.table.arrange_if_due(moment.now) {
            self.redraw.request();
        }
    }

    /// Records that the frame was drawn.
    pub(crate) fn on_drawn(&mut self, now: Instant) {
        // If the order is out of date, the next frame sorts again.
        self.redraw.on_drawn(self.moment.now, now, self.table.is_out_of_order());
    }

    /// Returns further details of an instrument from the directory.
    pub(crate) fn facts(&self, token: u32) -> Vec<(&'static str, String)> {
        self.directory.facts(token)
    }
}
