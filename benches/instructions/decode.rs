//! Decoding and encoding workloads, without a socket.

use std::hint::black_box;

use benches::{Contents, by_hand, frame, tick};
use bytes::Bytes;
use kite_wire::{Frame, FrameEncoder, Scan, Tick, TickBatch};

const PACKETS: u32 = 200;

/// Runs a workload on frames of 200 packets. Returns `false` if no workload has this name.
pub(crate) fn run(workload: &str, frames: u32) -> bool {
    let contents = if workload.ends_with("mixed") { Contents::Mixed } else { Contents::Full };
    let bytes = frame(contents, 0, PACKETS);
    let ticks: Vec<Tick> = (0..PACKETS).map(|n| tick(contents, n)).collect();
    let (mut flat, mut owned) = (Vec::new(), Vec::new());
    by_hand::full_ticks(&bytes, &mut flat);
    owned.reserve(ticks.len());
    let Ok(batch) = TickBatch::new(Bytes::copy_from_slice(&bytes)) else { return false };
    let mut buffer = vec![0; 2 + PACKETS as usize * 186];
    for _ in 0..frames {
        let bytes = black_box(bytes.as_slice());
        match workload {
            "fields-by-hand" | "fields-by-hand-mixed" => {
                black_box(by_hand::five_fields(bytes));
            }
            "fields-frame" | "fields-frame-mixed" => {
                black_box(benches::five_fields(Frame::walk(bytes).packets()));
            }
            "fields-scan" | "fields-scan-mixed" => {
                black_box(benches::five_fields(Scan::new(bytes)));
            }
            "ticks-by-hand" => {
                flat.clear();
                by_hand::full_ticks(bytes, black_box(&mut flat));
            }
            "ticks-frame" => {
                owned.clear();
                Frame::walk(bytes).append_ticks(black_box(&mut owned));
            }
            "ticks-scan" => {
                owned.clear();
                Scan::new(bytes).append_ticks(black_box(&mut owned));
            }
            "ticks-each-by-hand" => by_hand::each_full_tick(bytes, |tick| {
                black_box(&tick);
            }),
            "ticks-each" => batch.iter().for_each(|tick| {
                black_box(&tick);
            }),
            "walk" => {
                black_box(Frame::walk(bytes).packets().len());
            }
            "encode-by-hand" => {
                black_box(by_hand::encode(black_box(&flat), &mut buffer));
            }
            "encode" => {
                if let Ok(mut frame) = FrameEncoder::new(&mut buffer) {
                    for tick in black_box(&ticks) {
                        let _ = frame.push(tick);
                    }
                    black_box(frame.finish());
                }
            }
            _ => return false,
        }
    }
    true
}
