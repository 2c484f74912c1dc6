//! A simulator of Kite Connect's ticker server on loopback, for tests and demonstrations without
//! credentials.
//!
//! ```
//! # async fn example() -> Result<(), kite_sim::SimError> {
//! use kite_sim::{ACCESS_TOKEN, API_KEY, Sim};
//!
//! let sim = Sim::builder().seed(7).updates_per_second(2.0).start().await?;
//! println!("{}/?api_key={API_KEY}&access_token={ACCESS_TOKEN}", sim.endpoint());
//! // ... connect, subscribe ...
//! sim.pause().await;
//! println!("{} ticks of {} instruments", sim.stats().ticks_sent, sim.sent().len());
//! sim.stop().await;
//! # Ok(())
//! # }
//! ```
//! # Observed and chosen behaviour
//!
//! These follow the documentation and users' reports: the checks of the handshake and their
//! responses, three sockets per API key and 3,000 instruments per socket, quote mode for a bare
//! subscribe, a `mode` command that also subscribes, the snapshot in the first frame after a
//! subscribe, heartbeats of one byte, text frames, silently ignored tokens (unknown, or written as
//! strings), packet layouts and units of prices.
//!
//! These are choices, because nothing is documented:
//! - Subscribing to an instrument again sets it back to quote mode and sends a snapshot of it. A
//!   client that restores exact modes is correct either way.
//! - A `mode` command sends a snapshot of the instruments whose mode it changed and of no others.
//! - A command that would exceed 3,000 instruments is rejected as a whole. Unknown tokens do not
//!   count.
//! - Every token from 256 up is an instrument; its low byte is the segment.
//! - A fourth socket is refused after 100 ms, so that a socket that is just closing can free its
//!   slot.
//! - Every update is a trade. Volume and time advance with every step of an instrument, the price
//!   with most. An instrument moves only while a socket is subscribed to it. See [`Instrument`].
//! - [`known_instruments`] have names and plausible prices. They are indices, shares, and contracts
//!   of the month in which the simulated clock starts. All prices stay near their start for a day.
//! - Each socket subscribed to an instrument receives all its steps after the subscription, at its
//!   own pace. A new subscription starts at the newest state that any socket has received.
//! - The heartbeat's byte is 0.
//! - [`Sim::advance_market`] and [`Sim::next_day`] move the market without sending anything;
//!   sockets continue from the new state.
//!
//! The same seed produces the same bytes per instrument, for its first snapshot, first update,
//! second update and so on. How instruments are grouped into frames depends on timing.
//!
//! # Faults
//!
//! A [`Fault`] is plain data. Inject it immediately ([`Sim::inject`]), at the next handshake
//! ([`Sim::at_next_handshake`]), from a script ([`FaultScript`]) or at random from a seed
//! ([`FaultChance`]); [`Sim::heal`] ends the faults that last. [`Sim::sockets`] reports what was
//! sent on every socket and how it ended, with a [`Chain`] that lets a receiver prove that its
//! frames are a prefix of those sent.
//!
//! All faults work over TCP, over TLS (feature `tls`, `SimBuilder::tls`) and in memory
//! ([`Sim::connect`]), where a reset ends the stream. The simulator uses only Tokio's clock, so
//! everything but TCP itself can run with the clock paused.
//!
//! # Replays
//!
//! With the feature `tape`, `SimBuilder::replay` replaces the market with recorded tick files. Any
//! client receives the recorded day in the instruments and modes it subscribes to, at the recorded
//! speed, at a multiple of it, or as fast as it reads. A command takes effect between two records
//! of the tape and no record is dropped, so the same subscriptions receive the same bytes every
//! time. Everything else works as usual: [`Sim::pause`] stops the tape, and a fault or
//! [`Sim::tick_now`] repeats the latest packets of the tape. [`Sim::instrument`],
//! [`Sim::advance_market`] and [`Sim::next_day`] apply to the simulated market only.
//! `docs/replay.md` in the repository describes what is replayed, what is not, and how to use it
//! for backtests.
//!
//! # Features
//!
//! | feature | default | adds |
//! |---|---|---|
//! | `login` | no | `LoginPage`: the login page, and the endpoints that issue and end access tokens |
//! | `tape` | no | `Replay`: recorded tick files instead of the simulated market |
//! | `tls` | no | `wss://`, with a certificate created at start |
#![cfg_attr(docsrs, feature(doc_cfg))]

mod acceptor;
mod builder;
#[cfg(feature = "tls")]
mod certificate;
mod client;
mod error;
mod fault;
mod flow;
mod hash;
#[cfg(feature = "login")]
mod login;
mod market;
#[cfg_attr(
    not(feature = "tape"),
    expect(
        dead_code,
        unused_imports,
        unreachable_pub,
        reason = "used only with the feature `tape`"
    )
)]
mod replay;
mod sim;
mod stats;
mod time;

pub use builder::{ACCESS_TOKEN, API_KEY, SimBuilder};
pub use client::ledger::{Chain, SocketEnd, SocketRecord};
pub use error::SimError;
pub use fault::chance::FaultChance;
pub use fault::planned::PlannedFault;
pub use fault::script::FaultScript;
pub use fault::{
    BodyDelivery, Fault, FaultArgument, FaultError, FaultFamily, FaultKind, InvalidFrame,
};
pub use kite_server::{MAX_SOCKETS, Refusal};
pub use kite_wire::MAX_INSTRUMENTS;
#[cfg(feature = "login")]
pub use login::{API_SECRET, LoginFault, LoginFaultError, LoginPage};
pub use market::{Instrument, Sent, known_instruments, universe};
#[cfg(feature = "tape")]
pub use replay::{Replay, ReplayProgress, Speed, Start};
pub use sim::Sim;
pub use stats::SimStats;
