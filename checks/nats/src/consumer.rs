//! A consumer of everything that is published, with nothing of kite-nats but its rules.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_nats::{Client, ConnectOptions, Message};
use bytes::Bytes;
use futures_util::StreamExt as _;
use kite_nats::{Follower, Headers, Topic};
use kite_sim::{ACCESS_TOKEN, API_KEY};
use kite_wire::{Packet, TickBatch};
use parking_lot::Mutex;
use serde_json::Value;
use tokio::task::JoinHandle;

use crate::Failure;
use crate::server::{NatsServer, PASSWORD, USER};

/// What a consumer has received.
#[derive(Debug, Default)]
pub(crate) struct Received {
    /// The packets by connection and instrument, each with its number.
    pub(crate) packets: BTreeMap<(usize, u32), Vec<(u64, Bytes)>>,
    pub(crate) ticks: u64,
    /// Packets missing by their numbers.
    pub(crate) missed: u64,
    /// Whole frames by connection, with their number.
    pub(crate) frames: Vec<(usize, u64, Bytes)>,
    pub(crate) events: Vec<Value>,
    pub(crate) gaps: Vec<Value>,
    pub(crate) orders: Vec<Value>,
    /// What was wrong, such as a message with a credential.
    pub(crate) faults: Vec<String>,
    follower: Follower,
}

/// A consumer on its own task.
#[derive(Debug)]
pub(crate) struct Consumer {
    pub(crate) client: Client,
    received: Arc<Mutex<Received>>,
    reader: JoinHandle<()>,
}

impl Consumer {
    /// Subscribes to everything.
    pub(crate) async fn start(server: &NatsServer) -> Result<Self, Failure> {
        let options = ConnectOptions::with_user_and_password(USER.into(), PASSWORD.into());
        let options = options.subscription_capacity(1_000_000);
        let client = options.connect(server.address()).await?;
        let mut messages = client.subscribe(">").await?;
        client.flush().await?;
        let received = Arc::<Mutex<Received>>::default();
        let to = Arc::clone(&received);
        let reader = tokio::spawn(async move {
            while let Some(message) = messages.next().await {
                let mut to = to.lock();
                if let Err(error) = to.on_message(&message) {
                    to.faults.push(format!("{}: {error}", message.subject));
                }
            }
        });
        Ok(Self { client, received, reader })
    }

    /// Reads what was received so far.
    pub(crate) fn read<R>(&self, read: impl FnOnce(&Received) -> R) -> R {
        read(&self.received.lock())
    }
}

impl Drop for Consumer {
    fn drop(&mut self) {
        self.reader.abort();
    }
}

impl Received {
    fn on_message(&mut self, message: &Message) -> Result<(), Failure> {
        search(message)?;
        if message.subject.starts_with("_INBOX.") {
            return Ok(());
        }
        let (account, topic) = Topic::parse("kite", &message.subject)?;
        if account.as_str() != "mine" {
            return Err(format!("account {account}").into());
        }
        match topic {
            Topic::Tick(token) => {
                let headers = headers(message)?;
                let place = headers.packet.ok_or("no place in the frame")?;
                let packet = Packet::from_bytes(&message.payload)?;
                if packet.instrument_token() != token {
                    return Err("a packet of another instrument".into());
                }
                let standing = self.follower.on_packet(&headers, place, token);
                if !standing.is_new() {
                    return Err(format!("{standing:?}").into());
                }
                self.missed += standing.missed();
                self.ticks += 1;
                let of = self.packets.entry((headers.connection, token)).or_default();
                of.push((place.tick, message.payload.clone()));
            }
            Topic::Frame(connection) => {
                let headers = headers(message)?;
                TickBatch::new(message.payload.clone())?;
                if headers.connection != connection || headers.packet.is_some() {
                    return Err("headers of another frame".into());
                }
                self.frames.push((connection, headers.sequence, message.payload.clone()));
            }
            Topic::Order => self.orders.push(serde_json::from_slice(&message.payload)?),
            Topic::Event => self.events.push(serde_json::from_slice(&message.payload)?),
            Topic::Gap => self.gaps.push(serde_json::from_slice(&message.payload)?),
            _ => {}
        }
        Ok(())
    }

    /// Returns the sum of a member of the gaps with this reason.
    pub(crate) fn sum_of_gaps(&self, reason: &str, member: &str) -> u64 {
        let gaps = self.gaps.iter().filter(|gap| gap["reason"] == reason);
        gaps.filter_map(|gap| gap[member].as_u64()).sum()
    }
}

fn headers(message: &Message) -> Result<Headers, Failure> {
    let headers = message.headers.as_ref().ok_or("no headers")?;
    Ok(Headers::read(|name| headers.get(name).map(|value| value.as_str()))?)
}

/// Looks for credentials in a message.
fn search(message: &Message) -> Result<(), Failure> {
    let headers = format!("{:?}", message.headers);
    let payload = String::from_utf8_lossy(&message.payload);
    for secret in [ACCESS_TOKEN, API_KEY, PASSWORD] {
        if [message.subject.as_str(), &headers, &payload].iter().any(|it| it.contains(secret)) {
            return Err(format!("a message contains {secret}").into());
        }
    }
    Ok(())
}
