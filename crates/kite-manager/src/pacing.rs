//! Paces the handshakes of all connections of one api_key.

mod governor;
mod pacer;

pub(crate) use governor::Pace;
pub(crate) use pacer::AccountPacer;
