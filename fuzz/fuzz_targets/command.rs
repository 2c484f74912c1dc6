//! A client's text: parsing never panics, and a parsed command prints as an equal one.

#![no_main]

use fuzz_checks::command::check;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| check(bytes));
