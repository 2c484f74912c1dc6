//! Serves one client: reads its commands, times heartbeats, and asks its owner what else to send.
//!
//! The owner decides what is sent and queues it.

use std::future::poll_fn;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use kite_wire::{CommandError, ParsedCommand};
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at};

use crate::end::End;
use crate::socket::{Received, Socket};
use crate::transport::Connection;

/// The owner's side of one socket.
///
/// It has two queues, so that a control, such as a text or close frame, never waits for updates.
/// They are polled in the order of the methods below, with the client's commands and heartbeats
/// between the two, so that an update rate too high for the machine does not starve anything else.
pub trait Session: Send {
    /// The connection that carries the socket.
    type Stream: Connection;
    /// An instruction that is carried out before anything that happens later.
    type Control: Send;
    /// An update, sent when nothing else is due.
    type Update: Send;

    /// Returns the socket.
    fn socket(&mut self) -> &mut Socket<Self::Stream>;

    /// Returns whether the client's commands are read now.
    fn reads(&self) -> bool {
        true
    }

    /// Returns the next control; pending if there is none.
    fn poll_control(&mut self, cx: &mut Context<'_>) -> Poll<Self::Control>;

    /// Returns the next update that is due.
    fn poll_update(&mut self, cx: &mut Context<'_>) -> Poll<Result<Self::Update, End>>;

    /// Handles an event. Nothing else is polled until it is done.
    fn on_event(
        &mut self,
        event: Event<'_, Self::Control, Self::Update>,
    ) -> impl Future<Output = Result<(), End>> + Send;
}

/// An event on a socket.
#[derive(Debug)]
pub enum Event<'a, C, U> {
    /// The owner's next control.
    Control(C),
    /// The client sent a command.
    Command(ParsedCommand<'a>),
    /// The client sent a text frame that is not a command, for this reason.
    BadCommand(CommandError),
    /// The client sent a ping; the pong is written with the next read or write.
    Ping,
    /// A heartbeat is to be sent.
    HeartbeatDue,
    /// The owner's next update.
    Update(U),
}

/// The result of polling a session.
enum Wake<C, U> {
    Control(C),
    Received(Received),
    HeartbeatDue,
    Update(U),
}

type WakeOf<S> = Wake<<S as Session>::Control, <S as Session>::Update>;

/// Serves a client until it disconnects or is closed; returns why it ended. Without
/// `heartbeat_every`, no heartbeats are due.
///
/// # Cancel safety
/// Not cancel safe: an event may have been handled in part. Drop the socket afterwards.
pub async fn serve<S: Session>(session: &mut S, heartbeat_every: Option<Duration>) -> End {
    let mut heartbeats = heartbeat_every.map(timer);
    loop {
        match serve_next(session, &mut heartbeats).await {
            Ok(()) => {}
            Err(end) => return end,
        }
    }
}

async fn serve_next<S: Session>(
    session: &mut S,
    heartbeats: &mut Option<Interval>,
) -> Result<(), End> {
    match poll_fn(|cx| poll_wake(session, heartbeats, cx)).await? {
        Wake::Control(control) => session.on_event(Event::Control(control)).await,
        Wake::Received(Received::Text(text)) => match ParsedCommand::parse(&text) {
            Ok(command) => session.on_event(Event::Command(command)).await,
            Err(error) => session.on_event(Event::BadCommand(error)).await,
        },
        Wake::Received(Received::Ping) => session.on_event(Event::Ping).await,
        Wake::Received(Received::Other) => Ok(()),
        Wake::HeartbeatDue => session.on_event(Event::HeartbeatDue).await,
        Wake::Update(update) => session.on_event(Event::Update(update)).await,
    }
}

fn poll_wake<S: Session>(
    session: &mut S,
    heartbeats: &mut Option<Interval>,
    cx: &mut Context<'_>,
) -> Poll<Result<WakeOf<S>, End>> {
    if let Poll::Ready(control) = session.poll_control(cx) {
        return Poll::Ready(Ok(Wake::Control(control)));
    }
    if session.reads()
        && let Poll::Ready(message) = session.socket().poll_message(cx)
    {
        return Poll::Ready(message.map(Wake::Received));
    }
    if let Some(timer) = heartbeats
        && timer.poll_tick(cx).is_ready()
    {
        return Poll::Ready(Ok(Wake::HeartbeatDue));
    }
    let update = ready!(session.poll_update(cx));
    Poll::Ready(update.map(Wake::Update))
}

/// Returns a timer that first ticks after one period and does not catch up on missed ticks.
#[must_use]
pub fn timer(period: Duration) -> Interval {
    let mut timer = interval_at(Instant::now() + period, period);
    timer.set_missed_tick_behavior(MissedTickBehavior::Delay);
    timer
}
