//! An instrument list of arbitrary bytes: nothing panics, no row is lost, what is loaded is found.

#![no_main]

use fuzz_checks::instruments::check;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| check(bytes));
