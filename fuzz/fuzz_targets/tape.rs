//! A tape of arbitrary bytes: nothing panics, reading goes forwards and tells its end, and a writer
//! can go on without losing what was read.

#![no_main]

use fuzz_checks::tape::check;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| check(bytes));
