//! The serialised names of phases.

use kite_conn::Phase;
use serde::de::Error;
use serde::{Deserialize, Deserializer, Serializer};

const NAMES: [(Phase, &str); 6] = [
    (Phase::Opening, "opening"),
    (Phase::Renewing, "renewing"),
    (Phase::Live, "live"),
    (Phase::Waiting, "waiting"),
    (Phase::Parked, "parked"),
    (Phase::Closed, "closed"),
];

pub(super) fn serialize<S: Serializer>(phase: &Phase, serializer: S) -> Result<S::Ok, S::Error> {
    let name = NAMES.iter().find(|(named, _)| named == phase).map_or("closed", |(_, name)| name);
    serializer.serialize_str(name)
}

pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Phase, D::Error> {
    let name = String::deserialize(deserializer)?;
    let found = NAMES.iter().find(|(_, named)| *named == name).map(|(phase, _)| *phase);
    found.ok_or_else(|| D::Error::custom("unknown phase"))
}
