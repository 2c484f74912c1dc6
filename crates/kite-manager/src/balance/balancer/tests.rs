use std::collections::BTreeSet;

use proptest::prelude::*;

use super::model::{Model, Servers};
use super::*;

fn subscribe(balancer: &mut Balancer, tokens: &[u32], mode: Mode) -> Result<Plan, CapacityError> {
    let plan = balancer.plan_subscribe(tokens, mode)?;
    balancer.apply(&plan);
    Ok(plan)
}

/// Creates a balancer whose connections are all up.
fn up(connections: usize, limit: usize) -> Balancer {
    let mut balancer = Balancer::new(connections, limit);
    (0..connections).for_each(|connection| balancer.set_standing(connection, Standing::Up));
    balancer
}

type Changes = Vec<(u32, Option<Mode>)>;

fn changes(plan: &Plan) -> Vec<(usize, Changes)> {
    plan.changes().map(|(connection, changes)| (connection, changes.to_vec())).collect()
}

fn tokens_on(balancer: &Balancer, connection: usize) -> Vec<u32> {
    balancer.distribution()[connection].keys().copied().collect()
}

#[test]
fn nine_thousand_instruments_fill_three_connections_evenly() {
    let mut balancer = Balancer::new(3, 3_000);
    let tokens: Vec<u32> = (0..9_000).collect();
    let _ = subscribe(&mut balancer, &tokens[..1_000], Mode::Ltp).unwrap();
    assert_eq!(balancer.counts(), [334, 333, 333]);
    let _ = subscribe(&mut balancer, &tokens, Mode::Full).unwrap();
    assert_eq!(balancer.counts(), [3_000, 3_000, 3_000]);
    let error = subscribe(&mut balancer, &[9_000], Mode::Full).unwrap_err();
    assert_eq!((error.asked, error.free, error.connections), (1, 0, 3));
    let first_thousand = balancer.distribution();
    let ltp = first_thousand.iter().flatten().filter(|(_, mode)| **mode == Mode::Ltp).count();
    assert_eq!(ltp, 1_000, "already subscribed instruments keep their mode");
}

#[test]
fn a_freed_place_is_filled_first() {
    let mut balancer = Balancer::new(3, 2);
    let _ = subscribe(&mut balancer, &[1, 2, 3, 4, 5, 6], Mode::Quote).unwrap();
    let plan = balancer.plan_unsubscribe(&[2, 77]);
    balancer.apply(&plan);
    let plan = subscribe(&mut balancer, &[9, 9], Mode::Quote).unwrap();
    assert_eq!(changes(&plan), [(1, vec![(9, Some(Mode::Quote))])]);
}

#[test]
fn without_connections_nothing_fits() {
    let balancer = Balancer::new(0, 3_000);
    let error = balancer.plan_subscribe(&[1], Mode::Ltp).unwrap_err();
    assert_eq!((error.asked, error.free, error.connections), (1, 0, 0));
    assert!(balancer.plan_subscribe(&[], Mode::Ltp).is_ok());
}

#[test]
fn balance_is_by_bytes_not_by_count() {
    let mut balancer = up(2, 100);
    let _ = subscribe(&mut balancer, &[1], Mode::Full).unwrap();
    // 186 bytes per second there, about as much as eighteen instruments in LTP mode.
    let last_prices: Vec<u32> = (100..118).collect();
    let _ = subscribe(&mut balancer, &last_prices, Mode::Ltp).unwrap();
    assert_eq!(balancer.counts(), [1, 18]);
    let plan = balancer.plan_mode(&[1], Mode::Ltp);
    balancer.apply(&plan);
    let _ = subscribe(&mut balancer, &[2], Mode::Full).unwrap();
    assert_eq!(balancer.counts(), [2, 18], "the load follows the mode");
}

#[test]
fn instruments_that_tick_more_count_more() {
    let mut balancer = up(2, 100);
    let _ = subscribe(&mut balancer, &[1, 2], Mode::Quote).unwrap();
    balancer.observe(1, 0.5);
    balancer.observe(2, 2.0);
    balancer.observe(3, 50.0);
    // New instruments are assumed to tick 1.25 times per second, the mean of these two.
    let _ = subscribe(&mut balancer, &[10], Mode::Quote).unwrap();
    assert_eq!(tokens_on(&balancer, 0), [1, 10]);
    let _ = subscribe(&mut balancer, &[11, 12], Mode::Quote).unwrap();
    assert_eq!(tokens_on(&balancer, 0), [1, 10, 11], "1.75 of it against 2");
    assert_eq!(tokens_on(&balancer, 1), [2, 12], "2 against 3");
}

#[test]
fn in_an_idle_market_balance_is_by_count() {
    let mut balancer = up(3, 100);
    let _ = subscribe(&mut balancer, &[1, 2, 3], Mode::Full).unwrap();
    (1..=3).for_each(|token| balancer.observe(token, 0.0));
    let _ = subscribe(&mut balancer, &(100..160).collect::<Vec<_>>(), Mode::Full).unwrap();
    assert_eq!(balancer.counts(), [21, 21, 21]);
}

#[test]
fn new_instruments_go_to_a_lost_connection_last() {
    let mut balancer = up(3, 2);
    balancer.set_standing(0, Standing::Lost);
    let _ = subscribe(&mut balancer, &[1, 2, 3, 4, 5], Mode::Quote).unwrap();
    assert_eq!(balancer.counts(), [1, 2, 2]);
    assert_eq!(tokens_on(&balancer, 0), [5]);
}

#[test]
fn a_connection_that_is_briefly_down_gets_its_share() {
    let mut balancer = up(2, 10);
    balancer.set_standing(0, Standing::Down);
    let _ = subscribe(&mut balancer, &[1, 2], Mode::Quote).unwrap();
    assert_eq!(balancer.counts(), [1, 1]);
    let (plan, dark) = balancer.plan_hand_over(1);
    assert_eq!((plan.moves(), dark), (&[][..], vec![2]), "but nothing is handed over to it");
}

#[test]
fn the_busiest_are_handed_over_first() {
    let mut balancer = up(3, 2);
    let _ = subscribe(&mut balancer, &[1, 2, 3, 4, 5], Mode::Quote).unwrap();
    assert_eq!(tokens_on(&balancer, 0), [1, 4]);
    balancer.observe(1, 1.0);
    balancer.observe(4, 3.0);
    balancer.set_standing(0, Standing::Lost);
    let (plan, dark) = balancer.plan_hand_over(0);
    assert_eq!(plan.moves(), [Move { token: 4, from: 0, to: 2 }]);
    assert_eq!(dark, [1]);
    let expected = [(0, vec![(4, None)]), (2, vec![(4, Some(Mode::Quote))])];
    assert_eq!(changes(&plan), expected);
}

#[test]
fn given_back_instruments_are_dropped_by_their_holders_first() {
    let mut balancer = up(3, 10);
    let _ = subscribe(&mut balancer, &[1, 2, 3, 4, 5, 6], Mode::Quote).unwrap();
    let home = tokens_on(&balancer, 2);
    let (plan, dark) = balancer.plan_hand_over(2);
    assert!(dark.is_empty());
    balancer.apply(&plan);
    assert_eq!(balancer.counts(), [3, 3, 0]);
    // One is unsubscribed and subscribed again elsewhere, so it has another home now.
    let plan = balancer.plan_unsubscribe(&home[..1]);
    balancer.apply(&plan);
    balancer.set_standing(2, Standing::Lost);
    let _ = subscribe(&mut balancer, &home[..1], Mode::Quote).unwrap();
    balancer.set_standing(2, Standing::Up);
    let plan = balancer.plan_give_back(2);
    let order: Vec<usize> = plan.changes().map(|(connection, _)| connection).collect();
    assert_eq!(order.last(), Some(&2), "{order:?}");
    balancer.apply(&plan);
    assert_eq!(tokens_on(&balancer, 2), home[1..]);
    assert!(balancer.plan_give_back(2).moves().is_empty());
}

#[test]
fn an_instrument_handed_over_twice_keeps_its_first_home() {
    let mut balancer = up(3, 10);
    let _ = subscribe(&mut balancer, &[1, 2, 3], Mode::Quote).unwrap();
    for lost in [0, 1] {
        balancer.set_standing(lost, Standing::Lost);
        let (plan, dark) = balancer.plan_hand_over(lost);
        assert!(dark.is_empty());
        balancer.apply(&plan);
    }
    assert_eq!(balancer.counts(), [0, 0, 3]);
    for back in [1, 0] {
        let plan = balancer.plan_give_back(back);
        balancer.apply(&plan);
    }
    assert_eq!(balancer.counts(), [1, 1, 1]);
    assert_eq!((tokens_on(&balancer, 0), tokens_on(&balancer, 1)), (vec![1], vec![2]));
}

#[test]
fn an_instrument_without_room_at_home_stays() {
    let mut balancer = up(2, 2);
    let _ = subscribe(&mut balancer, &[1, 2], Mode::Quote).unwrap();
    balancer.set_standing(0, Standing::Lost);
    let (plan, _) = balancer.plan_hand_over(0);
    balancer.apply(&plan);
    let _ = subscribe(&mut balancer, &[3, 4], Mode::Quote).unwrap();
    assert_eq!(balancer.counts(), [2, 2]);
    let plan = balancer.plan_give_back(0);
    assert!(plan.moves().is_empty());
    let gone = balancer.plan_unsubscribe(&[4]);
    balancer.apply(&gone);
    assert_eq!(balancer.plan_give_back(0).moves(), [Move { token: 1, from: 1, to: 0 }]);
}

#[derive(Debug, Clone)]
enum Op {
    Subscribe(Vec<u32>, Mode),
    Unsubscribe(Vec<u32>),
    SetMode(Vec<u32>, Mode),
    Observe(u32, u32),
    Stand(usize, Standing),
    HandOver(usize),
    GiveBack(usize),
}

/// Shares and indices.
fn token() -> impl Strategy<Value = u32> {
    (0_u32..40).prop_map(|n| n << 8 | if n % 4 == 0 { 9 } else { 1 })
}

fn op(connections: usize) -> impl Strategy<Value = Op> {
    let tokens = || proptest::collection::vec(token(), 0..25);
    let mode = || prop::sample::select(&Mode::ALL[..]);
    let standing = prop::sample::select(vec![Standing::Up, Standing::Down, Standing::Lost]);
    prop_oneof![
        6 => (tokens(), mode()).prop_map(|(tokens, mode)| Op::Subscribe(tokens, mode)),
        3 => tokens().prop_map(Op::Unsubscribe),
        2 => (tokens(), mode()).prop_map(|(tokens, mode)| Op::SetMode(tokens, mode)),
        // Any rate, and some that make loads equal.
        3 => (token(), 0_u32..5_000_000).prop_map(|(token, rate)| Op::Observe(token, rate)),
        2 => (token(), 0_u32..4).prop_map(|(token, rate)| Op::Observe(token, rate * 500_000)),
        4 => (0..connections, standing).prop_map(|(connection, to)| Op::Stand(connection, to)),
        3 => (0..connections).prop_map(Op::HandOver),
        3 => (0..connections).prop_map(Op::GiveBack),
    ]
}

fn account() -> impl Strategy<Value = (usize, usize, Vec<Op>)> {
    (1_usize..=3, 1_usize..20).prop_flat_map(|(connections, limit)| {
        (Just(connections), Just(limit), proptest::collection::vec(op(connections), 0..60))
    })
}

/// Applies an operation to both, and checks properties of the plan that the model does not cover.
fn apply(op: Op, balancer: &mut Balancer, model: &mut Model) -> Result<Plan, TestCaseError> {
    let before = balancer.distribution();
    let mut dark = Vec::new();
    let mut may_move = false;
    let plan = match op {
        Op::Subscribe(tokens, mode) => {
            let planned = balancer.plan_subscribe(&tokens, mode);
            let reversed: Vec<u32> = tokens.iter().rev().copied().collect();
            prop_assert_eq!(&planned, &balancer.plan_subscribe(&reversed, mode), "any order");
            let new: BTreeSet<u32> = tokens.iter().copied().collect();
            let known = |token: &&u32| before.iter().any(|server| server.contains_key(token));
            let requested = new.len() - new.iter().filter(known).count();
            prop_assert_eq!(planned.is_ok(), requested <= balancer.free());
            prop_assert_eq!(model.subscribe(&tokens, mode), planned.is_ok());
            match planned {
                Ok(plan) => plan,
                Err(error) => {
                    prop_assert_eq!((error.asked, error.free), (requested, balancer.free()));
                    Plan::new(before.len())
                }
            }
        }
        Op::Unsubscribe(tokens) => {
            model.unsubscribe(&tokens);
            balancer.plan_unsubscribe(&tokens)
        }
        Op::SetMode(tokens, mode) => {
            model.set_mode(&tokens, mode);
            balancer.plan_mode(&tokens, mode)
        }
        Op::Observe(token, rate) => {
            model.observe(token, rate);
            // Half a millionth more, because the conversion may fall to either side of a whole one.
            balancer.observe(token, (f64::from(rate) + 0.5) / 1e6);
            Plan::new(before.len())
        }
        Op::Stand(connection, standing) => {
            model.standings[connection] = standing;
            balancer.set_standing(connection, standing);
            Plan::new(before.len())
        }
        Op::HandOver(connection) => {
            may_move = true;
            let (plan, left) = balancer.plan_hand_over(connection);
            prop_assert_eq!(&model.hand_over(connection), &left);
            prop_assert_eq!(plan.moves().len() + left.len(), before[connection].len());
            dark = left.into_iter().map(|token| (connection, token)).collect();
            plan
        }
        Op::GiveBack(connection) => {
            may_move = true;
            model.give_back(connection);
            let plan = balancer.plan_give_back(connection);
            prop_assert!(plan.moves().iter().all(|moved| moved.to == connection));
            plan
        }
    };
    prop_assert!(may_move || plan.moves().is_empty(), "nothing moves by itself");
    balancer.apply(&plan);
    let after = balancer.distribution();
    prop_assert!(dark.iter().all(|(connection, token)| after[*connection].contains_key(token)));
    if !may_move {
        for (token, old) in
            before.iter().enumerate().flat_map(|(n, on)| on.keys().map(move |t| (t, n)))
        {
            let now = after.iter().position(|server| server.contains_key(token));
            prop_assert!(now.is_none_or(|now| now == old), "{} went from {}", token, old);
        }
    }
    Ok(plan)
}

proptest! {
    #[test]
    fn the_servers_together_hold_the_desired_set((connections, limit, ops) in account()) {
        let (mut balancer, mut model) =
            (Balancer::new(connections, limit), Model::new(connections, limit));
        let mut servers = Servers::new(connections);
        for op in ops {
            let plan = apply(op, &mut balancer, &mut model)?;
            servers.obey(&plan);
            prop_assert_eq!(&servers.0, &model.distribution());
            prop_assert_eq!(&servers.0, &balancer.distribution());
            let counts: Vec<usize> = servers.0.iter().map(BTreeMap::len).collect();
            prop_assert!(counts.iter().all(|count| *count <= limit));
            prop_assert_eq!(balancer.counts(), &counts[..]);
            prop_assert_eq!(balancer.free(), connections * limit - counts.iter().sum::<usize>());
            prop_assert!(balancer.places.is_sorted_by(|a, b| a.token < b.token));
            let mut recomputed = Loads::new(connections);
            balancer.places.iter().for_each(|place| recomputed.add(place));
            prop_assert_eq!(&balancer.loads, &recomputed, "running sums equal recomputed sums");
        }
    }
}
