//! Money in whole millionths of a unit of a currency: no amount is ever a floating number.

use std::fmt::{self, Display};

use serde::{Serialize, Serializer};

/// Millionths of a unit.
const UNIT: u64 = 1_000_000;
const DIGITS: usize = 6;

/// An amount, without its currency.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Money(u64);

impl Money {
    /// Millionths of a unit.
    #[must_use]
    pub const fn of_millionths(millionths: u64) -> Self {
        Self(millionths)
    }

    /// The same in millionths of a unit.
    #[must_use]
    pub const fn millionths(self) -> u64 {
        self.0
    }

    /// Together.
    #[must_use]
    pub const fn plus(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }

    /// So many pieces, of which `per` have this price; rounded up.
    #[must_use]
    pub fn for_pieces(self, pieces: u64, per: u64) -> Self {
        let whole = u128::from(self.0) * u128::from(pieces);
        Self(u64::try_from(whole.div_ceil(u128::from(per.max(1)))).unwrap_or(u64::MAX))
    }

    /// An amount as a person writes it, such as `0.005`, with six digits behind the point at most.
    ///
    /// # Errors
    /// What to write instead.
    pub fn parse(text: &str) -> Result<Self, String> {
        let wrong =
            || "it is no amount of money: write one such as 0.50, with six digits behind the point at most".to_owned();
        let (units, rest) = text.split_once('.').unwrap_or((text, "0"));
        let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        if !is_number(units) || !is_number(rest) || rest.len() > DIGITS {
            return Err(wrong());
        }
        let units: u64 = units.parse().map_err(|_| wrong())?;
        let rest: u64 = format!("{rest:0<DIGITS$}").parse().map_err(|_| wrong())?;
        units.checked_mul(UNIT).and_then(|units| units.checked_add(rest)).map(Self).ok_or_else(wrong)
    }
}

/// Two digits behind the point, or as many as it takes.
impl Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (units, rest) = (self.0 / UNIT, format!("{:06}", self.0 % UNIT));
        let rest = rest.trim_end_matches('0');
        write!(f, "{units}.{rest:0<2}")
    }
}

impl Serialize for Money {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_amount_is_read_and_written_without_a_loss() {
        for (text, millionths, shown) in [
            ("0.005", 5_000, "0.005"),
            ("12", 12_000_000, "12.00"),
            ("0.50", 500_000, "0.50"),
            ("0.000001", 1, "0.000001"),
        ] {
            let money = Money::parse(text).unwrap();
            assert_eq!((money.millionths(), money.to_string().as_str()), (millionths, shown));
        }
        for text in ["", ".", "1.", ".5", "-1", "1,5", "0.0000001", "1e3", "$1", "99999999999999999999"] {
            assert!(Money::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_price_of_a_thousand_is_never_rounded_to_nothing() {
        let price = Money::parse("0.0004").unwrap();
        assert_eq!(price.for_pieces(1, 1000), Money::of_millionths(1));
        assert_eq!(price.for_pieces(1000, 1000), price);
        assert_eq!(price.for_pieces(0, 1000), Money::default());
        assert_eq!(Money::of_millionths(u64::MAX).for_pieces(u64::MAX, 1), Money::of_millionths(u64::MAX));
    }
}
