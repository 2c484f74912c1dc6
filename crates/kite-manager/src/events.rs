//! Connection events, manager events and order updates. Ticks never displace them.

mod event;
mod listen;
mod order_filter;
mod orders;
mod receiving;

pub use event::ManagerEvent;
pub use listen::Events;
pub use orders::{OrderItem, OrderUpdate, Orders};
