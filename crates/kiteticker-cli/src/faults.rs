//! Parses and lists the simulator's faults.

use std::fmt::Write as _;

use kite_sim::{Fault, FaultError, FaultFamily, FaultKind, PlannedFault};
use serde_json::json;

/// Parses a fault and its time, such as `10s=half_open:3s`.
pub(crate) fn planned(text: &str) -> Result<PlannedFault, String> {
    text.parse().map_err(|error: FaultError| match error {
        FaultError::Kind { .. } => format!("{error}: kite sim --list-faults lists them"),
        _ => error.to_string(),
    })
}

/// Parses the updates per second of each instrument of the simulator.
pub(crate) fn rate(text: &str) -> Result<f64, String> {
    let rate = text.parse().ok().filter(|rate| (0.0..=1_000.0).contains(rate));
    rate.ok_or_else(|| "expected updates per second from 0 to 1,000, such as 2 or 0.5".to_owned())
}

/// Lists all faults, each with its value and a description.
pub(crate) fn list() -> String {
    let mut list = String::from(
        "Faults for `kite sim --fault WHEN=KIND[:VALUE]`. WHEN is a time after the start (10s)\n\
         or a handshake, counted from 1 (handshake2). Values in brackets are optional.\n",
    );
    for (family, heading) in [
        (FaultFamily::Socket, "On every open socket"),
        (FaultFamily::Handshake, "On the next handshake"),
        (FaultFamily::Tls, "On the next TLS handshake, or on the next request if there is no TLS"),
        (FaultFamily::Server, "On the whole server"),
    ] {
        // Writing to a `String` cannot fail.
        let _ = writeln!(list, "\n{heading}:");
        for kind in Fault::KINDS.iter().filter(|kind| kind.family() == family) {
            let value = kind.argument().map(|argument| format!("[:{}]", argument.name));
            let shown = format!("{kind}{}", value.unwrap_or_default());
            let _ = writeln!(list, "  {shown:<26} {}", kind.description());
        }
    }
    list
}

/// Returns all faults as JSON.
pub(crate) fn list_json() -> serde_json::Value {
    let one = |kind: &FaultKind| {
        json!({
            "kind": kind.name(),
            "family": format!("{:?}", kind.family()).to_lowercase(),
            "value": kind.argument().map(|argument| argument.wanted),
            "says": kind.description(),
        })
    };
    Fault::KINDS.iter().map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fault_of_the_simulator_is_listed() {
        for kind in Fault::KINDS {
            assert!(list().contains(&format!("  {kind}")));
        }
        assert_eq!(list_json().as_array().map(Vec::len), Some(Fault::KINDS.len()));
    }

    #[test]
    fn the_error_for_an_unknown_kind_says_how_to_list_them() {
        let error = planned("1s=rest").expect_err("no such kind");
        assert_eq!(error, "there is no fault \"rest\": kite sim --list-faults lists them");
    }
}
