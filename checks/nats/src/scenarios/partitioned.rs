//! A publisher and a consumer are cut off from the server while their sockets stay open: both notice,
//! local consumers go on, and what does not arrive is counted and reported, to them and to a consumer
//! that was not cut off.

use std::time::Duration;

use kite_manager::LaneConfig;
use kite_nats::{Choice, Publisher, PublisherConfig, PublisherStats};

use crate::consumer::Consumer;
use crate::feed::Feed;
use crate::proxy::Proxy;
use crate::remote::{Received, Remote};
use crate::scenarios::resumed::check_totals;
use crate::server::{NatsServer, url};
use crate::{Failure, Programs, equal, until};

pub(crate) async fn run(programs: &Programs) -> Result<String, Failure> {
    let server = NatsServer::start(&programs.server, 1024 * 1024).await?;
    let of_publisher = Proxy::start(server.address()).await?;
    let of_consumer = Proxy::start(server.address()).await?;
    let near = Consumer::start(&server).await?;
    let remote = Remote::start(&url(&of_consumer.address), Choice::All).await?;
    until("subscriptions", || remote.consumer.stats().is_connected).await?;
    let mut feed = Feed::new(300, 10.0).await?;
    // Small, so that it overflows soon.
    let lane = LaneConfig { frames: 8, ..LaneConfig::drop_oldest() };
    let config = PublisherConfig { lane, ..PublisherConfig::default() };
    let to = url(&of_publisher.address).parse()?;
    let publisher = Publisher::start(&feed.manager, &to, config).await?;
    feed.manager.start().await?;
    // The numbers of an instrument are known once it has ticked.
    until("all instruments", || remote.read(|it| it.packets.len()) == 300).await?;

    of_publisher.cut();
    of_consumer.cut();
    let before = feed.ticks();
    until("the loss", || !publisher.stats().is_connected).await?;
    until("the loss", || remote.read(|it| Received::count(&it.events, "nats_down")) == 1).await?;
    until("local ticks meanwhile", || feed.ticks() > before + 3_000).await?;
    of_publisher.restore();
    of_consumer.restore();
    until("the connection", || publisher.stats().connects == 2).await?;
    until("the connection", || remote.read(|it| Received::count(&it.events, "nats_up")) == 2)
        .await?;
    let before = remote.read(|it| it.ticks);
    until("ticks again", || remote.read(|it| it.ticks) > before + 3_000).await?;

    let local = feed.finish().await?;
    let stats = publisher.stop(Duration::from_secs(20)).await.stats;
    check_near(&near, &stats).await?;
    check_totals(remote, &local, &stats).await
}

/// Checks what a consumer has received that was not cut off. What the publisher sent before it gave
/// up its socket may arrive after the partition, behind newer messages, and is then a repetition.
async fn check_near(near: &Consumer, stats: &PublisherStats) -> Result<(), Failure> {
    let has_ended = || near.read(|it| it.events.last().is_some_and(|it| it["event"] == "stopped"));
    until("the end", has_ended).await?;
    // They may arrive after the event.
    until("all ticks", || near.read(|it| it.ticks + it.missed) == stats.ticks).await?;
    near.read(|it| {
        let is_late = |fault: &&String| fault.ends_with(": Repeated");
        let faults: Vec<&String> = it.faults.iter().filter(|it| !is_late(it)).collect();
        equal("faults", &faults, &Vec::new())?;
        let reported = it.sum_of_gaps("unconfirmed", "at_most_messages");
        equal("not confirmed", &reported, &stats.unconfirmed)?;
        equal("dropped", &it.sum_of_gaps("dropped", "ticks"), &stats.dropped_ticks)?;
        if it.missed > stats.unconfirmed || stats.dropped_ticks == 0 {
            return Err(format!("{} missed of {stats:?}", it.missed).into());
        }
        Ok(())
    })
}
