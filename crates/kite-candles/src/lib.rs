//! Bars (candles) from the packets of Zerodha Kite Connect's market-data WebSocket, live or recorded.
//!
//! Kite sends snapshots, not trades. [`Candles`] compares each packet with the one before, and
//! [`Flags`] mark the bars that are not exact. The rules are described in `docs/candles.md`.
//!
//! The crate is `no_std` with `alloc`, performs no I/O and reads no clock: the caller passes in
//! packets with their times of arrival, and the time.
//!
//! | | |
//! |---|---|
//! | [`Candles`] | makes bars; [`Candles::live`] and [`Candles::batch`] |
//! | [`RecordedCandles`] | makes bars from the records of a tape, of one or several lengths |
//! | [`Config`], [`Every`] | what bars to make |
//! | [`Sessions`] | when instruments trade, with overrides by segment, instrument and date, also as text ([`Sessions::from_rules`]) |
//! | [`Bar`], [`Item`], [`Flags`] | the result |
//! | [`Counts`] | what is in no bar |
//!
//! # Features
//!
//! | feature | default | adds |
//! |---|---|---|
//! | `manager` | no | `CandleStream`, the bars of a running feed of kite-manager, and `LiveCandles`, the same without a timer and a stream of its own. Needs `std` |
#![no_std]
#![cfg_attr(docsrs, feature(doc_cfg))]

extern crate alloc;
#[cfg(any(test, feature = "manager"))]
extern crate std;

mod bar;
mod candles;
mod counts;
mod every;
mod flags;
mod gaps;
mod grid;
mod instrument;
mod kept;
#[cfg(feature = "manager")]
mod live;
mod moment;
mod recorded;
mod rules;
mod run;
mod session;
mod snapshot;
mod trade;

pub use bar::{Bar, Item};
pub use candles::{Affected, Candles, Config, ConfigError};
pub use counts::Counts;
pub use every::{Every, EveryError};
pub use flags::Flags;
#[cfg(feature = "manager")]
pub use live::{CandleStream, CandleStreamError, LiveCandles};
pub use recorded::RecordedCandles;
pub use rules::{RuleError, RuleFault};
pub use session::{Scope, Session, SessionError, Sessions};
