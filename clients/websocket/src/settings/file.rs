//! The configuration file.

use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;
use toml::{Table, Value};

use super::Settings;

/// Longer files are not read.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// Why a configuration file cannot be used.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum FileError {
    /// It cannot be read.
    #[error("the configuration {} cannot be read: {error}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// It cannot be written.
    #[error("the configuration {} cannot be written: {error}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// It is too long to be a configuration.
    #[error("{} has {len} bytes, a configuration has at most {FILE_BYTES_MAX}", path.display())]
    TooLong {
        /// The file.
        path: PathBuf,
        /// Its bytes.
        len: u64,
    },
    /// It is not TOML, has an unknown key or a wrong value.
    #[error("the configuration {} is not understood: {error}", path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// Where, and what.
        error: String,
    },
}

/// Reads a configuration file. What it does not mention has its default; without a file everything has.
///
/// # Errors
/// The file cannot be read, is not TOML, has a key that does not exist or a value that cannot be.
pub fn read(path: &Path) -> Result<Settings, FileError> {
    let failed = |error| FileError::Read { path: path.to_owned(), error };
    let text = match std::fs::metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Settings::default()),
        Err(error) => return Err(failed(error)),
        Ok(metadata) if metadata.len() > FILE_BYTES_MAX => {
            return Err(FileError::TooLong { path: path.to_owned(), len: metadata.len() });
        }
        Ok(_) => std::fs::read_to_string(path).map_err(failed)?,
    };
    toml::from_str(&text)
        .map_err(|error| FileError::Content { path: path.to_owned(), error: error.to_string() })
}

/// Writes what differs from the defaults.
///
/// # Errors
/// The file cannot be written.
pub fn write(path: &Path, settings: &Settings) -> Result<(), FileError> {
    let failed = |error| FileError::Write { path: path.to_owned(), error };
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(failed)?;
    }
    let neighbour = path.with_extension("toml.tmp");
    std::fs::write(&neighbour, differing(settings).to_string()).map_err(failed)?;
    std::fs::rename(&neighbour, path).map_err(failed)
}

impl Settings {
    /// All settings as TOML, those with their defaults included.
    #[must_use]
    pub fn effective(&self) -> String {
        table(self).to_string()
    }
}

/// What differs from the defaults.
fn differing(settings: &Settings) -> Table {
    difference(table(settings), &table(&Settings::default()))
}

fn table(settings: &Settings) -> Table {
    // nothing in the settings is beyond TOML; a test holds it to that
    Table::try_from(settings).unwrap_or_default()
}

fn difference(table: Table, base: &Table) -> Table {
    let differing = table.into_iter().filter_map(|(key, value)| match (value, base.get(&key)) {
        (Value::Table(inner), Some(Value::Table(base))) => {
            let inner = difference(inner, base);
            (!inner.is_empty()).then_some((key, Value::Table(inner)))
        }
        (value, base) => (Some(&value) != base).then_some((key, value)),
    });
    differing.collect()
}

#[cfg(test)]
mod tests {
    use super::super::{HumanDuration, TierName};
    use super::*;

    /// A file in a folder of its own, removed at the end.
    struct Place(PathBuf);

    impl Place {
        fn new(name: &str) -> Self {
            let folder = format!("nym-client-settings-{}-{name}", std::process::id());
            Self(std::env::temp_dir().join(folder).join("config/config.toml"))
        }

        fn containing(name: &str, text: &str) -> Self {
            let place = Self::new(name);
            std::fs::create_dir_all(place.0.parent().unwrap()).unwrap();
            std::fs::write(&place.0, text).unwrap();
            place
        }
    }

    impl Drop for Place {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(self.0.ancestors().nth(2).unwrap());
        }
    }

    fn changed() -> Settings {
        let mut settings = Settings::default();
        settings.socket.listening_port = 2000;
        settings.debug.traffic.tier = Some(TierName::Fast);
        settings.debug.traffic.average_packet_delay = HumanDuration::from_millis(10);
        settings.client.nym_api_urls = vec!["http://127.0.0.1:1/api/".to_owned()];
        settings
    }

    #[test]
    fn only_what_differs_is_written_and_it_is_read_again() {
        let place = Place::new("differs");
        write(&place.0, &changed()).unwrap();
        let text = std::fs::read_to_string(&place.0).unwrap();
        assert_eq!(text.lines().filter(|line| line.contains('=')).count(), 4, "{text}");
        assert_eq!(read(&place.0).unwrap(), changed());
        write(&place.0, &Settings::default()).unwrap();
        assert_eq!(std::fs::read_to_string(&place.0).unwrap(), "");
    }

    #[test]
    fn without_a_file_everything_has_its_default() {
        assert_eq!(read(&Place::new("absent").0).unwrap(), Settings::default());
    }

    #[test]
    fn what_is_shown_can_be_used_as_a_file() {
        for settings in [Settings::default(), changed()] {
            let text = settings.effective();
            assert!(text.contains("listening_port") && text.contains("maximum_reply_key_age"));
            assert_eq!(toml::from_str::<Settings>(&text).unwrap(), settings);
        }
    }

    #[test]
    fn an_unknown_key_a_wrong_value_and_no_toml_are_named() {
        for (text, expected) in [
            ("[socket]\nlistening_prot = 1", "listening_prot"),
            ("[sockets]", "sockets"),
            ("[socket]\nhost = 'localhorst'", "host"),
            ("[socket]\nlistening_port = 70000", "70000"),
            ("[debug.traffic]\ntier = 'warp'", "warp"),
            ("[debug.traffic]\naverage_packet_delay = 15", "average_packet_delay"),
            ("[socket", "TOML"),
        ] {
            let place = Place::containing("wrong", text);
            let error = read(&place.0).unwrap_err().to_string();
            assert!(error.contains(expected) && error.contains("config.toml"), "{error}");
        }
    }

    #[test]
    fn a_file_too_long_to_be_a_configuration_is_not_read() {
        let place = Place::containing("long", &"#".repeat(FILE_BYTES_MAX as usize + 1));
        assert!(matches!(read(&place.0), Err(FileError::TooLong { .. })));
    }
}
