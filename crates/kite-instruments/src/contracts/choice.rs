//! Chooses contracts from a list.

use kite_wire::Amount;

use super::underlying::name_of_index;
use super::{ChoiceError, Contracts, Expiry, Kind, Strike};
use crate::date::Date;
use crate::exchange::Exchange;
use crate::instrument::Instrument;
use crate::instruments::Instruments;
use crate::resolve;

/// Maximum number of similar names in an error.
const MAX_NEAR: usize = 3;

/// The contracts chosen from a list.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Choice<'a> {
    /// The contracts, by ascending strike, calls before puts. Not empty.
    pub instruments: Vec<Instrument<'a>>,
    /// How many strikes below the middle one the list lacks.
    pub missing_below: usize,
    /// How many strikes above the middle one the list lacks.
    pub missing_above: usize,
}

impl Instruments {
    /// Chooses the contracts that a text describes, by its rules ([`Contracts`]).
    ///
    /// `today` is the date in India: contracts that expired before it are never chosen, those that
    /// expire on it are. `spot` is the price of the underlying and needed for `ATM` only; see
    /// [`Instruments::underlying`].
    ///
    /// # Errors
    /// Returns an error, which states what the list has instead, if the name, the expiry or the
    /// strike is not listed, if several exchanges list the name, or if `spot` is missing.
    ///
    /// # Examples
    /// ```
    /// use kite_instruments::{Amount, Date, Instruments};
    ///
    /// let mut csv = String::from(
    ///     "instrument_token,exchange_token,tradingsymbol,name,last_price,expiry,strike,tick_size,\
    ///      lot_size,instrument_type,segment,exchange\n",
    /// );
    /// for (token, strike) in [(1_001, 25_900), (1_002, 25_950), (1_003, 26_000), (1_004, 26_100)] {
    ///     csv += &format!(
    ///         "{token},4,NIFTY26DEC{strike}CE,NIFTY,0,2026-12-29,{strike},0.05,75,CE,NFO-OPT,NFO\n"
    ///     );
    /// }
    /// let instruments = Instruments::from_csv(csv)?.instruments;
    /// let today = Date::new(2026, 11, 30)?;
    /// let spot = "25987.35".parse()?;
    /// let choice = instruments.choose(&"NIFTY nearest ATM+-1 CE".parse()?, today, Some(spot))?;
    /// let strikes = choice.instruments.iter().filter_map(|one| one.strike);
    /// assert_eq!(strikes.map(Amount::to_f64).collect::<Vec<_>>(), [25_950.0, 26_000.0, 26_100.0]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn choose(
        &self,
        contracts: &Contracts,
        today: Date,
        spot: Option<Amount>,
    ) -> Result<Choice<'_>, ChoiceError> {
        let (exchange, expiry) = self.series(contracts, today)?;
        let of_series =
            |one: &Instrument<'_>| one.exchange == exchange && one.expiry == Some(expiry);
        let mut instruments: Vec<_> = self.described(contracts).filter(of_series).collect();
        instruments.sort_by_key(|one| (one.strike, one.instrument_type, one.instrument_token));
        let Kind::Options { strike, around, .. } = contracts.kind else {
            return Ok(Choice { instruments, missing_below: 0, missing_above: 0 });
        };
        let mut strikes: Vec<Amount> = instruments.iter().filter_map(|one| one.strike).collect();
        strikes.dedup();
        let middle = match (strike, spot) {
            (Strike::At(strike), _) => strikes.binary_search(&strike).map_err(|above| {
                let below = above.checked_sub(1).and_then(|below| strikes.get(below));
                ChoiceError::Strike {
                    name: contracts.name.clone(),
                    expiry,
                    strike,
                    below: below.copied(),
                    above: strikes.get(above).copied(),
                }
            })?,
            (Strike::AtTheMoney, Some(spot)) => nearest(&strikes, spot),
            (Strike::AtTheMoney, None) => {
                return Err(ChoiceError::Spot { name: contracts.name.clone() });
            }
        };
        let around = usize::from(around);
        let (first, last) = (middle.saturating_sub(around), middle + around);
        let missing_above = last.saturating_sub(strikes.len() - 1);
        let kept = strikes[first]..=strikes[last - missing_above];
        instruments.retain(|one| one.strike.is_some_and(|strike| kept.contains(&strike)));
        Ok(Choice { instruments, missing_below: around - (middle - first), missing_above })
    }

    /// Returns the exchange and the expiry that a text describes.
    pub(super) fn series(
        &self,
        contracts: &Contracts,
        today: Date,
    ) -> Result<(Exchange, Date), ChoiceError> {
        let mut series: Vec<(Exchange, Date)> =
            self.described(contracts).filter_map(|one| Some((one.exchange, one.expiry?))).collect();
        series.sort_unstable();
        series.dedup();
        let (name, kind) = (contracts.name.clone(), contracts.plural());
        if series.is_empty() {
            let (near, exchange) = (self.near_names(contracts), contracts.exchange);
            return Err(ChoiceError::Name { name, exchange, kind, near });
        }
        series.retain(|&(_, day)| day >= today);
        let mut exchanges: Vec<Exchange> = series.iter().map(|&(exchange, _)| exchange).collect();
        exchanges.dedup();
        if exchanges.len() > 1 {
            return Err(ChoiceError::Exchanges { name, kind, exchanges });
        }
        let found = match contracts.expiry {
            Expiry::Nearest => series.first(),
            Expiry::Next => series.get(1),
            Expiry::On(day) => series.iter().find(|&&(_, listed)| listed == day),
        };
        found.copied().ok_or_else(|| {
            let listed = series.iter().map(|&(_, day)| day).collect();
            ChoiceError::Expiry { name, kind, expiry: contracts.expiry, today, listed }
        })
    }

    /// Iterates over the contracts of the name, type and exchange that a text describes, of any
    /// expiry, without options of which the list has no strike.
    fn described(&self, contracts: &Contracts) -> impl Iterator<Item = Instrument<'_>> {
        self.iter().filter(|one| {
            contracts.takes_type(one.instrument_type)
                && contracts.takes_exchange(one.exchange)
                && (one.strike.is_some() || !one.instrument_type.is_option())
                && one.name.eq_ignore_ascii_case(&contracts.name)
        })
    }

    /// Returns names similar to the one in the text that have such contracts, best match first, with
    /// their exchanges if the text has one.
    fn near_names(&self, contracts: &Contracts) -> Vec<String> {
        let asked = contracts.name.as_str();
        let index = name_of_index(asked);
        let mut near: Vec<(usize, &str, Exchange)> = self
            .iter()
            .filter(|one| contracts.takes_type(one.instrument_type))
            .filter_map(|one| {
                let is_index = index == Some(one.name);
                let distance = if is_index { 0 } else { resolve::distance(asked, one.name)? };
                // On other exchanges only the same name is suggested.
                let is_near = distance == 0 || contracts.takes_exchange(one.exchange);
                is_near.then_some((distance, one.name, one.exchange))
            })
            .collect();
        near.sort_unstable();
        let mut names: Vec<String> = near
            .into_iter()
            .map(|(_, name, exchange)| match contracts.exchange {
                Some(_) => format!("{exchange}:{name}"),
                None => name.to_owned(),
            })
            .collect();
        names.dedup();
        names.truncate(MAX_NEAR);
        names
    }
}

/// Returns the index of the strike nearest to a price, the lower of two. The strikes are ascending
/// and not empty.
fn nearest(strikes: &[Amount], spot: Amount) -> usize {
    let above = strikes.partition_point(|&strike| strike < spot);
    match (above.checked_sub(1), strikes.get(above)) {
        (Some(below), Some(&strike)) if strike - spot < spot - strikes[below] => above,
        (Some(below), _) => below,
        (None, _) => above,
    }
}
