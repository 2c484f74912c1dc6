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
    let is_end = |byte: &u8| matches!(byte, b'\r' | b'\n');
    let lines = bytes.split(is_end).filter(|line| !line.trim_ascii().is_empty());
    assert_eq!(loaded.row_count(), lines.count() as u64);
}

fn check_list(loaded: &Loaded) {
    let list = &loaded.instruments;
    assert_eq!(loaded.problems.len() as u64, loaded.problem_count.min(MAX_PROBLEMS as u64));
    assert!(loaded.problems.iter().all(|problem| !problem.to_string().is_empty()));
    assert!(loaded.problems.is_sorted_by_key(|problem| problem.line));
    for instrument in list.iter() {
        let symbol = instrument.to_string();
        let token = instrument.instrument_token;
        assert_eq!(list.by_token(token).map(|one| one.instrument_token), Some(token));
        let all = list.all_by_symbol(&symbol);
        assert!(all.contains(&instrument) && list.by_symbol(&symbol) == all.first().copied());
        assert_eq!(list.resolve([&symbol]), Ok(vec![all[0]]));
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
