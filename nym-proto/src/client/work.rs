//! What comes after every event: concerns are told the time, and what they decided is carried out.

use super::directory::DirectoryOutput;
use super::session::SessionOutput;
use super::state::{Entry, EntryKey};
use super::{Action, Client, ConnectionId, Fact, StopReason, WsFrame};
use crate::time::Instant;

impl Client {
    pub(super) fn work(&mut self, is_tick: bool) {
        let now = self.now;
        if self.is_stopped {
            return;
        }
        self.session.tick(now);
        self.directory.tick(now);
        self.pass_on();
        if self.is_stopped {
            return;
        }
        self.acks.tick(now);
        self.expire();
        self.queue_overdue();
        self.note_unreachable();
        if self.next_housekeeping <= now {
            self.housekeeping();
        }
        if is_tick {
            self.serve_slots();
        }
        self.pass_on();
        self.follow_demand();
        self.say_writable();
        self.judge();
        let is_drained = self.ends_early && !self.outbox.has_user_messages();
        if is_drained || self.drain_until.is_some_and(|until| until <= now) {
            self.stop(StopReason::Requested);
        }
        self.persist();
    }

    /// Carries out what session and directory decided, until neither has anything to say.
    pub(super) fn pass_on(&mut self) {
        loop {
            let from_session = self.session.outputs();
            let from_directory = self.directory.outputs();
            if from_session.is_empty() && from_directory.is_empty() {
                break;
            }
            for output in from_session {
                self.on_session(output);
            }
            for output in from_directory {
                self.on_directory(output);
            }
        }
        self.stats.bandwidth = self.session.bandwidth();
    }

    pub(super) fn on_session(&mut self, output: SessionOutput) {
        match output {
            SessionOutput::Connect { connection, urls } => {
                self.is_blocked = false;
                self.act(Action::Connect { connection, urls })
            }
            SessionOutput::Write { connection, frame } => self.write(connection, frame),
            SessionOutput::Disconnect { connection } => self.act(Action::Disconnect { connection }),
            SessionOutput::Connectivity(state) => {
                self.link_state = state;
                self.show_connectivity();
            }
            SessionOutput::Registered(registration) => {
                self.journal.put(Entry::Registration(registration));
            }
            SessionOutput::Forgotten(gateway) => {
                self.journal.erase(EntryKey::Registration(gateway));
            }
            SessionOutput::Up => self.on_up(),
            SessionOutput::Down => {
                self.is_blocked = false;
                self.drop_next_slot();
                self.acks.pause(self.now);
                self.health.interrupted();
            }
            SessionOutput::Failed { failure, retry_in } => {
                self.report(Fact::ConnectionFailed { failure, retry_in });
            }
            SessionOutput::Unusable(failure) => self.on_unusable(failure),
            SessionOutput::Push(message) => self.receive(message),
            SessionOutput::GatewayError(message) => self.report(Fact::GatewayError(message)),
            SessionOutput::BadFrame => {
                self.stats.bad_frames += 1;
                self.report(Fact::BadFrame);
            }
        }
    }

    pub(super) fn on_directory(&mut self, output: DirectoryOutput) {
        match output {
            DirectoryOutput::Fetch { fetch, url } => self.act(Action::Fetch { fetch, url }),
            DirectoryOutput::Topology { topology, refused, info } => {
                let unix = self.session.unix_time(self.now);
                self.replies.set_rotations(self.now, unix, info, &topology);
                self.install_topology(topology, refused);
            }
            DirectoryOutput::Failed { reason, retry_in } => {
                self.report(Fact::DirectoryFailed { reason, retry_in });
            }
        }
    }

    pub(super) fn on_up(&mut self) {
        let now = self.now;
        self.stats.sessions += 1;
        self.directory.approve();
        if let Some(address) = self.address().filter(|_| !self.was_up) {
            self.was_up = true;
            self.report(Fact::Address(address));
        }
        self.acks.resume_after_outage(now);
        self.schedule.start(now);
    }

    /// The earliest deadline of those that the application has no influence on.
    pub(super) fn link_deadline(&self) -> Option<Instant> {
        let slot = self.schedule.deadline();
        let housekeeping = slot.map(|_| self.next_housekeeping);
        let others = [self.session.deadline(), self.directory.deadline()];
        [slot, housekeeping].into_iter().chain(others).flatten().min()
    }

    /// After a sleep or a change of the network: nothing is what it was.
    pub(super) fn look_around(&mut self, now: Instant) {
        self.session.hurry(now);
        self.directory.refresh_now(now);
        self.health.interrupted();
    }

    // ---- small things ----------------------------------------------------------------------

    pub(super) fn set_blocked(&mut self, connection: ConnectionId, is_blocked: bool) {
        if self.session.is_current(connection) {
            self.is_blocked = is_blocked;
            self.health.interrupted();
            match is_blocked {
                true => self.acks.pause(self.now),
                false if self.session.is_ready() => self.acks.resume(self.now),
                false => {}
            }
        }
    }

    pub(super) fn write(&mut self, connection: ConnectionId, frame: WsFrame) {
        self.stats.bytes_written += frame.len() as u64;
        self.writes_queued += 1;
        self.act(Action::Write { connection, frame });
    }

    /// Facts are dropped while the shell does not drain its actions; everything else is needed.
    pub(super) fn report(&mut self, fact: Fact) {
        if self.actions.len() < self.config.limits.actions_max {
            self.act(Action::Report(fact));
        }
    }

    pub(super) fn act(&mut self, action: Action) {
        if matches!(action, Action::Write { .. } | Action::Deliver(_) | Action::Stopped(_)) {
            self.persist();
        }
        self.actions.push_back(action);
    }

    /// What the concerns want kept becomes an action: at the latest before the next frame or
    /// delivery, which it makes good. Finished sets go first: better not to have the SURBs of a
    /// message than to take them in twice.
    pub(super) fn persist(&mut self) {
        let unix = self.session.unix_time(self.now);
        let mut changes = Vec::new();
        self.journal.drain_into(unix, &mut changes);
        self.inbox.journal().drain_into(unix, &mut changes);
        self.replies.drain_changes(unix, &mut changes);
        if !changes.is_empty() {
            self.stats.changes += changes.len() as u64;
            self.changes_queued += changes.len();
            self.actions.push_back(Action::Persist(changes));
        }
    }
}
