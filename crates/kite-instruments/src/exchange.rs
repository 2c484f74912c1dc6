//! The exchanges and instrument types that the list names.

use std::fmt;

/// Maximum length in bytes of a name that this crate does not know.
const MAX_NAME_BYTES: usize = 15;

/// The exchange that a trading symbol belongs to, the last column of the list.
///
/// A symbol is unique within its exchange. This is not the segment of the feed
/// ([`kite_wire::Segment`]), which [`Instrument::wire_segment`](crate::Instrument::wire_segment)
/// returns.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Exchange {
    /// National Stock Exchange: equities and indices.
    Nse,
    /// Bombay Stock Exchange: equities and indices.
    Bse,
    /// NSE futures and options.
    Nfo,
    /// BSE futures and options.
    Bfo,
    /// NSE currency derivatives.
    Cds,
    /// BSE currency derivatives.
    Bcd,
    /// Multi Commodity Exchange.
    Mcx,
    /// NSE commodities.
    Nco,
    /// NSE International Exchange (GIFT City): indices.
    NseIx,
    /// Indices from other countries.
    Global,
    /// An exchange that this crate does not know.
    Other(UnnamedText),
}

/// The type of an instrument, the tenth column of the list.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum InstrumentType {
    /// An equity, fund or bond, or an index (its segment is then `INDICES`).
    Eq,
    /// A future.
    Fut,
    /// A call option (European).
    Ce,
    /// A put option (European).
    Pe,
    /// A type that this crate does not know.
    Other(UnnamedText),
}

/// The name of an exchange or type that this crate does not know, at most 15 bytes.
///
/// Created only by parsing, so a known name is never an `Other`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UnnamedText {
    bytes: [u8; MAX_NAME_BYTES],
    len: u8,
}

impl UnnamedText {
    fn new(text: &str) -> Option<Self> {
        let mut bytes = [0; MAX_NAME_BYTES];
        bytes.get_mut(..text.len())?.copy_from_slice(text.as_bytes());
        Some(Self { bytes, len: u8::try_from(text.len()).ok()? })
    }

    /// Returns the name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.bytes[..usize::from(self.len)]).unwrap_or_default()
    }
}

/// Implements parsing, `as_str` and `Display` for a type by its names.
macro_rules! named {
    ($type:ident, $what:literal, $($variant:ident = $name:literal),+) => {
        impl $type {
            /// Parses a name as the list writes it, ignoring case. An unknown name becomes
            /// `Other`; `None` if it is longer than 15 bytes.
            #[must_use]
            pub fn from_name(name: &str) -> Option<Self> {
                $(if name.eq_ignore_ascii_case($name) { return Some(Self::$variant); })+
                UnnamedText::new(name).map(Self::Other)
            }

            #[doc = concat!("Returns the ", $what, "'s name as the list writes it.")]
            #[must_use]
            pub fn as_str(&self) -> &str {
                match self {
                    $(Self::$variant => $name,)+
                    Self::Other(unnamed) => unnamed.as_str(),
                }
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(self.as_str())
            }
        }
    };
}

named!(
    Exchange,
    "exchange",
    Nse = "NSE",
    Bse = "BSE",
    Nfo = "NFO",
    Bfo = "BFO",
    Cds = "CDS",
    Bcd = "BCD",
    Mcx = "MCX",
    Nco = "NCO",
    NseIx = "NSEIX",
    Global = "GLOBAL"
);
named!(InstrumentType, "type", Eq = "EQ", Fut = "FUT", Ce = "CE", Pe = "PE");

impl InstrumentType {
    /// Returns whether this is an option (a call or a put).
    #[must_use]
    pub const fn is_option(&self) -> bool {
        matches!(self, Self::Ce | Self::Pe)
    }
}

impl fmt::Debug for UnnamedText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_str().fmt(f)
    }
}

impl fmt::Debug for Exchange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for InstrumentType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_parse_back_ignoring_case() {
        for name in ["NSE", "BSE", "NFO", "BFO", "CDS", "BCD", "MCX", "NCO", "NSEIX", "GLOBAL"] {
            let exchange = Exchange::from_name(name).unwrap();
            assert!(!matches!(exchange, Exchange::Other(_)), "{name}");
            assert_eq!(exchange.to_string(), name);
            assert_eq!(Exchange::from_name(&name.to_lowercase()), Some(exchange));
        }
        assert_eq!(InstrumentType::from_name("ce"), Some(InstrumentType::Ce));
        assert_eq!(format!("[{:>4}]", InstrumentType::Pe), "[  PE]");
    }

    #[test]
    fn unknown_names_are_kept_as_they_are() {
        let exchange = Exchange::from_name("NEWEX").unwrap();
        assert!(matches!(exchange, Exchange::Other(_)));
        assert_eq!(exchange.as_str(), "NEWEX");
        assert_eq!(Exchange::from_name("पन्द्रह").map(|e| e.to_string()), None, "21 bytes");
        assert_eq!(InstrumentType::from_name("ABCDEFGHIJKLMNO").unwrap().as_str().len(), 15);
        assert_eq!(InstrumentType::from_name("ABCDEFGHIJKLMNOP"), None);
    }
}
