//! The programs that are connected, and who of them gets what arrives.

use core::time::Duration;
use std::collections::VecDeque;

use nym_proto::client::{Delivery, DeliveryOrigin};
use nym_proto::time::Instant;

use super::conversation::{self, CloseReason, Conversation};
use super::mailbox::Mailbox;
use super::query::{Query, Receive};
use super::response::Delivered;

/// Names a connection. Numbers are never reused within a run.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ProgramId(pub u64);

/// Handshakes going on at a time; the oldest makes room for a further one. Who connects and says
/// nothing holds no place, and nobody up.
const HANDSHAKES_MAX: usize = 32;

/// How many programs there can be, and what is kept for them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Settings {
    /// Programs connected at the same time. One by default: programs take a refusal for "runs
    /// already".
    pub programs_max: usize,
    /// How long the websocket handshake may take.
    pub handshake_timeout: Duration,
    /// Bytes of messages kept until a program has got them; the oldest make room.
    pub mailbox_bytes_max: usize,
    /// Bytes of copies kept for a program that gets copies; beyond that it is disconnected.
    pub copies_bytes_max: usize,
    /// How each of them is treated.
    pub conversation: conversation::Settings,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            programs_max: 1,
            handshake_timeout: Duration::from_secs(5),
            mailbox_bytes_max: 64 << 20,
            copies_bytes_max: 16 << 20,
            conversation: conversation::Settings::default(),
        }
    }
}

/// Something that happened.
#[derive(Clone, PartialEq, Debug)]
pub enum Event {
    /// A TCP connection was accepted, and its websocket handshake begins.
    Accepted(ProgramId),
    /// Its handshake is over: a program has connected.
    Connected(ProgramId, Query),
    /// Something happened to a program; `Ended` also if its handshake came to nothing.
    Program(ProgramId, conversation::Event),
    /// A message has arrived.
    Arrived(Delivery),
    /// The client ends: everybody has to go, and nobody is let in any more. What is to be written is
    /// written before.
    Shutdown,
    /// Time has passed.
    Tick,
}

/// Something to do.
#[derive(Clone, PartialEq, Debug)]
pub enum Action {
    /// What the conversation with this program wants. Never
    /// [`Delivered`](conversation::Action::Delivered). Before the handshake is over it can only be
    /// [`Close`](conversation::Action::Close): close the TCP connection without a word.
    Program(ProgramId, conversation::Action),
    /// Worth a line in the log: messages that no program had got made room for newer ones.
    Lost {
        /// How many.
        messages: usize,
        /// Their bytes.
        bytes: usize,
    },
}

/// All programs of a client, and the messages that wait for one.
///
/// A message that arrives goes to one program: of those that take messages
/// ([`Receive::First`]) the one that has been connected for longest. It is kept until the program's
/// socket has taken it; if the program goes before that, it goes to the next one. Programs that want
/// copies ([`Receive::Copy`]) get one of each message that arrives while they are connected, and take
/// nothing away. (protocol: websocket 1.3)
#[derive(Debug)]
pub struct Programs {
    settings: Settings,
    mailbox: Mailbox<ProgramId>,
    /// Until when each handshake has to be over, oldest first.
    handshakes: VecDeque<(ProgramId, Instant)>,
    /// In the order in which they came.
    programs: Vec<Program>,
    is_shutting_down: bool,
    actions: VecDeque<Action>,
}

#[derive(Debug)]
struct Program {
    id: ProgramId,
    conversation: Conversation,
    /// Of those that get copies.
    copies: Option<Mailbox<ProgramId>>,
}

impl Programs {
    /// Nobody is connected yet.
    #[must_use]
    pub const fn new(settings: Settings) -> Self {
        let mailbox = Mailbox::new(settings.mailbox_bytes_max);
        Self {
            settings,
            mailbox,
            handshakes: VecDeque::new(),
            programs: Vec::new(),
            is_shutting_down: false,
            actions: VecDeque::new(),
        }
    }

    /// True if one more program can connect. Handshakes going on do not count.
    #[must_use]
    pub fn has_room(&self) -> bool {
        let connected = self.programs.iter().filter(|program| !program.conversation.has_ended());
        !self.is_shutting_down && connected.count() < self.settings.programs_max
    }

    /// True if nobody is connected or about to be, and everything that was asked for is done.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.programs.is_empty() && self.handshakes.is_empty()
    }

    /// Messages that no program has got yet.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.mailbox.len()
    }

    /// Their bytes, and what it takes to keep them.
    #[must_use]
    pub const fn waiting_bytes(&self) -> usize {
        self.mailbox.bytes()
    }

    /// True if the next message of this program can be read.
    #[must_use]
    pub fn is_reading(&self, id: ProgramId) -> bool {
        self.programs.iter().any(|program| program.id == id && program.conversation.is_reading())
    }

    /// When to call [`handle`](Self::handle) with [`Event::Tick`] if nothing else happens.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Instant> {
        let conversations = self.programs.iter().filter_map(|p| p.conversation.next_deadline());
        conversations.chain(self.handshakes.front().map(|(_, until)| *until)).min()
    }

    /// The next thing to do.
    pub fn poll_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    /// Takes in what happened. Events of programs that are not there are ignored.
    pub fn handle(&mut self, now: Instant, event: Event) {
        match event {
            Event::Accepted(id) => self.handle_accepted(now, id),
            Event::Connected(id, query) => self.handle_connected(now, id, query),
            Event::Program(id, event) => self.handle_program(now, id, event),
            Event::Arrived(delivery) => self.handle_arrived(delivery),
            Event::Shutdown => self.handle_shutdown(),
            Event::Tick => {
                let tick = || conversation::Event::Tick;
                self.programs.iter_mut().for_each(|p| p.conversation.handle(now, tick()));
            }
        }
        while self.handshakes.front().is_some_and(|(_, until)| now >= *until) {
            self.give_up_handshake();
        }
        self.hand_out(now);
        self.collect();
    }

    fn handle_accepted(&mut self, now: Instant, id: ProgramId) {
        if self.is_known(id) {
            return;
        }
        if let Some(reason) = self.refusal() {
            self.close(id, reason);
            return;
        }
        if self.handshakes.len() >= HANDSHAKES_MAX {
            self.give_up_handshake();
        }
        self.handshakes.push_back((id, now + self.settings.handshake_timeout));
    }

    fn handle_shutdown(&mut self) {
        self.is_shutting_down = true;
        while let Some((id, _)) = self.handshakes.pop_front() {
            self.close(id, CloseReason::Shutdown);
        }
        self.programs.iter_mut().for_each(|p| p.conversation.close(CloseReason::Shutdown));
    }

    fn give_up_handshake(&mut self) {
        if let Some((id, _)) = self.handshakes.pop_front() {
            self.close(id, CloseReason::Handshake);
        }
    }

    /// Why nobody can connect, if nobody can.
    fn refusal(&self) -> Option<CloseReason> {
        let reason = if self.is_shutting_down { CloseReason::Shutdown } else { CloseReason::Full };
        (!self.has_room()).then_some(reason)
    }

    fn is_known(&self, id: ProgramId) -> bool {
        self.handshakes.iter().any(|(known, _)| *known == id)
            || self.programs.iter().any(|program| program.id == id)
    }

    fn close(&mut self, id: ProgramId, reason: CloseReason) {
        self.actions.push_back(Action::Program(id, conversation::Action::Close(reason)));
    }

    fn handle_connected(&mut self, now: Instant, id: ProgramId, query: Query) {
        let Some(at) = self.handshakes.iter().position(|(known, _)| *known == id) else {
            return;
        };
        self.handshakes.remove(at);
        if let Some(reason) = self.refusal() {
            self.close(id, reason);
            return;
        }
        let conversation = Conversation::new(self.settings.conversation, query.format, now);
        let copies = match query.receive {
            Receive::First => None,
            Receive::Copy => Some(Mailbox::new(self.settings.copies_bytes_max)),
        };
        self.programs.push(Program { id, conversation, copies });
    }

    fn handle_program(&mut self, now: Instant, id: ProgramId, event: conversation::Event) {
        let has_ended = event == conversation::Event::Ended;
        if has_ended {
            self.handshakes.retain(|(known, _)| *known != id);
        }
        let Some(program) = self.programs.iter_mut().find(|program| program.id == id) else {
            return;
        };
        program.conversation.handle(now, event);
        // what was taken before the end is taken
        self.collect();
        if has_ended {
            self.mailbox.take_back(id);
        }
    }

    fn handle_arrived(&mut self, delivery: Delivery) {
        let message = Delivered {
            data: delivery.data,
            tag: match delivery.origin {
                DeliveryOrigin::Anonymous(tag) => Some(tag),
                DeliveryOrigin::Plain | DeliveryOrigin::Reply(_) => None,
            },
        };
        for program in
            self.programs.iter_mut().filter(|program| program.conversation.is_connected())
        {
            let lost = program.copies.as_mut().map(|copies| copies.push(message.clone()));
            if lost.is_some_and(|lost| lost.messages > 0) {
                program.conversation.close(CloseReason::Stalled);
            }
        }
        let lost = self.mailbox.push(message);
        if lost.messages > 0 {
            let (messages, bytes) = (lost.messages, lost.bytes);
            self.actions.push_back(Action::Lost { messages, bytes });
        }
    }

    /// Hands messages to the programs that want them.
    fn hand_out(&mut self, now: Instant) {
        let mailbox = &mut self.mailbox;
        let mut is_taken = false;
        for Program { id, conversation, copies } in &mut self.programs {
            let from = match copies {
                Some(copies) => copies,
                None if is_taken || !conversation.is_connected() => continue,
                None => {
                    is_taken = true;
                    &mut *mailbox
                }
            };
            while conversation.wants_delivery() {
                let Some((number, message)) = from.lend(*id) else {
                    break;
                };
                conversation.handle(now, conversation::Event::Delivery { number, message });
            }
        }
    }

    /// Collects what the conversations want, and drops those that are finished.
    fn collect(&mut self) {
        for Program { id, conversation, copies } in &mut self.programs {
            while let Some(action) = conversation.poll_action() {
                match action {
                    conversation::Action::Delivered(number) => {
                        copies.as_mut().unwrap_or(&mut self.mailbox).remove(number);
                    }
                    action => self.actions.push_back(Action::Program(*id, action)),
                }
            }
        }
        self.programs.retain(|program| !program.conversation.is_finished());
    }
}

#[cfg(test)]
#[path = "programs_tests.rs"]
mod tests;
