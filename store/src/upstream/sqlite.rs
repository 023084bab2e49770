//! Reading an SQLite file that nobody vouches for: nothing is written, and what it can make the reader
//! do is bounded.

use std::fmt::Write as _;
use std::io;
use std::path::{Path, PathBuf};

use rusqlite::config::DbConfig;
use rusqlite::limits::Limit;
use rusqlite::{Connection, OpenFlags, Row};
use thiserror::Error;

use crate::private;

/// Largest file that is read, and largest log beside it, in bytes. Upstream clients have some MB.
const FILE_MAX: u64 = 256 << 20;
/// Longest value or row, in bytes. A SURB has at most 1356.
const VALUE_MAX: i32 = 1 << 16;
/// Memory that SQLite may take, in bytes.
const HEAP_MAX: u32 = 64 << 20;
/// Most rows that are read of a table.
pub(super) const ROWS_MAX: usize = 100_000;
/// Steps of SQLite's machine between two looks at how many there were.
const STEPS: i32 = 1000;
/// Most looks in all.
const LOOKS_MAX: u32 = 20_000;

/// Why a database cannot be read.
#[derive(Debug, Error)]
pub(super) enum SourceError {
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error("the file has {0} bytes, more than any client makes")]
    TooLarge(u64),
    #[error("not the expected SQLite database ({0})")]
    Sqlite(#[from] rusqlite::Error),
}

/// A database that is only read.
pub(super) struct Source(Connection);

impl Source {
    /// Opens the file. `None`: it does not exist. If there is a log beside it, which to apply would
    /// write to the folder, both are copied to `scratch`.
    pub(super) fn open(path: &Path, scratch: &Path) -> Result<Option<Self>, SourceError> {
        let size = match path.metadata() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error.into()),
            Ok(metadata) => metadata.len(),
        };
        if size > FILE_MAX {
            return Err(SourceError::TooLarge(size));
        }
        let logs = ["-wal", "-journal"].map(|end| (beside(path, end), end));
        let has_log = |(log, _): &&(PathBuf, &str)| log.metadata().is_ok_and(|log| log.len() > 0);
        let mut db = match logs.iter().find(has_log) {
            None => Connection::open_with_flags(
                immutable_uri(path),
                OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI,
            )?,
            Some((log, end)) => {
                let copy = scratch.join("copy");
                private::remove_file(&copy).and_then(|()| copy_file(path, &copy))?;
                copy_file(log, &beside(&copy, end))?;
                Connection::open_with_flags(&copy, OpenFlags::SQLITE_OPEN_READ_WRITE)?
            }
        };
        restrict(&mut db)?;
        // the first statement that reads the file
        db.query_row("SELECT count(*) FROM sqlite_schema", (), |_| Ok(()))?;
        Ok(Some(Self(db)))
    }

    /// True if the table has the column.
    pub(super) fn has_column(&self, table: &str, column: &str) -> Result<bool, SourceError> {
        let sql = "SELECT count(*) FROM pragma_table_info(?1) WHERE name = ?2";
        Ok(self.0.query_row(sql, (table, column), |row| row.get::<_, i64>(0))? > 0)
    }

    /// Calls `each` for the rows, at most [`ROWS_MAX`].
    pub(super) fn each(
        &self,
        sql: &str,
        mut each: impl FnMut(&Row<'_>) -> rusqlite::Result<()>,
    ) -> Result<(), SourceError> {
        let mut statement = self.0.prepare(sql)?;
        let mut rows = statement.query(())?;
        for _ in 0..ROWS_MAX {
            match rows.next()? {
                Some(row) => each(row)?,
                None => break,
            }
        }
        Ok(())
    }

    /// How many rows the table has.
    pub(super) fn count(&self, table: &'static str) -> Result<usize, SourceError> {
        let sql = format!("SELECT count(*) FROM {table}");
        let count = self.0.query_row(&sql, (), |row| row.get::<_, i64>(0))?;
        Ok(usize::try_from(count).unwrap_or(0))
    }
}

/// Bounds what a file may do: a hostile one can hold views, and values of any size.
fn restrict(db: &mut Connection) -> rusqlite::Result<()> {
    db.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
    db.set_db_config(DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false)?;
    db.set_limit(Limit::SQLITE_LIMIT_LENGTH, VALUE_MAX)?;
    db.pragma_update_and_check(None, "hard_heap_limit", HEAP_MAX, |_| Ok(()))?;
    db.pragma_update(None, "cell_size_check", true)?;
    let mut looks = 0;
    db.progress_handler(
        STEPS,
        Some(move || {
            looks += 1;
            looks > LOOKS_MAX
        }),
    )
}

fn beside(path: &Path, end: &str) -> PathBuf {
    let mut name = path.to_owned().into_os_string();
    name.push(end);
    name.into()
}

fn copy_file(from: &Path, to: &Path) -> Result<(), crate::StoreError> {
    let at = crate::error::at;
    let mut source = std::fs::File::open(from).map_err(at(from))?;
    let mut copy = private::options().create(true).truncate(true).open(to).map_err(at(to))?;
    let copied = io::copy(&mut io::Read::take(&mut source, FILE_MAX), &mut copy);
    copied.map(|_| ()).map_err(at(from))
}

impl From<crate::StoreError> for SourceError {
    fn from(error: crate::StoreError) -> Self {
        Self::Io(io::Error::other(error))
    }
}

/// Names the file so that SQLite takes no locks and makes no files beside it.
fn immutable_uri(path: &Path) -> String {
    let mut uri = "file:".to_owned();
    if cfg!(windows) {
        uri.push('/');
    }
    for byte in path.as_os_str().as_encoded_bytes() {
        match byte {
            b'\\' if cfg!(windows) => uri.push('/'),
            b'/' | b'.' | b'-' | b'_' => uri.push(char::from(*byte)),
            byte if byte.is_ascii_alphanumeric() => uri.push(char::from(*byte)),
            byte => {
                let _ = write!(uri, "%{byte:02x}");
            }
        }
    }
    uri.push_str("?mode=ro&immutable=1");
    uri
}
