//! The builder of Sphinx packets and SURBs. (protocol: sphinx 5)

use super::*;

/// Builds packets of version 259.
#[derive(Debug, Default)]
pub struct SphinxBuilder(());

impl SphinxBuilder {
    /// A builder.
    #[must_use]
    pub fn new() -> Self {
        Self(())
    }
}

impl PacketBuilder for SphinxBuilder {
    fn build_packet(
        &mut self,
        _: &[Hop],
        _: &[Delay],
        _: &IdentityKey,
        _: usize,
        _: &mut [u8],
        _: &mut Stream,
    ) -> Result<(), BuildError> {
        unimplemented!()
    }
    fn make_surb(
        &mut self,
        _: &[Hop],
        _: &[Delay],
        _: &IdentityKey,
        _: &mut Stream,
    ) -> Result<Surb, BuildError> {
        unimplemented!()
    }
    fn use_surb(&mut self, _: Surb, _: usize, _: &mut [u8]) -> Result<(), BuildError> {
        unimplemented!()
    }
}
