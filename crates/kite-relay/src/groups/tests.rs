use std::collections::BTreeMap;

use kite_wire::{Command, ParsedCommand};
use proptest::prelude::*;

use super::*;

type Books = BTreeMap<u64, BTreeMap<u32, Mode>>;

fn obey(groups: &mut Groups, client: u64, command: Command<'_>) {
    let (client, text) = (ClientId(client), command.to_string());
    let command = ParsedCommand::parse(&text).unwrap();
    let changes = Changes::of(command, |token| groups.mode(client, token));
    groups.apply(client, &changes);
}

#[derive(Debug, Clone)]
enum Op {
    Mode(u64, Mode, Vec<u32>),
    Unsubscribe(u64, Vec<u32>),
    Leave(u64),
}

fn op() -> impl Strategy<Value = Op> {
    let client = || 0_u64..5;
    let tokens = || prop::collection::vec(0_u32..6, 0..4);
    prop_oneof![
        4 => (client(), prop::sample::select(&Mode::ALL[..]), tokens())
            .prop_map(|(client, mode, tokens)| Op::Mode(client, mode, tokens)),
        2 => (client(), tokens()).prop_map(|(client, tokens)| Op::Unsubscribe(client, tokens)),
        1 => client().prop_map(Op::Leave),
    ]
}

fn check(groups: &Groups, books: &Books) -> Result<(), TestCaseError> {
    let mut clients_by_book: BTreeMap<Vec<(u32, Mode)>, Vec<ClientId>> = BTreeMap::new();
    for (&client, book) in books {
        prop_assert_eq!(&groups.book(ClientId(client)).collect::<BTreeMap<_, _>>(), book);
        prop_assert_eq!(groups.book_len(ClientId(client)), book.len());
        if !book.is_empty() {
            let book = book.iter().map(|(&token, &mode)| (token, mode)).collect();
            clients_by_book.entry(book).or_default().push(ClientId(client));
        }
    }
    prop_assert_eq!(groups.len(), clients_by_book.len());
    for (book, clients) in clients_by_book {
        let id = groups.group_by_client[&clients[0]];
        let mut members = groups.members(id).to_vec();
        members.sort_unstable();
        prop_assert_eq!(members, clients);
        let group = &groups.groups[id.index()];
        prop_assert_eq!(group.hash, hash_of(&group.book));
        for token in 0..6 {
            let wanted = groups.index.wants(token).iter().find(|want| want.group == id);
            let in_book = book.iter().find(|(other, _)| *other == token);
            prop_assert_eq!(wanted.map(|want| want.mode), in_book.map(|(_, mode)| *mode));
        }
    }
    for token in 0..6 {
        let wanted = groups.wanting(token).collect::<Vec<_>>();
        prop_assert!(wanted.iter().all(|&id| !groups.members(id).is_empty()));
    }
    Ok(())
}

proptest! {
    #[test]
    fn clients_share_a_group_if_and_only_if_their_books_are_equal(
        ops in prop::collection::vec(op(), 0..60),
    ) {
        let (mut groups, mut books) = (Groups::default(), Books::new());
        for op in ops {
            match op {
                Op::Mode(client, mode, tokens) => {
                    obey(&mut groups, client, Command::Mode(mode, &tokens));
                    let book = books.entry(client).or_default();
                    book.extend(tokens.into_iter().map(|token| (token, mode)));
                }
                Op::Unsubscribe(client, tokens) => {
                    obey(&mut groups, client, Command::Unsubscribe(&tokens));
                    books.entry(client).or_default().retain(|token, _| !tokens.contains(token));
                }
                Op::Leave(client) => {
                    groups.leave(ClientId(client));
                    books.remove(&client);
                }
            }
            check(&groups, &books)?;
        }
        for client in 0..5 {
            groups.leave(ClientId(client));
        }
        prop_assert!(groups.is_empty() && groups.by_hash.is_empty());
    }
}

#[test]
fn books_with_the_same_hash_are_kept_apart() {
    let mut groups = Groups::default();
    obey(&mut groups, 1, Command::Mode(Mode::Full, &[1]));
    let (first, hash) = (groups.group_by_client[&ClientId(1)], hash_of_one(2, Mode::Full));
    // As if the first book had the hash of the second.
    groups.groups[first.index()].hash = hash;
    groups.by_hash = HashMap::from([(hash, vec![first])]);
    obey(&mut groups, 2, Command::Mode(Mode::Full, &[2]));
    assert_eq!(groups.len(), 2);
    assert_eq!(groups.members(first), [ClientId(1)]);
}
