//! Connection events, manager events and order updates. Ticks never displace them.

mod event;
mod listen;
mod of_run;
mod order_filter;
mod orders;
mod receiving;
mod texts;

pub use event::ManagerEvent;
pub use listen::Events;
pub(crate) use of_run::{RunEnd, RunEvents};
pub use order_filter::OrderFilter;
pub use orders::{OrderItem, OrderUpdate, Orders};
pub use texts::{TextItem, TextUpdate, Texts};
