//! The connector for Google Cloud Storage, as source, store and destination, by its JSON API.
//!
//! Owned here: requests, documents and errors of the service, and what generations of objects mean. Refused here: tokens, credentials,
//! retries, host names (the host's), and bytes of objects, which pass as handles and never enter the sandbox. Called by the host through the
//! contract in `wit/`.
//!
//! [`bucket::Bucket`] is the session in all roles. It is generic over a wire, and tested natively with recorded answers.

mod attributes;
pub mod bucket;
mod check;
mod destination;
mod documents;
mod fault;
mod history;
mod json;
mod listing;
mod lock;
mod place;
#[cfg(test)]
mod recorded;
pub mod source;
mod store;
mod upload;
pub mod wire;

credenza_sdk::export!(bucket::Bucket<wire::Host>: source, store, destination);
