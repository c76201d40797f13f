//! Servers that take the place of a service, in this process, on the loopback interface.
//!
//! Owned here: their protocols and what they hold. Refused here: the connectors' side. What a server holds is gone with it.

mod files;
mod webdav;

pub(crate) use webdav::WebDav;
