//! `import-identity`.

use crate::cli::ImportIdentityArgs;

pub(super) fn run(_args: &ImportIdentityArgs) -> anyhow::Result<()> {
    anyhow::bail!("to come")
}
