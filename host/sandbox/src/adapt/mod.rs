//! Components behind the traits of `connect`: [`SandboxedSource`], [`SandboxedStore`], [`SandboxedDestination`].
//!
//! Owned here: translation between the contract and the host's words, and the checks of what a connector answers: keys, order, sizes,
//! counts. Refused here: how instances run (`guest`) and what they may reach (`egress`). Made by `connector`, called by the engine.

mod destination;
mod source;
mod store;

pub(crate) use destination::SandboxedDestination;
pub(crate) use source::SandboxedSource;
pub(crate) use store::SandboxedStore;
