//! Routes through a topology. (protocol: client 3.4, messages 12)

use core::time::Duration;

use thiserror::Error;

use super::rewarded::Layer;
use super::snapshot::Topology;
use crate::entropy::Stream;
use crate::identity::IdentityKey;
use crate::sphinx::{Delay, Hop};

/// Three mixes and the egress.
const HOPS: usize = 4;

/// Why no route was found.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
#[non_exhaustive]
pub enum RouteError {
    /// No assigned node of a layer is known.
    #[error("no known node in layer {0}")]
    EmptyLayer(Layer),
    /// No known node has the identity of the egress.
    #[error("the gateway {0} is not in the topology")]
    UnknownEgress(IdentityKey),
}

/// The hops of one packet after the own gateway: three mixes and the egress, or the egress alone.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Route {
    hops: [Hop; HOPS],
    len: usize,
}

impl Route {
    /// The hops, first to last; 1 or 4.
    #[must_use]
    pub fn hops(&self) -> &[Hop] {
        self.hops.get(..self.len).unwrap_or(&self.hops)
    }

    /// Where the own gateway sends the packet.
    #[must_use]
    pub const fn first(&self) -> &Hop {
        let [first, ..] = &self.hops;
        first
    }

    /// Draws one delay per hop, the egress included. The egress delays nothing; its delay keeps
    /// the count right. (protocol: messages 13)
    #[must_use]
    pub fn draw_delays(&self, mean: Duration, stream: &mut Stream) -> Delays {
        let mut delays = Delays { delays: [Delay::default(); HOPS], len: self.len };
        for delay in delays.delays.iter_mut().take(self.len) {
            *delay = Delay::draw(mean, stream);
        }
        delays
    }
}

/// The delays of one packet, one per hop of its route.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Delays {
    delays: [Delay; HOPS],
    len: usize,
}

impl Delays {
    /// The delays, first hop to egress.
    #[must_use]
    pub fn as_slice(&self) -> &[Delay] {
        self.delays.get(..self.len).unwrap_or(&self.delays)
    }
}

impl Topology {
    /// A uniform node of layer 1. `None` if the layer is empty; nothing is drawn then.
    ///
    /// A client draws it per slot, before it knows what the slot carries.
    #[must_use]
    pub fn draw_first_hop(&self, stream: &mut Stream) -> Option<Hop> {
        self.draw_hop(Layer::One, stream)
    }

    /// A fresh route to the node `egress`: a uniform node of each layer in order, then the egress.
    ///
    /// # Errors
    /// An empty layer, or an egress that is not in the topology.
    pub fn route(&self, egress: &IdentityKey, stream: &mut Stream) -> Result<Route, RouteError> {
        let first = self.draw_first_hop(stream).ok_or(RouteError::EmptyLayer(Layer::One))?;
        self.route_via(first, egress, stream)
    }

    /// A route whose first hop was drawn before.
    ///
    /// # Errors
    /// An empty layer 2 or 3, or an egress that is not in the topology.
    pub fn route_via(
        &self,
        first: Hop,
        egress: &IdentityKey,
        stream: &mut Stream,
    ) -> Result<Route, RouteError> {
        let mut draw = |layer| self.draw_hop(layer, stream).ok_or(RouteError::EmptyLayer(layer));
        let second = draw(Layer::Two)?;
        let third = draw(Layer::Three)?;
        Ok(Route { hops: [first, second, third, self.egress(egress)?], len: HOPS })
    }

    /// The route without mixing: the egress alone.
    ///
    /// # Errors
    /// An egress that is not in the topology.
    pub fn direct_route(&self, egress: &IdentityKey) -> Result<Route, RouteError> {
        Ok(Route { hops: [self.egress(egress)?; HOPS], len: 1 })
    }

    fn egress(&self, identity: &IdentityKey) -> Result<Hop, RouteError> {
        self.node_by_identity(identity)
            .map(|node| node.hop())
            .ok_or(RouteError::UnknownEgress(*identity))
    }

    fn draw_hop(&self, layer: Layer, stream: &mut Stream) -> Option<Hop> {
        let positions = self.layer_positions(layer);
        let position = positions.get(stream.index(positions.len()))?;
        self.at(*position).map(|node| node.hop())
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{node, parts};
    use super::*;
    use crate::entropy::{Entropy, Purpose};

    fn stream() -> Stream {
        Entropy::new([9; 32]).stream(Purpose::Routes)
    }

    #[test]
    fn a_route_passes_the_layers_in_order_and_ends_at_the_egress() {
        let topology = Topology::new(parts(13)).unwrap();
        let egress = node(13);
        let mut stream = stream();
        for _ in 0..50 {
            let route = topology.route(&egress.identity, &mut stream).unwrap();
            let hops = route.hops();
            assert_eq!(hops.len(), 4);
            for (hop, layer) in hops.iter().zip(Layer::ALL) {
                assert!(topology.layer(layer).any(|node| node.hop() == *hop));
            }
            assert_eq!(hops[3], egress.hop());
            assert_eq!(*route.first(), hops[0]);
        }
    }

    #[test]
    fn a_route_via_a_drawn_first_hop_equals_the_route_drawn_at_once() {
        let topology = Topology::new(parts(13)).unwrap();
        let egress = node(13).identity;
        let whole = topology.route(&egress, &mut stream()).unwrap();
        let mut stream = stream();
        let first = topology.draw_first_hop(&mut stream).unwrap();
        assert_eq!(topology.route_via(first, &egress, &mut stream), Ok(whole));
    }

    #[test]
    fn a_direct_route_is_the_egress_alone() {
        let topology = Topology::new(parts(6)).unwrap();
        let route = topology.direct_route(&node(4).identity).unwrap();
        assert_eq!(route.hops(), [node(4).hop()]);
        let delays = route.draw_delays(Duration::from_millis(15), &mut stream());
        assert_eq!(delays.as_slice().len(), 1);
    }

    #[test]
    fn an_unknown_egress_and_an_empty_layer_are_told_apart() {
        let mut parts = parts(6);
        let stranger = node(40).identity;
        let topology = Topology::new(parts.clone()).unwrap();
        assert_eq!(
            topology.route(&stranger, &mut stream()),
            Err(RouteError::UnknownEgress(stranger))
        );
        for layer in Layer::ALL {
            let emptied = match layer {
                Layer::One => &mut parts.rewarded.layer1,
                Layer::Two => &mut parts.rewarded.layer2,
                Layer::Three => &mut parts.rewarded.layer3,
            };
            let kept = core::mem::take(emptied);
            let topology = Topology::new(parts.clone()).unwrap();
            assert_eq!(
                topology.route(&node(1).identity, &mut stream()),
                Err(RouteError::EmptyLayer(layer))
            );
            match layer {
                Layer::One => parts.rewarded.layer1 = kept,
                Layer::Two => parts.rewarded.layer2 = kept,
                Layer::Three => parts.rewarded.layer3 = kept,
            }
        }
    }

    #[test]
    fn delays_have_one_entry_per_hop() {
        let topology = Topology::new(parts(6)).unwrap();
        let mut stream = stream();
        let route = topology.route(&node(1).identity, &mut stream).unwrap();
        let delays = route.draw_delays(Duration::from_millis(15), &mut stream);
        assert_eq!(delays.as_slice().len(), 4);
        assert!(delays.as_slice().iter().all(|delay| *delay > Delay::default()));
        let none = route.draw_delays(Duration::ZERO, &mut stream);
        assert_eq!(none.as_slice(), [Delay::default(); 4]);
    }
}
