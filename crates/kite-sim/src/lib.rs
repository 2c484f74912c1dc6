//! Kite Connect's ticker server on loopback: for tests and demonstrations, without credentials.
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
//!
//! # What is Kite's and what is chosen
//!
//! From the documentation and from users' reports: the checks of the handshake and their answers,
//! three sockets per API key and 3,000 instruments per socket, a bare subscribe that means quote
//! mode, a `mode` command that subscribes what was not, the snapshot in the first frame after a
//! subscribe, heartbeats of one byte, text frames, tokens written as strings and unknown tokens
//! that are passed over without a word, packet layouts and units of prices.
//!
//! Chosen where nothing is documented:
//! - Subscribing again what is subscribed sets it back to quote mode and sends a snapshot of it.
//!   A client that restores exact modes is right against either behaviour.
//! - A `mode` command sends a snapshot of the instruments whose mode it changed, of no others.
//! - A command that would exceed 3,000 instruments is refused whole. Unknown tokens do not count.
//! - Every token from 256 on is an instrument, of the segment that its low byte says.
//! - A fourth socket is refused after 100 ms, in which one just closing may free its slot.
//! - All updates are trades: volume and time move with every step of an instrument and the price
//!   with most, and an instrument moves only while someone is subscribed. See [`Instrument`].
//! - [`known_instruments`] have names and plausible prices: indices, shares, and contracts of the
//!   month in which the simulated clock starts. All prices stay near their start for a day.
//! - Sockets that hold the same instrument each see all its steps from their subscription on, at
//!   their own pace. A new subscription begins at the newest state that any of them has seen.
//! - The heartbeat's byte is 0.
//! - [`Sim::advance_market`] and [`Sim::next_day`] move the market unseen: sockets go on from there.
//!
//! The same seed gives the same bytes per instrument: its first snapshot, first update, second
//! update and so on. How instruments are put together into frames depends on timing.
//!
//! # Faults
//!
//! A [`Fault`] is plain data. It is given at once ([`Sim::inject`]), at a handshake to come
//! ([`Sim::at_next_handshake`]), by script ([`FaultScript`]) or by seeded chance ([`FaultChance`]);
//! what lasts is taken back by [`Sim::heal`]. [`Sim::sockets`] tells what every socket was sent and
//! how it ended, with a [`Chain`] by which a receiver proves that it got exactly the beginning.
//!
//! All faults work over TCP, over TLS (feature `tls`, `SimBuilder::tls`) and in memory
//! ([`Sim::connect`]), where a reset is an end of the stream. The simulator keeps time by Tokio's
//! clock alone, so that everything but TCP itself can run with the clock paused.
//!
//! # Replays
//!
//! With the feature `tape`, `SimBuilder::replay` puts recorded tick files in the market's place: any
//! client receives the recorded day in the instruments and modes it subscribes, at the recorded
//! speed, a multiple, or as fast as it reads. A command takes its place between two records of the
//! tape and no record is dropped, so that the same subscriptions get the same bytes every time.
//! Everything else here goes on working over it; [`Sim::pause`] stands the tape still, and what a
//! fault or [`Sim::tick_now`] sends is the tape's present again. [`Sim::instrument`],
//! [`Sim::advance_market`] and [`Sim::next_day`] are about a simulated market and say nothing then.
//! `docs/replay.md` in the repository tells what is replayed, what is not, and how to use it for
//! backtests.
//!
//! # Features
//!
//! | feature | default | brings |
//! |---|---|---|
//! | `tape` | no | `Replay`: recorded tick files in the market's place |
//! | `tls` | no | a certificate made at the start, and `wss://` |
#![cfg_attr(docsrs, feature(doc_cfg))]

mod acceptor;
mod builder;
#[cfg(feature = "tls")]
mod certificate;
mod client;
mod fault;
mod flow;
mod hash;
mod market;
#[cfg_attr(
    not(feature = "tape"),
    expect(
        dead_code,
        unused_imports,
        unreachable_pub,
        reason = "only a tape brings what is replayed"
    )
)]
mod replay;
mod server;
mod sim;
mod stats;
mod time;

pub use builder::{ACCESS_TOKEN, API_KEY, SimBuilder, SimError};
pub use client::ledger::{Chain, SocketEnd, SocketRecord};
pub use fault::chance::FaultChance;
pub use fault::planned::PlannedFault;
pub use fault::script::FaultScript;
pub use fault::{
    BodyDelivery, Fault, FaultArgument, FaultError, FaultFamily, FaultKind, InvalidFrame,
};
pub use kite_wire::MAX_INSTRUMENTS;
pub use market::{Instrument, Sent, known_instruments, universe};
#[cfg(feature = "tape")]
pub use replay::{Replay, ReplayProgress, Speed, Start};
pub use server::admission::MAX_SOCKETS;
pub use server::refusal::Refusal;
pub use sim::Sim;
pub use stats::SimStats;
