//! A simple model of the balancer's rules, and servers that follow its plans.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use kite_wire::Mode;

use super::{Plan, Standing};

/// One map, and every sum computed from scratch.
#[derive(Debug, Clone)]
pub(super) struct Model {
    limit: usize,
    pub(super) standings: Vec<Standing>,
    instruments: BTreeMap<u32, Instrument>,
}

#[derive(Debug, Clone)]
struct Instrument {
    mode: Mode,
    connection: usize,
    home: usize,
    /// Millionths of a tick per second.
    rate: Option<u64>,
}

impl Model {
    pub(super) fn new(connections: usize, limit: usize) -> Self {
        let standings = vec![Standing::Down; connections];
        Self { limit, standings, instruments: BTreeMap::new() }
    }

    /// Returns whether there was room.
    pub(super) fn subscribe(&mut self, tokens: &[u32], mode: Mode) -> bool {
        let mut new: BTreeSet<u32> = tokens.iter().copied().collect();
        new.retain(|token| !self.instruments.contains_key(token));
        if self.instruments.len() + new.len() > self.limit * self.standings.len() {
            return false;
        }
        for token in new {
            let connection = self.best(|_| true).unwrap();
            let new = Instrument { mode, connection, home: connection, rate: None };
            self.instruments.insert(token, new);
        }
        true
    }

    pub(super) fn unsubscribe(&mut self, tokens: &[u32]) {
        self.instruments.retain(|token, _| !tokens.contains(token));
    }

    pub(super) fn set_mode(&mut self, tokens: &[u32], mode: Mode) {
        let named = self.instruments.iter_mut().filter(|(token, _)| tokens.contains(token));
        named.for_each(|(_, instrument)| instrument.mode = mode);
    }

    pub(super) fn observe(&mut self, token: u32, millionths: u32) {
        if let Some(instrument) = self.instruments.get_mut(&token) {
            instrument.rate = Some(millionths.into());
        }
    }

    /// Returns the instruments that stay dark.
    pub(super) fn hand_over(&mut self, from: usize) -> Vec<u32> {
        let mut dark = Vec::new();
        for token in self.busiest_first(|instrument| instrument.connection == from) {
            match self.best(|other| other != from && self.standings[other] == Standing::Up) {
                Some(to) => self.instruments.get_mut(&token).unwrap().connection = to,
                None => dark.push(token),
            }
        }
        dark
    }

    pub(super) fn give_back(&mut self, home: usize) {
        for token in self.busiest_first(|it| it.home == home && it.connection != home) {
            if self.count(home) < self.limit {
                self.instruments.get_mut(&token).unwrap().connection = home;
            }
        }
    }

    fn busiest_first(&self, which: impl Fn(&Instrument) -> bool) -> Vec<u32> {
        let chosen = self.instruments.iter().filter(|(_, instrument)| which(instrument));
        let mut tokens: Vec<u32> = chosen.map(|(token, _)| *token).collect();
        tokens.sort_by_key(|token| (Reverse(self.load(*token)), *token));
        tokens
    }

    fn best(&self, takes: impl Fn(usize) -> bool) -> Option<usize> {
        let candidates = (0..self.standings.len()).filter(|&connection| takes(connection));
        let with_room = candidates.filter(|&connection| self.count(connection) < self.limit);
        with_room.min_by_key(|&connection| {
            let here = self.instruments.iter().filter(|(_, it)| it.connection == connection);
            let load: u64 = here.map(|(token, _)| self.load(*token)).sum();
            let is_lost = self.standings[connection] == Standing::Lost;
            (is_lost, load, self.count(connection), connection)
        })
    }

    fn count(&self, connection: usize) -> usize {
        self.instruments.values().filter(|it| it.connection == connection).count()
    }

    fn load(&self, token: u32) -> u64 {
        let Instrument { mode, rate, .. } = self.instruments[&token];
        let bytes = match (mode, token & 0xff) {
            (Mode::Ltp, _) => 8,
            (Mode::Quote, 9) => 28,
            (Mode::Full, 9) => 32,
            (Mode::Quote, _) => 44,
            (Mode::Full, _) => 184,
        };
        let alike = self.instruments.values().filter(|it| it.mode == mode);
        let rates: Vec<u64> = alike.filter_map(|it| it.rate).collect();
        let mean = if rates.is_empty() {
            1_000_000
        } else {
            rates.iter().sum::<u64>() / rates.len() as u64
        };
        (bytes + 2) * rate.unwrap_or(mean)
    }

    pub(super) fn distribution(&self) -> Vec<BTreeMap<u32, Mode>> {
        let on = |connection| {
            let here = self.instruments.iter().filter(move |(_, it)| it.connection == connection);
            here.map(|(token, it)| (*token, it.mode)).collect()
        };
        (0..self.standings.len()).map(on).collect()
    }
}

/// The subscriptions that the server of each connection holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Servers(pub(super) Vec<BTreeMap<u32, Mode>>);

impl Servers {
    pub(super) fn new(connections: usize) -> Self {
        Self(vec![BTreeMap::new(); connections])
    }

    /// Applies the changes of a plan in order. No two servers may ever hold the same instrument,
    /// and every change must have an effect.
    pub(super) fn obey(&mut self, plan: &Plan) {
        for (connection, changes) in plan.changes() {
            assert!(!changes.is_empty());
            for &(token, wanted) in changes {
                let known = self.0[connection].get(&token).copied();
                assert_ne!(known, wanted, "the change of {token} has no effect");
                match wanted {
                    Some(mode) => self.0[connection].insert(token, mode),
                    None => self.0[connection].remove(&token),
                };
                let owners = self.0.iter().filter(|server| server.contains_key(&token)).count();
                assert!(owners <= 1, "{token} is on {owners} connections");
            }
        }
    }
}
