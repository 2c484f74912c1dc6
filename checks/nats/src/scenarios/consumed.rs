//! Consumers of kite-nats receive what a local one does: everything, in frames, or one that joins
//! late and wants some instruments.

use std::collections::BTreeSet;
use std::time::Duration;

use bytes::Bytes;
use kite_nats::{Choice, Publisher, PublisherConfig};
use serde_json::json;

use crate::feed::{Feed, Packets, count};
use crate::remote::{Received, Remote};
use crate::server::NatsServer;
use crate::{Failure, Programs, equal, until};

pub(crate) async fn run(programs: &Programs) -> Result<String, Failure> {
    let server = NatsServer::start(&programs.server, 1024 * 1024).await?;
    let all = Remote::start(&server.url(), Choice::All).await?;
    let frames = Remote::start(&server.url(), Choice::Frames).await?;
    let mut feed = Feed::new(300, 5.0).await?;
    let config = PublisherConfig { frames: true, ..PublisherConfig::default() };
    until("subscriptions", || all.consumer.stats().is_connected).await?;
    until("subscriptions", || frames.consumer.stats().is_connected).await?;
    let publisher = Publisher::start(&feed.manager, &server.url().parse()?, config).await?;
    feed.manager.start().await?;
    until("ticks", || feed.ticks() > 3_000).await?;

    let chosen: Vec<u32> = kite_sim::universe(300).into_iter().step_by(30).collect();
    let some =
        Remote::start(&server.url(), Choice::Tokens(chosen.iter().copied().collect())).await?;
    until("the newest packets", || some.read(instruments) == chosen.len()).await?;
    feed.sim.send_order(json!({"order_id": "1"}));
    until("the order", || all.read(|it| !it.orders.is_empty())).await?;
    feed.sim.drop_all();
    until("the gaps", || all.read(|it| Received::count(&it.notices, "gap")) == 3).await?;
    let before = feed.ticks();
    until("ticks", || feed.ticks() > before + 3_000).await?;

    let local = feed.finish().await?;
    let stopped = publisher.stop(Duration::from_secs(20)).await;
    equal("complete", &stopped.is_complete, &true)?;
    for remote in [&all, &frames] {
        until("all ticks", || remote.consumer.stats().ticks == count(&local)).await?;
    }
    until("the end", || some.read(|it| Received::count(&it.events, "stopped")) == 1).await?;
    check_all(all, &local, true).await?;
    check_all(frames, &local, false).await?;
    check_some(some, &local, &chosen).await?;
    Ok(format!("{} ticks", count(&local)))
}

async fn check_all(remote: Remote, local: &Packets, is_first: bool) -> Result<(), Failure> {
    until("the end", || remote.read(|it| Received::count(&it.events, "stopped")) == 1).await?;
    let (received, stats) = remote.stop().await?;
    equal("invalid", &(stats.invalid, stats.refused, stats.missed, stats.repeated), &(0, 0, 0, 0))?;
    if received.packets != *local {
        return Err("other packets than those of the local consumer".into());
    }
    equal("dropped", &received.dropped, &0)?;
    let notices = ["up", "down", "gap"].map(|name| Received::count(&received.notices, name));
    equal("sockets opened, lost, and gaps", &notices, &[6, 3, 3])?;
    let names = ["nats_up", "up", "down", "closed", "gap"];
    let events = names.map(|name| Received::count(&received.events, name));
    equal("events", &events, &[1, 6, 3, 3, 3])?;
    let order = json!({"type": "order", "data": {"order_id": "1"}}).to_string();
    let same = |it: &String| serde_json::from_str::<serde_json::Value>(it).ok();
    equal("orders", &received.orders.iter().map(same).collect::<Vec<_>>(), &vec![same(&order)])?;
    // The newest packets were asked for before there were any.
    if is_first { equal("newest", &received.newest, &0) } else { Ok(()) }
}

/// A consumer that has joined late has the end of what the local one has, from the newest packet at
/// that time on.
async fn check_some(remote: Remote, local: &Packets, chosen: &[u32]) -> Result<(), Failure> {
    let (received, stats) = remote.stop().await?;
    equal("missed", &(stats.invalid, stats.missed, stats.repeated), &(0, 0, 0))?;
    for key @ (_, token) in received.first.keys().chain(received.packets.keys()) {
        let all: &[Bytes] = local.get(key).ok_or("an instrument that is not local")?;
        let mut packets = received.first.get(key).cloned().unwrap_or_default();
        let asked = packets.len();
        packets.extend(received.packets.get(key).into_iter().flatten().cloned());
        if !chosen.contains(token) || asked > 1 || !all.ends_with(&packets) {
            return Err(format!("other packets of {token} than those of the local consumer").into());
        }
    }
    equal("instruments", &instruments(&received), &chosen.len())
}

/// Returns the number of instruments received. A tick that arrives before the answer replaces the
/// newest packet in it.
fn instruments(received: &Received) -> usize {
    let keys = received.first.keys().chain(received.packets.keys());
    keys.collect::<BTreeSet<_>>().len()
}
