//! Every tick arrives once, in order and byte for byte, as packets or in whole frames.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use kite_nats::{Publisher, PublisherConfig};
use kite_wire::TickBatch;

use crate::consumer::Consumer;
use crate::feed::{Feed, Packets, count};
use crate::server::NatsServer;
use crate::{Failure, Programs, equal, until};

const TICKS: u64 = 20_000;

pub(crate) async fn run(programs: &Programs, packets: bool) -> Result<String, Failure> {
    let server = NatsServer::start(&programs.server, 1024 * 1024).await?;
    let consumer = Consumer::start(&server).await?;
    let mut feed = Feed::new(900, 4.0).await?;
    let config = PublisherConfig { packets, frames: !packets, ..PublisherConfig::default() };
    let publisher = Publisher::start(&feed.manager, &server.url().parse()?, config).await?;
    feed.manager.start().await?;
    until("ticks", || feed.ticks() >= TICKS).await?;
    let local = feed.finish().await?;
    let stopped = publisher.stop(Duration::from_secs(20)).await;
    let stats = &stopped.stats;
    equal("complete", &stopped.is_complete, &true)?;
    equal("published", &stats.ticks, &count(&local))?;
    equal("confirmed", &stats.confirmed, &stats.messages)?;
    let lost = stats.dropped_ticks + stats.unconfirmed + stats.too_large + stats.missed_events;
    equal("lost", &lost, &0)?;
    let all = stats.frames;
    match packets {
        true => until("all packets", || consumer.read(|it| it.ticks) == count(&local)).await?,
        false => until("all frames", || consumer.read(|it| it.frames.len()) as u64 == all).await?,
    }
    consumer.read(|it| -> Result<(), Failure> {
        equal("faults", &it.faults, &Vec::new())?;
        equal("missed", &it.missed, &0)?;
        let remote = if packets { numbered(&it.packets)? } else { unpacked(&it.frames)? };
        if remote != local {
            return Err("other packets than those of the local consumer".into());
        }
        Ok(())
    })?;
    Ok(format!("{} ticks in {} messages", stats.ticks, stats.messages))
}

/// Checks that the packets are numbered from 1 without gaps.
fn numbered(packets: &BTreeMap<(usize, u32), Vec<(u64, Bytes)>>) -> Result<Packets, Failure> {
    let mut found = Packets::new();
    for (&key, packets) in packets {
        if !packets.iter().map(|it| it.0).eq(1..=packets.len() as u64) {
            return Err(format!("{key:?} is numbered otherwise").into());
        }
        found.insert(key, packets.iter().map(|it| it.1.clone()).collect());
    }
    Ok(found)
}

/// Checks that the frames are numbered from 1 without gaps; returns their packets.
fn unpacked(frames: &[(usize, u64, Bytes)]) -> Result<Packets, Failure> {
    let (mut found, mut newest) = (Packets::new(), [0; 3]);
    for (connection, number, frame) in frames {
        newest[*connection] += 1;
        equal("the number of a frame", number, &newest[*connection])?;
        let ticks = TickBatch::new(frame.clone())?;
        for packet in ticks.packets() {
            let key = (*connection, packet.instrument_token());
            found.entry(key).or_default().push(frame.slice_ref(packet.as_bytes()));
        }
    }
    Ok(found)
}
