//! Opening: the lock of the folder, the format marker, and recovery of a damaged database.
//!
//! ```text
//! lock                           held while the store is open; the holder's process id
//! FORMAT                         "yurthub-store <version> <engine>"
//! SUSPECT                        the database was found damaged while in use
//! store.sqlite | store.sled/     the database
//! store.….rebuild                a recovery that is under way
//! store.….corrupt-<unix time>    a damaged database, set aside (the last two are kept)
//! ```
//!
//! Invariant: the damaged database is moved only when all that can be read of it is durable in its successor.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::ops::ControlFlow;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};

use crate::durable_file;
use crate::engine::{
    Engine, EngineError, EngineKind, Fault, Op, memory::MemoryEngine, sled as sled_engine,
    sqlite as sqlite_engine,
};
use crate::envelope;
use crate::quarantine::QUARANTINE;
use crate::store::{DATA, with_sources};

/// The version of the layout that this code writes, and the newest that it reads.
pub const FORMAT_VERSION: u32 = 1;
/// Damaged databases kept for a look by a person.
const KEPT_COPIES: usize = 2;
/// One commit of a rebuild.
const REBUILD_BYTES: usize = 1 << 20;

/// What opening found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OpenReport {
    /// The folder held no store.
    Fresh,
    /// The database is whole. Single values may still be corrupt.
    Clean,
    /// The database was damaged and has been replaced by what could be read of it.
    Recovered {
        /// Entries kept.
        salvaged: u64,
        /// What is missing.
        lost: Lost,
        /// Where the damaged database is now, if there was one.
        moved_to: Option<PathBuf>,
        /// What was wrong.
        cause: String,
    },
}

/// What a recovery could not bring back. A key that is absent afterwards may have been lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lost {
    /// All entries.
    Everything,
    /// So many entries are known to be damaged; any number may be gone without a trace.
    AtLeast(u64),
}

/// The store could not be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// Another process has it open.
    #[error("the store {} is in use{}: stop the other yurthub, or give this one a folder of its own", dir.display(), pid.map(|pid| format!(" by process {pid}")).unwrap_or_default())]
    Locked {
        /// The folder.
        dir: PathBuf,
        /// The holder, if it could be told.
        pid: Option<u32>,
    },
    /// Written by a newer version. Nothing was touched.
    #[error("the store {} has format {found}, this yurthub knows up to {FORMAT_VERSION}: use the newer yurthub, or move the folder aside to start empty", dir.display())]
    NewerFormat {
        /// The folder.
        dir: PathBuf,
        /// Its format.
        found: u32,
    },
    /// Written by another engine. Nothing was touched.
    #[error("the store {} was written by engine {found}, not {asked}: configure {found}, or move the folder aside to start empty", dir.display())]
    OtherEngine {
        /// The folder.
        dir: PathBuf,
        /// Its engine.
        found: EngineKind,
        /// The engine asked for.
        asked: EngineKind,
    },
    /// A file operation failed.
    #[error("failed to {action} {}", path.display())]
    Io {
        /// What was being done.
        action: &'static str,
        /// To what.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The database could not be opened, for a reason that recovery does not help with (a full disk, say).
    #[error("failed to open the store {}", dir.display())]
    Engine {
        /// The folder.
        dir: PathBuf,
        /// Why.
        source: EngineError,
    },
    /// The store could not be started over its opened database.
    #[error("failed to start the store")]
    Start(#[source] EngineError),
}

/// The opened database and what came with it.
pub(crate) struct Opened {
    pub(crate) engine: Box<dyn Engine>,
    pub(crate) guarded: Guarded,
    pub(crate) report: OpenReport,
}

/// The locked folder. Unlocks when dropped.
#[derive(Debug)]
pub(crate) struct Guarded {
    dir: PathBuf,
    _lock: File,
}

impl Guarded {
    /// Asks for a check and rebuild at the next open.
    pub(crate) fn mark_suspect(&self) {
        if let Err(error) = durable_file::replace(&self.dir.join("SUSPECT"), b"") {
            tracing::warn!(%error, "failed to mark the store as suspect");
        }
    }
}

fn io_failed<'a>(action: &'static str, path: &'a Path) -> impl FnOnce(io::Error) -> OpenError + 'a {
    move |source| OpenError::Io {
        action,
        path: path.to_owned(),
        source,
    }
}

pub(crate) fn open(dir: &Path, kind: EngineKind, unix_time: u64) -> Result<Opened, OpenError> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(dir)
        .map_err(io_failed("create", dir))?;
    let guarded = lock(dir)?;
    let marker = read_format(dir, kind)?;
    if kind == EngineKind::Memory {
        return Ok(Opened {
            engine: Box::new(MemoryEngine::default()),
            guarded,
            report: OpenReport::Fresh,
        });
    }
    let place = Place {
        dir,
        kind,
        main: dir.join(format!("store.{kind}")),
    };
    let (engine, report) = place.open(marker == Marker::Known, unix_time)?;
    if marker != Marker::Known {
        let path = dir.join("FORMAT");
        let content = format!("yurthub-store {FORMAT_VERSION} {kind}\n");
        durable_file::replace(&path, content.as_bytes()).map_err(io_failed("write", &path))?;
    }
    if let Err(error) = fs::remove_file(dir.join("SUSPECT"))
        && error.kind() != io::ErrorKind::NotFound
    {
        tracing::warn!(%error, "failed to remove the mark of a suspect store");
    }
    Ok(Opened {
        engine,
        guarded,
        report,
    })
}

fn lock(dir: &Path) -> Result<Guarded, OpenError> {
    let path = dir.join("lock");
    let mut options = OpenOptions::new();
    options
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600);
    let mut file = options.open(&path).map_err(io_failed("open", &path))?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => {}
        Err(rustix::io::Errno::WOULDBLOCK) => {
            let mut holder = String::new();
            let pid = file
                .read_to_string(&mut holder)
                .ok()
                .and_then(|_| holder.trim().parse().ok());
            return Err(OpenError::Locked {
                dir: dir.to_owned(),
                pid,
            });
        }
        Err(error) => return Err(io_failed("lock", &path)(error.into())),
    }
    // The number only helps a person: a full disk must not keep the store from opening.
    if let Err(error) = file
        .set_len(0)
        .and_then(|()| writeln!(file, "{}", std::process::id()))
    {
        tracing::warn!(%error, "failed to note the process id in the store's lock");
    }
    Ok(Guarded {
        dir: dir.to_owned(),
        _lock: file,
    })
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Marker {
    Missing,
    Damaged,
    Known,
}

fn read_format(dir: &Path, asked: EngineKind) -> Result<Marker, OpenError> {
    let path = dir.join("FORMAT");
    let content = match fs::read(&path) {
        Ok(content) => content,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Marker::Missing),
        Err(error) => return Err(io_failed("read", &path)(error)),
    };
    let text = String::from_utf8_lossy(&content);
    let mut words = text.split_ascii_whitespace();
    let (Some("yurthub-store"), Some(version)) =
        (words.next(), words.next().and_then(|word| word.parse().ok()))
    else {
        return Ok(Marker::Damaged);
    };
    if version > FORMAT_VERSION {
        return Err(OpenError::NewerFormat {
            dir: dir.to_owned(),
            found: version,
        });
    }
    match words.next().map(str::parse::<EngineKind>) {
        Some(Ok(found)) if found != asked => Err(OpenError::OtherEngine {
            dir: dir.to_owned(),
            found,
            asked,
        }),
        Some(Ok(_)) => Ok(Marker::Known),
        _ => Ok(Marker::Damaged),
    }
}

/// Where a database of some engine lies.
struct Place<'a> {
    dir: &'a Path,
    kind: EngineKind,
    main: PathBuf,
}

impl Place<'_> {
    fn open(&self, known: bool, unix_time: u64) -> Result<(Box<dyn Engine>, OpenReport), OpenError> {
        let rebuilt = with_suffix(&self.main, ".rebuild");
        if !self.main.exists() && rebuilt.exists() {
            // A recovery was interrupted after its last commit, between the two renames. The log of the damaged
            // database must not be replayed into its successor.
            self.remove(&self.main)?;
            self.rename(&rebuilt, &self.main)?;
            let lost = Lost::AtLeast(0);
            let report = OpenReport::Recovered {
                salvaged: 0,
                lost,
                moved_to: None,
                cause: "recovery resumed".into(),
            };
            return Ok((self.open_at(&self.main)?, report));
        }
        self.remove(&rebuilt)?;
        if let Some(cause) = self.cause_before_opening(known) {
            return self.recover(&cause, unix_time);
        }
        let existed = self.main.exists(); // a lost or damaged marker does not make it a new one
        match self.open_engine(&self.main) {
            Ok(engine) => Ok((
                engine,
                if known || existed {
                    OpenReport::Clean
                } else {
                    OpenReport::Fresh
                },
            )),
            Err(error) if error.fault == Fault::Corrupt => self.recover(&with_sources(&error), unix_time),
            Err(source) => Err(OpenError::Engine {
                dir: self.dir.to_owned(),
                source,
            }),
        }
    }

    /// An engine takes a missing or empty database for a new one; the marker knows better.
    fn cause_before_opening(&self, known: bool) -> Option<String> {
        let empty = self
            .main
            .metadata()
            .is_ok_and(|meta| meta.is_file() && meta.len() == 0);
        if known && !self.main.exists() {
            Some("the database is missing".to_owned())
        } else if known && empty {
            Some("the database is empty".to_owned())
        } else if self.kind == EngineKind::Sled && self.dir.join("SUSPECT").exists() {
            Some("the database was found damaged while in use".to_owned())
        } else {
            None
        }
    }

    fn open_engine(&self, path: &Path) -> Result<Box<dyn Engine>, EngineError> {
        Ok(match self.kind {
            EngineKind::Sqlite => Box::new(sqlite_engine::SqliteEngine::open(path)?),
            EngineKind::Sled => Box::new(sled_engine::SledEngine::open(path)?),
            EngineKind::Memory => Box::new(MemoryEngine::default()),
        })
    }

    fn open_at(&self, path: &Path) -> Result<Box<dyn Engine>, OpenError> {
        self.open_engine(path).map_err(|source| OpenError::Engine {
            dir: self.dir.to_owned(),
            source,
        })
    }

    fn recover(&self, cause: &str, unix_time: u64) -> Result<(Box<dyn Engine>, OpenReport), OpenError> {
        tracing::error!(cause, dir = %self.dir.display(), "the store is damaged; keeping what can be read");
        self.drop_old_copies()?;
        let rebuilt = with_suffix(&self.main, ".rebuild");
        let (salvaged, lost) = {
            let fresh = self.open_at(&rebuilt)?;
            self.salvage_into(fresh.as_ref())?
        };
        self.require_folded(&rebuilt)?;
        let moved_to = self.set_aside(unix_time)?;
        self.rename(&rebuilt, &self.main)?;
        let report = OpenReport::Recovered {
            salvaged,
            lost,
            moved_to,
            cause: cause.to_owned(),
        };
        tracing::warn!(?report, "the store was recovered");
        Ok((self.open_at(&self.main)?, report))
    }

    fn salvage_into(&self, fresh: &dyn Engine) -> Result<(u64, Lost), OpenError> {
        let (mut salvaged, mut damaged) = (0, 0);
        let (mut ops, mut bytes) = (Vec::new(), 0);
        let mut failed = None;
        let mut visit = |stored_key: &[u8], value: &[u8]| {
            let Some((&namespace, key)) = stored_key.split_first() else {
                return ControlFlow::Continue(());
            };
            match namespace {
                DATA if envelope::is_whole(key, value) => salvaged += 1,
                DATA => damaged += 1, // kept, so that it reads as corrupt and not as absent
                QUARANTINE => {}
                _ => return ControlFlow::Continue(()),
            }
            bytes += stored_key.len() + value.len();
            ops.push(Op::Put(stored_key.to_vec(), value.to_vec()));
            if bytes > REBUILD_BYTES {
                bytes = 0;
                if let Err(error) = fresh.commit(&std::mem::take(&mut ops)) {
                    failed = Some(error);
                    return ControlFlow::Break(());
                }
            }
            ControlFlow::Continue(())
        };
        if self.main.exists() {
            match self.kind {
                EngineKind::Sqlite => sqlite_engine::salvage(&self.main, &mut visit),
                EngineKind::Sled => sled_engine::salvage(&self.main, &mut visit),
                EngineKind::Memory => {}
            }
        }
        let finished = failed.map_or_else(|| fresh.commit(&ops), Err);
        finished.map_err(|source| OpenError::Engine {
            dir: self.dir.to_owned(),
            source,
        })?;
        let lost = if salvaged == 0 {
            Lost::Everything
        } else {
            Lost::AtLeast(damaged)
        };
        Ok((salvaged, lost))
    }

    fn set_aside(&self, unix_time: u64) -> Result<Option<PathBuf>, OpenError> {
        if !self.files(&self.main).iter().any(|file| file.exists()) {
            return Ok(None);
        }
        let mut aside = with_suffix(&self.main, &format!(".corrupt-{unix_time}"));
        let mut again = 0;
        while self.files(&aside).iter().any(|file| file.exists()) {
            again += 1;
            aside = with_suffix(&self.main, &format!(".corrupt-{unix_time}-{again}"));
        }
        self.rename(&self.main, &aside)?;
        Ok(Some(aside))
    }

    fn drop_old_copies(&self) -> Result<(), OpenError> {
        let entries = fs::read_dir(self.dir).map_err(io_failed("list", self.dir))?;
        let prefix = format!("store.{}.corrupt-", self.kind);
        let is_copy =
            |name: &str| name.starts_with(&prefix) && !name.ends_with("-wal") && !name.ends_with("-shm");
        let mut copies: Vec<PathBuf> = entries
            .filter_map(Result::ok)
            .filter(|entry| entry.file_name().to_str().is_some_and(is_copy))
            .map(|entry| entry.path())
            .collect();
        copies.sort();
        let old = copies.len().saturating_sub(KEPT_COPIES - 1);
        copies.iter().take(old).try_for_each(|copy| self.remove(copy))
    }

    fn files(&self, path: &Path) -> Vec<PathBuf> {
        match self.kind {
            EngineKind::Sqlite => sqlite_engine::files(path).to_vec(),
            EngineKind::Sled | EngineKind::Memory => vec![path.to_owned()],
        }
    }

    /// A database about to be renamed must be one file: two renames are not atomic.
    fn require_folded(&self, path: &Path) -> Result<(), OpenError> {
        match self.files(path).get(1).filter(|log| log.exists()) {
            Some(log) => Err(io_failed("fold into the database", log)(
                io::ErrorKind::StorageFull.into(),
            )),
            None => Ok(()),
        }
    }

    /// The main file goes first: while its name is there, its log is, too.
    fn rename(&self, from: &Path, to: &Path) -> Result<(), OpenError> {
        for (from, to) in self.files(from).iter().zip(self.files(to)) {
            match fs::rename(from, to) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(io_failed("rename", from)(error));
                }
                _ => {}
            }
        }
        durable_file::sync_dir(self.dir).map_err(io_failed("sync", self.dir))
    }

    fn remove(&self, path: &Path) -> Result<(), OpenError> {
        for file in self.files(path) {
            let removed = if file.is_dir() {
                fs::remove_dir_all(&file)
            } else {
                fs::remove_file(&file)
            };
            match removed {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(io_failed("remove", &file)(error));
                }
                _ => {}
            }
        }
        Ok(())
    }
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}
