//! A server's text frame: parsing never panics, and every JSON object is kept whole.

#![no_main]

use fuzz_checks::text::check;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| check(bytes));
