//! The changes that a request makes to the connections, as planned by the balancer.

use std::collections::{BTreeMap, HashMap};

use kite_wire::Mode;

/// The changes for each connection: instruments to stream in a mode, or to drop.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use = "a plan changes nothing until it is applied and sent"]
pub(crate) struct Plan {
    /// By number of the connection. In one plan no connection both loses and gains instruments.
    per_connection: Vec<Vec<(u32, Option<Mode>)>>,
    moves: Vec<Move>,
}

/// An instrument that moved from one connection of an account to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Move {
    /// The instrument token.
    pub token: u32,
    /// The previous connection, from 0.
    pub from: usize,
    /// The new connection, from 0.
    pub to: usize,
}

impl Plan {
    pub(super) fn new(connections: usize) -> Self {
        Self { per_connection: vec![Vec::new(); connections], moves: Vec::new() }
    }

    /// Reserves capacity for `changes` changes of every connection.
    pub(super) fn reserve(&mut self, changes: usize) {
        self.per_connection.iter_mut().for_each(|list| list.reserve(changes));
    }

    pub(super) fn change(&mut self, connection: usize, token: u32, wanted: Option<Mode>) {
        self.per_connection[connection].push((token, wanted));
    }

    pub(super) fn move_instrument(&mut self, moved: Move, mode: Mode) {
        self.change(moved.from, moved.token, None);
        self.change(moved.to, moved.token, Some(mode));
        self.moves.push(moved);
    }

    /// Returns the connections with changes, those that lose instruments before those that gain
    /// them, so that no instrument is on two connections if they are posted in this order.
    pub(crate) fn changes(&self) -> impl Iterator<Item = (usize, &[(u32, Option<Mode>)])> {
        let that = move |loses: bool| {
            let all = self.per_connection.iter().enumerate();
            all.filter_map(move |(connection, changes)| {
                let (_, wanted) = changes.first()?;
                (wanted.is_none() == loses).then_some((connection, changes.as_slice()))
            })
        };
        that(true).chain(that(false))
    }

    /// Returns the instruments that move and their modes, by former and new connection.
    pub(crate) fn transfers(&self) -> BTreeMap<(usize, usize), Vec<(u32, Mode)>> {
        let changes = self.per_connection.iter().flatten();
        let modes: HashMap<u32, Mode> =
            changes.filter_map(|&(token, mode)| Some((token, mode?))).collect();
        let mut transfers: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for moved in &self.moves {
            let mode = modes.get(&moved.token).map(|&mode| (moved.token, mode));
            transfers.entry((moved.from, moved.to)).or_default().extend(mode);
        }
        transfers
    }

    /// Returns the instruments that move, in the order in which they were planned.
    pub(crate) fn moves(&self) -> &[Move] {
        &self.moves
    }
}
