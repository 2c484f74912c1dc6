//! Clients that read slowly or not at all.

use std::time::Duration;

use kite_manager::Manager;
use kite_relay::{ClientStats, Relay, RelayStats, SlowClients};
use kite_sim::Sim;
use kite_wire::Mode;

use crate::client::Client;
use crate::frames::{frame, packet};
use crate::stage::{listed, quiet_sim, relay, started, until};

/// 50 instruments, 9,302 bytes a frame.
fn tokens() -> Vec<u32> {
    (1..=50).map(|number| number << 8 | 1).collect()
}

/// More than the operating system and the queue hold.
const FRAMES: usize = 600;

struct Stage {
    sim: Sim,
    manager: Manager,
    relay: Relay,
}

impl Stage {
    async fn new(policy: SlowClients) -> Self {
        let sim = quiet_sim().await;
        let manager = started(&sim).await;
        let relay = relay().policy(policy).queue_bytes(64 * 1024);
        let relay = relay.stall(Duration::from_secs(600)).start(&manager).await.unwrap();
        Self { sim, manager, relay }
    }

    /// Connects a client in full mode that has received its snapshots.
    async fn client(&self, name: &str) -> Client {
        let mut client = Client::connect(&self.relay, name).await;
        client.mode(Mode::Full, &tokens()).await;
        client.read_until("snapshots", |it| it.packets.len() == 50).await;
        client
    }

    fn stats(&self, name: &str) -> ClientStats {
        let RelayStats { clients, .. } = self.relay.stats();
        clients.into_iter().find(|client| client.name == name).unwrap()
    }

    /// Sends frames that `fast` receives all and `slow` does not read.
    async fn overrun(&self, fast: &mut Client) {
        let before = fast.packets[&tokens()[0]].len();
        for number in 0..FRAMES {
            self.sim.send_binary(frame(&tokens(), number as u8));
            let received = before + number + 1;
            fast.read_until("a frame", |it| it.packets[&tokens()[49]].len() == received).await;
        }
        for token in tokens() {
            let all: Vec<_> = (0..FRAMES).map(|it| packet(token, it as u8, Mode::Full)).collect();
            assert_eq!(fast.packets[&token][before..], all);
        }
    }

    /// Checks that nothing is unaccounted for after the clients have left.
    async fn settle(self) -> RelayStats {
        let stopped = self.relay.stop(Duration::from_secs(20)).await;
        let stats = stopped.stats;
        for client in &stats.clients {
            assert_eq!((client.waiting(), client.sockets), (0, 0), "{client:?}");
        }
        let left_out = stats.replaced + stats.dropped + stats.unsubscribed + stats.unsent;
        assert_eq!(stats.ticks_queued, stats.ticks_out + left_out);
        self.manager.stop().await;
        stats
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_client_gets_the_newest_packets_and_the_others_all_of_them() {
    let stage = Stage::new(SlowClients::Conflate).await;
    let (mut fast, mut slow) = (stage.client("one").await, stage.client("two").await);
    stage.overrun(&mut fast).await;
    let counts = stage.stats("two");
    assert!(counts.replaced > 0 && counts.waiting() >= 50, "{counts:?}");
    let newest = |token| packet(token, (FRAMES - 1) as u8, Mode::Full);
    slow.read_until("the newest", |it| {
        tokens().iter().all(|&token| it.last(token) == Some(&newest(token)))
    })
    .await;
    // Each packet was sent once, or replaced.
    let received: usize = slow.packets.values().map(Vec::len).sum();
    until("the counts", || stage.stats("two").waiting() == 0).await;
    let counts = stage.stats("two");
    assert_eq!((counts.out, counts.dropped), (received as u64, 0));
    assert_eq!(counts.queued, counts.out + counts.replaced);
    drop((fast, slow));
    let stats = stage.settle().await;
    assert_eq!(stats.ticks_missed, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_client_is_informed_of_the_frames_that_were_dropped() {
    let stage = Stage::new(SlowClients::DropOldest).await;
    let (mut fast, mut slow) = (stage.client("one").await, stage.client("two").await);
    let before = slow.packets[&tokens()[0]].len();
    stage.overrun(&mut fast).await;
    let token = tokens()[0];
    let newest = packet(token, (FRAMES - 1) as u8, Mode::Full);
    slow.read_until("the newest", |it| it.last(token) == Some(&newest)).await;
    let dropped = |client: &Client| -> (u64, u64) {
        let messages = client.texts.iter().filter(|text| text["type"] == "message");
        messages
            .map(|text| &text["data"]["dropped"])
            .map(|it| (it["frames"].as_u64().unwrap(), it["ticks"].as_u64().unwrap()))
            .fold((0, 0), |sum, it| (sum.0 + it.0, sum.1 + it.1))
    };
    // What arrived and what was reported as dropped are all frames.
    let counts = stage.stats("two");
    slow.read_until("the reports", |it| dropped(it).1 == counts.dropped).await;
    let received = slow.packets[&token].len() - before;
    assert_eq!(dropped(&slow).0 as usize + received, FRAMES);
    assert!(counts.dropped > 0 && counts.replaced == 0, "{counts:?}");
    drop((fast, slow));
    stage.settle().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_client_is_closed_with_a_reason() {
    let stage = Stage::new(SlowClients::Disconnect).await;
    let (mut fast, mut slow) = (stage.client("one").await, stage.client("two").await);
    stage.overrun(&mut fast).await;
    until("the end", || stage.stats("two").too_slow == 1).await;
    // It reads again in time.
    slow.read_to_end().await.unwrap();
    let frame = slow.closed.clone().flatten().unwrap();
    assert_eq!(u16::from(frame.code), 1_008);
    assert_eq!(frame.reason.as_str(), "the client reads too slowly");
    until("the end of the socket", || stage.stats("two").sockets == 0).await;
    let counts = stage.stats("two");
    assert_eq!(counts.queued, counts.out + counts.dropped + counts.unsent);
    drop((fast, slow));
    stage.settle().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_block_every_client_gets_every_packet_however_slowly_it_reads() {
    let stage = Stage::new(SlowClients::Block).await;
    let (mut fast, mut slow) = (stage.client("one").await, stage.client("two").await);
    slow.mode(Mode::Quote, &tokens()[..25]).await;
    slow.mode(Mode::Ltp, &tokens()[25..]).await;
    slow.sync().await;
    let before: Vec<_> =
        [&fast, &slow].map(|it| it.packets.values().map(Vec::len).collect::<Vec<_>>()).into();
    for number in 0..FRAMES {
        stage.sim.send_binary(frame(&tokens(), number as u8));
    }
    // The slow client reads after the fast one has everything that reaches it meanwhile.
    let (all_fast, all_slow) = (before[0][49] + FRAMES, before[1][49] + FRAMES);
    let last = tokens()[49];
    tokio::join!(
        fast.read_until("all", |it| it.packets[&last].len() == all_fast),
        slow.read_slowly_until("all", |it| it.packets[&last].len() == all_slow),
    );
    for (index, token) in tokens().into_iter().enumerate() {
        let mode = if index < 25 { Mode::Quote } else { Mode::Ltp };
        for (client, before, mode) in
            [(&fast, before[0][index], Mode::Full), (&slow, before[1][index], mode)]
        {
            let all: Vec<_> = (0..FRAMES).map(|it| packet(token, it as u8, mode)).collect();
            assert_eq!(client.packets[&token][before..], all);
        }
    }
    drop((fast, slow));
    let stats = stage.settle().await;
    assert_eq!((stats.replaced, stats.ticks_missed), (0, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_takes_no_byte_is_reset_and_counted_and_the_others_notice_nothing() {
    let sim = quiet_sim().await;
    let manager = started(&sim).await;
    let relay = relay().stall(Duration::from_millis(100)).start(&manager).await.unwrap();
    let stage = Stage { sim, manager, relay };
    let (mut fast, mut stuck) = (stage.client("one").await, stage.client("two").await);
    stage.overrun(&mut fast).await;
    until("the reset", || stage.stats("two").stalled == 1).await;
    stuck.read_to_end().await.unwrap_err();
    assert_eq!((stage.stats("one").stalled, stage.stats("one").sockets), (0, 1));
    stage.sim.send_binary(frame(&tokens(), 7));
    let newest = packet(tokens()[0], 7, Mode::Full);
    fast.read_until("the next frame", |it| it.last(tokens()[0]) == Some(&newest)).await;
    drop(fast);
    stage.settle().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_vanishes_with_a_quiet_market_frees_its_socket() {
    let sim = quiet_sim().await;
    let manager = started(&sim).await;
    let relay = relay().client(listed("single").max_sockets(Some(1)));
    let relay = relay.ping(Duration::from_millis(10), Duration::from_secs(1));
    let relay = relay.start(&manager).await.unwrap();
    let stage = Stage { sim, manager, relay };
    let (mut fast, mut vanished) = (stage.client("one").await, stage.client("single").await);
    Client::try_connect(&stage.relay, "single_key", "single_token").await.err().unwrap();
    // One that reads answers the pings.
    fast.read_until("the reset", |_| stage.stats("single").stalled == 1).await;
    until("the end of the socket", || stage.stats("single").sockets == 0).await;
    drop(Client::connect(&stage.relay, "single").await);
    vanished.read_to_end().await.unwrap_err();
    assert_eq!((stage.stats("one").stalled, stage.stats("one").sockets), (0, 1));
    drop(fast);
    stage.settle().await;
}
