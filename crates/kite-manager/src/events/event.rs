//! What a manager tells its listeners.

use std::sync::Arc;

use kite_conn::Event;

use crate::account_id::AccountId;
use crate::balance::Move;
use crate::seat::Seat;

/// Something that happened to a connection of a manager, or to the manager itself.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum ManagerEvent {
    /// Something happened to a connection.
    Connection {
        /// Which.
        seat: Seat,
        /// What.
        event: Event,
    },
    /// Instruments went to another connection: theirs has been down for too long, or is stable
    /// again.
    Moved {
        /// The account whose connections these are.
        account: AccountId,
        /// Which instruments, from where and to where.
        moves: Arc<[Move]>,
        /// Whether they return to the connection that they were subscribed on.
        back: bool,
    },
    /// A connection has been down for too long, and nowhere else is room for these instruments.
    Dark {
        /// The account.
        account: AccountId,
        /// The connection's number within the account.
        connection: usize,
        /// Its instruments that nobody streams now.
        tokens: Arc<[u32]>,
    },
    /// This listener fell behind and missed so many events; it goes on with the oldest kept.
    Lagged {
        /// How many.
        missed: u64,
    },
}
