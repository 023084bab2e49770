//! `recover`.

use nym_store::Profile;
use serde_json::json;

use super::place::Place;
use super::print;
use crate::cli::RecoverArgs;

pub(super) fn run(args: &RecoverArgs) -> anyhow::Result<()> {
    let place = Place::new(&args.profile)?;
    let recovered = Profile::recover(&place.folder)?;
    if args.output.is_json() {
        let result = json!({
            "recovered": recovered.is_some(),
            "registrations": recovered.as_ref().map(|recovered| recovered.registrations),
            "kept_aside": recovered.and_then(|r| r.kept_aside).map(|path| path.display().to_string()),
        });
        return print(&result.to_string());
    }
    let Some(recovered) = recovered else {
        return print("Nothing is wrong with this client; nothing was changed.");
    };
    let registrations = recovered.registrations;
    print(&format!(
        "The client has its identity, {registrations} registrations and no conversations."
    ))?;
    match recovered.kept_aside {
        Some(path) => print(&format!("What was there before is kept as {}", path.display())),
        None => Ok(()),
    }
}
