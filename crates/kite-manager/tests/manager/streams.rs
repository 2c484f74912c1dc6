//! Streams with slow or late consumers, whose delivered, dropped and replaced ticks add up.

use std::collections::BTreeSet;
use std::time::Duration;

use futures_util::FutureExt;
use kite_conn::{LaneConfig, Overflow};
use kite_manager::{StreamConfig, StreamItem, TickStream};
use kite_wire::{Mode, Packet};

use crate::stage::{all_delivered, builder, in_time, sim, sim_until, until};
use crate::taking::{Taken, take, take_now};

fn short(overflow: Overflow, tokens: Option<BTreeSet<u32>>) -> StreamConfig {
    let lane = LaneConfig { frames: 4, overflow, ..LaneConfig::default() };
    StreamConfig { lane, tokens, ..StreamConfig::default() }
}

/// Reads the rest, and checks that the stream's counts match its items.
fn add_up(stream: &mut TickStream, first: Taken) -> (Taken, u64) {
    let mut taken = take_now(stream);
    taken.delivered += first.delivered;
    taken.dropped += first.dropped;
    taken.replaced += first.replaced;
    let stats = stream.stats();
    assert_eq!(
        (taken.delivered, taken.dropped, taken.replaced),
        (stats.delivered_ticks, stats.dropped_ticks, stats.conflated_ticks)
    );
    assert_eq!((stats.queued_frames, stats.queued_bytes), (0, 0));
    let sum = taken.delivered + taken.dropped + taken.replaced;
    (taken, sum)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn losses_of_a_slow_consumer_are_reported_to_the_tick() {
    let sim = sim(2, |it| it.updates_per_second(50.0)).await;
    let manager = builder(&sim, 2).latest(true).build().unwrap();
    let tokens = kite_sim::universe(60);
    let chosen: BTreeSet<u32> = tokens.iter().copied().step_by(7).collect();
    let stream = |config| manager.stream(config).unwrap();
    let mut oldest = stream(short(Overflow::DropOldest, None));
    let mut folded = stream(short(Overflow::Conflate, None));
    let mut some = stream(short(Overflow::DropOldest, Some(chosen.clone())));
    let whole = take(stream(short(Overflow::Block, None)));
    manager.subscribe(&tokens, Mode::Full).unwrap();
    in_time("start", manager.start()).await.unwrap();
    sim_until(&sim, "a lag", |sim| sim.stats().ticks_sent > 1_500).await;
    let firsts = [&mut oldest, &mut folded, &mut some].map(take_now);
    sim_until(&sim, "another", |sim| sim.stats().ticks_sent > 4_000).await;
    sim.pause().await;
    all_delivered(&sim, &manager).await;
    let sent = sim.sent();
    let all: u64 = sent.values().map(|it| it.ticks).sum();
    until("every tick of the one that blocks", || whole.look(|taken| taken.ticks == sent)).await;
    let [first_oldest, first_folded, first_some] = firsts;
    let (taken, sum) = add_up(&mut oldest, first_oldest);
    assert_eq!((sum, taken.replaced), (all, 0));
    assert!(taken.dropped > 0 && taken.delivered > 0);
    let (taken, sum) = add_up(&mut some, first_some);
    assert_eq!(sum, chosen.iter().map(|token| sent[token].ticks).sum::<u64>());
    assert!(taken.dropped > 0 && taken.last.keys().all(|token| chosen.contains(token)));
    let (taken, sum) = add_up(&mut folded, first_folded);
    assert_eq!((sum, taken.dropped), (all, 0));
    assert!(taken.replaced > 0);
    let latest = manager.latest().unwrap();
    for token in tokens {
        let newest = latest.get(token).unwrap();
        assert_eq!(taken.last[&token], newest.packet().as_bytes(), "the last of each arrives");
        assert_eq!(newest.tick(), sim.instrument(token).tick(Mode::Full), "it is the newest");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_belongs_to_its_run() {
    let sim = sim(1, |it| it).await;
    let manager = builder(&sim, 1).build().unwrap();
    manager.subscribe(&[256, 512, 768], Mode::Quote).unwrap();
    let stream = || take(manager.stream(StreamConfig::default()).unwrap());
    let before_the_first = stream();
    in_time("start", manager.start()).await.unwrap();
    until("a tick", || before_the_first.look(|taken| taken.delivered > 0)).await;
    let during = stream();
    until("a tick of the late one", || during.look(|taken| taken.delivered > 0)).await;
    sim.pause().await;
    all_delivered(&sim, &manager).await;
    let sent = sim.sent();
    until("all since the snapshots", || before_the_first.look(|taken| taken.ticks == sent)).await;
    in_time("stop", manager.stop()).await;
    until("both ends", || [&before_the_first, &during].iter().all(|it| it.look(|it| it.ended)))
        .await;
    let before_the_second = stream();
    in_time("a redundant stop", manager.stop()).await;
    in_time("a second start", manager.start()).await.unwrap();
    until("its snapshots", || before_the_second.look(|taken| taken.ticks.len() == 3)).await;
    assert!(!before_the_second.look(|taken| taken.ended));
    in_time("stop", manager.stop()).await;
    until("its end", || before_the_second.look(|taken| taken.ended)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_created_during_a_stop_belongs_to_the_next_run() {
    let sim = sim(1, |it| it).await;
    let builder =
        builder(&sim, 1).connection(|it| it.liveness.close_deadline = Duration::from_millis(200));
    let manager = builder.build().unwrap();
    manager.subscribe(&[256, 512, 768], Mode::Quote).unwrap();
    in_time("start", manager.start()).await.unwrap();
    // The server answers no close frame, so the stop lasts until its deadline.
    sim.go_silent(true);
    let mut stopping = Box::pin(manager.stop());
    assert!((&mut stopping).now_or_never().is_none());
    let next = take(manager.stream(StreamConfig::default()).unwrap());
    in_time("stop", stopping).await;
    assert!(!manager.is_running() && !next.look(|taken| taken.ended));
    in_time("a second start", manager.start()).await.unwrap();
    until("its snapshots", || next.look(|taken| taken.ticks.len() == 3)).await;
    in_time("stop", manager.stop()).await;
    until("its end", || next.look(|taken| taken.ended)).await;
}

/// Receives items until one satisfies `is_last`, and returns all in words: events, and the mode of
/// each packet with a `!` if it is first.
async fn words(stream: &mut TickStream, is_last: impl Fn(&str) -> bool) -> Vec<String> {
    let mut words = Vec::new();
    in_time("items", async {
        while !words.last().is_some_and(|word: &String| is_last(word)) {
            let item = stream.recv().await.unwrap();
            words.extend(match &item {
                StreamItem::Ticks(ticks) => {
                    let word = |packet: Packet<'_>| {
                        let mark = if ticks.is_first(&packet) { "!" } else { "" };
                        format!("{} {}{mark}", packet.instrument_token(), packet.mode())
                    };
                    ticks.packets().map(word).collect()
                }
                StreamItem::Up { epoch, .. } => vec![format!("up {epoch}")],
                StreamItem::Down { epoch, .. } => vec![format!("down {epoch}")],
                StreamItem::Gap { gap, .. } => vec![format!("gap of {}", gap.instruments.len())],
                other => panic!("{other:?}"),
            });
        }
    })
    .await;
    words
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn first_packets_are_marked_and_events_have_their_place() {
    let sim = sim(1, |it| it).await;
    sim.pause().await;
    let manager = builder(&sim, 1).connections(1).build().unwrap();
    let config = StreamConfig { mark_first: true, ..StreamConfig::default() };
    let mut stream = manager.stream(config).unwrap();
    let mut unmarked = manager.stream(StreamConfig::default()).unwrap();
    manager.set_subscriptions([(256, Mode::Full), (512, Mode::Quote)]).unwrap();
    in_time("start", manager.start()).await.unwrap();

    let snapshots = ["256 quote!", "512 quote!", "256 full!"];
    let seen = words(&mut stream, |word| word == "256 full!").await;
    assert_eq!(seen, [&["up 1"], &snapshots[..]].concat());
    sim.tick_now(&[256, 512]);
    assert_eq!(words(&mut stream, |word| word.starts_with("512")).await, ["256 full", "512 quote"]);

    manager.set_mode(&[512], Mode::Ltp);
    assert_eq!(words(&mut stream, |_| true).await, ["512 ltp!"]);
    manager.subscribe(&[768], Mode::Quote).unwrap();
    assert_eq!(words(&mut stream, |_| true).await, ["768 quote!"]);
    sim.tick_now(&[512, 768]);
    assert_eq!(words(&mut stream, |word| word.starts_with("768")).await, ["512 ltp", "768 quote"]);

    sim.drop_all();
    let seen = words(&mut stream, |word| word.starts_with("gap")).await;
    // The gap follows the frame that settles it, the one with an exchange time for all.
    let expected = [
        "down 1",
        "up 2",
        "256 quote!",
        "512 quote!",
        "768 quote!",
        "512 ltp!",
        "256 full!",
        "gap of 3",
    ];
    assert_eq!(seen, expected);

    let unmarked = words(&mut unmarked, |word| word == "up 2").await;
    assert!(unmarked.iter().all(|word| !word.ends_with('!')), "{unmarked:?}");
}
