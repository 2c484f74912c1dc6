//! Selects instruments by criteria.

use std::ops::{Bound, RangeBounds};

use kite_wire::Amount;

use crate::date::Date;
use crate::exchange::{Exchange, InstrumentType};
use crate::instrument::Instrument;
use crate::instruments::Instruments;
use crate::list::{List, Row};

/// Criteria for selecting instruments. All of them must hold; an empty filter selects everything.
///
/// ```
/// use kite_instruments::{Amount, Date, Exchange, Filter, InstrumentType};
///
/// // Calls on NIFTY around 24,500, of the next expiry.
/// let calls = Filter::new()
///     .exchange(Exchange::Nfo)
///     .instrument_type(InstrumentType::Ce)
///     .name("NIFTY")
///     .nearest_expiry(Date::today_in_india())
///     .strikes(Amount::from(24_000)..=Amount::from(25_000));
/// # let _ = calls;
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub struct Filter {
    exchange: Option<Exchange>,
    segment: Option<String>,
    instrument_type: Option<InstrumentType>,
    name: Option<String>,
    expires_from: Option<Date>,
    expires_until: Option<Date>,
    nearest_from: Option<Date>,
    strikes: Option<(Bound<Amount>, Bound<Amount>)>,
}

impl Default for Filter {
    fn default() -> Self {
        Self::new()
    }
}

impl Filter {
    /// Selects all instruments.
    pub const fn new() -> Self {
        Self {
            exchange: None,
            segment: None,
            instrument_type: None,
            name: None,
            expires_from: None,
            expires_until: None,
            nearest_from: None,
            strikes: None,
        }
    }

    /// Selects instruments of an exchange.
    pub fn exchange(self, exchange: Exchange) -> Self {
        Self { exchange: Some(exchange), ..self }
    }

    /// Selects instruments of a segment as the list names it (`NFO-OPT`, `INDICES`), ignoring case.
    pub fn segment(self, segment: impl Into<String>) -> Self {
        Self { segment: Some(segment.into()), ..self }
    }

    /// Selects instruments of a type. Indices also have the type `EQ`; their segment is `INDICES`.
    pub fn instrument_type(self, instrument_type: InstrumentType) -> Self {
        Self { instrument_type: Some(instrument_type), ..self }
    }

    /// Selects instruments with this name, ignoring case. For derivatives it is the underlying,
    /// such as `NIFTY`.
    pub fn name(self, name: impl Into<String>) -> Self {
        Self { name: Some(name.into()), ..self }
    }

    /// Selects instruments that expire on `day`.
    pub fn expiry(self, day: Date) -> Self {
        self.expiry_from(day).expiry_until(day)
    }

    /// Selects instruments that expire on `day` or later, excluding those that never expire.
    pub fn expiry_from(self, day: Date) -> Self {
        Self { expires_from: Some(day), ..self }
    }

    /// Selects instruments that expire on `day` or earlier, excluding those that never expire.
    pub fn expiry_until(self, day: Date) -> Self {
        Self { expires_until: Some(day), ..self }
    }

    /// Selects the nearest expiry, which is the earliest day, not before `not_before`, on which any
    /// instrument that meets all other criteria expires.
    pub fn nearest_expiry(self, not_before: Date) -> Self {
        Self { nearest_from: Some(not_before), ..self }
    }

    /// Selects options with a strike in `range`, excluding everything that is not an option.
    pub fn strikes(self, range: impl RangeBounds<Amount>) -> Self {
        Self { strikes: Some((range.start_bound().cloned(), range.end_bound().cloned())), ..self }
    }

    /// Returns for each class of the list whether its rows can match.
    fn classes(&self, list: &List) -> Vec<bool> {
        let may = |class: &crate::list::Class| {
            self.exchange.is_none_or(|exchange| exchange == class.exchange)
                && self.instrument_type.is_none_or(|kind| kind == class.instrument_type)
                && self
                    .segment
                    .as_ref()
                    .is_none_or(|segment| segment.eq_ignore_ascii_case(list.text(class.segment)))
                && (self.strikes.is_none() || class.instrument_type.is_option())
        };
        list.classes.iter().map(may).collect()
    }

    /// Returns whether a row meets the criteria that its class does not cover.
    fn takes(&self, list: &List, row: &Row) -> bool {
        let until = |day| self.expires_until.is_none_or(|last| day <= last);
        let from = |day| self.expires_from.max(self.nearest_from).is_none_or(|first| day >= first);
        let expires = match row.expiry {
            Some(day) => from(day) && until(day),
            None => {
                self.expires_from.is_none()
                    && self.expires_until.is_none()
                    && self.nearest_from.is_none()
            }
        };
        expires
            && self.strikes.is_none_or(|range| range.contains(&Amount::from(row.strike)))
            && self.name.as_ref().is_none_or(|name| name.eq_ignore_ascii_case(list.text(row.name)))
    }
}

impl Instruments {
    /// Iterates over the instruments that match a filter, in the order of the file.
    ///
    /// # Examples
    /// ```
    /// # use kite_instruments::{Filter, Instruments, InstrumentType};
    /// # fn options(instruments: &Instruments) {
    /// let puts = Filter::new().name("NIFTY").instrument_type(InstrumentType::Pe);
    /// let tokens: Vec<u32> = instruments.filter(&puts).map(|put| put.instrument_token).collect();
    /// # }
    /// ```
    pub fn filter<'a>(&'a self, filter: &Filter) -> impl Iterator<Item = Instrument<'a>> + use<'a> {
        let list = self.list();
        let classes = filter.classes(list);
        let mut filter = filter.clone();
        let takes = |classes: &[bool], filter: &Filter, row: &Row| {
            classes.get(row.class as usize) == Some(&true) && filter.takes(list, row)
        };
        if filter.nearest_from.is_some() {
            let chosen = list.rows.iter().filter(|row| takes(&classes, &filter, row));
            let nearest = chosen.filter_map(|row| row.expiry).min();
            // If none expires that late, the filter already matches nothing.
            if let Some(day) = nearest {
                filter = filter.expiry(day);
            }
        }
        let chosen = list.rows.iter().filter(move |row| takes(&classes, &filter, row));
        chosen.map(|row| self.view(row))
    }
}
