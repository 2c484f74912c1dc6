//! Decides which connection carries which instrument.
//!
//! Performs no I/O and reads no clock. A plan is computed completely before it is applied, so that
//! a request takes effect completely or not at all. The same requests in the same order yield the
//! same places. An instrument stays on its connection until it is handed over or given back.

mod load;
#[cfg(test)]
mod model;
mod plan;
#[cfg(test)]
mod tests;

use std::cmp::Reverse;
use std::collections::BTreeMap;

use kite_wire::Mode;

use crate::error::CapacityError;
use load::{Loads, Rate};
pub use plan::Move;
pub(crate) use plan::Plan;

/// An instrument and its connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Place {
    token: u32,
    mode: Mode,
    /// A `u8` keeps a place at 16 bytes, so that insertions move less memory.
    connection: u8,
    /// The connection on which it was subscribed, to which it returns after a handover.
    home: u8,
    /// Its observed tick rate, if any.
    rate: Option<Rate>,
}

const _: () = assert!(size_of::<Place>() == 16);

impl Place {
    fn new(token: u32, mode: Mode, connection: usize) -> Self {
        let connection = connection as u8;
        Self { token, mode, connection, home: connection, rate: None }
    }

    fn is_on(&self, connection: usize) -> bool {
        usize::from(self.connection) == connection
    }
}

/// The degree to which the balancer may rely on a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Standing {
    /// It is up.
    Up,
    /// It has been down for a short time: new instruments are placed on it, but none are handed
    /// over to it.
    #[default]
    Down,
    /// It has been down for too long, or came up too recently to be trusted: new instruments go to
    /// it only if the others have no room.
    Lost,
}

/// The instruments of one account and their connections.
#[derive(Debug, Clone)]
pub(crate) struct Balancer {
    /// Maximum number of instruments per connection.
    limit: usize,
    /// Number of instruments on each connection.
    counts: Vec<usize>,
    standings: Vec<Standing>,
    loads: Loads,
    /// Sorted by token, so that 9,000 instruments are inserted in one merge.
    places: Vec<Place>,
}

impl Balancer {
    pub(crate) fn new(connections: usize, limit: usize) -> Self {
        Self {
            limit,
            counts: vec![0; connections],
            standings: vec![Standing::default(); connections],
            loads: Loads::new(connections),
            places: Vec::new(),
        }
    }

    /// Plans new subscriptions. Instruments already subscribed and repetitions are skipped. Every
    /// other one goes to the connection with room and the least load; among equals to the one with
    /// the fewest instruments, then to the first. Lost connections come after all others.
    pub(crate) fn plan_subscribe(&self, tokens: &[u32], mode: Mode) -> Result<Plan, CapacityError> {
        let mut new = sorted(tokens);
        self.retain_unknown(&mut new);
        let (free, connections) = (self.free(), self.counts.len());
        if new.len() > free {
            return Err(CapacityError { asked: new.len(), free, connections, limit: self.limit });
        }
        let mut plan = Plan::new(connections);
        // Enough for nearly every even share.
        plan.reserve(new.len().div_ceil(connections.max(1)));
        let mut draft = self.draft();
        let load = self.loads.of_new(mode);
        for token in new {
            // A connection has room, because the total does.
            let Some(connection) = draft.place(load(token), |_| true) else { break };
            plan.change(connection, token, Some(mode));
        }
        Ok(plan)
    }

    /// Plans the end of subscriptions; unknown instruments are skipped.
    pub(crate) fn plan_unsubscribe(&self, tokens: &[u32]) -> Plan {
        self.plan_known(tokens, None)
    }

    /// Plans new modes for subscribed instruments; unknown ones are skipped.
    pub(crate) fn plan_mode(&self, tokens: &[u32], mode: Mode) -> Plan {
        self.plan_known(tokens, Some(mode))
    }

    fn plan_known(&self, tokens: &[u32], wanted: Option<Mode>) -> Plan {
        let mut plan = Plan::new(self.counts.len());
        let mut at = 0;
        for token in sorted(tokens) {
            if let Some(index) = self.seek(&mut at, token)
                && Some(self.places[index].mode) != wanted
            {
                plan.change(self.places[index].connection.into(), token, wanted);
            }
        }
        plan
    }

    /// Plans to move the instruments of a connection to the other connections that are up, as far
    /// as they have room, starting with the busiest. Also returns the instruments that find no room
    /// and stay dark, in the same order.
    pub(crate) fn plan_hand_over(&self, connection: usize) -> (Plan, Vec<u32>) {
        let load = |place: &Place| self.loads.of_instrument(place);
        let is_here = |place: &&Place| place.is_on(connection);
        let mut leaving: Vec<_> =
            self.places.iter().filter(is_here).map(|place| (Reverse(load(place)), place)).collect();
        leaving.sort_unstable_by_key(|&(load, place)| (load, place.token));
        let takes = |other| other != connection && self.standings[other] == Standing::Up;
        let (mut plan, mut dark) = (Plan::new(self.counts.len()), Vec::new());
        let mut draft = self.draft();
        for (Reverse(load), place) in leaving {
            match draft.place(load, takes) {
                Some(to) => {
                    let moved = Move { token: place.token, from: connection, to };
                    plan.move_instrument(moved, place.mode);
                }
                None => dark.push(place.token),
            }
        }
        (plan, dark)
    }

    /// Plans to return the instruments that a connection handed over and that are still subscribed,
    /// as far as it has room, starting with the busiest.
    pub(crate) fn plan_give_back(&self, connection: usize) -> Plan {
        let load = |place: &Place| self.loads.of_instrument(place);
        let is_away =
            |place: &&Place| usize::from(place.home) == connection && !place.is_on(connection);
        let mut returning: Vec<&Place> = self.places.iter().filter(is_away).collect();
        returning.sort_by_cached_key(|place| (Reverse(load(place)), place.token));
        let room = self.counts.get(connection).map_or(0, |&count| self.limit.saturating_sub(count));
        let mut plan = Plan::new(self.counts.len());
        for place in returning.into_iter().take(room) {
            let moved = Move { token: place.token, from: place.connection.into(), to: connection };
            plan.move_instrument(moved, place.mode);
        }
        plan
    }

    /// Applies a plan computed from the current state.
    pub(crate) fn apply(&mut self, plan: &Plan) {
        if !plan.moves().is_empty() {
            self.apply_moves(plan.moves());
            return;
        }
        let (mut new, mut gone) = (Vec::new(), Vec::new());
        for (connection, changes) in plan.changes() {
            let mut at = 0;
            for &(token, wanted) in changes {
                match (self.seek(&mut at, token), wanted) {
                    (Some(index), Some(mode)) => {
                        let place = &mut self.places[index];
                        self.loads.remove(place);
                        place.mode = mode;
                        self.loads.add(place);
                    }
                    (Some(index), None) => {
                        self.loads.remove(&self.places[index]);
                        self.counts[connection] -= 1;
                        gone.push(token);
                    }
                    (None, Some(mode)) => {
                        let place = Place::new(token, mode, connection);
                        self.loads.add(&place);
                        self.counts[connection] += 1;
                        new.push(place);
                    }
                    (None, None) => {}
                }
            }
        }
        self.insert(new);
        if !gone.is_empty() {
            gone.sort_unstable();
            let mut gone = gone.into_iter().peekable();
            self.places.retain(|place| gone.next_if_eq(&place.token).is_none());
        }
    }

    /// Inserts new places in order, from the last one backwards, so that each old one is moved
    /// once.
    fn insert(&mut self, mut new: Vec<Place>) {
        // `new` has one sorted run per connection, which the stable sort merges.
        new.sort_by_key(|place| place.token);
        if self.places.is_empty() {
            self.places = new;
            return;
        }
        let (mut unmoved, mut end) = (self.places.len(), self.places.len() + new.len());
        self.places.extend_from_slice(&new);
        for place in new.into_iter().rev() {
            let start = self.places[..unmoved].partition_point(|old| old.token < place.token);
            end -= unmoved - start;
            self.places.copy_within(start..unmoved, end);
            end -= 1;
            self.places[end] = place;
            unmoved = start;
        }
    }

    fn apply_moves(&mut self, moves: &[Move]) {
        for moved in moves {
            let Some(index) = self.seek(&mut 0, moved.token) else { continue };
            let place = &mut self.places[index];
            self.loads.remove(place);
            place.connection = moved.to as u8;
            self.loads.add(place);
            self.counts[moved.from] -= 1;
            self.counts[moved.to] += 1;
        }
    }

    /// Records the tick rate of an instrument; unknown ones are ignored.
    ///
    /// The rate counts starting with the next plan and is forgotten when the instrument is
    /// unsubscribed.
    pub(crate) fn observe(&mut self, token: u32, ticks_per_second: f64) {
        let Some(index) = self.seek(&mut 0, token) else { return };
        let place = &mut self.places[index];
        self.loads.remove(place);
        place.rate = Some(Rate::per_second(ticks_per_second));
        self.loads.add(place);
    }

    /// Sets the standing of a connection.
    pub(crate) fn set_standing(&mut self, connection: usize, standing: Standing) {
        if let Some(known) = self.standings.get_mut(connection) {
            *known = standing;
        }
    }

    /// Removes the tokens that are subscribed; `tokens` must be sorted.
    pub(crate) fn retain_unknown(&self, tokens: &mut Vec<u32>) {
        let mut at = 0;
        tokens.retain(|&token| self.seek(&mut at, token).is_none());
    }

    /// Returns the maximum number of instruments per connection.
    pub(crate) fn limit(&self) -> usize {
        self.limit
    }

    /// Returns the number of instruments that can still be added.
    pub(crate) fn free(&self) -> usize {
        (self.limit * self.counts.len()).saturating_sub(self.places.len())
    }

    /// Returns the instruments of each connection and their modes.
    pub(crate) fn distribution(&self) -> Vec<BTreeMap<u32, Mode>> {
        let on = |connection| {
            let here = self.places.iter().filter(move |place| place.is_on(connection));
            here.map(|place| (place.token, place.mode)).collect()
        };
        (0..self.counts.len()).map(on).collect()
    }

    /// Returns the instruments of a connection, sorted.
    pub(crate) fn tokens_on(&self, connection: usize) -> Vec<u32> {
        let here = self.places.iter().filter(|place| place.is_on(connection));
        here.map(|place| place.token).collect()
    }

    /// Returns the number of instruments on each connection.
    pub(crate) fn counts(&self) -> &[usize] {
        &self.counts
    }

    fn draft(&self) -> Draft {
        let connections = self.loads.of_connections().zip(&self.counts).zip(&self.standings);
        let connections = connections.map(|((load, &count), &standing)| {
            let room = self.limit.saturating_sub(count);
            Filling { is_lost: standing == Standing::Lost, load, count, room }
        });
        Draft { connections: connections.collect() }
    }

    fn seek(&self, at: &mut usize, token: u32) -> Option<usize> {
        seek(&self.places, at, token)
    }
}

/// The connections while a plan is computed.
struct Draft {
    connections: Vec<Filling>,
}

/// One connection while a plan is computed.
struct Filling {
    is_lost: bool,
    load: u64,
    count: usize,
    room: usize,
}

impl Draft {
    /// Places an instrument on the best connection that has room and that `takes` accepts.
    #[inline]
    fn place(&mut self, load: u64, takes: impl Fn(usize) -> bool) -> Option<usize> {
        let candidates = self.connections.iter_mut().enumerate();
        let (connection, best) = candidates
            .filter(|(connection, filling)| filling.room > 0 && takes(*connection))
            .min_by_key(|(_, filling)| (filling.is_lost, filling.load, filling.count))?;
        best.load += load;
        best.count += 1;
        best.room -= 1;
        Some(connection)
    }
}

/// Sorts tokens and drops repetitions.
pub(crate) fn sorted(tokens: &[u32]) -> Vec<u32> {
    let mut tokens = tokens.to_vec();
    tokens.sort_unstable();
    tokens.dedup();
    tokens
}

/// Searches for a token from index `at` on and moves `at` to its position or insertion point. Uses
/// a galloping search, which is fast both for the next of many tokens and for a single one.
fn seek(places: &[Place], at: &mut usize, token: u32) -> Option<usize> {
    let rest = &places[*at..];
    let mut reach = 1;
    while rest.get(reach - 1).is_some_and(|place| place.token < token) {
        reach *= 2;
    }
    let (passed, end) = (reach / 2, reach.min(rest.len()));
    *at += passed + rest[passed..end].partition_point(|place| place.token < token);
    places.get(*at).filter(|place| place.token == token).map(|_| *at)
}
