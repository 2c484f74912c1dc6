//! Snapshots and distributions: exactly the simulator's own counts, once all is quiet.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use kite_conn::{LossKind, Phase};
use kite_manager::{Figures, Manager, Quantiles, Snapshot};
use kite_sim::{Fault, Sent, Sim};
use kite_wire::{Mode, PacketKind, Tick};

use crate::stage::{
    agreed, all_delivered, builder, in_time, key, secret, sim, sim_until, socket, until,
};

/// Returns the size of a packet including its length field.
fn wire_bytes(tick: &Tick) -> u64 {
    2 + kind(tick).packet_len() as u64
}

fn kind(tick: &Tick) -> PacketKind {
    let mut buffer = [0; 200];
    let mut encoder = kite_wire::FrameEncoder::new(&mut buffer).unwrap();
    encoder.push(tick).unwrap();
    kite_wire::Frame::walk(encoder.finish()).packets().next().unwrap().kind()
}

/// Returns the bytes of all frames that the simulator sent. Each subscription began with a snapshot
/// in quote mode, followed by one in its own mode if that is different.
fn bytes_sent(
    sim: &Sim,
    sent: &BTreeMap<u32, Sent>,
    modes: &BTreeMap<u32, Mode>,
    subscribed: u64,
) -> u64 {
    let packets = sent.iter().map(|(token, sent)| {
        let bytes = |mode| wire_bytes(&sim.instrument(*token).tick(mode));
        let first = if modes[token] == Mode::Quote { 0 } else { subscribed };
        first * bytes(Mode::Quote) + (sent.ticks - first) * bytes(modes[token])
    });
    let stats = sim.stats();
    packets.sum::<u64>() + 2 * stats.frames_sent + stats.heartbeats_sent
}

fn sum(manager: &Manager, of: impl Fn(&Figures) -> u64) -> u64 {
    manager.snapshot().connections.iter().map(|it| of(&it.figures)).sum()
}

fn unix_now_s() -> u32 {
    u32::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn counts_match_the_simulator_exactly() {
    let sim = sim(2, |it| it.market_time(unix_now_s() - 4)).await;
    let manager = builder(&sim, 2).build().unwrap();
    let tokens = kite_sim::universe(90);
    let modes: BTreeMap<u32, Mode> =
        tokens.iter().copied().zip(Mode::ALL.into_iter().cycle()).collect();
    for mode in Mode::ALL {
        let of_mode = modes.iter().filter(|it| *it.1 == mode).map(|it| *it.0);
        manager.subscribe(&of_mode.collect::<Vec<_>>(), mode).unwrap();
    }
    let planned = manager.distribution();
    in_time("start", manager.start()).await.unwrap();
    sim_until(&sim, "ticks", |sim| sim.stats().ticks_sent > 900).await;
    sim.pause().await;
    all_delivered(&sim, &manager).await;
    // Each account loses all its sockets, in different ways, with nothing in flight.
    agreed(&sim, &manager).await;
    sim.inject(&key(0), Fault::Close { code: 1_001, waits: true });
    sim.inject(&key(1), Fault::EndOfStream { at: 0 });
    sim_until(&sim, "all back", |sim| {
        let stats = sim.stats();
        stats.connections_total == 12 && stats.connections_open == 6
    })
    .await;
    agreed(&sim, &manager).await;
    sim.resume();
    let before = sim.stats().ticks_sent;
    sim_until(&sim, "ticks", |sim| sim.stats().ticks_sent > before + 300).await;
    sim.send_text("not a JSON object");
    manager.ping();
    sim_until(&sim, "pings", |sim| sim.stats().pings_received == 6).await;
    until("pongs", || manager.distributions().round_trip_ns.count() == 6).await;
    sim.pause().await;
    sim.go_silent(true);
    until("the same counts", || {
        let sent = sim.stats();
        sum(&manager, |it| it.ticks) == sent.ticks_sent
            && sum(&manager, |it| it.frames) == sent.frames_sent + sent.heartbeats_sent
            && sum(&manager, |it| it.heartbeats) == sent.heartbeats_sent
            && sum(&manager, |it| it.texts) == sent.texts_sent
            && sum(&manager, |it| it.frames_delivered) == sum(&manager, |it| it.frames)
    })
    .await;

    let (sent, snapshot) = (sim.stats(), manager.snapshot());
    assert_eq!(sum(&manager, |it| it.bytes), bytes_sent(&sim, &sim.sent(), &modes, 2));
    assert_eq!(sum(&manager, |it| it.connects), sent.connections_total);
    assert_eq!(
        (sum(&manager, Figures::sockets_lost), sum(&manager, |it| it.unreadable_texts)),
        (6, 6)
    );
    assert_eq!(sum(&manager, |it| it.errors), 12);
    assert_eq!(sum(&manager, |it| it.skipped_packets + it.damaged_frames), 0);
    for (slot, connection) in snapshot.connections.iter().enumerate() {
        let open = socket(&sim, slot / 3, &planned[slot]);
        let records = sim.sockets(&key(slot / 3));
        let own = records.iter().filter(|it| it.subscriptions == planned[slot]);
        let (frames, ticks) =
            own.fold((0, 0), |sum, it| (sum.0 + it.frames() as u64, sum.1 + it.ticks));
        let figures = &connection.figures;
        assert!(frames > open.frames() as u64, "two sockets each");
        assert_eq!((figures.frames - figures.heartbeats, figures.ticks), (frames, ticks), "{slot}");
        let kind = if slot < 3 { LossKind::CloseFrame } else { LossKind::Eof };
        assert_eq!(figures.losses, BTreeMap::from([(kind.name().to_owned(), 1)]));
        assert_eq!((figures.connects, figures.sockets_lost(), figures.texts), (2, 1, 5));
        assert_eq!((connection.epoch, connection.instruments), (2, planned[slot].len()));
        assert!(connection.last_round_trip_ns.is_some() && connection.uptime_s > 0.0);
        assert!(connection.uptime_s < snapshot.uptime_s);
    }
    figures_are_plausible(&manager, &sent);
    the_total_is_the_sum_and_snapshots_survive_json(&manager);
}

fn figures_are_plausible(manager: &Manager, sent: &kite_sim::SimStats) {
    let distributions = manager.distributions();
    assert_eq!(distributions.latency_ns.count(), sent.frames_sent);
    assert_eq!(distributions.frame_bytes.count(), sent.frames_sent);
    assert_eq!(distributions.outage_ns.count(), 6);
    let all = [
        &distributions.latency_ns,
        &distributions.frame_bytes,
        &distributions.outage_ns,
        &distributions.round_trip_ns,
        &distributions.exchange_lag_s,
    ];
    for distribution in all {
        let it = Quantiles::from(distribution);
        assert!(it.count > 0);
        assert!(it.p50 <= it.p99 && it.p99 <= it.p999 && it.p999 <= it.max, "{it:?}");
    }
    // The simulated market began four seconds ago, and its clock runs ten times as fast.
    let lag_s = distributions.exchange_lag_s.quantile(1.0).unwrap();
    assert!((3..=30).contains(&lag_s), "{lag_s}");
    assert!(distributions.latency_ns.quantile(0.0).unwrap() > 0);
    let longest = distributions.frame_bytes.quantile(1.0).unwrap();
    assert!((100..=186 * 15 + 100).contains(&longest), "{longest}");
}

fn the_total_is_the_sum_and_snapshots_survive_json(manager: &Manager) {
    let snapshot = manager.snapshot();
    assert_eq!((snapshot.instruments, snapshot.unseen, snapshot.dark), (90, 0, 0));
    assert_eq!((snapshot.connections.len(), snapshot.live), (6, 6));
    for connection in &snapshot.connections {
        let figures = &connection.figures;
        assert_eq!((figures.connects, figures.errors), (2, 2));
        assert_eq!((connection.phase, connection.failure.as_ref()), (Phase::Live, None));
        assert_eq!((connection.dark, connection.dark_tokens.len()), (0, 0));
        assert_eq!(figures.latency_ns.count, figures.frames_delivered - figures.heartbeats);
        assert!(figures.mean_latency_ns > 0);
        assert!(connection.silent_s.is_some_and(|silent_s| silent_s < connection.uptime_s));
        assert!(connection.last_message_ns.is_some() && connection.last_delivery_ns.is_some());
    }
    let (total, each) = (&snapshot.total, snapshot.connections.iter().map(|it| &it.figures));
    let sum = |of: fn(&Figures) -> u64| each.clone().map(of).sum::<u64>();
    assert_eq!((total.frames, total.bytes), (sum(|it| it.frames), sum(|it| it.bytes)));
    assert_eq!((total.ticks, total.connects), (sum(|it| it.ticks), sum(|it| it.connects)));
    assert_eq!((total.sockets_lost(), total.losses["eof"]), (6, 3));
    let distributions = manager.distributions();
    assert_eq!(total.latency_ns, Quantiles::from(&distributions.latency_ns));
    assert_eq!(total.frame_bytes.count, sum(|it| it.frame_bytes.count));
    let now_ms = u64::from(unix_now_s()) * 1_000;
    assert!(snapshot.unix_ms.abs_diff(now_ms) < 60_000);

    let written = serde_json::to_string(&snapshot).unwrap();
    assert_eq!(serde_json::from_str::<Snapshot>(&written).unwrap(), snapshot);
    let secrets = [key(0), key(1), secret(0), secret(1)];
    assert!(!secrets.iter().any(|it| written.contains(it)), "{written}");
    let json: serde_json::Value = serde_json::from_str(&written).unwrap();
    assert_eq!(json["latency_ns"]["count"], total.latency_ns.count);
    let first = &json["connections"][0];
    assert_eq!((&first["phase"], &first["dark"]), (&"live".into(), &0.into()));
    assert_eq!(first["frames"], snapshot.connections[0].figures.frames);
    assert_eq!(first["account"], snapshot.connections[0].account.as_str());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_snapshot_of_a_refusal_has_the_reason_and_no_secrets() {
    let sim = sim(1, |it| it.unknown_token(9_999 << 8 | 1)).await;
    let manager = builder(&sim, 1).build().unwrap();
    manager.subscribe(&[9_999 << 8 | 1, 256, 512], Mode::Quote).unwrap();
    in_time("start", manager.start()).await.unwrap();
    until("ticks of the known instruments", || manager.snapshot().unseen == 1).await;
    assert_eq!(
        manager.unseen().iter().flat_map(|it| &it.tokens).collect::<Vec<_>>(),
        [&(9_999 << 8 | 1)]
    );
    sim.revoke_token(&key(0));
    sim.drop_all();
    until("parking", || manager.snapshot().connections.iter().all(|it| it.phase == Phase::Parked))
        .await;
    let snapshot = manager.snapshot();
    let why = snapshot.connections[0].failure.clone().unwrap();
    assert!(why.contains("renew the access token") && why.contains("403"), "{why}");
    let written = serde_json::to_string(&snapshot).unwrap() + &format!("{snapshot:?} {manager:?}");
    assert!(!written.contains(&secret(0)), "{written}");
    assert!(!serde_json::to_string(&snapshot).unwrap().contains(&key(0)));
    let health = manager.snapshot().health(Duration::from_secs(9));
    assert_eq!(health.level(), kite_manager::HealthLevel::Critical);
}
