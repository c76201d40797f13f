//! The bar of a run that is under way, on a terminal only.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use credenza_engine::Phase;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

const REDRAW_MS: u64 = 200;

/// A bar, or nothing.
pub(super) struct Progress {
    bar: ProgressBar,
    entries: AtomicU64,
    drawn: bool,
    /// Whether there is a run under way: until then there is no bar, and none is drawn again behind a line.
    is_begun: AtomicBool,
}

impl Progress {
    pub(super) fn new(drawn: bool) -> Self {
        let target = if drawn { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        Self {
            bar: ProgressBar::with_draw_target(None, target),
            entries: AtomicU64::new(0),
            drawn,
            is_begun: AtomicBool::new(false),
        }
    }

    pub(super) const fn is_drawn(&self) -> bool {
        self.drawn
    }

    pub(super) fn begin(&self, phase: Phase) {
        if !self.drawn {
            return;
        }
        self.is_begun.store(true, Relaxed);
        self.bar.reset();
        self.bar.unset_length();
        self.entries.store(0, Relaxed);
        self.bar.set_style(style("{prefix} {spinner} {binary_bytes} {msg}, {binary_bytes_per_sec}"));
        self.bar.set_prefix(phase.name());
        self.bar.enable_steady_tick(Duration::from_millis(REDRAW_MS));
    }

    pub(super) fn expect(&self, bytes: u64) {
        if bytes > 0 {
            self.bar.set_style(style(
                "{prefix} {wide_bar} {percent} %, {binary_bytes} of about {binary_total_bytes}, {msg}, {eta} left",
            ));
            self.bar.set_length(bytes);
        }
    }

    pub(super) fn advance(&self, entries: u64, bytes: u64) {
        let entries = self.entries.fetch_add(entries, Relaxed).saturating_add(entries);
        if self.drawn {
            self.bar.inc(bytes);
            self.bar.set_message(format!("{entries} entries"));
        }
    }

    /// Takes the bar away while something else is printed.
    pub(super) fn suspend<T>(&self, print: impl FnOnce() -> T) -> T {
        if self.is_begun.load(Relaxed) { self.bar.suspend(print) } else { print() }
    }

    pub(super) fn clear(&self) {
        if self.is_begun.load(Relaxed) {
            self.bar.finish_and_clear();
        }
    }
}

/// The templates are constants of this file; a wrong one shows as a plain bar.
fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}
