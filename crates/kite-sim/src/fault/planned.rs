//! A fault and when it strikes, as text: `10s=half_open:3s`, `handshake2=refusal:503`.

use std::str::FromStr;
use std::time::Duration;

use super::argument::read_time;
use super::script::FaultScript;
use super::{Fault, FaultError, split};

/// A fault and when it strikes, for a [`FaultScript`].
///
/// Parsed from `WHEN=KIND` or `WHEN=KIND:VALUE`. `WHEN` is a time after the script's start, or
/// `handshake` and its number, counted from 1. The value is the fault's own or, for a lasting fault
/// without one, the time until the sockets are healed.
///
/// ```
/// use kite_sim::{API_KEY, FaultScript, PlannedFault, Sim};
///
/// let planned: PlannedFault = "10s=half_open:3s".parse()?;
/// let builder = Sim::builder().script(FaultScript::new(API_KEY).plan(&planned));
/// # Ok::<(), kite_sim::FaultError>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct PlannedFault {
    when: When,
    fault: Fault,
    /// For a lasting fault, the time until the sockets are healed.
    heal: Option<Duration>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum When {
    After(Duration),
    Handshake(u64),
}

impl FromStr for PlannedFault {
    type Err = FaultError;

    fn from_str(text: &str) -> Result<Self, FaultError> {
        let (when, fault) = text.split_once('=').ok_or(FaultError::Form)?;
        let when = when.parse()?;
        let (kind, value) = split(fault)?;
        let (heal, value) = match value {
            Some(text) if kind.takes_time_to_heal() => {
                (Some(read_time(text).ok_or_else(|| kind.wrong_value(value))?), None)
            }
            value => (None, value),
        };
        Ok(Self { when, fault: kind.with_value(value)?, heal })
    }
}

impl FromStr for When {
    type Err = FaultError;

    fn from_str(text: &str) -> Result<Self, FaultError> {
        let when = match text.strip_prefix("handshake") {
            Some(number) => number.parse().ok().filter(|&number| number > 0).map(Self::Handshake),
            None => read_time(text).map(Self::After),
        };
        when.ok_or_else(|| FaultError::When { when: text.to_owned() })
    }
}

impl FaultScript {
    /// Adds a fault at its time or handshake, and its healing if it has one.
    #[must_use]
    pub fn plan(self, planned: &PlannedFault) -> Self {
        let PlannedFault { when, fault, heal } = planned.clone();
        match (when, heal) {
            (When::Handshake(number), _) => self.on_handshake(number, fault),
            (When::After(time), None) => self.after(time, fault),
            (When::After(time), Some(heal)) => {
                self.after(time, fault).heal_after(time.saturating_add(heal))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn planned(text: &str) -> Result<PlannedFault, FaultError> {
        text.parse()
    }

    #[test]
    fn every_kind_can_be_planned() {
        for kind in Fault::KINDS {
            let made = planned(&format!("1s={kind}")).map(|planned| planned.fault.kind());
            assert_eq!(made, Ok(*kind));
        }
        let wrong = planned("0=half_open:forever");
        assert!(matches!(wrong, Err(FaultError::Value { .. })), "{wrong:?}");
    }

    #[test]
    fn a_lasting_fault_is_healed_after_its_value() {
        let one = planned("10s=half_open:3s").unwrap();
        let script = FaultScript::new("key")
            .after(Duration::from_secs(10), Fault::HalfOpen)
            .heal_after(Duration::from_secs(13));
        assert_eq!(FaultScript::new("key").plan(&one), script);
    }

    #[test]
    fn handshakes_are_counted_from_one() {
        let one = planned("handshake2=hanging_handshake").unwrap();
        let script = FaultScript::new("key").on_handshake(2, Fault::HangingHandshake);
        assert_eq!(FaultScript::new("key").plan(&one), script);
        assert!(matches!(planned("handshake0=reset"), Err(FaultError::When { .. })));
    }

    #[test]
    fn each_mistake_has_its_own_error() {
        assert_eq!(planned("reset"), Err(FaultError::Form));
        assert!(matches!(planned("soon=reset"), Err(FaultError::When { .. })));
        assert!(matches!(planned("1s=rest"), Err(FaultError::Kind { .. })));
    }
}
