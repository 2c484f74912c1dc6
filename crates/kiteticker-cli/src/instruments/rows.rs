//! Rows of the instrument list, as tapes note them.

use kite_instruments::{Instrument, Instruments};
use kite_tape::{InstrumentRow, Listing};
use kite_wire::Mode;
use kite_wire::ist::Day;

use crate::instruments::names::Names;

/// Returns what a recorder notes of subscribed instruments.
pub(crate) fn to_note(instruments: Vec<(u32, Mode)>, names: &Names) -> Vec<InstrumentRow> {
    let row = |(token, mode)| {
        let mut row = InstrumentRow::new(token);
        row.mode = Some(mode);
        row.listing = names.instrument(token).map(|one| listing(&one));
        row
    };
    instruments.into_iter().map(row).collect()
}

/// Returns the columns of an instrument. Missing numbers are 0, as in Kite's list.
fn listing(one: &Instrument<'_>) -> Listing {
    Listing {
        exchange_token: one.exchange_token.unwrap_or(0),
        tradingsymbol: one.tradingsymbol.to_owned(),
        name: one.name.to_owned(),
        last_price: one.last_price.unwrap_or_default(),
        expiry: one.expiry.and_then(|date| Day::from_unix_days(date.days().into())),
        strike: one.strike.unwrap_or_default(),
        tick_size: one.tick_size.unwrap_or_default(),
        lot_size: one.lot_size.unwrap_or(0),
        instrument_type: one.instrument_type.to_string(),
        segment: one.segment.to_owned(),
        exchange: one.exchange.to_string(),
    }
}

/// Returns the names in notes as a list; `None` if they have none. Of two rows of an instrument, the
/// later one counts.
pub(super) fn list<'a>(
    rows: impl DoubleEndedIterator<Item = &'a InstrumentRow>,
) -> Option<Instruments> {
    let mut csv = String::from(HEADER);
    // A list keeps the first row of an instrument.
    for row in rows.rev() {
        let Some(one) = &row.listing else { continue };
        let expiry = one.expiry.map(|day| day.to_string()).unwrap_or_default();
        csv += &format!(
            "{},{},{},{},{},{expiry},{},{},{},{},{},{}\n",
            row.instrument_token,
            one.exchange_token,
            quoted(&one.tradingsymbol),
            quoted(&one.name),
            one.last_price,
            one.strike,
            one.tick_size,
            one.lot_size,
            quoted(&one.instrument_type),
            quoted(&one.segment),
            quoted(&one.exchange),
        );
    }
    let loaded = Instruments::from_csv(csv).ok()?;
    (!loaded.instruments.is_empty()).then_some(loaded.instruments)
}

/// The header of Kite's CSV.
pub(super) const HEADER: &str = "instrument_token,exchange_token,tradingsymbol,name,last_price,expiry,strike,\
                      tick_size,lot_size,instrument_type,segment,exchange\n";

/// Quotes a cell of CSV. A line break would end the row, so it becomes a space.
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace(['\r', '\n'], " ").replace('"', "\"\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_comes_back_from_its_notes() {
        let csv = format!(
            "{HEADER}9604354,37517,NIFTY26DEC24500CE,\"A \"\"B\"\", C\",0.05,2026-12-29,24500.5,\
             0.05,75,CE,NFO-OPT,NFO\n408065,1594,INFY,,0,,0,0,0,EQ,NSE,NSE\n"
        );
        let list = Instruments::from_csv(csv).unwrap().instruments;
        let names = Names::of_today(Some(list.clone()));
        let subscribed = [9_604_354, 408_065, 999_424].map(|token| (token, Mode::Quote));
        let noted = to_note(subscribed.to_vec(), &names);
        assert!(noted.iter().all(|row| row.mode == Some(Mode::Quote)));
        assert_eq!(noted[2].listing, None);
        let back = super::list(noted.iter()).unwrap();
        assert_eq!(back.len(), 2);
        for token in [9_604_354, 408_065] {
            assert_eq!(back.by_token(token), list.by_token(token));
        }
        assert!(super::list(noted[2..].iter()).is_none());
    }
}
