//! An instrument list of arbitrary bytes: nothing panics, no row is lost, and loaded instruments
//! are found.

#![no_main]

use fuzz_checks::instruments::check;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| check(bytes));
