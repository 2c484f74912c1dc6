//! The instruments of commands that name none.

/// The instruments used if the command line names none.
pub(super) const DEFAULT: [u32; 10] =
    [256_265, 260_105, 265, 738_561, 408_065, 341_249, 1_270_529, 2_953_217, 779_521, 884_737];

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use kite_instruments::Instruments;

    use super::*;

    #[test]
    fn all_are_built_in() {
        let list = Instruments::built_in();
        assert!(DEFAULT.iter().all(|&token| list.by_token(token).is_some()));
    }

    #[test]
    fn the_simulator_uses_the_same_names() {
        let simulated: BTreeMap<u32, &str> = kite_sim::known_instruments().collect();
        for one in Instruments::built_in().iter() {
            assert_eq!(simulated.get(&one.instrument_token), Some(&&*one.to_string()));
        }
    }
}
