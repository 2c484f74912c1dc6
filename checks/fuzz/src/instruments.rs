//! An instrument list of any bytes: each row is in the list or reported as a problem, and
//! everything in the list is found.

use kite_instruments::{Filter, Instruments, Loaded, MAX_PROBLEMS};

const HEADER: &[u8] = b"instrument_token,exchange_token,tradingsymbol,name,last_price,expiry,\
                        strike,tick_size,lot_size,instrument_type,segment,exchange\n";

/// Loads the bytes as they are, and as the rows of a list.
pub fn check(bytes: &[u8]) {
    // Anything but a list is rejected with a reason.
    match Instruments::from_csv(bytes) {
        Ok(loaded) => check_list(&loaded),
        Err(error) => assert!(!error.to_string().is_empty()),
    }
    let loaded = Instruments::from_csv([HEADER, bytes].concat()).expect("a header is a list");
    check_list(&loaded);
    let not_empty = |line: &&[u8]| line.iter().any(|&byte| byte != b'\r');
    // A carriage return ends a row too, so there can be more rows than lines, but never fewer.
    let lines = bytes.split(|&byte| byte == b'\n').filter(not_empty).count() as u64;
    assert!(loaded.row_count() >= lines, "{} rows of {lines} lines", loaded.row_count());
    if !bytes.contains(&b'\r') {
        assert_eq!(loaded.row_count(), lines);
    }
}

fn check_list(loaded: &Loaded) {
    let list = &loaded.instruments;
    assert_eq!(loaded.problems.len() as u64, loaded.problem_count.min(MAX_PROBLEMS as u64));
    assert!(loaded.problems.iter().all(|problem| !problem.to_string().is_empty()));
    assert!(loaded.problems.is_sorted_by_key(|problem| problem.line));
    for instrument in list.iter() {
        let symbol = instrument.to_string();
        assert_eq!(list.by_token(instrument.instrument_token), Some(instrument));
        assert_eq!(list.by_symbol(&symbol), Some(instrument));
        assert_eq!(list.resolve([&symbol]), Ok(vec![instrument]));
    }
    assert_eq!(list.filter(&Filter::new()).count(), list.len());
    // For one instrument only, because searching for each would be quadratic.
    if let Some(first) = list.iter().next() {
        let words: Vec<&str> = first.tradingsymbol.split_whitespace().collect();
        // A word before a colon is an exchange.
        if !words.is_empty() && !first.tradingsymbol.contains(':') {
            let found = list.search(&words.join(" "), list.len());
            assert!(found.contains(&first), "{first} is not found by its symbol");
        }
        let _ = list.resolve([format!("{first}?")]).map_err(|unknown| unknown.to_string());
        let expiries = list.expiries(first.name);
        assert!(first.expiry.is_none_or(|day| expiries.contains(&day)));
    }
}
