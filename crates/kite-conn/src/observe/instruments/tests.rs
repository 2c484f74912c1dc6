use std::collections::BTreeMap;

use kite_wire::{Fields, FrameEncoder, QuoteFields, Tick};
use proptest::prelude::*;

use super::*;

fn on_tick(writer: &mut InstrumentWriter, token: u32, volume: u32, received: Stamp) {
    writer.on_subscribed(&[token]);
    receive(writer, token, volume, received);
}

fn receive(writer: &mut InstrumentWriter, token: u32, volume: u32, received: Stamp) {
    let fields = Fields::Quote(QuoteFields { volume, ..QuoteFields::default() });
    let tick = Tick { instrument_token: token, last_price: 5, fields };
    let mut buffer = [0; 64];
    let mut frame = FrameEncoder::new(&mut buffer).unwrap();
    frame.push(&tick).unwrap();
    let frame = frame.finish();
    let ticks = TickBatch::new(frame.to_vec().into()).unwrap();
    writer.on_frame(&ticks, received, 7, |_, _| {});
}

#[test]
fn readers_see_what_was_written_and_not_what_was_forgotten() {
    let shared = Arc::new(Instruments::default());
    let mut writer = InstrumentWriter::new(Arc::clone(&shared));
    let (first, last) = (Stamp::from_nanos(5), Stamp::from_nanos(9));
    on_tick(&mut writer, 300, 10, first);
    on_tick(&mut writer, 256, 20, first);
    on_tick(&mut writer, 300, 30, last);
    let seen = |token, ticks, last_seen, volume| InstrumentStats {
        token,
        ticks,
        last_seen,
        volume: Some(volume),
    };
    assert_eq!(shared.read(), [seen(256, 1, first, 20), seen(300, 2, last, 30)]);
    writer.on_lost(&BTreeMap::from([(300, Mode::Full)]));
    assert_eq!(shared.read(), [seen(300, 2, last, 30)]);
    assert_eq!(writer.last_tick(256), None);
}

#[test]
fn ticks_of_instruments_that_are_not_subscribed_are_counted_and_reported_once_a_socket() {
    let shared = Arc::new(Instruments::default());
    let mut writer = InstrumentWriter::new(Arc::clone(&shared));
    let at = Stamp::from_nanos(1);
    on_tick(&mut writer, 300, 1, at);
    assert_eq!(writer.poll_unsubscribed(), None);
    for token in 0..100_000 {
        receive(&mut writer, token << 8 | 1, 1, at);
    }
    assert_eq!((writer.poll_unsubscribed(), writer.poll_unsubscribed()), (Some(1), None));
    assert_eq!((shared.unsubscribed_ticks(), shared.read().len()), (100_000, 1));
    assert_eq!(shared.lock().slots.len(), FEWEST_SLOTS, "no memory is used for them");
    // The next socket begins without subscriptions, but what it carried before is known.
    writer.on_lost(&BTreeMap::from([(300, Mode::Full)]));
    receive(&mut writer, 300, 2, at);
    assert_eq!(writer.poll_unsubscribed(), None);
    receive(&mut writer, 257, 1, at);
    assert_eq!((writer.poll_unsubscribed(), shared.read().len()), (Some(257), 1));
}

#[test]
fn any_number_of_subscribed_instruments_fill_a_bounded_table() {
    let shared = Arc::new(Instruments::default());
    let mut writer = InstrumentWriter::new(Arc::clone(&shared));
    on_tick(&mut writer, u32::MAX, 1, Stamp::from_nanos(1));
    for token in 1..MOST_INSTRUMENTS as u32 + 1_000 {
        on_tick(&mut writer, token, 1, Stamp::from_nanos(1));
    }
    on_tick(&mut writer, u32::MAX, 2, Stamp::from_nanos(2));
    let stats = shared.read();
    assert_eq!(stats.len(), MOST_INSTRUMENTS);
    assert_eq!(stats.last().unwrap().volume, Some(2), "a known instrument stays known");
}

#[test]
fn a_token_of_zero_is_not_recorded() {
    let shared = Arc::new(Instruments::default());
    let mut writer = InstrumentWriter::new(Arc::clone(&shared));
    for _ in 0..3_000 {
        on_tick(&mut writer, 0, 1, Stamp::from_nanos(1));
    }
    on_tick(&mut writer, 256, 1, Stamp::from_nanos(1));
    assert_eq!(shared.read().len(), 1);
    assert_eq!((writer.last_tick(0), writer.last_tick(256).is_some()), (None, true));
}

proptest! {
    #[test]
    fn any_ticks_are_recorded_as_in_a_map(
        ticks in prop::collection::vec((1_u32..5_000, any::<u32>()), 0..3_000),
        kept in 0_u32..5_000,
    ) {
        let shared = Arc::new(Instruments::default());
        let mut writer = InstrumentWriter::new(Arc::clone(&shared));
        let mut model: BTreeMap<u32, (u64, u32)> = BTreeMap::new();
        let read = |shared: &Instruments| -> BTreeMap<u32, (u64, u32)> {
            let stats = shared.read().into_iter();
            stats.map(|it| (it.token, (it.ticks, it.volume.unwrap()))).collect()
        };
        for (token, volume) in ticks {
            on_tick(&mut writer, token << 8 | 1, volume, Stamp::from_nanos(1));
            let known = model.entry(token << 8 | 1).or_default();
            *known = (known.0 + 1, volume);
        }
        prop_assert_eq!(read(&shared), model.clone());
        let subscribed: BTreeMap<u32, Mode> =
            (0..kept).map(|token| (token << 8 | 1, Mode::Full)).collect();
        writer.on_lost(&subscribed);
        model.retain(|token, _| subscribed.contains_key(token));
        prop_assert_eq!(read(&shared), model);
    }
}
