//! The command line. Names, short forms and defaults are those scripts of the network's users know.

mod demo;
mod network;
mod output;
mod profile;

use clap::{Args, Parser, Subcommand};
use nym_proto::identity::IdentityKey;
use std::path::PathBuf;

pub(crate) use self::demo::DemoArgs;
pub(crate) use self::network::{GatewayArgs, NetworkArgs, SettingsArgs};
pub(crate) use self::output::OutputArgs;
pub(crate) use self::profile::ProfileArgs;

/// A Nym mixnet client for programs of any language.
///
/// `nym-client run` connects to the mixnet and listens at ws://127.0.0.1:1977 for a program;
/// `nym-client run --testnet` does the same with a whole mixnet inside this process. Results go to the
/// standard output, progress and logs to the standard error.
#[derive(Parser, Debug)]
#[command(name = "nym-client", version)]
pub(crate) struct Cli {
    /// Log more to the standard error; repeat for still more. `RUST_LOG` overrides it.
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub(crate) verbose: u8,
    /// A file with lines NAME=VALUE about the network; NYM_API in it, or in the environment, is the URL of
    /// the directory.
    #[arg(short, long, global = true, value_name = "FILE")]
    pub(crate) config_env_file: Option<PathBuf>,
    /// There is no banner; accepted for scripts.
    #[arg(long, global = true, hide = true)]
    pub(crate) no_banner: bool,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Subcommand, Debug)]
pub(crate) enum Command {
    /// Create an identity, register with a gateway and write the configuration.
    ///
    /// Fails if the profile exists already, and touches nothing then.
    Init(InitArgs),
    /// Run the client, and let a program connect to it over a websocket.
    ///
    /// A profile that does not exist is created. Prints the address of the client and where it listens as
    /// soon as it is ready. Interrupt it once to stop in order: what is queued is sent, up to a deadline.
    /// Interrupt it twice to stop at once.
    Run(RunArgs),
    /// List the gateways the client is registered with.
    ListGateways(ListGatewaysArgs),
    /// Register with one more gateway.
    AddGateway(AddGatewayArgs),
    /// Use another of the gateways the client is registered with. Its address changes with the gateway.
    SwitchGateway(SwitchGatewayArgs),
    /// Show who the client is, where its files are and what is configured.
    Show(ShowArgs),
    /// Take over the identity, gateways and conversations of a folder of upstream's client.
    ///
    /// The folder is only read. Do not run both clients with one identity.
    ImportIdentity(ImportIdentityArgs),
    /// Begin with an empty state where the old one is damaged; identity and gateways stay.
    ///
    /// The damaged file is kept. Does nothing if nothing is wrong.
    Recover(RecoverArgs),
    /// Check step by step whether the mixnet can be used, and explain what cannot.
    ///
    /// Configuration, directory, gateway, authentication, cover, acks, a message to oneself, a reply through
    /// a SURB. Everything is tried with an identity made for the occasion, so that no message for the client
    /// is taken. Exits with 1 if a step fails.
    Doctor(DoctorArgs),
    /// Start a whole mixnet on this machine and send a message, an anonymous reply and a file
    /// through it.
    ///
    /// Two gateways, three layers of two mix nodes and a directory run inside this process, on
    /// loopback sockets. Alice and Bob register with different gateways. Alice sends Bob a text with
    /// single-use reply blocks, Bob answers through them without learning who she is; Alice sends a
    /// file, Bob answers with its hash. Exits with 0 only if everything arrived intact.
    Demo(DemoArgs),
    /// Print the version and how this program was built.
    BuildInfo(OutputArgs),
}

#[derive(Args, Debug)]
pub(crate) struct InitArgs {
    #[command(flatten)]
    pub(crate) profile: ProfileArgs,
    #[command(flatten)]
    pub(crate) gateway: GatewayArgs,
    /// The gateway to use, by its identity key in base58; else one is drawn.
    #[arg(
        long = "gateway",
        alias = "gateway-id",
        value_name = "BASE58",
        conflicts_with = "latency_based_selection"
    )]
    pub(crate) gateway_id: Option<IdentityKey>,
    #[command(flatten)]
    pub(crate) settings: SettingsArgs,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
}

#[derive(Args, Debug)]
pub(crate) struct RunArgs {
    #[command(flatten)]
    pub(crate) profile: ProfileArgs,
    /// Start a whole mixnet inside this process and run on it, with an identity that is not kept.
    #[arg(long, conflicts_with_all = ["id", "nym_apis", "custom_mixnet", "gateway"])]
    pub(crate) testnet: bool,
    /// Use this gateway in this run; the client has to be registered with it. Its address depends on it.
    #[arg(long, value_name = "BASE58")]
    pub(crate) gateway: Option<IdentityKey>,
    #[command(flatten)]
    pub(crate) settings: SettingsArgs,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
}

#[derive(Args, Debug)]
pub(crate) struct ListGatewaysArgs {
    #[command(flatten)]
    pub(crate) profile: ProfileArgs,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
}

#[derive(Args, Debug)]
pub(crate) struct AddGatewayArgs {
    #[command(flatten)]
    pub(crate) profile: ProfileArgs,
    /// The gateway to register with, by its identity key in base58; else one is drawn.
    #[arg(
        long,
        alias = "gateway",
        value_name = "BASE58",
        conflicts_with = "latency_based_selection"
    )]
    pub(crate) gateway_id: Option<IdentityKey>,
    #[command(flatten)]
    pub(crate) gateway: GatewayArgs,
    /// Whether to use it from now on.
    #[arg(long, value_name = "BOOL", default_value_t = true, action = clap::ArgAction::Set)]
    pub(crate) set_active: bool,
    #[command(flatten)]
    pub(crate) network: NetworkArgs,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
}

#[derive(Args, Debug)]
pub(crate) struct SwitchGatewayArgs {
    #[command(flatten)]
    pub(crate) profile: ProfileArgs,
    /// The gateway to use from now on, by its identity key in base58.
    #[arg(long, alias = "gateway", value_name = "BASE58")]
    pub(crate) gateway_id: IdentityKey,
}

#[derive(Args, Debug)]
pub(crate) struct ShowArgs {
    #[command(flatten)]
    pub(crate) profile: ProfileArgs,
    /// Print the whole configuration, with the defaults of what is not in the file.
    #[arg(long)]
    pub(crate) effective: bool,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
}

#[derive(Args, Debug)]
pub(crate) struct ImportIdentityArgs {
    #[command(flatten)]
    pub(crate) profile: ProfileArgs,
    /// The folder of the client to take over, for example `~/.nym/clients/ID`, or its `data` folder.
    #[arg(long, value_name = "FOLDER")]
    pub(crate) from: PathBuf,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
}

#[derive(Args, Debug)]
pub(crate) struct RecoverArgs {
    #[command(flatten)]
    pub(crate) profile: ProfileArgs,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
}

#[derive(Args, Debug)]
pub(crate) struct DoctorArgs {
    #[command(flatten)]
    pub(crate) profile: ProfileArgs,
    /// Start a whole mixnet inside this process and check that.
    #[arg(long, conflicts_with_all = ["id", "nym_apis", "custom_mixnet"])]
    pub(crate) testnet: bool,
    #[command(flatten)]
    pub(crate) network: NetworkArgs,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;
    use nym_proto::identity::IdentityKeyPair;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    /// `KEY` in the line stands for the key of a gateway.
    fn parse(line: &str) -> Result<Cli, clap::Error> {
        let key = IdentityKeyPair::from_seed(&[1; 32]).public().to_string();
        Cli::try_parse_from(line.replace("KEY", &key).split_whitespace())
    }

    #[test]
    fn what_scripts_write_is_understood() {
        for line in [
            "nym-client --no-banner init --id a -o json",
            "nym-client init --id a --gateway KEY",
            "nym-client init --id a --force-tls-gateway --latency-based-selection",
            "nym-client init --id a --nym-apis http://a/api,http://b/api -p 2000 --host 127.0.0.1",
            "nym-client init --id a --api_validators http://a/ --nyxd_validators http://b/",
            "nym-client init --id a --custom-mixnet /t.json --fastmode --no-cover",
            "nym-client -c /etc/nym.env run --id a --disable-socket true",
            "nym-client run --id a --enabled-credentials-mode false --output json",
            "nym-client run --id a --minimum-gateway-performance 75",
            "nym-client list-gateways --id a -o json",
            "nym-client add-gateway --id a --gateway-id KEY --set-active false",
            "nym-client switch-gateway --id a --gateway-id KEY",
            "nym-client build-info -o json",
            "nym-client doctor --json --testnet",
        ] {
            if let Err(error) = parse(line) {
                panic!("{line}: {error}");
            }
        }
    }

    #[test]
    fn what_contradicts_itself_is_refused() {
        for line in [
            "nym-client init --id a --custom-mixnet /t.json --nym-apis http://a/",
            "nym-client init --id ../a",
            "nym-client init --id a --gateway nonsense",
            "nym-client run --testnet --id a",
            "nym-client run --tier fast --fastmode",
            "nym-client switch-gateway --id a",
        ] {
            assert!(parse(line).is_err(), "{line}");
        }
    }
}
