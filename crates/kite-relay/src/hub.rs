//! The task that owns all state of a relay apart from the sockets.
//!
//! It takes inputs one after the other: items of the manager's stream, the account's texts, the
//! clients' commands, and deadlines. It waits for no client, except for
//! [`SlowClients::Block`](crate::SlowClients::Block).

mod broadcasts;
mod clients;
mod commands;
mod declined;
#[cfg(test)]
mod tests;
mod turn;
mod upstream;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use kite_manager::{ConfigError, Manager, StreamConfig, StreamItem, TextItem, Texts, TickStream};
use kite_server::{Utf8Bytes, session};
use kite_wire::Mode;
use parking_lot::Mutex;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender};
use tokio::sync::{Notify, oneshot};
use tokio::task::yield_now;
use tokio::time::{Instant, Interval, sleep_until};

use crate::changes::ClientId;
use crate::client::{Closing, ToClient};
use crate::dispatch::{Dispatcher, Share};
use crate::groups::Groups;
use crate::losses::Losses;
use crate::repeats::Repeats;
use crate::roster::{RelayClient, Roster};
use crate::stats::{Figures, SocketFigures};
use crate::table::Table;
use crate::wishes::{UpstreamFull, Wishes};
use broadcasts::Broadcasts;
use clients::Client;
use declined::{Declined, Outcome};
use turn::Turn;
use upstream::Greetings;

/// Items of the stream that are received before anything else is handled.
const MAX_ITEMS: usize = 64;

/// Messages of clients that are handled before anything else gets a turn.
const MAX_MESSAGES: usize = 8;

/// How often what needs no exact time is looked at.
const CHECK_EVERY: Duration = Duration::from_secs(1);

/// A message from a client's task.
#[derive(Debug)]
pub(crate) enum ToHub {
    /// A client has connected.
    Joined(Joined),
    /// A text message from a client. Its task reads no other until it is sent
    /// [`ToClient::Applied`], so that there is at most one for each client.
    Command { id: ClientId, text: Utf8Bytes },
    /// A client is to be sent nothing more, and its counts are final.
    Left { id: ClientId },
    /// The task of a client that has left has ended.
    Ended,
}

#[derive(Debug)]
pub(crate) struct Joined {
    pub(crate) id: ClientId,
    pub(crate) client: Arc<RelayClient>,
    pub(crate) sender: UnboundedSender<ToClient>,
    pub(crate) figures: Arc<SocketFigures>,
}

/// A request of the relay's owner.
#[derive(Debug)]
pub(crate) enum Control {
    /// The roster has changed.
    RosterChanged,
    /// Other instruments are to be subscribed whatever clients ask for.
    SetInstruments {
        instruments: Vec<(u32, Mode)>,
        reply: oneshot::Sender<Result<(), UpstreamFull>>,
    },
    /// To be answered, as proof that the hub takes its inputs.
    Respond(oneshot::Sender<()>),
    /// The clients are to be closed, at the latest at this time.
    Stop(Instant),
}

/// What a hub is created from.
#[derive(Debug)]
pub(crate) struct HubContext {
    pub(crate) manager: Manager,
    pub(crate) stream: StreamConfig,
    pub(crate) wishes: Wishes,
    pub(crate) losses: Losses,
    pub(crate) roster: Arc<Mutex<Roster>>,
    pub(crate) figures: Arc<Figures>,
    pub(crate) from_clients: UnboundedReceiver<ToHub>,
    pub(crate) controls: UnboundedReceiver<Control>,
    /// With [`SlowClients::Block`](crate::SlowClients::Block).
    pub(crate) block: Option<Block>,
}

/// When the hub waits for clients.
#[derive(Debug)]
pub(crate) struct Block {
    /// Bytes that may wait for a client.
    pub(crate) bytes: u64,
    /// Notified when a client has taken some.
    pub(crate) room: Arc<Notify>,
}

/// The hub's inputs.
#[derive(Debug)]
struct Inputs {
    stream: TickStream,
    texts: Texts,
    from_clients: UnboundedReceiver<ToHub>,
    controls: UnboundedReceiver<Control>,
    timer: Interval,
}

/// Something that happened.
enum Input {
    /// Items of the stream have been received; none if it has ended.
    Items,
    Text(Option<TextItem>),
    Message(Option<ToHub>),
    Control(Option<Control>),
    Timer,
    Deadline,
    Room,
}

#[derive(Debug)]
pub(crate) struct Hub {
    manager: Manager,
    stream_config: StreamConfig,
    /// Connections of each account.
    connections: usize,
    clients: HashMap<ClientId, Client>,
    /// Clients whose tasks have not ended.
    tasks: usize,
    groups: Groups,
    wishes: Wishes,
    losses: Losses,
    table: Table,
    dispatcher: Dispatcher,
    shares: Vec<Share>,
    greetings: Greetings,
    broadcasts: Broadcasts,
    /// Commands without effect, as far as they are to be logged.
    declined: Repeats<(String, Outcome), Declined>,
    /// Frames and ticks dropped before they were received, by slot, since clients were last
    /// informed.
    dropped: BTreeMap<usize, (u64, u64)>,
    /// Damaged frames of the manager's present run that clients were informed of, by slot.
    damaged: BTreeMap<usize, u64>,
    roster: Arc<Mutex<Roster>>,
    figures: Arc<Figures>,
    block: Option<Block>,
    is_stopping: bool,
}

/// Creates a hub, which receives what the manager receives from now on. The future runs it until it
/// is stopped and the tasks of all clients have ended.
pub(crate) fn start(context: HubContext) -> Result<impl Future<Output = ()>, ConfigError> {
    let HubContext { manager, stream, wishes, losses, roster, figures, block, .. } = context;
    let mut inputs = Inputs {
        stream: manager.stream(stream.clone())?,
        texts: manager.texts(),
        from_clients: context.from_clients,
        controls: context.controls,
        timer: session::timer(CHECK_EVERY),
    };
    let mut hub = Hub {
        connections: manager.config().connections,
        manager,
        stream_config: stream,
        clients: HashMap::new(),
        tasks: 0,
        groups: Groups::default(),
        wishes,
        losses,
        table: Table::default(),
        dispatcher: Dispatcher::default(),
        shares: Vec::new(),
        greetings: Greetings::default(),
        broadcasts: Broadcasts::default(),
        declined: Repeats::default(),
        dropped: BTreeMap::new(),
        damaged: BTreeMap::new(),
        roster,
        figures,
        block,
        is_stopping: false,
    };
    hub.mark_live_connections();
    // What was damaged before concerns no client.
    let _ = hub.take_damaged();
    hub.update_upstream();
    Ok(async move { hub.serve(&mut inputs).await })
}

impl Hub {
    async fn serve(&mut self, inputs: &mut Inputs) {
        let mut items = Vec::with_capacity(MAX_ITEMS);
        while !self.is_stopping || self.tasks > 0 {
            match self.next_input(inputs, &mut items).await {
                Input::Items if items.is_empty() => self.on_stream_end(inputs),
                Input::Items => {
                    let mut turn = Turn::default();
                    for item in items.drain(..) {
                        let frame = item.ticks().map_or(0, |it| it.batch.ticks.as_bytes().len());
                        self.on_item(item);
                        if turn.is_over_after(frame) {
                            yield_now().await;
                        }
                    }
                }
                Input::Text(Some(item)) => self.on_text(item),
                Input::Text(None) => inputs.texts = self.manager.texts(),
                Input::Message(Some(message)) => {
                    self.on_message(message);
                    let more = std::iter::from_fn(|| inputs.from_clients.try_recv().ok());
                    more.take(MAX_MESSAGES - 1).for_each(|message| self.on_message(message));
                }
                Input::Control(Some(Control::RosterChanged)) => self.on_roster_changed(),
                Input::Control(Some(Control::SetInstruments { instruments, reply })) => {
                    // The caller may have given up.
                    let _ = reply.send(self.set_instruments(instruments));
                }
                Input::Control(Some(Control::Respond(reply))) => drop(reply.send(())),
                Input::Control(Some(Control::Stop(deadline))) => self.stop(inputs, deadline),
                // The relay was dropped.
                Input::Control(None) => self.stop(inputs, Instant::now()),
                Input::Timer => self.check(),
                Input::Deadline => {
                    self.update_upstream();
                    self.send_errors();
                }
                // The acceptor has ended and all clients have left, or a client has room again.
                Input::Message(None) | Input::Room => {}
            }
        }
        self.log_rest_declined();
    }

    /// Waits for the next input. Those that are ready take turns, so that none starves.
    async fn next_input(&self, inputs: &mut Inputs, items: &mut Vec<StreamItem>) -> Input {
        let is_blocked = self.is_blocked();
        let limit = if self.block.is_some() { 1 } else { MAX_ITEMS };
        let deadline = self.next_deadline();
        tokio::select! {
            _ = inputs.stream.recv_many(items, limit), if !is_blocked && !self.is_stopping => {
                Input::Items
            }
            text = inputs.texts.recv(), if !self.is_stopping => Input::Text(text),
            message = inputs.from_clients.recv() => Input::Message(message),
            control = inputs.controls.recv(), if !self.is_stopping => Input::Control(control),
            _ = inputs.timer.tick() => Input::Timer,
            () = until(deadline), if deadline.is_some() => Input::Deadline,
            () = self.room(), if is_blocked => Input::Room,
        }
    }

    fn next_deadline(&self) -> Option<Instant> {
        let due = [self.wishes.next_deadline(), self.losses.next_deadline()];
        due.into_iter().flatten().min().map(Instant::from_std)
    }

    /// Returns whether a client has to take something before the next frame.
    fn is_blocked(&self) -> bool {
        let Some(block) = &self.block else { return false };
        self.clients
            .values()
            .any(|client| client.figures.backlog.load(Ordering::Acquire) > block.bytes)
    }

    async fn room(&self) {
        match &self.block {
            Some(block) => block.room.notified().await,
            None => std::future::pending().await,
        }
    }

    /// Sends the clients what is ready and closes them.
    fn stop(&mut self, inputs: &mut Inputs, deadline: Instant) {
        // Those who have just connected are closed like all others.
        while let Ok(message) = inputs.from_clients.try_recv() {
            self.on_message(message);
        }
        let queued = inputs.stream.stats().queued_frames;
        let ready = std::iter::from_fn(|| inputs.stream.try_recv().ok());
        ready.take(queued as usize).for_each(|item| self.on_item(item));
        self.report_dropped();
        self.report_damaged();
        self.is_stopping = true;
        for client in self.clients.values() {
            client.send(ToClient::Close(Closing::Stopping(deadline)));
        }
    }
}

async fn until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}
