//! The rows of the table, their order and the selection.
//!
//! Performs no I/O; the caller passes in ticks and the time.

use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

use kite_wire::{Mode, Packet, Tick};

use crate::instruments::names::Named;
use crate::watch::columns::Contents;
use crate::watch::row::Row;
use crate::watch::sort::{Sort, matches};

/// The minimum time between two sorts by values that change.
const SORT_EVERY: Duration = Duration::from_millis(250);

/// What happened to a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Taken {
    /// Its instrument is not in the table.
    Unlisted,
    /// Held until the display resumes.
    Held,
    Shown {
        /// Whether the price has just changed.
        is_glowing: bool,
    },
}

/// The rows and the selection.
#[derive(Debug)]
pub(crate) struct Table {
    /// In the order listed and added.
    pub(crate) rows: Vec<Row>,
    /// Indices into `rows`, by token.
    places: HashMap<u32, usize>,
    /// Indices into `rows` of those that match the filter, in sorted order.
    pub(crate) order: Vec<usize>,
    pub(crate) sort: Sort,
    pub(crate) filter: String,
    pub(crate) selected: Option<u32>,
    /// The index into `order` of the first row on the screen.
    pub(crate) top: usize,
    /// Whether the screen follows the selected row. False after a new sort order is chosen, so
    /// that its first rows are shown.
    is_following: bool,
    /// Number of rows that the screen shows at once; `None` until its size is known.
    page: Option<usize>,
    pub(crate) is_paused: bool,
    /// Ticks held since the pause.
    pub(crate) held_ticks: u64,
    ordered_at: Instant,
    is_out_of_order: bool,
}

impl Table {
    pub(crate) fn new(instruments: Vec<Named>, mode: Mode, now: Instant) -> Self {
        let mut table = Self {
            rows: Vec::new(),
            places: HashMap::new(),
            order: Vec::new(),
            sort: Sort::default(),
            filter: String::new(),
            selected: None,
            top: 0,
            is_following: true,
            page: None,
            is_paused: false,
            held_ticks: 0,
            ordered_at: now,
            is_out_of_order: false,
        };
        for named in instruments {
            table.insert(named, mode);
        }
        table.select_first();
        table.on_listed(now);
        table
    }

    /// Selects the first instrument that has market depth.
    fn select_first(&mut self) {
        let first = self.rows.iter().find(|row| row.segment().is_tradable());
        self.selected = first.or(self.rows.first()).map(|row| row.token);
    }

    /// Processes a packet.
    pub(crate) fn take(&mut self, packet: Packet<'_>, received: Instant, now: Instant) -> Taken {
        let place = self.places.get(&packet.instrument_token());
        let Some(row) = place.and_then(|&place| self.rows.get_mut(place)) else {
            return Taken::Unlisted;
        };
        let tick = Tick::from(packet);
        if self.is_paused {
            row.hold(tick, received, now);
            self.held_ticks += 1;
            return Taken::Held;
        }
        row.take(tick, received, now);
        self.is_out_of_order |= self.sort.is_moving();
        Taken::Shown { is_glowing: row.glow(now).is_some() }
    }

    /// Returns whether ticks may have changed the order since the last sort.
    pub(crate) fn is_out_of_order(&self) -> bool {
        self.is_out_of_order && !self.is_paused
    }

    /// Sorts the rows again if that is due; returns whether it did.
    pub(crate) fn arrange_if_due(&mut self, now: Instant) -> bool {
        let is_due = now.saturating_duration_since(self.ordered_at) >= SORT_EVERY;
        let is_arranged = self.is_out_of_order() && is_due;
        if is_arranged {
            self.arrange(now);
        }
        is_arranged
    }

    /// Sets how many rows the screen shows at once.
    pub(crate) fn resize(&mut self, page: usize) {
        // The selected row stays on a screen that becomes smaller.
        self.is_following |= self.page.is_some_and(|before| page < before);
        self.page = Some(page.max(1));
        self.settle();
    }

    /// Returns how many rows the screen shows at once.
    pub(crate) fn page(&self) -> usize {
        self.page.unwrap_or(1)
    }

    /// Returns the row of an instrument.
    pub(crate) fn row(&self, token: u32) -> Option<&Row> {
        self.places.get(&token).and_then(|&place| self.rows.get(place))
    }

    pub(crate) fn row_mut(&mut self, token: u32) -> Option<&mut Row> {
        self.places.get(&token).and_then(|&place| self.rows.get_mut(place))
    }

    pub(crate) fn selected_row(&self) -> Option<&Row> {
        self.selected.and_then(|token| self.row(token))
    }

    /// Returns the selected row's index in the order.
    pub(crate) fn selected_at(&self) -> Option<usize> {
        let place = self.places.get(&self.selected?)?;
        self.order.iter().position(|it| it == place)
    }

    fn insert(&mut self, Named { token, name }: Named, mode: Mode) -> bool {
        let is_new = !self.places.contains_key(&token);
        if is_new {
            self.places.insert(token, self.rows.len());
            self.rows.push(Row::new(token, name, mode));
        }
        is_new
    }

    /// Adds an instrument and selects it; returns whether it is new.
    pub(crate) fn add(&mut self, named: Named, mode: Mode, now: Instant) -> bool {
        let token = named.token;
        let is_new = self.insert(named, mode);
        (self.selected, self.is_following) = (Some(token), true);
        if !self.row(token).is_some_and(|row| matches(row, &self.filter)) {
            // The filter would hide the added instrument.
            self.filter.clear();
        }
        self.on_listed(now);
        is_new
    }

    /// Replaces all instruments. Those that stay keep their ticks. Returns which were removed and
    /// which are new.
    pub(crate) fn replace(
        &mut self,
        instruments: Vec<Named>,
        mode: Mode,
        now: Instant,
    ) -> (Vec<u32>, Vec<u32>) {
        let mut before: HashMap<u32, Row> =
            self.rows.drain(..).map(|row| (row.token, row)).collect();
        self.places.clear();
        let mut added = Vec::new();
        for named in instruments {
            let token = named.token;
            if !self.insert(named, mode) {
                continue;
            }
            match (before.remove(&token), self.rows.last_mut()) {
                (Some(row), Some(place)) => *place = row,
                _ => added.push(token),
            }
        }
        let mut removed: Vec<u32> = before.into_keys().collect();
        removed.sort_unstable();
        self.filter.clear();
        (self.top, self.is_following) = (0, true);
        if self.selected_row().is_none() {
            self.select_first();
        }
        self.on_listed(now);
        (removed, added)
    }

    /// Forgets all ticks: those to come are of another time.
    pub(crate) fn forget_ticks(&mut self, now: Instant) {
        self.rows.iter_mut().for_each(Row::forget);
        self.arrange(now);
    }

    pub(crate) fn remove(&mut self, token: u32, now: Instant) {
        let Some(place) = self.places.remove(&token) else { return };
        self.rows.remove(place);
        for later in self.places.values_mut().filter(|it| **it > place) {
            *later -= 1;
        }
        if self.selected == Some(token) {
            // Selects the next row, so that several can be removed in a row.
            let at = self.order.iter().position(|&it| it == place).unwrap_or_default();
            let next = self.order.get(at + 1).or_else(|| self.order.get(at.checked_sub(1)?));
            let next = next.map(|&it| if it > place { it - 1 } else { it });
            self.selected = next.and_then(|it| self.rows.get(it)).map(|row| row.token);
        }
        self.on_listed(now);
    }

    /// Finds the symbols that several exchanges list, and arranges the rows.
    fn on_listed(&mut self, now: Instant) {
        let (mut seen, mut several) = (HashSet::new(), HashSet::new());
        for row in &self.rows {
            if !seen.insert(row.symbol()) {
                several.insert(row.symbol().to_owned());
            }
        }
        for row in &mut self.rows {
            row.is_ambiguous = several.contains(row.symbol());
        }
        self.arrange(now);
    }

    /// Returns what the rows can show.
    pub(crate) fn contents(&self) -> Contents {
        Contents {
            mode: self.rows.iter().map(|row| row.mode).max().unwrap_or(Mode::Full),
            has_interest: self.rows.iter().any(Row::has_open_interest),
        }
    }

    /// Changes the sort order, and shows its first rows.
    pub(crate) fn order_by(&mut self, change: impl FnOnce(&mut Sort), now: Instant) {
        change(&mut self.sort);
        (self.top, self.is_following) = (0, false);
        self.arrange(now);
    }

    /// Changes the filter, and shows the first rows that match.
    pub(crate) fn filter_by(&mut self, change: impl FnOnce(&mut String), now: Instant) {
        change(&mut self.filter);
        self.top = 0;
        self.arrange(now);
    }

    /// Pauses the display, or resumes it with the ticks held meanwhile.
    pub(crate) fn toggle_pause(&mut self, now: Instant) {
        self.is_paused = !self.is_paused;
        if !self.is_paused {
            self.held_ticks = 0;
            let released = self.rows.iter_mut().filter_map(|row| row.release().then_some(()));
            if released.count() > 0 {
                self.arrange(now);
            }
        }
    }

    /// Filters and sorts the rows.
    pub(crate) fn arrange(&mut self, now: Instant) {
        let Self { rows, filter, order, sort, .. } = self;
        order.clear();
        order.extend((0..rows.len()).filter(|&place| matches(&rows[place], filter)));
        sort.sort(order, rows, now);
        self.ordered_at = now;
        self.is_out_of_order = false;
        self.settle();
    }

    /// Selects the row at an index in the order, or the last one if there are fewer.
    pub(crate) fn select(&mut self, at: usize) {
        let place = self.order.get(at).or(self.order.last());
        self.selected = place.and_then(|&place| self.rows.get(place)).map(|row| row.token);
        self.is_following = true;
        self.settle();
    }

    /// Scrolls without changing the selection.
    pub(crate) fn scroll(&mut self, is_down: bool, rows: usize) {
        self.is_following = false;
        self.top = match is_down {
            true => self.top.saturating_add(rows),
            false => self.top.saturating_sub(rows),
        };
        self.settle();
    }

    /// Scrolls so that the selected row is on the screen, if the screen follows it.
    fn settle(&mut self) {
        // Until the size is known, assume that all rows fit.
        let rows = self.page.unwrap_or(usize::MAX);
        match self.selected_at() {
            Some(_) if !self.is_following => {}
            Some(at) => self.top = self.top.min(at).max((at + 1).saturating_sub(rows)),
            // The selected row is filtered out: select the one in its place.
            None if !self.order.is_empty() => return self.select(self.top),
            None => self.selected = None,
        }
        // No empty lines at the end while there are rows above.
        self.top = self.top.min(self.order.len().saturating_sub(rows));
    }
}
