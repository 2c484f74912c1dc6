//! Consumes a feed that a publisher on another machine publishes.

mod inbound;
mod notices;
mod stats;
mod task;

use std::collections::BTreeSet;
use std::sync::Arc;

use async_nats::Client;
use kite_manager::{
    AccountId, ConfigError, Delivery, DeliverySink, Events, Latest, MAX_CONNECTIONS, Orders,
    Segment, StreamConfig, TickStream,
};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::link::Link;
use crate::server::{Server, ServerError};
use crate::subject::{DEFAULT_PREFIX, SubjectError, Subjects};
use inbound::Inbound;
pub use stats::ConsumerStats;
use stats::Figures;
use task::Task;

/// What is consumed. All fields have defaults.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConsumerConfig {
    /// The first part of all subjects. Default `kite`.
    pub prefix: String,
    /// The accounts. Default [`AccountId::default`].
    pub accounts: Vec<AccountId>,
    /// The instruments. Default all that are published.
    pub choice: Choice,
}

/// Which instruments are consumed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Choice {
    /// All that are published, packet by packet.
    #[default]
    All,
    /// Those of these segments.
    Segments(Vec<Segment>),
    /// These instrument tokens.
    Tokens(BTreeSet<u32>),
    /// All that are published, in whole frames. The publisher must publish them
    /// ([`PublisherConfig::frames`](crate::PublisherConfig::frames)). Costs least.
    Frames,
}

impl Default for ConsumerConfig {
    fn default() -> Self {
        let (prefix, accounts) = (DEFAULT_PREFIX.to_owned(), vec![AccountId::default()]);
        Self { prefix, accounts, choice: Choice::All }
    }
}

/// Why a feed cannot be consumed. No text contains a credential.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConsumerError {
    /// No account was named.
    #[error("a consumer needs an account: name one")]
    NoAccount,
    /// The prefix or the name of an account cannot be part of a subject.
    #[error(transparent)]
    Subject(#[from] SubjectError),
    /// The server cannot be connected to with these settings.
    #[error(transparent)]
    Server(#[from] ServerError),
}

/// A feed from another machine, with the consumers of a [`Manager`](kite_manager::Manager).
///
/// A program moves here by its constructor: [`connect`] instead of a manager's builder. Create the
/// streams and listeners, then call [`Consumer::start`]. Subscriptions, accounts and credentials are
/// the publisher's.
#[derive(Debug)]
pub struct Consumer {
    delivery: Delivery,
    counts: ConsumerCounts,
    /// What [`Consumer::start`] needs, until then.
    prepared: Option<Prepared>,
    running: Option<Running>,
}

#[derive(Debug)]
struct Prepared {
    client: Client,
    accounts: Vec<(AccountId, Subjects)>,
    sinks: Vec<DeliverySink>,
    choice: Choice,
}

#[derive(Debug)]
struct Running {
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

/// Reads the counts of a consumer, also after it has stopped. Cheap to clone; does not keep the
/// consumer running.
#[derive(Debug, Clone)]
pub struct ConsumerCounts {
    figures: Arc<Figures>,
    link: Arc<Link>,
}

impl ConsumerCounts {
    /// Returns the counts so far.
    #[must_use]
    pub fn stats(&self) -> ConsumerStats {
        self.figures.stats(&self.link.state())
    }
}

/// Prepares to consume a feed. Nothing is received until [`Consumer::start`].
///
/// The server need not be reachable: the client connects in the background, and again whenever its
/// socket is lost.
///
/// ```no_run
/// use kite_manager::StreamConfig;
/// use kite_nats::ConsumerConfig;
///
/// # async fn run() -> Result<(), Box<dyn std::error::Error>> {
/// let server = "nats://127.0.0.1:4222".parse()?;
/// let mut feed = kite_nats::connect(&server, ConsumerConfig::default()).await?;
/// let mut stream = feed.stream(StreamConfig::default())?;
/// feed.start().await?;
/// while let Some(item) = stream.recv().await {
///     for packet in item.packets() {
///         println!("{} {}", packet.instrument_token(), packet.last_price());
///     }
/// }
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// Returns an error that names what is wrong with the settings.
///
/// # Cancel safety
/// Cancel safe: nothing is received.
///
/// # Panics
/// Panics outside of a Tokio runtime.
pub async fn connect(server: &Server, config: ConsumerConfig) -> Result<Consumer, ConsumerError> {
    if config.accounts.is_empty() {
        return Err(ConsumerError::NoAccount);
    }
    let subjects = |account: &AccountId| {
        Subjects::new(&config.prefix, account).map(|subjects| (account.clone(), subjects))
    };
    let accounts = config.accounts.iter().map(subjects).collect::<Result<Vec<_>, _>>()?;
    let link = Arc::new(Link::new());
    let client = server.connect("kite consumer", &link).await?;
    let (delivery, sinks) = Delivery::new(config.accounts, MAX_CONNECTIONS);
    let prepared = Prepared { client, accounts, sinks, choice: config.choice };
    let counts = ConsumerCounts { figures: Arc::default(), link };
    Ok(Consumer { delivery, counts, prepared: Some(prepared), running: None })
}

impl Consumer {
    /// Returns the accounts.
    #[must_use]
    pub fn accounts(&self) -> &[AccountId] {
        self.delivery.accounts()
    }

    /// Returns a stream, as [`Manager::stream`](kite_manager::Manager::stream).
    ///
    /// Ticks that did not arrive are [`StreamItem::Dropped`](kite_manager::StreamItem::Dropped) of
    /// their connection, where `frames` is at least the number of holes. The newest packets, which
    /// are asked for at the start and after each loss of the socket to NATS, are frames of their
    /// own, whose packets are first ([`StreamConfig::mark_first`]).
    ///
    /// # Errors
    /// Returns a [`ConfigError`] if a setting is outside its range.
    pub fn stream(&self, config: StreamConfig) -> Result<TickStream, ConfigError> {
        self.delivery.stream(config)
    }

    /// Returns the table of every instrument's newest packet, as
    /// [`Manager::latest`](kite_manager::Manager::latest).
    #[must_use]
    pub fn latest(&self) -> Latest {
        self.delivery.latest()
    }

    /// Returns a listener for events, as [`Manager::events`](kite_manager::Manager::events). Those
    /// of the socket to NATS are
    /// [`ManagerEvent::Reported`](kite_manager::ManagerEvent::Reported), and so are those of the
    /// publisher that have values that cannot be sent.
    #[must_use]
    pub fn events(&self) -> Events {
        self.delivery.events()
    }

    /// Returns a listener for order updates, as [`Manager::orders`](kite_manager::Manager::orders).
    #[must_use]
    pub fn orders(&self) -> Orders {
        self.delivery.orders()
    }

    /// Subscribes, and asks for the newest packets. Does nothing if it was called before.
    ///
    /// # Errors
    /// Returns [`ConsumerError::Server`] if the client has ended with its runtime.
    ///
    /// # Cancel safety
    /// Not cancel safe: a consumer that was not started to its end receives nothing.
    ///
    /// # Panics
    /// Panics outside of a Tokio runtime.
    pub async fn start(&mut self) -> Result<(), ConsumerError> {
        let Some(prepared) = self.prepared.take() else { return Ok(()) };
        let Prepared { client, accounts, sinks, choice } = prepared;
        let figures = Arc::clone(&self.counts.figures);
        let inbound = Inbound::new(accounts, choice, figures);
        let (stop, stopping) = watch::channel(false);
        let link = self.counts.link.watch();
        let delivery = self.delivery.clone();
        let task = Task::new(client, inbound, sinks, delivery, link, stopping).await?;
        self.running = Some(Running { stop, task: tokio::spawn(task.run()) });
        Ok(())
    }

    /// Returns the counts so far.
    #[must_use]
    pub fn stats(&self) -> ConsumerStats {
        self.counts.stats()
    }

    /// Returns a reader of the counts for another thread or task.
    #[must_use]
    pub fn counts(&self) -> ConsumerCounts {
        self.counts.clone()
    }

    /// Stops: delivers what has arrived. Streams end once they were read, and listeners with them.
    /// A stream that blocks must be read meanwhile.
    ///
    /// # Cancel safety
    /// Cancel safe: the consumer stops without delivering what has arrived.
    pub async fn stop(mut self) -> ConsumerStats {
        if let Some(mut running) = self.running.take() {
            // Fails only if the task has ended.
            let _ = running.stop.send(true);
            let _ = (&mut running.task).await;
        }
        self.stats()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Drop for Consumer {
    fn drop(&mut self) {
        self.delivery.end();
    }
}

#[cfg(test)]
mod tests {
    use kite_manager::ManagerEvent;

    use super::*;

    #[tokio::test]
    async fn settings_that_cannot_work_are_named() {
        let server: Server = "nats://127.0.0.1:4222".parse().unwrap();
        let config = ConsumerConfig { accounts: Vec::new(), ..ConsumerConfig::default() };
        let error = connect(&server, config).await.unwrap_err();
        assert_eq!(error.to_string(), "a consumer needs an account: name one");
        let config = ConsumerConfig { accounts: vec!["a.b".into()], ..ConsumerConfig::default() };
        let error = connect(&server, config).await.unwrap_err();
        assert!(matches!(&error, ConsumerError::Subject(SubjectError::Account { .. })), "{error}");
    }

    #[tokio::test]
    async fn sockets_opened_before_the_start_and_lost_meanwhile_are_reported_in_order() {
        use async_nats::Event::{Connected, Disconnected};
        let server: Server = "nats://127.0.0.1:1".parse().unwrap();
        let mut consumer = connect(&server, ConsumerConfig::default()).await.unwrap();
        let mut events = consumer.events();
        consumer.counts.link.on_event(&Connected);
        consumer.start().await.unwrap();
        for expected in [&["nats_up"][..], &["nats_down", "nats_up", "nats_down"]] {
            for name in expected {
                let event = events.recv().await.unwrap();
                let ManagerEvent::Reported { name: found, .. } = event else { panic!("{event}") };
                assert_eq!(found, *name);
            }
            // The task sees these as one change.
            for event in [Disconnected, Connected, Disconnected] {
                consumer.counts.link.on_event(&event);
            }
        }
    }

    #[tokio::test]
    async fn streams_of_a_consumer_that_was_never_started_end_with_it() {
        let server: Server = "nats://127.0.0.1:4222".parse().unwrap();
        let consumer = connect(&server, ConsumerConfig::default()).await.unwrap();
        let (mut stream, mut events) =
            (consumer.stream(StreamConfig::default()).unwrap(), consumer.events());
        assert_eq!(consumer.stop().await.ticks, 0);
        assert!(stream.recv().await.is_none() && events.recv().await.is_none());
    }
}
