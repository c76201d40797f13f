//! Random operations that were drawn from a seed, and the shortest ones found that still go wrong.

use std::fmt::Debug;

use futures_util::future::BoxFuture;

use super::{Miss, Told};
use crate::random::Dice;

/// Most times that operations which went wrong are run again with some left out.
const TRIES_MAX: usize = 60;

/// Runs operations; those that go wrong are run again with some left out, until each of those that are left is needed. `carry_out` runs them on
/// something fresh.
pub(super) async fn carry_out_all<'a, O: Clone + Debug>(
    operations: Vec<O>,
    carry_out: impl Fn(Vec<O>) -> BoxFuture<'a, Told>,
) -> Told {
    let Err(mut miss) = carry_out(operations.clone()).await else { return Ok(()) };
    let mut shortest = operations;
    let (mut piece, mut tries) = (shortest.len().div_ceil(2), 0);
    while piece > 0 {
        let (mut at, before) = (0, shortest.len());
        while at < shortest.len() && tries < TRIES_MAX {
            let without: Vec<O> = shortest.iter().take(at).chain(shortest.iter().skip(at + piece)).cloned().collect();
            tries += 1;
            match carry_out(without.clone()).await {
                Err(Miss::Failed(wrong)) => (shortest, miss) = (without, Miss::Failed(wrong)),
                _ => at += piece,
            }
        }
        if tries >= TRIES_MAX || piece == 1 && shortest.len() == before {
            break;
        }
        piece = if piece == 1 { 1 } else { piece.div_ceil(2) };
    }
    Err(miss.at(format_args!("{} operations, {shortest:?}", shortest.len())))
}

/// One of some names.
pub(super) fn pick<'a>(dice: &mut Dice, from: &[&'a str]) -> &'a str {
    from.get(dice.below(from.len() as u64) as usize).copied().unwrap_or_default()
}

/// Bytes that a number and a length say.
pub(super) fn content(number: u64, length: u64) -> Vec<u8> {
    Dice::new(number).bytes(length)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_goes_wrong_is_told_with_no_more_than_it_takes() {
        let fails = |numbers: Vec<u32>| -> BoxFuture<'static, Told> {
            let wrong = numbers.contains(&3) && numbers.contains(&17);
            Box::pin(async move { if wrong { Err(Miss::from("three and seventeen")) } else { Ok(()) } })
        };
        let reported = carry_out_all((0..20).collect(), fails).await;
        assert_eq!(reported, Err(Miss::from("2 operations, [3, 17]: three and seventeen")));
        assert_eq!(carry_out_all((0..10).collect(), fails).await, Ok(()));
    }
}
