//! Requests for SURBs that are under way to one correspondent, one by one. (protocol: client 9.7)

use core::time::Duration;

use crate::time::Instant;

/// Requests under way at one time.
const REQUESTS_MAX: usize = 8;
/// How long an answer may take while no round trip was measured, and the bounds of what is
/// expected once one was.
const WAIT_FIRST: Duration = Duration::from_secs(8);
const WAIT_MIN: Duration = Duration::from_secs(4);
const WAIT_MAX: Duration = Duration::from_secs(60);
/// Pause after the first request that was lost; doubled for each more, up to [`WAIT_MAX`].
const PAUSE_MIN: Duration = Duration::from_secs(3);
/// A request that has not left after this long is dropped by the outbox; it is not counted longer.
const QUEUED_MAX: Duration = Duration::from_secs(120);

/// A request that is counted on.
#[derive(Clone, Copy, Debug)]
struct Request {
    /// The message it is in the outbox.
    key: u64,
    amount: u32,
    sent_at: Option<Instant>,
    /// When it counts as lost.
    lost_at: Instant,
}

/// Requests in the order they were made, and what was learnt from earlier ones.
#[derive(Debug, Default)]
pub(super) struct Requests {
    under_way: Vec<Request>,
    /// Smoothed round trip and its variation.
    round_trip: Option<(Duration, Duration)>,
    /// Lost in a row.
    lost: u32,
    pause_until: Option<Instant>,
}

impl Requests {
    /// Forgets the requests that count as lost. Returns how many.
    pub(super) fn expire(&mut self, now: Instant) -> u64 {
        let before = self.under_way.len();
        self.under_way.retain(|request| request.lost_at > now);
        let lost = before - self.under_way.len();
        if lost > 0 {
            self.back_off(now);
        }
        lost as u64
    }

    fn back_off(&mut self, now: Instant) {
        let pause = PAUSE_MIN.saturating_mul(1 << self.lost.min(5)).min(WAIT_MAX);
        self.lost = self.lost.saturating_add(1);
        self.pause_until = Some(now + pause);
    }

    /// SURBs asked for and not received.
    pub(super) fn asked(&self) -> usize {
        self.under_way.iter().map(|r| r.amount as usize).fold(0, usize::saturating_add)
    }

    /// True if no request may be made now.
    pub(super) fn must_wait(&self, now: Instant) -> bool {
        self.under_way.len() >= REQUESTS_MAX || self.pause_until.is_some_and(|until| until > now)
    }

    pub(super) fn push(&mut self, now: Instant, key: u64, amount: u32) {
        let lost_at = now + QUEUED_MAX;
        self.under_way.push(Request { key, amount, sent_at: None, lost_at });
    }

    /// A request has left.
    pub(super) fn sent(&mut self, now: Instant, key: u64) {
        let wait = self.wait();
        if let Some(request) = self.under_way.iter_mut().find(|request| request.key == key) {
            request.sent_at.get_or_insert(now);
            request.lost_at = now + wait;
        }
    }

    /// A request ended without an ack. True if it had left: then it counts as lost at once.
    pub(super) fn failed(&mut self, now: Instant, key: u64) -> bool {
        let Some(at) = self.under_way.iter().position(|request| request.key == key) else {
            return false;
        };
        let had_left = self.under_way.remove(at).sent_at.is_some();
        if had_left {
            self.back_off(now);
        }
        had_left
    }

    /// SURBs have come: they settle the oldest requests that have left.
    pub(super) fn settle(&mut self, now: Instant, came: usize) {
        if came == 0 {
            return;
        }
        self.revive();
        // only a single request tells which one was answered
        let mut sent = self.under_way.iter().filter_map(|request| request.sent_at);
        if let (Some(sent_at), None) = (sent.next(), sent.next()) {
            self.measured(now.since(sent_at));
        }
        let mut left = u32::try_from(came).unwrap_or(u32::MAX);
        for request in self.under_way.iter_mut().filter(|request| request.sent_at.is_some()) {
            let settled = request.amount.min(left);
            request.amount -= settled;
            left -= settled;
        }
        self.under_way.retain(|request| request.amount > 0);
    }

    /// There is reason to believe that requests get through.
    pub(super) fn revive(&mut self) {
        (self.lost, self.pause_until) = (0, None);
    }

    /// Requests that have not left and are not needed any more; they are not counted from now on.
    pub(super) fn withdraw(&mut self) -> Vec<u64> {
        let (kept, withdrawn) = core::mem::take(&mut self.under_way)
            .into_iter()
            .partition::<Vec<_>, _>(|request| request.sent_at.is_some());
        self.under_way = kept;
        withdrawn.into_iter().map(|request| request.key).collect()
    }

    fn measured(&mut self, sample: Duration) {
        self.round_trip = Some(match self.round_trip {
            None => (sample, sample / 2),
            Some((mean, variation)) => {
                let error = mean.abs_diff(sample);
                ((mean * 7).saturating_add(sample) / 8, (variation * 3).saturating_add(error) / 4)
            }
        });
    }

    /// Expected time from a request to the SURBs.
    pub(super) fn round_trip(&self) -> Duration {
        self.round_trip.map_or(WAIT_FIRST / 2, |(mean, _)| mean).min(WAIT_MAX)
    }

    fn wait(&self) -> Duration {
        let wait = self.round_trip.map_or(WAIT_FIRST, |(mean, variation)| {
            mean.saturating_mul(2).saturating_add(variation.saturating_mul(4))
        });
        wait.clamp(WAIT_MIN, WAIT_MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(secs: u64) -> Instant {
        Instant::START + Duration::from_secs(secs)
    }

    #[test]
    fn a_request_counts_as_lost_when_its_answer_is_overdue_and_is_never_pending_for_ever() {
        let mut requests = Requests::default();
        requests.push(at(0), 1, 10);
        requests.sent(at(5), 1);
        assert_eq!(requests.asked(), 10);
        assert_eq!(requests.expire(at(12)), 0);
        assert_eq!(requests.expire(at(13)), 1);
        assert_eq!(requests.asked(), 0);
        // one that never leaves does not count for ever either
        requests.push(at(20), 2, 10);
        assert_eq!(requests.expire(at(140)), 1);
    }

    #[test]
    fn the_wait_follows_the_measured_round_trip_within_bounds() {
        let mut requests = Requests::default();
        for n in 0..20 {
            requests.push(at(100 * n), n, 5);
            requests.sent(at(100 * n), n);
            requests.settle(at(100 * n + 10), 5);
        }
        assert_eq!(requests.asked(), 0);
        assert_eq!(requests.round_trip(), Duration::from_secs(10));
        assert!((Duration::from_secs(20)..Duration::from_secs(22)).contains(&requests.wait()));
    }

    #[test]
    fn each_lost_request_doubles_the_pause_and_an_answer_ends_it() {
        let mut requests = Requests::default();
        let lose = |requests: &mut Requests, now, key| {
            requests.push(now, key, 5);
            assert!(!requests.failed(now, key + 100));
            requests.sent(now, key);
            assert!(requests.failed(now, key));
        };
        lose(&mut requests, at(0), 1);
        assert!(requests.must_wait(at(2)) && !requests.must_wait(at(3)));
        lose(&mut requests, at(3), 2);
        assert!(requests.must_wait(at(8)) && !requests.must_wait(at(9)));
        for key in 3..20 {
            lose(&mut requests, at(10), key);
        }
        assert!(requests.must_wait(at(69)) && !requests.must_wait(at(70)));
        requests.settle(at(11), 1);
        assert!(!requests.must_wait(at(11)));
    }

    #[test]
    fn what_has_not_left_can_be_withdrawn() {
        let mut requests = Requests::default();
        requests.push(at(0), 1, 5);
        requests.push(at(0), 2, 6);
        requests.sent(at(0), 1);
        assert_eq!(requests.withdraw(), [2]);
        assert_eq!(requests.asked(), 5);
    }
}
