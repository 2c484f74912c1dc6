//! What a gap reports: its times, its instruments and the missed volume of each.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use kite_conn::{Connection, ConnectionConfig, Gap, VolumeMissed};
use kite_sim::{API_KEY, Fault, Sim};
use kite_wire::Mode;

use crate::both_ways;
use crate::probe::{Probe, Seen, config, connect, sim_until};
use crate::story::{changes, gaps};

const QUOTE: u32 = 408_065;
const FULL: u32 = 884_737;
const LTP: u32 = 31_132_417;
const INDEX: u32 = 256_265;
const INDEX_FULL: u32 = 260_105;
const SHARES: [u32; 2] = [QUOTE, FULL];

both_ways![
    the_missed_volume_is_exact_if_the_mode_carries_it,
    consecutive_losses_have_separate_gaps_that_add_up,
    an_overnight_gap_is_reported_as_such,
    a_gap_does_not_wait_for_unsubscribed_instruments,
    an_instrument_that_never_ticked_is_reported_as_such,
    a_gap_is_reported_even_if_the_next_socket_never_ticks,
    without_tracking_the_gap_itself_is_reported,
];

/// A market that moves only on command, and a connection to it with an instrument in each mode, all
/// of which have ticked.
struct Market {
    sim: Sim,
    connection: Connection,
    probe: Arc<Probe>,
    desired: BTreeMap<u32, Mode>,
}

impl Market {
    async fn open(tune: impl FnOnce(&mut ConnectionConfig)) -> Self {
        let beat = Duration::from_millis(20);
        let sim = Sim::builder().greet(false).updates_per_second(0.0).heartbeat_every(beat);
        let sim = sim.start().await.unwrap();
        let mut config = config(&sim);
        tune(&mut config);
        let (connection, probe) = connect(config);
        let desired = BTreeMap::from([
            (QUOTE, Mode::Quote),
            (FULL, Mode::Full),
            (LTP, Mode::Ltp),
            (INDEX, Mode::Quote),
            (INDEX_FULL, Mode::Full),
        ]);
        connection.apply(changes(&desired)).unwrap();
        let market = Self { sim, connection, probe, desired };
        market.holds_all().await;
        market.tick().await;
        market
    }

    async fn holds_all(&self) {
        let desired = &self.desired;
        sim_until(&self.sim, "all", |sim| sim.subscriptions() == [desired.clone()]).await;
    }

    /// Makes every instrument tick once more, and waits until everything sent has arrived.
    async fn tick(&self) {
        let tokens: Vec<u32> = self.desired.keys().copied().collect();
        self.sim.tick_now(&tokens);
        self.sim.pause().await;
        let sent = self.sim.sockets(API_KEY).last().unwrap().frames();
        let all_arrived = |seen: &Seen| {
            seen.sockets.values().next_back().is_some_and(|socket| socket.frames == sent)
        };
        self.probe.until("all frames", all_arrived).await;
    }

    fn volumes(&self) -> [u32; 2] {
        SHARES.map(|token| self.sim.instrument(token).volume().unwrap())
    }

    async fn gap(&self, number: usize) -> Arc<Gap> {
        self.probe.until("the gap", |seen| gaps(seen).len() >= number).await;
        let found = self.probe.look(gaps);
        assert_eq!(found.len(), number);
        Arc::clone(&found[number - 1])
    }
}

fn volume(gap: &Gap, token: u32) -> VolumeMissed {
    gap.instruments.iter().find(|missed| missed.token == token).unwrap().volume
}

fn assert_in_order(gap: &Gap) {
    assert!(gap.last_heard <= gap.lost && gap.lost <= gap.up, "{gap:?}");
    assert!(gap.resumed.is_none_or(|resumed| gap.up <= resumed), "{gap:?}");
    assert_eq!(
        gap.without_ticks(),
        gap.resumed.map(|resumed| resumed.since(gap.last_heard)),
        "{gap:?}"
    );
}

async fn the_missed_volume_is_exact_if_the_mode_carries_it() {
    let market = Market::open(|_| {}).await;
    let before = market.volumes();
    let down = Duration::from_millis(150);
    market.sim.inject(API_KEY, Fault::Restart { down });
    market.probe.until("the loss", |seen| seen.losses() == 1).await;
    let tokens: Vec<u32> = market.desired.keys().copied().collect();
    market.sim.advance_market(&tokens, 1_234);
    let after = market.volumes();
    assert!(after[0] > before[0] && after[1] > before[1]);

    let gap = market.gap(1).await;
    assert_in_order(&gap);
    assert_eq!((gap.lost_epoch, gap.epoch), (1, 2));
    assert!(gap.up.since(gap.lost) + Duration::from_millis(20) >= down, "{gap:?}");
    assert!(gap.without_ticks().unwrap() >= gap.up.since(gap.last_heard), "{gap:?}");
    let modes: BTreeMap<u32, Mode> = gap.instruments.iter().map(|it| (it.token, it.mode)).collect();
    assert_eq!(modes, market.desired);
    assert!(gap.instruments.is_sorted_by_key(|missed| missed.token));
    for (index, token) in SHARES.into_iter().enumerate() {
        let missed = after[index] - before[index];
        assert_eq!(volume(&gap, token), VolumeMissed::Known(missed), "{token}");
    }
    for token in [LTP, INDEX, INDEX_FULL] {
        assert_eq!(volume(&gap, token), VolumeMissed::NotCarried, "{token}");
    }
    let sum: u64 = (0..2).map(|index| u64::from(after[index] - before[index])).sum();
    assert_eq!(gap.known_volume(), sum);
    market.connection.close().await;
    assert_eq!(market.probe.look(gaps).len(), 1);
}

async fn consecutive_losses_have_separate_gaps_that_add_up() {
    let market = Market::open(|_| {}).await;
    let before = market.volumes();
    // Three consecutive sockets: one that ticks, one that is lost before anything ticks on it, one
    // that stays.
    market.sim.at_next_handshake(API_KEY, Fault::HeartbeatsOnly);
    market.sim.drop_all();
    market.probe.until("a silent socket", |seen| seen.epoch == 2).await;
    let desired = &market.desired;
    let held = |sim: &Sim| sim.subscriptions() == [desired.clone()];
    sim_until(&market.sim, "the subscriptions", held).await;
    market.sim.advance_market(&SHARES, 50);
    assert_eq!(market.probe.look(gaps), [], "nothing has come back yet");
    market.sim.drop_all();

    let first = market.gap(1).await;
    assert_in_order(&first);
    assert_eq!((first.lost_epoch, first.epoch, first.resumed), (1, 2, None));
    assert_eq!(first.without_ticks(), None);
    assert!(first.instruments.iter().all(|it| it.volume == VolumeMissed::NotBack), "{first:?}");
    assert_eq!(first.instruments.len(), market.desired.len());

    let second = market.gap(2).await;
    assert_in_order(&second);
    assert_eq!((second.lost_epoch, second.epoch), (2, 3));
    assert!(first.up <= second.lost);
    let after = market.volumes();
    for (index, token) in SHARES.into_iter().enumerate() {
        let missed = after[index] - before[index];
        assert!(missed > 0);
        assert_eq!(volume(&second, token), VolumeMissed::Known(missed), "across both losses");
    }

    // The next gap counts from the ticks received after it.
    market.tick().await;
    let before = market.volumes();
    market.sim.drop_all();
    let third = market.gap(3).await;
    assert_eq!((third.lost_epoch, third.epoch), (3, 4));
    assert_eq!(market.volumes(), before);
    for token in SHARES {
        assert_eq!(volume(&third, token), VolumeMissed::Known(0));
    }
    market.connection.close().await;
}

async fn an_overnight_gap_is_reported_as_such() {
    let market = Market::open(|_| {}).await;
    market.sim.inject(API_KEY, Fault::Restart { down: Duration::from_millis(100) });
    market.probe.until("the loss", |seen| seen.losses() == 1).await;
    market.sim.next_day();
    let gap = market.gap(1).await;
    // Only full packets have an exchange timestamp. By the local clock it is the same day.
    assert_eq!(volume(&gap, FULL), VolumeMissed::OtherDay);
    assert_eq!(volume(&gap, QUOTE), VolumeMissed::Fell);
    assert_eq!((volume(&gap, INDEX), gap.known_volume()), (VolumeMissed::NotCarried, 0));
    market.connection.close().await;
}

async fn a_gap_does_not_wait_for_unsubscribed_instruments() {
    let market = Market::open(|_| {}).await;
    market.sim.inject(API_KEY, Fault::Restart { down: Duration::from_millis(100) });
    market.probe.until("the loss", |seen| seen.losses() == 1).await;
    market.connection.unsubscribe(&[QUOTE]);
    // Otherwise it would wait for a minute.
    let gap = market.gap(1).await;
    assert_in_order(&gap);
    assert_eq!(volume(&gap, QUOTE), VolumeMissed::Unsubscribed);
    assert_eq!(volume(&gap, FULL), VolumeMissed::Known(0));
    market.connection.close().await;
}

async fn an_instrument_that_never_ticked_is_reported_as_such() {
    const LATE: u32 = 2_953_217;
    let mut market = Market::open(|_| {}).await;
    market.sim.inject(API_KEY, Fault::HeartbeatsOnly);
    market.connection.subscribe(&[LATE], Mode::Full).unwrap();
    market.desired.insert(LATE, Mode::Full);
    market.holds_all().await;
    market.sim.drop_all();
    let gap = market.gap(1).await;
    assert_eq!(volume(&gap, LATE), VolumeMissed::NeverSeen);
    assert_eq!(gap.instruments.len(), market.desired.len());
    // An instrument that was never subscribed on the lost socket is not part of its gap.
    market.holds_all().await;
    market.tick().await;
    market.sim.inject(API_KEY, Fault::Restart { down: Duration::from_millis(100) });
    market.probe.until("the loss", |seen| seen.losses() == 2).await;
    market.connection.subscribe(&[LATE + 256], Mode::Full).unwrap();
    let gap = market.gap(2).await;
    assert_eq!(volume(&gap, LATE), VolumeMissed::Known(0));
    assert!(gap.instruments.iter().all(|missed| missed.token != LATE + 256));
    market.connection.close().await;
}

async fn without_tracking_the_gap_itself_is_reported() {
    let market = Market::open(|config| config.track_instruments = false).await;
    market.sim.drop_all();
    let gap = market.gap(1).await;
    assert_in_order(&gap);
    assert!(gap.resumed.is_some());
    assert!(gap.instruments.iter().all(|it| it.volume == VolumeMissed::NotTracked), "{gap:?}");
    assert_eq!(gap.instruments.len(), market.desired.len());
    market.connection.close().await;
}

async fn a_gap_is_reported_even_if_the_next_socket_never_ticks() {
    let settle = Duration::from_millis(300);
    let market = Market::open(|config| config.liveness.silence_threshold = settle).await;
    market.sim.at_next_handshake(API_KEY, Fault::HeartbeatsOnly);
    market.sim.drop_all();
    let gap = market.gap(1).await;
    assert_in_order(&gap);
    assert_eq!((gap.lost_epoch, gap.epoch, gap.resumed), (1, 2, None));
    assert!(gap.instruments.iter().all(|it| it.volume == VolumeMissed::NotBack), "{gap:?}");
    assert_eq!(market.connection.stats().losses, 1, "the socket is alive");
    market.connection.close().await;
}
