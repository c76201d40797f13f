//! Many clients that create the same names at the same time: one wins each.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "what fails here is a failed test")]

use std::sync::Arc;

use bytes::Bytes;
use credenza_connect::file::FileStore;
use credenza_connect::memory::MemoryStore;
use credenza_connect::{ErrorClass, Payload, PutOptions, Store};
use credenza_model::StoreKey;
use tokio::sync::Barrier;

const CLIENTS: u8 = 12;
const KEYS: u8 = 100;

fn key(number: u8) -> StoreKey {
    StoreKey::new(format!("intent/{number:032x}")).unwrap()
}

/// Creates every name, in step with the others, and says which it won.
async fn create_all(store: Arc<dyn Store>, client: u8, step: Arc<Barrier>) -> Vec<bool> {
    let options = PutOptions { if_absent: true, ..PutOptions::default() };
    let mut won = Vec::new();
    for number in 0..KEYS {
        step.wait().await;
        match store.put(&key(number), Payload::from(vec![client; 1000]), &options).await {
            Ok(_) => won.push(true),
            Err(cause) if cause.class == ErrorClass::Precondition => won.push(false),
            Err(cause) => panic!("client {client}, key {number}: {cause}"),
        }
    }
    won
}

async fn expect_one_winner_each(store: Arc<dyn Store>) {
    let step = Arc::new(Barrier::new(usize::from(CLIENTS)));
    let clients = (0..CLIENTS).map(|client| tokio::spawn(create_all(Arc::clone(&store), client, Arc::clone(&step))));
    let mut won = Vec::new();
    for client in clients.collect::<Vec<_>>() {
        won.push(client.await.unwrap());
    }
    for number in 0..KEYS {
        let winners: Vec<u8> = (0..CLIENTS).filter(|client| won[usize::from(*client)][usize::from(number)]).collect();
        let [winner] = winners[..] else { panic!("key {number} was created by {winners:?}") };
        let body = store.get(&key(number), None, None).await.unwrap().read_all(2000).await.unwrap();
        assert_eq!(body, Bytes::from(vec![winner; 1000]), "key {number}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn one_of_twelve_clients_creates_each_of_a_hundred_names_in_memory() {
    expect_one_winner_each(Arc::new(MemoryStore::new())).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn one_of_twelve_clients_creates_each_of_a_hundred_names_in_a_folder() {
    let folder = tempfile::tempdir().unwrap();
    expect_one_winner_each(Arc::new(FileStore::create(folder.path()).unwrap())).await;
}
