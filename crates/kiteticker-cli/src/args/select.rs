//! Arguments that choose contracts by a text: `--select 'NIFTY nearest 26000+-10'`.

use std::collections::BTreeSet;
use std::str::FromStr;

use clap::Args;
use kite_instruments::{Amount, Contracts};

use crate::exit::CliError;

/// The contracts to choose, and the prices that they need.
#[derive(Debug, Clone, Args)]
pub(crate) struct SelectArgs {
    /// Contracts, such as 'NIFTY nearest 26000+-10' or 'NIFTY next ATM CE'; repeatable
    #[arg(long = "select", value_name = "TEXT")]
    pub(crate) contracts: Vec<Contracts>,
    /// With --select and ATM: the price of the underlying, or NAME=PRICE; repeatable
    #[arg(long = "spot", value_name = "PRICE", requires = "contracts", allow_hyphen_values = true)]
    spots: Vec<Spot>,
}

/// A price of one underlying, or of the only one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Spot {
    name: Option<String>,
    price: Amount,
}

impl FromStr for Spot {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, price) = match text.rsplit_once('=') {
            Some((name, price)) => (Some(name.trim().to_ascii_uppercase()), price.trim()),
            None => (None, text.trim()),
        };
        let unsigned = price.strip_prefix('-').unwrap_or(price);
        match unsigned.parse::<Amount>() {
            Ok(amount) if unsigned != price || amount == Amount::ZERO => {
                return Err("expected a price above 0".to_owned());
            }
            _ => {}
        }
        let price = price.parse().ok();
        let price = price.filter(|_| name.as_ref().is_none_or(|name| !name.is_empty()));
        let price = price.ok_or("expected a price such as 26000, or NAME=PRICE")?;
        Ok(Self { name, price })
    }
}

impl SelectArgs {
    pub(crate) fn new(contracts: Vec<Contracts>, spots: Vec<Spot>) -> Self {
        Self { contracts, spots }
    }

    /// Returns whether nothing is to be chosen.
    pub(crate) fn is_empty(&self) -> bool {
        self.contracts.is_empty()
    }

    /// Checks that each price is that of one underlying whose price is needed.
    pub(crate) fn check(&self) -> Result<(), CliError> {
        let at_the_money: BTreeSet<&str> =
            self.contracts.iter().filter(|it| it.is_at_the_money()).map(Contracts::name).collect();
        let mut priced = BTreeSet::new();
        for Spot { name, price } in &self.spots {
            let names: Vec<&str> = match name {
                Some(name) => at_the_money.iter().copied().filter(|it| it == name).collect(),
                None => at_the_money.iter().copied().collect(),
            };
            let shown =
                name.as_ref().map_or_else(|| price.to_string(), |it| format!("{it}={price}"));
            match names.as_slice() {
                [] => {
                    let of = name.as_ref().map(|name| format!(" of {name}")).unwrap_or_default();
                    let error = format!("--spot {shown} is not needed: no --select has ATM{of}");
                    return Err(CliError::usage(error));
                }
                [one] if priced.insert(*one) => {}
                [one] => {
                    return Err(CliError::usage(format!("--spot names two prices of {one}")));
                }
                several => {
                    let names = several.join(" or ");
                    let error = format!("--spot {shown} is ambiguous: is it the price of {names}?");
                    return Err(CliError::usage(error).help("write --spot NAME=PRICE for each"));
                }
            }
        }
        Ok(())
    }

    /// Returns the price of the underlying, if it was given.
    pub(crate) fn spot(&self, contracts: &Contracts) -> Option<Amount> {
        let of_name = |spot: &&Spot| spot.name.as_ref().is_none_or(|it| it == contracts.name());
        self.spots.iter().find(of_name).map(|spot| spot.price)
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        select: SelectArgs,
    }

    fn checked(arguments: &[&str]) -> Result<SelectArgs, String> {
        let line = Line::try_parse_from([&["kite"], arguments].concat());
        let select = line.map_err(|error| error.to_string())?.select;
        select.check().map_err(|error| error.to_string())?;
        Ok(select)
    }

    #[test]
    fn a_price_is_that_of_one_underlying() {
        let (nifty, bank) = ("NIFTY nearest ATM", "BANKNIFTY nearest ATM");
        let one = checked(&["--select", nifty, "--select", "TCS next 1", "--spot", "26000.5"]);
        let one = one.unwrap();
        assert_eq!(one.spot(&one.contracts[0]), "26000.5".parse().ok());
        let spots = ["--spot", "nifty=26000", "--spot", "BANKNIFTY=57000"];
        let two = checked(&[&["--select", nifty, "--select", bank], &spots[..]].concat()).unwrap();
        assert_eq!(two.spot(&two.contracts[1]), Some(57_000_u32.into()));
        for (arguments, message) in [
            (
                &["--select", nifty, "--select", bank, "--spot", "5"][..],
                "--spot 5 is ambiguous: is it the price of BANKNIFTY or NIFTY?",
            ),
            (
                &["--select", "NIFTY next 5", "--spot", "5"],
                "--spot 5 is not needed: no --select has ATM",
            ),
            (
                &["--select", nifty, "--spot", "TCS=5"],
                "--spot TCS=5 is not needed: no --select has ATM of TCS",
            ),
            (
                &["--select", nifty, "--spot", "5", "--spot", "6"],
                "--spot names two prices of NIFTY",
            ),
        ] {
            assert_eq!(checked(arguments).unwrap_err(), message);
        }
        for wrong in ["0", "-1", "=5", "NIFTY=", "x"] {
            assert!(checked(&["--select", nifty, "--spot", wrong]).is_err(), "{wrong}");
        }
        assert!(checked(&["--spot", "5"]).is_err());
    }
}
