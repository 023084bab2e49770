//! One blocking face for both runtimes, so that a scenario runs over either, unchanged.
//!
//! One macro writes both implementations, which also shows that the runtimes give everything the
//! same name.

use std::future::Future;
use std::iter;
use std::time::Duration;

use bytes::Bytes;
use nym_proto::address::Recipient;
use nym_proto::client::{
    Config, Connectivity, Delivery, Fact, Lane, MessageId, Outcome, Progress, Registration,
    Shutdown, State, Stats, StopReason, Target,
};
use nym_proto::identity::Identity;
use nym_proto::message::SenderTag;
use nym_runtime_std::{Closed, ConnectError, LaneUsage, Options, SendError, SendOptions};
use smol::future::FutureExt as _;

/// A runtime under test.
pub trait Runtime: Sync {
    /// Starts a client and waits until it is ready.
    ///
    /// # Errors
    /// Those of the runtime.
    fn connect(
        &self,
        config: Config,
        identity: Identity,
        options: Options,
    ) -> Result<Box<dyn Peer>, ConnectError>;
}

/// Facts as they come; ends with the client.
pub type Facts = Box<dyn Iterator<Item = Fact> + Send>;
/// What sending gives.
pub type Sent = Result<Box<dyn Receipt>, SendError>;

/// A client of either runtime. Every method does what the runtime's method of that name does.
#[expect(missing_docs, reason = "described at the runtimes' methods")]
#[expect(clippy::missing_errors_doc, reason = "described at the runtimes' methods")]
pub trait Peer: Send + Sync {
    /// Another handle to the same client.
    fn handle(&self) -> Box<dyn Peer>;
    fn address(&self) -> Recipient;
    fn connectivity(&self) -> Connectivity;
    fn stats(&self) -> Stats;
    fn registration(&self) -> Option<Registration>;
    fn stop_reason(&self) -> Option<StopReason>;
    fn send(&self, to: Recipient, data: Bytes) -> Sent;
    fn send_anonymous(&self, to: Recipient, surbs: u16, data: Bytes) -> Sent;
    fn reply(&self, tag: SenderTag, data: Bytes) -> Sent;
    fn send_with(&self, target: Target, data: Bytes, options: SendOptions) -> Sent;
    fn recv(&self) -> Result<Delivery, Closed>;
    /// As `recv`, but `None` if nothing came in time.
    fn recv_timeout(&self, timeout: Duration) -> Option<Result<Delivery, Closed>>;
    fn try_recv(&self) -> Option<Delivery>;
    /// Waits for each fact.
    fn events(&self) -> Facts;
    /// The facts there are already.
    fn facts(&self) -> Vec<Fact>;
    fn state(&self) -> Option<State>;
    fn lane_len(&self, lane: Lane) -> Result<usize, Closed>;
    fn lane(&self, lane: Lane) -> Result<LaneUsage, Closed>;
    fn progress(&self, id: MessageId) -> Result<Option<Progress>, Closed>;
    fn close_lane(&self, lane: Lane) -> Result<(), Closed>;
    fn network_changed(&self) -> Result<(), Closed>;
    fn shutdown(&self, how: Shutdown) -> Result<(), Closed>;
}

/// A receipt of either runtime.
#[expect(missing_docs, reason = "described at the runtimes' methods")]
pub trait Receipt: Send {
    fn id(&self) -> MessageId;
    fn try_outcome(&self) -> Option<Outcome>;
    /// As `outcome`, but `None` if the message has not ended in time.
    fn outcome_timeout(&self, timeout: Duration) -> Option<Result<Outcome, Closed>>;
}

/// The blocking runtime.
#[derive(Clone, Copy, Debug)]
pub struct Std;

/// The async runtime.
#[derive(Clone, Copy, Debug)]
pub struct Smol;

/// Who plays on which runtime.
#[derive(Clone, Copy)]
pub struct Cast {
    /// The runtime of her who speaks first.
    pub alice: &'static dyn Runtime,
    /// The runtime of him who is spoken to.
    pub bob: &'static dyn Runtime,
}

impl core::fmt::Debug for Cast {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Cast")
    }
}

impl Cast {
    /// Both on the blocking runtime.
    pub const STD: Self = Self { alice: &Std, bob: &Std };
    /// Both on the async runtime.
    pub const SMOL: Self = Self { alice: &Smol, bob: &Smol };
    /// Alice on the async runtime, Bob on the blocking one.
    pub const MIXED: Self = Self { alice: &Smol, bob: &Std };
}

/// Implements both faces for the types of a runtime. `$wait` turns what a method returns into its
/// result; `$recv`, `$outcome` and `$facts` say how to wait with a limit and for facts.
macro_rules! faces {
    ($runtime:ty, $client:ty, $receipt:ty, $connect:path, $wait:path,
     $recv:expr, $outcome:expr, $facts:expr) => {
        impl Runtime for $runtime {
            fn connect(
                &self,
                config: Config,
                identity: Identity,
                options: Options,
            ) -> Result<Box<dyn Peer>, ConnectError> {
                Ok(Box::new($wait($connect(config, identity, options))?))
            }
        }

        impl Peer for $client {
            fn handle(&self) -> Box<dyn Peer> {
                Box::new(self.clone())
            }
            fn address(&self) -> Recipient {
                self.address()
            }
            fn connectivity(&self) -> Connectivity {
                self.connectivity()
            }
            fn stats(&self) -> Stats {
                self.stats()
            }
            fn registration(&self) -> Option<Registration> {
                self.registration()
            }
            fn stop_reason(&self) -> Option<StopReason> {
                self.stop_reason()
            }
            fn send(&self, to: Recipient, data: Bytes) -> Sent {
                Ok(Box::new($wait(self.send(to, data))?))
            }
            fn send_anonymous(&self, to: Recipient, surbs: u16, data: Bytes) -> Sent {
                Ok(Box::new($wait(self.send_anonymous(to, surbs, data))?))
            }
            fn reply(&self, tag: SenderTag, data: Bytes) -> Sent {
                Ok(Box::new($wait(self.reply(tag, data))?))
            }
            fn send_with(&self, target: Target, data: Bytes, options: SendOptions) -> Sent {
                Ok(Box::new($wait(self.send_with(target, data, options))?))
            }
            fn recv(&self) -> Result<Delivery, Closed> {
                $wait(self.recv())
            }
            fn recv_timeout(&self, timeout: Duration) -> Option<Result<Delivery, Closed>> {
                $recv(self, timeout)
            }
            fn try_recv(&self) -> Option<Delivery> {
                self.try_recv()
            }
            fn events(&self) -> Facts {
                $facts(self)
            }
            fn facts(&self) -> Vec<Fact> {
                let events = self.events();
                iter::from_fn(|| events.try_next()).collect()
            }
            fn state(&self) -> Option<State> {
                self.state()
            }
            fn lane_len(&self, lane: Lane) -> Result<usize, Closed> {
                $wait(self.lane_len(lane))
            }
            fn lane(&self, lane: Lane) -> Result<LaneUsage, Closed> {
                $wait(self.lane(lane))
            }
            fn progress(&self, id: MessageId) -> Result<Option<Progress>, Closed> {
                $wait(self.progress(id))
            }
            fn close_lane(&self, lane: Lane) -> Result<(), Closed> {
                $wait(self.close_lane(lane))
            }
            fn network_changed(&self) -> Result<(), Closed> {
                $wait(self.network_changed())
            }
            fn shutdown(&self, how: Shutdown) -> Result<(), Closed> {
                $wait(self.shutdown(how))
            }
        }

        impl Receipt for $receipt {
            fn id(&self) -> MessageId {
                self.id()
            }
            fn try_outcome(&self) -> Option<Outcome> {
                self.try_outcome()
            }
            fn outcome_timeout(&self, timeout: Duration) -> Option<Result<Outcome, Closed>> {
                $outcome(self, timeout)
            }
        }
    };
}

faces!(
    Std,
    nym_runtime_std::Client,
    nym_runtime_std::Receipt,
    nym_runtime_std::connect,
    core::convert::identity,
    nym_runtime_std::Client::recv_timeout,
    nym_runtime_std::Receipt::outcome_timeout,
    |client: &nym_runtime_std::Client| Box::new(client.events())
);

faces!(
    Smol,
    nym_runtime_smol::Client,
    nym_runtime_smol::Receipt,
    nym_runtime_smol::connect,
    smol::block_on,
    |client: &nym_runtime_smol::Client, timeout| limited(timeout, client.recv()),
    |receipt: &nym_runtime_smol::Receipt, timeout| limited(timeout, receipt.outcome()),
    |client: &nym_runtime_smol::Client| {
        let events = client.events();
        Box::new(iter::from_fn(move || smol::block_on(events.next())))
    }
);

fn limited<T>(timeout: Duration, future: impl Future<Output = T>) -> Option<T> {
    let late = async {
        smol::Timer::after(timeout).await;
        None
    };
    smol::block_on(async { Some(future.await) }.or(late))
}
