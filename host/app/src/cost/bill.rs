//! What a run has spent, for the record of it.

use std::fmt::{self, Display};

use credenza_connect::wrap::Spent;
use serde::{Deserialize, Serialize};

use super::money::Money;
use super::prices::Price;

/// Money by a table of prices.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Amount {
    /// Millionths of a unit of the currency.
    pub millionths: u64,
    /// The currency.
    pub currency: String,
    /// The day of the table.
    pub date: String,
}

impl Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let money = Money::of_millionths(self.millionths);
        write!(f, "{money} {} by prices of {}", self.currency, self.date)
    }
}

/// What was spent over all places of a run. A folder is charged nothing and counted by its bytes alone.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Bill {
    /// Requests and bytes.
    pub spent: Spent,
    /// Money; `None` where nothing is charged, and where a price is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub amount: Option<Amount>,
    /// Places that are charged and whose price is not known.
    #[serde(default)]
    pub unpriced: u64,
}

impl Bill {
    /// Adds a place that is charged, with its price where that is known.
    #[must_use]
    pub fn with_place(self, spent: Spent, price: Option<&Price>) -> Self {
        let amount = price.map(|price| Amount {
            millionths: price.of(&spent).millionths(),
            currency: price.currency.clone(),
            date: price.date.clone(),
        });
        self.plus(&Self { spent, unpriced: u64::from(amount.is_none()), amount })
    }

    /// Adds a folder.
    #[must_use]
    pub fn with_folder(self, spent: Spent) -> Self {
        let spent = Spent { bytes_up: spent.bytes_up, bytes_down: spent.bytes_down, ..Spent::default() };
        self.plus(&Self { spent, ..Self::default() })
    }

    /// Together; amounts of two currencies are not added, and the bill has none then.
    #[must_use]
    pub fn plus(self, other: &Self) -> Self {
        let unpriced = self.unpriced.saturating_add(other.unpriced);
        let (amount, unpriced) = match (self.amount, other.amount.clone()) {
            (Some(one), Some(two)) if one.currency == two.currency => {
                let millionths = one.millionths.saturating_add(two.millionths);
                // The older of two tables is the one that may be out of date.
                (Some(Amount { millionths, date: one.date.min(two.date), ..one }), unpriced)
            }
            (Some(_), Some(_)) => (None, unpriced.saturating_add(1)),
            (one, two) => (one.or(two), unpriced),
        };
        Self { spent: self.spent.plus(other.spent), amount, unpriced }
    }

    /// In words: requests, bytes as `shown` has them, and money.
    #[must_use]
    pub fn told(&self, shown: impl Fn(u64) -> String) -> String {
        let Self { spent, amount, unpriced } = self;
        let requests = if spent.requests() > 0 { format!("{} requests, ", spent.requests()) } else { String::new() };
        let money = match (amount, unpriced) {
            (_, 1..) => ", money not known".to_owned(),
            (Some(amount), 0) => format!(", {amount}"),
            (None, 0) => String::new(),
        };
        format!("{requests}{} up, {} down{money}", shown(spent.bytes_up), shown(spent.bytes_down))
    }
}

#[cfg(test)]
mod tests {
    use super::super::prices::Prices;
    use super::*;

    #[test]
    fn a_bill_adds_up_and_says_what_it_does_not_know() {
        let prices = Prices::read(None).unwrap();
        let price = prices.of_server("s3.us-east-1.amazonaws.com").unwrap();
        let spent = Spent { put: 1000, bytes_up: 7, ..Spent::default() };
        let bill = Bill::default().with_place(spent, Some(&price)).with_folder(Spent {
            put: 9,
            bytes_down: 3,
            ..Spent::default()
        });
        let shown = |bytes: u64| format!("{bytes} B");
        let expected = format!("1000 requests, 7 B up, 3 B down, 0.005 USD by prices of {}", price.date);
        assert_eq!(bill.told(shown), expected);
        let twice = bill.clone().plus(&bill);
        assert_eq!((twice.spent.put, twice.amount.as_ref().unwrap().millionths), (2000, 10_000));
        assert!(twice.with_place(spent, None).told(shown).ends_with("money not known"));
        assert_eq!(Bill::default().told(shown), "0 B up, 0 B down");
    }
}
