//! Decides which connection carries which instrument.
//!
//! No socket and no clock: a plan is computed whole, then taken, so that a request is done whole
//! or not at all. The same requests in the same order give the same places.

use std::collections::{BTreeMap, BTreeSet};

use kite_wire::Mode;

use crate::error::CapacityError;

/// Where an instrument lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Place {
    connection: usize,
    mode: Mode,
}

/// The instruments of one account and their connections.
#[derive(Debug, Clone)]
pub(crate) struct Balancer {
    /// Instruments that one connection takes.
    limit: usize,
    /// Instruments on each connection.
    counts: Vec<usize>,
    places: BTreeMap<u32, Place>,
}

/// What each connection has to change: instruments to have in this mode, or not at all.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use = "a plan changes nothing until it is taken and sent"]
pub(crate) struct Plan {
    per_connection: Vec<Vec<(u32, Option<Mode>)>>,
}

impl Plan {
    /// Gives the connections with something to change, and what.
    pub(crate) fn changes(&self) -> impl Iterator<Item = (usize, &[(u32, Option<Mode>)])> {
        self.per_connection
            .iter()
            .enumerate()
            .filter(|(_, changes)| !changes.is_empty())
            .map(|(connection, changes)| (connection, changes.as_slice()))
    }
}

impl Balancer {
    pub(crate) fn new(connections: usize, limit: usize) -> Self {
        Self { limit, counts: vec![0; connections], places: BTreeMap::new() }
    }

    /// Plans new subscriptions: instruments already subscribed and repetitions are skipped, each
    /// other one goes to the connection with the fewest, the first among equals.
    pub(crate) fn plan_subscribe(&self, tokens: &[u32], mode: Mode) -> Result<Plan, CapacityError> {
        let new: BTreeSet<u32> =
            tokens.iter().copied().filter(|token| !self.places.contains_key(token)).collect();
        let free = self.free();
        if new.len() > free {
            let connections = self.counts.len();
            return Err(CapacityError { asked: new.len(), free, connections, limit: self.limit });
        }
        let mut plan = self.empty_plan();
        let mut counts = self.counts.clone();
        for token in new {
            let fewest = counts.iter().enumerate().min_by_key(|(_, count)| **count);
            // There is one with room: all of them together have it.
            let Some((connection, _)) = fewest else { break };
            counts[connection] += 1;
            plan.per_connection[connection].push((token, Some(mode)));
        }
        Ok(plan)
    }

    /// Plans the end of subscriptions; unknown instruments are skipped.
    pub(crate) fn plan_unsubscribe(&self, tokens: &[u32]) -> Plan {
        self.plan_known(tokens, None)
    }

    /// Plans other modes for subscribed instruments; unknown ones are skipped.
    pub(crate) fn plan_mode(&self, tokens: &[u32], mode: Mode) -> Plan {
        self.plan_known(tokens, Some(mode))
    }

    fn plan_known(&self, tokens: &[u32], wanted: Option<Mode>) -> Plan {
        let mut plan = self.empty_plan();
        for token in tokens.iter().copied().collect::<BTreeSet<u32>>() {
            if let Some(place) = self.places.get(&token)
                && Some(place.mode) != wanted
            {
                plan.per_connection[place.connection].push((token, wanted));
            }
        }
        plan
    }

    fn empty_plan(&self) -> Plan {
        Plan { per_connection: vec![Vec::new(); self.counts.len()] }
    }

    /// Takes a plan of this very state.
    pub(crate) fn take(&mut self, plan: &Plan) {
        for (connection, changes) in plan.changes() {
            for &(token, wanted) in changes {
                let had = match wanted {
                    Some(mode) => self.places.insert(token, Place { connection, mode }),
                    None => self.places.remove(&token),
                };
                match (had, wanted) {
                    (None, Some(_)) => self.counts[connection] += 1,
                    (Some(_), None) => self.counts[connection] -= 1,
                    _ => {}
                }
            }
        }
    }

    /// Gives how many instruments can still be taken.
    pub(crate) fn free(&self) -> usize {
        (self.limit * self.counts.len()).saturating_sub(self.places.len())
    }

    /// Gives the instruments of each connection and their modes.
    pub(crate) fn distribution(&self) -> Vec<BTreeMap<u32, Mode>> {
        let mut distribution = vec![BTreeMap::new(); self.counts.len()];
        for (&token, place) in &self.places {
            distribution[place.connection].insert(token, place.mode);
        }
        distribution
    }

    /// Gives the number of instruments on each connection.
    pub(crate) fn counts(&self) -> &[usize] {
        &self.counts
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn subscribe(
        balancer: &mut Balancer,
        tokens: &[u32],
        mode: Mode,
    ) -> Result<Plan, CapacityError> {
        let plan = balancer.plan_subscribe(tokens, mode)?;
        balancer.take(&plan);
        Ok(plan)
    }

    #[test]
    fn nine_thousand_instruments_fill_three_connections_evenly() {
        let mut balancer = Balancer::new(3, 3_000);
        let tokens: Vec<u32> = (0..9_000).collect();
        let _ = subscribe(&mut balancer, &tokens[..1_000], Mode::Ltp).unwrap();
        assert_eq!(balancer.counts(), [334, 333, 333]);
        let _ = subscribe(&mut balancer, &tokens, Mode::Full).unwrap();
        assert_eq!(balancer.counts(), [3_000, 3_000, 3_000]);
        let refused = subscribe(&mut balancer, &[9_000], Mode::Full).unwrap_err();
        assert_eq!((refused.asked, refused.free, refused.connections), (1, 0, 3));
        let first_thousand = balancer.distribution();
        let ltp = first_thousand.iter().flatten().filter(|(_, mode)| **mode == Mode::Ltp).count();
        assert_eq!(ltp, 1_000, "already subscribed instruments keep their mode");
    }

    #[test]
    fn a_freed_place_is_taken_first() {
        let mut balancer = Balancer::new(3, 2);
        let _ = subscribe(&mut balancer, &[1, 2, 3, 4, 5, 6], Mode::Quote).unwrap();
        let plan = balancer.plan_unsubscribe(&[2, 77]);
        balancer.take(&plan);
        let plan = subscribe(&mut balancer, &[9, 9], Mode::Quote).unwrap();
        assert_eq!(plan.changes().collect::<Vec<_>>(), [(1, &[(9, Some(Mode::Quote))][..])]);
    }

    #[derive(Debug, Clone)]
    enum Op {
        Subscribe(Vec<u32>, Mode),
        Unsubscribe(Vec<u32>),
        SetMode(Vec<u32>, Mode),
    }

    fn op() -> impl Strategy<Value = Op> {
        let tokens = || proptest::collection::vec(0_u32..40, 0..25);
        let mode = || prop::sample::select(&Mode::ALL[..]);
        prop_oneof![
            3 => (tokens(), mode()).prop_map(|(tokens, mode)| Op::Subscribe(tokens, mode)),
            2 => tokens().prop_map(Op::Unsubscribe),
            1 => (tokens(), mode()).prop_map(|(tokens, mode)| Op::SetMode(tokens, mode)),
        ]
    }

    proptest! {
        #[test]
        fn the_balancer_agrees_with_a_plain_map(
            connections in 1_usize..=3,
            limit in 1_usize..12,
            ops in proptest::collection::vec(op(), 0..60),
        ) {
            let mut balancer = Balancer::new(connections, limit);
            let mut model: BTreeMap<u32, Mode> = BTreeMap::new();
            let mut told: Vec<BTreeMap<u32, Mode>> = vec![BTreeMap::new(); connections];
            for op in ops {
                let plan = match op {
                    Op::Subscribe(tokens, mode) => {
                        let new: BTreeSet<u32> =
                            tokens.iter().copied().filter(|token| !model.contains_key(token)).collect();
                        let planned = balancer.plan_subscribe(&tokens, mode);
                        prop_assert_eq!(
                            planned.is_ok(),
                            model.len() + new.len() <= connections * limit
                        );
                        let Ok(plan) = planned else { continue };
                        model.extend(new.into_iter().map(|token| (token, mode)));
                        plan
                    }
                    Op::Unsubscribe(tokens) => {
                        model.retain(|token, _| !tokens.contains(token));
                        balancer.plan_unsubscribe(&tokens)
                    }
                    Op::SetMode(tokens, mode) => {
                        for (_, known) in model.iter_mut().filter(|(token, _)| tokens.contains(token)) {
                            *known = mode;
                        }
                        balancer.plan_mode(&tokens, mode)
                    }
                };
                balancer.take(&plan);
                for (connection, changes) in plan.changes() {
                    for &(token, wanted) in changes {
                        match wanted {
                            Some(mode) => told[connection].insert(token, mode),
                            None => told[connection].remove(&token),
                        };
                    }
                }
                prop_assert_eq!(&balancer.distribution(), &told);
                let all: BTreeMap<u32, Mode> = told.iter().flatten().map(|(&t, &m)| (t, m)).collect();
                prop_assert_eq!(&all, &model);
                prop_assert_eq!(told.iter().map(BTreeMap::len).sum::<usize>(), model.len());
                prop_assert!(told.iter().all(|told| told.len() <= limit));
                let counts: Vec<usize> = told.iter().map(BTreeMap::len).collect();
                prop_assert_eq!(balancer.counts(), &counts[..]);
            }
        }
    }
}
