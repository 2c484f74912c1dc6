//! Publishes the feed of a running manager.

mod marks;
mod notices;
mod stats;
mod ticks;

use std::sync::Arc;
use std::sync::atomic::Ordering::{AcqRel, Relaxed};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use async_nats::{Client, HeaderMap, PublishErrorKind, Subject};
use bytes::Bytes;
use futures_util::stream::select_all;
use kite_manager::{AccountId, ConfigError, LaneConfig, Manager, Overflow, StreamConfig};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout_at};

use crate::book::Book;
use crate::headers::names;
use crate::link::Link;
use crate::server::{Server, ServerError};
use crate::subject::{DEFAULT_PREFIX, SubjectError, Subjects};
use marks::Marks;
use notices::Notices;
use stats::Figures;
pub use stats::PublisherStats;
use ticks::Ticks;

/// What is published, and how much may wait for NATS. All fields have defaults.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublisherConfig {
    /// The first part of all subjects. Default `kite`.
    pub prefix: String,
    /// Whether each packet is published on the subject of its instrument. Default true.
    pub packets: bool,
    /// Whether each frame is published as a whole on the subject of its connection. Default false.
    pub frames: bool,
    /// What may wait on each connection while NATS takes less than arrives: by default 4,096 frames
    /// or 8 MiB, seven seconds of 3,000 instruments in full mode; then the oldest are dropped and
    /// counted. [`Overflow::Block`] is refused, because it would hold up all other consumers.
    pub lane: LaneConfig,
}

impl Default for PublisherConfig {
    fn default() -> Self {
        let prefix = DEFAULT_PREFIX.to_owned();
        let lane =
            LaneConfig { frames: 4_096, bytes: 8 * 1024 * 1024, ..LaneConfig::drop_oldest() };
        Self { prefix, packets: true, frames: false, lane }
    }
}

/// Why a publisher could not be started. No text contains a credential.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PublisherError {
    /// The prefix or the name of an account cannot be part of a subject.
    #[error(transparent)]
    Subject(#[from] SubjectError),
    /// The server cannot be connected to with these settings.
    #[error(transparent)]
    Server(#[from] ServerError),
    /// A setting of the queue is outside its range.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The queue would hold up the other consumers of the manager.
    #[error("a publisher's queue must drop or conflate what NATS does not take, not block")]
    Blocks,
}

/// Publishes the feed of a manager to a NATS server.
///
/// It reads a stream of its own, whose queue drops and counts what NATS takes too slowly, so that
/// no other consumer is held up. What was dropped is reported, and published as a gap once NATS
/// takes messages again.
///
/// Dropping it ends publishing without sending what is queued; see [`Publisher::stop`].
#[derive(Debug)]
pub struct Publisher {
    counts: PublisherCounts,
    notices: Running,
    ticks: Running,
}

/// A task, and what ends it.
#[derive(Debug)]
struct Running {
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

/// Reads the counts of a publisher, also after it has stopped. Cheap to clone; does not keep the
/// publisher running.
#[derive(Debug, Clone)]
pub struct PublisherCounts {
    figures: Arc<Figures>,
    link: Arc<Link>,
}

impl PublisherCounts {
    /// Returns the counts so far.
    #[must_use]
    pub fn stats(&self) -> PublisherStats {
        self.figures.stats(&self.link.state())
    }
}

/// How a publisher stopped.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct PublisherStopped {
    /// The final counts.
    pub stats: PublisherStats,
    /// Whether everything that was queued at the stop was published, and the server has confirmed
    /// that it received it. What was lost with a socket before is in the counts only.
    pub is_complete: bool,
}

impl Publisher {
    /// Starts publishing. The manager may be started before or after; the publisher continues with
    /// its next run if it is stopped and started again.
    ///
    /// The server need not be reachable: the client connects in the background, and again whenever
    /// its socket is lost. [`PublisherStats::is_connected`] shows it.
    ///
    /// # Errors
    /// Returns an error that names what is wrong with the settings.
    ///
    /// # Cancel safety
    /// Cancel safe: nothing is published.
    ///
    /// # Panics
    /// Panics outside of a Tokio runtime.
    pub async fn start(
        manager: &Manager,
        server: &Server,
        config: PublisherConfig,
    ) -> Result<Self, PublisherError> {
        if config.lane.overflow == Overflow::Block {
            return Err(PublisherError::Blocks);
        }
        let books = manager.accounts().iter().map(|account| Book::new(&config.prefix, account));
        let books = books.collect::<Result<Vec<_>, _>>()?;
        let subjects: Vec<(AccountId, Subjects)> =
            books.iter().map(|book| (book.account.clone(), book.subjects.clone())).collect();
        let stream = StreamConfig { lane: config.lane.clone(), ..StreamConfig::default() };
        let ticks = manager.stream(stream)?;
        let (events, orders) = (manager.events(), manager.orders());

        let link = Arc::new(Link::new());
        let client = server.connect("kite publisher", &link).await?;
        let figures = Arc::<Figures>::default();
        let sender = Sender { client, figures: Arc::clone(&figures), term: term() };
        let mut requests = Vec::new();
        for (_, subjects) in &subjects {
            requests.push(sender.subscribe(subjects.latest()).await?);
        }
        let marks = Marks::new(&sender).await?;
        let ((stop, stopping), (stop_ticks, ticks_stopping)) =
            (watch::channel(false), watch::channel(false));
        let ticks = Ticks {
            manager: manager.clone(),
            config,
            sender: sender.clone(),
            stream: ticks,
            books,
            requests: select_all(requests),
            marks,
            stopping: ticks_stopping,
        };
        let manager = manager.clone();
        let notices = Notices { manager, sender, subjects, events, orders, stopping };
        Ok(Self {
            counts: PublisherCounts { figures, link },
            notices: Running { stop, task: tokio::spawn(notices.run()) },
            ticks: Running { stop: stop_ticks, task: tokio::spawn(ticks.run()) },
        })
    }

    /// Returns the counts so far.
    #[must_use]
    pub fn stats(&self) -> PublisherStats {
        self.counts.stats()
    }

    /// Returns a reader of the counts for another thread or task.
    #[must_use]
    pub fn counts(&self) -> PublisherCounts {
        self.counts.clone()
    }

    /// Stops: publishes what is queued and waits until the server has confirmed it, at most until
    /// `deadline`.
    ///
    /// The manager goes on. Stop it first, so that the end of its run is published too.
    ///
    /// # Cancel safety
    /// Cancel safe: the publisher stops without waiting.
    pub async fn stop(mut self, deadline: Duration) -> PublisherStopped {
        let now = Instant::now();
        let deadline = now.checked_add(deadline).unwrap_or(now + Duration::from_secs(86_400));
        let before = self.stats();
        // The ticks are last, because their task waits for the confirmation of everything.
        let is_in_time = self.notices.stop(deadline).await && self.ticks.stop(deadline).await;
        let stats = self.stats();
        let is_complete = is_in_time
            && stats.confirmed + stats.unconfirmed == stats.messages
            && stats.unconfirmed == before.unconfirmed;
        tracing::info!(ticks = stats.ticks, dropped = stats.dropped_ticks, "publisher stopped");
        PublisherStopped { stats, is_complete }
    }
}

impl Running {
    /// Lets the task end; returns whether it did so in time.
    async fn stop(&mut self, deadline: Instant) -> bool {
        // Fails only if the task has ended.
        let _ = self.stop.send(true);
        timeout_at(deadline, &mut self.task).await.is_ok()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Returns the term of a publisher that starts now: milliseconds since the Unix epoch, so that a
/// publisher that is started later has a higher one.
fn term() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// The client of NATS, with counts.
#[derive(Debug, Clone)]
struct Sender {
    client: Client,
    figures: Arc<Figures>,
    term: u64,
}

/// The client of NATS has ended, with its runtime.
#[derive(Debug)]
struct Ended;

impl Sender {
    /// Sends a message, and waits while the client has no room. Returns whether it was small enough
    /// for the server.
    async fn send(
        &self,
        subject: Subject,
        headers: HeaderMap,
        payload: Bytes,
    ) -> Result<bool, Ended> {
        match self.client.publish_with_headers(subject, headers, payload).await {
            Ok(()) => {
                self.figures.messages.fetch_add(1, AcqRel);
                Ok(true)
            }
            Err(error) if error.kind() == PublishErrorKind::Send => Err(Ended),
            Err(_) => {
                self.figures.too_large.fetch_add(1, Relaxed);
                Ok(false)
            }
        }
    }

    /// Sends a message in JSON.
    async fn send_json(
        &self,
        subject: String,
        account: &AccountId,
        value: &serde_json::Value,
    ) -> Result<(), Ended> {
        let now = kite_manager::Stamp::now().to_unix_ns();
        let headers = self.headers(account, now);
        self.send(subject.into(), headers, value.to_string().into()).await.map(drop)
    }

    /// Returns the headers that all messages have.
    fn headers(&self, account: &AccountId, unix_ns: u64) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(names::TERM, self.term.to_string());
        headers.insert(names::ACCOUNT, account.as_str());
        headers.insert(names::TIME, unix_ns.to_string());
        headers
    }

    async fn subscribe(&self, subject: String) -> Result<async_nats::Subscriber, ServerError> {
        let subscribed = self.client.subscribe(subject).await;
        subscribed.map_err(|error| ServerError::Settings { reason: error.to_string() })
    }
}
