//! Files and folders that only their owner may see.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::path::Path;

use zeroize::Zeroizing;

use crate::error::{StoreError, at};

/// Makes a folder, and those it lies in, for the owner alone. What exists stays as it is.
pub(crate) fn create_dir_all(path: &Path) -> Result<(), StoreError> {
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path).map_err(at(path))
}

/// Makes a folder that must not exist, for the owner alone.
pub(crate) fn create_dir(path: &Path) -> Result<(), StoreError> {
    let mut builder = DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path).map_err(at(path))
}

/// Options for a file that is the owner's alone if it is made.
pub(crate) fn options() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true).write(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

/// Writes a file that must not exist, and waits for the disk.
pub(crate) fn write_new(path: &Path, content: &[u8]) -> Result<(), StoreError> {
    let mut file = options().create_new(true).open(path).map_err(at(path))?;
    file.write_all(content).and_then(|()| file.sync_all()).map_err(at(path))
}

/// Reads a file of at most `len_max` bytes. `None`: it has more.
pub(crate) fn read(path: &Path, len_max: u64) -> io::Result<Option<Zeroizing<Vec<u8>>>> {
    let file = File::open(path)?;
    let len = file.metadata()?.len();
    if len > len_max {
        return Ok(None);
    }
    let capacity = usize::try_from(len).unwrap_or(0).saturating_add(1);
    let mut bytes = Zeroizing::new(Vec::with_capacity(capacity));
    file.take(len_max.saturating_add(1)).read_to_end(&mut bytes)?;
    Ok((bytes.len() as u64 <= len_max).then_some(bytes))
}

/// Waits until the names in a folder are on the disk. Only Unix can.
pub(crate) fn sync_dir(path: &Path) -> Result<(), StoreError> {
    #[cfg(unix)]
    File::open(path).and_then(|dir| dir.sync_all()).map_err(at(path))?;
    #[cfg(not(unix))]
    let _ = path;
    Ok(())
}

/// Removes a file if it exists.
pub(crate) fn remove_file(path: &Path) -> Result<(), StoreError> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(at(path)(error)),
        _ => Ok(()),
    }
}

/// What others may not do.
#[derive(Clone, Copy)]
pub(crate) enum Kept {
    /// Neither read nor change the file.
    Secret,
    /// Change the file.
    Public,
    /// Put other files into the folder.
    Folder,
}

/// Refuses what others may read or change. On systems without modes everything passes.
pub(crate) fn check(path: &Path, kept: Kept) -> Result<(), StoreError> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = std::fs::metadata(path).map_err(at(path))?.permissions().mode() & 0o777;
        let (forbidden, remedy) = match kept {
            Kept::Secret => (0o077, 0o600),
            Kept::Public => (0o022, 0o600),
            Kept::Folder => (0o022, 0o700),
        };
        if mode & forbidden != 0 {
            return Err(StoreError::Exposed { path: path.to_owned(), mode, remedy });
        }
    }
    #[cfg(not(unix))]
    let _ = (path, kept);
    Ok(())
}
