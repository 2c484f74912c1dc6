use std::collections::BTreeMap;

use kite_wire::{Command, FrameBuilder, Mode, ParsedCommand, TickBatch};
use proptest::prelude::*;

use super::*;
use crate::changes::{Changes, ClientId};

const LENGTHS: [usize; 5] = [8, 28, 32, 44, 184];

type Books = BTreeMap<u64, BTreeMap<u32, Mode>>;

fn frame_of(packets: &[Vec<u8>]) -> Bytes {
    let mut frame = Vec::from((packets.len() as u16).to_be_bytes());
    for packet in packets {
        frame.extend((packet.len() as u16).to_be_bytes());
        frame.extend(packet);
    }
    frame.into()
}

fn groups_of(books: &Books) -> Groups {
    let mut groups = Groups::default();
    for (&client, book) in books {
        for (&token, &mode) in book {
            let text = Command::Mode(mode, &[token]).to_string();
            let command = ParsedCommand::parse(&text).unwrap();
            groups.apply(ClientId(client), &Changes::of(command, |_| None));
        }
    }
    groups
}

/// What each client gets, by its number.
fn dispatch(books: &Books, bytes: &Bytes) -> (BTreeMap<u64, Bytes>, Undelivered) {
    let groups = groups_of(books);
    let (mut dispatcher, mut shares) = (Dispatcher::default(), Vec::new());
    let undelivered = dispatcher.dispatch(&groups, bytes, &Frame::walk(bytes), &mut shares);
    // As the hub does: the good part alone, whose head declares what the whole frame did.
    let batch = TickBatch::new(bytes.clone()).unwrap_or_else(|damaged| damaged.batch);
    let mut of_batch = Vec::new();
    let again = dispatcher.dispatch(&groups, batch.as_bytes(), &batch.frame(), &mut of_batch);
    assert_eq!((&of_batch, again.leaner), (&shares, undelivered.leaner));
    let mut sent = BTreeMap::new();
    for share in &shares {
        let walked = Frame::walk(&share.frame);
        assert_eq!((walked.fault(), walked.skipped()), (None, 0));
        assert_eq!(walked.packets().len(), usize::from(share.packets));
        assert_eq!(share.frame[..2], share.packets.to_be_bytes());
        for client in groups.members(share.group) {
            assert_eq!(sent.insert(client.0, share.frame.clone()), None);
        }
    }
    (sent, undelivered)
}

/// What a client with this book gets, and how many packets are too lean for it.
fn model(bytes: &[u8], book: &BTreeMap<u32, Mode>) -> (Option<Vec<u8>>, u64) {
    let (mut frame, mut leaner) = (FrameBuilder::new(), 0);
    for packet in Frame::walk(bytes).packets() {
        match book.get(&packet.instrument_token()) {
            Some(&mode) if packet.mode() < mode => leaner += 1,
            Some(&mode) => frame.push(packet.in_mode(mode)).unwrap(),
            None => {}
        }
    }
    ((frame.packets() > 0).then(|| frame.finish()), leaner)
}

/// A packet of one of eight instruments, some of unknown lengths.
fn packet() -> impl Strategy<Value = Vec<u8>> {
    let length = prop_oneof![6 => prop::sample::select(&LENGTHS[..]), 1 => 4_usize..200];
    (length, 1_u8..=8).prop_flat_map(|(length, token)| {
        prop::collection::vec(any::<u8>(), length).prop_map(move |mut packet| {
            packet[..4].copy_from_slice(&[0, 0, 0, token]);
            packet
        })
    })
}

fn books() -> impl Strategy<Value = Books> {
    let mode = prop_oneof![Just(Mode::Ltp), Just(Mode::Quote), Just(Mode::Full)];
    let book = prop::collection::btree_map(1_u32..=8, mode, 0..8);
    prop::collection::btree_map(0_u64..6, book, 0..6)
}

/// The book of one client that wants all of the packets of known length.
fn everything() -> Books {
    [
        (0, (1..=8).map(|token| (token, Mode::Ltp)).collect()),
        (1, (1..=8).map(|token| (token, Mode::Full)).collect()),
    ]
    .into()
}

proptest! {
    #[test]
    fn whatever_is_received_only_whole_frames_are_sent(
        bytes in prop::collection::vec(prop_oneof![Just(0), Just(8), 0_u8..9, any::<u8>()], 0..300),
    ) {
        let book = (0..=8).map(|token| (token, Mode::Ltp)).collect();
        // Each frame that is sent is checked.
        dispatch(&Books::from([(0, book)]), &bytes.into());
    }

    #[test]
    fn each_client_gets_its_instruments_in_its_modes_and_nothing_else(
        packets in prop::collection::vec(packet(), 0..20),
        lost in prop_oneof![3 => Just(0_usize), 1 => 1_usize..200],
        lie in prop_oneof![2 => Just(0_u16), 1 => any::<u16>(), 1 => 0_u16..4],
        books in prop_oneof![3 => books(), 1 => Just(everything())],
    ) {
        let mut whole = Vec::from(frame_of(&packets));
        let declared = (packets.len() as u16).wrapping_add(lie);
        whole[..2].copy_from_slice(&declared.to_be_bytes());
        whole.truncate(whole.len() - lost.min(whole.len()));
        let bytes = Bytes::from(whole);
        let (mut sent, undelivered) = dispatch(&books, &bytes);
        let mut leaner = 0;
        for (client, book) in &books {
            let (expected, of_client) = model(&bytes, book);
            prop_assert_eq!(sent.remove(client).map(Vec::from), expected);
            leaner += of_client;
        }
        prop_assert!(sent.is_empty());
        let frame = Frame::walk(&bytes);
        prop_assert_eq!(undelivered, Undelivered {
            leaner,
            unknown: frame.skipped().into(),
            is_damaged: frame.fault().is_some(),
        });
    }
}

#[test]
fn a_frame_of_which_nothing_is_cut_is_shared_and_other_frames_have_no_spare_room() {
    let full = |token: u8| [&[0, 0, 0, token], &[7; 180][..]].concat();
    let bytes = frame_of(&[full(1), full(2)]);
    let book = |mode| BTreeMap::from([(1, Mode::Full), (2, mode), (3, Mode::Full)]);
    let books = Books::from([(0, book(Mode::Full)), (1, book(Mode::Full)), (2, book(Mode::Ltp))]);
    let (sent, _) = dispatch(&books, &bytes);
    assert_eq!((sent[&0].as_ptr(), sent[&0].len()), (bytes.as_ptr(), bytes.len()));
    assert_eq!(sent[&1].as_ptr(), bytes.as_ptr());
    assert_eq!(sent[&2].len(), 2 + 2 + 184 + 2 + 8);
}

#[test]
fn a_frame_that_declares_another_number_of_packets_is_built_again() {
    let full = |token: u8| [&[0, 0, 0, token], &[7; 180][..]].concat();
    let whole = frame_of(&[full(1), full(2)]);
    let books = Books::from([(0, BTreeMap::from([(1, Mode::Full), (2, Mode::Full)]))]);
    for (declared, left) in [(1, 1), (2, 2), (3, 2), (u16::MAX, 2)] {
        let bytes = Bytes::from([&u16::to_be_bytes(declared), &whole[2..]].concat());
        let (sent, _) = dispatch(&books, &bytes);
        let expected: Vec<_> = (1..=left).map(full).collect();
        assert_eq!(sent[&0], frame_of(&expected), "{declared}");
    }
}

#[test]
fn trailing_bytes_are_not_passed_on() {
    let packet = [&[0, 0, 0, 1], &[7; 180][..]].concat();
    let whole = frame_of(&[packet]);
    let bytes = Bytes::from([&whole, &[9][..]].concat());
    let books = Books::from([(0, BTreeMap::from([(1, Mode::Full)]))]);
    let (sent, undelivered) = dispatch(&books, &bytes);
    assert_eq!(sent[&0], whole);
    assert!(undelivered.is_damaged);
}

#[test]
fn a_heartbeat_and_an_empty_frame_leave_nothing() {
    let books = Books::from([(0, BTreeMap::from([(0, Mode::Full)]))]);
    for bytes in [&[][..], &[0], &[0, 0]] {
        assert!(dispatch(&books, &Bytes::copy_from_slice(bytes)).0.is_empty());
    }
}
