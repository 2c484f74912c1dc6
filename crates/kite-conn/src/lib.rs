//! One Kite Connect ticker WebSocket that stays alive.
//!
//! A [`Connection`] opens its socket, keeps it open (backoff, watchdog), brings the server to the
//! wanted subscriptions after every loss, and delivers what comes to a [`Sink`] without copying it.
//! What happens to it is told on an [`EventLane`], apart from the ticks.
//!
//! All decisions are made by a state machine without socket, clock or runtime; one task carries
//! them out, or without a task the stream from which the ticks are taken ([`InPlace`]). Balancing
//! over several connections is not here: see `kite-manager`.

mod clock;
mod config;
mod connection;
mod counters;
mod credentials;
mod deliver;
mod distribution;
mod driver;
mod endpoint;
mod error;
mod event;
mod events;
mod fanout;
mod gap;
mod in_place;
mod instruments;
mod lane;
mod mailbox;
mod outside;
mod pacer;
mod session;
#[cfg(test)]
mod simulated;
mod suspension;
mod token_source;
mod transport;
mod websocket;

pub use clock::Stamp;
pub use config::{ConnectionConfig, MAX_QUEUE, check, check_duration};
pub use connection::{Connection, Phase, Status};
pub use counters::{Distributions, Stats};
pub use credentials::{Credentials, Secret};
pub use deliver::{Batch, Sink};
pub use distribution::Distribution;
pub use endpoint::{Endpoint, EndpointError};
pub use error::{CapacityError, ConfigError, ErrorChain, SpawnError, SubscribeError};
pub use event::{Event, LossCause, LossKind, ParkReason};
pub use events::{EventLane, Tagged};
pub use gap::{Gap, Missed, VolumeMissed};
pub use in_place::InPlace;
pub use instruments::InstrumentStats;
pub use kite_wire::MAX_INSTRUMENTS;
pub use lane::{Lane, LaneConfig, LaneItem, LaneSink, LaneStats, Overflow, TryRecvError, lane};
pub use pacer::{Admission, AdmissionFuture, Pacer};
pub use token_source::{TokenRequest, TokenSource, TokenSourceError};
pub use tokio_rustls::rustls;
pub use transport::{
    HandshakeError, OpenError, OpenStage, Proxy, ProxyError, Refusal, Tls, TlsError, TlsFault,
};

/// Runs a session through the operations that these bytes say; panics where it breaks a rule. For
/// the fuzzer, whose builds alone have it.
#[cfg(fuzzing)]
pub fn fuzz_session(bytes: &[u8]) {
    session::ops::run(bytes);
}

/// Reads what these bytes say that a server sends, as tungstenite does; panics where the two do not
/// agree. For the fuzzer, whose builds alone have it.
#[cfg(fuzzing)]
pub fn fuzz_websocket(bytes: &[u8]) {
    websocket::differential::run(bytes);
}
