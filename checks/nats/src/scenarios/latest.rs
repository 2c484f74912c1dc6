//! A consumer that joins late asks for the newest packets, over a server with a low limit.

use std::collections::BTreeMap;
use std::time::Duration;

use async_nats::Message;
use futures_util::StreamExt as _;
use kite_nats::{Publisher, PublisherConfig, names};
use kite_wire::TickBatch;
use tokio::time::timeout;

use crate::consumer::Consumer;
use crate::feed::Feed;
use crate::server::NatsServer;
use crate::{Failure, PATIENCE, Programs, equal, until};

/// Below the size of an answer with all packets, 167 KB.
const MAX_PAYLOAD: usize = 32 * 1024;

/// The newest packet of each instrument, with its connection and number.
type Newest = BTreeMap<u32, (usize, u64, Vec<u8>)>;

pub(crate) async fn run(programs: &Programs) -> Result<String, Failure> {
    let server = NatsServer::start(&programs.server, MAX_PAYLOAD).await?;
    let consumer = Consumer::start(&server).await?;
    let mut feed = Feed::new(900, 2.0).await?;
    let config = PublisherConfig::default();
    let publisher = Publisher::start(&feed.manager, &server.url().parse()?, config).await?;
    feed.manager.start().await?;
    until("ticks", || feed.ticks() > 3_000).await?;
    feed.sim.pause().await;
    until("rest", || {
        let published = publisher.stats().ticks;
        published == feed.ticks() && consumer.read(|it| it.ticks) == published
    })
    .await?;

    let (all, parts) = ask(&consumer, "").await?;
    let wanted: Newest = consumer.read(|it| {
        let newest = it.packets.iter().filter_map(|(&(connection, token), packets)| {
            let (number, packet) = packets.last()?;
            Some((token, (connection, *number, packet.to_vec())))
        });
        newest.collect()
    });
    equal("instruments", &all.len(), &900)?;
    if all != wanted {
        return Err("other packets than the newest".into());
    }
    if parts < 6 {
        return Err(format!("{parts} parts exceed the server's limit").into());
    }
    let tokens: Vec<u32> = wanted.keys().copied().take(3).collect();
    let (some, _) = ask(&consumer, &format!("{tokens:?}")).await?;
    equal("the instruments asked for", &some.into_keys().collect::<Vec<_>>(), &tokens)?;
    let (none, parts) = ask(&consumer, "[1]").await?;
    equal("an unknown instrument", &(none.len(), parts), &(0, 1))?;
    let Err(error) = ask(&consumer, "{}").await else {
        return Err("a request that is no array was answered".into());
    };
    equal("error", &error.to_string().as_str(), &"not a JSON array of instrument tokens")?;
    feed.finish().await?;
    let stopped = publisher.stop(Duration::from_secs(20)).await;
    equal("complete", &stopped.is_complete, &true)?;
    equal("requests", &stopped.stats.requests, &3)?;
    consumer.read(|it| equal("faults", &it.faults, &Vec::new()))?;
    Ok(format!("{} instruments", all.len()))
}

/// Sends a request and reads all parts of the answer.
async fn ask(consumer: &Consumer, request: &str) -> Result<(Newest, usize), Failure> {
    let inbox = consumer.client.new_inbox();
    let mut answers = consumer.client.subscribe(inbox.clone()).await?;
    let request = request.to_owned().into();
    consumer.client.publish_with_reply("kite.mine.latest", inbox, request).await?;
    let (mut newest, mut read) = (Newest::new(), 0);
    loop {
        let answer = timeout(PATIENCE, answers.next()).await?.ok_or("no answer")?;
        if let Ok(error) = header(&answer, names::ERROR) {
            return Err(error.into());
        }
        equal("part", &header(&answer, names::PART)?, &read.to_string())?;
        read += 1;
        let connection = header(&answer, names::CONNECTION)?.parse()?;
        let ticks = TickBatch::new(answer.payload.clone())?;
        let numbers = header(&answer, names::TICKS)?;
        for (packet, number) in ticks.packets().zip(numbers.split(',')) {
            let value = (connection, number.parse()?, packet.as_bytes().to_vec());
            newest.insert(packet.instrument_token(), value);
        }
        if header(&answer, names::PARTS)?.parse::<usize>()? == read {
            return Ok((newest, read));
        }
    }
}

fn header(message: &Message, name: &'static str) -> Result<String, Failure> {
    let headers = message.headers.as_ref().ok_or("no headers")?;
    Ok(headers.get(name).ok_or(name)?.as_str().to_owned())
}
