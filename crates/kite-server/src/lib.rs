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
//!    send, until an [`End`]. A task that must never wait for a slow client polls its [`Socket`]
//!    instead.
//!
//! A [`Door`] does the second to the fourth for clients that are not trusted: it bounds the number
//! of open handshakes and their time, refuses web pages, and slows down those who guess
//! credentials by a [`Throttle`].
//!
//! [`request`] reads a plain request and sends its response, for pages and endpoints beside the
//! socket.
//!
//! [`Subscriptions`] holds a socket's instruments with their modes and applies commands to them.
//! [`Cutter`] reduces a frame to them; a frame of which nothing is cut is sent as the same bytes.
//! [`LatestPackets`] holds what a snapshot is made of, and [`texts`] has the text frames that Kite
//! sends. These are plain data without sockets or clocks.
//!
//! ```
//! use std::future::ready;
//! use std::sync::Arc;
//!
//! use kite_server::{
//!     Account, Accounts, Admission, Changes, Door, DoorConfig, HEARTBEAT, Message, Socket,
//!     Transport, listener,
//! };
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let mut accounts = Accounts::default();
//! accounts.add(Account::new("desk", "desk_key", "desk_token")?.max_sockets(Some(3)))?;
//! let admission = Arc::new(Admission::new(accounts, Arc::new(Changes::default())));
//! let door = Door::new(DoorConfig::default());
//! let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
//! loop {
//!     let place = door.place().await;
//!     let transport = Transport::from(listener::accept(&listener).await);
//!     let peer = transport.peer().map(|peer| peer.ip());
//!     // A real server spawns a task here.
//!     let enter = |admitted: kite_server::Admitted<'_>| ((), admitted.name.to_owned());
//!     match door.open(place, ready(Ok(transport)), peer, &admission, enter).await {
//!         Ok(opened) => {
//!             println!("{} connected", opened.membership.owned);
//!             let mut socket = Socket::new(opened.connection, opened.rest).await;
//!             let _ = socket.write(Message::Binary(HEARTBEAT)).await;
//!         }
//!         Err(error) => println!("{error}"),
//!     }
//! }
//! # }
//! ```
//!
//! The crate knows no market, no recording and no upstream connection: the owner attaches its
//! source of ticks through the session. `kite-sim` is such an owner.
//!
//! # Features
//!
//! | feature | default | adds |
//! |---|---|---|
//! | `tls` | no | `wss://`, with certificates from PEM files |
//!
//! [`Session`]: session::Session
#![cfg_attr(docsrs, feature(doc_cfg))]

mod accounts;
mod admission;
mod changes;
mod cut;
mod door;
mod end;
mod gate;
pub mod handshake;
mod latest;
pub mod listener;
mod origin;
mod outgoing;
mod readiness;
mod refusal;
pub mod request;
pub mod session;
mod socket;
mod subscriptions;
pub mod texts;
mod throttle;
#[cfg(feature = "tls")]
pub mod tls;
mod transport;

pub use accounts::{Account, AccountError, Accounts};
pub use admission::{Admission, Admitted, MAX_SOCKETS, Membership, SocketSlot};
pub use changes::Changes;
pub use cut::{Cut, Cutter};
pub use door::{Door, DoorConfig, HandshakeError, Opened, Place};
pub use end::{End, Violation};
pub use latest::LatestPackets;
pub use origin::{Origin, OriginError};
pub use outgoing::Message;
pub use refusal::Refusal;
pub use socket::{HEARTBEAT, Received, Socket};
pub use subscriptions::{LimitExceeded, Subscription, Subscriptions};
pub use throttle::{Throttle, ThrottleConfig};
pub use tokio_tungstenite::tungstenite::Utf8Bytes;
pub use transport::{Connection, Transport};
