//! One Kite Connect ticker WebSocket that stays alive.
//!
//! A [`Connection`] opens its socket, keeps it open (backoff, watchdog), restores the subscriptions
//! after every loss, and delivers what it receives to a [`Sink`] without copying it. Its events are
//! sent on an [`EventLane`], apart from the ticks.
//!
//! All decisions are made by a state machine that uses no socket, clock or runtime. They are
//! carried out by one task, or, without a task, by the stream that yields the ticks ([`InPlace`]).
//! Balancing across several connections is not here; see `kite-manager`.
//!
//! # Features
//!
//! | feature | default | adds |
//! |---|---|---|
//! | `native-roots` | no | `Tls::native`: the operating system's root certificates instead of those compiled in |
#![cfg_attr(docsrs, feature(doc_cfg))]

mod clock;
mod config;
mod connection;
mod credentials;
mod deliver;
mod driver;
mod error;
mod in_place;
mod observe;
mod one_line;
mod runtime;
mod session;
#[cfg(test)]
mod simulated;
mod token_file;
mod transport;
mod wall_time;
mod websocket;

pub use clock::Stamp;
pub use config::{
    Admission, AdmissionFuture, Backoff, ConnectionConfig, Liveness, Pacer, Reconnect,
    TokenRequest, TokenSource, TokenSourceError,
};
pub use connection::Connection;
pub use credentials::{Credentials, Secret};
pub use deliver::{
    Batch, Lane, LaneConfig, LaneItem, LaneSink, LaneStats, Overflow, Sink, TryRecvError, Unread,
    lane,
};
pub use error::{CapacityError, ConfigError, ErrorChain, SpawnError, SubscribeError};
pub use in_place::InPlace;
pub use kite_wire::MAX_INSTRUMENTS;
pub use observe::{
    Distribution, Distributions, Event, EventLane, EventReceiver, Gap, Handover, InstrumentStats,
    LossCause, LossKind, Missed, ParkReason, Phase, Severity, Stats, Status, Stopped, Tagged,
    VolumeMissed,
};
pub use one_line::OneLine;
pub use token_file::{TokenFile, TokenFileError};
pub use tokio_rustls::rustls;
pub use transport::{
    Accepted, Endpoint, EndpointError, HandshakeError, OnAccepted, OpenError, OpenStage, Probe,
    ProbeStream, Proxy, ProxyError, Refusal, Tls, TlsError, TlsFault, Transport,
};

/// Runs a session through the operations that `bytes` encode; panics if it breaks a rule. Exists in
/// fuzzer builds only.
#[cfg(fuzzing)]
pub fn fuzz_session(bytes: &[u8]) {
    session::ops::run(bytes);
}

/// Reads the server output that `bytes` encode, as tungstenite does; panics if the two do not
/// agree. Exists in fuzzer builds only.
#[cfg(fuzzing)]
pub fn fuzz_websocket(bytes: &[u8]) {
    websocket::differential::run(bytes);
}
