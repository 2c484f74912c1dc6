//! Consumers of kite-nats while the server is killed, and one that reads too slowly: what is missing
//! is counted and reported, and they resume with the newest packets.

use std::time::Duration;

use kite_manager::StreamConfig;
use kite_nats::{Choice, Publisher, PublisherConfig, PublisherStats};

use crate::feed::{Feed, Packets, count};
use crate::remote::{Received, Remote};
use crate::server::NatsServer;
use crate::{Failure, Programs, equal, until};

pub(crate) async fn run(programs: &Programs) -> Result<String, Failure> {
    let mut server = NatsServer::start(&programs.server, 1024 * 1024).await?;
    let remote = Remote::start(&server.url(), Choice::All).await?;
    until("subscriptions", || remote.consumer.stats().is_connected).await?;
    let mut feed = Feed::new(300, 10.0).await?;
    let config = PublisherConfig::default();
    let publisher = Publisher::start(&feed.manager, &server.url().parse()?, config).await?;
    feed.manager.start().await?;
    // The numbers of an instrument are known once it has ticked.
    until("all instruments", || remote.read(|it| it.packets.len()) == 300).await?;
    server.kill()?;
    until("the loss", || remote.read(|it| Received::count(&it.events, "nats_down")) == 1).await?;
    let before = feed.ticks();
    until("local ticks meanwhile", || feed.ticks() > before + 3_000).await?;
    server.run().await?;
    until("the connection", || remote.read(|it| Received::count(&it.events, "nats_up")) == 2)
        .await?;
    let before = remote.read(|it| it.ticks);
    until("ticks again", || remote.read(|it| it.ticks) > before + 3_000).await?;
    let local = feed.finish().await?;
    let stats = publisher.stop(Duration::from_secs(20)).await.stats;
    check_totals(remote, &local, &stats).await
}

/// Checks that what a consumer received and missed is what was published, and in order.
pub(crate) async fn check_totals(
    remote: Remote,
    local: &Packets,
    stats: &PublisherStats,
) -> Result<String, Failure> {
    until("the end", || remote.read(|it| Received::count(&it.events, "stopped")) == 1).await?;
    // They may arrive after the event.
    let is_accounted_for = || {
        let it = remote.consumer.stats();
        it.ticks + it.snapshot_ticks + it.missed == stats.ticks
    };
    until("all ticks", is_accounted_for).await?;
    let (received, of_remote) = remote.stop().await?;
    equal("published and dropped", &(stats.ticks + stats.dropped_ticks), &count(local))?;
    equal("invalid", &(of_remote.invalid, of_remote.refused), &(0, 0))?;
    let arrived = of_remote.ticks + of_remote.snapshot_ticks;
    equal("delivered", &(received.ticks + received.newest), &arrived)?;
    equal("published", &(arrived + of_remote.missed), &stats.ticks)?;
    equal("reported", &received.dropped, &(of_remote.missed + of_remote.dropped_ticks))?;
    for (key, packets) in received.packets.iter().chain(&received.first) {
        let mut all = local.get(key).ok_or("an instrument that is not local")?.iter();
        if !packets.iter().all(|packet| all.any(|it| it == packet)) {
            return Err(format!("packets of {key:?} in another order").into());
        }
    }
    let (dropped, missed) = (stats.dropped_ticks, of_remote.missed);
    Ok(format!("{arrived} ticks delivered, {missed} missed, {dropped} dropped"))
}

/// Messages that the client keeps for a consumer that does not read.
const KEPT: u64 = 65_536;

pub(crate) async fn run_slow(programs: &Programs) -> Result<String, Failure> {
    let server = NatsServer::start(&programs.server, 1024 * 1024).await?;
    let mut consumer = Remote::connect(&server.url(), Choice::All).await?;
    // It blocks the task that receives, as a stream that is not read blocks a connection.
    let mut stream = consumer.stream(StreamConfig::default())?;
    consumer.start().await?;
    until("subscriptions", || consumer.stats().is_connected).await?;
    let mut feed = Feed::new(3_000, 10.0).await?;
    let config = PublisherConfig::default();
    let publisher = Publisher::start(&feed.manager, &server.url().parse()?, config).await?;
    feed.manager.start().await?;
    until("the client drops", || consumer.stats().slow > 0).await?;
    let published = publisher.stats().ticks;
    if published < KEPT {
        return Err(format!("slow after {published} ticks").into());
    }
    let reader = tokio::spawn(async move {
        let mut received = Received::default();
        while let Some(item) = stream.recv().await {
            received.on_item(&item);
        }
        received
    });
    feed.sim.pause().await;
    let local = feed.finish().await?;
    let is_accounted_for = || {
        let (sent, it) = (publisher.stats(), consumer.stats());
        sent.ticks + sent.dropped_ticks == count(&local)
            && it.ticks + it.snapshot_ticks + it.missed == sent.ticks
    };
    until("the newest packets", is_accounted_for).await?;
    publisher.stop(Duration::from_secs(20)).await;
    let of_consumer = consumer.stop().await;
    let received = reader.await?;
    let arrived = of_consumer.ticks + of_consumer.snapshot_ticks;
    equal("delivered", &(received.ticks + received.newest), &arrived)?;
    equal("reported", &received.dropped, &(of_consumer.missed + of_consumer.dropped_ticks))?;
    Ok(format!("{arrived} ticks delivered, {} missed", of_consumer.missed))
}
