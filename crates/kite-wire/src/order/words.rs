//! Order fields with a set of known words that Kite extends without notice.
//!
//! Each enum has a variant for every documented or observed word and keeps any other word as
//! received. Matching is exact: Kite sends upper case.

use alloc::{borrow::ToOwned, string::String};
use core::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

macro_rules! words {
    ($(#[$meta:meta])* $name:ident { $($(#[$doc:meta])* $variant:ident = $word:literal,)+ }) => {
        $(#[$meta])*
        ///
        /// Create it with `From`, because an `Other` that holds a known word is not equal to the
        /// variant of that word. Serde uses the word as on the wire.
        #[derive(Clone, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum $name {
            $(
                $(#[$doc])*
                #[doc = concat!("On the wire: `", $word, "`.")]
                $variant,
            )+
            /// Any other word, as received.
            Other(String),
        }

        impl $name {
            /// Returns the word as on the wire.
            #[must_use]
            pub fn as_str(&self) -> &str {
                match self {
                    $(Self::$variant => $word,)+
                    Self::Other(word) => word,
                }
            }

            fn known(word: &str) -> Option<Self> {
                match word {
                    $($word => Some(Self::$variant),)+
                    _ => None,
                }
            }
        }

        impl From<&str> for $name {
            fn from(word: &str) -> Self {
                Self::known(word).unwrap_or_else(|| Self::Other(word.to_owned()))
            }
        }

        impl From<String> for $name {
            fn from(word: String) -> Self {
                Self::known(&word).unwrap_or(Self::Other(word))
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
                String::deserialize(deserializer).map(Self::from)
            }
        }
    };
}

words! {
    /// Status of an order.
    OrderStatus {
        /// Filled completely.
        Complete = "COMPLETE",
        /// Rejected by the broker or the exchange.
        Rejected = "REJECTED",
        /// Cancelled, by the user or at the end of its validity.
        Cancelled = "CANCELLED",
        /// Something about an open order changed, for instance a partial fill or a modification.
        Update = "UPDATE",
        /// Waiting at the exchange.
        Open = "OPEN",
        /// Received by the broker (order history only).
        PutOrderReqReceived = "PUT ORDER REQ RECEIVED",
        /// Before the broker's checks (order history only).
        ValidationPending = "VALIDATION PENDING",
        /// On its way to the exchange (order history only).
        OpenPending = "OPEN PENDING",
        /// A modification before the broker's checks (order history only).
        ModifyValidationPending = "MODIFY VALIDATION PENDING",
        /// A modification on its way to the exchange (order history only).
        ModifyPending = "MODIFY PENDING",
        /// Modified (order history only).
        Modified = "MODIFIED",
        /// A modification was rejected (order history only).
        NotModified = "NOT MODIFIED",
        /// Waiting for its trigger price.
        TriggerPending = "TRIGGER PENDING",
        /// A cancellation on its way to the exchange (order history only).
        CancelPending = "CANCEL PENDING",
        /// An after-market order received (order history only).
        AmoReqReceived = "AMO REQ RECEIVED",
    }
}

impl OrderStatus {
    /// Returns whether the status is final: complete, rejected or cancelled.
    #[must_use]
    pub fn is_final(&self) -> bool {
        matches!(self, Self::Complete | Self::Rejected | Self::Cancelled)
    }
}

words! {
    /// The side of an order.
    TransactionType {
        /// A purchase.
        Buy = "BUY",
        /// A sale.
        Sell = "SELL",
    }
}

words! {
    /// Validity of an order.
    Validity {
        /// Until the end of the trading day.
        Day = "DAY",
        /// Filled immediately or cancelled.
        Ioc = "IOC",
        /// For a number of minutes, which [`validity_ttl`](super::Order::validity_ttl) holds.
        Ttl = "TTL",
    }
}

#[cfg(test)]
mod tests {
    use alloc::{format, string::ToString};

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_documented_status_is_known_and_round_trips() {
        let words = [
            "COMPLETE",
            "REJECTED",
            "CANCELLED",
            "UPDATE",
            "OPEN",
            "PUT ORDER REQ RECEIVED",
            "VALIDATION PENDING",
            "OPEN PENDING",
            "MODIFY VALIDATION PENDING",
            "MODIFY PENDING",
            "MODIFIED",
            "NOT MODIFIED",
            "TRIGGER PENDING",
            "CANCEL PENDING",
            "AMO REQ RECEIVED",
        ];
        for word in words {
            let status = OrderStatus::from(word);
            assert!(!matches!(status, OrderStatus::Other(_)), "{word}");
            assert_eq!(status.to_string(), word);
            let json = serde_json::to_string(&status).unwrap();
            assert_eq!(json, format!("\"{word}\""));
            assert_eq!(serde_json::from_str::<OrderStatus>(&json).unwrap(), status);
        }
    }

    #[test]
    fn only_three_statuses_are_final() {
        for word in ["COMPLETE", "REJECTED", "CANCELLED"] {
            assert!(OrderStatus::from(word).is_final(), "{word}");
        }
        for word in ["OPEN", "UPDATE", "CANCEL PENDING", "complete"] {
            assert!(!OrderStatus::from(word).is_final(), "{word}");
        }
    }

    #[test]
    fn sides_and_validities_are_known() {
        assert_eq!(TransactionType::from("BUY"), TransactionType::Buy);
        assert_eq!(TransactionType::from("SELL"), TransactionType::Sell);
        assert_eq!(Validity::from("DAY"), Validity::Day);
        assert_eq!(Validity::from("IOC"), Validity::Ioc);
        assert_eq!(Validity::from("TTL"), Validity::Ttl);
        assert_eq!(Validity::from("GTT"), Validity::Other("GTT".into()));
    }

    proptest! {
        #[test]
        fn any_word_round_trips(word in any::<String>()) {
            let status = OrderStatus::from(word.as_str());
            prop_assert_eq!(status.as_str(), word.as_str());
            let json = serde_json::to_value(&status).unwrap();
            prop_assert_eq!(&json, &serde_json::Value::from(word));
            prop_assert_eq!(serde_json::from_value::<OrderStatus>(json).unwrap(), status);
        }
    }
}
