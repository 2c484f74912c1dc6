//! The filters of `kite instruments`.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;

use clap::Args;
use kite_instruments::{
    Amount, Date, Exchange, Expiry, Filter, Instrument, InstrumentType, Instruments, similar_names,
};

/// Returns a value of an instrument; empty for none.
type Value = fn(&Instrument<'_>) -> String;

/// Number of listed values that a message names.
const MOST_NAMED: usize = 12;

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
        Some((from, to)) => {
            let (from, to) = (price(from)?, price(to.trim_start_matches('='))?);
            if from > to {
                return Err(format!("the range is reversed; write {to}..{from}"));
            }
            Ok(from..=to)
        }
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

    /// Returns the value that no instrument of the list has, and those that it has; `None` if it has
    /// all of them.
    pub(super) fn unlisted(&self, list: &Instruments) -> Option<String> {
        let exchange = self.exchange.map(|it| it.to_string());
        let kind = self.kind.map(|it| it.to_string());
        let expiry = match self.expiry {
            Some(Expiry::On(day)) => Some(day.to_string()),
            _ => None,
        };
        let values: [(_, _, Value); 4] = [
            ("exchange", exchange, |one| one.exchange.to_string()),
            ("segment", self.segment.clone(), |one| one.segment.to_owned()),
            ("type", kind, |one| one.instrument_type.to_string()),
            ("expiry", expiry, |one| one.expiry.map(|day| day.to_string()).unwrap_or_default()),
        ];
        values.into_iter().find_map(|(what, asked, value)| {
            let asked = asked?;
            let mut listed: BTreeSet<String> = list.iter().map(|one| value(&one)).collect();
            listed.remove("");
            let is_listed = listed.iter().any(|it| it.eq_ignore_ascii_case(&asked));
            (!is_listed).then(|| unlisted(what, &asked, &listed))
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

/// Returns the text about a value that is not one of those listed.
fn unlisted(what: &str, asked: &str, listed: &BTreeSet<String>) -> String {
    let mut text = format!("the list has no {what} {asked}");
    let similar = similar_names(asked, listed.iter().map(String::as_str));
    if !similar.is_empty() {
        text += &format!(" (did you mean {}?)", similar.join(" or "));
    }
    let named: Vec<&str> = listed.iter().map(String::as_str).take(MOST_NAMED).collect();
    text += &match named.as_slice() {
        [] => ", nor any other".to_owned(),
        named => format!(", only {}", named.join(", ")),
    };
    match listed.len() - named.len() {
        0 => text,
        more => format!("{text} and {more} more"),
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
        let reversed = strikes("26000..25000").unwrap_err();
        assert_eq!(reversed, "the range is reversed; write 25000..26000");
    }
}
