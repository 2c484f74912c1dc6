//! A client's text: reading never panics, and what was read prints to a command that says the same.

#![no_main]

use fuzz_checks::command::check;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| check(bytes));
