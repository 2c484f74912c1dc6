//! A plausible list of instruments across all segments.

/// Instruments named in the protocol's documentation and in users' reports.
const NAMED: [u32; 4] = [408_065, 884_737, 31_132_428, 33_539_084];

/// Segments of every 50 instruments: mostly NSE (1) and NFO (2), some of each other.
const MIX: [u8; 50] = [
    1, 2, 1, 4, 1, 2, 9, 1, 2, 3, //
    1, 2, 7, 1, 1, 2, 1, 5, 2, 1, //
    12, 1, 2, 1, 6, 1, 2, 1, 4, 1, //
    2, 1, 7, 2, 1, 1, 2, 9, 1, 2, //
    3, 1, 2, 5, 1, 2, 1, 4, 12, 2,
];

/// Identifiers are scattered within windows of this many, a power of two.
const WINDOW: u32 = 1 << 17;
/// Identifiers have 24 bits, because a token's low byte is the segment.
const IDENTIFIERS: u32 = 1 << 24;

/// Returns a list of distinct instrument tokens across all segments, the same at every call; a
/// shorter list is a prefix of a longer one.
///
/// Mostly NSE and NFO, some BSE, BFO, CDS, BCD, MCX, NCO and indices. A token has 24 bits for its
/// identifier, so the list ends at about 16.7 million instruments, even if `count` is larger.
#[must_use]
pub fn universe(count: usize) -> Vec<u32> {
    let scattered = (0..IDENTIFIERS).zip(MIX.iter().cycle()).filter_map(|(index, &segment)| {
        // An odd factor modulo a power of two visits every identifier of the window once.
        let identifier = index / WINDOW * WINDOW + (index % WINDOW).wrapping_mul(40_503) % WINDOW;
        let token = identifier << 8 | u32::from(segment);
        (identifier != 0 && !NAMED.contains(&token)).then_some(token)
    });
    NAMED.into_iter().chain(scattered).take(count).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, HashSet};

    use kite_wire::Segment;

    use super::*;

    #[test]
    fn tokens_are_distinct_and_tradable_by_the_simulator() {
        let tokens = universe(200_000);
        assert_eq!(tokens.len(), 200_000);
        assert_eq!(tokens.iter().collect::<HashSet<_>>().len(), 200_000);
        assert!(tokens.iter().all(|&token| token >= 256));
    }

    #[test]
    fn all_segments_occur_and_two_dominate() {
        let mut by_segment = BTreeMap::new();
        for token in universe(9_000) {
            *by_segment.entry(Segment::of_token(token).code()).or_insert(0) += 1;
        }
        let codes: Vec<u8> = by_segment.keys().copied().collect();
        assert_eq!(codes, [1, 2, 3, 4, 5, 6, 7, 9, 12]);
        assert!(by_segment[&1] + by_segment[&2] > 6_000);
    }

    #[test]
    fn a_shorter_list_begins_a_longer_one() {
        assert_eq!(universe(3), universe(9)[..3]);
        assert!(universe(0).is_empty());
    }
}
