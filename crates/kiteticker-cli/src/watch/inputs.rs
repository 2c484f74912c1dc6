//! Everything that can happen to the live table, one after the other.

use std::pin::Pin;
use std::time::{Duration, Instant};

use kite_conn::LaneConfig;
use kite_manager::{
    Events, Manager, ManagerEvent, OrderItem, Orders, StartError, StreamConfig, StreamItem,
    TickStream,
};
use tokio::time::{Interval, MissedTickBehavior, interval, sleep_until};

use crate::console::signals::Stop;
use crate::exit::CliError;
use crate::watch::terminal::{self, Keys};

const SECOND: Duration = Duration::from_secs(1);

type Starting<'a> = Pin<Box<dyn Future<Output = Result<(), StartError>> + 'a>>;

/// Something that has happened.
#[derive(Debug)]
pub(super) enum Input {
    /// A signal asks for the end, or the terminal has gone.
    Stop,
    Terminal(terminal::Input),
    Event(ManagerEvent),
    Order(OrderItem),
    /// The connections are made, or cannot be.
    Started(Result<(), StartError>),
    /// A second has passed.
    Second,
    /// Ticks have come, and a frame may be drawn.
    Ticks(StreamItem),
    /// It is time for a frame.
    Frame,
}

/// Where inputs come from. The connections are made while it is asked for inputs.
pub(super) struct Inputs<'a> {
    stop: &'a Stop,
    keys: Keys,
    events: Events,
    orders: Orders,
    start: Option<Starting<'a>>,
    seconds: Interval,
    stream: TickStream,
    has_stream_ended: bool,
}

impl<'a> Inputs<'a> {
    /// Prepares all of them; from then on the keys are read.
    pub(super) fn new(manager: &'a Manager, stop: &'a Stop) -> Result<Self, CliError> {
        // The newest tick of each instrument is all that a screen can show: where it is slow,
        // ticks are folded together, and the sockets never wait for it.
        let lane = LaneConfig::conflate();
        let stream = manager
            .stream(StreamConfig { lane, ..StreamConfig::default() })
            .map_err(|error| CliError::unable("cannot stream").because(error))?;
        let mut seconds = interval(SECOND);
        seconds.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Ok(Self {
            stop,
            keys: Keys::read().map_err(terminal::error)?,
            events: manager.events(),
            orders: manager.orders(),
            start: Some(Box::pin(manager.start())),
            seconds,
            stream,
            has_stream_ended: false,
        })
    }

    /// Waits for the next input. Before `frame_at` ticks are left where they wait.
    ///
    /// # Cancel safety
    /// Cancel safe: nothing is lost.
    pub(super) async fn next(&mut self, frame_at: Instant) -> Input {
        let is_time = Instant::now() >= frame_at;
        tokio::select! {
            biased;
            () = self.stop.asked() => Input::Stop,
            input = self.keys.next() => input.map_or(Input::Stop, Input::Terminal),
            Some(event) = self.events.recv() => Input::Event(event),
            Some(item) = self.orders.recv() => Input::Order(item),
            started = started(&mut self.start) => Input::Started(started),
            _ = self.seconds.tick() => Input::Second,
            () = sleep_until(frame_at.into()), if !is_time => Input::Frame,
            item = self.stream.recv(), if is_time && !self.has_stream_ended => match item {
                Some(item) => Input::Ticks(item),
                None => {
                    self.has_stream_ended = true;
                    Input::Frame
                }
            },
        }
    }

    /// Takes ticks that wait, if there are any.
    pub(super) fn try_ticks(&mut self) -> Option<StreamItem> {
        self.stream.try_recv().ok()
    }
}

/// Waits until the start is over, and for ever once it has been.
async fn started(start: &mut Option<Starting<'_>>) -> Result<(), StartError> {
    let Some(starting) = start else { return std::future::pending().await };
    let started = starting.await;
    *start = None;
    started
}
