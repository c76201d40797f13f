//! A calendar of half a year: a column for each week, a cell for each day.

use std::collections::BTreeMap;

use jiff::ToSpan;
use jiff::civil::Date;

/// Weeks that are shown, with the one that is under way.
pub(crate) const WEEKS: i32 = 26;
/// Width and height of a cell, with the room around it.
pub(crate) const CELL: i32 = 20;

/// One day.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Day {
    pub(crate) date: Date,
    pub(crate) x: i32,
    pub(crate) y: i32,
    /// How often something happened.
    pub(crate) number: u64,
}

/// Days, oldest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Calendar {
    pub(crate) days: Vec<Day>,
    /// A day of each month, and where the first week lies that begins in it.
    pub(crate) months: Vec<(Date, i32)>,
}

impl Calendar {
    /// The weeks up to today, with how often something happened on each day.
    pub(crate) fn up_to(today: Date, numbers: &BTreeMap<Date, u64>) -> Self {
        let in_week = i32::from(today.weekday().to_monday_zero_offset());
        let past = (WEEKS - 1) * 7 + in_week;
        let day = |number: i32| {
            let date = today.checked_sub((past - number).days()).ok()?;
            let (x, y) = (number / 7 * CELL, number % 7 * CELL);
            Some(Day { date, x, y, number: numbers.get(&date).copied().unwrap_or(0) })
        };
        let days: Vec<Day> = (0..=past).filter_map(day).collect();
        let mondays = days.iter().step_by(7).map(|day| (day.date, day.x));
        let mut months: Vec<(Date, i32)> = mondays.collect();
        months.dedup_by_key(|(date, _)| date.month());
        Self { days, months }
    }
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::*;

    #[test]
    fn weeks_are_columns_from_monday_to_sunday_up_to_today() {
        // A Wednesday.
        let today = date(2026, 7, 1);
        let calendar = Calendar::up_to(today, &BTreeMap::from([(today, 2), (date(2026, 6, 29), 1)]));
        assert_eq!(calendar.days.len(), 25 * 7 + 3);
        let last = calendar.days.last().unwrap();
        assert_eq!((last.date, last.x, last.y, last.number), (today, 25 * CELL, 2 * CELL, 2));
        let first = calendar.days.first().unwrap();
        assert_eq!((first.x, first.y, first.date.weekday()), (0, 0, jiff::civil::Weekday::Monday));
        assert_eq!(calendar.months.len(), 6);
        assert_eq!(calendar.months.last().map(|(date, x)| (date.month(), *x)), Some((6, 21 * CELL)));
        assert_eq!(calendar.days.iter().map(|day| day.number).sum::<u64>(), 3);
    }
}
