//! A selection of contracts as text: it is refused with a reason, or prints back, and a choice by it
//! is a window of the strikes of one expiry.

use std::sync::OnceLock;

use kite_instruments::{Contracts, Date, Instruments};

const HEADER: &str = "instrument_token,exchange_token,tradingsymbol,name,last_price,expiry,strike,\
                      tick_size,lot_size,instrument_type,segment,exchange\n";

/// Checks one input; bytes that are not UTF-8 are ignored.
///
/// # Panics
/// Panics if the check fails.
pub fn check(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let contracts: Contracts = match text.parse() {
        Ok(contracts) => contracts,
        Err(error) => {
            assert!(!error.to_string().is_empty());
            return;
        }
    };
    let printed = contracts.to_string();
    assert_eq!(printed.parse().as_ref(), Ok(&contracts), "{printed}");
    let (list, today) = (list(), Date::new(2026, 11, 30).expect("a day"));
    for spot in [None, Some(26_011_u32.into())] {
        match list.choose(&contracts, today, spot) {
            Ok(choice) => {
                let all = &choice.instruments;
                let first = all.first().expect("a choice is not empty");
                assert!(all.iter().all(|one| one.expiry == first.expiry));
                assert!(all.iter().all(|one| one.expiry >= Some(today)));
                assert!(all.is_sorted_by_key(|one| one.strike));
                assert!(!contracts.is_at_the_money() || spot.is_some());
            }
            Err(error) => assert!(!error.to_string().is_empty()),
        }
    }
    let _ = list.underlying(&contracts, today).map_err(|error| error.to_string());
}

fn list() -> &'static Instruments {
    static LIST: OnceLock<Instruments> = OnceLock::new();
    LIST.get_or_init(|| {
        let mut rows = format!("{HEADER}1,1,NIFTY 50,,0,,0,0,0,EQ,INDICES,NSE\n");
        let mut token = 1;
        for (exchange, name) in [("NFO", "NIFTY"), ("MCX", "GOLD"), ("NCO", "GOLD")] {
            for day in ["2026-11-24", "2026-12-01", "2026-12-29"] {
                for (strike, kind) in
                    [(0, "FUT"), (25_900, "CE"), (26_000, "CE"), (26_000, "PE"), (26_050, "PE")]
                {
                    token += 1;
                    rows += &format!(
                        "{token},1,{name}{token},{name},0,{day},{strike},0.05,75,{kind},X,{exchange}\n"
                    );
                }
            }
        }
        Instruments::from_csv(rows).expect("a list").instruments
    })
}
