//! Events and gaps as JSON.

use kite_manager::{
    AccountId, Event, Gap, ManagerEvent, Missed, Mode, Severity, Stamp, VolumeMissed,
};
use serde_json::{Map, Value, json};

/// Instruments named in one message of a gap, about 60 KB of them.
const INSTRUMENTS: usize = 1_000;

/// Returns the message for an event and its account, `None` if it concerns all; nothing for texts
/// and gaps, which have subjects of their own.
pub(crate) fn event(event: &ManagerEvent) -> Option<(Option<&AccountId>, Value)> {
    let mut members = Map::new();
    let mut add = |name: &str, value: Value| members.insert(name.to_owned(), value);
    let (account, name) = match event {
        ManagerEvent::Connection { event: Event::Text { .. } | Event::Gap(_), .. } => return None,
        ManagerEvent::Connection { seat, event } => {
            add("connection", seat.connection.into());
            match event {
                Event::Up { epoch, instruments } => {
                    add("epoch", (*epoch).into());
                    add("instruments", (*instruments).into());
                }
                Event::Down { epoch, cause, last_heard } => {
                    add("epoch", (*epoch).into());
                    add("cause", cause.kind().name().into());
                    add("why", cause.to_string().into());
                    add("last_heard_unix_ns", last_heard.to_unix_ns().into());
                }
                Event::ClockStepped { by_ns } => _ = add("by_ns", (*by_ns).into()),
                _ => {}
            }
            (Some(&seat.account), event.name())
        }
        ManagerEvent::Moved { account, moves, back } => {
            let moves =
                moves.iter().map(|it| json!({"token": it.token, "from": it.from, "to": it.to}));
            add("moves", moves.collect());
            add("back", (*back).into());
            (Some(account), "moved")
        }
        ManagerEvent::Dark { account, connection, tokens } => {
            add("connection", (*connection).into());
            add("tokens", tokens.iter().copied().collect());
            (Some(account), "dark")
        }
        ManagerEvent::Stopped(_) => (None, "stopped"),
        ManagerEvent::Lagged { missed } => {
            add("missed", (*missed).into());
            (None, "lagged")
        }
        _ => (None, "other"),
    };
    add("event", name.into());
    add("severity", severity(event.severity()).into());
    add("text", event.to_string().into());
    Some((account, members.into()))
}

fn severity(severity: Severity) -> &'static str {
    match severity {
        Severity::Detail => "detail",
        Severity::Notice => "notice",
        Severity::Recovery => "recovery",
        Severity::Warning => "warning",
        _ => "error",
    }
}

/// Returns the messages for a gap of a connection: one for each thousand of its instruments.
pub(crate) fn gap(connection: usize, gap: &Gap) -> Vec<Value> {
    let unix_ns = Stamp::to_unix_ns;
    let parts = gap.instruments.len().div_ceil(INSTRUMENTS).max(1);
    let part = |part: usize| {
        let instruments = gap.instruments.iter().skip(part * INSTRUMENTS).take(INSTRUMENTS);
        json!({
            "reason": "disconnected",
            "connection": connection,
            "lost_epoch": gap.lost_epoch,
            "epoch": gap.epoch,
            "moved_from": gap.moved_from,
            "last_heard_unix_ns": unix_ns(gap.last_heard),
            "lost_unix_ns": unix_ns(gap.lost),
            "up_unix_ns": unix_ns(gap.up),
            "resumed_unix_ns": gap.resumed.map(unix_ns),
            "part": part,
            "parts": parts,
            "instruments": instruments.map(missed).collect::<Value>(),
        })
    };
    (0..parts).map(part).collect()
}

fn missed(missed: &Missed) -> Value {
    let (volume, unknown) = match missed.volume {
        VolumeMissed::Known(volume) => (Some(volume), None),
        VolumeMissed::NotCarried => (None, Some("not_carried")),
        VolumeMissed::NeverSeen => (None, Some("never_seen")),
        VolumeMissed::NotBack => (None, Some("not_back")),
        VolumeMissed::Unsubscribed => (None, Some("unsubscribed")),
        VolumeMissed::UnknownDay => (None, Some("unknown_day")),
        VolumeMissed::OtherDay => (None, Some("other_day")),
        VolumeMissed::Fell => (None, Some("fell")),
        _ => (None, Some("not_tracked")),
    };
    let mode = match missed.mode {
        Mode::Ltp => "ltp",
        Mode::Quote => "quote",
        Mode::Full => "full",
    };
    json!({"token": missed.token, "mode": mode, "volume": volume, "unknown": unknown})
}

/// Returns the message for what the publisher dropped, because NATS took too little.
pub(crate) fn dropped(connection: usize, frames: u64, ticks: u64, notices: u64) -> Value {
    json!({
        "reason": "dropped",
        "connection": connection,
        "frames": frames,
        "ticks": ticks,
        "notices": notices,
    })
}

/// Returns the message for what was sent before the socket to the server was lost, and of which it
/// is not known whether the server received it.
pub(crate) fn unconfirmed(messages: u64, since: Stamp) -> Value {
    json!({
        "reason": "unconfirmed",
        "at_most_messages": messages,
        "from_unix_ns": since.to_unix_ns(),
        "to_unix_ns": Stamp::now().to_unix_ns(),
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use kite_manager::Stopped;

    use super::*;

    #[test]
    fn events_have_a_name_a_severity_and_a_text() {
        let tokens = Arc::from([408_065]);
        let dark = ManagerEvent::Dark { account: "mine".into(), connection: 1, tokens };
        let (account, value) = event(&dark).unwrap();
        assert_eq!(account, Some(&AccountId::from("mine")));
        let text = "connection 2 of mine: down; no connection streams 1 of its instruments";
        let expected = json!({
            "event": "dark", "severity": "error", "connection": 1, "tokens": [408_065], "text": text,
        });
        assert_eq!(value, expected);
        let (account, value) = event(&ManagerEvent::Stopped(Stopped::NOTHING)).unwrap();
        assert_eq!((account, &value["event"]), (None, &json!("stopped")));
    }

    #[test]
    fn a_gap_names_each_instrument_once_in_messages_of_a_thousand() {
        let start = Stamp::now();
        let after = |seconds| Stamp::at(start.to_instant() + Duration::from_secs(seconds));
        let mut of_gap = Gap::new(start, after(1), after(2));
        let none = gap(2, &of_gap);
        assert_eq!((none.len(), &none[0]["instruments"]), (1, &json!([])));
        let volume = |token| {
            if token == 7 { VolumeMissed::Known(5) } else { VolumeMissed::NeverSeen }
        };
        let missed = |token| Missed::new(token, Mode::Full, volume(token));
        of_gap.instruments = (1..=2_001).map(missed).collect();
        let parts = gap(2, &of_gap);
        let tokens = parts.iter().flat_map(|it| it["instruments"].as_array().unwrap());
        assert!(tokens.map(|it| it["token"].as_u64().unwrap()).eq(1..=2_001));
        assert_eq!(parts.len(), 3);
        let known = json!({"token": 7, "mode": "full", "volume": 5, "unknown": null});
        assert_eq!(parts[0]["instruments"][6], known);
        assert_eq!((&parts[2]["part"], &parts[2]["parts"]), (&json!(2), &json!(3)));
        let lost = parts[0]["lost_unix_ns"].as_u64().unwrap();
        assert_eq!(lost - parts[0]["last_heard_unix_ns"].as_u64().unwrap(), 1_000_000_000);
        assert_eq!(parts[0]["resumed_unix_ns"], Value::Null);
    }
}
