//! The text of a panic, saved before the abort: the trap that the host sees says only `unreachable`.

use std::sync::Once;

use crate::log::{Level, log};

static INSTALLED: Once = Once::new();

/// From now on, panics are logged at level error as `panicked at FILE:LINE: MESSAGE`.
pub(crate) fn report_to_log() {
    INSTALLED.call_once(|| {
        std::panic::set_hook(Box::new(|panic| {
            log(Level::Error, &panic.to_string(), &[("event", "panic")]);
        }));
    });
}
