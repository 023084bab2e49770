//! The memory of a client with everything full, against [`Limits::memory_max`].
//!
//! All allocations of the process are counted. What the tests themselves hold is made before a
//! count begins, or is as small as one packet.

#[path = "memory/flood.rs"]
mod flood;
#[path = "memory/full.rs"]
mod full;
#[path = "memory/rig.rs"]
mod rig;

use std::sync::{Mutex, MutexGuard, PoisonError};

use nym_proto::limits::Limits;
use peak_alloc::PeakAlloc;

#[global_allocator]
static HEAP: PeakAlloc = PeakAlloc;

/// Counts from a moment on. The others wait: there is one heap.
struct Count {
    base: usize,
    _alone: MutexGuard<'static, ()>,
}

impl Count {
    fn begin() -> Self {
        static ALONE: Mutex<()> = Mutex::new(());
        let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
        Self { base: HEAP.current_usage(), _alone: alone }
    }

    /// What is held now is the ground from which is counted.
    fn restart(&mut self) {
        self.base = HEAP.current_usage();
        HEAP.reset_peak_usage();
    }

    /// The most that was held beyond the ground.
    fn peak(&self) -> usize {
        HEAP.peak_usage().saturating_sub(self.base)
    }

    /// What is held beyond the ground.
    fn held(&self) -> usize {
        HEAP.current_usage().saturating_sub(self.base)
    }
}

/// Limits of a client that is full soon.
fn small() -> Limits {
    let mut limits = Limits {
        message_bytes_max: 4 << 20,
        outbox_bytes_max: 4 << 20,
        outbox_messages_max: 300,
        surbs_per_message_max: 100,
        delivery_window: 1,
        inbox_bytes_max: 500_000,
        inbox_messages_max: 100,
        correspondents_max: 100,
        surbs_per_correspondent_max: 40,
        surbs_max: 4000,
        reply_keys_max: 5000,
        reply_keys_per_recipient_max: 200,
        tags_max: 150,
        loops_max: 1000,
        gateway_requests_max: 300,
        actions_max: 64,
        ..Limits::default()
    };
    limits.reassembly.bytes_max = 540_000;
    limits.reassembly.sets_max = 100;
    limits.reassembly.finished_max = 3000;
    limits.reassembly.message_bytes_max = 500_000;
    limits
}
