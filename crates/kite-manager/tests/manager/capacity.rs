//! Rejected requests change nothing.

use kite_manager::{AccountId, Manager, SubscribeError};
use kite_sim::Sim;
use kite_wire::Mode;

use crate::stage::{agreed, builder, in_time, name, sim, sim_until};

/// Two accounts of two connections of five instruments: 20, of which 17 are taken, ten of them by
/// the first account.
async fn nearly_full(sim: &Sim) -> Manager {
    let manager = builder(sim, 2).connections(2).connection(|it| it.instrument_limit = 5);
    let manager = manager.build().unwrap();
    let tokens = kite_sim::universe(17);
    manager.subscribe_on(&name(0), &tokens[..10], Mode::Ltp).unwrap();
    manager.subscribe_on(&name(1), &tokens[10..], Mode::Full).unwrap();
    in_time("start", manager.start()).await.unwrap();
    agreed(sim, &manager).await;
    // A subscribe and a mode command on each connection; the simulator counts them after it
    // answers.
    sim_until(sim, "all commands", |sim| sim.stats().commands_received == 8).await;
    manager
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_beyond_capacity_changes_nothing_anywhere() {
    let sim = sim(2, |it| it).await;
    let manager = nearly_full(&sim).await;
    let before = manager.distribution();
    let tokens = kite_sim::universe(40);
    // Three known instruments and a repetition take no room.
    let request: Vec<u32> = tokens[14..21].iter().chain(&tokens[20..21]).copied().collect();
    let error = manager.subscribe(&request, Mode::Quote).unwrap_err();
    assert_eq!((error.asked, error.free), (4, 3));
    assert_eq!((error.connections, error.limit), (4, 5));
    let commands = sim.stats().commands_received;

    let full = manager.subscribe_on(&name(0), &tokens[17..18], Mode::Quote).unwrap_err();
    let SubscribeError::Capacity(full) = full else { panic!("{full:?}") };
    assert_eq!((full.asked, full.free, full.connections, full.limit), (1, 0, 2, 5));
    let too_many = manager.subscribe_on(&name(1), &tokens[16..21], Mode::Quote).unwrap_err();
    let SubscribeError::Capacity(too_many) = too_many else { panic!("{too_many:?}") };
    assert_eq!((too_many.asked, too_many.free), (4, 3));

    let missing = AccountId::from("missing");
    let unknown = manager.subscribe_on(&missing, &tokens[17..18], Mode::Quote).unwrap_err();
    assert_eq!(unknown.to_string(), "no account is named missing");
    assert_eq!(manager.unsubscribe_on(&missing, &tokens).unwrap_err().account, missing);
    assert_eq!(manager.set_access_token_of(&missing, "new").unwrap_err().account, missing);
    assert_eq!(manager.distribution(), before);

    // Commands of the rejected requests would have been received before these.
    manager.subscribe(&tokens[..20], Mode::Quote).unwrap();
    agreed(&sim, &manager).await;
    let expected = commands
        + before
            .iter()
            .zip(manager.distribution())
            .filter(|(before, after)| before.len() != after.len())
            .count() as u64
            * 2;
    sim_until(&sim, "its commands", |sim| sim.stats().commands_received >= expected).await;
    assert_eq!(sim.stats().commands_received, expected, "a subscribe and a mode command each");
    let modes: Vec<Mode> = manager.distribution().into_iter().flatten().map(|it| it.1).collect();
    assert_eq!(
        modes.iter().filter(|mode| **mode == Mode::Ltp).count(),
        10,
        "known instruments keep their mode"
    );
    assert_eq!(modes.iter().filter(|mode| **mode == Mode::Full).count(), 7);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_accounts_may_have_the_same_instrument() {
    let sim = sim(2, |it| it).await;
    let manager = nearly_full(&sim).await;
    let shared = kite_sim::universe(17)[3];
    manager.subscribe_on(&name(1), &[shared], Mode::Quote).unwrap();
    agreed(&sim, &manager).await;
    let modes = |manager: &Manager| -> Vec<Mode> {
        manager.distribution().iter().filter_map(|it| it.get(&shared).copied()).collect()
    };
    assert_eq!(modes(&manager), [Mode::Ltp, Mode::Quote]);
    manager.unsubscribe_on(&name(0), &[shared]).unwrap();
    agreed(&sim, &manager).await;
    assert_eq!(modes(&manager), [Mode::Quote]);
    manager.set_mode(&[shared], Mode::Full);
    agreed(&sim, &manager).await;
    assert_eq!(modes(&manager), [Mode::Full]);
    manager.unsubscribe(&[shared]);
    agreed(&sim, &manager).await;
    assert_eq!(modes(&manager), []);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn full_accounts_exchange_instruments_and_only_differences_are_sent() {
    let sim = sim(2, |it| it).await;
    let manager = builder(&sim, 2).connections(1).connection(|it| it.instrument_limit = 5);
    let manager = manager.build().unwrap();
    let tokens = kite_sim::universe(30);
    manager.subscribe(&tokens[..10], Mode::Quote).unwrap();
    in_time("start", manager.start()).await.unwrap();
    agreed(&sim, &manager).await;
    sim_until(&sim, "all commands", |sim| sim.stats().commands_received == 4).await;

    // Three instruments stay, one of them in another mode; seven are exchanged.
    let kept = tokens[7..10].iter().copied().zip([Mode::Quote, Mode::Full, Mode::Quote]);
    let new = tokens[10..17].iter().map(|&token| (token, Mode::Ltp));
    manager.set_subscriptions(kept.clone().chain(new)).unwrap();
    agreed(&sim, &manager).await;
    let all: Vec<_> = manager.distribution().into_iter().flatten().collect();
    assert_eq!(all.len(), 10);
    assert!(manager.distribution().iter().all(|it| it.len() == 5), "both accounts are full again");
    // On each account an unsubscribe, a subscribe and a mode command, and one more for the mode of
    // an instrument that stays.
    let before = 4 + 6 + 1;
    sim_until(&sim, "all commands", |sim| sim.stats().commands_received == before).await;

    manager.set_subscriptions(all.clone()).unwrap();
    let error = manager.set_subscriptions(tokens.iter().map(|&it| (it, Mode::Full))).unwrap_err();
    assert_eq!((error.asked, error.free), (20, 0));
    // Commands of the two requests before would have been received before this one.
    manager.set_subscriptions(all.into_iter().skip(1)).unwrap();
    agreed(&sim, &manager).await;
    sim_until(&sim, "one command", |sim| sim.stats().commands_received > before).await;
    assert_eq!(sim.stats().commands_received, before + 1);
}
