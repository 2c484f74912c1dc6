//! Arbitrary bytes from a server, in chunks: the reader agrees with that of tungstenite.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| kite_conn::fuzz_websocket(bytes));
