//! Random operations on a destination and on a map in memory, which have to agree.
//!
//! What goes wrong is reported with the seed's operations, as few of them as are still wrong on something fresh.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use credenza_model::{Entry, EntryKind, Key};

use super::super::operations::{Model, agree, content, pick};
use super::super::{OrSay, Told, ensure, expect_class};
use super::{DestinationBed, expect_bytes, file, fresh, write};
use crate::random::Dice;
use crate::{Destination, ErrorClass, Payload};

#[derive(Debug, Clone)]
enum Restored {
    Write(&'static str, u64, u64),
    Replace(&'static str, u64, u64),
    GiveUp(&'static str),
    Stat(&'static str),
    Describe(&'static str),
}

const FILES: [&str; 6] = ["a", "b/a", "b/c/a", "b/c/b", "d e/f", "z"];

fn draw_restored(dice: &mut Dice, names: &[&'static str]) -> Restored {
    let name = pick(dice, names);
    match dice.below(7) {
        0 | 1 => Restored::Write(name, dice.below(u64::MAX), dice.below(3000)),
        2 | 3 => Restored::Replace(name, dice.below(u64::MAX), dice.below(3000)),
        4 => Restored::GiveUp(name),
        5 => Restored::Stat(name),
        _ => Restored::Describe(name),
    }
}

/// Operations on a destination.
pub(super) async fn model(bed: &(dyn DestinationBed + 'static), seed: u64) -> Told {
    let mut dice = Dice::new(seed);
    let names: Vec<&str> = FILES.into_iter().filter(|name| bed.holds(&Key::from(*name))).collect();
    let operations = (0..80).map(|_| draw_restored(&mut dice, &names)).collect();
    agree(operations, || {
        Box::pin(async move { Ok(Files { bed, destination: fresh(bed).await?, held: BTreeMap::new() }) })
    })
    .await
}

struct Files<'a> {
    bed: &'a (dyn DestinationBed + 'static),
    destination: Arc<dyn Destination>,
    held: BTreeMap<&'static str, Vec<u8>>,
}

#[async_trait]
impl Model<Restored> for Files<'_> {
    async fn expect(&mut self, operation: &Restored) -> Told {
        on_destination(&*self.destination, &mut self.held, operation).await
    }

    async fn hold(&mut self) -> Told {
        for (name, bytes) in &self.held {
            expect_bytes(self.bed, &Key::from(*name), bytes).await?;
        }
        Ok(())
    }
}

async fn on_destination(
    destination: &dyn Destination,
    model: &mut BTreeMap<&'static str, Vec<u8>>,
    operation: &Restored,
) -> Told {
    match *operation {
        Restored::Write(name, number, length) if !model.contains_key(name) => {
            write(destination, &file(name), &content(number, length), false).await?;
            model.insert(name, content(number, length));
        }
        Restored::Write(name, number, length) => {
            let refused = match destination.create(&file(name), false).await {
                Ok(Some(mut writer)) => {
                    let finished = writer.finish(Payload::from(content(number, length))).await.map(drop);
                    writer.abort().await;
                    finished
                }
                other => other.map(drop),
            };
            return expect_class(refused, ErrorClass::Precondition, "writing what is there");
        }
        Restored::Replace(name, number, length) => {
            write(destination, &file(name), &content(number, length), true).await?;
            model.insert(name, content(number, length));
        }
        Restored::GiveUp(name) => {
            let is_there = model.contains_key(name);
            if let Some(writer) = destination.create(&file(name), true).await.or_say("creating")? {
                writer.abort().await;
            }
            let found = destination.stat(&Key::from(name)).await.or_say("stat")?;
            return ensure(found.is_some() == is_there, || "giving up changed what is there".to_owned());
        }
        Restored::Stat(name) => {
            let found = destination.stat(&Key::from(name)).await.or_say("stat")?;
            let (reported, expected) =
                (found.map(|entry| entry.size), model.get(name).map(|bytes| Some(bytes.len() as u64)));
            return ensure(reported == expected, || format!("it is reported as {reported:?} instead of {expected:?}"));
        }
        Restored::Describe(name) => {
            let entry = Entry::new(Key::from(name), EntryKind::File);
            let answers = destination.set_metadata(std::slice::from_ref(&entry)).await.or_say("set_metadata")?;
            ensure(answers.len() == 1, || format!("one entry has {} answers", answers.len()))?;
        }
    }
    Ok(())
}
