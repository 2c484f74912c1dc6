//! The filters of `kite instruments`.

use std::ops::RangeInclusive;

use clap::Args;
use kite_instruments::{Amount, Date, Exchange, Expiry, Filter, InstrumentType, Instruments};

/// Conditions that instruments must meet.
#[derive(Debug, Args)]
#[command(next_help_heading = "Filters")]
#[group(conflicts_with = "contracts")]
pub(super) struct Filters {
    /// Exchange: NSE, BSE, NFO, BFO, CDS, BCD, MCX …
    #[arg(long, value_name = "NAME", value_parser = exchange)]
    exchange: Option<Exchange>,
    /// Segment: NSE, INDICES, NFO-FUT, NFO-OPT …
    #[arg(long, value_name = "NAME")]
    segment: Option<String>,
    /// Instrument type: EQ, FUT, CE or PE
    #[arg(long = "type", value_name = "KIND", value_parser = kind)]
    kind: Option<InstrumentType>,
    /// Name (for derivatives: the underlying), such as NIFTY
    #[arg(long, value_name = "NAME")]
    pub(super) name: Option<String>,
    /// Expiry: a day such as 2026-12-31, nearest, or next
    #[arg(long, value_name = "DAY")]
    expiry: Option<Expiry>,
    /// Strike price: 24500, or a range 24000..25000
    #[arg(long, value_name = "PRICE", value_parser = strikes)]
    strike: Option<RangeInclusive<Amount>>,
}

fn exchange(text: &str) -> Result<Exchange, String> {
    let upper = text.to_ascii_uppercase();
    Exchange::from_name(&upper)
        .ok_or_else(|| "expected NSE, BSE, NFO, BFO, CDS, BCD or MCX".to_owned())
}

fn kind(text: &str) -> Result<InstrumentType, String> {
    let upper = text.to_ascii_uppercase();
    InstrumentType::from_name(&upper).ok_or_else(|| "expected EQ, FUT, CE or PE".to_owned())
}

fn strikes(text: &str) -> Result<RangeInclusive<Amount>, String> {
    let price = |text: &str| text.parse().map_err(|_| "expected 24500 or 24000..25000".to_owned());
    match text.split_once("..") {
        Some((from, to)) => Ok(price(from)?..=price(to.trim_start_matches('='))?),
        None => price(text).map(|price| price..=price),
    }
}

impl Filters {
    /// Returns the filter for a list; `None` if no option was set.
    pub(super) fn filter(&self, list: &Instruments) -> Option<Filter> {
        let filter = self.with_nearest_expiry()?;
        if self.expiry != Some(Expiry::Next) {
            return Some(filter);
        }
        let nearest = list.filter(&filter).find_map(|one| one.expiry);
        let after = nearest.and_then(|day| Date::from_days(day.days() + 1));
        Some(match after {
            Some(after) => filter.nearest_expiry(after),
            None => filter,
        })
    }

    /// Returns the filter, with the nearest expiry in place of the next one.
    fn with_nearest_expiry(&self) -> Option<Filter> {
        let mut filter = Filter::new();
        if let Some(exchange) = self.exchange {
            filter = filter.exchange(exchange);
        }
        if let Some(segment) = &self.segment {
            filter = filter.segment(segment);
        }
        if let Some(kind) = self.kind {
            filter = filter.instrument_type(kind);
        }
        if let Some(name) = &self.name {
            filter = filter.name(name);
        }
        if let Some(strikes) = &self.strike {
            filter = filter.strikes(strikes.clone());
        }
        filter = match self.expiry {
            Some(Expiry::On(day)) => filter.expiry(day),
            Some(_) => filter.nearest_expiry(Date::today_in_india()),
            None => filter,
        };
        (filter != Filter::new()).then_some(filter)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_ignore_case() {
        assert_eq!(exchange("nfo"), Ok(Exchange::Nfo));
        assert_eq!(kind("ce"), Ok(InstrumentType::Ce));
        // An exchange that Kite adds must not need a new release.
        assert!(exchange("GIFT").is_ok());
        assert!(kind(&"far too long for a kind".repeat(9)).is_err());
    }

    #[test]
    fn strikes_are_a_price_or_a_range() {
        let price = Amount::from;
        assert_eq!(strikes("24500"), Ok(price(24_500_u32)..=price(24_500_u32)));
        assert_eq!(strikes("100..=200"), Ok(price(100_u32)..=price(200_u32)));
        assert!(strikes("low..high").is_err());
    }
}
