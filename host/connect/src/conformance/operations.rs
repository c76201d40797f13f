//! Random operations that were drawn from a seed, and the shortest ones found that still go wrong.

use std::fmt::Debug;

use async_trait::async_trait;
use futures_util::future::BoxFuture;

use super::{Miss, Told};
use crate::random::Dice;

/// Most times that operations which went wrong are run again with some left out.
const TRIES_MAX: usize = 60;

/// A connector, and what is remembered of all that was done with it.
#[async_trait]
pub(super) trait Model<O>: Send {
    /// Carries an operation out, and holds what comes of it against what is remembered.
    async fn expect(&mut self, operation: &O) -> Told;

    /// Looks at the end whether all is as it is remembered.
    async fn hold(&mut self) -> Told {
        Ok(())
    }
}

async fn carry_out<O: Debug + Sync, M: Model<O>>(fresh: BoxFuture<'_, Told<M>>, operations: &[O]) -> Told {
    let mut model = fresh.await?;
    for operation in operations {
        model.expect(operation).await.map_err(|miss| miss.at(format_args!("{operation:?}")))?;
    }
    model.hold().await
}

/// Carries operations out on a fresh connector; those that go wrong are carried out on others with some left out, until each of those that are
/// left is needed.
pub(super) async fn agree<'a, O: Clone + Debug + Send + Sync, M: Model<O>>(
    operations: Vec<O>,
    fresh: impl Fn() -> BoxFuture<'a, Told<M>> + Send + Sync,
) -> Told {
    let Err(mut miss) = carry_out(fresh(), &operations).await else { return Ok(()) };
    let mut shortest = operations;
    let (mut piece, mut tries) = (shortest.len().div_ceil(2), 0);
    while piece > 0 {
        let (mut at, before) = (0, shortest.len());
        while at < shortest.len() && tries < TRIES_MAX {
            let without: Vec<O> = shortest.iter().take(at).chain(shortest.iter().skip(at + piece)).cloned().collect();
            tries += 1;
            match carry_out(fresh(), &without).await {
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

    /// Cannot have seventeen after three.
    #[derive(Default)]
    struct Seen(Vec<u32>);

    #[async_trait]
    impl Model<u32> for Seen {
        async fn expect(&mut self, number: &u32) -> Told {
            self.0.push(*number);
            if *number == 17 && self.0.contains(&3) { Err(Miss::from("after three")) } else { Ok(()) }
        }
    }

    #[tokio::test]
    async fn what_goes_wrong_is_told_with_no_more_than_it_takes() {
        let fresh = || -> BoxFuture<'static, Told<Seen>> { Box::pin(async { Ok(Seen::default()) }) };
        let reported = agree((0..20).collect(), fresh).await;
        assert_eq!(reported, Err(Miss::from("2 operations, [3, 17]: 17: after three")));
        assert_eq!(agree((0..10).collect(), fresh).await, Ok(()));
    }
}
