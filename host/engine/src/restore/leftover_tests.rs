//! What is left at a destination of an entry that is given up half written: nothing, or what it says that it cannot remove, and then that is reported.

use std::sync::Mutex;

use async_trait::async_trait;
use credenza_connect::memory::{MemoryDestination, MemorySource, MemoryStore};
use credenza_connect::{Check, DestinationInfo, Error as ConnectError, ErrorClass, Payload, Result as Answer, Writer};

use super::*;
use crate::poison::lock_unpoisoned;
use crate::testing::{handle, noise, repository, secret, snapshot};
use crate::{Listener, Stop};

const PART_BYTES: u64 = 10_000;

/// What happens at the first part.
#[derive(Clone)]
enum Trouble {
    /// The run is interrupted.
    Interrupted(Stop),
    /// The destination takes no more.
    Refused,
}

/// A destination of parts, to which something happens, and how many of its entries were given up.
#[derive(Clone)]
struct Troubled {
    inner: MemoryDestination,
    leaves_parts: bool,
    trouble: Trouble,
    given_up: Arc<Mutex<usize>>,
}

#[async_trait]
impl Destination for Troubled {
    async fn info(&self) -> Answer<DestinationInfo> {
        let mut info = self.inner.info().await?;
        info.traits.extend(self.leaves_parts.then(|| ability::LEAVES_PARTS.to_owned()));
        Ok(info)
    }

    async fn check(&self) -> Vec<Check> {
        self.inner.check().await
    }

    async fn stat(&self, key: &Key) -> Answer<Option<Entry>> {
        self.inner.stat(key).await
    }

    async fn create(&self, _: &Entry, _: bool) -> Answer<Option<Box<dyn Writer>>> {
        Ok(Some(Box::new(self.clone())))
    }

    async fn set_metadata(&self, entries: &[Entry]) -> Answer<Vec<Answer<Vec<String>>>> {
        self.inner.set_metadata(entries).await
    }
}

#[async_trait]
impl Writer for Troubled {
    fn part_bytes(&self) -> Option<u64> {
        Some(PART_BYTES)
    }

    async fn write(&mut self, _: Payload) -> Answer<()> {
        match &self.trouble {
            Trouble::Interrupted(stop) => {
                stop.request();
                Ok(())
            }
            Trouble::Refused => Err(ConnectError::new(ErrorClass::Corrupt, "test.corrupt", "it makes no sense")),
        }
    }

    async fn finish(&mut self, _: Payload) -> Answer<Vec<String>> {
        unreachable!("the first part is the end")
    }

    async fn abort(self: Box<Self>) {
        *lock_unpoisoned(&self.given_up) += 1;
    }
}

/// Keys of which something is left.
#[derive(Default)]
struct Heard(Mutex<Vec<String>>);

impl Listener for Heard {
    fn on(&self, event: Event) {
        if let Event::PartsLeft { key } = event {
            lock_unpoisoned(&self.0).push(key.to_string());
        }
    }
}

/// What a restore of one long file ends with, how often a writer was given up, and what the listener heard.
async fn restored(leaves_parts: bool, is_interrupted: bool) -> (Result<RestoreReport>, usize, Vec<String>) {
    let repository = repository(Arc::new(MemoryStore::new()), secret(), None).await;
    let source = MemorySource::new();
    source.put("long", noise(1, 300_000));
    let snapshot = handle(&repository, snapshot(&repository, &source).await).await;
    let heard = Arc::new(Heard::default());
    let context = RunContext { events: Arc::clone(&heard) as Arc<dyn Listener>, ..RunContext::default() };
    let trouble = if is_interrupted { Trouble::Interrupted(context.stop.clone()) } else { Trouble::Refused };
    let destination = Troubled { inner: MemoryDestination::new(), leaves_parts, trouble, given_up: Arc::default() };
    let ended = run(&repository, &snapshot, Arc::new(destination.clone()), &RestoreOptions::default(), &context).await;
    let (given_up, heard) = (*lock_unpoisoned(&destination.given_up), lock_unpoisoned(&heard.0).clone());
    (ended, given_up, heard)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_interrupted_restore_leaves_is_told_where_the_destination_cannot_remove_it() {
    let (ended, given_up, heard) = restored(true, true).await;
    assert!(matches!(ended, Err(Error::Cancelled)), "{ended:?}");
    assert_eq!((given_up, heard), (1, vec!["long".to_owned()]));
    let (ended, given_up, heard) = restored(true, false).await;
    assert_eq!((ended.unwrap().failed, given_up, heard), (1, 1, vec!["long".to_owned()]));
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_trait_parts_are_dropped_and_nothing_is_told() {
    for is_interrupted in [true, false] {
        let (_, given_up, heard) = restored(false, is_interrupted).await;
        assert_eq!((given_up, heard), (1, Vec::<String>::new()), "{is_interrupted}");
    }
}
