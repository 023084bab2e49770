//! Which client is meant, and where its files are.

use std::path::PathBuf;

use anyhow::Context as _;
use clap::Args;

#[derive(Args, Debug)]
pub(crate) struct ProfileArgs {
    /// The name of the profile: letters, digits, `-`, `_` and `.`.
    #[arg(long, value_name = "NAME", default_value = "default", value_parser = parse_id)]
    pub(crate) id: String,
    /// The folder in which each profile has a folder of its own. `~/.nym/clients` if absent.
    #[arg(long, value_name = "FOLDER", env = "NYM_CLIENT_HOME")]
    pub(crate) home: Option<PathBuf>,
}

impl ProfileArgs {
    /// The folder of the profile.
    pub(crate) fn folder(&self) -> anyhow::Result<PathBuf> {
        let home = match &self.home {
            Some(home) => home.clone(),
            None => {
                let home = std::env::home_dir().filter(|home| !home.as_os_str().is_empty());
                // protocol: client 15.1
                home.context("there is no home folder; give --home")?.join(".nym").join("clients")
            }
        };
        Ok(home.join(&self.id))
    }

    /// The configuration file of the profile.
    pub(crate) fn config_file(&self) -> anyhow::Result<PathBuf> {
        // protocol: client 15.1
        Ok(self.folder()?.join("config").join("config.toml"))
    }
}

/// Most characters of a name.
const ID_CHARS_MAX: usize = 64;

fn parse_id(text: &str) -> Result<String, String> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    if text.is_empty() || text.len() > ID_CHARS_MAX {
        return Err(format!("a name has 1 to {ID_CHARS_MAX} characters"));
    }
    if text.starts_with('.') || !text.chars().all(is_plain) {
        return Err(
            "a name has letters, digits, `-`, `_` and `.`, and does not begin with `.`".to_owned()
        );
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_cannot_lead_out_of_its_folder() {
        for bad in ["", ".", "..", "a/b", "../a", "a b", "ż", ".hidden", &"a".repeat(65)] {
            assert!(parse_id(bad).is_err(), "{bad}");
        }
        assert_eq!(parse_id("my-client_1.2"), Ok("my-client_1.2".to_owned()));
    }
}
