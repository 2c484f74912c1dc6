//! Lists of frames, some of them broken, read by tungstenite and by this crate.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;

use crate::websocket::Limits;
use crate::websocket::differential::{Script, agree, put_header, run};

#[derive(Debug, Clone)]
struct Part {
    first: u8,
    payload: Vec<u8>,
    /// Minimum number of bytes in which the length is written.
    length_bytes: usize,
}

#[derive(Debug, Clone)]
enum Fault {
    /// Inverted bits in the first or second byte of a frame.
    Header(Index, bool, u8),
    Payload(Index, Index, u8),
    Lost(Index),
    Repeated(Index),
    Cut(Index),
}

fn part(first: u8, payload: Vec<u8>) -> Part {
    Part { first, payload, length_bytes: 0 }
}

fn control() -> impl Strategy<Value = Part> {
    let payload = prop_oneof![vec(any::<u8>(), 0..20), vec(any::<u8>(), 110..=125)];
    (prop_oneof![Just(0x89), Just(0x8a)], payload).prop_map(|(first, payload)| part(first, payload))
}

fn close() -> impl Strategy<Value = Part> {
    let code = prop_oneof![
        Just(1_000_u16),
        Just(1_005),
        Just(1_006),
        Just(1_014),
        Just(0),
        1_000..1_020_u16,
        any::<u16>()
    ];
    let stated = (code, "\\PC{0,20}").prop_map(|(code, reason)| {
        part(0x88, [&code.to_be_bytes()[..], reason.as_bytes()].concat())
    });
    prop_oneof![Just(part(0x88, Vec::new())), Just(part(0x88, vec![3])), stated]
}

/// A message in one frame or in several, with control frames between them.
fn message() -> impl Strategy<Value = Vec<Part>> {
    let text = prop_oneof![4 => "\\PC{0,40}", 1 => "[a-zé€😀]{100,300}"];
    let binary = prop_oneof![
        6 => vec(any::<u8>(), 0..40),
        2 => vec(any::<u8>(), 100..400),
        1 => (65_530..66_000_usize).prop_map(|bytes| (0..bytes).map(|at| at as u8).collect()),
    ];
    let whole = prop_oneof![
        text.prop_map(|text| (1, text.into_bytes())),
        binary.prop_map(|bytes| (2, bytes))
    ];
    let cuts = prop_oneof![2 => Just(Vec::new()), 1 => vec(any::<Index>(), 1..5)];
    let between = vec(prop::option::weighted(0.3, control()), 5);
    (whole, cuts, between).prop_map(|((kind, bytes), cuts, mut between)| {
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
        cuts.sort_unstable();
        let ends = cuts.iter().copied().chain([bytes.len()]);
        let starts = [0].into_iter().chain(cuts.iter().copied());
        let mut parts = Vec::new();
        for (n, (start, end)) in starts.zip(ends).enumerate() {
            let opcode = if n == 0 { kind } else { 0 };
            let fin = if n == cuts.len() { 0x80 } else { 0 };
            parts.push(part(fin | opcode, bytes[start..end].to_vec()));
            parts.extend(between.pop().flatten().filter(|_| fin == 0));
        }
        parts
    })
}

fn fault() -> impl Strategy<Value = Fault> {
    let bits = prop_oneof![(0..8_u8).prop_map(|bit| 1 << bit), any::<u8>()];
    prop_oneof![
        3 => (any::<Index>(), any::<bool>(), bits)
            .prop_map(|(at, second, bits)| Fault::Header(at, second, bits)),
        2 => (any::<Index>(), any::<Index>(), any::<u8>())
            .prop_map(|(part, at, bits)| Fault::Payload(part, at, bits)),
        1 => any::<Index>().prop_map(Fault::Lost),
        1 => any::<Index>().prop_map(Fault::Repeated),
        2 => any::<Index>().prop_map(Fault::Cut),
    ]
}

/// Encodes frames, and breaks them.
fn write(mut parts: Vec<Part>, faults: &[Fault]) -> Vec<u8> {
    for fault in faults {
        if parts.is_empty() {
            break;
        }
        match fault {
            Fault::Payload(part, at, bits) => {
                let part = part.index(parts.len());
                let payload = &mut parts[part].payload;
                if !payload.is_empty() {
                    let at = at.index(payload.len());
                    payload[at] ^= bits;
                }
            }
            Fault::Lost(at) => drop(parts.remove(at.index(parts.len()))),
            Fault::Repeated(at) => parts.push(parts[at.index(parts.len())].clone()),
            Fault::Header(..) | Fault::Cut(_) => {}
        }
    }
    let (mut bytes, mut starts) = (Vec::new(), vec![]);
    for part in parts {
        starts.push(bytes.len());
        put_header(&mut bytes, part.first, part.payload.len() as u64, Some(part.length_bytes));
        bytes.extend_from_slice(&part.payload);
    }
    for fault in faults {
        match fault {
            Fault::Header(at, second, bits) if !starts.is_empty() => {
                bytes[starts[at.index(starts.len())] + usize::from(*second)] ^= bits;
            }
            Fault::Cut(at) => bytes.truncate(at.index(bytes.len() + 1)),
            _ => {}
        }
        starts.retain(|start| start + 2 <= bytes.len());
    }
    bytes
}

fn bytes() -> impl Strategy<Value = Vec<u8>> {
    let parts =
        vec(prop_oneof![6 => message(), 2 => control().prop_map(|control| vec![control])], 0..12);
    let length_bytes = vec(prop_oneof![8 => Just(0), 1 => Just(2), 1 => Just(8)], 80);
    let faults = prop_oneof![3 => Just(Vec::new()), 2 => vec(fault(), 1..3)];
    (parts, prop::option::of(close()), length_bytes, faults).prop_map(
        |(parts, close, length_bytes, faults)| {
            let mut parts = parts.concat();
            parts.extend(close);
            for (part, length_bytes) in parts.iter_mut().zip(length_bytes) {
                part.length_bytes = length_bytes;
            }
            write(parts, &faults)
        },
    )
}

fn script() -> impl Strategy<Value = Script> {
    let read_bytes = prop_oneof![1..6_usize, 6..200_usize, Just(4_096)];
    let message_bytes = prop_oneof![3 => Just(80_000), 1 => 0..400_usize];
    let cuts = || vec(prop_oneof![1 => Just(0_u8), 2 => 1..20_u8, 2 => any::<u8>()], 0..200);
    let (ahead, held) = (any::<Index>(), 0..20_usize);
    (read_bytes, message_bytes, ahead, held, cuts(), cuts(), bytes()).prop_map(
        |(read_bytes, message_bytes, ahead, held, read_cuts, write_cuts, bytes)| Script {
            limits: Limits { read_bytes, message_bytes },
            held,
            ahead: ahead.index(bytes.len().min(250) + 1),
            read_cuts,
            write_cuts,
            bytes,
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn both_readers_agree_on_the_same_bytes(script in script()) {
        agree(&script);
    }
}

/// Replays the inputs that led the fuzzer to new code.
#[test]
fn both_readers_agree_on_the_corpus() {
    fuzz_checks::corpus::replay("websocket", run);
}
