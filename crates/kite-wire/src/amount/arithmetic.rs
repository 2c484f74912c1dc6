//! Sums, differences and products. They saturate; the checked forms report that.

use core::iter::Sum;
use core::ops::{Add, AddAssign, Mul, Neg, Sub, SubAssign};

use super::Amount;
use crate::price::Price;

impl Amount {
    /// Returns the sum, or `None` if it does not fit.
    #[inline]
    #[must_use]
    pub const fn checked_add(self, other: Self) -> Option<Self> {
        match self.0.checked_add(other.0) {
            Some(units) => Some(Self(units)),
            None => None,
        }
    }

    /// Returns the difference, or `None` if it does not fit.
    #[inline]
    #[must_use]
    pub const fn checked_sub(self, other: Self) -> Option<Self> {
        match self.0.checked_sub(other.0) {
            Some(units) => Some(Self(units)),
            None => None,
        }
    }

    /// Returns the amount times a quantity, or `None` if the product does not fit.
    #[inline]
    #[must_use]
    pub fn checked_mul(self, quantity: impl Into<i128>) -> Option<Self> {
        self.0.checked_mul(quantity.into()).map(Self)
    }
}

impl Neg for Amount {
    type Output = Self;

    /// Changes the sign; [`Amount::MAX`] for [`Amount::MIN`].
    #[inline]
    fn neg(self) -> Self {
        Self(self.0.saturating_neg())
    }
}

/// Implements `+` and `-` between amounts and prices.
macro_rules! sums {
    ($($left:ty, $right:ty);+) => {
        $(impl Add<$right> for $left {
            type Output = Amount;

            #[inline]
            fn add(self, other: $right) -> Amount {
                Amount(Amount::from(self).0.saturating_add(Amount::from(other).0))
            }
        }

        impl Sub<$right> for $left {
            type Output = Amount;

            #[inline]
            fn sub(self, other: $right) -> Amount {
                Amount(Amount::from(self).0.saturating_sub(Amount::from(other).0))
            }
        })+
    };
}

sums!(Amount, Amount; Amount, Price; Price, Amount; Price, Price);

impl<T> AddAssign<T> for Amount
where
    Self: Add<T, Output = Self>,
{
    #[inline]
    fn add_assign(&mut self, other: T) {
        *self = *self + other;
    }
}

impl<T> SubAssign<T> for Amount
where
    Self: Sub<T, Output = Self>,
{
    #[inline]
    fn sub_assign(&mut self, other: T) {
        *self = *self - other;
    }
}

impl<Q: Into<i128>> Mul<Q> for Amount {
    type Output = Self;

    /// Multiplies by a quantity.
    #[inline]
    fn mul(self, quantity: Q) -> Self {
        Self(self.0.saturating_mul(quantity.into()))
    }
}

impl<Q: Into<i128>> Mul<Q> for Price {
    type Output = Amount;

    /// Multiplies by a quantity. With a quantity of 64 bits or fewer the product always fits.
    #[inline]
    fn mul(self, quantity: Q) -> Amount {
        self.amount() * quantity
    }
}

impl<T: Into<Amount>> Sum<T> for Amount {
    /// Adds up amounts or prices.
    fn sum<I: Iterator<Item = T>>(items: I) -> Self {
        items.fold(Self::ZERO, |sum, item| sum + item.into())
    }
}
