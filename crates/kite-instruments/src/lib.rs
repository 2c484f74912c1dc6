//! Kite Connect's instrument list.
