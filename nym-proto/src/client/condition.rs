//! What is wrong although the client works, and the state that is told. (protocol: client 13.1)

use super::{Client, Connectivity, Degradation, Fact};

impl Client {
    /// Finds out what is wrong and tells what has changed. Nothing that shapes emission looks at it.
    pub(super) fn judge(&mut self) {
        for degradation in Degradation::ALL {
            let is_so = self.suffers(degradation);
            if is_so && self.degradations.insert(degradation) {
                self.report(Fact::Degraded(degradation));
            } else if !is_so && self.degradations.remove(&degradation) {
                self.report(Fact::Recovered(degradation));
            }
        }
        self.show_connectivity();
    }

    fn suffers(&self, degradation: Degradation) -> bool {
        match degradation {
            Degradation::GatewaySilent => self.session.is_silent(self.now),
            Degradation::GatewayUnlisted => self.is_unlisted,
            Degradation::OutOfBandwidth => self.session.is_out_of_bandwidth(),
            Degradation::TopologyExpired => self.is_topology_expired(),
            Degradation::LoopLoss => self.health.is_bad(),
        }
    }

    pub(super) fn show_connectivity(&mut self) {
        let connectivity = match self.link_state {
            Connectivity::Ready if !self.degradations.is_empty() => Connectivity::Degraded,
            state => state,
        };
        if self.connectivity != connectivity {
            self.connectivity = connectivity;
            self.report(Fact::Connectivity(connectivity));
        }
    }
}
