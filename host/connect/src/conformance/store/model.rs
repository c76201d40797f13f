//! Random operations on a store and on a map in memory, which have to agree.
//!
//! What goes wrong is reported with the seed's operations, as few of them as are still wrong on something fresh.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use credenza_model::StoreKey;

use super::super::operations::{Model, agree, content, pick};
use super::super::{OrSay, Told, ensure, expect_class};
use super::{IF_ABSENT, StoreBed, delete, fresh, get, key, put};
use crate::random::Dice;
use crate::{ByteRange, ErrorClass, Pages, Payload, Store};

#[derive(Debug, Clone)]
enum Stored {
    Put(&'static str, u64, u64),
    Create(&'static str, u64),
    Get(&'static str, Option<(u64, u64)>),
    Stat(&'static str),
    Delete(&'static str, &'static str),
    List(&'static str, usize),
}

const NAMES: [&str; 10] =
    ["config", "data/00/a", "data/00/b", "data/01/a", "data-", "index/a", "index/b", "key/a", "usage/a", "usage/b"];

fn draw_stored(dice: &mut Dice, has_conditions: bool) -> Stored {
    let name = pick(dice, &NAMES);
    match dice.below(10) {
        0..3 => Stored::Put(name, dice.below(u64::MAX), dice.below(2000)),
        3 if has_conditions => Stored::Create(name, dice.below(u64::MAX)),
        4 => Stored::Get(name, None),
        5 => Stored::Get(name, Some((dice.below(2000), dice.below(500).saturating_add(1)))),
        6 => Stored::Stat(name),
        7 => Stored::Delete(name, pick(dice, &NAMES)),
        _ => Stored::List(pick(dice, &["", "data", "data/0", "index/", "u"]), dice.below(4).saturating_add(1) as usize),
    }
}

/// Operations on a store.
pub(super) async fn model(bed: &(dyn StoreBed + 'static), seed: u64) -> Told {
    let info = fresh(bed).await?.info().await.or_say("info")?;
    let mut dice = Dice::new(seed);
    let operations = (0..250).map(|_| draw_stored(&mut dice, info.has("if-absent"))).collect();
    let has_ranges = info.has("ranged-get");
    agree(operations, || {
        Box::pin(async move { Ok(Objects { store: fresh(bed).await?, held: BTreeMap::new(), has_ranges }) })
    })
    .await
}

struct Objects {
    store: Arc<dyn Store>,
    held: BTreeMap<&'static str, Vec<u8>>,
    has_ranges: bool,
}

#[async_trait]
impl Model<Stored> for Objects {
    async fn expect(&mut self, operation: &Stored) -> Told {
        on_store(&*self.store, &mut self.held, operation, self.has_ranges).await
    }
}

async fn on_store(
    store: &dyn Store,
    model: &mut BTreeMap<&'static str, Vec<u8>>,
    operation: &Stored,
    has_ranges: bool,
) -> Told {
    match *operation {
        Stored::Put(name, number, length) => {
            put(store, name, &content(number, length)).await?;
            model.insert(name, content(number, length));
        }
        Stored::Create(name, number) => {
            let answer = store.put(&key(name)?, Payload::from(content(number, 10)), &IF_ABSENT).await;
            if model.contains_key(name) {
                return expect_class(answer, ErrorClass::Precondition, "creating it again");
            }
            answer.or_say("creating")?;
            model.insert(name, content(number, 10));
        }
        Stored::Get(name, range) => {
            let Some(bytes) = model.get(name) else {
                return expect_class(store.get(&key(name)?, None, None).await, ErrorClass::NotFound, "get");
            };
            let range = range.filter(|(offset, _)| has_ranges && *offset < bytes.len() as u64);
            let wanted = range.map(|(offset, length)| ByteRange { offset, length: Some(length) });
            let (skip, take) = range.map_or((0, usize::MAX), |(skip, take)| (skip as usize, take as usize));
            let read = get(store, name, wanted).await?;
            return ensure(read.iter().eq(bytes.iter().skip(skip).take(take)), || "it holds other bytes".to_owned());
        }
        Stored::Stat(name) => {
            let answer = store.stat(&key(name)?).await;
            let Some(bytes) = model.get(name) else {
                return expect_class(answer, ErrorClass::NotFound, "stat");
            };
            let size = answer.or_say("stat")?.size;
            return ensure(size == bytes.len() as u64, || format!("of {} bytes {size} are reported", bytes.len()));
        }
        Stored::Delete(one, other) => {
            delete(store, &[one, other]).await?;
            model.remove(one);
            model.remove(other);
        }
        Stored::List(prefix, max) => {
            let expected: Vec<&str> = model.keys().copied().filter(|key| key.starts_with(prefix)).collect();
            let listed = Pages::new(store, prefix).of(max).collect().await.or_say("list")?;
            let found: Vec<&str> = listed.iter().map(|object| StoreKey::as_str(&object.key)).collect();
            return ensure(found == expected, || format!("it lists {found:?} instead of {expected:?}"));
        }
    }
    Ok(())
}
