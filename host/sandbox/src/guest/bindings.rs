//! The contract of `wit/` as Rust types. Each role is bound on its own, by what a component exports; the world only makes all of them known.
#![allow(missing_docs, unreachable_pub)]

wasmtime::component::bindgen!({
    path: "../../wit",
    world: "full-connector",
    imports: {
        "credenza:host/http.send": async | trappable,
        "credenza:host/bodies.[method]body.read": async | trappable,
        default: trappable,
    },
    exports: { default: async },
    with: {
        "credenza:host/bodies.body": crate::guest::state::BodyHandle,
        "credenza:host/http.response": crate::egress::Response,
    },
});

pub use credenza::connector::{settings, types};
pub use exports::credenza::connector::{destination, lifecycle, source, store};
