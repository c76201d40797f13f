//! Random operations on a store and on a map in memory, which have to agree.

use std::collections::BTreeMap;

use credenza_model::StoreKey;

use super::super::{OrSay, Verdict, ensure, expect_class};
use super::{IF_ABSENT, StoreBed, fresh, get, key, put};
use crate::random::Dice;
use crate::{ByteRange, ErrorClass, Pages, Payload, Store};

const OPERATIONS: usize = 300;
const NAMES: [&str; 10] =
    ["config", "data/00/a", "data/00/b", "data/01/a", "data-", "index/a", "index/b", "key/a", "usage/a", "usage/b"];

/// Runs the operations of a seed.
pub(super) async fn random_operations(bed: &(dyn StoreBed + 'static), seed: u64) -> Verdict {
    let store = fresh(bed).await?;
    let has_conditions = store.info().await.or_say("info")?.has("if-absent");
    let mut world = World { store: &*store, model: BTreeMap::new(), dice: Dice::new(seed), has_conditions };
    for number in 0..OPERATIONS {
        world.operate().await.map_err(|wrong| format!("operation {number} of seed {seed}: {wrong}"))?;
    }
    Ok(())
}

struct World<'a> {
    store: &'a dyn Store,
    model: BTreeMap<StoreKey, Vec<u8>>,
    dice: Dice,
    has_conditions: bool,
}

impl World<'_> {
    async fn operate(&mut self) -> Verdict {
        let name = NAMES.get(self.dice.below(NAMES.len() as u64) as usize).copied().unwrap_or("config");
        match self.dice.below(10) {
            0..3 => self.put(name).await,
            3 if self.has_conditions => self.create(name).await,
            4..6 => self.get(name).await,
            6 => self.stat(name).await,
            7 => self.delete(name).await,
            _ => self.list().await,
        }
    }

    async fn put(&mut self, name: &str) -> Verdict {
        let length = self.dice.below(2000);
        let bytes = self.dice.bytes(length);
        put(self.store, name, &bytes).await?;
        self.model.insert(key(name)?, bytes);
        Ok(())
    }

    async fn create(&mut self, name: &str) -> Verdict {
        let bytes = self.dice.bytes(10);
        let answer = self.store.put(&key(name)?, Payload::from(bytes.clone()), &IF_ABSENT).await;
        if self.model.contains_key(&key(name)?) {
            return expect_class(answer, ErrorClass::Precondition, &format!("creating {name} again"));
        }
        answer.or_say(&format!("creating {name}"))?;
        self.model.insert(key(name)?, bytes);
        Ok(())
    }

    async fn get(&mut self, name: &str) -> Verdict {
        let Some(bytes) = self.model.get(&key(name)?) else {
            return expect_class(self.store.get(&key(name)?, None, None).await, ErrorClass::NotFound, name);
        };
        let (offset, length) = (self.dice.below(bytes.len() as u64), self.dice.below(500).saturating_add(1));
        let ranged = self.dice.below(2) == 0 && !bytes.is_empty();
        let range = ranged.then_some(ByteRange { offset, length: Some(length) });
        let read = get(self.store, name, range).await?;
        let (skip, take) = if ranged { (offset as usize, length as usize) } else { (0, usize::MAX) };
        ensure(read.iter().eq(bytes.iter().skip(skip).take(take)), || format!("{name} ({range:?}) holds other bytes"))
    }

    async fn stat(&self, name: &str) -> Verdict {
        let answer = self.store.stat(&key(name)?).await;
        match self.model.get(&key(name)?) {
            None => expect_class(answer, ErrorClass::NotFound, name),
            Some(bytes) => {
                let size = answer.or_say("stat")?.size;
                ensure(size == bytes.len() as u64, || format!("{name} has {} bytes, told are {size}", bytes.len()))
            }
        }
    }

    async fn delete(&mut self, name: &str) -> Verdict {
        for outcome in self.store.delete(&[key(name)?]).await.or_say("delete")? {
            outcome.or_say("delete")?;
        }
        self.model.remove(&key(name)?);
        Ok(())
    }

    async fn list(&mut self) -> Verdict {
        let prefix = ["", "data", "data/0", "index/", "u"].get(self.dice.below(5) as usize).copied().unwrap_or("");
        let max = self.dice.below(4).saturating_add(1) as usize;
        let expected: Vec<&StoreKey> = self.model.keys().filter(|key| key.as_str().starts_with(prefix)).collect();
        let listed = Pages::new(self.store, prefix).of(max).collect().await.or_say("list")?;
        let found: Vec<&StoreKey> = listed.iter().map(|object| &object.key).collect();
        ensure(found == expected, || format!("`{prefix}` in pages of {max} lists {found:?} instead of {expected:?}"))
    }
}
