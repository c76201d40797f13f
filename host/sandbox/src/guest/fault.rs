//! The ways in which a guest breaks its contract, and what a person reads about it.

use credenza_connect::{Error, ErrorClass};

/// Why an instance was stopped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Fault {
    /// It trapped; the text is its last error line, else the trap.
    Trap { text: String },
    /// It used more time than a call may.
    Cpu { ms: u64 },
    /// It asked for more memory than it may have.
    Memory { wanted: usize, limit: usize },
    /// All its instances together asked for more memory than they may have.
    MemoryOfAll { limit: usize },
    /// It holds too many handles.
    Handles { limit: usize },
    /// It holds too many answers that it neither handed on nor dropped.
    Answers { limit: usize },
    /// It made more bytes for the host to hold than it may, or all its instances together did.
    Held { limit: usize, limit_of_all: usize },
    /// It sent too many requests in one call, or too many that the policy refused.
    Requests { sent: u32, refused: u32 },
    /// It passed more data in one call than the budget.
    CallBytes { limit: usize },
    /// It answered something that the contract does not allow.
    Contract { reason: &'static str, text: String },
}

impl Fault {
    /// Whether another try on a new instance may help.
    pub(crate) const fn is_worth_a_retry(&self) -> bool {
        matches!(self, Self::Trap { .. })
    }

    /// The error that the engine sees.
    pub(crate) fn into_error(self, connector: &str, call: &str) -> Error {
        let (reason, text) = match self {
            Self::Trap { text } => ("guest.trap", format!("stopped: {text}")),
            Self::Cpu { ms } => ("guest.cpu", format!("did not answer within {} of CPU", seconds(ms))),
            Self::Memory { wanted, limit } => (
                "guest.memory",
                format!(
                    "wanted {} of memory, limit {}; the connector needs a fix or a higher limit",
                    mib(wanted),
                    mib(limit)
                ),
            ),
            Self::Handles { limit } => {
                ("guest.handles", format!("holds more than {limit} handles; it does not release them"))
            }
            Self::MemoryOfAll { limit } => {
                ("guest.memory", format!("wanted more memory: all its instances together have at most {}", mib(limit)))
            }
            Self::Answers { limit } => (
                "guest.answers",
                format!("holds more than {limit} answers; it neither hands them on nor releases them"),
            ),
            Self::Held { limit, limit_of_all } => (
                "guest.held",
                format!(
                    "made bodies of more than {} that are still held, or all its instances together of more than {}",
                    mib(limit),
                    mib(limit_of_all)
                ),
            ),
            Self::Requests { sent, refused } => {
                ("guest.requests", format!("asked for {sent} requests in one call, of which {refused} were refused"))
            }
            Self::CallBytes { limit } => ("guest.call-bytes", format!("passed more than {} in one call", mib(limit))),
            Self::Contract { reason, text } => (reason, text),
        };
        Error::new(ErrorClass::Internal, reason, format!("connector {connector}, call `{call}`: {text}"))
    }
}

fn mib(bytes: usize) -> String {
    format!("{} MiB", bytes.div_ceil(1 << 20))
}

fn seconds(ms: u64) -> String {
    if ms.is_multiple_of(1000) { format!("{} s", ms / 1000) } else { format!("{ms} ms") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_names_connector_call_and_limit() {
        let error = Fault::Memory { wanted: (257 << 20) - 5, limit: 256 << 20 }.into_error("s3 0.1.0", "read");
        assert_eq!(error.class, ErrorClass::Internal);
        assert_eq!(error.reason, "guest.memory");
        for part in ["s3 0.1.0", "`read`", "257 MiB", "256 MiB"] {
            assert!(error.message.contains(part), "{}", error.message);
        }
        let error = Fault::Cpu { ms: 10_000 }.into_error("s3 0.1.0", "scan");
        assert!(error.message.ends_with("did not answer within 10 s of CPU"), "{}", error.message);
    }
}
