//! `build-info`.

use nym_proto::gateway::ProtocolVersion;
use serde_json::json;

use super::print;
use crate::cli::OutputArgs;

pub(super) fn run(args: &OutputArgs) -> anyhow::Result<()> {
    let (name, version) = (env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"));
    let profile = if cfg!(debug_assertions) { "debug" } else { "release" };
    let (os, arch) = (std::env::consts::OS, std::env::consts::ARCH);
    if args.is_json() {
        let info = json!({
            "binary_name": name,
            "build_version": version,
            "cargo_profile": profile,
            "target": format!("{arch}-{os}"),
            "gateway_protocol": ProtocolVersion::CURRENT.get(),
        });
        return print(&info.to_string());
    }
    print(&format!("{name} {version}\nprofile  {profile}\ntarget   {arch}-{os}"))
}
