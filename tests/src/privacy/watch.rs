//! Runs the client and writes down what it does.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use nym_proto::client::{Config, Lane, Pacer, Poisson, Stats};
use nym_proto::entropy::{Entropy, Purpose};
use nym_proto::identity::IdentityKey;
use nym_proto::time::Instant;
use nym_testnet::sim::{ClientIx, Sim, SimConfig};

use super::activity::{Activity, Actors, STEP};
use super::recorder::{Built, Kind, Recorder};

/// Frames with a packet are larger, all others smaller.
const PACKET_MIN: usize = 1500;
const READY: Duration = Duration::from_secs(60);

/// What is watched.
#[derive(Debug)]
pub struct Settings {
    /// All randomness of the network and its clients.
    pub seed: u64,
    /// What the application does.
    pub activity: Activity,
    /// Paces the client.
    pub pacer: Box<dyn Pacer>,
    /// Told how much the client has to send.
    pub backlog: Arc<AtomicU64>,
    /// Changes the network.
    pub network: fn(&mut SimConfig),
    /// Changes the client.
    pub client: fn(&mut Config),
}

impl Settings {
    /// The client as it is meant to be.
    #[must_use]
    pub fn new(seed: u64, activity: Activity) -> Self {
        Self {
            seed,
            activity,
            pacer: Box::new(Poisson),
            backlog: Arc::default(),
            network: |_| {},
            client: |_| {},
        }
    }
}

/// A frame with a packet.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Frame {
    /// Seconds since the client was ready.
    pub at: f64,
    /// Bytes.
    pub size: usize,
    /// What only the client knows.
    pub kind: Kind,
}

/// What was seen.
#[derive(Debug)]
pub struct Watched {
    /// Everything written from the beginning on: instants and sizes.
    pub trace: Vec<(Instant, usize)>,
    /// Frames with packets, from the first whole slot on.
    pub frames: Vec<Frame>,
    /// When the application handed something over, in seconds as above, and how many bytes.
    pub inputs: Vec<(f64, usize)>,
    /// Everything built.
    pub built: Vec<(Kind, Built)>,
    /// The client's counters.
    pub stats: Stats,
}

impl Watched {
    /// Gaps between frames, in seconds.
    #[must_use]
    pub fn gaps(&self) -> Vec<f64> {
        self.frames.windows(2).map(|pair| pair[1].at - pair[0].at).collect()
    }

    /// Gaps between frames of one kind, in seconds.
    #[must_use]
    pub fn gaps_of(&self, is_meant: impl Fn(Kind) -> bool) -> Vec<f64> {
        let of_kind = self.frames.iter().filter(|frame| is_meant(frame.kind));
        let at: Vec<f64> = of_kind.map(|frame| frame.at).collect();
        at.windows(2).map(|pair| pair[1] - pair[0]).collect()
    }

    /// When frames left, in seconds.
    #[must_use]
    pub fn instants(&self) -> Vec<f64> {
        self.frames.iter().map(|frame| frame.at).collect()
    }

    /// Seconds watched.
    #[must_use]
    pub fn duration(&self) -> f64 {
        self.frames.last().map_or(0.0, |frame| frame.at)
    }
}

/// A client under observation.
#[derive(Debug)]
pub struct Watch {
    /// The network, for disturbing it.
    pub sim: Sim,
    /// The client.
    pub client: ClientIx,
    actors: Option<ActorsDebug>,
    built: Arc<Mutex<Vec<Built>>>,
    backlog: Arc<AtomicU64>,
    ready: Instant,
    step: u64,
    inputs: Vec<(f64, usize)>,
}

struct ActorsDebug(Actors);

impl core::fmt::Debug for ActorsDebug {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        self.0.activity.fmt(f)
    }
}

impl Watch {
    /// Starts the network and waits until the clients are ready.
    ///
    /// # Panics
    /// They do not get ready.
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        let mut config =
            SimConfig { seed: settings.seed, mixes_per_layer: 4, ..SimConfig::default() };
        (settings.network)(&mut config);
        let mut sim = Sim::new(config);
        let built: Arc<Mutex<Vec<Built>>> = Arc::default();
        let (notes, pacer) = (built.clone(), settings.pacer);
        let watched = sim.add_client_with(settings.client, |mut parts| {
            parts.builder = Box::new(Recorder::new(parts.builder, notes));
            parts.pacer = pacer;
            parts
        });
        // cheap while silent, fast when asked
        let other = sim.add_client(|config| {
            config.traffic.cover = false;
            config.traffic.loop_interval = None;
        });
        assert!(sim.run_until(READY, Sim::are_ready), "clients get ready");
        let mut seed = [7; 32];
        seed[..8].copy_from_slice(&settings.seed.to_le_bytes());
        let actors = Actors {
            watched,
            other,
            activity: settings.activity,
            stream: Entropy::new(seed).stream(Purpose::Other(3)),
            next_id: 0,
            left: 0,
            is_busy: false,
        };
        Self {
            ready: sim.now(),
            sim,
            client: watched,
            actors: Some(ActorsDebug(actors)),
            built,
            backlog: settings.backlog,
            step: 0,
            inputs: Vec::new(),
        }
    }

    /// Lets time pass, in which the application acts.
    pub fn run_for(&mut self, time: Duration) {
        let steps = time.as_millis() / STEP.as_millis();
        for _ in 0..steps {
            self.step();
        }
    }

    /// Runs until so many frames with packets were written.
    #[must_use]
    pub fn frames(mut self, frames: usize) -> Watched {
        let is_done = |watch: &Self| watch.sim.client(watch.client).written().len() >= frames + 100;
        while !is_done(&self) {
            self.step();
        }
        let mut watched = self.end();
        watched.frames.truncate(frames);
        watched
    }

    fn step(&mut self) {
        if let Some(ActorsDebug(actors)) = &mut self.actors {
            let bytes = actors.act(&mut self.sim, self.step);
            if bytes > 0 {
                let at = self.sim.now().since(self.ready).as_secs_f64();
                self.inputs.push((at, bytes));
            }
        }
        self.step += 1;
        let machine = self.sim.client(self.client).machine();
        let backlog = machine.lane_len(Lane::General) + machine.in_flight();
        self.backlog.store(backlog as u64, Ordering::Relaxed);
        self.sim.run_for(STEP);
    }

    /// The end of the watch.
    ///
    /// # Panics
    /// The packets built and the frames written do not belong together.
    #[must_use]
    pub fn end(self) -> Watched {
        let host = self.sim.client(self.client);
        let own: Option<IdentityKey> = host.address().map(|address| address.identity);
        let built: Vec<(Kind, Built)> = {
            let mut built = self.built.lock().unwrap_or_else(PoisonError::into_inner);
            let kind = |built: &Built| own.map_or(Kind::Data, |own| built.kind(&own));
            built.drain(..).map(|built| (kind(&built), built)).collect()
        };
        let mut kinds = built.iter().filter(|(_, built)| built.is_sealed).map(|(kind, _)| *kind);
        let mut frames: Vec<Frame> = Vec::new();
        for &(at, size) in host.written().iter().filter(|(_, size)| *size > PACKET_MIN) {
            let Some(kind) = kinds.next() else { panic!("a frame that was not built") };
            if at >= self.ready {
                frames.push(Frame { at: at.since(self.ready).as_secs_f64(), size, kind });
            }
        }
        assert_eq!(kinds.next(), None, "a packet that was not written");
        Watched {
            trace: host.written().to_vec(),
            frames,
            inputs: self.inputs,
            built,
            stats: *host.machine().stats(),
        }
    }
}
