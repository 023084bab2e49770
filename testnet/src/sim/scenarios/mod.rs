//! Scenarios with a name: each tells one story that a user of a mixnet may live through, and says
//! what is to come of it beyond the general rules of the [`model`](super::model), which hold in all
//! of them.
//!
//! A spoiled scenario is its own negative control: something it needs is taken away, and it must
//! fail.

mod adversaries;
mod connection;
mod crashes;
mod replies;
mod stage;
mod traffic;

use std::panic::{AssertUnwindSafe, catch_unwind};

pub use self::stage::{Check, Played};
use self::stage::{Script, Stage};
use super::model::Violation;
use super::trace::TraceSink;
use super::{SimConfig, Suite};

/// A scenario.
#[derive(Clone, Copy)]
pub struct Named {
    /// What it is called, in the words of a command line.
    pub name: &'static str,
    /// What happens and what must come of it, in a sentence.
    pub about: &'static str,
    script: Script,
}

/// How to play a scenario.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Options {
    /// All randomness.
    pub seed: u64,
    /// What packets are made of.
    pub suite: Suite,
    /// Take away what the scenario needs: it must fail.
    pub is_spoiled: bool,
}

/// All scenarios.
pub const ALL: [Named; 13] = [
    replies::THREE_ROTATIONS,
    connection::SUSPEND,
    connection::DIRECTORY_AWAY,
    crashes::GATEWAY_CRASH,
    replies::SURB_STARVATION,
    traffic::LANE_FAIRNESS,
    connection::HALF_OPEN,
    connection::OWN_GATEWAY_GONE,
    connection::FAIL_OVER,
    crashes::CLIENT_CRASH,
    traffic::RETRANSMISSION_STORM,
    adversaries::FLOOD,
    adversaries::HOSTILE_GATEWAY,
];

impl Named {
    /// The scenario of this name.
    #[must_use]
    pub fn find(name: &str) -> Option<Self> {
        ALL.into_iter().find(|scenario| scenario.name == name)
    }

    /// Plays it. Everything that happens goes to the sink, if there is one.
    ///
    /// # Errors
    /// A general rule does not hold. A panic is a violation, too.
    pub fn play(
        &self,
        options: Options,
        sink: Option<Box<dyn TraceSink>>,
    ) -> Result<Played, Violation> {
        let Options { seed, suite, is_spoiled } = options;
        let play = || {
            let config = SimConfig { seed, suite, ..(self.script.network)() };
            let mut stage = Stage::new(config, is_spoiled, sink);
            (self.script.play)(&mut stage)?;
            stage.finish()
        };
        catch_unwind(AssertUnwindSafe(play)).unwrap_or_else(|cause| Err(Violation::panic(&*cause)))
    }
}

impl core::fmt::Debug for Named {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_tuple("Named").field(&self.name).finish()
    }
}
