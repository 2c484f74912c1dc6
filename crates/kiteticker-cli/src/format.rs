//! Numbers, sizes and times as people read and write them.

pub(crate) mod numbers;
pub(crate) mod shortened;
pub(crate) mod silences;
pub(crate) mod sizes;
pub(crate) mod times;
