//! The instruments whose prices decide which strike is at the money.

use super::{ChoiceError, Contracts};
use crate::date::Date;
use crate::exchange::{Exchange, InstrumentType};
use crate::instrument::Instrument;
use crate::instruments::Instruments;

/// The indices that have derivatives: the name in the list's derivatives, and the index.
const INDICES: [(&str, &str); 8] = [
    ("NIFTY", "NSE:NIFTY 50"),
    ("BANKNIFTY", "NSE:NIFTY BANK"),
    ("FINNIFTY", "NSE:NIFTY FIN SERVICE"),
    ("MIDCPNIFTY", "NSE:NIFTY MID SELECT"),
    ("NIFTYNXT50", "NSE:NIFTY NEXT 50"),
    ("SENSEX", "BSE:SENSEX"),
    ("BANKEX", "BSE:BANKEX"),
    ("SENSEX50", "BSE:SNSX50"),
];

impl Instruments {
    /// Returns the instrument whose price decides which strike is at the money: the index of index
    /// options, the share of share options, and for commodities and currencies the future that
    /// expires with the options or first after them.
    ///
    /// # Errors
    /// Returns an error if the list has no such contracts or not their underlying.
    pub fn underlying(
        &self,
        contracts: &Contracts,
        today: Date,
    ) -> Result<Instrument<'_>, ChoiceError> {
        let (exchange, expiry) = self.series(contracts, today)?;
        let name = contracts.name();
        let share_on = match exchange {
            Exchange::Nfo => "NSE",
            Exchange::Bfo => "BSE",
            _ => {
                let futures = self.iter().filter(|one| {
                    one.exchange == exchange
                        && one.instrument_type == InstrumentType::Fut
                        && one.name.eq_ignore_ascii_case(name)
                        && one.expiry >= Some(expiry)
                });
                return futures.min_by_key(|future| future.expiry).ok_or_else(|| {
                    let symbol = format!("a future of {exchange} from {expiry} on");
                    ChoiceError::Underlying { name: name.to_owned(), symbol }
                });
            }
        };
        let index = INDICES.iter().find(|(derivative, _)| *derivative == name);
        let symbol =
            index.map_or_else(|| format!("{share_on}:{name}"), |(_, index)| (*index).to_owned());
        self.by_symbol(&symbol)
            .ok_or_else(|| ChoiceError::Underlying { name: name.to_owned(), symbol })
    }
}

/// Returns the name in derivatives of an index by its own symbol (`NIFTY 50`).
pub(super) fn name_of_index(symbol: &str) -> Option<&'static str> {
    let of_symbol = |index: &str| index.split_once(':').is_some_and(|(_, own)| own == symbol);
    INDICES.iter().find(|(_, index)| of_symbol(index)).map(|&(name, _)| name)
}
