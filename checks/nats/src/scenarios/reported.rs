//! Orders, events and gaps arrive as JSON, and nothing contains a credential.

use std::time::Duration;

use kite_nats::{Publisher, PublisherConfig};
use serde_json::json;

use crate::consumer::Consumer;
use crate::feed::Feed;
use crate::server::NatsServer;
use crate::{Failure, Programs, equal, until};

pub(crate) async fn run(programs: &Programs) -> Result<String, Failure> {
    let server = NatsServer::start(&programs.server, 1024 * 1024).await?;
    let consumer = Consumer::start(&server).await?;
    let mut feed = Feed::new(30, 20.0).await?;
    let config = PublisherConfig::default();
    let publisher = Publisher::start(&feed.manager, &server.url().parse()?, config).await?;
    feed.manager.start().await?;
    until("ticks", || consumer.read(|it| it.ticks) > 60).await?;

    // Kite sends a copy on every socket.
    let order = json!({"order_id": "220303000308932", "status": "COMPLETE", "quantity": 1});
    feed.sim.send_order(order.clone());
    until("the order", || consumer.read(|it| !it.orders.is_empty())).await?;

    feed.sim.drop_all();
    let has_gaps = || {
        consumer
            .read(|it| it.gaps.iter().filter(|gap| gap["reason"] == "disconnected").count() == 3)
    };
    until("the gaps", has_gaps).await?;
    feed.finish().await?;
    let stopped = publisher.stop(Duration::from_secs(20)).await;
    equal("complete", &stopped.is_complete, &true)?;
    let stats = stopped.stats;
    let is_stopped =
        || consumer.read(|it| it.events.last().is_some_and(|it| it["event"] == "stopped"));
    until("the end", is_stopped).await?;
    consumer.read(|it| -> Result<(), Failure> {
        equal("faults", &it.faults, &Vec::new())?;
        equal("missed", &it.missed, &0)?;
        equal("orders", &it.orders.len(), &1)?;
        equal("the order", &it.orders[0], &json!({"type": "order", "data": order}))?;
        for connection in 0..3 {
            let of = |name: &str| {
                let is =
                    |it: &&serde_json::Value| it["event"] == name && it["connection"] == connection;
                it.events.iter().filter(is).count()
            };
            equal("sockets lost", &of("down"), &1)?;
            equal("sockets opened", &of("up"), &2)?;
            equal("ends", &of("closed"), &1)?;
        }
        let instruments = it.gaps.iter().flat_map(|gap| gap["instruments"].as_array()).flatten();
        equal("instruments of the gaps", &instruments.count(), &30)?;
        equal("published gaps", &stats.gaps, &3)
    })?;
    Ok(format!("{} events, {} gaps, {} order", stats.events, stats.gaps, stats.orders))
}
