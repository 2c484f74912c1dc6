//! The instruments that have left a connection and that its server may still send.
//!
//! What a connection sends of them is left out, because they may be on another connection by then,
//! whose newer packets an older one must not follow. No socket and no clock here.

use std::collections::BTreeMap;

/// The instruments that have left one connection.
#[derive(Debug, Default)]
pub(crate) struct Former(BTreeMap<u32, Departure>);

/// How far the departure of an instrument has got.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Departure {
    /// The connection may still send the unsubscribe command.
    Requested,
    /// It has sent the command, and the server may not have read it.
    Sent,
    /// It has sent the command, and the instrument has joined it again since.
    Rejoined,
    /// It has sent the command, and the instrument has joined it and left again since, so that a
    /// second command may follow.
    LeftAgain,
}

impl Former {
    /// Handles instruments that leave the connection. Call it before the connection learns of it.
    pub(crate) fn leave(&mut self, tokens: &[u32]) {
        for &token in tokens {
            let departure = self.0.entry(token).or_insert(Departure::Requested);
            if *departure == Departure::Rejoined {
                *departure = Departure::LeftAgain;
            }
        }
    }

    /// Handles instruments that join the connection, perhaps again. If an unsubscribe command is on
    /// its way, what the server sends before it has read that command is still left out, and the
    /// snapshot after the new subscription is not.
    pub(crate) fn join(&mut self, tokens: &[u32]) {
        for token in tokens {
            match self.0.get_mut(token) {
                Some(Departure::Requested) => {
                    self.0.remove(token);
                }
                Some(departure) => *departure = Departure::Rejoined,
                None => {}
            }
        }
    }

    /// Handles an unsubscribe command that the connection sends.
    pub(crate) fn on_unsubscribe(&mut self, tokens: &[u32]) {
        self.0.extend(tokens.iter().map(|&token| (token, Departure::Sent)));
    }

    /// Handles instruments that the server no longer sends after that command, or that it was never
    /// asked for.
    pub(crate) fn on_departed(&mut self, tokens: &[u32]) {
        for token in tokens {
            match self.0.get_mut(token) {
                // What follows is of the subscription that has ended too.
                Some(departure @ Departure::LeftAgain) => *departure = Departure::Requested,
                Some(_) => {
                    self.0.remove(token);
                }
                None => {}
            }
        }
    }

    /// Forgets all, because the connection has a new socket, or a new run begins.
    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }

    /// Returns the number of instruments.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// Returns the instruments to leave out, ascending.
    pub(crate) fn tokens(&self) -> impl Iterator<Item = u32> {
        self.0.keys().copied()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use proptest::prelude::*;

    use super::*;

    const TOKEN: u32 = 5;

    /// What may happen to one instrument and two connections.
    #[derive(Debug, Clone, Copy)]
    enum Op {
        /// The instrument goes to a connection.
        Place(usize),
        /// It is unsubscribed.
        Remove,
        /// The connection sends what its requests amount to.
        Send(usize),
        /// The server reads a command or a ping.
        Obey(usize),
        /// The market moves, and every server that has the instrument sends it.
        Tick,
        /// The connection reads a packet or a pong.
        Read(usize),
        /// Its socket is replaced.
        Up(usize),
    }

    fn op() -> impl Strategy<Value = Op> {
        let connection = || 0_usize..2;
        prop_oneof![
            2 => connection().prop_map(Op::Place),
            1 => Just(Op::Remove),
            6 => connection().prop_map(Op::Send),
            6 => connection().prop_map(Op::Obey),
            4 => Just(Op::Tick),
            6 => connection().prop_map(Op::Read),
            1 => connection().prop_map(Op::Up),
        ]
    }

    #[derive(Debug, Clone, Copy)]
    enum Up {
        Subscribe,
        Unsubscribe,
        Ping,
    }

    #[derive(Debug, Clone, Copy)]
    enum Down {
        /// A state of the instrument.
        Packet(u64),
        Pong,
    }

    #[derive(Debug, Default)]
    struct Connection {
        former: Former,
        announced: bool,
        unanswered: usize,
        up: VecDeque<Up>,
        is_subscribed: bool,
        down: VecDeque<Down>,
    }

    #[derive(Debug, Default)]
    struct World {
        connections: [Connection; 2],
        owner: Option<usize>,
        /// Its last owner.
        last: usize,
        /// Whether a snapshot must follow for the present owner.
        is_new: bool,
        state: u64,
        delivered: Vec<u64>,
    }

    impl World {
        fn apply(&mut self, op: Op) {
            match op {
                Op::Place(to) => {
                    self.remove();
                    // A request is sent before the instrument has been elsewhere and comes back.
                    if self.last != to {
                        self.send(to);
                    }
                    (self.owner, self.last) = (Some(to), to);
                    self.is_new = !self.connections[to].announced;
                    self.connections[to].former.join(&[TOKEN]);
                }
                Op::Remove => self.remove(),
                Op::Send(at) => self.send(at),
                Op::Obey(at) => self.obey(at),
                Op::Tick => {
                    self.state += 1;
                    for connection in self.connections.iter_mut().filter(|it| it.is_subscribed) {
                        connection.down.push_back(Down::Packet(self.state));
                    }
                }
                Op::Read(at) => self.read(at),
                Op::Up(at) => {
                    self.connections[at] = Connection::default();
                    self.send(at);
                }
            }
        }

        fn remove(&mut self) {
            if let Some(from) = self.owner.take() {
                self.connections[from].former.leave(&[TOKEN]);
            }
        }

        fn send(&mut self, at: usize) {
            let wanted = self.owner == Some(at);
            let it = &mut self.connections[at];
            match (it.announced, wanted) {
                (true, false) => {
                    it.former.on_unsubscribe(&[TOKEN]);
                    it.up.extend([Up::Unsubscribe, Up::Ping]);
                    it.unanswered += 1;
                }
                (false, true) => it.up.push_back(Up::Subscribe),
                // Removed before it was sent, or nothing to do.
                (false, false) if it.unanswered == 0 => it.former.on_departed(&[TOKEN]),
                _ => {}
            }
            it.announced = wanted;
        }

        fn obey(&mut self, at: usize) {
            let it = &mut self.connections[at];
            match it.up.pop_front() {
                Some(Up::Subscribe) => {
                    it.is_subscribed = true;
                    it.down.push_back(Down::Packet(self.state));
                }
                Some(Up::Unsubscribe) => it.is_subscribed = false,
                Some(Up::Ping) => it.down.push_back(Down::Pong),
                None => {}
            }
        }

        fn read(&mut self, at: usize) {
            let it = &mut self.connections[at];
            match it.down.pop_front() {
                Some(Down::Packet(state)) if it.former.len() == 0 => self.delivered.push(state),
                Some(Down::Pong) => {
                    it.unanswered -= 1;
                    if it.unanswered == 0 {
                        it.former.on_departed(&[TOKEN]);
                    }
                }
                _ => {}
            }
        }

        /// Lets everything that is on its way arrive.
        fn settle(&mut self) {
            for at in 0..self.connections.len() {
                self.send(at);
                while !self.connections[at].up.is_empty() {
                    self.obey(at);
                }
                while !self.connections[at].down.is_empty() {
                    self.read(at);
                }
            }
        }
    }

    #[test]
    fn the_answer_to_a_first_departure_does_not_end_the_second() {
        let mut former = Former::default();
        former.leave(&[TOKEN]);
        former.on_unsubscribe(&[TOKEN]);
        former.join(&[TOKEN]);
        former.leave(&[TOKEN]);
        former.on_departed(&[TOKEN]);
        assert_eq!(former.len(), 1, "subscribed again, and not unsubscribed yet");
        former.on_unsubscribe(&[TOKEN]);
        former.on_departed(&[TOKEN]);
        assert_eq!(former.len(), 0);
    }

    proptest! {
        #[test]
        fn no_older_packet_follows_a_newer_one_and_none_of_the_owner_is_left_out(
            ops in prop::collection::vec(op(), 0..120),
        ) {
            let mut world = World::default();
            for op in ops {
                world.apply(op);
                prop_assert!(world.delivered.is_sorted(), "{:?}", world.delivered);
            }
            world.settle();
            prop_assert!(world.delivered.is_sorted(), "{:?}", world.delivered);
            let is_owned = world.owner.is_some();
            if is_owned && world.is_new {
                prop_assert_eq!(world.delivered.last(), Some(&world.state), "the snapshot");
            }
            let before = world.delivered.len();
            world.apply(Op::Tick);
            world.settle();
            prop_assert_eq!(world.delivered.len() - before, usize::from(is_owned));
            prop_assert!(world.connections.iter().all(|it| it.former.len() == 0));
        }
    }
}
