//! The three roles as types: which exports make a role, and how its session begins.

use std::future::Future;

use wasmtime::component::{Instance, InstancePre, ResourceAny};

use super::bindings::settings::Config;
use super::bindings::{destination, lifecycle, source, store, types};
use super::state::State;

/// The exports of one role.
pub(crate) trait RoleExports: Send + Sync + 'static {
    /// Where the exports are in the component.
    type Indices: Send + Sync;
    /// The exports of one instance.
    type Exports: Send + Sync;

    fn indices(pre: &InstancePre<State>) -> wasmtime::Result<Self::Indices>;

    fn load(
        indices: &Self::Indices,
        store: &mut wasmtime::Store<State>,
        instance: &Instance,
    ) -> wasmtime::Result<Self::Exports>;

    fn open(
        exports: &Self::Exports,
        store: &mut wasmtime::Store<State>,
        config: &Config,
    ) -> impl Future<Output = wasmtime::Result<Result<ResourceAny, types::Error>>> + Send;
}

macro_rules! role {
    ($(#[$doc:meta])* $name:ident, $interface:ident) => {
        $(#[$doc])*
        #[derive(Debug)]
        pub(crate) struct $name;

        impl RoleExports for $name {
            type Indices = $interface::GuestIndices;
            type Exports = $interface::Guest;

            fn indices(pre: &InstancePre<State>) -> wasmtime::Result<Self::Indices> {
                $interface::GuestIndices::new(pre)
            }

            fn load(
                indices: &Self::Indices,
                store: &mut wasmtime::Store<State>,
                instance: &Instance,
            ) -> wasmtime::Result<Self::Exports> {
                indices.load(store, instance)
            }

            async fn open(
                exports: &Self::Exports,
                store: &mut wasmtime::Store<State>,
                config: &Config,
            ) -> wasmtime::Result<Result<ResourceAny, types::Error>> {
                exports.call_open(store, config).await
            }
        }
    };
}

/// `credenza:connector/lifecycle`, which every connector exports; it has no session.
#[derive(Debug)]
pub(crate) struct Lifecycle;

impl RoleExports for Lifecycle {
    type Indices = lifecycle::GuestIndices;
    type Exports = lifecycle::Guest;

    fn indices(pre: &InstancePre<State>) -> wasmtime::Result<Self::Indices> {
        lifecycle::GuestIndices::new(pre)
    }

    fn load(
        indices: &Self::Indices,
        store: &mut wasmtime::Store<State>,
        instance: &Instance,
    ) -> wasmtime::Result<Self::Exports> {
        indices.load(store, instance)
    }

    async fn open(
        _: &Self::Exports,
        _: &mut wasmtime::Store<State>,
        _: &Config,
    ) -> wasmtime::Result<Result<ResourceAny, types::Error>> {
        wasmtime::bail!("lifecycle has no session")
    }
}

role! {
    /// `credenza:connector/source`.
    SourceRole, source
}
role! {
    /// `credenza:connector/store`.
    StoreRole, store
}
role! {
    /// `credenza:connector/destination`.
    DestinationRole, destination
}
