//! A binary frame of arbitrary bytes: nothing panics and nothing is unaccounted for.

#![no_main]

use fuzz_checks::frame::check;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| check(bytes));
