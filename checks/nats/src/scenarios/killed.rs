//! The server is missing at the start, killed and started again: local consumers go on, and what
//! does not arrive is counted and reported.

use std::time::Duration;

use kite_manager::LaneConfig;
use kite_nats::{Publisher, PublisherConfig};

use crate::consumer::{Consumer, Received};
use crate::feed::{Feed, count};
use crate::server::NatsServer;
use crate::{Failure, Programs, equal, until};

/// How often the server is killed.
const KILLS: usize = 3;

pub(crate) async fn run(programs: &Programs) -> Result<String, Failure> {
    let mut server = NatsServer::prepare(&programs.server, 1024 * 1024)?;
    let mut feed = Feed::new(300, 10.0).await?;
    // Small, so that it overflows while the server is away.
    let lane = LaneConfig { frames: 8, ..LaneConfig::drop_oldest() };
    let config = PublisherConfig { lane, ..PublisherConfig::default() };
    let publisher = Publisher::start(&feed.manager, &server.url().parse()?, config).await?;
    feed.manager.start().await?;
    until("local ticks without a server", || feed.ticks() > 5_000).await?;
    equal("connected", &publisher.stats().is_connected, &false)?;

    server.run().await?;
    let consumer = Consumer::start(&server).await?;
    until("ticks", || consumer.read(|it| it.ticks) > 1_000).await?;
    for kill in 1..=KILLS as u64 {
        server.kill()?;
        until("the loss", || !publisher.stats().is_connected).await?;
        let before = feed.ticks();
        until("local ticks meanwhile", || feed.ticks() > before + 5_000).await?;
        server.run().await?;
        until("the connection", || publisher.stats().connects > kill).await?;
        let before = consumer.read(|it| it.ticks);
        until("ticks again", || consumer.read(|it| it.ticks) > before + 3_000).await?;
    }
    feed.sim.pause().await;
    let local = feed.finish().await?;
    let counts = publisher.counts();
    let stopped = publisher.stop(Duration::from_secs(20)).await;
    equal("complete", &stopped.is_complete, &true)?;
    until("the end of the client", || !counts.stats().is_connected).await?;
    let stats = counts.stats();
    equal("ticks", &(stats.ticks + stats.dropped_ticks), &count(&local))?;
    equal("confirmed", &(stats.confirmed + stats.unconfirmed), &stats.messages)?;
    // The end of the client is no loss.
    let sockets = (stats.connects, stats.losses);
    equal("sockets opened and lost", &sockets, &(KILLS as u64 + 1, KILLS as u64))?;
    let has_ended =
        || consumer.read(|it| it.events.last().is_some_and(|it| it["event"] == "stopped"));
    until("the end", has_ended).await?;
    // The consumer has joined late, and every instrument ticks on after the last kill. Ticks may
    // arrive after the event.
    let accounted_for = |it: &Received| {
        let first: u64 = it.packets.values().filter_map(|it| it.first()).map(|it| it.0 - 1).sum();
        it.ticks + it.missed + first
    };
    until("all ticks", || consumer.read(accounted_for) == stats.ticks).await?;
    consumer.read(|it| -> Result<String, Failure> {
        equal("faults", &it.faults, &Vec::new())?;
        if it.missed > stats.unconfirmed {
            return Err(
                format!("{} ticks missed, {} reported", it.missed, stats.unconfirmed).into()
            );
        }
        // Those before the consumer has joined were published without it.
        let dropped = it.sum_of_gaps("dropped", "ticks");
        if dropped == 0 || dropped > stats.dropped_ticks {
            return Err(format!("{dropped} of {} dropped reported", stats.dropped_ticks).into());
        }
        Ok(format!(
            "{} ticks published, {} dropped, {} missed of at most {} in {KILLS} kills",
            stats.ticks, stats.dropped_ticks, it.missed, stats.unconfirmed
        ))
    })
}
