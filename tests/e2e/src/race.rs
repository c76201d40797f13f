//! Many clients that create the same objects at the same time, on the wire.

use crate::s3::{Endpoint, S3};
use anyhow::{Context, Result, bail, ensure};
use http::{Method, StatusCode};
use std::sync::Barrier;

const CLIENTS: u8 = 12;

fn key(number: u8) -> String {
    format!("race/{number:03}")
}

/// Twelve clients create so many objects, in step, each only if it is not there: every object must be created once, and be the winner's.
///
/// # Errors
/// When an object has no or several winners, or another's bytes.
pub fn expect_one_winner_each(endpoint: &Endpoint, bucket: &str, keys: u8) -> Result<()> {
    let step = Barrier::new(usize::from(CLIENTS));
    let won: Vec<Vec<bool>> = std::thread::scope(|scope| {
        let step = &step;
        let clients: Vec<_> = (0..CLIENTS)
            .map(|client| scope.spawn(move || create_all(endpoint, bucket, (client, keys), step)))
            .collect();
        let answers = clients.into_iter().map(|client| client.join().unwrap_or_else(|_| bail!("a client panicked")));
        answers.collect::<Result<_>>()
    })?;
    let s3 = S3::new(endpoint.clone())?;
    for number in 0..keys {
        let has_won = |client: &u8| won.get(usize::from(*client)).and_then(|all| all.get(usize::from(number)));
        let winners: Vec<u8> = (0..CLIENTS).filter(|client| has_won(client) == Some(&true)).collect();
        let [winner] = winners.as_slice() else { bail!("{} was created by {winners:?}", key(number)) };
        let body = s3.get(bucket, &key(number))?.body;
        ensure!(body.iter().all(|byte| byte == winner), "{} holds a loser's bytes", key(number));
    }
    Ok(())
}

/// Which objects this client created. Every client comes to every step, whatever the answers, or the others would wait for ever.
fn create_all(endpoint: &Endpoint, bucket: &str, (client, keys): (u8, u8), step: &Barrier) -> Result<Vec<bool>> {
    let s3 = S3::new(endpoint.clone());
    let answers: Vec<Result<bool>> = (0..keys)
        .map(|number| {
            step.wait();
            let s3 = s3.as_ref().map_err(|error| anyhow::anyhow!("{error:#}"))?;
            create(s3, bucket, number, client).with_context(|| format!("client {client}, {}", key(number)))
        })
        .collect();
    answers.into_iter().collect()
}

fn create(s3: &S3, bucket: &str, number: u8, client: u8) -> Result<bool> {
    let headers = [("if-none-match", "*")];
    let answer = s3.send(Method::PUT, (bucket, key(number).as_bytes()), &[], &headers, vec![client; 1000])?;
    match answer.status {
        // A server may say that it was busy with another create of that object (S3: ConditionalRequestConflict).
        StatusCode::PRECONDITION_FAILED | StatusCode::CONFLICT => Ok(false),
        _ => answer.success().map(|_| true),
    }
}
