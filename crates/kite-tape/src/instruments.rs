//! Notes of the instruments on a tape: what was subscribed, and the names of that day.
//!
//! The names come from the caller; where an instrument list is found, is not known here.

use bytes::Bytes;
use kite_wire::ist::Day;
use kite_wire::tape::RecordKind;
use kite_wire::{Amount, Mode};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// How every note of instruments begins.
const BEGINNING: &str = r#"{"event":"instruments","#;

/// Maximum length of a note in bytes; more instruments are split over several notes.
const MAX_NOTE_LEN: usize = 1 << 20;

/// A subscribed instrument, with its row of the instrument list if that is known.
///
/// The keys in a note are those of Kite's CSV, and `mode`:
///
/// ```
/// use kite_tape::InstrumentRow;
/// use kite_wire::Mode;
///
/// let mut row = InstrumentRow::new(408_065);
/// row.mode = Some(Mode::Full);
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct InstrumentRow {
    /// The number that identifies the instrument in ticks.
    pub instrument_token: u32,
    /// The mode in which it was subscribed, if known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<Mode>,
    /// The other columns of its row; `None` if its name is not known.
    #[serde(flatten)]
    pub listing: Option<Listing>,
}

/// The columns of a row of Kite's instrument list, except the instrument token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listing {
    /// The number that the exchange assigned.
    pub exchange_token: u32,
    /// The symbol, unique within the exchange.
    pub tradingsymbol: String,
    /// The company's name, or the underlying of a derivative.
    pub name: String,
    /// The last price when the list was created; not a source of prices.
    pub last_price: Amount,
    /// The day on which a derivative expires.
    #[serde(with = "optional_day")]
    pub expiry: Option<Day>,
    /// The strike of an option; 0 for other instruments.
    pub strike: Amount,
    /// The smallest price step; 0 for an index.
    pub tick_size: Amount,
    /// The number of units in one lot; 0 for an index.
    pub lot_size: u32,
    /// The type: `EQ`, `FUT`, `CE`, `PE`.
    pub instrument_type: String,
    /// The segment: `NSE`, `NFO-OPT`, `INDICES` and others.
    pub segment: String,
    /// The exchange.
    pub exchange: String,
}

impl InstrumentRow {
    /// Creates a row with the token alone.
    #[must_use]
    pub fn new(instrument_token: u32) -> Self {
        Self { instrument_token, mode: None, listing: None }
    }

    /// Returns the name of the instrument, such as `NSE:INFY`, if it is known.
    #[must_use]
    pub fn symbol(&self) -> Option<String> {
        let listing = self.listing.as_ref()?;
        Some(format!("{}:{}", listing.exchange, listing.tradingsymbol))
    }
}

/// A note of subscribed instruments; see [`Entry::instruments`](crate::Entry::instruments).
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct InstrumentsNote {
    /// When it was written, in nanoseconds since the Unix epoch. It holds for the records after it.
    pub recv_unix_ns: u64,
    /// The day in India of the names.
    pub date: Day,
    /// The instruments; a recording usually has several notes.
    pub rows: Vec<InstrumentRow>,
}

#[derive(Deserialize)]
struct Content {
    #[serde(deserialize_with = "day")]
    date: Day,
    rows: Vec<InstrumentRow>,
}

/// Returns whether a record is a note of instruments.
pub(crate) fn is_instruments(kind: RecordKind, payload: &[u8]) -> bool {
    kind == RecordKind::Event && payload.starts_with(BEGINNING.as_bytes())
}

/// Returns a note with only the rows that are kept; `None` if none is left. A note of which all are
/// kept, or that is invalid, stays as it is.
pub(crate) fn keep_rows(payload: &Bytes, keeps: impl Fn(u32) -> bool) -> Option<Bytes> {
    let Some(InstrumentsNote { date, rows, .. }) = InstrumentsNote::parse(0, payload) else {
        return Some(payload.clone());
    };
    let kept: Vec<_> = rows.iter().filter(|row| keeps(row.instrument_token)).collect();
    if kept.len() == rows.len() {
        return Some(payload.clone());
    }
    // Fewer rows never need more than one note.
    notes(date, kept).pop().map(Bytes::from)
}

impl InstrumentsNote {
    /// Parses the payload of a note; `None` if it is another note or invalid.
    pub(crate) fn parse(recv_unix_ns: u64, payload: &[u8]) -> Option<Self> {
        if !payload.starts_with(BEGINNING.as_bytes()) {
            return None;
        }
        let Content { date, rows } = serde_json::from_slice(payload).ok()?;
        Some(Self { recv_unix_ns, date, rows })
    }
}

/// Writes the notes of instruments whose names are of one day.
pub(crate) fn notes<'a>(
    date: Day,
    rows: impl IntoIterator<Item = &'a InstrumentRow>,
) -> Vec<String> {
    let begin = || format!(r#"{BEGINNING}"date":"{date}","rows":["#);
    let (mut notes, mut note, mut is_empty) = (Vec::new(), begin(), true);
    let room = MAX_NOTE_LEN - note.len() - "]}".len();
    for row in rows {
        let Some(text) = json(row, room) else { continue };
        if note.len() + ",".len() + text.len() + "]}".len() > MAX_NOTE_LEN {
            notes.push(std::mem::replace(&mut note, begin()) + "]}");
            is_empty = true;
        }
        if !std::mem::replace(&mut is_empty, false) {
            note.push(',');
        }
        note.push_str(&text);
    }
    if !is_empty {
        notes.push(note + "]}");
    }
    notes
}

/// Returns a row in JSON, without its names if they are too long for a note.
fn json(row: &InstrumentRow, room: usize) -> Option<String> {
    let text = serde_json::to_string(row).ok().filter(|text| text.len() <= room);
    text.or_else(|| serde_json::to_string(&InstrumentRow { listing: None, ..row.clone() }).ok())
}

/// Parses `YYYY-MM-DD`.
fn parse_day(text: &str) -> Option<Day> {
    let mut parts = text.splitn(3, '-');
    let (year, month, date) = (parts.next()?, parts.next()?, parts.next()?);
    Day::from_date(year.parse().ok()?, month.parse().ok()?, date.parse().ok()?)
}

fn valid_day<E: serde::de::Error>(text: &str) -> Result<Day, E> {
    parse_day(text).ok_or_else(|| E::custom(format_args!("{text:?} is not a date")))
}

fn day<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Day, D::Error> {
    valid_day(&String::deserialize(deserializer)?)
}

/// A day as `2026-11-23`, or null.
mod optional_day {
    use super::{Day, Deserialize, Deserializer, Serialize, Serializer, valid_day};

    pub(super) fn serialize<S: Serializer>(
        day: &Option<Day>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        day.as_ref().map(ToString::to_string).serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<Day>, D::Error> {
        Option::<String>::deserialize(deserializer)?.map(|text| valid_day(&text)).transpose()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn future() -> InstrumentRow {
        let listing = Listing {
            exchange_token: 50_821,
            tradingsymbol: "NIFTY26NOVFUT".into(),
            name: "NIFTY".into(),
            last_price: Amount::ZERO,
            expiry: Day::from_date(2026, 11, 26),
            strike: Amount::ZERO,
            tick_size: "0.05".parse().unwrap(),
            lot_size: 75,
            instrument_type: "FUT".into(),
            segment: "NFO-FUT".into(),
            exchange: "NFO".into(),
        };
        InstrumentRow {
            mode: Some(Mode::Full),
            listing: Some(listing),
            ..InstrumentRow::new(13_010_178)
        }
    }

    fn date() -> Day {
        Day::from_date(2026, 11, 23).unwrap()
    }

    #[test]
    fn a_note_has_the_keys_of_kites_list() {
        let notes = notes(date(), &[future(), InstrumentRow::new(5_633)]);
        assert_eq!(
            notes,
            [concat!(
                r#"{"event":"instruments","date":"2026-11-23","rows":["#,
                r#"{"instrument_token":13010178,"mode":"full","exchange_token":50821,"#,
                r#""tradingsymbol":"NIFTY26NOVFUT","name":"NIFTY","last_price":"0","#,
                r#""expiry":"2026-11-26","strike":"0","tick_size":"0.05","lot_size":75,"#,
                r#""instrument_type":"FUT","segment":"NFO-FUT","exchange":"NFO"},"#,
                r#"{"instrument_token":5633}]}"#
            )]
        );
        let parsed = InstrumentsNote::parse(7, notes[0].as_bytes()).unwrap();
        assert_eq!((parsed.recv_unix_ns, parsed.date), (7, date()));
        assert_eq!(parsed.rows, [future(), InstrumentRow::new(5_633)]);
        assert_eq!(parsed.rows[0].symbol().as_deref(), Some("NFO:NIFTY26NOVFUT"));
        assert_eq!(parsed.rows[1].symbol(), None);
    }

    #[test]
    fn many_instruments_are_split_over_notes_of_at_most_a_mebibyte() {
        let rows: Vec<_> = (0..9_000)
            .map(|number| InstrumentRow { instrument_token: number, ..future() })
            .collect();
        let notes = notes(date(), &rows);
        assert!(notes.len() > 1);
        assert!(notes.iter().all(|note| note.len() <= MAX_NOTE_LEN));
        let parsed: Vec<_> = notes
            .iter()
            .flat_map(|note| InstrumentsNote::parse(0, note.as_bytes()).unwrap().rows)
            .collect();
        assert_eq!(parsed, rows);
    }

    #[test]
    fn a_name_too_long_for_a_note_is_left_out_and_its_token_is_not() {
        let mut row = future();
        row.listing.as_mut().unwrap().name = "x".repeat(MAX_NOTE_LEN);
        let notes = notes(date(), &[row, future()]);
        let parsed = InstrumentsNote::parse(0, notes[0].as_bytes()).unwrap();
        assert_eq!(parsed.rows[0].listing, None);
        assert_eq!(parsed.rows[1], future());
    }

    #[test]
    fn other_notes_and_invalid_ones_are_ignored() {
        for other in [
            r#"{"event":"up","epoch":1}"#,
            r#"{"event":"instruments","date":"2026-02-30","rows":[]}"#,
            r#"{"event":"instruments","date":"2026-11-23","rows":[{"instrument_token":-1}]}"#,
            r#"{"event":"instruments","date":"2026-11-23""#,
        ] {
            assert_eq!(InstrumentsNote::parse(0, other.as_bytes()), None, "{other}");
        }
        let later = r#"{"event":"instruments","date":"2026-11-23","rows":[{"instrument_token":1,"isin":"x"}]}"#;
        assert_eq!(InstrumentsNote::parse(0, later.as_bytes()).unwrap().rows.len(), 1);
    }
}
