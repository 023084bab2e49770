//! The profile of the command line.

use std::path::PathBuf;

use anyhow::Context as _;
use nym_client::settings::{self, Settings};
use nym_store::{Profile, StoreError};

use crate::cli::ProfileArgs;

/// Where the files of a profile are.
pub(crate) struct Place {
    pub(crate) id: String,
    pub(crate) folder: PathBuf,
    pub(crate) config_file: PathBuf,
}

impl Place {
    pub(crate) fn new(args: &ProfileArgs) -> anyhow::Result<Self> {
        Ok(Self { id: args.id.clone(), folder: args.folder()?, config_file: args.config_file()? })
    }

    /// The configuration, with the directory of the environment if the file names none.
    pub(crate) fn settings(&self, directory: Option<&str>) -> anyhow::Result<Settings> {
        let mut settings = settings::read(&self.config_file)?;
        let is_unset = settings.client.nym_api_urls == Settings::default().client.nym_api_urls;
        if let Some(directory) = directory.filter(|_| is_unset) {
            settings.client.nym_api_urls =
                directory.split(',').map(|url| url.trim().to_owned()).collect();
        }
        Ok(settings)
    }

    /// Opens the profile, which has to exist.
    pub(crate) fn open(&self) -> anyhow::Result<Profile> {
        let opened = Profile::open(&self.folder);
        let what = match &opened {
            Err(StoreError::NotFound(_)) => {
                format!(
                    "there is no client {0:?}; create it with: nym-client init --id {0}",
                    self.id
                )
            }
            Err(
                StoreError::StateDamaged { .. }
                | StoreError::StateForeign(_)
                | StoreError::StateMissing(_)
                | StoreError::StateTooLarge { .. },
            ) => format!(
                "client {0:?} cannot be used; to recover it: nym-client recover --id {0}",
                self.id
            ),
            _ => format!("client {:?} cannot be used", self.id),
        };
        opened.context(what)
    }
}
