//! What a guest may have, and make the host hold for it: every limit in one place, as CONTRACT.md lists them.

/// Linear memory of an instance. Content does not pass through it; listings and documents do.
pub(crate) const MEMORY_BYTES_MAX: usize = 256 * 1024 * 1024;
/// Linear memory of all instances of a configured connector together.
pub(crate) const MEMORY_OF_ALL_BYTES_MAX: usize = 2 * 1024 * 1024 * 1024;
/// An instance whose memory grew further is not used again: memory never shrinks.
pub(crate) const MEMORY_KEPT_BYTES_MAX: usize = 32 * 1024 * 1024;
/// Elements of a table, which hold indirect functions.
pub(crate) const TABLE_ELEMENTS_MAX: usize = 20_000;
/// Core modules and tables of an instance: the connector, adapters, and shims; an interpreter is linked of up to fourteen.
pub(crate) const CORE_INSTANCES_MAX: usize = 16;
/// Memories of an instance: the connector's, and that of an adapter.
pub(crate) const MEMORIES_MAX: usize = 2;
/// An instance that begins with more memory than this is an interpreter's.
pub(crate) const MEMORY_OF_INTERPRETER_BYTES: u64 = 4 * 1024 * 1024;
/// Most instances of an interpreter in one role: each holds some tens of megabytes.
pub(crate) const INTERPRETERS_MAX: usize = 8;

/// Bytes that a guest made (`from-bytes`) and that are still held: by its handles, by a request on its way, or by the engine.
pub(crate) const HELD_BYTES_MAX: usize = 32 * 1024 * 1024;
/// The same of all instances of a configured connector together.
pub(crate) const HELD_OF_ALL_BYTES_MAX: usize = 256 * 1024 * 1024;
/// Handles (bodies, responses) of an instance at a time; wasmtime's own default is 1,000,000.
pub(crate) const HANDLES_MAX: usize = 4096;
/// Answers of an instance at a time, read or not: each holds a connection, and a head of up to some 400 KiB.
pub(crate) const ANSWERS_MAX: usize = 16;

/// Bytes that a guest passes to the host, or returns, in one call; wasmtime's own default is 128 MiB.
pub(crate) const CALL_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Requests of one call: a thousand pages, or three for each entry that is described.
pub(crate) const REQUESTS_MAX: u32 = 10_000;
/// Requests of one call that the policy refuses; one is enough to make the call fail.
pub(crate) const REFUSALS_MAX: u32 = 16;
/// Bytes that one `body.read` moves into the guest.
pub(crate) const READ_BYTES_MAX: u32 = 1024 * 1024;
/// Bytes of one `task.random`.
pub(crate) const RANDOM_BYTES_MAX: u32 = 1024;

/// Random bytes of one call of WASI.
pub(crate) const WASI_RANDOM_BYTES_MAX: u64 = 64 * 1024;

/// A line of the log, or a message of the host for a guest.
pub(crate) const LINE_BYTES_MAX: usize = 4096;
/// All log lines of a configured connector.
pub(crate) const LOG_BYTES_MAX: usize = 256 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    /// A number as the table writes it.
    fn written(number: usize) -> String {
        match number {
            n if n >= 1 << 30 => format!("{} GiB", n >> 30),
            n if n >= 1 << 20 => format!("{} MiB", n >> 20),
            n if n.is_multiple_of(1024) && n > 4096 => format!("{} KiB", n >> 10),
            n if n >= 1000 => format!("{},{:03}", n / 1000, n % 1000),
            n => n.to_string(),
        }
    }

    #[test]
    fn the_contract_lists_every_limit() {
        let contract = include_str!("../../../../wit/CONTRACT.md");
        for (what, limit) in [
            ("memory of an instance", MEMORY_BYTES_MAX),
            ("memory of all instances", MEMORY_OF_ALL_BYTES_MAX),
            ("bytes made by a connector (`from-bytes`) and still held", HELD_BYTES_MAX),
            ("the same, of all instances", HELD_OF_ALL_BYTES_MAX),
            ("handles of an instance", HANDLES_MAX),
            ("answers that an instance holds", ANSWERS_MAX),
            ("what one call passes or returns", CALL_BYTES_MAX),
            ("requests of one call", REQUESTS_MAX as usize),
            ("refused requests of one call", REFUSALS_MAX as usize),
            ("one `body.read`", READ_BYTES_MAX as usize),
            ("one `task.random`", RANDOM_BYTES_MAX as usize),
            ("log of a connector, all its instances together", LOG_BYTES_MAX),
        ] {
            let row = format!("| {what} | {}", written(limit));
            assert!(contract.contains(&row), "no row `{row}`");
        }
    }
}
