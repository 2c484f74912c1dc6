//! Faults on the command line: when, which, how much.
//!
//! `10s=half_open:3s` strikes ten seconds after the start and is healed three seconds later;
//! `handshake2=refusal:503` meets the second handshake.

use std::fmt::Write as _;
use std::str::FromStr;
use std::time::Duration;

use kite_sim::{BodyDelivery, Fault, FaultFamily, FaultKind, FaultScript, InvalidFrame, Refusal};
use serde_json::json;

use crate::format::times;

/// A fault and when it strikes.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Planned {
    when: When,
    fault: Fault,
    /// How long after it the sockets are healed, where it lasts.
    heal: Option<Duration>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum When {
    After(Duration),
    Handshake(u64),
}

/// Why a text is no fault.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NoFault {
    #[error("write TIME=KIND or TIME=KIND:VALUE, such as 10s=half_open:3s")]
    Form,
    #[error("{when:?} is neither a time such as 10s nor a handshake such as handshake2")]
    When { when: String },
    #[error("there is no fault {kind:?}: kite sim --list-faults lists them")]
    Kind { kind: String },
    #[error("{kind} takes {wanted}, not {value:?}")]
    Value { kind: &'static str, value: String, wanted: &'static str },
}

impl FromStr for Planned {
    type Err = NoFault;

    fn from_str(text: &str) -> Result<Self, NoFault> {
        let (when_text, what) = text.split_once('=').ok_or(NoFault::Form)?;
        let when = match when_text.strip_prefix("handshake") {
            Some(number) => number.parse().ok().filter(|&number| number > 0).map(When::Handshake),
            None => times::duration(when_text).ok().map(When::After),
        };
        let when = when.ok_or_else(|| NoFault::When { when: when_text.to_owned() })?;
        let (name, value) = match what.split_once(':') {
            Some((name, value)) => (name, Some(value)),
            None => (what, None),
        };
        let entry = ENTRIES.iter().find(|entry| entry.kind.name() == name);
        let entry = entry.ok_or_else(|| NoFault::Kind { kind: name.to_owned() })?;
        let wrong = || NoFault::Value {
            kind: entry.kind.name(),
            value: value.unwrap_or_default().to_owned(),
            wanted: entry.value.map_or("no value", |(_, wanted)| wanted),
        };
        let (fault, heal) = make(entry.kind, value).ok_or_else(wrong)?;
        Ok(Self { when, fault, heal })
    }
}

impl Planned {
    /// Adds the fault to a script.
    pub(crate) fn add_to(&self, script: FaultScript) -> FaultScript {
        match (self.when, self.heal) {
            (When::Handshake(number), _) => script.on_handshake(number, self.fault.clone()),
            (When::After(time), None) => script.after(time, self.fault.clone()),
            (When::After(time), Some(heal)) => {
                script.after(time, self.fault.clone()).heal_after(time.saturating_add(heal))
            }
        }
    }
}

/// Lists all faults, each with its value and a sentence.
pub(crate) fn list() -> String {
    let mut list = String::from(
        "Faults for `kite sim --fault WHEN=KIND[:VALUE]`. WHEN is a time after the start (10s)\n\
         or a handshake counted from 1 (handshake2). Values in brackets may be left out.\n",
    );
    for (family, heading) in [
        (FaultFamily::Socket, "On every open socket"),
        (FaultFamily::Handshake, "At the next handshake"),
        (FaultFamily::Tls, "At the next TLS handshake, or request without TLS"),
        (FaultFamily::Server, "Of the whole server"),
    ] {
        // Writing to a `String` cannot fail.
        let _ = writeln!(list, "\n{heading}:");
        for entry in ENTRIES.iter().filter(|entry| entry.kind.family() == family) {
            let value = entry.value.map(|(sign, _)| format!("[:{sign}]")).unwrap_or_default();
            let shown = format!("{}{value}", entry.kind);
            let _ = writeln!(list, "  {shown:<26} {}", entry.says);
        }
    }
    list
}

/// Gives all faults for machines.
pub(crate) fn list_json() -> serde_json::Value {
    let one = |entry: &Entry| {
        json!({
            "kind": entry.kind.name(),
            "family": format!("{:?}", entry.kind.family()).to_lowercase(),
            "value": entry.value.map(|(_, wanted)| wanted),
            "says": entry.says,
        })
    };
    ENTRIES.iter().map(one).collect()
}

/// Makes the fault that a kind and a value mean; `None` where the value is not the kind's.
fn make(kind: FaultKind, value: Option<&str>) -> Option<(Fault, Option<Duration>)> {
    let time = |usual: u64| match value {
        None => Some(Duration::from_secs(usual)),
        Some(text) => times::duration(text).ok(),
    };
    let heal = match value {
        Some(text) if kind.is_lasting() => Some(times::duration(text).ok()?),
        _ => None,
    };
    let fault = match kind {
        FaultKind::AuthRefusal => match value {
            None => Fault::refuse(Refusal::auth()),
            Some(_) => return None,
        },
        FaultKind::Refusal => {
            let status = number(value, 503_u16)?;
            let refusal = match status {
                // With Kite's JSON these would be its word on the credentials.
                400 | 401 | 403 => Refusal::new(status, "<html><body>refused</body></html>"),
                100..=999 => Refusal::kite(status, "Refused by kite sim"),
                _ => return None,
            };
            Fault::Refuse { refusal, body: BodyDelivery::AtOnce }
        }
        FaultKind::SlowHandshake => Fault::SlowHandshake { delay: time(2)? },
        FaultKind::Reset => Fault::Reset { at: number(value, 10)? },
        FaultKind::EndOfStream => Fault::EndOfStream { at: number(value, 10)? },
        FaultKind::TruncatedFrame => {
            Fault::TruncatedFrame { cut: number(value, 4).filter(|&cut| cut > 0)? }
        }
        FaultKind::OversizedFrame => Fault::OversizedFrame {
            bytes: number(value, Fault::OVERSIZED_BYTES)
                .filter(|bytes| (2..=1 << 30).contains(bytes))?,
        },
        FaultKind::LyingCount => Fault::LyingCount { by: number(value, 5)? },
        FaultKind::UnknownPacket => Fault::UnknownPacket { length: number(value, 64)? },
        FaultKind::ErrorText => match value {
            None => Fault::limit_error(),
            Some(text) => Fault::ErrorText { message: text.to_owned().into() },
        },
        FaultKind::Close => Fault::Close { code: number(value, 1_001)?, waits: true },
        FaultKind::Burst => Fault::Burst { frames: number(value, 100)? },
        FaultKind::InvalidFrame => Fault::InvalidFrame(match value {
            None | Some("reserved_opcode") => InvalidFrame::ReservedOpcode,
            Some("reserved_bit") => InvalidFrame::ReservedBit,
            Some("masked") => InvalidFrame::Masked,
            Some("invalid_utf8") => InvalidFrame::InvalidUtf8,
            Some(_) => return None,
        }),
        FaultKind::LateSlot => Fault::LateSlot { held: time(5)? },
        FaultKind::Restart => Fault::Restart { down: time(5)? },
        FaultKind::DuplicateOrder => match value {
            None => Fault::DuplicateOrder {
                data: json!({"order_id": "100000000000001", "status": "COMPLETE"}),
            },
            Some(_) => return None,
        },
        // The rest have no values of their own: any seed draws the same.
        _ if value.is_none() || heal.is_some() => kind.draw(0, Duration::ZERO),
        _ => return None,
    };
    Some((fault, heal))
}

fn number<N: FromStr>(value: Option<&str>, usual: N) -> Option<N> {
    match value {
        None => Some(usual),
        Some(text) => text.parse().ok(),
    }
}

/// A kind of fault, as the command line has it.
struct Entry {
    kind: FaultKind,
    /// The sign of its value and what that may be.
    value: Option<(&'static str, &'static str)>,
    says: &'static str,
}

const fn entry(
    kind: FaultKind,
    value: Option<(&'static str, &'static str)>,
    says: &'static str,
) -> Entry {
    Entry { kind, value, says }
}

const TIME: Option<(&str, &str)> = Some(("TIME", "a time such as 3s"));
const BYTES: Option<(&str, &str)> = Some(("BYTES", "a number of bytes"));
const WAYS: Option<(&str, &str)> =
    Some(("WAY", "reserved_opcode, reserved_bit, masked or invalid_utf8"));

const ENTRIES: [Entry; 29] = [
    entry(FaultKind::Reset, BYTES, "TCP is reset within a frame."),
    entry(FaultKind::EndOfStream, BYTES, "The stream ends within a frame."),
    entry(FaultKind::HalfOpen, TIME, "Nothing is sent any more; healed after TIME."),
    entry(FaultKind::HeartbeatsOnly, TIME, "No ticks and texts, only heartbeats and pongs."),
    entry(FaultKind::PongsOnly, TIME, "No ticks, texts and heartbeats, only pongs."),
    entry(FaultKind::StopsReading, TIME, "Nothing is read any more, all is sent."),
    entry(FaultKind::Stalls, TIME, "Nothing is read and nothing is sent."),
    entry(FaultKind::TruncatedFrame, BYTES, "The last packet of a frame lacks its end."),
    entry(FaultKind::OversizedFrame, BYTES, "A frame of zeros, larger than any lawful one."),
    entry(
        FaultKind::LyingCount,
        Some(("BY", "a whole number, such as -2")),
        "A frame declares more or fewer packets than it has.",
    ),
    entry(
        FaultKind::UnknownPacket,
        Some(("LENGTH", "a length up to 65535")),
        "A packet of a length that no layout has.",
    ),
    entry(FaultKind::UnknownText, None, "A text of a type that nobody has documented."),
    entry(FaultKind::UnparsableText, None, "A text that is no JSON."),
    entry(FaultKind::ErrorText, Some(("TEXT", "a text")), "A text of type error."),
    entry(FaultKind::DuplicateOrder, None, "The same order update twice in a row."),
    entry(
        FaultKind::Close,
        Some(("CODE", "a close code such as 1006")),
        "A close frame; 1005 stands for one without a code.",
    ),
    entry(
        FaultKind::Burst,
        Some(("FRAMES", "a number of frames")),
        "Frames of ticks back to back.",
    ),
    entry(FaultKind::InvalidFrame, WAYS, "A frame that breaks the WebSocket protocol."),
    entry(FaultKind::LateSlot, TIME, "Closed, and the account's slot stays taken for TIME."),
    entry(FaultKind::AuthRefusal, None, "Kite's refusal of credentials: 403 and JSON."),
    entry(FaultKind::Refusal, Some(("STATUS", "an HTTP status such as 503")), "Any other refusal."),
    entry(FaultKind::SlowHandshake, TIME, "Answered late, and then as it would have been."),
    entry(FaultKind::HangingHandshake, None, "Read and never answered."),
    entry(FaultKind::WrongAcceptKey, None, "Answered with the accept key of another request."),
    entry(FaultKind::HandshakeReset, None, "TCP is reset once the request has come."),
    entry(FaultKind::HandshakeEnd, None, "The stream ends once the request has come."),
    entry(FaultKind::HangingTls, None, "The hello is not answered."),
    entry(FaultKind::GarbageTls, None, "The hello is answered by bytes that are no TLS."),
    entry(FaultKind::Restart, TIME, "The server goes away for TIME and comes back."),
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn planned(text: &str) -> Result<Planned, NoFault> {
        text.parse()
    }

    #[test]
    fn every_fault_of_the_simulator_is_listed_and_can_be_made() {
        let listed: BTreeSet<_> = ENTRIES.iter().map(|entry| entry.kind).collect();
        assert_eq!(listed, Fault::KINDS.iter().copied().collect());
        for kind in Fault::KINDS {
            let made = planned(&format!("1s={kind}")).map(|planned| planned.fault.kind());
            assert_eq!(made, Ok(*kind));
            assert!(list().contains(&format!("  {kind}")));
        }
    }

    #[test]
    fn values_are_the_kinds_own() {
        let fault = |text: &str| planned(text).map(|planned| planned.fault);
        assert_eq!(fault("0=close:1006"), Ok(Fault::Close { code: 1_006, waits: true }));
        assert_eq!(
            fault("0=restart:250ms"),
            Ok(Fault::Restart { down: Duration::from_millis(250) })
        );
        assert_eq!(fault("0=lying_count:-2"), Ok(Fault::LyingCount { by: -2 }));
        assert_eq!(fault("0=error_text:a:b=c"), Ok(Fault::ErrorText { message: "a:b=c".into() }));
        for wrong in [
            "0=close:soon",
            "0=half_open:forever",
            "0=unknown_text:x",
            "0=oversized_frame:1",
            "0=truncated_frame:0",
            "0=refusal:42",
            "0=auth_refusal:403",
            "0=duplicate_order:1",
        ] {
            assert!(matches!(planned(wrong), Err(NoFault::Value { .. })), "{wrong}");
        }
    }

    #[test]
    fn what_lasts_is_healed_after_its_value() {
        let Ok(one) = planned("10s=half_open:3s") else { panic!("no fault") };
        let script = FaultScript::new("key")
            .after(Duration::from_secs(10), Fault::HalfOpen)
            .heal_after(Duration::from_secs(13));
        assert_eq!(one.add_to(FaultScript::new("key")), script);
    }

    #[test]
    fn handshakes_are_counted_from_one() {
        let Ok(one) = planned("handshake2=hanging_handshake") else { panic!("no fault") };
        let script = FaultScript::new("key").on_handshake(2, Fault::HangingHandshake);
        assert_eq!(one.add_to(FaultScript::new("key")), script);
        assert!(matches!(planned("handshake0=reset"), Err(NoFault::When { .. })));
    }

    #[test]
    fn mistakes_are_told_apart() {
        assert_eq!(planned("reset"), Err(NoFault::Form));
        assert!(matches!(planned("soon=reset"), Err(NoFault::When { .. })));
        assert!(matches!(planned("1s=rest"), Err(NoFault::Kind { .. })));
    }
}
