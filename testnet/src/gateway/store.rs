//! What a gateway keeps across restarts. (protocol: gateway 3.3, 14.4)

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;
use nym_proto::gateway::{BandwidthAccount, STORED_MESSAGE_LIFETIME, SharedKey};
use nym_proto::identity::IdentityKey;
use nym_proto::time::UnixTime;

/// A gateway's memory: its clients, and the messages of those who are away.
#[derive(Clone, Debug, Default)]
pub struct GatewayStore {
    clients: BTreeMap<IdentityKey, ClientRecord>,
    messages: BTreeMap<[u8; 32], VecDeque<StoredMessage>>,
    message_bytes: usize,
    next_id: u64,
}

/// What a gateway knows about one client.
#[derive(Clone, Debug)]
pub(crate) struct ClientRecord {
    pub(crate) key: SharedKey,
    /// Seconds; of the last accepted authentication.
    pub(crate) last_authentication: Option<u64>,
    pub(crate) bandwidth: BandwidthAccount,
}

/// A message for an absent client.
#[derive(Clone, Debug)]
pub(crate) struct StoredMessage {
    pub(crate) id: u64,
    pub(crate) data: Bytes,
    arrived: UnixTime,
}

impl GatewayStore {
    /// An empty memory.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Number of clients that hold a key.
    #[must_use]
    pub fn clients(&self) -> usize {
        self.clients.len()
    }

    /// Number of messages waiting for all clients together.
    #[must_use]
    pub fn messages(&self) -> usize {
        self.messages.values().map(VecDeque::len).sum()
    }

    /// Number of messages waiting for one client.
    #[must_use]
    pub fn messages_for(&self, client: &IdentityKey) -> usize {
        self.messages.get(client.as_bytes()).map_or(0, VecDeque::len)
    }

    /// The messages waiting for one client, oldest first.
    pub fn messages_of(&self, client: &IdentityKey) -> impl Iterator<Item = &[u8]> {
        self.waiting(client, 0).map(|message| &*message.data)
    }

    pub(crate) fn client(&self, client: &IdentityKey) -> Option<&ClientRecord> {
        self.clients.get(client)
    }

    pub(crate) fn client_mut(&mut self, client: &IdentityKey) -> Option<&mut ClientRecord> {
        self.clients.get_mut(client)
    }

    /// Stores a client's new key; books and timestamp of a known client stay. False if there are
    /// too many clients. (protocol: gateway 6.4)
    pub(crate) fn register(
        &mut self,
        client: IdentityKey,
        key: SharedKey,
        clients_max: usize,
    ) -> bool {
        if let Some(record) = self.clients.get_mut(&client) {
            record.key = key;
            return true;
        }
        let fits = self.clients.len() < clients_max;
        if fits {
            let bandwidth = BandwidthAccount::default();
            let record = ClientRecord { key, last_authentication: None, bandwidth };
            self.clients.insert(client, record);
        }
        fits
    }

    /// Voids what all clients were granted.
    pub(crate) fn expire_bandwidth(&mut self) {
        for record in self.clients.values_mut() {
            record.bandwidth = BandwidthAccount::default();
        }
    }

    /// Forgets everything about a client. (protocol: gateway 13)
    pub(crate) fn forget(&mut self, client: &IdentityKey) {
        self.clients.remove(client);
        for message in self.messages.remove(client.as_bytes()).unwrap_or_default() {
            self.message_bytes -= message.data.len();
        }
    }

    /// Takes the messages of a client out.
    pub(crate) fn take(&mut self, client: &IdentityKey) -> Vec<Bytes> {
        let messages = self.messages.remove(client.as_bytes()).unwrap_or_default();
        let taken: Vec<Bytes> = messages.into_iter().map(|message| message.data).collect();
        self.message_bytes -= taken.iter().map(Bytes::len).sum::<usize>();
        taken
    }

    /// Keeps a message. False if there is no room.
    pub(crate) fn keep(
        &mut self,
        destination: [u8; 32],
        data: Bytes,
        now: UnixTime,
        limits: &StoreLimits,
    ) -> bool {
        let held = self.messages.get(&destination).map_or(0, VecDeque::len);
        if held >= limits.messages_per_client_max
            || self.message_bytes + data.len() > limits.message_bytes_max
            || (held == 0 && self.messages.len() >= limits.destinations_max)
        {
            return false;
        }
        self.message_bytes += data.len();
        let message = StoredMessage { id: self.next_id, data, arrived: now };
        self.next_id += 1;
        self.messages.entry(destination).or_default().push_back(message);
        true
    }

    /// The messages of a client with ids from `first` on, oldest first.
    pub(crate) fn waiting(
        &self,
        client: &IdentityKey,
        first: u64,
    ) -> impl Iterator<Item = &StoredMessage> {
        let messages = self.messages.get(client.as_bytes());
        messages.into_iter().flatten().filter(move |message| message.id >= first)
    }

    /// True if a client has a message with an id from `first` on.
    pub(crate) fn has_waiting(&self, destination: &[u8; 32], first: u64) -> bool {
        let newest = self.messages.get(destination).and_then(VecDeque::back);
        newest.is_some_and(|message| message.id >= first)
    }

    /// Drops the messages of a client with ids below `end`: they have been delivered.
    pub(crate) fn drop_below(&mut self, client: &IdentityKey, end: u64) {
        self.drop_oldest_while(client.as_bytes(), |message| message.id < end);
    }

    /// Drops messages that have waited too long. (protocol: gateway 14.4)
    pub(crate) fn purge(&mut self, now: UnixTime) {
        let destinations: Vec<[u8; 32]> = self.messages.keys().copied().collect();
        for destination in destinations {
            self.drop_oldest_while(&destination, |message| {
                now.since(message.arrived) > STORED_MESSAGE_LIFETIME
            });
        }
    }

    fn drop_oldest_while(
        &mut self,
        destination: &[u8; 32],
        is_over: impl Fn(&StoredMessage) -> bool,
    ) {
        let Some(messages) = self.messages.get_mut(destination) else {
            return;
        };
        while let Some(message) = messages.pop_front_if(|message| is_over(message)) {
            self.message_bytes -= message.data.len();
        }
        if messages.is_empty() {
            self.messages.remove(destination);
        }
    }
}

/// Capacities of a [`GatewayStore`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct StoreLimits {
    /// Clients with a key.
    pub clients_max: usize,
    /// Addresses with messages, registered or not.
    pub destinations_max: usize,
    /// Messages waiting for one client.
    pub messages_per_client_max: usize,
    /// Bytes of all waiting messages.
    pub message_bytes_max: usize,
}

impl Default for StoreLimits {
    fn default() -> Self {
        Self {
            clients_max: 65_536,
            destinations_max: 65_536,
            messages_per_client_max: 10_000,
            message_bytes_max: 64 << 20,
        }
    }
}

#[cfg(test)]
mod tests {
    use core::time::Duration;

    use nym_proto::identity::IdentityKeyPair;

    use super::*;

    fn client() -> IdentityKey {
        *IdentityKeyPair::from_seed(&[1; 32]).public()
    }

    fn keep(store: &mut GatewayStore, byte: u8, now: UnixTime, limits: &StoreLimits) -> bool {
        store.keep(*client().as_bytes(), vec![byte; 10].into(), now, limits)
    }

    fn contents(store: &GatewayStore, first: u64) -> Vec<u8> {
        store.waiting(&client(), first).map(|message| message.data[0]).collect()
    }

    #[test]
    fn messages_wait_in_order_until_they_are_dropped_as_delivered() {
        let mut store = GatewayStore::new();
        for byte in 0..5 {
            assert!(keep(&mut store, byte, UnixTime::from_secs(1), &StoreLimits::default()));
        }
        assert_eq!(contents(&store, 3), [3, 4]);
        store.drop_below(&client(), 2);
        assert_eq!(contents(&store, 0), [2, 3, 4]);
        assert!(store.has_waiting(client().as_bytes(), 4));
        assert!(!store.has_waiting(client().as_bytes(), 5));
    }

    #[test]
    fn the_store_refuses_beyond_its_limits_and_takes_again_when_there_is_room() {
        let now = UnixTime::from_secs(1);
        let limits = StoreLimits { message_bytes_max: 25, ..StoreLimits::default() };
        let mut store = GatewayStore::new();
        assert!(keep(&mut store, 0, now, &limits));
        assert!(keep(&mut store, 1, now, &limits));
        assert!(!keep(&mut store, 2, now, &limits));
        store.drop_below(&client(), 1);
        assert!(keep(&mut store, 3, now, &limits));
        let per_client = StoreLimits { messages_per_client_max: 2, ..StoreLimits::default() };
        assert!(!keep(&mut store, 4, now, &per_client));
    }

    #[test]
    fn messages_are_purged_after_a_day() {
        let start = UnixTime::from_secs(1_000_000);
        let mut store = GatewayStore::new();
        keep(&mut store, 0, start, &StoreLimits::default());
        keep(&mut store, 1, start + Duration::from_secs(3600), &StoreLimits::default());
        store.purge(start + Duration::from_secs(24 * 3600 + 1));
        assert_eq!(contents(&store, 0), [1]);
        store.forget(&client());
        assert_eq!(store.messages(), 0);
        assert_eq!(store.message_bytes, 0);
    }
}
