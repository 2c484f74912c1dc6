//! Packets of every layout: decoding and encoding are inverse, and prices print exactly.

#![no_main]

use fuzz_checks::packet::check;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| check(bytes));
