//! Files that come in chunks. A chunk is a line of JSON and the bytes.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, OpenOptions};
use std::io::{Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};
use nym_client::protocol::Delivered;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// Bytes of a file in each of its chunks but the last.
pub const CHUNK: u64 = 32 * 1024;
/// Bytes of one file.
const FILE_MAX: u64 = 1 << 30;
/// Files at a time.
const OPEN_MAX: usize = 16;

/// What a chunk is part of, and where.
#[derive(Clone, Serialize, Deserialize, Debug)]
pub struct Header {
    /// The name of the file.
    pub file: String,
    /// The bytes of the file.
    pub size: u64,
    /// The SHA-256 of the file in lower-case hexadecimal.
    pub sha256: String,
    /// Where in the file the chunk is.
    pub offset: u64,
}

/// What the receiver answers in the end.
#[derive(Serialize, Deserialize, Debug)]
pub struct Answer {
    /// The SHA-256 the sender has stated.
    pub sha256: String,
    /// True if the file has arrived and has it.
    pub complete: bool,
}

/// The SHA-256 in lower-case hexadecimal.
#[must_use]
pub fn sha256(content: &[u8]) -> String {
    hex::encode(Sha256::digest(content))
}

/// The files of which chunks are missing.
#[derive(Debug)]
pub struct Incoming {
    folder: PathBuf,
    missing: BTreeMap<PathBuf, BTreeSet<u64>>,
}

impl Incoming {
    /// Nothing has come yet. The folder is made if it is not there.
    ///
    /// # Errors
    /// It cannot be made.
    pub fn new(folder: &Path) -> anyhow::Result<Self> {
        fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
        Ok(Self { folder: folder.to_owned(), missing: BTreeMap::new() })
    }

    /// Writes a chunk. The header of the last one, and what to answer, if the file is complete.
    ///
    /// # Errors
    /// Senders are strangers: the message is no chunk, or wants what it must not.
    pub fn take(&mut self, message: &Delivered) -> anyhow::Result<Option<(Header, Answer)>> {
        let tag = message.tag.context("nobody can be answered")?;
        let end = message.data.iter().position(|&byte| byte == b'\n').context("no line")?;
        let (line, data) = message.data.split_at(end);
        let data = data.get(1..).unwrap_or_default();
        let header: Header = serde_json::from_slice(line)?;
        let Header { file, size, sha256: hash, offset } = &header;
        let is_bad = |c: char| "/\\:".contains(c) || c.is_control();
        ensure!(!file.is_empty() && file.chars().count() <= 100, "bad name");
        ensure!(!file.starts_with('.') && !file.contains(is_bad), "bad name");
        let is_hash = hex::decode(hash).is_ok_and(|bytes| bytes.len() == 32);
        ensure!(*size <= FILE_MAX && is_hash, "bad size");
        ensure!(
            Some(data.len() as u64) == size.checked_sub(*offset).map(|rest| rest.min(CHUNK)),
            "bad chunk"
        );

        let part = self.folder.join(format!(".{hash}-{}.part", hex::encode(tag.as_bytes())));
        if !self.missing.contains_key(&part) {
            ensure!(self.missing.len() < OPEN_MAX, "too many files at a time");
            let offsets = (0..(*size).max(1)).step_by(CHUNK as usize).collect();
            self.missing.insert(part.clone(), offsets);
        }
        let missing = self.missing.get_mut(&part).context("no such file")?;
        ensure!(missing.remove(offset), "bad offset");
        let mut chunks = OpenOptions::new().create(true).truncate(false).write(true).open(&part)?;
        chunks.seek(SeekFrom::Start(*offset))?;
        chunks.write_all(data)?;
        if !missing.is_empty() {
            return Ok(None);
        }
        self.missing.remove(&part);
        let complete = sha256(&fs::read(&part)?) == *hash;
        let mut target = self.folder.join(file);
        if target.exists() {
            // never over another file
            target = self.folder.join(format!("{}-{file}", hash.get(..8).unwrap_or_default()));
        }
        if complete {
            fs::rename(&part, target)?
        } else {
            fs::remove_file(&part)?
        }
        let answer = Answer { sha256: hash.clone(), complete };
        Ok(Some((header, answer)))
    }
}
