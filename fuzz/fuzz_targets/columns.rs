//! The columns of a block: any bytes come back from them, and damaged ones are an error or other
//! bytes of the same length.

#![no_main]

use fuzz_checks::columns::check;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| check(bytes));
