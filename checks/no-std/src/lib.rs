//! Proves that kite-wire needs neither `std` nor `alloc`.
//!
//! A static library with its own panic handler and without an allocator. If `std` is linked there
//! are two panic handlers; if `alloc` is linked there is no allocator. Either fails the build.
//!
//! With the feature `alloc` there is an allocator, and every feature of kite-wire except `std` is
//! on: none of these needs `std` either, nor does kite-candles.
#![no_std]

use core::fmt;
use core::panic::PanicInfo;

use kite_wire::{Amount, EncodeError, Frame, FrameEncoder, ParsedCommand, Price, PriceError, Tick};

#[panic_handler]
fn halt(_: &PanicInfo<'_>) -> ! {
    loop {}
}

// Has no memory: the library is linked, not run.
#[cfg(feature = "alloc")]
#[global_allocator]
static HEAP: linked_list_allocator::LockedHeap = linked_list_allocator::LockedHeap::empty();

/// Reads a text frame.
///
/// # Errors
/// Returns an error if the text is not a JSON object.
#[cfg(feature = "alloc")]
pub fn read(text: &str) -> Result<kite_wire::text::TextFrame, kite_wire::text::TextError> {
    kite_wire::text::TextFrame::parse(text)
}

/// Turns columns of a tape into records.
///
/// # Errors
/// Returns an error if they do not describe this number of bytes.
#[cfg(feature = "alloc")]
pub fn unpack(columns: &[u8], body: &mut [u8]) -> Result<(), kite_wire::tape::ColumnsError> {
    kite_wire::tape::decode_columns(columns, body)
}

/// Returns the volume of a frame's bars.
///
/// # Errors
/// Returns an error if the settings are out of range.
#[cfg(feature = "alloc")]
pub fn bars(frame: &[u8], recv_unix_ns: u64) -> Result<u64, kite_candles::ConfigError> {
    let mut candles = kite_candles::Candles::batch(kite_candles::Config::default())?;
    let mut volume = 0;
    let mut add = |item: kite_candles::Item| volume += item.bar().volume.unwrap_or(0);
    for packet in Frame::walk(frame).packets() {
        candles.on_packet(packet, recv_unix_ns, &mut add);
    }
    candles.finish(&mut add);
    Ok(volume)
}

/// Decodes a frame and encodes it again.
///
/// # Errors
/// Returns an error if the buffer is too small.
pub fn echo<'b>(frame: &[u8], buffer: &'b mut [u8]) -> Result<&'b [u8], EncodeError> {
    let mut echo = FrameEncoder::new(buffer)?;
    for packet in Frame::walk(frame).packets() {
        echo.push(&Tick::from(packet))?;
    }
    Ok(echo.finish())
}

/// Sums the instrument tokens of a command.
pub fn sum(command: &str) -> Option<u64> {
    Some(ParsedCommand::parse(command).ok()?.tokens.map(u64::from).sum())
}

/// Prints the turnover of a frame's last trades, without a string.
///
/// # Errors
/// Returns the error of the output.
pub fn turnover(frame: &[u8], out: &mut impl fmt::Write) -> fmt::Result {
    let quotes = Frame::walk(frame).packets();
    let trades = quotes.filter_map(|packet| Some(packet.last_price() * packet.last_quantity()?));
    write!(out, "{:.2}", trades.sum::<Amount>())
}

/// Reads the price of an instrument from text.
///
/// # Errors
/// Returns an error if the segment has no such price.
pub fn price(text: &str, instrument_token: u32) -> Result<Price, PriceError> {
    let amount: Amount = text.parse().map_err(|_| PriceError::NotANumber)?;
    Price::from_amount(amount, kite_wire::Segment::of_token(instrument_token))
}
