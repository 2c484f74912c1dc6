//! The data types of release 0.4: ticks, messages, orders and commands.
//!
//! Nothing is decoded here; each type is filled from its counterpart in `kite_wire`.

mod batch;
mod encode;
mod exchange;
mod message;
mod mode;
mod order;
mod order_words;
mod request;
mod tick;

pub use batch::{TickBatch, TickBatchIntoIter, TickBatchIter};
pub use encode::EncodeTickError;
pub use exchange::Exchange;
pub(crate) use message::from_text;
pub use message::{TextMessage, TickerMessage};
pub use mode::Mode;
pub use order::Order;
pub use order_words::{OrderStatus, OrderTransactionType, OrderValidity};
pub use request::Request;
pub use tick::{Depth, DepthItem, OHLC, ParseTickError, Tick, TickMessage};
