//! What every connector exports, whatever its roles, and the macro that exports it.

use std::marker::PhantomData;

use crate::bindings::exports::credenza::connector::lifecycle::Guest;
use crate::{Config, Problem, Result};

/// A connector with its settings, whatever its roles. One value is one session; the host opens several and calls each from one thread.
pub trait Connector: Sized + 'static {
    /// Opens a session; no request is needed yet.
    ///
    /// # Errors
    /// `configuration` when the settings cannot work.
    fn open(config: &Config) -> Result<Self>;

    /// Rules between settings that the manifest cannot say. Pure: no request is possible here. An empty list means valid.
    #[must_use]
    fn validate(_config: &Config) -> Vec<Problem> {
        Vec::new()
    }
}

/// Answers the lifecycle of the contract for a connector.
#[derive(Debug)]
pub struct ExportedLifecycle<C>(PhantomData<C>);

impl<C: Connector> Guest for ExportedLifecycle<C> {
    fn validate(config: Config) -> Vec<Problem> {
        crate::panic::report_to_log();
        C::validate(&config)
    }
}

/// Exports a connector in its roles: `credenza_sdk::export!(MyConnector: source, store, destination);`.
///
/// Outside WebAssembly it expands to nothing, because the names of the exports cannot be linked natively.
#[macro_export]
macro_rules! export {
    ($connector:ty: $($role:ident),+ $(,)?) => {
        #[cfg(target_arch = "wasm32")]
        #[allow(unsafe_code)]
        const _: () = {
            use $crate::bindings::exports::credenza::connector as roles;
            type Lifecycle = $crate::glue::ExportedLifecycle<$connector>;
            roles::lifecycle::__export_credenza_connector_lifecycle_0_1_0_cabi!(Lifecycle with_types_in roles::lifecycle);
            $($crate::export_role!($connector, $role);)+
        };
    };
}

/// One role of [`export!`]: its functions, and its types in a section where the encoder of components looks for them.
#[doc(hidden)]
#[macro_export]
macro_rules! export_role {
    ($connector:ty, source) => {
        type Source = $crate::glue::ExportedSource<$connector>;
        roles::source::__export_credenza_connector_source_0_1_0_cabi!(Source with_types_in roles::source);
        #[unsafe(link_section = "component-type:credenza:source")]
        pub static SOURCE_WORLD: [u8; $crate::worlds::SOURCE.len()] = $crate::worlds::SOURCE;
    };
    ($connector:ty, store) => {
        type Store = $crate::glue::ExportedStore<$connector>;
        roles::store::__export_credenza_connector_store_0_1_0_cabi!(Store with_types_in roles::store);
        #[unsafe(link_section = "component-type:credenza:store")]
        pub static STORE_WORLD: [u8; $crate::worlds::STORE.len()] = $crate::worlds::STORE;
    };
    ($connector:ty, destination) => {
        type Destination = $crate::glue::ExportedDestination<$connector>;
        roles::destination::__export_credenza_connector_destination_0_1_0_cabi!(Destination with_types_in roles::destination);
        #[unsafe(link_section = "component-type:credenza:destination")]
        pub static DESTINATION_WORLD: [u8; $crate::worlds::DESTINATION.len()] = $crate::worlds::DESTINATION;
    };
}
