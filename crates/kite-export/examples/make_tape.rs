//! Writes a tape of a generated market with every segment and mode, heartbeats, text frames, notes
//! and gaps.
//!
//! `cargo run --release -p kite-export --example make_tape -- FILE.ktape [TICKS]`

#[path = "market/mod.rs"]
mod market;

use std::error::Error;
use std::fs::File;
use std::io::{BufWriter, Write};

use kite_wire::FrameEncoder;
use kite_wire::tape::{BlockBuffer, Gap, GapReason, Received, RecordKind, Source, TapeHeader};
use market::{Market, OPENING};

const TAPE_ID: u64 = 0x6b69_7465_0000_0001;
const BLOCK_BYTES: usize = 1 << 20;
const ROOM_FOR_RECORDS: usize = BLOCK_BYTES - 64 * 1024;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let path = arguments.next().ok_or("usage: make_tape FILE.ktape [TICKS]")?;
    let ticks: u64 = arguments.next().map_or(Ok(120_000), |text| text.parse())?;
    let mut file = BufWriter::new(File::create(&path)?);
    let start_ns = u64::from(OPENING) * 1_000_000_000;
    let header = TapeHeader { created_unix_ns: start_ns, tape_id: TAPE_ID, metadata: b"{}" };
    file.write_all(&header.head()?)?;
    file.write_all(header.metadata)?;

    let mut market = Market::new(1_000, false);
    let mut buffer = vec![0; BLOCK_BYTES];
    let mut frame_room = vec![0; 2 + 100 * 186];
    let (mut made, mut frames, mut blocks) = (0, 0_u64, 0);
    while made < ticks {
        let mut block = BlockBuffer::new(&mut buffer, TAPE_ID, blocks)?;
        while made < ticks && block.len_bytes() < ROOM_FOR_RECORDS {
            let recv_unix_ns = start_ns + frames * 9_876_543;
            let source = Source { account: 0, connection: (frames % 3) as u8 };
            let received = Received { recv_unix_ns, source };
            let mut frame = FrameEncoder::new(&mut frame_room)?;
            for _ in 0..(1 + frames * 7 % 60).min(ticks - made) {
                frame.push(&market.tick((recv_unix_ns / 1_000_000_000) as u32))?;
                made += 1;
            }
            block.push(received, RecordKind::Binary, frame.finish())?;
            match frames % 1_000 {
                0 => block.push(received, RecordKind::Event, br#"{"event":"mark"}"#)?,
                100 | 600 => block.push(received, RecordKind::Binary, &[0])?,
                300 => {
                    let order = br#"{"type":"order","data":{"tag":"a, \"b\""}}"#;
                    block.push(received, RecordKind::Text, order)?;
                }
                900 => {
                    let from_unix_ns = recv_unix_ns - 5_000_000;
                    let (to_unix_ns, frames) = (recv_unix_ns, Some(frames % 13));
                    let reason = GapReason::QueueFull;
                    block.push_gap(received, &Gap { reason, from_unix_ns, to_unix_ns, frames })?;
                }
                _ => {}
            }
            frames += 1;
        }
        file.write_all(block.finish())?;
        blocks += 1;
    }
    file.flush()?;
    eprintln!("{path}: {made} ticks in {frames} frames");
    Ok(())
}
