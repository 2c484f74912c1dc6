//! What the connections have to be told.

use kite_wire::Mode;

/// What each connection has to change: instruments to have in this mode, or not at all.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use = "a plan changes nothing until it is taken and sent"]
pub(crate) struct Plan {
    /// By number of the connection. No connection loses some and gets others by one plan.
    per_connection: Vec<Vec<(u32, Option<Mode>)>>,
    moves: Vec<Move>,
}

/// An instrument that went from one connection of an account to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Move {
    /// The instrument token.
    pub token: u32,
    /// The connection that carried it, from 0.
    pub from: usize,
    /// The connection that carries it now, from 0.
    pub to: usize,
}

impl Plan {
    pub(super) fn new(connections: usize) -> Self {
        Self { per_connection: vec![Vec::new(); connections], moves: Vec::new() }
    }

    /// Makes room for so many changes of every connection.
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

    /// Gives the connections with something to change, and what: those that lose instruments
    /// before those that get them, so that told in this order no instrument has two owners.
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

    /// Gives the instruments that change their connection, in the order they were decided on.
    pub(crate) fn moves(&self) -> &[Move] {
        &self.moves
    }
}
