//! A store in one file, to which changes are appended.
//!
//! ```text
//! file    magic (8) ‖ records
//! record  length of the content (4) ‖ CRC-32 of the content (4) ‖ content
//! content changes: 0 ‖ key length (2) ‖ key                                  erased
//!                  1 ‖ key length (2) ‖ key ‖ value length (4) ‖ value       put
//! ```
//!
//! Numbers are big-endian. One record is one call of [`Store::apply`], so it counts whole or not at
//! all. A record cut short by a crash ends the file.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use nym_proto::client::{Change, MemoryStore, State};
use thiserror::Error;
use zeroize::Zeroizing;

use super::Store;

const MAGIC: &[u8; 8] = b"nymkept1";
const RECORD_HEAD: usize = 8;
/// The file is rewritten when it is more than twice as large as what it holds, and this more.
const SLACK: u64 = 1 << 16;
/// Largest file that is read.
const FILE_MAX: u64 = 1 << 30;

/// Why a file cannot be used as a store.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum OpenError {
    /// It cannot be read or written.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// Another process has it open. Two clients with one identity take each other's messages.
    #[error("another process uses the file")]
    InUse,
    /// It is something else.
    #[error("the file is not the kept state of a client")]
    Foreign,
    /// It is larger than any client makes it.
    #[error("the file has {0} bytes, more than any client keeps")]
    TooLarge(u64),
}

/// A [`Store`] in an append-only file, which only its owner may read (on Unix).
///
/// Changes are handed to the operating system before [`apply`](Store::apply) returns, so they
/// survive a crash of the process. To wait for the disk as well, which only matters when the power
/// fails, would delay the next frame by a time an observer of the link could measure, and only when
/// there is something to keep; [`sync`](Self::sync) does it at a time of the caller's choice.
#[derive(Debug)]
pub struct FileStore {
    path: PathBuf,
    file: File,
    /// Bytes of the file that are good.
    len: u64,
    kept: MemoryStore,
    damaged: usize,
}

impl FileStore {
    /// Opens or creates the file. A torn end is cut off, and a file that holds mostly what is no
    /// longer needed is rewritten, at once or not at all.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub fn open(path: impl Into<PathBuf>) -> Result<Self, OpenError> {
        let path = path.into();
        let mut file = open_private(&path)?;
        file.try_lock().map_err(|error| match error {
            std::fs::TryLockError::WouldBlock => OpenError::InUse,
            std::fs::TryLockError::Error(error) => OpenError::Io(error),
        })?;
        let size = file.metadata()?.len();
        if size > FILE_MAX {
            return Err(OpenError::TooLarge(size));
        }
        let mut bytes = Zeroizing::new(Vec::with_capacity(usize::try_from(size).unwrap_or(0)));
        file.read_to_end(&mut bytes)?;
        if bytes.len() < MAGIC.len() && MAGIC.starts_with(&bytes) {
            bytes.clear();
            bytes.extend_from_slice(MAGIC);
            file.set_len(0)?;
            file.rewind()?;
            file.write_all(MAGIC)?;
        }
        let Some(records) = bytes.strip_prefix(MAGIC) else {
            return Err(OpenError::Foreign);
        };
        let mut kept = MemoryStore::new();
        let (good, damaged) = replay(records, &mut kept);
        let len = (MAGIC.len() + good) as u64;
        file.set_len(len)?;
        file.seek(SeekFrom::Start(len))?;
        let mut store = Self { path, file, len, kept, damaged };
        store.tidy()?;
        Ok(store)
    }

    /// What the file holds, for [`Config::state`](nym_proto::client::Config::state).
    #[must_use]
    pub fn state(&self) -> State {
        self.kept.state()
    }

    /// Records that were damaged and skipped when the file was opened.
    #[must_use]
    pub const fn damaged(&self) -> usize {
        self.damaged
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Waits until everything is on the disk.
    ///
    /// # Errors
    /// Those of the operating system.
    pub fn sync(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    fn append(&mut self, record: &[u8]) -> io::Result<()> {
        if let Err(error) = self.file.write_all(record) {
            // what comes next must not stand behind half a record
            self.file.set_len(self.len)?;
            self.file.seek(SeekFrom::Start(self.len))?;
            return Err(error);
        }
        self.len += record.len() as u64;
        Ok(())
    }

    /// Rewrites the file if most of it is of no use.
    fn tidy(&mut self) -> io::Result<()> {
        let live: usize = self.kept.iter().map(|(k, v)| k.len() + v.len() + 7).sum();
        if self.len <= 2 * live as u64 + SLACK {
            return Ok(());
        }
        let mut bytes = Zeroizing::new(Vec::with_capacity(MAGIC.len() + RECORD_HEAD + live));
        bytes.extend_from_slice(MAGIC);
        append_record(&mut bytes, self.kept.iter().map(|(key, value)| (key, Some(value))))?;
        let mut name = self.path.clone().into_os_string();
        name.push(".new");
        let temporary = PathBuf::from(name);
        match std::fs::remove_file(&temporary) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut file = open_private(&temporary)?;
        file.try_lock()?;
        file.write_all(&bytes)?;
        file.sync_all()?;
        std::fs::rename(&temporary, &self.path)?;
        self.file = file;
        self.len = bytes.len() as u64;
        Ok(())
    }
}

impl Store for FileStore {
    fn apply(&mut self, changes: &[Change]) -> io::Result<()> {
        let size = changes.iter().map(|c| c.key().len() + c.value().map_or(0, <[u8]>::len) + 7);
        let mut record = Zeroizing::new(Vec::with_capacity(RECORD_HEAD + size.sum::<usize>()));
        append_record(&mut record, changes.iter().map(|c| (c.key(), c.value())))?;
        self.append(&record)?;
        self.kept.apply(changes);
        self.tidy()
    }
}

fn open_private(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

fn append_record<'a>(
    out: &mut Vec<u8>,
    changes: impl Iterator<Item = (&'a [u8], Option<&'a [u8]>)>,
) -> io::Result<()> {
    let too_long = |_| io::Error::new(io::ErrorKind::InvalidInput, "too long");
    let start = out.len();
    out.extend_from_slice(&[0; RECORD_HEAD]);
    for (key, value) in changes {
        out.push(u8::from(value.is_some()));
        out.extend_from_slice(&u16::try_from(key.len()).map_err(too_long)?.to_be_bytes());
        out.extend_from_slice(key);
        if let Some(value) = value {
            out.extend_from_slice(&u32::try_from(value.len()).map_err(too_long)?.to_be_bytes());
            out.extend_from_slice(value);
        }
    }
    let content = start + RECORD_HEAD;
    let len = u32::try_from(out.len() - content).map_err(too_long)?;
    let crc = crc32(&out[content..]);
    out[start..start + 4].copy_from_slice(&len.to_be_bytes());
    out[start + 4..content].copy_from_slice(&crc.to_be_bytes());
    Ok(())
}

/// Carries out all records. Returns how many bytes are whole records, and how many of those were
/// damaged and skipped.
fn replay(bytes: &[u8], kept: &mut MemoryStore) -> (usize, usize) {
    let (mut rest, mut damaged, mut good, mut skipped) = (bytes, 0, 0, 0);
    while let Some((content, crc, next)) = next_record(rest) {
        rest = next;
        match changes(content).filter(|_| crc32(content) == crc) {
            Some(changes) => {
                kept.apply(&changes);
                // damage before a good record is no torn end
                damaged += std::mem::take(&mut skipped);
                good = bytes.len() - rest.len();
            }
            None => skipped += 1,
        }
    }
    (good, damaged)
}

fn next_record(bytes: &[u8]) -> Option<(&[u8], u32, &[u8])> {
    let (len, rest) = bytes.split_first_chunk::<4>()?;
    let (crc, rest) = rest.split_first_chunk::<4>()?;
    let len = usize::try_from(u32::from_be_bytes(*len)).ok()?;
    let (content, rest) = rest.split_at_checked(len)?;
    Some((content, u32::from_be_bytes(*crc), rest))
}

fn changes(mut content: &[u8]) -> Option<Vec<Change>> {
    let mut changes = Vec::new();
    while let Some((&kind, rest)) = content.split_first() {
        let (len, rest) = rest.split_first_chunk::<2>()?;
        let (key, rest) = rest.split_at_checked(u16::from_be_bytes(*len).into())?;
        content = rest;
        if kind == 0 {
            changes.push(Change::erase(key));
            continue;
        }
        let (len, rest) = rest.split_first_chunk::<4>()?;
        let len = usize::try_from(u32::from_be_bytes(*len)).ok()?;
        let (value, rest) = rest.split_at_checked(len)?;
        changes.push(Change::put(key, value.to_vec()));
        content = rest;
    }
    Some(changes)
}

/// The CRC of Ethernet and zip.
fn crc32(bytes: &[u8]) -> u32 {
    let step = |crc: u32, byte: &u8| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| (crc >> 1) ^ (0xedb8_8320 * (crc & 1)))
    };
    !bytes.iter().fold(!0, step)
}

#[cfg(test)]
#[path = "file_tests.rs"]
mod tests;
