//! What forwarding costs and how a gateway keeps the books. (protocol: gateway 11)

use thiserror::Error;

use crate::sphinx::PacketSize;
use crate::time::UnixTime;

/// What one free claim grants, in bytes.
pub const FREE_GRANT: i64 = 64 * 1024 * 1024 * 1024; // protocol: gateway 11.3
/// A client whose balance is below this number of bytes claims more.
pub const CLAIM_BELOW: i64 = 40_000_000; // protocol: gateway 11.4
/// The least balance a gateway reports in upgrade mode, in bytes.
pub const UPGRADE_MODE_FLOOR: i64 = CLAIM_BELOW + 1; // protocol: gateway 12

const DAY: u64 = 24 * 60 * 60;
/// Days a ticket's grant lasts after the day it was spent.
const TICKET_DAYS: u64 = 6; // protocol: gateway 11.5

/// What forwarding a packet costs, in bytes. (protocol: gateway 11.1)
#[must_use]
pub const fn price(size: PacketSize) -> i64 {
    // packets have at most 33133 bytes
    size.packet_len() as i64
}

/// The beginning of the day of `now`, UTC.
#[must_use]
pub const fn midnight(now: UnixTime) -> UnixTime {
    UnixTime::from_secs(now.as_secs() / DAY * DAY)
}

/// A client cannot pay for a packet; it must not be forwarded.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
#[error("out of bandwidth: {required} bytes required, {available} available")]
pub struct OutOfBandwidth {
    /// Price of the packet in bytes.
    pub required: i64,
    /// The client's balance in bytes.
    pub available: i64,
}

/// Kinds of tickets. (protocol: gateway 11.5)
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum TicketKind {
    /// Type code 0, 200 MB: traffic through an entry gateway.
    MixnetEntry,
    /// Type code 1, 100 MB: traffic through an exit gateway.
    MixnetExit,
    /// Type code 2, 500 MB.
    WireguardEntry,
    /// Type code 3, 500 MB.
    WireguardExit,
}

impl TicketKind {
    /// What a ticket of this kind grants, in bytes.
    #[must_use]
    pub const fn grant(self) -> i64 {
        match self {
            Self::MixnetEntry => 200_000_000,
            Self::MixnetExit => 100_000_000,
            Self::WireguardEntry | Self::WireguardExit => 500_000_000,
        }
    }
}

/// A gateway's books on one client. (protocol: gateway 11.2)
///
/// The balance is in bytes and may be negative. It is void once its expiry, always a midnight UTC,
/// lies before the current day. The `Default` is a client nobody granted anything.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct BandwidthAccount {
    available: i64,
    expiry: UnixTime,
}

impl BandwidthAccount {
    /// An account as it was stored: see [`available`](Self::available) and
    /// [`expiry`](Self::expiry).
    #[must_use]
    pub const fn restore(available: i64, expiry: UnixTime) -> Self {
        Self { available, expiry }
    }

    /// The balance in bytes as it stands in the books, expired or not.
    #[must_use]
    pub const fn available(&self) -> i64 {
        self.available
    }

    /// The last day of the balance, as the midnight it begins with.
    #[must_use]
    pub const fn expiry(&self) -> UnixTime {
        self.expiry
    }

    /// Pays for a packet and returns what is left.
    pub fn charge(&mut self, now: UnixTime, size: PacketSize) -> Result<i64, OutOfBandwidth> {
        self.drop_expired(now);
        let required = price(size);
        if self.available < required {
            return Err(OutOfBandwidth { required, available: self.available });
        }
        // cannot overflow: available >= required > 0
        self.available -= required;
        Ok(self.available)
    }

    /// Books a free claim and returns the new balance. It lasts until the next midnight.
    pub fn grant_free(&mut self, now: UnixTime) -> i64 {
        self.grant(FREE_GRANT, midnight(now))
    }

    /// Books a ticket and returns the new balance.
    pub fn grant_ticket(&mut self, now: UnixTime, ticket: TicketKind) -> i64 {
        let last_day = now.as_secs().saturating_add(TICKET_DAYS * DAY);
        self.grant(ticket.grant(), midnight(UnixTime::from_secs(last_day)))
    }

    /// Drops an expired balance and returns what the `authenticate` response reports.
    pub fn on_authenticate(&mut self, now: UnixTime) -> i64 {
        self.drop_expired(now);
        self.available
    }

    fn grant(&mut self, bytes: i64, expiry: UnixTime) -> i64 {
        self.available = self.available.saturating_add(bytes);
        self.expiry = expiry;
        self.available
    }

    fn drop_expired(&mut self, now: UnixTime) {
        if self.expiry < midnight(now) {
            *self = Self::default();
        }
    }
}

#[cfg(test)]
mod tests {
    use core::time::Duration;

    use super::*;

    const NOON: UnixTime = UnixTime::from_secs(1_767_225_600 + DAY / 2);

    #[test]
    fn a_new_client_has_nothing() {
        let mut account = BandwidthAccount::default();
        let expected = OutOfBandwidth { required: 2413, available: 0 };
        assert_eq!(account.charge(NOON, PacketSize::Regular), Err(expected));
    }

    #[test]
    fn free_grants_add_up_and_packets_cost_their_sphinx_length() {
        let mut account = BandwidthAccount::default();
        account.grant_free(NOON);
        assert_eq!(account.grant_free(NOON), 2 * 68_719_476_736);
        let left = account.charge(NOON, PacketSize::Ack);
        assert_eq!(left, Ok(2 * 68_719_476_736 - 386));
    }

    #[test]
    fn free_bandwidth_vanishes_at_midnight_and_not_a_nanosecond_before() {
        let mut account = BandwidthAccount::default();
        account.grant_free(NOON);
        let next_day = midnight(NOON) + Duration::from_secs(DAY);
        let just_before = UnixTime::from_nanos(next_day.as_nanos() - 1);
        assert!(account.charge(just_before, PacketSize::Regular).is_ok());
        let expected = OutOfBandwidth { required: 2413, available: 0 };
        assert_eq!(account.charge(next_day, PacketSize::Regular), Err(expected));
        assert_eq!(account.expiry(), UnixTime::from_secs(0));
    }

    #[test]
    fn a_grant_revives_an_expired_remainder_but_an_authentication_drops_it() {
        let tomorrow = NOON + Duration::from_secs(DAY);
        let mut account = BandwidthAccount::default();
        account.grant_free(NOON);
        assert_eq!(account.clone().grant_free(tomorrow), 2 * FREE_GRANT);
        assert_eq!(account.on_authenticate(tomorrow), 0);
        assert_eq!(account.grant_free(tomorrow), FREE_GRANT);
    }

    #[test]
    fn a_ticket_lasts_seven_days_with_the_day_it_was_spent() {
        let mut account = BandwidthAccount::default();
        account.grant_ticket(NOON, TicketKind::MixnetEntry);
        let last_day = NOON + Duration::from_secs(6 * DAY);
        assert_eq!(account.on_authenticate(last_day), 200_000_000);
        assert_eq!(account.on_authenticate(last_day + Duration::from_secs(DAY)), 0);
    }

    #[test]
    fn exactly_the_price_is_enough_and_a_negative_balance_is_not() {
        let mut account = BandwidthAccount::restore(2413, midnight(NOON));
        assert_eq!(account.charge(NOON, PacketSize::Regular), Ok(0));
        let mut account = BandwidthAccount::restore(-5, midnight(NOON));
        let refused = account.charge(NOON, PacketSize::Ack).unwrap_err();
        assert_eq!(refused.available, -5);
    }
}
