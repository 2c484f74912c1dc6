//! An order's status, side and validity under their old names; unknown values are kept.

use std::fmt;

use kite_wire::order;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

macro_rules! words {
    ($(#[$meta:meta])* $name:ident, $wire:ty { $($(#[$doc:meta])* $variant:ident = $word:literal,)+ }) => {
        $(#[$meta])*
        ///
        /// Serde uses the wire's string. Create one with `From<&str>`, which recognises the known
        /// values.
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $name {
            $(
                $(#[$doc])*
                #[doc = concat!("On the wire: `", $word, "`.")]
                $variant,
            )+
            /// Any other value, as received; empty if it is missing or unreadable.
            Other(String),
        }

        impl $name {
            /// Returns the string used on the wire.
            #[must_use]
            pub fn as_str(&self) -> &str {
                match self {
                    $(Self::$variant => $word,)+
                    Self::Other(word) => word,
                }
            }
        }

        impl From<&str> for $name {
            fn from(word: &str) -> Self {
                match word {
                    $($word => Self::$variant,)+
                    other => Self::Other(other.to_owned()),
                }
            }
        }

        impl From<&$wire> for $name {
            fn from(word: &$wire) -> Self {
                Self::from(word.as_str())
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(self.as_str())
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.as_str())
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer).map(|word| Self::from(word.as_str()))
            }
        }
    };
}

words! {
    /// The status of an order.
    ///
    /// Statuses that appear only in the order history are `Other`; `kite_wire::order::OrderStatus`
    /// names them all.
    OrderStatus, order::OrderStatus {
        /// Completely filled.
        COMPLETE = "COMPLETE",
        /// Rejected by the broker or the exchange.
        REJECTED = "REJECTED",
        /// Cancelled, by the user or at the end of its validity.
        CANCELLED = "CANCELLED",
        /// An open order changed, for example by a partial fill.
        UPDATE = "UPDATE",
        /// Open at the exchange.
        OPEN = "OPEN",
    }
}

words! {
    /// The side of an order.
    OrderTransactionType, order::TransactionType {
        /// Buy.
        Buy = "BUY",
        /// Sell.
        Sell = "SELL",
    }
}

words! {
    /// The validity of an order.
    OrderValidity, order::Validity {
        /// Until the end of the trading day.
        DAY = "DAY",
        /// Immediate or cancel.
        IOC = "IOC",
        /// For a number of minutes.
        TTL = "TTL",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_and_unknown_words_survive_a_round_trip() {
        let statuses =
            ["COMPLETE", "REJECTED", "CANCELLED", "UPDATE", "OPEN", "TRIGGER PENDING", "", "x"];
        for word in statuses {
            let status = OrderStatus::from(&order::OrderStatus::from(word));
            assert_eq!(status.to_string(), word);
            assert_eq!(
                matches!(status, OrderStatus::Other(_)),
                !statuses[..5].contains(&word),
                "{word}"
            );
            let json = serde_json::to_value(&status).unwrap();
            assert_eq!(json, word);
            assert_eq!(serde_json::from_value::<OrderStatus>(json).unwrap(), status);
        }
        assert_eq!(OrderTransactionType::from("BUY"), OrderTransactionType::Buy);
        assert_eq!(OrderTransactionType::from("SELL"), OrderTransactionType::Sell);
        assert_eq!(OrderTransactionType::from("Buy"), OrderTransactionType::Other("Buy".into()));
        assert_eq!(OrderValidity::from("DAY"), OrderValidity::DAY);
        assert_eq!(OrderValidity::from("IOC"), OrderValidity::IOC);
        assert_eq!(OrderValidity::from("TTL"), OrderValidity::TTL);
        assert_eq!(OrderValidity::from("GTT"), OrderValidity::Other("GTT".into()));
    }
}
