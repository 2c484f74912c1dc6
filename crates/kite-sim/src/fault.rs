//! Faults as data, which are failures caused on purpose.
//!
//! [`kinds`] defines each fault; its effect on a handshake is in `client/connection`, on an open
//! socket in `client/faults`.

mod argument;
pub(crate) mod chance;
pub(crate) mod damage;
pub(crate) mod delivery;
pub(crate) mod kinds;
pub(crate) mod order;
pub(crate) mod pending;
pub(crate) mod planned;
mod random;
pub(crate) mod script;
mod table;
pub(crate) mod texts;

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

pub use argument::FaultArgument;
pub use delivery::BodyDelivery;
pub use kinds::{Fault, FaultKind, InvalidFrame};

use argument::Value;
use kite_server::Refusal;
use random::Random;

/// The target of a fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum FaultFamily {
    /// A TLS handshake of any account, because the account is not known until later.
    Tls,
    /// A handshake of an account.
    Handshake,
    /// An open socket.
    Socket,
    /// The whole server.
    Server,
}

/// Why a string is not a fault.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FaultError {
    /// The time or handshake is missing.
    #[error("write TIME=KIND or TIME=KIND:VALUE, such as 10s=half_open:3s")]
    Form,
    /// `WHEN` is neither a time nor a handshake.
    #[error("{when:?} is neither a time such as 10s nor a handshake such as handshake2")]
    When {
        /// The string in place of `WHEN`.
        when: String,
    },
    /// No kind has this name.
    #[error("there is no fault {kind:?}")]
    Kind {
        /// The name.
        kind: String,
    },
    /// The value does not fit this kind.
    #[error("{kind} takes {wanted}, not {value:?}")]
    Value {
        /// The kind.
        kind: FaultKind,
        /// The value; empty if it is missing.
        value: String,
        /// The value that the kind expects.
        wanted: &'static str,
    },
}

impl FaultKind {
    /// Returns whether the fault keeps the socket open and lasts until the socket is healed.
    #[must_use]
    pub const fn is_lasting(self) -> bool {
        matches!(self, Self::SlowLink) || self.takes_time_to_heal()
    }

    const fn takes_time_to_heal(self) -> bool {
        matches!(self.argument(), Some(FaultArgument { is_time_to_heal: true, .. }))
    }

    /// Draws a random fault of this kind; the same seed yields the same values. Its delays are at
    /// most `longest_delay`.
    #[must_use]
    pub fn draw(self, seed: u64, longest_delay: Duration) -> Fault {
        self.draw_by(&mut Random::new(seed), longest_delay)
    }

    /// Creates a fault of this kind from an optional value.
    fn with_value(self, value: Option<&str>) -> Result<Fault, FaultError> {
        self.read(Value(value)).ok_or_else(|| self.wrong_value(value))
    }

    fn wrong_value(self, value: Option<&str>) -> FaultError {
        FaultError::Value {
            kind: self,
            value: value.unwrap_or_default().to_owned(),
            wanted: self.argument().map_or("no value", |argument| argument.wanted),
        }
    }
}

impl fmt::Display for FaultKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// Parses the name of a kind.
impl FromStr for FaultKind {
    type Err = FaultError;

    fn from_str(name: &str) -> Result<Self, FaultError> {
        let kind = Fault::KINDS.iter().copied().find(|kind| kind.name() == name);
        kind.ok_or_else(|| FaultError::Kind { kind: name.to_owned() })
    }
}

/// Writes `KIND` or `KIND:VALUE`, such as `close:1006`. A refusal is written as its status only.
impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.value() {
            Some(value) => write!(f, "{}:{value}", self.kind()),
            None => write!(f, "{}", self.kind()),
        }
    }
}

/// Parses `KIND` or `KIND:VALUE`. [`FaultKind::argument`] describes the value.
impl FromStr for Fault {
    type Err = FaultError;

    fn from_str(text: &str) -> Result<Self, FaultError> {
        let (kind, value) = split(text)?;
        kind.with_value(value)
    }
}

/// Splits `KIND:VALUE`.
fn split(text: &str) -> Result<(FaultKind, Option<&str>), FaultError> {
    let (name, value) = match text.split_once(':') {
        Some((name, value)) => (name, Some(value)),
        None => (text, None),
    };
    Ok((name.parse()?, value))
}

impl Fault {
    /// A length just above the largest message that a client of this protocol should accept: 1 MiB,
    /// nearly twice the largest valid frame.
    pub const OVERSIZED_BYTES: usize = (1 << 20) + 1;

    /// Returns whether the fault waits for a handshake.
    pub(crate) fn awaits_handshake(&self) -> bool {
        matches!(self.kind().family(), FaultFamily::Tls | FaultFamily::Handshake)
    }

    /// Returns a refusal whose body is sent with its head.
    #[must_use]
    pub fn refuse(refusal: Refusal) -> Self {
        Self::Refuse { refusal, body: BodyDelivery::AtOnce }
    }

    /// Returns Kite's error text for too many instruments, although no limit was exceeded.
    #[must_use]
    pub fn limit_error() -> Self {
        Self::ErrorText { message: "Can't subscribe to more than 3000 instruments.".into() }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn names_are_distinct_and_in_snake_case() {
        let names: BTreeSet<_> = Fault::KINDS.iter().map(|kind| kind.name()).collect();
        assert_eq!(names.len(), Fault::KINDS.len());
        let is_plain =
            |name: &&str| name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
        assert!(names.iter().all(is_plain));
        assert_eq!(format!("{:>6}", FaultKind::Burst), " burst");
    }

    #[test]
    fn a_fault_is_parsed_from_its_display() {
        for &kind in Fault::KINDS {
            let plain: Fault = kind.name().parse().unwrap();
            assert_eq!(plain.kind(), kind);
            for seed in 0..20 {
                let text = kind.draw(seed, Duration::from_secs(3)).to_string();
                let read: Fault = text.parse().unwrap();
                assert_eq!((read.kind(), read.to_string()), (kind, text));
            }
            assert!(kind.description().ends_with('.'), "{kind}");
        }
        assert_eq!("rest".parse::<Fault>(), Err(FaultError::Kind { kind: "rest".into() }));
    }

    #[test]
    fn values_are_parsed_by_kind() {
        let fault = |text: &str| text.parse::<Fault>();
        assert!(fault("refusal:300").is_ok() && fault("refusal:999").is_ok());
        assert_eq!(fault("close:1006"), Ok(Fault::Close { code: 1_006, waits: true }));
        let down = Duration::from_millis(250);
        assert_eq!(fault("restart:250ms"), Ok(Fault::Restart { down }));
        assert_eq!(fault("lying_count:-2"), Ok(Fault::LyingCount { by: -2 }));
        assert_eq!(fault("error_text:a:b=c"), Ok(Fault::ErrorText { message: "a:b=c".into() }));
        for wrong in [
            "close:soon",
            "half_open:forever",
            "unknown_text:x",
            "oversized_frame:1",
            "truncated_frame:0",
            "refusal:42",
            "refusal:101",
            "refusal:200",
            "refusal:299",
            "refusal:1000",
            "auth_refusal:403",
            "duplicate_order:1",
        ] {
            assert!(matches!(fault(wrong), Err(FaultError::Value { .. })), "{wrong}");
        }
    }

    #[test]
    fn only_complete_json_about_credentials_is_an_auth_refusal() {
        let kind = |refusal, body| Fault::Refuse { refusal, body }.kind();
        let html = || Refusal::new(403, "<html>");
        assert_eq!(kind(Refusal::auth(), BodyDelivery::Chunked), FaultKind::AuthRefusal);
        assert_eq!(kind(Refusal::auth(), BodyDelivery::Never), FaultKind::Refusal);
        assert_eq!(kind(html(), BodyDelivery::AtOnce), FaultKind::Refusal);
        assert_eq!(Fault::refuse(Refusal::kite(429, "wait")).kind(), FaultKind::Refusal);
    }
}
