//! A client with a gateway and correspondents that keep next to nothing.

use core::time::Duration;

use bytes::{Bytes, BytesMut};
use nym_fuzz_targets::client::bob::Bob;
use nym_fuzz_targets::client::gateway::FakeGateway;
use nym_fuzz_targets::net::{self, Walker};
use nym_proto::address::Recipient;
use nym_proto::client::{
    Action, Client, Config, ConnectionId, Event, GatewayChoice, Lane, MessageId, Network, Outgoing,
    RefusedReason, Registration, Target, WsFrame,
};
use nym_proto::gateway::{ForwardRequest, GatewayText, seal_push_with};
use nym_proto::identity::IdentityKeyPair;
use nym_proto::limits::Limits;
use nym_proto::message::ReplySurb;
use nym_proto::time::{Instant, UnixTime};
use nym_testnet::transparent::TransparentBuilder;

/// Mean time between slots.
const SLOT: Duration = Duration::from_millis(1);

pub(crate) struct Rig {
    pub(crate) client: Client,
    pub(crate) now: Instant,
    pub(crate) bob: Bob,
    gateway: FakeGateway,
    connection: Option<ConnectionId>,
    packets: TransparentBuilder,
    walker: Walker,
    next_message: u64,
    /// The gateway answers to packets.
    pub(crate) is_answering: bool,
    /// Actions are polled after each event.
    pub(crate) is_drained: bool,
    /// Bob reads what is sent to him.
    pub(crate) is_read: bool,
}

/// One of those who share Bob's encryption key.
pub(crate) fn recipient(number: u8) -> Recipient {
    let identity = *IdentityKeyPair::from_seed(&[number; 32]).public();
    Recipient { identity, ..net::recipient() }
}

impl Rig {
    /// A client that is connected, with frequent slots and patience.
    pub(crate) fn ready(limits: Limits) -> Self {
        let mut config = Config::new(Network::Fixed(net::topology()));
        let gateway = *net::node_identity(0).public();
        let shared_key = net::shared_key();
        config.state = Registration { gateway, shared_key, last_authentication: 0 }.into();
        config.gateway = GatewayChoice::Given(gateway);
        config.limits = limits;
        config.traffic.main_interval = SLOT;
        config.traffic.loop_interval = None;
        config.acks.wait_addition = config.acks.wait_max;
        let (now, unix_time) = (Instant::START, UnixTime::from_secs(net::UNIX_START));
        let builder = Box::new(TransparentBuilder::new());
        let client = Client::with_builder(config, net::alice(), [5; 32], now, unix_time, builder);
        let mut rig = Self {
            client,
            now,
            bob: Bob::new(),
            gateway: FakeGateway::new(),
            connection: None,
            packets: TransparentBuilder::new(),
            walker: Walker::new(),
            next_message: 0,
            is_answering: true,
            is_drained: true,
            is_read: false,
        };
        rig.drain();
        assert!(rig.client.connectivity().is_up());
        rig
    }

    pub(crate) fn address(&self) -> Recipient {
        self.client.address().unwrap()
    }

    /// Sends a message; why not, if it was not accepted.
    pub(crate) fn send(&mut self, target: Target, len: usize) -> Result<(), RefusedReason> {
        self.send_on(Lane::General, target, len)
    }

    pub(crate) fn send_on(
        &mut self,
        lane: Lane,
        target: Target,
        len: usize,
    ) -> Result<(), RefusedReason> {
        let id = MessageId(self.next_message);
        self.next_message += 1;
        // a copy of its own, as from an application
        let message = Outgoing { lane, ..Outgoing::new(id, target, Bytes::from(vec![7; len])) };
        let result = self.client.handle(self.now, Event::Send(message));
        self.drain();
        result.map_err(|refused| refused.reason)
    }

    /// Lets slots pass.
    pub(crate) fn run(&mut self, slots: u32) {
        for _ in 0..slots {
            let due = self.client.next_deadline().unwrap().at;
            self.now = if self.is_drained { self.now.max(due) } else { self.now + SLOT };
            self.event(Event::Tick);
        }
    }

    pub(crate) fn event(&mut self, event: Event) {
        self.client.handle(self.now, event).unwrap();
        self.drain();
    }

    /// The gateway pushes something.
    pub(crate) fn push(&mut self, message: &[u8]) {
        let nonce = [0; 12];
        let frame = seal_push_with(&self.packets, &self.gateway.key, nonce, message);
        let connection = self.connection.unwrap();
        self.event(Event::GatewayFrame { connection, frame: WsFrame::Binary(frame) });
    }

    /// The SURBs Bob got.
    pub(crate) fn surbs(&mut self) -> Vec<ReplySurb> {
        core::mem::take(&mut self.bob.surbs)
    }

    fn drain(&mut self) {
        while self.is_drained
            && let Some(action) = self.client.poll_action()
        {
            self.carry_out(action);
        }
    }

    fn carry_out(&mut self, action: Action) {
        match action {
            Action::Connect { connection, .. } => {
                self.connection = Some(connection);
                let unix_time = UnixTime::from_secs(net::UNIX_START);
                self.say(Event::GatewayConnected { connection, unix_time });
            }
            Action::Write { connection, frame: WsFrame::Text(text) } => {
                for text in self.gateway.answer(&text) {
                    self.say(Event::GatewayFrame { connection, frame: WsFrame::Text(text) });
                }
            }
            Action::Write { connection, frame: WsFrame::Binary(bytes) } => {
                if self.is_read {
                    self.read(bytes);
                }
                if self.is_answering {
                    let answer =
                        GatewayText::Send { remaining_bandwidth: 1 << 40, upgrade_mode: false };
                    let frame = WsFrame::Text(answer.encode());
                    self.say(Event::GatewayFrame { connection, frame });
                }
            }
            _ => {}
        }
    }

    /// An event whose actions are polled by the one who is polling.
    fn say(&mut self, event: Event) {
        self.client.handle(self.now, event).unwrap();
    }

    fn read(&mut self, frame: Bytes) {
        let request =
            ForwardRequest::open_with(&self.packets, &self.gateway.key, BytesMut::from(frame));
        let request = request.unwrap();
        let arrived = self.walker.walk(request.first_hop, request.into_packet()).unwrap();
        if arrived.destination != *self.address().identity.as_bytes() {
            self.bob.receive(self.now, &arrived.message);
        }
        self.bob.received.clear();
    }
}
