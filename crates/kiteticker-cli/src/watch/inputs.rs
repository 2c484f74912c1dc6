//! Merges all inputs of the live table into one sequence.

use std::pin::Pin;
use std::time::{Duration, Instant};

use kite_conn::LaneConfig;
use kite_manager::{Manager, OrderItem, Orders, StreamConfig, StreamItem, TickStream};
use tokio::time::{Interval, MissedTickBehavior, interval, sleep_until};

use crate::console::signals::Stop;
use crate::exit::CliError;
use crate::feed::deadline::Deadline;
use crate::feed::link::{Link, News};
use crate::watch::suspension::Suspension;
use crate::watch::terminal::{self, Keys};

const SECOND: Duration = Duration::from_secs(1);

/// An input of the live table.
#[derive(Debug)]
pub(super) enum Input {
    /// A signal requested a stop, the time is over, or the terminal is gone.
    Stop,
    Terminal(terminal::Input),
    /// The process continues after it was stopped.
    Continued,
    Order(OrderItem),
    /// What happened to the connections, or why they have stopped.
    News(Result<News, CliError>),
    /// A second has passed.
    Second,
    /// Ticks arrived, and a frame may be drawn.
    Ticks(StreamItem),
    /// It is time for a frame.
    Frame,
}

/// The sources of inputs.
pub(super) struct Inputs<'a> {
    stop: &'a Stop,
    keys: Keys,
    suspension: Suspension,
    orders: Orders,
    link: Link<'a>,
    time_is_over: Pin<Box<dyn Future<Output = ()> + Send>>,
    seconds: Interval,
    stream: TickStream,
    has_stream_ended: bool,
}

impl<'a> Inputs<'a> {
    /// Prepares all sources and starts to read keys.
    pub(super) fn new(
        manager: &'a Manager,
        link: Link<'a>,
        deadline: Deadline,
        stop: &'a Stop,
    ) -> Result<Self, CliError> {
        // A screen can show only the newest tick for each instrument, so a slow one conflates and
        // never delays the sockets.
        let lane = LaneConfig::conflate();
        let stream = manager
            .stream(StreamConfig { lane, ..StreamConfig::default() })
            .map_err(|error| CliError::unable("cannot stream").because(error))?;
        let mut seconds = interval(SECOND);
        seconds.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Ok(Self {
            stop,
            keys: Keys::read().map_err(terminal::error)?,
            suspension: Suspension::new().map_err(terminal::error)?,
            orders: manager.orders(),
            link,
            time_is_over: Box::pin(deadline.reached()),
            seconds,
            stream,
            has_stream_ended: false,
        })
    }

    /// Waits for the next input. Before `frame_at` ticks stay queued.
    ///
    /// # Cancel safety
    /// Cancel safe: nothing is lost.
    pub(super) async fn next(&mut self, frame_at: Instant) -> Input {
        let is_time = Instant::now() >= frame_at;
        tokio::select! {
            biased;
            () = self.stop.requested() => Input::Stop,
            input = self.keys.next() => input.map_or(Input::Stop, Input::Terminal),
            () = self.suspension.ended() => Input::Continued,
            news = self.link.next() => Input::News(news),
            Some(item) = self.orders.recv() => Input::Order(item),
            () = &mut self.time_is_over => Input::Stop,
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

    /// Stops the process, as Ctrl-Z does, until it continues.
    pub(super) async fn suspend(&mut self) {
        self.suspension.begin().await;
    }

    /// Returns queued ticks, if any.
    pub(super) fn try_ticks(&mut self) -> Option<StreamItem> {
        self.stream.try_recv().ok()
    }
}
