//! What the author of a connector needs: a crate to start from, and the way from its sources to a component.
//!
//! Owned here: the files of a new connector ([`scaffold`]), finding a compiler ([`Toolchain`]), building ([`build`]) and encoding
//! ([`encode`]), and whether its files were changed ([`Traces`]). Refused here: judging the component, which the sandbox does when it loads it and the kit when it tests it; printing.
//! Called by `credenza connector new`, `build` and `dev`, and by `cargo xtask guests`, which builds the connectors of this tree by the same way.

mod build;
mod component;
mod javascript;
mod packaged;
mod python;
mod scaffold;
mod sources;
mod toolchain;
mod traces;

pub use build::{BuildError, build};
pub use component::{EncodeError, encode};
pub use packaged::PackagedError;
pub use scaffold::{Language, ROLES, ScaffoldError, scaffold};
pub use toolchain::{NoToolchain, TARGET, Toolchain, cargo};
pub use traces::Traces;
