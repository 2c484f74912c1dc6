//! A tape of arbitrary bytes: nothing panics, reading moves forwards and reports how the tape ends,
//! and a writer can continue it without losing what was read.

#![no_main]

use fuzz_checks::tape::check;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| check(bytes));
