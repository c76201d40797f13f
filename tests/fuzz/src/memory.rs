//! A bound on memory: beyond it an allocation fails, which ends the process, so that the fuzzer keeps the input.

use std::alloc::System;

use cap::Cap;

#[global_allocator]
static ALLOCATOR: Cap<System> = Cap::new(System, usize::MAX);

/// Runs what may take so many bytes at once, beside what is taken already.
pub(crate) fn within<T>(bytes: usize, run: impl FnOnce() -> T) -> T {
    ALLOCATOR.set_limit(ALLOCATOR.allocated().saturating_add(bytes)).expect("the limit is above what is allocated");
    let out = run();
    ALLOCATOR.set_limit(usize::MAX).expect("no limit is above what is allocated");
    out
}
