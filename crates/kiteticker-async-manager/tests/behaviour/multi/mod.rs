//! Several accounts in one manager.

mod accounts;
mod every_tick;
mod orders;
mod runs;
mod settings;
mod spread;

use std::time::Duration;

use kite_sim::{Sim, SimBuilder};
use kiteticker_async_manager::{
    ApiKeyId, MultiApiKiteTickerManager, MultiApiKiteTickerManagerBuilder, TickerMessage,
};
use tokio::sync::broadcast::Receiver;

use crate::rig::within;

/// Name, api_key and access token of each account.
const ACCOUNTS: [(&str, &str, &str); 3] = [
    ("first", "first_key", "first_token"),
    ("second", "second_key", "second_token"),
    ("third", "third_key", "third_token"),
];

type Tagged = (ApiKeyId, TickerMessage);

/// A simulator that knows all accounts.
fn sim() -> SimBuilder {
    ACCOUNTS.iter().fold(Sim::builder(), |sim, (_, key, token)| sim.account(*key, *token))
}

/// Starts a simulator that sends only snapshots and what a test requests.
async fn quiet_sim() -> Sim {
    let quiet = sim().updates_per_second(0.0).no_heartbeats().greet(false);
    quiet.start().await.unwrap()
}

/// Returns a builder with the first `accounts` accounts and a short reconnect delay.
fn manager(sim: &Sim, accounts: usize) -> MultiApiKiteTickerManagerBuilder {
    let builder = MultiApiKiteTickerManager::builder().endpoint(sim.endpoint());
    let builder = ACCOUNTS[..accounts]
        .iter()
        .fold(builder, |builder, (name, key, token)| builder.add_api_key(*name, *key, *token));
    builder.connection(|connection| connection.reconnect.delay = Duration::from_millis(20))
}

async fn start(manager: &mut MultiApiKiteTickerManager) {
    within("the start", manager.start()).await.unwrap();
}

/// Returns an account's instruments, in ascending order.
fn held_by(manager: &MultiApiKiteTickerManager, account: &str) -> Vec<u32> {
    let distribution = manager.get_symbol_distribution();
    let mut held: Vec<u32> =
        distribution[&ApiKeyId::from(account)].values().flatten().copied().collect();
    held.sort_unstable();
    held
}

/// Receives until `is_it` has matched `count` messages; returns all messages.
async fn receive_until(
    channel: &mut Receiver<Tagged>,
    what: &str,
    mut count: usize,
    is_it: impl Fn(&Tagged) -> bool,
) -> Vec<Tagged> {
    within(what, async {
        let mut messages = Vec::new();
        while count > 0 {
            let message = channel.recv().await.expect("neither lag nor end");
            count -= usize::from(is_it(&message));
            messages.push(message);
        }
        messages
    })
    .await
}

fn is_mark((_, message): &Tagged) -> bool {
    matches!(message, TickerMessage::Message(text) if text == crate::rig::MARK)
}

/// Receives until the mark has arrived from this many sockets; returns all other messages.
async fn up_to_marks(channel: &mut Receiver<Tagged>, sockets: usize) -> Vec<Tagged> {
    let mut messages = receive_until(channel, "the marks", sockets, is_mark).await;
    messages.retain(|message| !is_mark(message));
    messages
}
