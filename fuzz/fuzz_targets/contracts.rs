//! A selection of contracts as text: parsing and choosing never panic, and what parses prints back.

#![no_main]

use fuzz_checks::contracts::check;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| check(bytes));
