//! Log lines. They reach the user's log with the connector's name, within a byte budget.

use crate::bindings::credenza::host::log as host;

pub use crate::bindings::credenza::host::log::Level;

/// Logs a message with named fields.
pub fn log(level: Level, message: &str, fields: &[(&str, &str)]) {
    let fields: Vec<_> = fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    host::log(level, message, &fields);
}

/// Something a person should know that stops nothing.
pub fn warn(message: &str) {
    log(Level::Warn, message, &[]);
}

/// Something worth a line.
pub fn info(message: &str) {
    log(Level::Info, message, &[]);
}

/// Something for who looks closely.
pub fn debug(message: &str) {
    log(Level::Debug, message, &[]);
}
