use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use bytes::Bytes;
use kite_wire::TickBatch;
use proptest::prelude::*;

use super::*;

fn after(start: Stamp, nanos: u64) -> Stamp {
    Stamp::at(start.to_instant() + Duration::from_nanos(nanos))
}

/// Creates a batch of packets from their token, length and fill byte.
fn batch(packets: &[(u32, usize, u8)], received: Stamp, epoch: u32) -> Batch {
    let mut frame = (packets.len() as u16).to_be_bytes().to_vec();
    for packet in packets.iter().map(packet) {
        frame.extend_from_slice(&(packet.len() as u16).to_be_bytes());
        frame.extend_from_slice(&packet);
    }
    Batch::new(TickBatch::new(frame.into()).unwrap(), received, epoch, 1)
}

fn packet(&(token, len, fill): &(u32, usize, u8)) -> Vec<u8> {
    let mut packet: Vec<u8> = (0..len).map(|at| fill.wrapping_add(at as u8)).collect();
    packet[..4].copy_from_slice(&token.to_be_bytes());
    packet
}

/// Subscribes the instruments of a batch and receives it.
fn receive(sink: &mut LatestSink, batch: &Batch) {
    let tokens: Vec<u32> = batch.ticks.packets().map(|it| it.instrument_token()).collect();
    sink.on_command(Command::Subscribe(&tokens));
    sink.on_batch(batch, &TokenMap::new());
}

#[test]
fn the_newest_packet_is_copied_with_its_connection_and_time() {
    let latest = Latest::new(2);
    assert!(latest.get(7).is_none());
    let (mut first, mut second) = (latest.sink(0), latest.sink(1));
    let start = Stamp::now();
    let given = batch(&[(7, 44, 1), (7, 28, 2), (8, 8, 3)], after(start, 20), 3);
    receive(&mut first, &given);
    let tick = latest.get(7).unwrap();
    assert_eq!(tick.packet().as_bytes(), packet(&(7, 28, 2)));
    assert_eq!(tick.tick(), given.ticks.iter().nth(1).unwrap());
    assert_eq!((tick.received(), tick.epoch(), tick.slot()), (after(start, 20), 3, 0));
    receive(&mut second, &batch(&[(7, 184, 9)], after(start, 10), 1));
    assert_eq!(latest.get(7).unwrap().slot(), 0, "received earlier");
    receive(&mut second, &batch(&[(7, 184, 9)], after(start, 30), 1));
    assert_eq!(latest.get(7).unwrap().packet().as_bytes(), packet(&(7, 184, 9)));
    assert_eq!(latest.get(8).unwrap().packet().as_bytes(), packet(&(8, 8, 3)));
    assert!(latest.get(9).is_none() && latest.get(0).is_none());
}

#[test]
fn the_frame_is_not_kept_alive() {
    let latest = Latest::new(1);
    let bytes: Bytes = batch(&[(7, 8, 1)], Stamp::now(), 1).frame().to_vec().into();
    let ticks = TickBatch::new(bytes.clone()).unwrap();
    receive(&mut latest.sink(0), &Batch::new(ticks, Stamp::now(), 1, 1));
    assert!(latest.get(7).is_some() && bytes.is_unique());
}

#[test]
fn a_new_run_starts_empty_and_the_last_one_is_kept_until_then() {
    let latest = Latest::new(1);
    let mut old = latest.sink(0);
    receive(&mut old, &batch(&[(7, 8, 1)], Stamp::now(), 1));
    drop(latest.sink(0));
    assert!(latest.get(7).is_none());
    receive(&mut old, &batch(&[(7, 8, 1)], Stamp::now(), 1));
    assert!(latest.get(7).is_none(), "the old sink has no effect");
    let mut new = latest.sink(0);
    receive(&mut new, &batch(&[(7, 8, 2)], Stamp::now(), 1));
    drop(new);
    assert!(latest.get(7).is_some());
}

#[test]
fn instruments_beyond_the_bound_are_counted_and_replace_no_other() {
    let latest = Latest::new(1);
    let mut sink = latest.sink(0);
    let now = Stamp::now();
    for token in 1..=65_600 {
        receive(&mut sink, &batch(&[(token << 8 | 1, 8, token as u8)], now, 1));
    }
    assert_eq!(latest.refused(), 64);
    receive(&mut sink, &batch(&[(1 << 8 | 1, 8, 77), (0, 8, 1)], now, 1));
    assert_eq!(latest.get(1 << 8 | 1).unwrap().packet().as_bytes(), packet(&(257, 8, 77)));
    for token in 2..=65_536 {
        let found = latest.get(token << 8 | 1).unwrap();
        assert_eq!(found.packet().as_bytes(), packet(&(token << 8 | 1, 8, token as u8)));
    }
    assert!(latest.get(65_537 << 8 | 1).is_none());
}

#[test]
fn instruments_that_were_not_subscribed_are_counted_and_take_no_room() {
    let latest = Latest::new(1);
    let mut sink = latest.sink(0);
    let now = Stamp::now();
    sink.on_command(Command::Subscribe(&[300]));
    for token in 0..100_000 {
        sink.on_batch(&batch(&[(token << 8 | 1, 8, 1)], now, 1), &TokenMap::new());
    }
    sink.on_batch(&batch(&[(300, 8, 1)], now, 1), &TokenMap::new());
    sink.on_command(Command::Unsubscribe(&[300]));
    sink.on_batch(&batch(&[(300, 8, 2)], now, 1), &TokenMap::new());
    assert_eq!(latest.get(300).unwrap().packet().as_bytes(), packet(&(300, 8, 2)));
    assert_eq!((latest.refused(), sink.instruments), (100_000, 1));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn any_packets_are_stored_as_in_a_map(
        given in prop::collection::vec(
            (0..2_usize, 0_u64..50, prop::collection::vec(
                (
                    prop_oneof![0_u32..50, 0_u32..3_000],
                    prop::sample::select(vec![8_usize, 28, 32, 44, 184]),
                    any::<u8>(),
                ),
                0..60,
            )),
            0..60,
        ),
    ) {
        let latest = Latest::new(2);
        let mut sinks = [latest.sink(0), latest.sink(1)];
        let start = Stamp::now();
        let mut model: [BTreeMap<u32, (u64, Vec<u8>)>; 2] = Default::default();
        for (number, (slot, nanos, packets)) in given.iter().enumerate() {
            // Receive times rise and are distinct.
            let nanos = (number as u64) * 100 + nanos;
            receive(&mut sinks[*slot], &batch(packets, after(start, nanos), 1));
            for of_model in packets {
                model[*slot].insert(of_model.0, (nanos, packet(of_model)));
            }
        }
        for token in 0..3_000 {
            let expected = model.iter().filter_map(|of_slot| of_slot.get(&token)).max();
            let expected = expected.filter(|_| token != 0);
            let found = latest.get(token);
            prop_assert_eq!(found.is_some(), expected.is_some());
            if let (Some(found), Some((nanos, packet))) = (found, expected) {
                prop_assert_eq!(found.packet().as_bytes(), packet);
                prop_assert_eq!(found.received(), after(start, *nanos));
            }
        }
    }
}

/// One writer replaces packets of changing lengths, whose words all contain the same number.
/// Readers must never see two numbers in one packet, nor an older packet after a newer one.
#[test]
fn readers_never_see_two_packets_in_one() {
    const INSTRUMENTS: u32 = 3;
    const READS: u64 = 150_000;
    let latest = Latest::new(1);
    let mut sink = latest.sink(0);
    let start = Stamp::now();
    let batch_of = |number: u64| {
        let mut frame = (INSTRUMENTS as u16).to_be_bytes().to_vec();
        for token in 1..=INSTRUMENTS {
            let len = if number.is_multiple_of(5) { 44_u16 } else { 184 };
            frame.extend_from_slice(&len.to_be_bytes());
            frame.extend_from_slice(&token.to_be_bytes());
            let words = (u64::from(len) - 4) / 4;
            frame.extend((0..words).flat_map(|_| (number as u32).to_be_bytes()));
        }
        let ticks = TickBatch::new(frame.into()).unwrap();
        Batch::new(ticks, after(start, number), number as u32, number)
    };
    receive(&mut sink, &batch_of(0));
    let (done, changes) = (AtomicBool::new(false), AtomicU64::new(0));
    thread::scope(|scope| {
        let read = || {
            let mut before = [0; INSTRUMENTS as usize + 1];
            for read in 0..READS {
                let token = read as u32 % INSTRUMENTS + 1;
                let tick = latest.get(token).unwrap();
                let bytes = tick.packet().as_bytes();
                let number = tick.epoch();
                let words = bytes.as_chunks::<4>().0;
                assert_eq!(words[0], token.to_be_bytes());
                assert!(words[1..].iter().all(|word| *word == number.to_be_bytes()), "torn");
                assert_eq!(bytes.len() == 44, number.is_multiple_of(5), "torn in length");
                assert_eq!(tick.received(), after(start, number.into()), "torn in time");
                let before = &mut before[token as usize];
                assert!(*before <= number, "an older packet after a newer one");
                changes.fetch_add(u64::from(*before < number), Ordering::Relaxed);
                *before = number;
            }
        };
        scope.spawn(|| {
            let batches: Vec<_> = (1..1_000).map(batch_of).collect();
            let mut numbers = 1_000..;
            batches.into_iter().for_each(|batch| sink.on_batch(&batch, &TokenMap::new()));
            while !done.load(Ordering::Acquire) {
                numbers
                    .next()
                    .into_iter()
                    .for_each(|number| sink.on_batch(&batch_of(number), &TokenMap::new()));
            }
        });
        let readers = [scope.spawn(read), scope.spawn(read), scope.spawn(read)];
        let outcomes = readers.map(|reader| reader.join());
        done.store(true, Ordering::Release);
        outcomes.into_iter().for_each(Result::unwrap);
    });
    assert!(changes.into_inner() > 100, "nothing was written while reading");
}
