//! What a store guarantees, as `create` and `info` print it.

use credenza_app::guarantees::Guarantee;

/// A line for a guarantee: its name, whether it holds, and what follows.
pub(super) fn line(guarantee: &Guarantee) -> String {
    let Guarantee { name, holds, means } = guarantee;
    format!("{name:<9} {:<3}  {means}", if *holds { "yes" } else { "no" })
}

/// What follows from locks, for a person.
pub(super) fn of_locks(days: u32) -> String {
    format!(
        "locks     on   each snapshot and all that it needs stays for at least {days} days after it was made, whoever wants it gone; locks end on whole days and may last a quarter longer"
    )
}

#[cfg(test)]
mod tests {
    use credenza_app::guarantees;

    use super::*;

    #[test]
    fn a_line_tells_whether_an_ability_holds() {
        let lines: Vec<String> = guarantees::of(&["versions".to_owned()]).iter().map(line).collect();
        assert!(lines[1].starts_with("versions  yes  what is overwritten"), "{}", lines[1]);
        assert!(lines[2].starts_with("retention no   nothing is locked"), "{}", lines[2]);
    }
}
