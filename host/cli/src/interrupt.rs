//! The signals that ask a program to end, which end this one with 130: SIGINT, SIGTERM, SIGHUP, SIGQUIT and SIGXCPU. SIGXFSZ, which would end it without a
//! word, is taken and means nothing: the write that was too long fails, and says so.
//!
//! SIGHUP is not listened to where whoever started the program has it ignored, as `nohup` does.

use std::task::Poll;

use tokio::signal::unix::{Signal, SignalKind, signal};

/// The time on a processor that the program was given is spent, and a file is to grow beyond what it was given (signal(7), all but MIPS).
const XCPU: i32 = 24;
const XFSZ: i32 = 25;
/// What the kernel tells of this process, in lines.
const STATUS: &str = "/proc/self/status";

/// Listens from now on, and is ready when the user or the system asks the program to end; never when it cannot be known. SIGHUP asks for that unless the
/// program has another use for it.
pub(crate) fn requested(hangup_ends: bool) -> impl Future<Output = ()> {
    // From now on, and for as long as the program runs.
    let _ = signal(SignalKind::from_raw(XFSZ));
    let mut signals: Vec<Signal> = kinds(hangup_ends).filter_map(|kind| signal(kind).ok()).collect();
    std::future::poll_fn(move |context| {
        let asked = signals.iter_mut().any(|signal| signal.poll_recv(context).is_ready());
        if asked { Poll::Ready(()) } else { Poll::Pending }
    })
}

fn kinds(hangup_ends: bool) -> impl Iterator<Item = SignalKind> {
    let always = [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::quit(), SignalKind::from_raw(XCPU)];
    let status = std::fs::read_to_string(STATUS).unwrap_or_default();
    let hangup = Some(SignalKind::hangup()).filter(|kind| hangup_ends && !is_ignored(*kind, &status));
    always.into_iter().chain(hangup)
}

/// Whether a signal is ignored, by the kernel's account. What listens to one changes that, so that it is asked about before.
fn is_ignored(kind: SignalKind, status: &str) -> bool {
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let ignored = ignored.and_then(|digits| u64::from_str_radix(digits.trim(), 16).ok()).unwrap_or(0);
    let bit = kind.as_raw_value().saturating_sub(1);
    u32::try_from(bit).is_ok_and(|bit| ignored.checked_shr(bit).is_some_and(|rest| rest & 1 == 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_ignored_is_read_from_the_account_of_the_kernel() {
        let status = "Name:\tcredenza\nSigBlk:\t0000000000000003\nSigIgn:\t0000000000001001\n";
        assert!(is_ignored(SignalKind::hangup(), status));
        assert!(!is_ignored(SignalKind::interrupt(), status));
        assert!(!is_ignored(SignalKind::hangup(), ""));
    }
}
