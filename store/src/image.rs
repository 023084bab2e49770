//! The content of a database file in memory, so that to look at it changes nothing on the disk.

use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};

use redb::StorageBackend;
use zeroize::Zeroizing;

/// Bytes that redb reads and repairs as if they were a file.
pub(crate) struct Image(Mutex<Zeroizing<Vec<u8>>>);

impl Image {
    pub(crate) const fn new(bytes: Zeroizing<Vec<u8>>) -> Self {
        Self(Mutex::new(bytes))
    }

    fn bytes(&self) -> MutexGuard<'_, Zeroizing<Vec<u8>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The range of `len` bytes from `offset` on.
fn range(offset: u64, len: usize) -> io::Result<std::ops::Range<usize>> {
    let start = usize::try_from(offset).map_err(|_| beyond_end())?;
    let end = start.checked_add(len).ok_or_else(beyond_end)?;
    Ok(start..end)
}

fn beyond_end() -> io::Error {
    io::Error::new(io::ErrorKind::UnexpectedEof, "beyond the end of the file")
}

impl StorageBackend for Image {
    fn len(&self) -> io::Result<u64> {
        Ok(self.bytes().len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let bytes = self.bytes();
        let found = bytes.get(range(offset, out.len())?).ok_or_else(beyond_end)?;
        out.copy_from_slice(found);
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        if len > crate::database::FILE_MAX {
            return Err(io::ErrorKind::OutOfMemory.into());
        }
        self.bytes().resize(range(len, 0)?.end, 0);
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let mut bytes = self.bytes();
        let place = bytes.get_mut(range(offset, data.len())?).ok_or_else(beyond_end)?;
        place.copy_from_slice(data);
        Ok(())
    }
}

impl std::fmt::Debug for Image {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Image(<{} bytes redacted>)", self.bytes().len())
    }
}
