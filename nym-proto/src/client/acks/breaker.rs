//! Recipients' gateways that lose everything, while others do not. (protocol: client 7.6)
//!
//! What goes to such a gateway is probed slowly until an ack comes back, so that it cannot take the
//! slots of everything else.

use core::time::Duration;
use std::collections::BTreeMap;

use crate::entropy::Stream;
use crate::identity::IdentityKey;
use crate::limits::EGRESSES_MAX;
use crate::time::Instant;

/// Pauses between probes of one gateway: doubled each time up to the maximum.
const PROBE_MIN: Duration = Duration::from_secs(1);
const PROBE_MAX: Duration = Duration::from_secs(30);

#[derive(Debug)]
struct Egress {
    losses: u32,
    /// Acks that had come from anywhere at the first of these losses.
    returned: u64,
    probes: Option<Probes>,
}

#[derive(Debug)]
struct Probes {
    next: Instant,
    pause: Duration,
}

/// Counts losses in a row for each gateway that has any.
#[derive(Debug)]
pub(super) struct Breaker {
    losses_max: u32,
    /// Least pause between probes, whichever gateway they are for.
    pace: Duration,
    next_probe: Instant,
    egresses: BTreeMap<IdentityKey, Egress>,
    open: usize,
    opened: u64,
    returned: u64,
}

impl Breaker {
    pub(super) const fn new(losses_max: u32, pace: Duration) -> Self {
        Self {
            losses_max,
            pace,
            next_probe: Instant::START,
            egresses: BTreeMap::new(),
            open: 0,
            opened: 0,
            returned: 0,
        }
    }

    /// Probes are at least this far apart from now on.
    pub(super) const fn set_pace(&mut self, pace: Duration) {
        self.pace = pace;
    }

    /// A packet to this gateway has not been acknowledged in time.
    pub(super) fn lost(&mut self, now: Instant, egress: &IdentityKey) {
        if !self.egresses.contains_key(egress) && self.egresses.len() >= EGRESSES_MAX {
            return;
        }
        let returned = self.returned;
        let entry =
            self.egresses.entry(*egress).or_insert(Egress { losses: 0, returned, probes: None });
        entry.losses = entry.losses.saturating_add(1);
        // that nothing comes back from anywhere is not this gateway's fault
        let since = returned.saturating_sub(entry.returned);
        if entry.probes.is_none()
            && self.losses_max > 0
            && entry.losses >= self.losses_max
            && since >= u64::from(self.losses_max)
        {
            entry.probes = Some(Probes { next: now, pause: PROBE_MIN });
            self.open += 1;
            self.opened += 1;
        }
    }

    /// An ack has come back, through this gateway or through an unknown one.
    pub(super) fn returned(&mut self, egress: Option<&IdentityKey>) {
        self.returned = self.returned.saturating_add(1);
        let entry = egress.and_then(|egress| self.egresses.remove(egress));
        if entry.is_some_and(|entry| entry.probes.is_some()) {
            self.open -= 1;
        }
    }

    /// True if a packet may go to this gateway now.
    pub(super) fn allows(&self, now: Instant, egress: &IdentityKey) -> bool {
        match self.egresses.get(egress).and_then(|entry| entry.probes.as_ref()) {
            Some(probes) => probes.next <= now && self.next_probe <= now,
            None => true,
        }
    }

    /// True if this gateway answers nothing.
    pub(super) fn is_open(&self, egress: &IdentityKey) -> bool {
        self.egresses.get(egress).is_some_and(|entry| entry.probes.is_some())
    }

    /// A packet goes to this gateway.
    pub(super) fn sent(&mut self, now: Instant, egress: &IdentityKey, jitter: &mut Stream) {
        let probes = self.egresses.get_mut(egress).and_then(|entry| entry.probes.as_mut());
        let Some(probes) = probes else { return };
        probes.next = now + probes.pause / 2 + jitter.up_to(probes.pause);
        probes.pause = probes.pause.saturating_mul(2).min(PROBE_MAX);
        self.next_probe = now + self.pace / 2 + jitter.up_to(self.pace);
    }

    /// Gateways that answer nothing.
    pub(super) const fn open(&self) -> usize {
        self.open
    }

    /// Times a gateway began to answer nothing.
    pub(super) const fn opened(&self) -> u64 {
        self.opened
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entropy::{Entropy, Purpose};
    use crate::identity::IdentityKeyPair;

    fn egress(seed: u8) -> IdentityKey {
        *IdentityKeyPair::from_seed(&[seed; 32]).public()
    }

    fn at(millis: u64) -> Instant {
        Instant::START + Duration::from_millis(millis)
    }

    fn breaker() -> Breaker {
        Breaker::new(4, Duration::from_millis(200))
    }

    #[test]
    fn a_gateway_that_loses_everything_while_others_answer_is_probed_slowly() {
        let mut breaker = breaker();
        let mut jitter = Entropy::new([1; 32]).stream(Purpose::Acks);
        for _ in 0..8 {
            breaker.lost(at(0), &egress(1));
            breaker.returned(Some(&egress(2)));
        }
        assert_eq!(breaker.open(), 1);
        assert!(breaker.is_open(&egress(1)) && !breaker.is_open(&egress(2)));
        let mut probes = 0;
        for millis in (0..60_000).step_by(20) {
            assert!(breaker.allows(at(millis), &egress(2)));
            if breaker.allows(at(millis), &egress(1)) {
                breaker.sent(at(millis), &egress(1), &mut jitter);
                probes += 1;
            }
        }
        assert!((4..10).contains(&probes), "{probes}");
        breaker.returned(Some(&egress(1)));
        assert_eq!(breaker.open(), 0);
        assert!(breaker.allows(at(60_000), &egress(1)));
    }

    #[test]
    fn no_gateway_is_blamed_while_nothing_comes_back_from_anywhere() {
        let mut breaker = breaker();
        for _ in 0..100 {
            breaker.lost(at(0), &egress(1));
        }
        assert_eq!(breaker.open(), 0);
        for _ in 0..4 {
            breaker.returned(None);
        }
        breaker.lost(at(0), &egress(1));
        assert_eq!(breaker.open(), 1);
    }

    #[test]
    fn an_ack_begins_the_row_anew() {
        let mut breaker = breaker();
        for _ in 0..100 {
            for _ in 0..3 {
                breaker.lost(at(0), &egress(1));
                breaker.returned(None);
            }
            breaker.returned(Some(&egress(1)));
        }
        assert_eq!(breaker.open(), 0);
    }

    #[test]
    fn many_dead_gateways_share_the_probes_of_one() {
        let mut breaker = breaker();
        let mut jitter = Entropy::new([1; 32]).stream(Purpose::Acks);
        let dead: Vec<IdentityKey> = (0..50).map(egress).collect();
        for egress in &dead {
            for _ in 0..8 {
                breaker.lost(at(0), egress);
                breaker.returned(None);
            }
        }
        let mut probes = 0;
        for millis in (0..10_000).step_by(20) {
            for egress in &dead {
                if breaker.allows(at(millis), egress) {
                    breaker.sent(at(millis), egress, &mut jitter);
                    probes += 1;
                }
            }
        }
        assert!((25..=100).contains(&probes), "{probes}");
    }

    #[test]
    fn the_gateways_counted_are_bounded() {
        let mut breaker = breaker();
        for n in 0..=EGRESSES_MAX {
            let mut seed = [0; 32];
            seed[..8].copy_from_slice(&(n as u64).to_be_bytes());
            breaker.lost(at(0), IdentityKeyPair::from_seed(&seed).public());
        }
        assert_eq!(breaker.egresses.len(), EGRESSES_MAX);
    }
}
