//! A simulator, a manager connected to it, and waits with a deadline.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::time::Duration;

use kite_sim::{ACCESS_TOKEN, API_KEY, Sent, Sim};
use kiteticker_async_manager::kite_wire;
use kiteticker_async_manager::{
    KiteTickerManager, KiteTickerManagerBuilder, TickMessage, TickerMessage,
};
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::timeout;

/// Long enough for a loaded machine; a passing test never waits this long.
pub(crate) const DEADLINE: Duration = Duration::from_secs(20);

/// The mode of each subscribed instrument.
pub(crate) type Modes = BTreeMap<u32, kite_wire::Mode>;

/// What was received, for comparison with [`Sim::sent`].
pub(crate) type Tally = BTreeMap<u32, Sent>;

/// Awaits `future`, and panics with `what` if it takes too long.
#[track_caller]
pub(crate) fn within<F: Future>(what: impl Display, future: F) -> impl Future<Output = F::Output> {
    let caller = std::panic::Location::caller();
    async move {
        match timeout(DEADLINE, future).await {
            Ok(output) => output,
            Err(_) => panic!("timed out after {DEADLINE:?} waiting for {what}, at {caller}"),
        }
    }
}

/// Waits until `holds` returns true for the simulator.
#[track_caller]
pub(crate) fn until(
    sim: &Sim,
    what: impl Display,
    holds: impl FnMut(&Sim) -> bool,
) -> impl Future<Output = ()> {
    within(what, sim.wait_until(holds))
}

/// Waits until `holds` returns true for the manager, checking it after each event.
#[track_caller]
pub(crate) fn until_manager(
    manager: &KiteTickerManager,
    what: impl Display,
    mut holds: impl FnMut(&KiteTickerManager) -> bool,
) -> impl Future<Output = ()> {
    let mut events = manager.typed().events();
    within(what, async move {
        while !holds(manager) {
            // A lag also means that something has happened.
            let _ = events.recv().await;
        }
    })
}

/// Starts a simulator that sends only snapshots and what a test requests.
pub(crate) async fn quiet_sim() -> Sim {
    let builder = Sim::builder().updates_per_second(0.0).no_heartbeats().greet(false);
    builder.start().await.unwrap()
}

/// Returns a builder for the simulator's default account, with a short reconnect delay.
pub(crate) fn manager(sim: &Sim) -> KiteTickerManagerBuilder {
    KiteTickerManagerBuilder::new(API_KEY, ACCESS_TOKEN)
        .endpoint(sim.endpoint())
        .reconnect_delay(Duration::from_millis(20))
}

/// Starts a manager.
pub(crate) async fn start(manager: &mut KiteTickerManager) {
    within("the start", manager.start()).await.unwrap();
}

/// Returns the only message channel of a manager with one connection.
pub(crate) fn only_channel(manager: &mut KiteTickerManager) -> Receiver<TickerMessage> {
    let mut channels = manager.get_all_channels();
    assert_eq!(channels.len(), 1);
    channels.remove(0).1
}

/// Returns all subscriptions of the simulator's sockets, checking that each instrument is on only
/// one of them.
pub(crate) fn held(sim: &Sim) -> Modes {
    let sockets = sim.subscriptions();
    let sum = sockets.iter().map(BTreeMap::len).sum::<usize>();
    let all: Modes = sockets.into_iter().flatten().collect();
    assert_eq!(all.len(), sum, "an instrument is subscribed on two sockets");
    all
}

/// Waits until the simulator has exactly these subscriptions and has sent their snapshots, then
/// pauses updates.
#[track_caller]
pub(crate) fn settle(sim: &Sim, modes: &Modes) -> impl Future<Output = ()> {
    let what = format!("the subscription of {} instruments", modes.len());
    let settled = async move {
        sim.wait_until(|sim| held(sim) == *modes).await;
        sim.pause().await;
    };
    within(what, settled)
}

/// Returns these instruments, all in one mode.
pub(crate) fn all_in(mode: kite_wire::Mode, tokens: &[u32]) -> Modes {
    tokens.iter().map(|&token| (token, mode)).collect()
}

pub(crate) const MARK: &str = "the mark";

/// Sends every socket the text frame that [`up_to_mark`] waits for.
pub(crate) fn mark(sim: &Sim) {
    sim.send_text(&format!(r#"{{"type":"message","data":"{MARK}"}}"#));
}

/// Receives a message.
#[track_caller]
pub(crate) fn next(
    channel: &mut Receiver<TickerMessage>,
) -> impl Future<Output = Result<TickerMessage, RecvError>> {
    within("a message", channel.recv())
}

/// Receives until `is_it` matches a message; returns the messages before it, and that one.
#[track_caller]
pub(crate) fn receive_until(
    channel: &mut Receiver<TickerMessage>,
    what: impl Display,
    is_it: impl Fn(&TickerMessage) -> bool,
) -> impl Future<Output = (Vec<TickerMessage>, TickerMessage)> {
    // One deadline for the whole wait, because further messages must not extend it.
    within(what, async move {
        let mut before = Vec::new();
        loop {
            let message = channel.recv().await.expect("neither lag nor end");
            if is_it(&message) {
                return (before, message);
            }
            before.push(message);
        }
    })
}

/// Receives everything before the mark.
pub(crate) async fn up_to_mark(channel: &mut Receiver<TickerMessage>) -> Vec<TickerMessage> {
    let is_mark = |it: &TickerMessage| matches!(it, TickerMessage::Message(text) if text == MARK);
    receive_until(channel, "the mark", is_mark).await.0
}

/// Receives messages until one is a batch of ticks, and returns the ticks.
pub(crate) async fn next_ticks(channel: &mut Receiver<TickerMessage>) -> Vec<TickMessage> {
    let is_ticks = |it: &TickerMessage| matches!(it, TickerMessage::Ticks(_));
    ticks_of(&[receive_until(channel, "ticks", is_ticks).await.1])
}

/// Adds the ticks among some messages to a tally.
pub(crate) fn add_ticks(tally: &mut Tally, messages: &[TickerMessage]) {
    for message in messages {
        if let TickerMessage::Ticks(ticks) = message {
            for packet in ticks.packets() {
                tally.entry(packet.instrument_token()).or_default().add(packet.as_bytes());
            }
        }
    }
}

/// Returns the ticks among some messages.
pub(crate) fn ticks_of(messages: &[TickerMessage]) -> Vec<TickMessage> {
    let batches = messages.iter().filter_map(|message| match message {
        TickerMessage::Ticks(ticks) => Some(ticks.to_vec()),
        _ => None,
    });
    batches.flatten().collect()
}

/// Returns the error texts among some messages.
pub(crate) fn errors_of(messages: &[TickerMessage]) -> Vec<&str> {
    let errors = messages.iter().filter_map(|message| match message {
        TickerMessage::Error(text) => Some(text.as_str()),
        _ => None,
    });
    errors.collect()
}
