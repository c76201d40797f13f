//! The kernel's questions. What can be answered at once is answered at once; what must wait for a store is handed to a task, and the task answers.
//!
//! Owned here: the protocol, and how many questions are answered at once. Refused here: what the answers are (`files`). Called by the kernel through
//! `fuser`.
//!
//! Bound: [`READS_MAX`] answers at once, each at most what the kernel asks for, and what is open.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::future::Future;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Waker};

use credenza_engine::view::Reader;
use fuser::{
    Errno, FileHandle, FopenFlags, Generation, INodeNo, InitFlags, KernelConfig, LockOwner, OpenFlags, ReplyAttr,
    ReplyData, ReplyDirectory, ReplyDirectoryPlus, ReplyEmpty, ReplyEntry, ReplyOpen, ReplyStatfs, ReplyXattr, Request,
};
use tokio::runtime::Handle;
use tokio::sync::Semaphore;

use super::READS_MAX;
use super::files::Files;
use super::folders::{DOTS, OpenFolder};

/// Files have no generations: a number is never used for another.
const GENERATION: Generation = Generation(0);
/// Longest name.
const NAME_BYTES_MAX: u32 = 255;
/// Bytes of one of the blocks in which space is told.
const BLOCK_BYTES: u32 = 4096;

pub(super) struct Filesystem {
    files: Arc<Files>,
    open: Arc<Open>,
    runtime: Handle,
    room: Arc<Semaphore>,
}

/// What programs have open.
#[derive(Default)]
struct Open {
    next: AtomicU64,
    files: Mutex<HashMap<u64, Arc<Reader>>>,
    folders: Mutex<HashMap<u64, Arc<tokio::sync::Mutex<OpenFolder>>>>,
}

impl Open {
    fn number(&self) -> u64 {
        self.next.fetch_add(1, Ordering::Relaxed)
    }
}

fn put<T>(table: &Mutex<HashMap<u64, T>>, number: u64, what: T) {
    table.lock().unwrap_or_else(PoisonError::into_inner).insert(number, what);
}

fn get<T: Clone>(table: &Mutex<HashMap<u64, T>>, number: FileHandle) -> Result<T, Errno> {
    table.lock().unwrap_or_else(PoisonError::into_inner).get(&number.0).cloned().ok_or(Errno::EBADF)
}

fn drop_from<T>(table: &Mutex<HashMap<u64, T>>, number: FileHandle) {
    table.lock().unwrap_or_else(PoisonError::into_inner).remove(&number.0);
}

impl Filesystem {
    pub(super) fn new(files: Arc<Files>, runtime: Handle) -> Self {
        Self { files, open: Arc::default(), runtime, room: Arc::new(Semaphore::new(READS_MAX)) }
    }

    /// Answers, in a task where something is to be waited for.
    fn spawn<F: Future<Output = ()> + Send + 'static>(&self, answer: impl FnOnce(Arc<Files>, Arc<Open>) -> F) {
        answer_in(&self.runtime, &self.room, answer(Arc::clone(&self.files), Arc::clone(&self.open)));
    }
}

/// Answers once there is room for it; until then the kernel's next question waits. An answer that has begun may hold what others wait for, so that none begins
/// that could not go on.
fn answer_in<F: Future<Output = ()> + Send + 'static>(runtime: &Handle, room: &Arc<Semaphore>, answer: F) {
    let permit = match Arc::clone(room).try_acquire_owned() {
        Ok(permit) => Ok(permit),
        Err(_) => runtime.block_on(Arc::clone(room).acquire_owned()),
    };
    let _runtime = runtime.enter();
    let mut answer = Box::pin(answer);
    // Most of what is asked for is at hand, and a task for it would cost more than the answer.
    if answer.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready() {
        return;
    }
    runtime.spawn(async move {
        answer.await;
        drop(permit);
    });
}

impl fuser::Filesystem for Filesystem {
    fn init(&mut self, _: &Request, config: &mut KernelConfig) -> io::Result<()> {
        // What is said of an item is at hand when it is listed. Left to choose, the kernel would ask for all behind the first page one by one.
        let wanted = InitFlags::FUSE_DO_READDIRPLUS | InitFlags::FUSE_PARALLEL_DIROPS | InitFlags::FUSE_ASYNC_READ;
        // What an older kernel cannot is left out.
        if let Err(unknown) = config.add_capabilities(wanted) {
            let _ = config.add_capabilities(wanted.difference(unknown));
        }
        Ok(())
    }

    fn lookup(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        let name = name.as_bytes().to_vec();
        self.spawn(|files, _| async move {
            match files.child(parent, &name).await {
                Ok(found) => reply.entry(&found.holds, &found.told(&files.nodes), GENERATION),
                Err(error) => match files.missing(parent, error).await {
                    Some((nothing, holds)) => reply.entry(&holds, &nothing, GENERATION),
                    None => reply.error(error),
                },
            }
        });
    }

    fn forget(&self, _: &Request, number: INodeNo, times: u64) {
        self.files.nodes.forget(number, times);
    }

    fn getattr(&self, _: &Request, number: INodeNo, _: Option<FileHandle>, reply: ReplyAttr) {
        self.spawn(|files, _| async move {
            match files.attributes(number).await {
                Ok((attributes, holds)) => reply.attr(&holds, &attributes),
                Err(error) => reply.error(error),
            }
        });
    }

    fn readlink(&self, _: &Request, number: INodeNo, reply: ReplyData) {
        self.spawn(|files, _| async move {
            match files.link(number).await {
                Ok(target) => reply.data(&target),
                Err(error) => reply.error(error),
            }
        });
    }

    fn open(&self, _: &Request, number: INodeNo, _: OpenFlags, reply: ReplyOpen) {
        self.spawn(|files, open| async move {
            match files.open(number).await {
                Ok(reader) => {
                    let handle = open.number();
                    put(&open.files, handle, Arc::new(reader));
                    reply.opened(FileHandle(handle), FopenFlags::FOPEN_KEEP_CACHE);
                }
                Err(error) => reply.error(error),
            }
        });
    }

    fn read(
        &self,
        _: &Request,
        _: INodeNo,
        handle: FileHandle,
        offset: u64,
        size: u32,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyData,
    ) {
        self.spawn(|files, open| async move {
            match get(&open.files, handle) {
                Ok(reader) => match reader.read_at(offset, u64::from(size)).await {
                    Ok(bytes) => reply.data(&bytes),
                    Err(cause) => reply.error(files.told(&cause)),
                },
                Err(error) => reply.error(error),
            }
        });
    }

    fn release(
        &self,
        _: &Request,
        _: INodeNo,
        handle: FileHandle,
        _: OpenFlags,
        _: Option<LockOwner>,
        _: bool,
        reply: ReplyEmpty,
    ) {
        drop_from(&self.open.files, handle);
        reply.ok();
    }

    fn opendir(&self, _: &Request, number: INodeNo, _: OpenFlags, reply: ReplyOpen) {
        self.spawn(|files, open| async move {
            match files.is_for_ever(number).await {
                Ok(is_for_ever) => {
                    let handle = open.number();
                    // What stands in it the kernel need not ask for twice.
                    let kept = FopenFlags::FOPEN_CACHE_DIR | FopenFlags::FOPEN_KEEP_CACHE;
                    let flags = if is_for_ever { kept } else { FopenFlags::empty() };
                    put(&open.folders, handle, Arc::new(tokio::sync::Mutex::new(OpenFolder::new(number))));
                    reply.opened(FileHandle(handle), flags);
                }
                Err(error) => reply.error(error),
            }
        });
    }

    fn readdir(&self, _: &Request, number: INodeNo, handle: FileHandle, offset: u64, mut reply: ReplyDirectory) {
        self.spawn(|files, open| async move {
            let listed = async {
                let folder = get(&open.folders, handle)?;
                let mut folder = folder.lock().await;
                let mut is_full = false;
                for (at, dot) in dots(offset) {
                    is_full = is_full || reply.add(number, at, fuser::FileType::Directory, dot);
                }
                folder.seek(offset, &files).await?;
                while !is_full {
                    let Some((item, behind)) = folder.next(&files).await? else { break };
                    let found = &item.found;
                    is_full = reply.add(found.number(), behind, found.kind(), OsStr::from_bytes(&item.name));
                    if !is_full {
                        folder.take();
                    }
                }
                Ok::<_, Errno>(())
            };
            match listed.await {
                Ok(()) => reply.ok(),
                Err(error) => reply.error(error),
            }
        });
    }

    fn readdirplus(
        &self,
        _: &Request,
        number: INodeNo,
        handle: FileHandle,
        offset: u64,
        mut reply: ReplyDirectoryPlus,
    ) {
        self.spawn(|files, open| async move {
            let listed = async {
                let folder = get(&open.folders, handle)?;
                let mut folder = folder.lock().await;
                let mut is_full = false;
                if offset < DOTS {
                    let (own, holds) = files.attributes(number).await?;
                    for (at, dot) in dots(offset) {
                        is_full = is_full || reply.add(number, at, dot, &holds, &own, GENERATION);
                    }
                }
                folder.seek(offset, &files).await?;
                while !is_full {
                    let Some((item, behind)) = folder.next(&files).await? else { break };
                    let (name, holds) = (OsStr::from_bytes(&item.name), item.found.holds);
                    let told = item.found.told(&files.nodes);
                    is_full = reply.add(told.ino, behind, name, &holds, &told, GENERATION);
                    match is_full {
                        // The kernel did not hear of it.
                        true => files.nodes.forget(told.ino, 1),
                        false => folder.take(),
                    }
                }
                Ok::<_, Errno>(())
            };
            match listed.await {
                Ok(()) => reply.ok(),
                Err(error) => reply.error(error),
            }
        });
    }

    fn releasedir(&self, _: &Request, _: INodeNo, handle: FileHandle, _: OpenFlags, reply: ReplyEmpty) {
        drop_from(&self.open.folders, handle);
        reply.ok();
    }

    fn statfs(&self, _: &Request, _: INodeNo, reply: ReplyStatfs) {
        self.spawn(|files, _| async move {
            let extent = files.extent().await;
            let blocks = extent.bytes.div_ceil(u64::from(BLOCK_BYTES));
            reply.statfs(blocks, 0, 0, extent.entries, 0, BLOCK_BYTES, NAME_BYTES_MAX, BLOCK_BYTES);
        });
    }

    fn getxattr(&self, _: &Request, number: INodeNo, name: &OsStr, size: u32, reply: ReplyXattr) {
        let name = name.as_bytes().to_vec();
        self.spawn(|files, _| async move {
            let value = files.extended(number).await.and_then(|all| {
                let own = all.into_iter().find(|(shown, _)| shown.as_bytes() == name);
                own.map(|(_, value)| value).ok_or(Errno::ENODATA)
            });
            extended(value, size, reply);
        });
    }

    fn listxattr(&self, _: &Request, number: INodeNo, size: u32, reply: ReplyXattr) {
        self.spawn(|files, _| async move {
            let names = files.extended(number).await.map(|all| {
                let ended = all.into_iter().map(|(name, _)| [name.as_bytes(), b"\0"].concat());
                ended.collect::<Vec<_>>().concat()
            });
            extended(names, size, reply);
        });
    }
}

/// What stands before a folder's own items, from an offset on.
fn dots(offset: u64) -> impl Iterator<Item = (u64, &'static str)> {
    [(1, "."), (DOTS, "..")].into_iter().filter(move |(at, _)| *at > offset)
}

/// The answer to a program that asks how long something is, or has so much room for it.
fn extended(value: Result<Vec<u8>, Errno>, room: u32, reply: ReplyXattr) {
    match value {
        Ok(value) => match u32::try_from(value.len()) {
            Ok(length) if room == 0 => reply.size(length),
            Ok(length) if length <= room => reply.data(&value),
            _ => reply.error(Errno::ERANGE),
        },
        Err(error) => reply.error(error),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicBool;
    use std::time::Duration;

    use super::*;

    #[test]
    fn an_answer_for_which_there_is_no_room_is_not_begun() {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).build().unwrap();
        let (room, begun) = (Arc::new(Semaphore::new(1)), Arc::new(AtomicBool::new(false)));
        let taken = Arc::clone(&room).try_acquire_owned().unwrap();
        std::thread::scope(|scope| {
            let (handle, room, begins) = (runtime.handle().clone(), Arc::clone(&room), Arc::clone(&begun));
            let waits = scope.spawn(move || {
                answer_in(&handle, &room, async move { begins.store(true, Ordering::SeqCst) });
            });
            std::thread::sleep(Duration::from_millis(50));
            assert!(!begun.load(Ordering::SeqCst), "what it has begun with nobody could get");
            drop(taken);
            waits.join().unwrap();
        });
        assert!(begun.load(Ordering::SeqCst));
        assert_eq!(room.available_permits(), 1);
    }
}
