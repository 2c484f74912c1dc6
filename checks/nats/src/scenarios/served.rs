//! `kite serve --nats`, and a consumer of what it publishes.

use std::process::Stdio;

use kite_manager::StreamConfig;
use kite_nats::ConsumerConfig;
use serde_json::Value;
use tokio::process::Command;

use crate::server::{NatsServer, PASSWORD};
use crate::{Failure, Programs, equal, until};

pub(crate) async fn run(programs: &Programs) -> Result<String, Failure> {
    let server = NatsServer::start(&programs.server, 1024 * 1024).await?;
    let config = ConsumerConfig::default();
    let mut consumer = kite_nats::connect(&server.url().parse()?, config).await?;
    let mut stream = consumer.stream(StreamConfig::default())?;
    consumer.start().await?;
    until("subscriptions", || consumer.stats().is_connected).await?;
    let reader = tokio::spawn(async move {
        let mut ticks = 0;
        while let Some(item) = stream.recv().await {
            ticks += item.packets().count() as u64;
        }
        ticks
    });
    let arguments = "serve --sim --count 50 --rate 20 --relay 127.0.0.1:0 --json --for 3s --nats";
    let kite = Command::new(&programs.kite)
        .args(arguments.split(' ').chain([server.url().as_str()]))
        .env("HOME", std::env::temp_dir())
        .stdin(Stdio::null())
        .output()
        .await?;
    let (out, err) = (String::from_utf8(kite.stdout)?, String::from_utf8(kite.stderr)?);
    equal("status", &(kite.status.code(), err.as_str()), &(Some(0), err.as_str()))?;
    equal("the password is shown", &(out.contains(PASSWORD) || err.contains(PASSWORD)), &false)?;
    let report: Value = serde_json::from_str(out.lines().last().ok_or("no report")?)?;
    let published = report["nats"]["ticks"].as_u64().ok_or("no count")?;
    equal("complete", &report["nats"]["complete"], &Value::Bool(true))?;
    // The relay ends first.
    let relayed = report["ticks_in"].as_u64().ok_or("no count")?;
    equal("less is published than relayed", &(published < relayed), &false)?;
    until("all ticks", || consumer.stats().ticks == published).await?;
    let stats = consumer.stop().await;
    equal("missed", &(stats.missed, stats.invalid, stats.repeated), &(0, 0, 0))?;
    equal("delivered", &reader.await?, &published)?;
    Ok(format!("{published} ticks"))
}
