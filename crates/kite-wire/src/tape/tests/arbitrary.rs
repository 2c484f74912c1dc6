//! Random tapes: any contents, any damage, any order of parts.

use std::vec::Vec;

use proptest::prelude::*;

use super::*;

fn any_record() -> impl Strategy<Value = Owned> {
    use RecordKind::{Binary, Event, Gap, Text};
    let kind = prop_oneof![Just(Binary), Just(Text), Just(Gap), Just(Event)];
    let payload = prop::collection::vec(any::<u8>(), 0..40);
    (any::<(u64, u8, u8)>(), kind, payload).prop_map(
        |((recv_unix_ns, account, connection), kind, payload)| {
            let source = Source { account, connection };
            Owned { received: Received { recv_unix_ns, source }, kind, payload }
        },
    )
}

fn any_tape() -> impl Strategy<Value = Model> {
    let records = prop::collection::vec(any_record(), 0..6);
    let block =
        (records, any::<bool>()).prop_map(|(records, is_sealed)| Written { records, is_sealed });
    let metadata = prop::collection::vec(any::<u8>(), 0..20);
    (metadata, prop::collection::vec(block, 0..5))
        .prop_map(|(metadata, blocks)| Model::write(&metadata, blocks))
}

/// Pieces that look like parts of a tape, so that random orders of them reach deep into the reader.
fn any_piece() -> impl Strategy<Value = Vec<u8>> {
    let seal = |(sequence, codec, records, stored): (u32, u8, u8, Vec<u8>)| {
        let mut block = BlockEncoder::new(ID, sequence);
        for _ in 0..records {
            let Owned { received, kind, payload } = owned(1, RecordKind::Text, &stored);
            block.record(received, kind, &payload).unwrap();
        }
        if codec == 0 {
            return block.seal().to_vec();
        }
        [&block.seal_compressed(codec, &stored).unwrap()[..], &stored].concat()
    };
    let bytes = || prop::collection::vec(any::<u8>(), 0..50);
    let length = |payload: Vec<u8>| {
        let record = owned(7, RecordKind::Binary, &payload);
        BlockEncoder::new(ID, 0).record(record.received, record.kind, &payload).unwrap().to_vec()
    };
    prop_oneof![
        any_tape().prop_map(|model| model.bytes[model.header_len..].to_vec()),
        (0..4_u32, 0..3_u8, 0..4_u8, bytes()).prop_map(seal),
        (0..4_u32).prop_map(|sequence| BlockEncoder::new(ID, sequence).opening().to_vec()),
        bytes().prop_map(length),
        bytes(),
        (0..90_usize).prop_map(|zeros| std::vec![0; zeros]),
        (1..9_usize).prop_map(|cut| BLOCK_MAGIC[..cut].to_vec()),
    ]
}

proptest! {
    #[test]
    fn any_tape_reads_back(model in any_tape()) {
        let (records, skips, ending, _) = read(&model.bytes);
        prop_assert!(records.iter().eq(model.records()));
        prop_assert_eq!(skips, []);
        let is_clean = model.blocks.last().is_none_or(|block| block.is_sealed);
        prop_assert_eq!(matches!(ending, Ending::Clean { .. }), is_clean);
        prop_assert_eq!(ending.at(), model.bytes.len());
    }

    #[test]
    fn damage_anywhere_invents_nothing(
        model in any_tape(),
        flips in prop::collection::vec(any::<(prop::sample::Index, u8)>(), 1..5),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut bytes = model.bytes.clone();
        for (at, bits) in flips {
            let at = at.index(bytes.len() + 1 - model.header_len) + model.header_len;
            if let Some(byte) = bytes.get_mut(at) {
                *byte ^= bits;
            }
        }
        bytes.truncate(model.header_len + cut.index(bytes.len() + 1 - model.header_len));
        let (records, ..) = read(&bytes);
        let written: Vec<Owned> = model.records().cloned().collect();
        prop_assert!(is_subsequence(&records, &written));
    }

    #[test]
    fn arbitrary_bytes_are_read_in_linear_time_and_can_be_continued(
        pieces in prop::collection::vec(any_piece(), 0..12),
    ) {
        let mut bytes = Model::write(b"", std::vec![]).bytes;
        bytes.extend(pieces.concat());
        work::take();
        let tape = Tape::open(&bytes).unwrap();
        let items = tape.records().count();
        prop_assert!(work::take() <= 12 * bytes.len() + 500);
        prop_assert!(items <= bytes.len() / 8);
        prop_assert!(tape.resume().append_at <= bytes.len());
        prop_assert!(work::take() <= 12 * bytes.len() + 500);

        let (records, ..) = read(&bytes);
        let more = owned(99, RecordKind::Event, b"resumed");
        let (resumed, _, ending, _) = read(&resume(&bytes, &more));
        prop_assert_eq!(resumed.split_last(), Some((&more, &records[..])));
        prop_assert!(matches!(ending, Ending::Clean { .. }), "{:?}", ending);
    }

    #[test]
    fn any_bytes_open_or_are_rejected(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        if let Ok(tape) = Tape::open(&bytes) {
            tape.records().for_each(drop);
        }
    }
}
