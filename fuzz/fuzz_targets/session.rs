//! Lists of operations on a connection's session: its invariants hold at every step, and it ends.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| kite_conn::fuzz_session(bytes));
