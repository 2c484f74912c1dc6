//! A consumer in Python decodes packets by the documented layout.

use std::process::Stdio;
use std::time::Duration;

use kite_nats::{Publisher, PublisherConfig};
use kite_wire::{Packet, Segment, Tick};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::Command;

use crate::feed::{Feed, Packets};
use crate::server::NatsServer;
use crate::{Failure, Programs, equal};

const TICKS: usize = 5_000;

pub(crate) async fn run(programs: &Programs) -> Result<String, Failure> {
    let server = NatsServer::start(&programs.server, 1024 * 1024).await?;
    let mut consumer = Command::new(&programs.python)
        .args(["-B", &programs.consumer, &server.url(), &TICKS.to_string()])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()?;
    let output = consumer.stdout.take().ok_or("no output")?;
    let mut lines = BufReader::new(output).lines();
    lines.next_line().await?.ok_or("the consumer did not start")?;
    let mut feed = Feed::new(600, 4.0).await?;
    let config = PublisherConfig::default();
    let publisher = Publisher::start(&feed.manager, &server.url().parse()?, config).await?;
    feed.manager.start().await?;
    let mut decoded = Vec::new();
    while let Some(line) = lines.next_line().await? {
        decoded.push(serde_json::from_str::<Value>(&line)?);
    }
    equal("the consumer's success", &consumer.wait().await?.success(), &true)?;
    equal("packets", &decoded.len(), &TICKS)?;
    let local = feed.finish().await?;
    publisher.stop(Duration::from_secs(20)).await;
    for found in &decoded {
        equal("a packet", found, &wanted(found, &local)?)?;
    }
    Ok(format!("{TICKS} packets"))
}

/// Returns what should have been decoded: the packet with this number of the local consumer.
fn wanted(found: &Value, local: &Packets) -> Result<Value, Failure> {
    let number = |value: &Value| value.as_u64().and_then(|it| usize::try_from(it).ok());
    let connection = number(&found["Kite-Connection"]).ok_or("no connection")?;
    let tick = number(&found["Kite-Tick"]).ok_or("no number")?;
    let token = number(&found["tick"]["instrument_token"]).ok_or("no token")? as u32;
    let packets = local.get(&(connection, token)).ok_or("no such instrument")?;
    let packet = Packet::from_bytes(packets.get(tick - 1).ok_or("no such packet")?)?;
    Ok(json!({
        "account": "mine",
        "segment": Segment::of_token(token).to_string(),
        "Kite-Connection": connection,
        "Kite-Tick": tick,
        "tick": Tick::from(packet),
        "rupees": packet.last_price().to_f64(),
    }))
}
