//! Built-in instruments, whose tokens stay the same for years.

use std::sync::OnceLock;

use crate::instruments::Instruments;

/// Indices and shares. Names of contracts would be those of other contracts after they expire.
const ALL: [(u32, &str); 22] = [
    (256_265, "NSE:NIFTY 50"),
    (260_105, "NSE:NIFTY BANK"),
    (265, "BSE:SENSEX"),
    (264_969, "NSE:INDIA VIX"),
    (738_561, "NSE:RELIANCE"),
    (408_065, "NSE:INFY"),
    (2_953_217, "NSE:TCS"),
    (341_249, "NSE:HDFCBANK"),
    (1_270_529, "NSE:ICICIBANK"),
    (779_521, "NSE:SBIN"),
    (1_510_401, "NSE:AXISBANK"),
    (492_033, "NSE:KOTAKBANK"),
    (2_714_625, "NSE:BHARTIARTL"),
    (424_961, "NSE:ITC"),
    (2_939_649, "NSE:LT"),
    (356_865, "NSE:HINDUNILVR"),
    (2_815_745, "NSE:MARUTI"),
    (884_737, "NSE:TATAMOTORS"),
    (895_745, "NSE:TATASTEEL"),
    (857_857, "NSE:SUNPHARMA"),
    (897_537, "NSE:TITAN"),
    (969_473, "NSE:WIPRO"),
];

impl Instruments {
    /// Returns a few indices and shares whose tokens stay the same for years, with names and tokens
    /// only, for programs that have no list.
    #[must_use]
    pub fn built_in() -> Self {
        static LIST: OnceLock<Instruments> = OnceLock::new();
        let load = || {
            let mut csv = String::from("instrument_token,exchange,tradingsymbol\n");
            for (token, name) in ALL {
                let (exchange, symbol) = name.split_once(':').unwrap_or(("NSE", name));
                csv += &format!("{token},{exchange},{symbol}\n");
            }
            Instruments::from_csv(csv).map(|loaded| loaded.instruments).unwrap_or_default()
        };
        LIST.get_or_init(load).clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_are_in_the_list() {
        let list = Instruments::built_in();
        assert_eq!(list.len(), ALL.len());
        for (token, name) in ALL {
            assert_eq!(list.by_token(token).map(|one| one.to_string()).as_deref(), Some(name));
        }
    }
}
