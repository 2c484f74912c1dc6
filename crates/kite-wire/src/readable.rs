//! Serde forms for people, for `#[serde(with = "…")]`.
//!
//! Beside the exact forms that the types have by themselves, which programs rely on:
//!
//! | module | type | form |
//! |---|---|---|
//! | [`price`] | [`Price`] | `"1573.70"`, with all decimals of the segment |
//! | [`unix_seconds`] | [`UnixSeconds`] | `"2026-11-23T09:15:00+05:30"` |
//! | [`unix_ns`] | `u64`, nanoseconds since the Unix epoch | `"2026-11-23T09:15:00.025+05:30"` |
//! | [`segment`] | [`Segment`] | `"NSE"`; a number, as a string, if the segment has no name |
//!
//! Each has a submodule `option` for `Option`s; add `default` if the field may be missing. All read
//! back what they write. Times are read in every layout of
//! [`IstDateTime`], and in Indian time if they have no offset.
//!
//! ```
//! use kite_wire::{Price, Segment, UnixSeconds, readable};
//!
//! #[derive(serde::Serialize)]
//! struct Row {
//!     #[serde(with = "readable::price")]
//!     last_price: Price,
//!     #[serde(with = "readable::segment")]
//!     segment: Segment,
//!     #[serde(with = "readable::unix_seconds::option")]
//!     exchange_time: Option<UnixSeconds>,
//! }
//!
//! let row = Row {
//!     last_price: Price::new(157_370, Segment::Nse),
//!     segment: Segment::Nse,
//!     exchange_time: Some(UnixSeconds(1_795_405_500)),
//! };
//! assert_eq!(
//!     serde_json::to_string(&row)?,
//!     r#"{"last_price":"1573.70","segment":"NSE","exchange_time":"2026-11-23T09:15:00+05:30"}"#
//! );
//! # Ok::<(), serde_json::Error>(())
//! ```

use core::fmt;
use core::marker::PhantomData;
use core::str::FromStr;

use serde::de::{self, Deserialize, Deserializer, Visitor};
use serde::ser::{Serialize, Serializer};

use crate::ist::{Iso, IstDateTime, TimestampError, layout};
use crate::price::Price;
use crate::segment::Segment;
use crate::time::UnixSeconds;

/// Reads a string and parses it.
pub(crate) fn read<'de, T, D>(deserializer: D, expected: &'static str) -> Result<T, D::Error>
where
    T: FromStr<Err: fmt::Display>,
    D: Deserializer<'de>,
{
    deserializer.deserialize_str(Text { expected, parsed: PhantomData })
}

struct Text<T> {
    expected: &'static str,
    parsed: PhantomData<T>,
}

impl<T: FromStr<Err: fmt::Display>> Visitor<'_> for Text<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.expected)
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<T, E> {
        text.parse().map_err(E::custom)
    }
}

/// Defines the module of a form, which a private type prints and parses.
macro_rules! form {
    ($(#[$doc:meta])* $name:ident, $type:ty, $form:ident, $expected:literal) => {
        impl Serialize for $form {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $form {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                read(deserializer, $expected)
            }
        }

        $(#[$doc])*
        pub mod $name {
            use super::*;

            /// Serialises the value as a string.
            ///
            /// # Errors
            /// Returns the serializer's error.
            pub fn serialize<S: Serializer>(
                value: &$type,
                serializer: S,
            ) -> Result<S::Ok, S::Error> {
                $form(*value).serialize(serializer)
            }

            /// Deserialises the value from a string.
            ///
            /// # Errors
            /// Returns an error if the string is not such a value.
            pub fn deserialize<'de, D: Deserializer<'de>>(
                deserializer: D,
            ) -> Result<$type, D::Error> {
                $form::deserialize(deserializer).map(|form| form.0)
            }

            /// The same for an `Option`.
            pub mod option {
                use super::*;

                /// Serialises the value as a string, or as none.
                ///
                /// # Errors
                /// Returns the serializer's error.
                pub fn serialize<S: Serializer>(
                    value: &Option<$type>,
                    serializer: S,
                ) -> Result<S::Ok, S::Error> {
                    value.map($form).serialize(serializer)
                }

                /// Deserialises the value from a string, or from none.
                ///
                /// # Errors
                /// Returns an error if there is a string that is not such a value.
                pub fn deserialize<'de, D: Deserializer<'de>>(
                    deserializer: D,
                ) -> Result<Option<$type>, D::Error> {
                    Option::<$form>::deserialize(deserializer).map(|form| form.map(|form| form.0))
                }
            }
        }
    };
}

form! {
    /// A [`Price`] as `"1573.70"`.
    price, Price, PriceText, "a price such as \"1573.70\""
}

form! {
    /// A [`Segment`] as `"NSE"`.
    segment, Segment, SegmentName, "a segment such as \"NSE\""
}

form! {
    /// A [`UnixSeconds`] as `"2026-11-23T09:15:00+05:30"`. Reading drops a fraction of a second.
    unix_seconds, UnixSeconds, IsoSeconds, "a time such as \"2026-11-23T09:15:00+05:30\""
}

form! {
    /// A `u64` of nanoseconds since the Unix epoch as `"2026-11-23T09:15:00.025+05:30"`, with 0, 3,
    /// 6 or 9 decimals of a second.
    unix_ns, u64, IsoNs, "a time such as \"2026-11-23T09:15:00.025+05:30\""
}

struct PriceText(Price);

impl fmt::Display for PriceText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for PriceText {
    type Err = crate::error::PriceError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse().map(Self)
    }
}

struct SegmentName(Segment);

impl fmt::Display for SegmentName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for SegmentName {
    type Err = crate::error::UnknownSegment;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse().map(Self)
    }
}

struct IsoSeconds(UnixSeconds);

impl fmt::Display for IsoSeconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Iso { at: self.0.into(), ns: 0 }.fmt(f)
    }
}

impl FromStr for IsoSeconds {
    type Err = TimeError;

    fn from_str(text: &str) -> Result<Self, TimeError> {
        let at: IstDateTime = text.parse()?;
        UnixSeconds::try_from(at).map(Self).map_err(|_| TimeError::OutOfRange)
    }
}

struct IsoNs(u64);

impl fmt::Display for IsoNs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Less than a second.
        let ns = (self.0 % 1_000_000_000) as u32;
        Iso { at: IstDateTime::from_unix_ns(self.0), ns }.fmt(f)
    }
}

impl FromStr for IsoNs {
    type Err = TimeError;

    fn from_str(text: &str) -> Result<Self, TimeError> {
        let (at, ns) = layout::read(text)?;
        let whole =
            u64::try_from(at.unix_seconds()).ok().and_then(|s| s.checked_mul(1_000_000_000));
        whole.and_then(|whole| whole.checked_add(ns.into())).map(Self).ok_or(TimeError::OutOfRange)
    }
}

/// Why a string is not a time of one of the forms.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
enum TimeError {
    #[error(transparent)]
    Unreadable(#[from] TimestampError),
    #[error("time is before 1970 or too late for the type of the field")]
    OutOfRange,
}
