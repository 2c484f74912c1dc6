//! Hashes that are stable across releases.

/// Finaliser of splitmix64: every input bit affects every output bit.
pub(crate) fn mix(value: u64) -> u64 {
    let value = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

/// Returns a pseudo-random value that depends only on key, step and lane.
pub(crate) fn noise(key: u64, step: u64, lane: u64) -> u64 {
    mix(key.wrapping_add(step.wrapping_mul(0x9e37_79b9_7f4a_7c15)) ^ mix(lane))
}

/// Hashes bytes. Not collision-resistant against an adversary.
pub(crate) fn hash(bytes: &[u8]) -> u64 {
    let (words, rest) = bytes.as_chunks::<8>();
    let mut last = [0; 8];
    last[..rest.len()].copy_from_slice(rest);
    let words = words.iter().copied().chain([last]).map(u64::from_le_bytes);
    words.fold(bytes.len() as u64, |hash, word| {
        let mixed = (hash ^ word).wrapping_mul(0x9fb2_1c65_1e98_df25);
        mixed ^ (mixed >> 32)
    })
}
