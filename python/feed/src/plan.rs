//! Which socket has which instrument, and in which mode. No I/O.

use std::collections::HashMap;
use std::fmt;

use kite_wire::Mode;

/// Sockets that Kite allows per api_key.
pub const MAX_SOCKETS: usize = 3;

/// Instruments that Kite allows on a socket.
pub const PER_SOCKET: usize = 3_000;

/// Which socket has which instrument, and in which mode.
///
/// Sockets are filled in order, so that no further one is opened before it is needed.
#[derive(Debug, Default)]
pub struct Plan {
    instruments: HashMap<u32, Place>,
    counts: [usize; MAX_SOCKETS],
}

#[derive(Debug, Clone, Copy)]
struct Place {
    socket: usize,
    mode: Mode,
}

/// What a subscribe changes on each socket.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Change {
    /// Instruments that are new.
    pub added: [Vec<u32>; MAX_SOCKETS],
    /// Instruments that were subscribed, in another mode.
    pub switched: [Vec<u32>; MAX_SOCKETS],
}

/// More instruments than three sockets have room for. Nothing changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Full {
    /// Number of instruments that are new.
    pub asked: usize,
    /// Number of instruments that there is room for.
    pub free: usize,
}

impl fmt::Display for Full {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} more instruments requested, {} free on {MAX_SOCKETS} sockets of {PER_SOCKET}; \
             unsubscribe some first",
            self.asked, self.free
        )
    }
}

impl Plan {
    /// Adds instruments, in quote mode unless `mode` is given, which those that are subscribed
    /// already then switch to.
    ///
    /// # Errors
    /// Returns [`Full`] if there is no room for all that are new.
    pub fn subscribe(&mut self, tokens: &[u32], mode: Option<Mode>) -> Result<Change, Full> {
        let is_new = |token: &u32| !self.instruments.contains_key(token);
        let mut new: Vec<u32> = tokens.iter().copied().filter(is_new).collect();
        new.sort_unstable();
        new.dedup();
        let free = MAX_SOCKETS * PER_SOCKET - self.instruments.len();
        if new.len() > free {
            return Err(Full { asked: new.len(), free });
        }
        let mut change = Change::default();
        if let Some(mode) = mode {
            for token in tokens {
                if let Some(place) = self.instruments.get_mut(token)
                    && place.mode != mode
                {
                    place.mode = mode;
                    change.switched[place.socket].push(*token);
                }
            }
        }
        let mode = mode.unwrap_or(Mode::Quote);
        let mut rest = new.as_slice();
        for (socket, count) in self.counts.iter_mut().enumerate() {
            let (here, others) = rest.split_at(rest.len().min(PER_SOCKET.saturating_sub(*count)));
            *count += here.len();
            self.instruments.extend(here.iter().map(|token| (*token, Place { socket, mode })));
            change.added[socket] = here.to_vec();
            rest = others;
        }
        Ok(change)
    }

    /// Removes instruments; unknown ones are ignored.
    pub fn unsubscribe(&mut self, tokens: &[u32]) {
        for token in tokens {
            if let Some(place) = self.instruments.remove(token) {
                self.counts[place.socket] -= 1;
            }
        }
    }

    /// Returns the mode asked for an instrument.
    pub fn mode(&self, token: u32) -> Option<Mode> {
        self.instruments.get(&token).map(|place| place.mode)
    }

    /// Returns the instruments.
    pub fn tokens(&self) -> impl Iterator<Item = u32> {
        self.instruments.keys().copied()
    }

    /// Returns the instruments of a socket, with their modes.
    pub fn of_socket(&self, socket: usize) -> impl Iterator<Item = (u32, Mode)> {
        let places = self.instruments.iter().filter(move |(_, place)| place.socket == socket);
        places.map(|(token, place)| (*token, place.mode))
    }

    /// Returns the number of sockets that the instruments need, at least one.
    pub fn sockets(&self) -> usize {
        self.counts.iter().filter(|count| **count > 0).count().max(1)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn lens(lists: &[Vec<u32>; MAX_SOCKETS]) -> [usize; MAX_SOCKETS] {
        lists.each_ref().map(Vec::len)
    }

    #[test]
    fn sockets_are_filled_in_order_and_room_is_used_again() {
        let mut plan = Plan::default();
        assert_eq!(plan.sockets(), 1);
        let tokens: Vec<u32> = (0..7_000).collect();
        let change = plan.subscribe(&tokens, None).unwrap();
        assert_eq!((lens(&change.added), plan.sockets()), ([3_000, 3_000, 1_000], 3));
        plan.unsubscribe(&tokens[..500]);
        let change = plan.subscribe(&(10_000..10_600).collect::<Vec<_>>(), None).unwrap();
        assert_eq!(lens(&change.added), [500, 0, 100]);
    }

    #[test]
    fn what_has_no_room_changes_nothing() {
        let mut plan = Plan::default();
        plan.subscribe(&(0..8_999).collect::<Vec<_>>(), None).unwrap();
        let error = plan.subscribe(&[0, 9_000, 9_001, 9_001], Some(Mode::Full)).unwrap_err();
        assert_eq!(error, Full { asked: 2, free: 1 });
        assert_eq!(
            error.to_string(),
            "2 more instruments requested, 1 free on 3 sockets of 3000; unsubscribe some first"
        );
        assert_eq!((plan.mode(0), plan.mode(9_000)), (Some(Mode::Quote), None));
        plan.subscribe(&[9_000], None).unwrap();
    }

    #[test]
    fn a_mode_switches_only_what_has_another() {
        let mut plan = Plan::default();
        plan.subscribe(&[1, 2], Some(Mode::Full)).unwrap();
        assert_eq!(plan.subscribe(&[1, 2], None), Ok(Change::default()), "modes stay");
        let change = plan.subscribe(&[1, 2, 3], Some(Mode::Full)).unwrap();
        assert_eq!((&change.added[0], lens(&change.switched)), (&vec![3], [0; 3]));
        let change = plan.subscribe(&[2, 2], Some(Mode::Ltp)).unwrap();
        assert_eq!(change.switched[0], [2]);
        assert_eq!(plan.mode(2), Some(Mode::Ltp));
    }

    /// A range of tokens, and what is done with it.
    #[derive(Debug, Clone)]
    enum Op {
        Subscribe(std::ops::Range<u32>, Option<Mode>),
        Unsubscribe(std::ops::Range<u32>),
    }

    fn ops() -> impl Strategy<Value = Vec<Op>> {
        let range = || (0..12_000_u32, 1..5_000_u32).prop_map(|(from, len)| from..from + len);
        let mode = prop_oneof![
            Just(None),
            Just(Some(Mode::Ltp)),
            Just(Some(Mode::Quote)),
            Just(Some(Mode::Full)),
        ];
        let op = prop_oneof![
            2 => (range(), mode).prop_map(|(range, mode)| Op::Subscribe(range, mode)),
            1 => range().prop_map(Op::Unsubscribe),
        ];
        prop::collection::vec(op, 1..12)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]

        /// What the changes add up to is what was asked for, and no socket has too much.
        #[test]
        fn sockets_that_obey_the_changes_have_what_was_asked(ops in ops()) {
            let mut plan = Plan::default();
            let mut sockets: [HashMap<u32, Mode>; MAX_SOCKETS] = Default::default();
            let mut asked: HashMap<u32, Mode> = HashMap::new();
            for op in ops {
                match op {
                    Op::Subscribe(range, mode) => {
                        let tokens: Vec<u32> = range.collect();
                        let new = tokens.iter().filter(|token| !asked.contains_key(token)).count();
                        let planned = plan.subscribe(&tokens, mode);
                        prop_assert_eq!(planned.is_ok(), asked.len() + new <= 9_000);
                        let Ok(change) = planned else { continue };
                        for token in tokens {
                            let its = asked.entry(token).or_insert(Mode::Quote);
                            *its = mode.unwrap_or(*its);
                        }
                        for (socket, (added, switched)) in
                            change.added.iter().zip(&change.switched).enumerate()
                        {
                            for token in added {
                                let before = sockets[socket].insert(*token, mode.unwrap_or(Mode::Quote));
                                prop_assert!(before.is_none());
                            }
                            for token in switched {
                                let before = sockets[socket].insert(*token, mode.unwrap_or(Mode::Quote));
                                prop_assert!(before.is_some() && before != mode);
                            }
                        }
                    }
                    Op::Unsubscribe(range) => {
                        let tokens: Vec<u32> = range.collect();
                        plan.unsubscribe(&tokens);
                        for token in tokens {
                            asked.remove(&token);
                            for socket in &mut sockets {
                                socket.remove(&token);
                            }
                        }
                    }
                }
                let mut all = HashMap::new();
                for (number, socket) in sockets.iter().enumerate() {
                    prop_assert!(socket.len() <= PER_SOCKET);
                    prop_assert_eq!(&plan.of_socket(number).collect::<HashMap<_, _>>(), socket);
                    all.extend(socket.iter().map(|(token, mode)| (*token, *mode)));
                }
                prop_assert_eq!(&all, &asked);
                prop_assert_eq!(plan.tokens().count(), asked.len());
                prop_assert!(asked.iter().all(|(token, mode)| plan.mode(*token) == Some(*mode)));
            }
        }
    }
}
