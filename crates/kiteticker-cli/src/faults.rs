//! Parses and lists the simulator's faults, and reports those without effect.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use kite_sim::{Fault, FaultError, FaultFamily, FaultKind, PlannedFault, SimStats};
use serde_json::json;

use crate::console::output::Output;

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

/// Warns of faults that were due when no client was connected.
#[derive(Debug)]
pub(crate) struct MissedFaults {
    /// Number of accounts; each has the same faults.
    accounts: usize,
    reported: BTreeMap<FaultKind, u64>,
}

impl MissedFaults {
    /// Creates one for a simulator with this many accounts.
    pub(crate) fn new(accounts: usize) -> Self {
        Self { accounts, reported: BTreeMap::new() }
    }

    /// Prints a warning for each kind that was missed since the last call.
    pub(crate) fn report(&mut self, stats: &SimStats, output: Output) {
        self.warnings(&stats.missed_faults).iter().for_each(|text| output.warn(text));
    }

    fn warnings(&mut self, missed: &BTreeMap<FaultKind, u64>) -> Vec<String> {
        let is_new = |(kind, count): &(&FaultKind, &u64)| self.reported.get(kind) != Some(count);
        let text = |(kind, _): (&FaultKind, &u64)| match self.accounts {
            1 => format!("no client is connected: the fault {kind} has no effect"),
            _ => format!(
                "no client of an account is connected: the fault {kind} has no effect on it"
            ),
        };
        let warnings = missed.iter().filter(is_new).map(text).collect();
        self.reported.clone_from(missed);
        warnings
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_missed_fault_is_reported_once() {
        let mut missed = MissedFaults::new(1);
        let mut counts = BTreeMap::from([(FaultKind::Order, 1)]);
        let order = ["no client is connected: the fault order has no effect"];
        assert_eq!(missed.warnings(&counts), order);
        assert!(missed.warnings(&counts).is_empty());
        counts.insert(FaultKind::Order, 2);
        assert_eq!(missed.warnings(&counts), order);
        let of_two = MissedFaults::new(2).warnings(&counts);
        let text = "no client of an account is connected: the fault order has no effect on it";
        assert_eq!(of_two, [text]);
    }

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
