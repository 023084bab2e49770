//! The environment, and files in its form.

use std::path::Path;

use anyhow::Context as _;

/// Names the directory, in the environment and in a file.
const NYM_API: &str = "NYM_API"; // protocol: client 14.11

/// The directory that a file, or else the environment, names.
pub(super) fn directory(file: Option<&Path>) -> anyhow::Result<Option<String>> {
    let from_file = match file {
        Some(path) => {
            let text = std::fs::read_to_string(path)
                .with_context(|| format!("{} cannot be read", path.display()))?;
            value(&text, NYM_API)
        }
        None => None,
    };
    let from_environment = || std::env::var(NYM_API).ok();
    Ok(from_file.or_else(from_environment).filter(|url| !url.trim().is_empty()))
}

/// The last value of a name in lines `NAME=VALUE`. Quotes around the value are not part of it.
fn value(text: &str, name: &str) -> Option<String> {
    let lines = text.lines().map(|line| line.trim_start().trim_start_matches("export "));
    let mut values = lines.rev().filter_map(|line| {
        let (key, value) = line.split_once('=')?;
        (key.trim() == name).then(|| value.trim())
    });
    let value = values.next()?;
    let quoted = ['"', '\'']
        .into_iter()
        .find_map(|quote| value.strip_prefix(quote).and_then(|rest| rest.strip_suffix(quote)));
    Some(quoted.unwrap_or(value).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_value_counts_without_its_quotes() {
        let text =
            "# NYM_API=http://no/\nNYM_API=http://a/\n export NYM_API = \"http://b/\"\nNYM_APIS=x";
        assert_eq!(value(text, NYM_API).as_deref(), Some("http://b/"));
        assert_eq!(value("NYXD=http://a/", NYM_API), None);
    }
}
