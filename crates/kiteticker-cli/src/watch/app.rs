//! The state of the table: what comes in changes it, and it says what is to be done.
//!
//! No terminal, no socket and no clock here: keys, packets, events and the time are handed in, and
//! wishes to the feed are given back as [`Effect`]s.

mod keys;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

use kite_conn::{Event, Phase};
use kite_manager::{ManagerEvent, OrderItem};
use kite_wire::text::TextMessage;
use kite_wire::{Fields, Mode, Packet, Tick};
use ratatui::layout::Rect;

use crate::format::numbers::count;
use crate::instruments::directory::Directory;
use crate::instruments::names::Named;
use crate::watch::journal::{Journal, Weight, describe, describe_order};
use crate::watch::layout::Page;
use crate::watch::row::{FADED, Row};
use crate::watch::sort::{Sort, matches};
use crate::watch::state::FeedState;
use crate::watch::theme::Theme;

/// The least time between two orderings by values that move.
const SORT_EVERY: Duration = Duration::from_millis(250);
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

/// What did not reach the screen.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Losses {
    /// Ticks replaced by newer ones, or dropped, because the display was slower.
    pub(crate) lagged: u64,
    /// Times that a connection was without ticks and came back.
    pub(crate) gaps: u64,
    /// Events that the display was too slow for.
    pub(crate) events: u64,
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
    pub(crate) size: (u16, u16),
    /// As they were listed and added.
    pub(crate) rows: Vec<Row>,
    /// Places in `rows`, by token.
    places: HashMap<u32, usize>,
    /// Places in `rows` of those that the filter lets through, as they are ordered.
    pub(crate) order: Vec<usize>,
    pub(crate) sort: Sort,
    pub(crate) filter: String,
    pub(crate) selected: Option<u32>,
    /// The first place in `order` on the screen.
    pub(crate) top: usize,
    /// Whether the screen goes where the selected row is. It does not once another order was
    /// chosen: that is chosen for what comes first.
    is_following: bool,
    pub(crate) focus: Focus,
    pub(crate) journal: Journal,
    pub(crate) feed: FeedState,
    pub(crate) losses: Losses,
    /// When connections that wait try again.
    pub(crate) retry_at: BTreeMap<usize, Instant>,
    /// The newest of the exchange's times.
    pub(crate) exchange_unix_s: Option<u32>,
    pub(crate) is_paused: bool,
    /// Ticks that came since the pause.
    pub(crate) held_ticks: u64,
    /// The longest that a tick waited to be drawn, over the last full second.
    pub(crate) drawn_after: Option<Duration>,
    directory: Box<dyn Directory>,
    /// The mode of instruments that are added.
    mode: Mode,
    longest_wait: Option<Duration>,
    /// When the oldest tick that is not drawn yet was received.
    waiting_since: Option<Instant>,
    ordered_at: Instant,
    is_out_of_order: bool,
    is_dirty: bool,
    /// When the last glow has faded; `None` once that was drawn.
    glows_until: Option<Instant>,
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
        let mut app = Self {
            theme,
            origin,
            moment,
            size: (0, 0),
            rows: Vec::new(),
            places: HashMap::new(),
            order: Vec::new(),
            sort: Sort::default(),
            filter: String::new(),
            selected: None,
            top: 0,
            is_following: true,
            focus: Focus::Table,
            journal: Journal::default(),
            feed: FeedState::default(),
            losses: Losses::default(),
            retry_at: BTreeMap::new(),
            exchange_unix_s: None,
            is_paused: false,
            held_ticks: 0,
            drawn_after: None,
            directory,
            mode,
            longest_wait: None,
            waiting_since: None,
            ordered_at: moment.now,
            is_out_of_order: false,
            is_dirty: true,
            glows_until: None,
        };
        for Named { token, name } in instruments {
            app.insert(token, name);
        }
        // The first that has a market depth to show.
        let first = app.rows.iter().find(|row| row.segment().is_tradable());
        app.selected = first.or(app.rows.first()).map(|row| row.token);
        app.arrange();
        app
    }

    /// Takes a packet; those of instruments that are not in the table are passed over.
    pub(crate) fn on_packet(&mut self, packet: Packet<'_>, received: Instant, now: Instant) {
        let place = self.places.get(&packet.instrument_token());
        let Some(row) = place.and_then(|&place| self.rows.get_mut(place)) else { return };
        let tick = Tick::from(packet);
        let exchange = match &tick.fields {
            Fields::Full { full, .. } => full.exchange_timestamp,
            Fields::IndexFull { exchange_timestamp, .. } => *exchange_timestamp,
            _ => 0,
        };
        if exchange > 0 {
            self.exchange_unix_s = self.exchange_unix_s.max(Some(exchange));
        }
        if self.is_paused {
            row.hold(tick, received, now);
            self.held_ticks += 1;
            return;
        }
        row.take(tick, received, now);
        if row.glow(now).is_some() {
            self.glows_until = self.glows_until.max(Some(now + FADED));
        }
        self.waiting_since = Some(self.waiting_since.map_or(received, |it| it.min(received)));
        self.is_out_of_order |= self.sort.is_moving();
        self.is_dirty = true;
    }

    /// Notes ticks that were replaced by newer ones, or dropped, before they could be taken.
    pub(crate) fn on_lag(&mut self, ticks: u64) {
        self.losses.lagged += ticks;
        self.is_dirty = true;
    }

    /// Takes what happened to the connections.
    pub(crate) fn on_event(&mut self, event: &ManagerEvent) {
        self.is_dirty = true;
        match event {
            ManagerEvent::Connection { seat, event } => {
                self.on_connection(seat.connection, event);
            }
            ManagerEvent::Moved { moves, back, .. } => {
                let moved = count(moves.len() as u64);
                let text = match back {
                    true => format!("{moved} instruments returned to their socket"),
                    false => format!("{moved} instruments went to other sockets"),
                };
                self.tell(Weight::Plain, text);
            }
            ManagerEvent::Dark { connection, tokens, .. } => {
                let dark = count(tokens.len() as u64);
                let socket = connection + 1;
                self.tell(
                    Weight::Bad,
                    format!("socket {socket} is down and no other has room for {dark} instruments"),
                );
            }
            ManagerEvent::Lagged { missed } => {
                self.losses.events += missed;
                self.tell(Weight::Warning, format!("{} events missed", count(*missed)));
            }
            _ => {}
        }
    }

    fn on_connection(&mut self, connection: usize, event: &Event) {
        let phase = match event {
            Event::Up { .. } => Some(Phase::Live),
            Event::Down { .. } | Event::Opening { .. } => Some(Phase::Opening),
            Event::Retry { .. } => Some(Phase::Waiting),
            Event::Renewing { .. } => Some(Phase::Renewing),
            Event::Parked(_) => Some(Phase::Parked),
            Event::Closed => Some(Phase::Closed),
            _ => None,
        };
        // Readings come once a second: what an event says is known before.
        if let (Some(phase), Some(socket)) = (phase, self.feed.sockets.get_mut(connection)) {
            socket.phase = phase;
        }
        match event {
            Event::Retry { delay, .. } => {
                self.retry_at.insert(connection, self.moment.now + *delay);
            }
            Event::Gap(_) => self.losses.gaps += 1,
            _ => {}
        }
        if let Some((weight, text)) = describe(connection + 1, event) {
            self.tell(weight, text);
        }
    }

    /// Takes an order update.
    pub(crate) fn on_order(&mut self, item: &OrderItem) {
        match item {
            OrderItem::Update(update) => match &*update.message {
                TextMessage::Order(order) => self.tell(Weight::Plain, describe_order(order)),
                _ => self.tell(Weight::Warning, "an order update that cannot be read"),
            },
            OrderItem::Lagged { missed } => {
                let missed = count(*missed);
                self.tell(Weight::Warning, format!("order updates may be among {missed} missed"));
            }
            _ => {}
        }
    }

    /// Takes a reading of the feed; to be given once a second.
    pub(crate) fn on_reading(&mut self, feed: FeedState) {
        self.feed = feed;
        self.drawn_after = self.longest_wait.take();
        self.is_dirty = true;
    }

    /// Takes back an instrument that the feed has refused.
    pub(crate) fn on_refused(&mut self, token: u32, why: &str) {
        let name = self.row(token).map_or_else(|| token.to_string(), |row| row.name.clone());
        self.remove(token);
        self.tell(Weight::Bad, format!("cannot add {name}: {why}"));
    }

    pub(crate) fn on_resize(&mut self, width: u16, height: u16) {
        self.size = (width, height);
        self.is_dirty = true;
        self.settle();
    }

    /// Writes a line below the table.
    pub(crate) fn tell(&mut self, weight: Weight, text: impl Into<String>) {
        self.journal.add(self.moment.unix_s, weight, text);
        self.is_dirty = true;
    }

    /// Says whether the screen would look different if it were drawn.
    pub(crate) fn wants_drawing(&self) -> bool {
        self.is_dirty || self.glows_until.is_some()
    }

    /// Prepares a frame that is drawn at this moment.
    pub(crate) fn on_frame(&mut self, moment: Moment) {
        self.moment = moment;
        let is_due = moment.now.saturating_duration_since(self.ordered_at) >= SORT_EVERY;
        if self.is_out_of_order && is_due && !self.is_paused {
            self.arrange();
        }
    }

    /// Notes that the frame was drawn.
    pub(crate) fn on_drawn(&mut self, now: Instant) {
        // Ticks wait for the next ordering, not the screen for the ticks.
        self.is_dirty = self.is_out_of_order && !self.is_paused;
        if self.glows_until.is_some_and(|until| self.moment.now >= until) {
            self.glows_until = None;
        }
        if let Some(since) = self.waiting_since.take() {
            let waited = now.saturating_duration_since(since);
            self.longest_wait = self.longest_wait.max(Some(waited));
        }
    }

    /// Gives the row of an instrument.
    pub(crate) fn row(&self, token: u32) -> Option<&Row> {
        self.places.get(&token).and_then(|&place| self.rows.get(place))
    }

    pub(crate) fn selected_row(&self) -> Option<&Row> {
        self.selected.and_then(|token| self.row(token))
    }

    /// Gives what the list of instruments knows of one.
    pub(crate) fn facts(&self, token: u32) -> Vec<(&'static str, String)> {
        self.directory.facts(token)
    }

    /// Gives how many rows the screen shows at once.
    fn page_rows(&self) -> usize {
        let (width, height) = self.size;
        Page::of(Rect { x: 0, y: 0, width, height }).map_or(0, |page| page.rows())
    }

    fn insert(&mut self, token: u32, name: String) -> bool {
        let is_new = !self.places.contains_key(&token);
        if is_new {
            self.places.insert(token, self.rows.len());
            self.rows.push(Row::new(token, name, self.mode));
        }
        is_new
    }

    fn remove(&mut self, token: u32) {
        let Some(place) = self.places.remove(&token) else { return };
        self.rows.remove(place);
        for later in self.places.values_mut().filter(|it| **it > place) {
            *later -= 1;
        }
        if self.selected == Some(token) {
            // Its successor, so that several can go one after the other.
            let at = self.order.iter().position(|&it| it == place).unwrap_or_default();
            let next = self.order.get(at + 1).or_else(|| self.order.get(at.checked_sub(1)?));
            let next = next.map(|&it| if it > place { it - 1 } else { it });
            self.selected = next.and_then(|it| self.rows.get(it)).map(|row| row.token);
        }
        self.arrange();
    }

    /// Filters and orders the rows anew.
    fn arrange(&mut self) {
        let Self { rows, filter, order, sort, moment, .. } = self;
        order.clear();
        order.extend((0..rows.len()).filter(|&place| matches(&rows[place], filter)));
        sort.sort(order, rows, moment.now);
        self.ordered_at = self.moment.now;
        self.is_out_of_order = false;
        self.is_dirty = true;
        self.settle();
    }

    /// Gives the selected row's place in the order.
    fn selected_at(&self) -> Option<usize> {
        let place = self.places.get(&self.selected?)?;
        self.order.iter().position(|it| it == place)
    }

    /// Selects the row at a place in the order, the last one if there are fewer.
    fn select(&mut self, at: usize) {
        let place = self.order.get(at).or(self.order.last());
        self.selected = place.and_then(|&place| self.rows.get(place)).map(|row| row.token);
        self.is_following = true;
        self.is_dirty = true;
        self.settle();
    }

    /// Brings the selected row onto the screen, if that is where the screen is to be.
    fn settle(&mut self) {
        let rows = match self.size {
            // Nothing is drawn yet: all that is there may have room.
            (0, 0) => usize::MAX,
            _ => self.page_rows().max(1),
        };
        match self.selected_at() {
            Some(_) if !self.is_following => {}
            Some(at) => self.top = self.top.min(at).max((at + 1).saturating_sub(rows)),
            // Filtered out: the one that came into its place.
            None if !self.order.is_empty() => return self.select(self.top),
            None => self.selected = None,
        }
        // No empty lines at the end while there are rows above.
        self.top = self.top.min(self.order.len().saturating_sub(rows));
    }
}
