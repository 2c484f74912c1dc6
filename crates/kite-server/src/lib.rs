//! The server side of Kite Connect's ticker protocol, independent of where ticks come from.
//!
//! A connection passes through these in order:
//!
//! 1. [`listener::accept`] accepts it; a [`Transport`] carries its bytes over TCP or in memory, and
//!    with the feature `tls`, `tls::accept` adds TLS.
//! 2. [`handshake::read`] reads the request's head.
//! 3. [`Admission`] checks its credentials against the [`Accounts`] and reserves one of the
//!    account's sockets, or refuses it with a [`Refusal`], whose statuses and bodies are Kite's.
//! 4. [`handshake::accept`] switches the connection to the WebSocket protocol, and a [`Socket`]
//!    takes it over.
//! 5. [`session::serve`] reads commands, times heartbeats and asks the owner's [`Session`] what to
//!    send, until an [`End`].
//!
//! [`Subscriptions`] holds a socket's instruments with their modes and applies commands to them.
//! [`Cutter`] reduces a frame to them; a frame of which nothing is cut is sent as the same bytes.
//! [`LatestPackets`] holds what a snapshot is made of, and [`texts`] has the text frames that Kite
//! sends. These are plain data without sockets or clocks.
//!
//! The crate knows no market, no recording and no upstream connection: the owner attaches its
//! source of ticks through the session. `kite-sim` is such an owner.
//!
//! # Features
//!
//! | feature | default | adds |
//! |---|---|---|
//! | `tls` | no | `wss://`, as a layer above a [`Transport`] |
//!
//! [`Session`]: session::Session
#![cfg_attr(docsrs, feature(doc_cfg))]

mod accounts;
mod admission;
mod changes;
mod cut;
mod end;
mod gate;
pub mod handshake;
mod latest;
pub mod listener;
mod outgoing;
mod refusal;
pub mod session;
mod socket;
mod subscriptions;
pub mod texts;
#[cfg(feature = "tls")]
pub mod tls;
mod transport;

pub use accounts::Accounts;
pub use admission::{Admission, Admitted, MAX_SOCKETS, Membership, SocketSlot};
pub use changes::Changes;
pub use cut::{Cut, Cutter};
pub use end::End;
pub use latest::LatestPackets;
pub use outgoing::Message;
pub use refusal::Refusal;
pub use socket::{HEARTBEAT, Received, Socket};
pub use subscriptions::{LimitExceeded, Subscription, Subscriptions};
pub use tokio_tungstenite::tungstenite::Utf8Bytes;
pub use transport::{Connection, Transport};
