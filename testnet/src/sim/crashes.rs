//! Clients that crash and start again from what they kept.

use nym_proto::client::{Client, Config, Event, MemoryStore, Parts, Refused, RefusedReason};
use nym_proto::entropy::Stream;
use nym_proto::identity::Identity;

use super::queue::{AtClient, Item};
use super::{ClientIx, Sim};

/// What it takes to start a client again.
#[derive(Debug)]
pub(super) struct Origin {
    pub(super) config: Config,
    pub(super) identity: Identity,
    /// Seeds of its lives.
    pub(super) seeds: Stream,
}

impl Sim {
    /// The client's process ends at once. What it had asked to be kept is kept; its connection is
    /// reset; messages it had accepted and not reported as ended never end.
    pub fn crash_client(&mut self, client: ClientIx) {
        let now = self.now;
        let host = &mut self.clients[client.0];
        if host.is_crashed {
            return;
        }
        (host.is_crashed, host.is_suspended) = (true, false);
        (host.crash_after, host.timer, host.deadline) = (None, None, None);
        host.crashes.push(now);
        host.late.clear();
        let backlog = core::mem::take(&mut host.backlog);
        self.note_fault("crash_client", |f| f.word("client", client.0 as u64));
        self.disconnect(client.0, None);
        let is_for_it = |item: &Item| match item {
            Item::AtClient { client: to, .. } | Item::Request { client: to, .. } => *to == client.0,
            _ => false,
        };
        let under_way = self.queue.take_if(is_for_it).into_iter().filter_map(|item| match item {
            Item::AtClient { what, .. } => Some(what),
            _ => None,
        });
        for what in backlog.into_iter().chain(under_way) {
            self.lose(client.0, what);
        }
    }

    /// The client will crash when it has carried out this many more actions.
    pub fn crash_client_after(&mut self, client: ClientIx, actions: u64) {
        if actions == 0 {
            self.crash_client(client);
        } else {
            self.clients[client.0].crash_after = Some(actions);
        }
    }

    /// Starts a client that has crashed: the same identity and settings, a fresh seed, and what it
    /// had kept. One that has not crashed yet will not.
    pub fn restart_client(&mut self, client: ClientIx) {
        self.clients[client.0].crash_after = None;
        let (now, unix_time) = (self.now, self.unix_time());
        let parts = Parts { builder: self.builder(), ..Parts::default() };
        if !core::mem::take(&mut self.clients[client.0].is_crashed) {
            return;
        }
        self.note_fault("restart_client", |f| f.word("client", client.0 as u64));
        let host = &mut self.clients[client.0];
        let (now, unix_time) = (host.clock(now), host.wall(unix_time));
        let origin = &mut host.origin;
        let mut config = origin.config.clone();
        config.state = host.kept.state();
        let (identity, seed) = (origin.identity.clone(), origin.seeds.bytes());
        host.machine = Client::with_parts(config, identity, seed, now, unix_time, parts);
        host.relied_on = (0, 0);
        self.drain_client(client.0);
    }

    /// What a crashed client had kept is gone.
    pub fn forget(&mut self, client: ClientIx) {
        self.note_fault("forget", |f| f.word("client", client.0 as u64));
        self.clients[client.0].kept = MemoryStore::new();
    }

    /// A frame is written. If anything was done since the last one that has to survive a crash, a
    /// client that would begin with what is kept by now is compared with this one.
    pub(super) fn check_records(&mut self, client: usize) {
        let host = &self.clients[client];
        let stats = host.machine.stats();
        let relied_on = (stats.surbs_made, stats.surbs_used);
        if relied_on == host.relied_on {
            return;
        }
        let (now, unix_time) = (host.clock(self.now), host.wall(self.unix_time()));
        let parts = Parts { builder: self.builder(), ..Parts::default() };
        let mut config = host.origin.config.clone();
        config.state = host.kept.state();
        let has_registration = config.state.registration().is_some();
        let identity = host.origin.identity.clone();
        let again = Client::with_parts(config, identity, [0; 32], now, unix_time, parts).usage();
        let usage = host.machine.usage();
        let is_kept = has_registration
            && again.tags >= usage.tags
            && again.reply_keys >= usage.reply_keys
            && again.surbs <= usage.surbs;
        let host = &mut self.clients[client];
        host.relied_on = relied_on;
        if !is_kept && host.unkept.is_none() {
            host.unkept = Some(format!("it has {usage:?}; what is kept gives {again:?}"));
        }
    }

    /// An event for a client that is not there.
    pub(super) fn missed(&self, client: usize, event: Event) -> Result<(), Refused> {
        debug_assert!(self.clients[client].is_crashed, "only a crashed client misses events");
        match event {
            Event::Send(message) => {
                Err(Refused { reason: RefusedReason::ShuttingDown, message: Box::new(message) })
            }
            _ => Ok(()),
        }
    }

    /// Something arrives where nobody is.
    pub(super) fn lose(&mut self, client: usize, what: AtClient) {
        if let AtClient::Frame { frame, push, .. } = what {
            self.lose_push(client, &frame, push);
        }
    }

    /// Counts an action of the client. True if it was the last one before a crash.
    pub(super) fn is_last_action(&mut self, client: usize) -> bool {
        let Some(left) = &mut self.clients[client].crash_after else {
            return false;
        };
        *left -= 1;
        *left == 0
    }
}
