use kite_manager::Missed;
use kite_wire::{Command, ParsedCommand};
use proptest::prelude::*;
use serde_json::Value;

use super::*;
use crate::outage::ERROR_AFTER;

const MS: Duration = Duration::from_millis(1);

fn obey(groups: &mut Groups, losses: &mut Losses, client: u64, command: Command<'_>) {
    let (client, text) = (ClientId(client), command.to_string());
    let command = ParsedCommand::parse(&text).unwrap();
    let changes = Changes::of(command, |token| groups.mode(client, token));
    groups.apply(client, &changes);
    losses.on_changes(&changes);
}

/// Three clients: the first two want 1 and 2, the third 2 and 3. Connection 0 has 1 and 2,
/// connection 1 has 3.
fn world(now: Instant) -> (Groups, Losses) {
    let (mut groups, mut losses) = (Groups::default(), Losses::new(2, Heartbeats::default(), now));
    (0..2).for_each(|slot| losses.on_up(slot));
    for (client, tokens) in [(0, [1, 2]), (1, [1, 2]), (2, [2, 3])] {
        obey(&mut groups, &mut losses, client, Command::Subscribe(&tokens));
    }
    (groups, losses)
}

fn placement(slots: [&[u32]; 2]) -> [BTreeMap<u32, Mode>; 2] {
    slots.map(|tokens| tokens.iter().map(|&token| (token, Mode::Quote)).collect())
}

fn clients(notices: &[Notice]) -> Vec<u64> {
    let mut clients: Vec<u64> = notices.iter().flat_map(|it| &it.clients).map(|it| it.0).collect();
    clients.sort_unstable();
    clients
}

fn data(notice: &Notice, kind: &str) -> Value {
    let mut text: Value = serde_json::from_str(&notice.text).unwrap();
    assert_eq!(text["type"], kind);
    text["data"].take()
}

#[test]
fn each_client_of_a_lost_connection_gets_one_error_after_a_second() {
    let now = Instant::now();
    let (mut groups, mut losses) = world(now);
    losses.on_down(1, now);
    losses.set_placement(&placement([&[1, 2], &[3]]));
    let due = losses.next_deadline().unwrap();
    assert_eq!(due, now + ERROR_AFTER);
    assert!(losses.poll(&groups, due - MS).is_empty());
    let notices = losses.poll(&groups, due);
    assert_eq!(clients(&notices), [2]);
    let text = "No ticks from 1 instrument (3): the connection to Kite is down; reconnecting.";
    assert_eq!(data(&notices[0], "error"), text);
    // Another instrument on the same connection is no news to this client.
    losses.set_placement(&placement([&[1, 2], &[3, 4]]));
    obey(&mut groups, &mut losses, 2, Command::Subscribe(&[4]));
    assert!(losses.poll(&groups, due).is_empty());
    // A client that asks for the instrument meanwhile, or comes back, gets the error too.
    obey(&mut groups, &mut losses, 3, Command::Subscribe(&[3]));
    assert_eq!(losses.next_deadline(), Some(due));
    assert_eq!(clients(&losses.poll(&groups, due)), [3]);
    groups.leave(ClientId(2));
    losses.leave(ClientId(2));
    obey(&mut groups, &mut losses, 7, Command::Subscribe(&[2, 3]));
    assert_eq!(clients(&losses.poll(&groups, due)), [7]);
    assert_eq!(losses.next_deadline(), None);
}

#[test]
fn a_connection_that_returns_within_a_second_sends_no_error() {
    let now = Instant::now();
    let (groups, mut losses) = world(now);
    losses.on_down(0, now);
    losses.set_placement(&placement([&[1, 2], &[3]]));
    losses.on_up(0);
    assert!(!losses.is_any_down());
    assert!(losses.next_deadline().is_none() && losses.poll(&groups, now + ERROR_AFTER).is_empty());
}

#[test]
fn an_instrument_that_moved_in_time_is_not_reported() {
    let now = Instant::now();
    let (groups, mut losses) = world(now);
    losses.on_down(1, now);
    losses.set_placement(&placement([&[1, 2], &[3]]));
    losses.set_placement(&placement([&[1, 2, 3], &[]]));
    assert!(losses.next_deadline().is_none() && losses.poll(&groups, now + ERROR_AFTER).is_empty());
}

#[test]
fn a_second_loss_is_reported_again() {
    let now = Instant::now();
    let (groups, mut losses) = world(now);
    for outage in 0..2 {
        let lost = now + Duration::from_secs(60) * outage;
        losses.on_down(0, lost);
        losses.set_placement(&placement([&[1, 2], &[3]]));
        // What the caller reports twice does not start the outage again.
        losses.on_down(0, lost + ERROR_AFTER / 2);
        assert_eq!(clients(&losses.poll(&groups, lost + ERROR_AFTER)), [0, 1, 2]);
        losses.on_up(0);
    }
}

#[test]
fn a_connection_that_never_opened_counts_as_down() {
    let now = Instant::now();
    let (groups, _) = world(now);
    let mut losses = Losses::new(2, Heartbeats::default(), now);
    losses.set_placement(&placement([&[1, 2], &[3]]));
    assert_eq!(clients(&losses.poll(&groups, now + ERROR_AFTER)), [0, 1, 2]);
}

#[test]
fn connections_lost_together_are_one_error_for_each_client() {
    let now = Instant::now();
    let (groups, mut losses) = world(now);
    losses.on_down(0, now);
    losses.on_down(1, now + MS * 150);
    losses.set_placement(&placement([&[1, 2], &[3]]));
    let notices = losses.poll(&groups, now + ERROR_AFTER);
    assert_eq!(clients(&notices), [0, 1, 2]);
    assert_eq!(notices.len(), 2, "clients with the same instruments share a text");
    let of = |client| notices.iter().find(|it| it.clients.contains(&ClientId(client))).unwrap();
    let text = |named| {
        format!(
            "No ticks from 2 instruments ({named}): the connection to Kite is down; reconnecting."
        )
    };
    assert_eq!(data(of(0), "error"), text("1 and 2"));
    assert_eq!(data(of(2), "error"), text("2 and 3"));
    assert_eq!(losses.next_deadline(), None);
}

#[test]
fn each_reason_of_an_outage_is_sent_once() {
    let now = Instant::now();
    let (groups, mut losses) = world(now);
    losses.on_down(1, now);
    losses.set_placement(&placement([&[1, 2], &[3]]));
    let due = now + ERROR_AFTER;
    let mut change = |reason| {
        losses.set_reason(1, reason);
        let notices = losses.poll(&groups, due);
        notices.iter().map(|it| (it.clients.clone(), data(it, "error"))).collect::<Vec<_>>()
    };
    let client = || vec![ClientId(2)];
    let text = |reason: &str| Value::from(format!("No ticks from 1 instrument (3): {reason}."));
    assert_eq!(
        change(Reason::TokenRefused),
        [(client(), text("Kite refuses the access token; waiting for a new one"))],
        "the reason is known before the error is due"
    );
    assert_eq!(change(Reason::TokenRefused), []);
    assert_eq!(
        change(Reason::SocketsInUse),
        [(client(), text("all sockets of the account are in use; retrying"))]
    );
    let unknown =
        text("Kite does not know the api_key or the access token; waiting for a new token");
    assert_eq!(change(Reason::CredentialsInvalid), [(client(), unknown)]);
    let lost = text("the connection to Kite is down; reconnecting");
    assert_eq!(change(Reason::Lost), [(client(), lost)]);
    assert_eq!(change(Reason::SocketsInUse), [], "reasons that alternate are not repeated");
}

#[test]
fn a_client_without_a_live_instrument_gets_no_heartbeats_after_five_seconds() {
    let now = Instant::now();
    let (groups, mut losses) = world(now);
    losses.on_down(0, now);
    losses.set_placement(&placement([&[1, 2], &[3]]));
    let get = |losses: &Losses, after| -> Vec<bool> {
        let gets = |client| losses.sends_heartbeats(ClientId(client), &groups, now + after);
        // Client 9 has no instruments.
        [0, 1, 2, 9].into_iter().map(gets).collect()
    };
    assert_eq!(get(&losses, DARK_AFTER - MS), [true; 4]);
    assert_eq!(get(&losses, DARK_AFTER), [false, false, true, true]);
    // One of the instruments has moved to a connection that is up.
    losses.set_placement(&placement([&[1], &[2, 3]]));
    assert_eq!(get(&losses, DARK_AFTER), [true; 4]);
    losses.set_placement(&placement([&[1, 2], &[3]]));
    losses.heartbeats = Heartbeats::Always;
    assert_eq!(get(&losses, DARK_AFTER), [true; 4]);
    losses.heartbeats = Heartbeats::WhileFed;
    losses.on_up(0);
    assert_eq!(get(&losses, DARK_AFTER), [true; 4]);
}

#[test]
fn a_silent_connection_withholds_heartbeats_until_something_is_received() {
    let now = Instant::now();
    let (groups, mut losses) = world(now);
    let set = |losses: &mut Losses, silence| {
        losses.on_silence(0, silence);
        losses.set_placement(&placement([&[1, 2], &[3]]));
    };
    let get = |losses: &Losses| -> Vec<bool> {
        (0..3).map(|client| losses.sends_heartbeats(ClientId(client), &groups, now)).collect()
    };
    set(&mut losses, DARK_AFTER - MS);
    assert!(!losses.needs_placement());
    assert_eq!(get(&losses), [true; 3]);
    set(&mut losses, DARK_AFTER);
    assert_eq!(get(&losses), [false, false, true]);
    assert!(losses.needs_placement() && !losses.is_any_down());
    set(&mut losses, Duration::ZERO);
    assert_eq!(get(&losses), [true; 3]);
    // The loss of the silent socket does not resume them.
    set(&mut losses, DARK_AFTER);
    losses.on_down(0, now);
    set(&mut losses, DARK_AFTER);
    assert_eq!(get(&losses), [false, false, true]);
    losses.on_up(0);
    assert_eq!(get(&losses), [true; 3]);
}

#[test]
fn a_gap_is_reported_with_the_instruments_of_each_client() {
    let (groups, _) = world(Instant::now());
    let at = |seconds: u64| Stamp::from_nanos(seconds * 1_000_000_000);
    let mut gap = Gap::new(at(1), at(2), at(3));
    gap.resumed = Some(at(4));
    gap.instruments = vec![
        Missed::new(1, Mode::Quote, VolumeMissed::Known(40)),
        Missed::new(2, Mode::Quote, VolumeMissed::Known(2)),
        Missed::new(3, Mode::Ltp, VolumeMissed::NotCarried),
        Missed::new(9, Mode::Quote, VolumeMissed::Known(9)),
    ];
    let notices = Losses::gap(&gap, &groups);
    let of = |client| notices.iter().find(|it| it.clients.contains(&ClientId(client))).unwrap();
    assert_eq!(clients(&notices), [0, 1, 2]);
    assert_eq!(of(0), of(1));
    let gap_of = |client| data(of(client), "message")["gap"].take();
    let (first, third) = (gap_of(0), gap_of(2));
    assert_eq!(
        (&first["instruments"], &first["volume"]),
        (&json!({ "1": 40, "2": 2 }), &json!(42))
    );
    assert_eq!(
        (&third["instruments"], &third["volume"]),
        (&json!({ "2": 2, "3": null }), &Value::Null)
    );
    let read = |name: &str| readable::unix_ns::deserialize(&third[name]).unwrap();
    assert_eq!(read("to") - read("from"), 3_000_000_000);
    gap.instruments.drain(..3);
    assert!(Losses::gap(&gap, &groups).is_empty());
}

proptest! {
    #[test]
    fn every_client_of_a_lost_connection_is_informed_once(
        ops in prop::collection::vec((0_u64..4, 0_u32..6, any::<bool>(), 0_u64..700), 0..30),
    ) {
        let now = Instant::now();
        let mut groups = Groups::default();
        let mut losses = Losses::new(1, Heartbeats::default(), now);
        // Instruments below 3 are on the connection that is down.
        losses.set_placement(&[(0..3).map(|token| (token, Mode::Quote)).collect()]);
        let (mut at, mut informed) = (now, BTreeSet::new());
        for (client, token, adds, wait) in ops {
            let command = if adds { Command::Subscribe } else { Command::Unsubscribe };
            obey(&mut groups, &mut losses, client, command(&[token]));
            at += MS * wait as u32;
            for client in clients(&losses.poll(&groups, at)) {
                prop_assert!(informed.insert(client), "{client} is informed twice");
            }
            let is_due = at >= now + ERROR_AFTER;
            prop_assert!(is_due || informed.is_empty());
            for client in (0..4).filter(|_| is_due) {
                let depends = groups.book(ClientId(client)).any(|(token, _)| token < 3);
                prop_assert!(!depends || informed.contains(&client));
            }
        }
    }
}
