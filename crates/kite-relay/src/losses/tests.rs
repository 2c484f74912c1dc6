use std::collections::HashMap;

use kite_manager::{Missed, VolumeMissed};
use kite_wire::readable;
use kite_wire::{Command, ParsedCommand};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::ends::GAP_WITHIN;
use super::*;
use crate::outage::ERROR_AFTER;

const MS: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);

/// The time of day some seconds after another.
fn at(seconds: u64) -> Stamp {
    Stamp::from_nanos(seconds * 1_000_000_000)
}

fn obey(groups: &mut Groups, losses: &mut Losses, client: u64, command: Command<'_>, now: Instant) {
    let (client, text) = (ClientId(client), command.to_string());
    let command = ParsedCommand::parse(&text).unwrap();
    let changes = Changes::of(command, |token| groups.mode(client, token));
    groups.apply(client, &changes);
    losses.on_changes(&changes, now);
}

/// Three clients: the first two want 1 and 2, the third 2 and 3. Connection 0 has 1 and 2,
/// connection 1 has 3.
fn world(now: Instant) -> (Groups, Losses) {
    let (mut groups, mut losses) =
        (Groups::default(), Losses::new(2, Heartbeats::default(), now, at(0)));
    (0..2).for_each(|slot| losses.on_up(slot, now, at(0)));
    for (client, tokens) in [(0, [1, 2]), (1, [1, 2]), (2, [2, 3])] {
        obey(&mut groups, &mut losses, client, Command::Subscribe(&tokens), now);
    }
    (groups, losses)
}

/// Sets the placement at the time of the loss.
fn place(losses: &mut Losses, slots: [&[u32]; 2], now: Instant) {
    losses.set_placement(&placement(slots), now, at(0));
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
    losses.on_down(1, now, at(0));
    place(&mut losses, [&[1, 2], &[3]], now);
    let due = losses.next_deadline().unwrap();
    assert_eq!(due, now + ERROR_AFTER);
    assert!(losses.poll(&groups, due - MS).is_empty());
    let notices = losses.poll(&groups, due);
    assert_eq!(clients(&notices), [2]);
    let text = "No ticks from 1 instrument (3): the connection to Kite is down; reconnecting.";
    assert_eq!(data(&notices[0], "error"), text);
    // Another instrument on the same connection is no news to this client.
    place(&mut losses, [&[1, 2], &[3, 4]], due);
    obey(&mut groups, &mut losses, 2, Command::Subscribe(&[4]), due);
    assert!(losses.poll(&groups, due + SETTLE).is_empty());
    // A client that asks for the instrument meanwhile, or comes back, gets the error too.
    obey(&mut groups, &mut losses, 3, Command::Subscribe(&[3]), due);
    assert_eq!(losses.next_deadline(), Some(due + SETTLE));
    assert_eq!(clients(&losses.poll(&groups, due + SETTLE)), [3]);
    groups.leave(ClientId(2));
    losses.leave(ClientId(2));
    obey(&mut groups, &mut losses, 7, Command::Subscribe(&[2, 3]), due);
    assert_eq!(clients(&losses.poll(&groups, due + SETTLE)), [7]);
    assert_eq!(losses.next_deadline(), None);
}

#[test]
fn a_connection_that_returns_within_a_second_sends_no_error() {
    let now = Instant::now();
    let (groups, mut losses) = world(now);
    losses.on_down(0, now, at(0));
    place(&mut losses, [&[1, 2], &[3]], now);
    losses.on_up(0, now, at(0));
    assert!(!losses.is_any_down());
    assert!(losses.next_deadline().is_none() && losses.poll(&groups, now + ERROR_AFTER).is_empty());
}

#[test]
fn an_instrument_that_moved_in_time_is_not_reported() {
    let now = Instant::now();
    let (groups, mut losses) = world(now);
    losses.on_down(1, now, at(0));
    place(&mut losses, [&[1, 2], &[3]], now);
    place(&mut losses, [&[1, 2, 3], &[]], now);
    assert!(losses.next_deadline().is_none() && losses.poll(&groups, now + ERROR_AFTER).is_empty());
}

#[test]
fn a_second_loss_is_reported_again() {
    let now = Instant::now();
    let (groups, mut losses) = world(now);
    for outage in 0..2 {
        let lost = now + Duration::from_secs(60) * outage;
        losses.on_down(0, lost, at(0));
        place(&mut losses, [&[1, 2], &[3]], now);
        // What the caller reports twice does not start the outage again.
        losses.on_down(0, lost + ERROR_AFTER / 2, at(0));
        assert_eq!(clients(&losses.poll(&groups, lost + ERROR_AFTER)), [0, 1, 2]);
        losses.on_up(0, now, at(0));
    }
}

#[test]
fn a_connection_that_never_opened_counts_as_down() {
    let now = Instant::now();
    let (groups, _) = world(now);
    let mut losses = Losses::new(2, Heartbeats::default(), now, at(0));
    place(&mut losses, [&[1, 2], &[3]], now);
    assert_eq!(clients(&losses.poll(&groups, now + ERROR_AFTER)), [0, 1, 2]);
}

#[test]
fn connections_lost_together_are_one_error_for_each_client() {
    let now = Instant::now();
    let (groups, mut losses) = world(now);
    losses.on_down(0, now, at(0));
    losses.on_down(1, now + MS * 150, at(0));
    place(&mut losses, [&[1, 2], &[3]], now);
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
    losses.on_down(1, now, at(0));
    place(&mut losses, [&[1, 2], &[3]], now);
    let mut due = now + ERROR_AFTER;
    let mut change = |reason| {
        losses.set_reason(1, reason, due);
        due += SETTLE;
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
    losses.on_down(0, now, at(0));
    place(&mut losses, [&[1, 2], &[3]], now);
    let get = |losses: &Losses, after| -> Vec<bool> {
        let gets = |client| losses.sends_heartbeats(ClientId(client), &groups, now + after);
        // Client 9 has no instruments.
        [0, 1, 2, 9].into_iter().map(gets).collect()
    };
    assert_eq!(get(&losses, DARK_AFTER - MS), [true; 4]);
    assert_eq!(get(&losses, DARK_AFTER), [false, false, true, true]);
    // One of the instruments has moved to a connection that is up.
    place(&mut losses, [&[1], &[2, 3]], now);
    assert_eq!(get(&losses, DARK_AFTER), [true; 4]);
    place(&mut losses, [&[1, 2], &[3]], now);
    losses.heartbeats = Heartbeats::Always;
    assert_eq!(get(&losses, DARK_AFTER), [true; 4]);
    losses.heartbeats = Heartbeats::WhileFed;
    losses.on_up(0, now, at(0));
    assert_eq!(get(&losses, DARK_AFTER), [true; 4]);
}

#[test]
fn a_silent_connection_withholds_heartbeats_until_something_is_received() {
    let now = Instant::now();
    let (groups, mut losses) = world(now);
    let set = |losses: &mut Losses, heard: Stamp, read: Stamp| {
        let change = losses.on_silence(0, heard, read, now);
        place(losses, [&[1, 2], &[3]], now);
        change
    };
    let get = |losses: &Losses| -> Vec<bool> {
        (0..3).map(|client| losses.sends_heartbeats(ClientId(client), &groups, now)).collect()
    };
    assert_eq!(set(&mut losses, at(6), at(10)), None);
    assert!(!losses.needs_placement());
    assert_eq!(get(&losses), [true; 3]);
    assert_eq!(set(&mut losses, at(6), at(11)), Some(SilenceChange::Began));
    assert_eq!(set(&mut losses, at(6), at(12)), None);
    assert_eq!(get(&losses), [false, false, true]);
    assert!(losses.needs_placement() && !losses.is_any_down());
    assert_eq!(set(&mut losses, at(18), at(19)), Some(SilenceChange::Ended(SECOND * 12)));
    assert_eq!(get(&losses), [true; 3]);
    // The loss of the silent socket does not resume them.
    set(&mut losses, at(18), at(25));
    losses.on_down(0, now, at(18));
    assert_eq!(set(&mut losses, at(18), at(26)), None);
    assert_eq!(get(&losses), [false, false, true]);
    losses.on_up(0, now, at(26));
    assert_eq!(get(&losses), [true; 3]);
}

fn silent(losses: &mut Losses, now: Instant) {
    losses.on_silence(0, at(10), at(15), now);
    place(losses, [&[1, 2], &[3]], now);
}

#[test]
fn a_silent_connection_sends_an_error_and_a_message_once_something_is_received() {
    let now = Instant::now();
    let (groups, mut losses) = world(now);
    silent(&mut losses, now);
    let notices = losses.poll(&groups, losses.next_deadline().unwrap());
    assert_eq!(clients(&notices), [0, 1, 2]);
    let of = |notices: &[Notice], client| {
        notices.iter().find(|it| it.clients.contains(&ClientId(client))).unwrap().clone()
    };
    let text = "No ticks from 2 instruments (1 and 2): nothing received from Kite for 5 s.";
    assert_eq!(data(&of(&notices, 0), "error"), text);
    assert_eq!(losses.next_deadline(), None);
    losses.on_silence(0, at(22), at(23), now + SECOND * 8);
    let notices = losses.poll(&groups, losses.next_deadline().unwrap());
    assert_eq!(clients(&notices), [0, 1, 2]);
    let ended = data(&of(&notices, 2), "message")["resumed"].take();
    assert_eq!(ended["instruments"], json!([2]));
    let read = |name: &str| readable::unix_ns::deserialize(&ended[name]).unwrap();
    assert_eq!(read("to") - read("from"), 12_000_000_000);
    assert_eq!(losses.next_deadline(), None);
}

#[test]
fn a_silent_connection_that_is_lost_is_ended_by_its_gap_alone() {
    let now = Instant::now();
    let (groups, mut losses) = world(now);
    silent(&mut losses, now);
    assert_eq!(losses.poll(&groups, now + SETTLE).len(), 2);
    let mut now = now + SECOND * 5;
    losses.on_down(0, now, at(10));
    place(&mut losses, [&[1, 2], &[3]], now);
    assert_eq!(losses.next_deadline(), Some(now + ERROR_AFTER));
    let notices = losses.poll(&groups, now + ERROR_AFTER);
    assert_eq!(clients(&notices), [0, 1, 2]);
    let text =
        "No ticks from 2 instruments (1 and 2): the connection to Kite is down; reconnecting.";
    assert!(notices.iter().any(|it| data(it, "error") == text));
    now += SECOND * 2;
    losses.on_up(0, now, at(22));
    losses.on_gap(0, &gap_of(&[1, 2]), now);
    assert_eq!(losses.next_deadline(), None);
}

fn gap_of(tokens: &[u32]) -> Gap {
    let mut gap = Gap::new(at(1), at(2), at(3));
    let missed = |&token| Missed::new(token, Mode::Quote, VolumeMissed::NotBack);
    gap.instruments = tokens.iter().map(missed).collect();
    gap
}

#[test]
fn what_was_subscribed_during_an_outage_has_an_end_with_the_gap_of_the_others() {
    let now = Instant::now();
    let (mut groups, mut losses) = world(now);
    losses.on_down(1, now, at(10));
    place(&mut losses, [&[1, 2], &[3]], now);
    obey(&mut groups, &mut losses, 7, Command::Subscribe(&[3, 4]), now);
    place(&mut losses, [&[1, 2], &[3, 4]], now);
    assert_eq!(clients(&losses.poll(&groups, now + ERROR_AFTER)), [2, 7]);
    losses.on_up(1, now + SECOND * 2, at(12));
    assert_eq!(losses.next_deadline(), Some(now + SECOND * 2 + GAP_WITHIN));
    losses.on_gap(1, &gap_of(&[3]), now + SECOND * 3);
    let notices = losses.poll(&groups, now + SECOND * 3);
    assert_eq!(clients(&notices), [7]);
    assert_eq!(data(&notices[0], "message")["resumed"]["instruments"], json!([4]));
    assert_eq!(losses.next_deadline(), None);
}

#[test]
fn an_error_before_the_first_socket_has_an_end_too() {
    let now = Instant::now();
    let (groups, _) = world(now);
    let mut losses = Losses::new(2, Heartbeats::default(), now, at(0));
    place(&mut losses, [&[1, 2], &[3]], now);
    losses.poll(&groups, now + ERROR_AFTER);
    (0..2).for_each(|slot| losses.on_up(slot, now + SECOND * 2, at(2)));
    let notices = losses.poll(&groups, now + SECOND * 2);
    assert!(notices.iter().all(|it| data(it, "message")["resumed"].is_object()));
    assert_eq!(losses.next_deadline(), None);
}

#[test]
fn instruments_that_are_asked_for_one_after_another_are_one_error() {
    let now = Instant::now();
    let (mut groups, mut losses) =
        (world(now).0, Losses::new(2, Heartbeats::default(), now, at(0)));
    let later = now + SECOND * 10;
    obey(&mut groups, &mut losses, 7, Command::Subscribe(&[5]), later);
    place(&mut losses, [&[5], &[]], later);
    assert!(losses.poll(&groups, later).is_empty());
    obey(&mut groups, &mut losses, 7, Command::Subscribe(&[6]), later + MS);
    place(&mut losses, [&[5], &[6]], later + MS);
    let notices = losses.poll(&groups, losses.next_deadline().unwrap());
    assert_eq!(clients(&notices), [7]);
    let text =
        "No ticks from 2 instruments (5 and 6): the connection to Kite is down; reconnecting.";
    assert_eq!(data(&notices[0], "error"), text);
}

#[test]
fn a_gap_is_reported_with_the_instruments_of_each_client() {
    let (groups, _) = world(Instant::now());
    let mut lost = Gap::new(at(1), at(2), at(3));
    lost.resumed = Some(at(4));
    lost.instruments = vec![
        Missed::new(1, Mode::Quote, VolumeMissed::Known(40)),
        Missed::new(2, Mode::Quote, VolumeMissed::Known(2)),
        Missed::new(3, Mode::Ltp, VolumeMissed::NotCarried),
        Missed::new(9, Mode::Quote, VolumeMissed::Known(9)),
    ];
    let notices = gap(&lost, &groups);
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
    lost.instruments.drain(..3);
    assert!(gap(&lost, &groups).is_empty());
}

/// Something that happens to clients and connections.
#[derive(Debug, Clone)]
enum Op {
    Subscribe(u64, u32),
    Unsubscribe(u64, u32),
    /// An instrument moves to another connection.
    Move(u32),
    Down(usize),
    Up(usize),
    Silence(usize),
    Heard(usize),
    /// A connection reports the gap of some of its instruments.
    Gap(usize, bool),
    Leave(u64),
}

fn op() -> impl Strategy<Value = Op> {
    let (client, token, slot) = (0_u64..3, 0_u32..5, 0_usize..2);
    prop_oneof![
        4 => (client.clone(), token.clone()).prop_map(|(client, token)| Op::Subscribe(client, token)),
        1 => (client.clone(), token.clone()).prop_map(|(client, token)| Op::Unsubscribe(client, token)),
        1 => token.prop_map(Op::Move),
        2 => slot.clone().prop_map(Op::Down),
        2 => slot.clone().prop_map(Op::Up),
        1 => slot.clone().prop_map(Op::Silence),
        1 => slot.clone().prop_map(Op::Heard),
        1 => (slot, any::<bool>()).prop_map(|(slot, all)| Op::Gap(slot, all)),
        1 => client.prop_map(Op::Leave),
    ]
}

/// What clients know: the instruments that an error has named and nothing has ended.
#[derive(Default)]
struct Known {
    by_client: HashMap<u64, BTreeSet<u32>>,
    /// Those that a client has unsubscribed since, which may or may not have an end.
    unsubscribed: BTreeSet<(u64, u32)>,
}

impl Known {
    fn take(&mut self, notices: &[Notice]) {
        for notice in notices {
            let text: Value = serde_json::from_str(&notice.text).unwrap();
            for client in &notice.clients {
                let known = self.by_client.entry(client.0).or_default();
                let data = &text["data"];
                if let Some(error) = data.as_str() {
                    // At most five, so that all are listed.
                    let (_, named) = error.split_once('(').unwrap();
                    let named = named.split_once(')').unwrap().0.replace(" and ", ", ");
                    known.extend(named.split(", ").map(|token| token.parse::<u32>().unwrap()));
                } else if let Some(named) = data["resumed"]["instruments"].as_array() {
                    for token in named {
                        let token = token.as_u64().unwrap() as u32;
                        let is_unsubscribed = self.unsubscribed.contains(&(client.0, token));
                        assert!(known.remove(&token) || is_unsubscribed, "{token} has another end");
                    }
                } else {
                    let named = data["gap"]["instruments"].as_object().unwrap();
                    known.retain(|token| !named.contains_key(&token.to_string()));
                }
            }
        }
    }
}

proptest! {
    #[test]
    fn what_an_error_names_has_one_end(ops in prop::collection::vec((op(), 0_u64..3_000), 0..40)) {
        let mut now = Instant::now();
        let (mut groups, mut losses) =
            (Groups::default(), Losses::new(2, Heartbeats::default(), now, at(0)));
        let mut slots = [BTreeMap::new(), BTreeMap::new()];
        let (mut known, mut second) = (Known::default(), 0);
        let rest = [Op::Heard(0), Op::Heard(1), Op::Up(0), Op::Up(1)];
        let ops = ops.into_iter().chain(rest.map(|op| (op, 20_000)));
        for (op, wait) in ops {
            second += 10;
            match op {
                Op::Subscribe(client, token) => {
                    if slots.iter().all(|slot| !slot.contains_key(&token)) {
                        slots[token as usize % 2].insert(token, Mode::Quote);
                    }
                    obey(&mut groups, &mut losses, client, Command::Subscribe(&[token]), now);
                }
                Op::Unsubscribe(client, token) => {
                    known.unsubscribed.insert((client, token));
                    obey(&mut groups, &mut losses, client, Command::Unsubscribe(&[token]), now);
                }
                Op::Move(token) => {
                    if let Some(from) = slots.iter().position(|slot| slot.contains_key(&token)) {
                        slots[from].remove(&token);
                        slots[1 - from].insert(token, Mode::Quote);
                    }
                }
                Op::Down(slot) => losses.on_down(slot, now, at(second)),
                Op::Up(slot) => losses.on_up(slot, now, at(second)),
                Op::Silence(slot) => drop(losses.on_silence(slot, at(second - 6), at(second), now)),
                Op::Heard(slot) => drop(losses.on_silence(slot, at(second), at(second), now)),
                Op::Gap(slot, all) => {
                    let take = if all { usize::MAX } else { 1 };
                    let gap = gap_of(&slots[slot].keys().copied().take(take).collect::<Vec<_>>());
                    known.take(&super::gap(&gap, &groups));
                    losses.on_gap(slot, &gap, now);
                }
                Op::Leave(client) => {
                    groups.leave(ClientId(client));
                    losses.leave(ClientId(client));
                    known.by_client.remove(&client);
                }
            }
            losses.set_placement(&slots, now, at(second));
            now += MS * wait as u32;
            known.take(&losses.poll(&groups, now));
        }
        now += GAP_WITHIN;
        known.take(&losses.poll(&groups, now));
        prop_assert_eq!(losses.next_deadline(), None);
        let unsubscribed = known.unsubscribed;
        for (client, known) in known.by_client {
            let book: BTreeMap<_, _> = groups.book(ClientId(client)).collect();
            let is_open = |token: &&u32| book.contains_key(token) && !unsubscribed.contains(&(client, **token));
            let open: Vec<_> = known.iter().filter(is_open).collect();
            prop_assert!(open.is_empty(), "{open:?} of {client} have no end");
        }
    }

    #[test]
    fn every_client_of_a_lost_connection_is_informed_once(
        ops in prop::collection::vec((0_u64..4, 0_u32..6, any::<bool>(), 0_u64..700), 0..30),
    ) {
        let now = Instant::now();
        let mut groups = Groups::default();
        let mut losses = Losses::new(1, Heartbeats::default(), now, at(0));
        // Instruments below 3 are on the connection that is down.
        let placement = [(0..3).map(|token| (token, Mode::Quote)).collect()];
        losses.set_placement(&placement, now, at(0));
        let (mut time, mut informed) = (now, BTreeSet::new());
        for (client, token, adds, wait) in ops {
            let command = if adds { Command::Subscribe } else { Command::Unsubscribe };
            obey(&mut groups, &mut losses, client, command(&[token]), time);
            time += MS * wait as u32;
            for client in clients(&losses.poll(&groups, time)) {
                prop_assert!(informed.insert(client), "{client} is informed twice");
            }
            prop_assert!(time >= now + ERROR_AFTER || informed.is_empty());
            // Later commands wait for others.
            let is_due = losses.next_deadline().is_none_or(|due| due <= time) && time >= now + ERROR_AFTER;
            for client in (0..4).filter(|_| is_due) {
                let depends = groups.book(ClientId(client)).any(|(token, _)| token < 3);
                prop_assert!(!depends || informed.contains(&client));
            }
        }
    }
}
