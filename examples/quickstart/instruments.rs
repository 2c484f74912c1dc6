//! Which instruments are streamed, in which modes, and which of them are shown.

use std::collections::BTreeSet;

use kiteticker_async_manager::Mode;
use kiteticker_async_manager::kite_wire::Segment;

/// As many as three connections take.
const SIMULATED: usize = 9_000;
/// As many rows as leave room for the rest on a terminal of 24 lines.
const MOST_SHOWN: usize = 8;

/// Instruments whose tokens stay the same for years.
const KNOWN: [(u32, &str); 10] = [
    (256_265, "NIFTY 50"),
    (260_105, "NIFTY BANK"),
    (738_561, "RELIANCE"),
    (408_065, "INFY"),
    (341_249, "HDFCBANK"),
    (1_270_529, "ICICIBANK"),
    (2_953_217, "TCS"),
    (779_521, "SBIN"),
    (31_132_428, "ALUMINI"),
    (33_539_084, "CRUDEOILM"),
];

/// What is subscribed, and what is shown of it.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) subscriptions: Vec<(Mode, Vec<u32>)>,
    pub(crate) shown: Vec<Shown>,
}

/// An instrument with a row of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Shown {
    pub(crate) token: u32,
    pub(crate) name: String,
}

impl Plan {
    /// Takes as many instruments of all segments as three connections carry, a third in each mode.
    pub(crate) fn simulated() -> Self {
        let universe = kite_sim::universe(SIMULATED);
        let first_of =
            |segment| universe.iter().copied().find(|&token| Segment::of_token(token) == segment);
        let of_name = |name: &str| KNOWN.iter().find(|known| known.1 == name).copied();
        let shown: Vec<Shown> =
            ["NIFTY 50", "RELIANCE", "INFY", "HDFCBANK", "ALUMINI", "CRUDEOILM"]
                .into_iter()
                .filter_map(of_name)
                .chain(first_of(Segment::Cds).map(|token| (token, "rupee future")))
                .chain(first_of(Segment::Bcd).map(|token| (token, "rupee future")))
                .map(|(token, name)| Shown { token, name: name.to_owned() })
                .collect();

        // Those shown come first, so that they are among the ones in full mode.
        let first: BTreeSet<u32> = shown.iter().map(|one| one.token).collect();
        let others = universe.iter().copied().filter(|token| !first.contains(token));
        let tokens: Vec<u32> =
            shown.iter().map(|one| one.token).chain(others).take(SIMULATED).collect();
        let modes = [Mode::Full, Mode::Quote, Mode::LTP].into_iter();
        let shares = tokens.chunks(SIMULATED / 3).map(<[u32]>::to_vec);
        Self { subscriptions: modes.zip(shares).collect(), shown }
    }

    /// Takes these instruments of Kite, or the default list, in full mode.
    pub(crate) fn live(tokens: Option<Vec<u32>>) -> Self {
        let tradable_for_years = KNOWN.iter().map(|known| known.0).take(MOST_SHOWN);
        let tokens = tokens.unwrap_or_else(|| tradable_for_years.collect());
        let named = |&token: &u32| {
            let known = KNOWN.iter().find(|known| known.0 == token);
            let name = known.map_or_else(|| token.to_string(), |known| known.1.to_owned());
            Shown { token, name }
        };
        let shown = tokens.iter().take(MOST_SHOWN).map(named).collect();
        Self { subscriptions: vec![(Mode::Full, tokens)], shown }
    }

    pub(crate) fn len(&self) -> usize {
        self.subscriptions.iter().map(|(_, tokens)| tokens.len()).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens(plan: &Plan) -> impl Iterator<Item = u32> {
        plan.subscriptions.iter().flat_map(|(_, tokens)| tokens).copied()
    }

    #[test]
    fn the_simulated_plan_has_nine_thousand_distinct_instruments_a_third_in_each_mode() {
        let plan = Plan::simulated();
        assert_eq!(tokens(&plan).collect::<BTreeSet<_>>().len(), 9_000);
        let shares: Vec<_> =
            plan.subscriptions.iter().map(|(mode, tokens)| (*mode, tokens.len())).collect();
        assert_eq!(shares, [(Mode::Full, 3_000), (Mode::Quote, 3_000), (Mode::LTP, 3_000)]);
        assert_eq!(plan.len(), 9_000);
    }

    #[test]
    fn what_is_shown_is_in_full_mode_and_of_every_kind_of_price() {
        let plan = Plan::simulated();
        assert_eq!(plan.shown.len(), MOST_SHOWN);
        assert!(plan.shown.iter().all(|one| plan.subscriptions[0].1.contains(&one.token)));
        let segments: BTreeSet<u8> =
            plan.shown.iter().map(|one| Segment::of_token(one.token).code()).collect();
        assert_eq!(segments.into_iter().collect::<Vec<_>>(), [1, 3, 6, 9, 12]);
    }

    #[test]
    fn live_instruments_are_named_where_known_and_by_their_tokens_otherwise() {
        let plan = Plan::live(Some(vec![408_065, 5_633]));
        let names: Vec<&str> = plan.shown.iter().map(|one| one.name.as_str()).collect();
        assert_eq!(names, ["INFY", "5633"]);
        assert_eq!(plan.subscriptions, [(Mode::Full, vec![408_065, 5_633])]);
        // No contract that has expired or will.
        let default = Plan::live(None);
        assert_eq!(default.len(), MOST_SHOWN);
        assert!(tokens(&default).all(|token| [1, 9].contains(&Segment::of_token(token).code())));
    }
}
