//! Decoding, encoding and commands allocate nothing.

use std::fmt::Write;

use kite_wire::{
    Command, DepthLevel, Fields, Frame, FrameEncoder, FullFields, Mode, ParsedCommand, QuoteFields,
    Scan, Tick,
};

fn ticks() -> Vec<Tick> {
    let full = |token| Tick {
        instrument_token: token,
        last_price: 157_370,
        fields: Fields::Full {
            quote: QuoteFields { volume: 7, close: 156_780, ..QuoteFields::default() },
            full: FullFields {
                bids: [DepthLevel { quantity: 1, price: 157_340, orders: 1 }; 5],
                asks: [DepthLevel { quantity: 1, price: 157_370, orders: 1 }; 5],
                ..FullFields::default()
            },
        },
    };
    let ltp = |token| Tick { instrument_token: token, last_price: 5, fields: Fields::Ltp };
    (0..200).map(|n| if n % 3 == 0 { ltp(n) } else { full(n) }).collect()
}

/// A string on the stack.
struct Text {
    bytes: [u8; 64],
    len: usize,
}

impl Write for Text {
    fn write_str(&mut self, s: &str) -> std::fmt::Result {
        let room = self.bytes.get_mut(self.len..self.len + s.len()).ok_or(std::fmt::Error)?;
        room.copy_from_slice(s.as_bytes());
        self.len += s.len();
        Ok(())
    }
}

#[test]
fn the_codec_allocates_nothing() {
    let ticks = ticks();
    let mut buffer = vec![0; 40_000];
    let (mut decoded, mut scanned) = (Vec::with_capacity(200), Vec::with_capacity(200));
    let mut text = Text { bytes: [0; 64], len: 0 };
    let mut digest = 0_i64;
    let counted = allocation_counter::measure(|| {
        let mut encoder = FrameEncoder::new(&mut buffer).unwrap();
        for tick in &ticks {
            encoder.push(tick).unwrap();
        }
        let bytes = encoder.finish();
        let frame = Frame::walk(bytes);
        frame.append_ticks(&mut decoded);
        assert_eq!(Scan::new(bytes).append_ticks(&mut scanned), frame);
        for packet in frame.packets() {
            digest += i64::from(packet.last_price().raw());
            digest += packet.spread().map_or(0, |spread| i64::from(spread.raw()));
            text.len = 0;
            write!(text, "{} {:?}", packet.last_price(), packet.change()).unwrap();
        }
        text.len = 0;
        write!(text, "{}", Command::Mode(Mode::Full, &[408_065, 884_737])).unwrap();
        let command = std::str::from_utf8(&text.bytes[..text.len]).unwrap();
        digest += ParsedCommand::parse(command).unwrap().tokens.map(i64::from).sum::<i64>();
    });
    assert_eq!((&decoded, &scanned), (&ticks, &ticks));
    assert_ne!(digest, 0);
    assert_eq!(counted.count_total, 0);
}
