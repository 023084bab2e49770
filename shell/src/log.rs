//! Facts as log lines.

use nym_proto::client::{Fact, SessionFailure};
use tracing::{debug, info, warn};

/// Writes a fact to the log. Addresses and whatever text a peer chose stay below INFO.
pub fn fact(fact: &Fact) {
    match fact {
        Fact::Connectivity(state) => info!(?state, "connectivity"),
        Fact::Degraded(degradation) => warn!("degraded: {degradation}"),
        Fact::Recovered(degradation) => info!("no longer: {degradation}"),
        Fact::Tier(tier) => info!(?tier, "the rate of emission has changed"),
        Fact::FailedOver { after } => {
            warn!(?after, "the gateway was away; another one is used, the address changes");
        }
        Fact::LoopHealth(health) => debug!(?health, "cover packets"),
        Fact::Address(address) => {
            info!("the gateway has accepted the client");
            debug!(%address, "address");
        }
        Fact::ConnectionFailed { failure, retry_in } => {
            match failure {
                SessionFailure::Refused(text) => {
                    warn!(?retry_in, "the gateway refused the client");
                    debug!(?text, "refusal");
                }
                SessionFailure::Closed(text) => {
                    warn!(?retry_in, "no connection to the gateway");
                    debug!(?text, "why there is no connection");
                }
                failure => warn!(?retry_in, "{failure}"),
            };
        }
        Fact::GatewayError(text) => {
            warn!("the gateway reported an error");
            debug!(?text, "error of the gateway");
        }
        Fact::Topology { epoch, nodes, refused } => debug!(epoch, nodes, refused, "topology"),
        Fact::DirectoryFailed { reason, retry_in } => {
            warn!(?retry_in, "directory failed");
            debug!(?reason, "why the directory failed");
        }
        Fact::DeliveryDropped { bytes } => {
            warn!(bytes, "a message was lost: the application takes none");
        }
        fact => debug!(?fact, "fact"),
    }
}
