//! What a server may send, in portions: our reader takes it as tungstenite's does.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| kite_conn::fuzz_websocket(bytes));
