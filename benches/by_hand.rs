//! The baseline for kite-wire: what a careful programmer would write from the offsets in the
//! protocol's documentation.
//!
//! It trusts its input, as such code does, so a wrong length panics.

/// One depth level.
#[derive(Debug, Clone, Copy)]
#[expect(missing_docs, reason = "plain fields, named as in the protocol")]
pub struct Level {
    pub quantity: u32,
    pub price: i32,
    pub orders: u16,
}

/// A full packet as a flat struct.
#[derive(Debug, Clone, Copy)]
#[expect(missing_docs, reason = "plain fields, named as in the protocol")]
pub struct FlatTick {
    pub instrument_token: u32,
    pub last_price: i32,
    pub last_quantity: u32,
    pub average_price: i32,
    pub volume: u32,
    pub total_buy_quantity: u32,
    pub total_sell_quantity: u32,
    pub open: i32,
    pub high: i32,
    pub low: i32,
    pub close: i32,
    pub last_trade_timestamp: u32,
    pub open_interest: u32,
    pub open_interest_high: u32,
    pub open_interest_low: u32,
    pub exchange_timestamp: u32,
    pub bids: [Level; 5],
    pub asks: [Level; 5],
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

/// Calls `each` with the body of every packet.
#[inline]
pub fn bodies(frame: &[u8], mut each: impl FnMut(&[u8])) {
    let count = u16::from_be_bytes([frame[0], frame[1]]);
    let mut at = 2;
    for _ in 0..count {
        let length = usize::from(u16::from_be_bytes([frame[at], frame[at + 1]]));
        each(&frame[at + 2..at + 2 + length]);
        at += 2 + length;
    }
}

/// Sums token, last price, volume, best bid and best ask, if the packet has them.
#[must_use]
pub fn five_fields(frame: &[u8]) -> u64 {
    let mut sum = 0_u64;
    let mut add = |body: &[u8], at| sum = sum.wrapping_add(u64::from(u32_at(body, at)));
    bodies(frame, |body| {
        add(body, 0);
        add(body, 4);
        if body.len() == 184 {
            add(body, 16);
            add(body, 68);
            add(body, 128);
        } else if body.len() == 44 {
            add(body, 16);
        }
    });
    sum
}

/// Decodes the full packets and appends them to `ticks`.
pub fn full_ticks(frame: &[u8], ticks: &mut Vec<FlatTick>) {
    each_full_tick(frame, |tick| ticks.push(tick));
}

/// Calls `each` with every full packet, decoded.
#[inline(always)]
pub fn each_full_tick(frame: &[u8], mut each: impl FnMut(FlatTick)) {
    bodies(frame, |body| {
        let Ok(body) = <&[u8; 184]>::try_from(body) else { return };
        let unsigned = |at| u32_at(body, at);
        let signed = |at| u32_at(body, at).cast_signed();
        let level = |at: usize| Level {
            quantity: unsigned(at),
            price: signed(at + 4),
            orders: u16::from_be_bytes([body[at + 8], body[at + 9]]),
        };
        each(FlatTick {
            instrument_token: unsigned(0),
            last_price: signed(4),
            last_quantity: unsigned(8),
            average_price: signed(12),
            volume: unsigned(16),
            total_buy_quantity: unsigned(20),
            total_sell_quantity: unsigned(24),
            open: signed(28),
            high: signed(32),
            low: signed(36),
            close: signed(40),
            last_trade_timestamp: unsigned(44),
            open_interest: unsigned(48),
            open_interest_high: unsigned(52),
            open_interest_low: unsigned(56),
            exchange_timestamp: unsigned(60),
            bids: [level(64), level(76), level(88), level(100), level(112)],
            asks: [level(124), level(136), level(148), level(160), level(172)],
        });
    });
}

/// Encodes full packets by copying and byte-swapping their fields.
///
/// # Panics
/// Panics if `out` is too small.
#[must_use]
pub fn encode(ticks: &[FlatTick], out: &mut [u8]) -> usize {
    let mut at = 2;
    for tick in ticks {
        let body = &mut out[at + 2..at + 186];
        let FlatTick { instrument_token, last_quantity, volume, .. } = *tick;
        let words = [
            instrument_token,
            tick.last_price.cast_unsigned(),
            last_quantity,
            tick.average_price.cast_unsigned(),
            volume,
            tick.total_buy_quantity,
            tick.total_sell_quantity,
            tick.open.cast_unsigned(),
            tick.high.cast_unsigned(),
            tick.low.cast_unsigned(),
            tick.close.cast_unsigned(),
            tick.last_trade_timestamp,
            tick.open_interest,
            tick.open_interest_high,
            tick.open_interest_low,
            tick.exchange_timestamp,
        ];
        let (head, depth) = body.split_at_mut(64);
        for (room, word) in head.chunks_exact_mut(4).zip(words) {
            room.copy_from_slice(&word.to_be_bytes());
        }
        for (room, level) in depth.chunks_exact_mut(12).zip(tick.bids.iter().chain(&tick.asks)) {
            room[..4].copy_from_slice(&level.quantity.to_be_bytes());
            room[4..8].copy_from_slice(&level.price.to_be_bytes());
            room[8..10].copy_from_slice(&level.orders.to_be_bytes());
            room[10..].fill(0);
        }
        out[at..at + 2].copy_from_slice(&184_u16.to_be_bytes());
        at += 186;
    }
    let count = u16::try_from(ticks.len()).unwrap_or(u16::MAX);
    out[..2].copy_from_slice(&count.to_be_bytes());
    at
}
