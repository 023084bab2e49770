//! Starting a client, and telling people how it fares.

use std::time::Duration;

use anyhow::{Context as _, anyhow};
use nym_client::settings::Settings;
use nym_proto::client::{Config, Fact};
use nym_proto::identity::Identity;
use nym_runtime_smol::{Client, Events, Options, SharedStore};
use smol::Timer;
use smol::future::FutureExt as _;

/// What the shell is told.
pub(super) fn options(settings: &Settings, store: Option<SharedStore>) -> anyhow::Result<Options> {
    Ok(Options { net: settings.net()?, store, ..Options::default() })
}

/// Starts a client and waits until it is ready, telling what goes wrong meanwhile.
pub(super) async fn start(
    config: Config,
    identity: Identity,
    options: &Options,
    patience: Duration,
) -> anyhow::Result<Client> {
    let starting = nym_runtime_smol::start(config, identity, options).await?;
    let mut watch = Watch::default();
    let events = starting.events();
    let ready = async { Some(starting.ready().await) };
    let late = async {
        Timer::after(patience).await;
        None
    };
    let watching = async {
        watch.follow(&events).await;
        std::future::pending().await
    };
    match ready.or(late).or(watching).await {
        Some(ready) => ready.context("the client could not be started"),
        None => Err(anyhow!(starting.timed_out(patience))),
    }
}

/// Tells on the standard error what happens to a client, in a line each time it changes.
#[derive(Default)]
pub(super) struct Watch {
    last: Option<String>,
    /// The client is connected, and that is told.
    is_up: bool,
}

impl Watch {
    /// Of a client that is connected already.
    pub(super) fn connected() -> Self {
        Self { is_up: true, ..Self::default() }
    }

    /// Until the client has ended.
    pub(super) async fn follow(&mut self, events: &Events) {
        while let Some(fact) = events.next().await {
            self.tell(&fact);
        }
    }

    pub(super) fn tell(&mut self, fact: &Fact) {
        if let Some(line) = self.news(fact) {
            nym_console::note!("{line}");
        }
    }

    /// The line for a fact that is new. That a client is degraded or no longer is no new connection.
    fn news(&mut self, fact: &Fact) -> Option<String> {
        if let Fact::Connectivity(state) = fact
            && std::mem::replace(&mut self.is_up, state.is_up())
        {
            return None;
        }
        let line = line(fact).filter(|line| self.last.as_ref() != Some(line))?;
        self.last = Some(line.clone());
        Some(line)
    }
}

/// What a fact is worth telling people. Nothing that comes and goes by itself.
fn line(fact: &Fact) -> Option<String> {
    Some(match fact {
        Fact::ConnectionFailed { failure, .. } => {
            format!("No connection to the gateway: {failure}. Trying again.")
        }
        Fact::DirectoryFailed { reason, .. } => {
            format!("The directory is of no use: {reason}. Trying again.")
        }
        Fact::NoGateway => {
            "The network lists no gateway the client may use. Looking again.".to_owned()
        }
        Fact::Connectivity(state) if state.is_up() => "Connected to the gateway.".to_owned(),
        Fact::Degraded(degradation) => format!("Degraded: {degradation}."),
        Fact::Recovered(degradation) => format!("No longer: {degradation}."),
        Fact::FailedOver { .. } => {
            "The gateway was away for too long; another one is used, and the \
             address of this client changes."
                .to_owned()
        }
        Fact::DeliveryDropped { bytes } => {
            format!("A message of {bytes} bytes was lost: too many wait for a program.")
        }
        Fact::Restored { skipped, .. } if *skipped > 0 => {
            format!("{skipped} entries of the state were not understood and are not used.")
        }
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use nym_proto::client::{Connectivity, Degradation, SessionFailure};

    use super::*;

    #[test]
    fn facts_that_matter_have_a_line_and_others_have_none() {
        let failed =
            Fact::ConnectionFailed { failure: SessionFailure::Timeout, retry_in: Duration::ZERO };
        assert!(line(&failed).unwrap().contains("did not answer in time"));
        assert!(line(&Fact::Connectivity(Connectivity::Ready)).unwrap().contains("Connected"));
        assert_eq!(line(&Fact::Connectivity(Connectivity::Connecting)), None);
        assert_eq!(line(&Fact::BadFrame), None);
    }

    #[test]
    fn a_client_that_is_degraded_and_recovers_is_not_told_to_connect_again() {
        let mut watch = Watch::default();
        let mut is_told = |fact: Fact| watch.news(&fact).is_some();
        assert!(is_told(Fact::Connectivity(Connectivity::Ready)));
        assert!(is_told(Fact::Degraded(Degradation::GatewaySilent)));
        assert!(!is_told(Fact::Connectivity(Connectivity::Degraded)));
        assert!(is_told(Fact::Recovered(Degradation::GatewaySilent)));
        assert!(!is_told(Fact::Connectivity(Connectivity::Ready)));
        assert!(!is_told(Fact::Connectivity(Connectivity::Offline)));
        assert!(is_told(Fact::Connectivity(Connectivity::Ready)));
    }
}
