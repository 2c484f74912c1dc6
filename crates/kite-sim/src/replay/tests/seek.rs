//! A replay that is moved, and whose speed changes, while it runs.

use super::*;

fn tokens(bytes: &Bytes) -> Vec<u32> {
    Frame::walk(bytes).packets().map(|packet| packet.instrument_token()).collect()
}

#[tokio::test(start_paused = true)]
async fn a_replay_continues_where_it_is_asked_to_after_a_snapshot_of_that_place() {
    let sim = quiet(of(steady(400))).start().await.unwrap();
    let mut client = Client::subscribed(&sim, Mode::Full, &[A]).await;
    assert_eq!(client.binary().await, frame(&[A], 0));
    sim.seek_replay(NINE + 100 * S);
    // The last frame before the place, then those from there on at their pace.
    assert_eq!(client.binary().await, frame(&[A], 199));
    assert_eq!(client.binary().await, frame(&[A], 200));
    let begun = Instant::now();
    assert_eq!(client.binary().await, frame(&[A], 201));
    assert_eq!(begun.elapsed().as_millis(), 500);
    // Back again.
    sim.seek_replay(NINE + 10 * S);
    assert_eq!(client.binary().await, frame(&[A], 19));
    assert_eq!(client.binary().await, frame(&[A], 20));
    assert_eq!(sim.replay().unwrap().seeks, 2);
}

#[tokio::test(start_paused = true)]
async fn a_place_is_reported_without_delay_and_is_within_the_tape() {
    let sim = quiet(of(steady(400)).start(Start::OnRequest)).start().await.unwrap();
    for (to, place) in [(NINE + S, NINE + S), (0, NINE), (u64::MAX, NINE + 199_500 * MS)] {
        sim.seek_replay(to);
        assert_eq!(sim.replay().unwrap().position_unix_ns, Some(place));
    }
}

#[tokio::test(start_paused = true)]
async fn a_paused_replay_shows_the_place_to_which_it_is_moved_and_stays_there() {
    let sim = quiet(of(steady(400))).start().await.unwrap();
    let mut client = Client::subscribed(&sim, Mode::Full, &[A, B]).await;
    assert_eq!(client.binary().await, frame(&[A, B], 0));
    sim.pause().await;
    sim.seek_replay(NINE + 100 * S);
    assert_eq!(client.binary().await, frame(&[A, B], 199));
    let begun = Instant::now();
    let next = tokio::spawn(async move { (client.binary().await, begun.elapsed()) });
    tokio::time::sleep(Duration::from_secs(60)).await;
    sim.resume();
    let (bytes, waited) = next.await.unwrap();
    assert_eq!(bytes, frame(&[A, B], 200));
    assert!(waited >= Duration::from_secs(60), "{waited:?}");
}

#[tokio::test(start_paused = true)]
async fn a_replay_that_has_ended_continues_further_back_and_ends_again() {
    let sim = quiet(of(steady(10))).start().await.unwrap();
    let mut client = Client::subscribed(&sim, Mode::Full, &[A]).await;
    for step in 0..10 {
        assert_eq!(client.binary().await, frame(&[A], step));
    }
    timeout(DEADLINE, sim.replay_finished()).await.unwrap();
    sim.seek_replay(NINE);
    assert!(!sim.replay().unwrap().finished);
    for step in 0..10 {
        assert_eq!(client.binary().await, frame(&[A], step));
    }
    timeout(DEADLINE, sim.replay_finished()).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn of_several_places_the_last_one_counts() {
    let sim = quiet(of(steady(400))).start().await.unwrap();
    let mut client = Client::subscribed(&sim, Mode::Full, &[A]).await;
    client.binary().await;
    for second in 1..=100 {
        sim.seek_replay(NINE + second * S);
    }
    assert_eq!(client.binary().await, frame(&[A], 199));
    assert_eq!(client.binary().await, frame(&[A], 200));
}

#[tokio::test(start_paused = true)]
async fn a_new_speed_counts_from_the_present_place_on() {
    let sim = quiet(of(vec![binary(0, frame(&[A], 0)), binary(60_000, frame(&[A], 1))]));
    let sim = sim.start().await.unwrap();
    let mut client = Client::subscribed(&sim, Mode::Full, &[A]).await;
    client.binary().await;
    let begun = Instant::now();
    tokio::time::sleep(Duration::from_secs(30)).await;
    sim.set_replay_speed(Speed::Times(10.0));
    assert_eq!(client.binary().await, frame(&[A], 1));
    // The other half of the minute takes a tenth of its time.
    assert_eq!(begun.elapsed().as_secs(), 33);
}

#[tokio::test(start_paused = true)]
async fn full_speed_does_not_wait_and_the_recorded_speed_does_again() {
    let sim = quiet(of(steady(2_000))).start().await.unwrap();
    let mut client = Client::subscribed(&sim, Mode::Full, &[A]).await;
    client.binary().await;
    let begun = Instant::now();
    sim.set_replay_speed(Speed::AsRead);
    for step in 1..1_000 {
        assert_eq!(client.binary().await, frame(&[A], step));
    }
    assert_eq!(begun.elapsed().as_secs(), 0);
    sim.set_replay_speed(Speed::Times(f64::NAN));
    let begun = Instant::now();
    for step in 1_000..2_000 {
        assert_eq!(client.binary().await, frame(&[A], step));
    }
    assert!(begun.elapsed() > Duration::from_secs(400), "{:?}", begun.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_snapshot_has_only_what_the_look_back_finds() {
    let reads = vec![
        binary(0, frame(&[A], 1)),
        binary(100_000, frame(&[B], 1)),
        binary(110_000, frame(&[A, B], 2)),
    ];
    let sim = quiet(of(reads)).start().await.unwrap();
    let mut client = Client::subscribed(&sim, Mode::Full, &[A, B]).await;
    client.binary().await;
    sim.seek_replay(NINE + 105 * S);
    assert_eq!(tokens(&client.binary().await), [B]);
    assert_eq!(client.binary().await, frame(&[A, B], 2));
}
