//! A state put together from what another client kept, and the choice among its registrations.

use super::{Entry, EntryKey, State, SurbBytes};
use crate::address::Recipient;
use crate::client::Registration;
use crate::identity::IdentityKey;
use crate::message::{ReplySurb, SenderTag};
use crate::sphinx::KeyRotation;
use crate::time::UnixTime;

impl State {
    /// Adds a registration, in place of one with the same gateway.
    pub fn add_registration(&mut self, registration: Registration) {
        let written_at = UnixTime::from_secs(registration.last_authentication);
        self.add(written_at, Entry::Registration(registration));
    }

    /// Adds a recipient that was written to anonymously, who knows the client by `tag`.
    pub fn add_contact(&mut self, written_at: UnixTime, recipient: Recipient, tag: SenderTag) {
        let all = EntryKey::Contact(0)..=EntryKey::Contact(u64::MAX);
        let conversation = match self.entries.range(all).next_back() {
            Some((EntryKey::Contact(last), _)) => last.saturating_add(1),
            _ => 0,
        };
        self.add(written_at, Entry::Contact { conversation, recipient, tag });
    }

    /// Adds a SURB that came from the correspondent `tag` at `received_at`, and the correspondent: as
    /// one who was not answered yet, so that it is not told the client's address unasked.
    pub fn add_surb(
        &mut self,
        received_at: UnixTime,
        tag: SenderTag,
        stamp: KeyRotation,
        surb: &ReplySurb,
    ) {
        if !self.entries.contains_key(&EntryKey::Peer(tag)) {
            self.add(received_at, Entry::Peer { tag, is_answered: false });
        }
        let own = EntryKey::Surb(tag, 0)..=EntryKey::Surb(tag, u64::MAX);
        let number = match self.entries.range(own).next_back() {
            Some((EntryKey::Surb(_, last), _)) => last.saturating_add(1),
            _ => 0,
        };
        let surb = SurbBytes::new(surb);
        self.add(received_at, Entry::Surb { tag, number, stamp, rotation: None, surb });
    }

    /// Makes the registration with this gateway count as the one used last, so that a client with
    /// [`GatewayChoice::Random`](crate::client::GatewayChoice::Random) begins with it. False if there is
    /// none with it.
    pub fn prefer(&mut self, gateway: &IdentityKey) -> bool {
        let latest = self.registration().map(|latest| (latest.gateway, latest.last_authentication));
        let entry = self.entries.get_mut(&EntryKey::Registration(*gateway));
        let Some((_, Entry::Registration(registration))) = entry else {
            return false;
        };
        if let Some((used, at)) = latest
            && used != *gateway
        {
            // an authentication must only be later than this; the next one is
            registration.last_authentication = at.saturating_add(1);
        }
        true
    }

    fn add(&mut self, written_at: UnixTime, entry: Entry) {
        self.entries.insert(entry.key(), (written_at, entry));
    }
}
