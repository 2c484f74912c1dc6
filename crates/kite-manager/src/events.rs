//! What happens beside the ticks; never pushed out by them.

mod event;
mod listen;
mod order_filter;
mod orders;
mod receiving;

pub use event::ManagerEvent;
pub use listen::Events;
pub use orders::{OrderItem, OrderUpdate, Orders};
