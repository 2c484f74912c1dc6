//! Zero-copy codec for the packets of Zerodha Kite Connect's market-data WebSocket.
//! Packets of a binary frame are read as views into its bytes:
//!
//! ```
//! use kite_wire::Frame;
//!
//! // One LTP packet: token 408065 (NSE), last price 157,370 paise.
//! let bytes = [0, 1, 0, 8, 0x00, 0x06, 0x3a, 0x01, 0x00, 0x02, 0x66, 0xba];
//! let frame = Frame::walk(&bytes);
//! assert_eq!(frame.fault(), None);
//! for packet in frame.packets() {
//!     assert_eq!(packet.instrument_token(), 408_065);
//!     assert_eq!(packet.last_price().to_string(), "1573.70");
//! }
//! ```
//!
//! The crate is `no_std`, never panics on bad input and uses neither sockets nor clocks.
//! Decoding, encoding, commands and tapes allocate nothing. Only these allocate, and each needs a
//! feature: [`Frame::append_ticks`] if the caller's `Vec` has no room, [`FrameBuilder`],
//! [`TokenMap`], [`TickBatch::detach`], the columns of a tape's blocks, and the JSON of text frames
//! and orders. If a frame's tail is damaged, its good packets are kept; a packet of unknown length
//! is skipped and counted (see [`Frame`]). [`tape`] reads and writes recordings of frames.
//!
//! # Features
//!
//! | feature | default | adds |
//! |---|---|---|
//! | `std` | yes | `alloc`; [`UnixSeconds`] from and to `SystemTime`; the dependencies' `std` |
//! | `alloc` | with `std` | [`Frame::append_ticks`], [`Scan::append_ticks`], [`FrameBuilder`], [`TokenMap`], [`plain`], [`tape::ColumnsEncoder`] |
//! | `bytes` | no | `alloc`; [`TickBatch`], a received frame that is shared, not copied |
//! | `serde` | no | `Serialize` and `Deserialize` on the owned types; forms for people (`readable`) |
//! | `chrono`, `time` | no | [`UnixSeconds`] from and to these crates' types |
//! | `rust_decimal` | no | [`Price`] and [`Amount`] to `rust_decimal::Decimal`, and to [`Amount`] from it |
//! | `text` | no | `alloc`, `serde`; text frames and order updates ([`text`], [`order`]) |
//!
//! # Names in serde
//!
//! These are stable. A struct serialises under its fields' names; a variant of [`PacketKind`],
//! [`Mode`] or [`Fields`] under its name in snake_case (`"index_quote"`). A [`Segment`] is its
//! number, a [`Price`] `{"raw":157370,"decimals":2}`, a [`UnixSeconds`] a number, an [`Amount`] a
//! string (`"1573.7"`). The module `readable` has forms for people, for `#[serde(with = "…")]`.
#![no_std]
#![cfg_attr(docsrs, feature(doc_cfg))]

#[cfg(feature = "alloc")]
extern crate alloc;
#[cfg(any(feature = "std", test))]
extern crate std;

mod amount;
#[cfg(feature = "bytes")]
mod batch;
#[cfg(feature = "alloc")]
mod builder;
mod change;
mod command;
mod decimal;
mod encode;
mod error;
mod frame;
pub mod ist;
mod layout;
mod mode;
#[cfg(feature = "text")]
pub mod order;
mod packet;
#[cfg(feature = "alloc")]
pub mod plain;
mod price;
#[cfg(feature = "serde")]
pub mod readable;
#[cfg(feature = "alloc")]
mod run;
mod scan;
mod segment;
pub mod tape;
#[cfg(feature = "text")]
pub mod text;
mod tick;
mod time;
#[cfg(feature = "alloc")]
mod token_map;

pub use amount::{Amount, Rounding};
#[cfg(feature = "bytes")]
pub use batch::{BatchIter, DamagedFrame, PacketCursor, TickBatch};
#[cfg(feature = "alloc")]
pub use builder::FrameBuilder;
pub use command::{Command, CommandKind, IgnoredTokens, ParsedCommand, TokenList};
pub use encode::FrameEncoder;
pub use error::{
    AmountError, CommandError, EncodeError, FrameFault, PacketError, PriceError, UnknownMode,
    UnknownSegment,
};
pub use frame::{Bodies, Frame, MAX_FRAME_BYTES, MAX_INSTRUMENTS, Packets};
pub use layout::{
    Depth, DepthEntry, FullPacket, IndexFullPacket, IndexQuotePacket, LtpPacket, QuotePacket,
};
pub use mode::Mode;
pub use packet::{Ohlc, Packet, PacketKind, PacketView};
pub use price::Price;
pub use scan::Scan;
pub use segment::{Segment, UnnamedSegment};
pub use tick::{DepthLevel, Fields, FullFields, IndexFields, QuoteFields, Tick};
pub use time::{UnixSeconds, UnixSecondsError};
#[cfg(feature = "alloc")]
pub use token_map::{TokenMap, token_hash};
