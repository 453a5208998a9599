//! The process that is the disk: a FUSE file system with the one file `disk`, for a loop device.
//!
//! It has a mount namespace of its own. Were it to hold the file system that lies on the loop device, too, its death
//! would wait for an unmount that waits for the disk, for ever.
//!
//! Lines that it reads and answers are private to [`crate::rig`].
//!
//! Invariant: an fsync of that file, which is the loop device's flush, empties the cache; nothing else does.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, BufRead as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, UNIX_EPOCH};

use fuser::{
    Config, Errno, FileAttr, FileHandle, FileType, Filesystem, FopenFlags, Generation, INodeNo, LockOwner,
    MountOption, OpenFlags, ReplyAttr, ReplyData, ReplyDirectory, ReplyEmpty, ReplyEntry, ReplyOpen,
    ReplyWrite, Request, WriteFlags,
};

use crate::cache::{Disk, KeepPercent};

/// Name of the file.
pub(crate) const FILE: &str = "disk";
/// Begins each line that is an answer.
pub(crate) const ANSWER: &str = "disk: ";
pub(crate) const MOUNTPOINT: &str = "POWERCUT_DISK_MOUNTPOINT";
pub(crate) const SIZE: &str = "POWERCUT_DISK_SIZE";
pub(crate) const BASE: &str = "POWERCUT_DISK_BASE";

const FILE_INODE: INodeNo = INodeNo(2);
const FOREVER: Duration = Duration::from_hours(1);

/// Is the disk that [`crate::rig::Rig`] asked for in the environment, until standard input ends.
pub fn run_from_environment() -> io::Result<()> {
    let missing = || io::Error::other("only powercut_disk::rig starts this process");
    let mountpoint = std::env::var_os(MOUNTPOINT)
        .map(PathBuf::from)
        .ok_or_else(missing)?;
    let size = std::env::var(SIZE).ok().and_then(|size| size.parse().ok());
    let disk = match std::env::var_os(BASE) {
        Some(image) => Disk::from_image(fs::read(image)?, 0),
        None => Disk::new(size.ok_or_else(missing)?),
    };
    let disk = Arc::new(Mutex::new(disk));
    let mut config = Config::default();
    config.mount_options = vec![MountOption::FSName("powercut-disk".to_owned()), MountOption::RW];
    let _session = fuser::spawn_mount(Server { disk: disk.clone() }, &mountpoint, &config)?;
    answer("serving")?;
    for line in io::stdin().lock().lines() {
        answer(&obey(&disk, &line?))?;
    }
    Ok(())
}

/// In one write, on a line of its own: a test harness may have left an open line.
fn answer(text: &str) -> io::Result<()> {
    let mut output = io::stdout().lock();
    output.write_all(format!("\n{ANSWER}{text}\n").as_bytes())?;
    output.flush()
}

fn obey(disk: &Mutex<Disk>, line: &str) -> String {
    let words: Vec<&str> = line.splitn(5, ' ').collect();
    let ["cut", at_least, percent, seed, image] = words[..] else {
        return format!("error unknown command {line}");
    };
    let (Ok(at_least), Some(keep), Ok(seed)) = (
        at_least.parse::<usize>(),
        percent.parse().ok().and_then(KeepPercent::new),
        seed.parse(),
    ) else {
        return format!("error bad numbers in {line}");
    };
    let disk = lock(disk);
    if disk.unflushed() < at_least {
        return "idle".to_owned();
    }
    match File::create(image)
        .and_then(|mut file| disk.cut(&mut file, keep, &mut fastrand::Rng::with_seed(seed)))
    {
        Ok(cut) => format!(
            "cut {} {} {} {}",
            cut.unflushed, cut.kept, cut.flushes, cut.writes
        ),
        Err(error) => format!("error {error}"),
    }
}

fn lock(disk: &Mutex<Disk>) -> MutexGuard<'_, Disk> {
    disk.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Where the file is, for a process in another mount namespace.
pub(crate) fn file_of(server: u32, mountpoint: &Path) -> PathBuf {
    let inside = mountpoint.strip_prefix("/").unwrap_or(mountpoint);
    Path::new("/proc")
        .join(server.to_string())
        .join("root")
        .join(inside)
        .join(FILE)
}

struct Server {
    disk: Arc<Mutex<Disk>>,
}

impl Server {
    fn attributes(&self, inode: INodeNo) -> Option<FileAttr> {
        let (kind, perm, size) = match inode {
            INodeNo::ROOT => (FileType::Directory, 0o700, 0),
            FILE_INODE => (FileType::RegularFile, 0o600, lock(&self.disk).size() as u64),
            _ => return None,
        };
        Some(FileAttr {
            ino: inode,
            size,
            blocks: size / 512,
            atime: UNIX_EPOCH,
            mtime: UNIX_EPOCH,
            ctime: UNIX_EPOCH,
            crtime: UNIX_EPOCH,
            kind,
            perm,
            nlink: 1,
            uid: 0,
            gid: 0,
            rdev: 0,
            blksize: 4096,
            flags: 0,
        })
    }
}

impl Filesystem for Server {
    fn lookup(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        match self
            .attributes(FILE_INODE)
            .filter(|_| parent == INodeNo::ROOT && name == FILE)
        {
            Some(attributes) => reply.entry(&FOREVER, &attributes, Generation(0)),
            None => reply.error(Errno::ENOENT),
        }
    }

    fn getattr(&self, _: &Request, inode: INodeNo, _: Option<FileHandle>, reply: ReplyAttr) {
        match self.attributes(inode) {
            Some(attributes) => reply.attr(&FOREVER, &attributes),
            None => reply.error(Errno::ENOENT),
        }
    }

    fn readdir(&self, _: &Request, _: INodeNo, _: FileHandle, offset: u64, mut reply: ReplyDirectory) {
        let entries = [
            (INodeNo::ROOT, FileType::Directory, "."),
            (FILE_INODE, FileType::RegularFile, FILE),
        ];
        for (next, (inode, kind, name)) in (1..)
            .zip(entries)
            .skip(usize::try_from(offset).unwrap_or(usize::MAX))
        {
            if reply.add(inode, next, kind, name) {
                break;
            }
        }
        reply.ok();
    }

    fn open(&self, _: &Request, _: INodeNo, _: OpenFlags, reply: ReplyOpen) {
        reply.opened(FileHandle(0), FopenFlags::FOPEN_KEEP_CACHE);
    }

    fn read(
        &self,
        _: &Request,
        _: INodeNo,
        _: FileHandle,
        offset: u64,
        size: u32,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyData,
    ) {
        let bytes = lock(&self.disk).read(usize::try_from(offset).unwrap_or(usize::MAX), size as usize);
        reply.data(&bytes);
    }

    fn write(
        &self,
        _: &Request,
        _: INodeNo,
        _: FileHandle,
        offset: u64,
        bytes: &[u8],
        _: WriteFlags,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        match lock(&self.disk).write(usize::try_from(offset).unwrap_or(usize::MAX), bytes) {
            0 if !bytes.is_empty() => reply.error(Errno::ENOSPC),
            taken => reply.written(taken as u32),
        }
    }

    fn flush(&self, _: &Request, _: INodeNo, _: FileHandle, _: LockOwner, reply: ReplyEmpty) {
        reply.ok(); // a close, not a flush of the disk
    }

    fn fsync(&self, _: &Request, _: INodeNo, _: FileHandle, _: bool, reply: ReplyEmpty) {
        lock(&self.disk).flush();
        reply.ok();
    }
}
