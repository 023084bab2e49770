//! A client in virtual time whose traffic is watched: what it writes, what it builds, and what the
//! application asked for. (protocol: client 17.5)

mod activity;
mod features;
mod pacers;
mod recorder;
mod watch;

pub use activity::Activity;
pub use features::{PER_WINDOW, features};
pub use pacers::{BacklogDriven, CatchUp, Even, Repeating};
pub use recorder::{Built, Kind, Recorder};
pub use watch::{Frame, Settings, Watch, Watched};

use std::sync::{Arc, Mutex, PoisonError};

/// Gaps per seed, unless the environment variable `NYM_PRIVACY_GAPS` says otherwise.
const GAPS: usize = 20_000;
/// Seeds, unless `NYM_PRIVACY_SEEDS` says otherwise.
const SEEDS: u64 = 5;

/// How much is watched.
#[derive(Clone, Copy, Debug)]
pub struct Effort {
    /// Gaps per seed.
    pub gaps: usize,
    /// Number of seeds.
    pub seeds: u64,
    /// The first seed (`NYM_PRIVACY_SEED`).
    pub first: u64,
}

impl Effort {
    /// As the environment asks, or the fixed one of every day.
    #[must_use]
    pub fn of_environment() -> Self {
        let number = |name| std::env::var(name).ok().and_then(|text| text.parse().ok());
        Self {
            gaps: number("NYM_PRIVACY_GAPS").map_or(GAPS, |gaps: u64| gaps as usize),
            seeds: number("NYM_PRIVACY_SEEDS").unwrap_or(SEEDS),
            first: number("NYM_PRIVACY_SEED").unwrap_or(1),
        }
    }

    /// The seeds.
    pub fn all(self) -> impl Iterator<Item = u64> {
        (0..self.seeds).map(move |i| self.first.wrapping_add(i))
    }

    /// A client with this activity under each seed, with seeds of its own for each activity. They
    /// are watched once and kept.
    ///
    /// # Panics
    /// The client does not get ready.
    #[must_use]
    pub fn watch(self, activity: Activity) -> Vec<Arc<Watched>> {
        static KEPT: Mutex<Vec<(u64, Activity, Arc<Watched>)>> = Mutex::new(Vec::new());
        // one at a time: who asks for what is under way waits for it
        let mut kept = KEPT.lock().unwrap_or_else(PoisonError::into_inner);
        let seeds: Vec<u64> = self.all().map(|seed| seed * 16 + activity as u64).collect();
        for &seed in &seeds {
            if !kept.iter().any(|(known, of, _)| (*known, *of) == (seed, activity)) {
                let watched = Watch::new(Settings::new(seed, activity)).frames(self.gaps + 1);
                kept.push((seed, activity, Arc::new(watched)));
            }
        }
        let of_seed = |seed| kept.iter().find(|(s, of, _)| (*s, *of) == (seed, activity));
        seeds.into_iter().filter_map(of_seed).map(|(_, _, watched)| watched.clone()).collect()
    }
}
