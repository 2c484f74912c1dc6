//! Whatever a client sends: the server reads it alike however it arrives, and answers in whole frames.

#![no_main]

use fuzz_checks::client::check;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| check(bytes));
