use std::collections::VecDeque;
use std::pin::pin;
use std::sync::{Mutex, MutexGuard};
use std::task::Waker;
use std::time::Duration;

use bytes::Bytes;
use futures_lite::future::{block_on, poll_once};
use nym_proto::client::{
    Deadline, DeliveryOrigin, FailReason, MemoryStore, Progress, SessionFailure, Stats, Target,
    WaitingFor, Wakeup,
};
use nym_proto::identity::{IdentityKeyPair, PrivateKey};
use nym_proto::time::Instant as CoreInstant;

use super::*;
use crate::error::{Closed, ConnectError, SendError};
use crate::handle::{Handle, Starting, pair};
use crate::options::{Options, SendOptions};

#[test]
fn an_accepted_message_yields_a_receipt_and_later_its_outcome() {
    let mut rig = Rig::ready();
    let receipt = rig.complete(|h| async move { h.send(somebody(), "hello").await });
    let receipt = receipt.unwrap();
    assert_eq!(receipt.try_outcome(), None);
    let outcome = Outcome::Expired { waiting_for: WaitingFor::Acks };
    rig.act(Action::Outcome { id: receipt.id(), outcome });
    assert_eq!(block_on(receipt.outcome()), Ok(outcome));
    assert!(rig.driver.outcomes.is_empty());
}

#[test]
fn a_refused_message_comes_back() {
    let mut rig = Rig::ready();
    rig.script().verdict = Verdict::TooLarge;
    let error = rig.complete(|h| async move { h.send(somebody(), "hello").await });
    assert_eq!(error.unwrap_err().into_data(), "hello");
}

#[test]
fn a_full_core_holds_messages_back_but_no_other_command() {
    let mut rig = Rig::ready();
    rig.script().verdict = Verdict::Full;
    let handle = rig.handle.clone();
    let mut first = pin!(handle.send(somebody(), "first"));
    let mut second = pin!(handle.send(somebody(), "second"));
    assert!(block_on(poll_once(first.as_mut())).is_none());
    assert!(block_on(poll_once(second.as_mut())).is_none());
    rig.drain();
    assert_eq!(rig.sent(), ["first"], "the second one is not even tried");

    let len = rig.complete(|h| async move { h.lane_len(Lane::General).await });
    assert_eq!(len, Ok(7));
    rig.complete(|h| async move { h.close_lane(Lane::Connection(1)).await }).unwrap();
    rig.drain();
    assert!(rig.saw(&Event::CloseLane(Lane::Connection(1))));

    rig.script().verdict = Verdict::Accept;
    rig.act(Action::Writable(Some(Lane::General)));
    assert_eq!(rig.sent(), ["first", "first", "second"]);
    assert!(matches!(block_on(poll_once(first)), Some(Ok(_))));
    assert!(matches!(block_on(poll_once(second)), Some(Ok(_))));
}

fn on(lane: u64) -> SendOptions {
    SendOptions { lane: Lane::Connection(lane), ..SendOptions::default() }
}

#[test]
fn a_sender_that_waits_for_its_lane_blocks_no_other_lane() {
    let mut rig = Rig::ready();
    rig.script().full_lane = Some(Lane::Connection(1));
    let handle = rig.handle.clone();
    let target = Target::Plain(somebody());
    // more of them than are held
    let mut stuck: Vec<_> =
        (0..100).map(|_| Box::pin(handle.send_with(target.clone(), "stuck", on(1)))).collect();
    for _ in 0..20 {
        for sender in &mut stuck {
            assert!(block_on(poll_once(sender.as_mut())).is_none());
        }
        rig.drain();
    }
    let other = rig
        .complete(|h| async move { h.send_with(Target::Plain(somebody()), "other", on(2)).await });
    assert!(other.is_ok());
    assert_eq!(rig.sent(), ["stuck", "other"], "only the first of a lane is tried");

    rig.act(Action::Writable(Some(Lane::Connection(2))));
    assert_eq!(rig.sent().len(), 2);
    rig.script().full_lane = None;
    rig.act(Action::Writable(Some(Lane::Connection(1))));
    for _ in 0..20 {
        stuck.retain_mut(|sender| block_on(poll_once(sender.as_mut())).is_none());
        rig.drain();
    }
    assert!(stuck.is_empty(), "{} still wait", stuck.len());
}

#[test]
fn lanes_the_core_does_not_name_are_tried_too() {
    let mut rig = Rig::ready();
    rig.script().full_lane = Some(Lane::Connection(1));
    let handle = rig.handle.clone();
    let mut send = pin!(handle.send_with(Target::Plain(somebody()), "x", on(1)));
    assert!(block_on(poll_once(send.as_mut())).is_none());
    rig.drain();
    rig.script().full_lane = None;
    rig.act(Action::Writable(None));
    assert!(matches!(block_on(poll_once(send)), Some(Ok(_))));
}

#[test]
fn withdrawn_messages_take_no_place_from_others() {
    let mut rig = Rig::ready();
    rig.script().verdict = Verdict::Full;
    let handle = rig.handle.clone();
    for _ in 0..100 {
        let mut send = pin!(handle.send(somebody(), "given up"));
        assert!(block_on(poll_once(send.as_mut())).is_none());
        rig.drain();
    }
    let mut send = pin!(handle.send(somebody(), "last"));
    assert!(block_on(poll_once(send.as_mut())).is_none());
    rig.drain();
    rig.script().verdict = Verdict::Accept;
    rig.act(Action::Writable(Some(Lane::General)));
    assert!(matches!(block_on(poll_once(send)), Some(Ok(_))));
    assert_eq!(rig.sent().last().unwrap(), "last");
}

#[test]
fn who_asks_learns_what_a_lane_holds_and_how_far_a_message_is() {
    let mut rig = Rig::ready();
    let lane = rig.complete(|h| async move { h.lane(Lane::General).await }).unwrap();
    assert_eq!((lane.packets, lane.bytes), (7, 7000));
    let progress = rig.complete(|h| async move { h.progress(MessageId(1)).await });
    assert_eq!(progress, Ok(None));
}

#[test]
fn a_message_whose_sender_has_left_is_withdrawn() {
    let mut rig = Rig::ready();
    {
        let handle = rig.handle.clone();
        let mut send = pin!(handle.send(somebody(), "never mind"));
        assert!(block_on(poll_once(send.as_mut())).is_none());
    }
    rig.drain();
    assert!(rig.sent().is_empty());
}

#[test]
fn the_core_learns_how_many_messages_were_taken() {
    let mut rig = Rig::ready();
    for _ in 0..3 {
        rig.act(Action::Deliver(delivery()));
    }
    for _ in 0..2 {
        assert_eq!(block_on(rig.handle.recv()), Ok(delivery()));
    }
    rig.drain();
    assert!(rig.handle.try_recv().is_some());
    assert!(rig.handle.try_recv().is_none());
    rig.drain();
    assert!(rig.saw(&Event::Taken(2)) && rig.saw(&Event::Taken(1)));
}

#[test]
fn facts_nobody_takes_make_way_and_do_not_stop_the_driver() {
    let mut rig = Rig::ready();
    for _ in 0..1000 {
        rig.act(Action::Report(Fact::BadFrame));
    }
    let events = rig.handle.events();
    assert_eq!(events.missed(), 1000 - 256);
    assert_eq!(block_on(events.next()), Some(Fact::BadFrame));
}

#[test]
fn changes_are_kept_before_the_next_frame_is_handed_out() {
    let mut rig = Rig::ready();
    let store = Arc::new(Mutex::new(MemoryStore::new()));
    rig.driver.store = Some(SharedStore::from(store.clone()));
    let frame = WsFrame::Binary(Bytes::from_static(b"frame"));
    let connection = ConnectionId(1);
    rig.script().actions.extend([
        Action::Persist(vec![Change::put([1], vec![2])]),
        Action::Write { connection, frame: frame.clone() },
        Action::Persist(vec![Change::erase([1])]),
    ]);
    assert_eq!(rig.poll(), Poll::Ready(Some(Io::Write { connection, frame })));
    assert_eq!(store.lock().unwrap().len(), 1, "the first change and no other");
    rig.drain();
    assert!(store.lock().unwrap().is_empty());
}

#[test]
fn the_core_is_told_at_once_when_something_could_not_be_kept() {
    struct Full;
    impl Store for Full {
        fn apply(&mut self, _: &[Change]) -> std::io::Result<()> {
            Err(std::io::Error::other("disk full"))
        }
    }
    let mut rig = Rig::ready();
    rig.driver.store = Some(SharedStore::new(Full));
    rig.act(Action::Persist(vec![Change::erase([1])]));
    assert!(rig.saw(&Event::NotKept { reason: "disk full".to_owned() }));
}

#[test]
fn dropping_the_last_handle_shuts_down_at_once() {
    let rig = Rig::ready();
    let (mut driver, script) = (rig.driver, rig.script);
    let clone = rig.handle.clone();
    drop(rig.handle);
    drain(&mut driver);
    let asked = |events: &[Event]| events.contains(&Event::Shutdown(Shutdown::Now));
    assert!(!asked(&script.lock().unwrap().events));
    drop(clone);
    drain(&mut driver);
    drain(&mut driver);
    assert!(asked(&script.lock().unwrap().events));
}

#[test]
fn everybody_learns_of_a_driver_that_died() {
    let mut rig = Rig::ready();
    let receipt = rig.complete(|h| async move { h.send(somebody(), "hello").await });
    let handle = rig.handle.clone();
    let mut waiting = pin!(handle.recv());
    assert!(block_on(poll_once(waiting.as_mut())).is_none());
    drop(rig.driver);
    assert_eq!(block_on(waiting), Err(Closed));
    assert_eq!(block_on(receipt.unwrap().outcome()), Err(Closed));
    let error = block_on(handle.send(somebody(), "late")).unwrap_err();
    assert!(matches!(error, SendError::Closed(_)));
    assert_eq!(error.into_data(), "late");
    assert_eq!(block_on(handle.lane_len(Lane::General)), Err(Closed));
    assert_eq!(block_on(handle.shutdown(Shutdown::Now)), Err(Closed));
    assert_eq!(block_on(handle.events().next()), None);
    assert_eq!(handle.connectivity(), Connectivity::Closed);
}

#[test]
fn commands_the_driver_never_took_are_answered_by_its_end() {
    let rig = Rig::ready();
    let handle = rig.handle.clone();
    let mut send = pin!(handle.send(somebody(), "too late"));
    let mut len = pin!(handle.lane_len(Lane::General));
    assert!(block_on(poll_once(send.as_mut())).is_none());
    assert!(block_on(poll_once(len.as_mut())).is_none());
    drop(rig.driver);
    let error = block_on(poll_once(send)).unwrap().unwrap_err();
    assert_eq!(error.into_data(), "too late");
    assert_eq!(block_on(poll_once(len)), Some(Err(Closed)));
}

#[test]
fn shutdown_returns_when_the_driver_is_gone_and_what_arrived_is_still_there() {
    let mut rig = Rig::ready();
    rig.act(Action::Deliver(delivery()));
    let handle = rig.handle.clone();
    let mut shutdown = pin!(handle.shutdown(Shutdown::Now));
    assert!(block_on(poll_once(shutdown.as_mut())).is_none());
    rig.drain();
    assert!(rig.saw(&Event::Shutdown(Shutdown::Now)));
    rig.script().actions.push_back(Action::Stopped(StopReason::Requested));
    assert_eq!(rig.poll(), Poll::Ready(None));
    assert!(block_on(poll_once(shutdown.as_mut())).is_none());
    drop(rig.driver);
    assert_eq!(block_on(shutdown), Ok(()));
    assert_eq!(handle.stop_reason(), Some(StopReason::Requested));
    assert_eq!(block_on(handle.shutdown(Shutdown::Now)), Ok(()));
    assert_eq!(block_on(handle.recv()), Ok(delivery()));
    assert_eq!(block_on(handle.recv()), Err(Closed));
}

#[test]
fn connecting_ends_with_an_address_and_an_established_session() {
    let (script, starting, mut driver) = Rig::starting();
    script.lock().unwrap().address = Some(somebody());
    drain(&mut driver);
    assert!(block_on(poll_once(starting.ready())).is_none());
    script.lock().unwrap().connectivity = Connectivity::Ready;
    driver.handle(Event::Tick);
    drain(&mut driver);
    let handle = block_on(starting.ready()).unwrap();
    assert_eq!(handle.address(), somebody());
    assert_eq!(handle.connectivity(), Connectivity::Ready);
}

#[test]
fn connecting_fails_with_the_reason_of_the_core_or_the_last_failure() {
    let (script, starting, mut driver) = Rig::starting();
    script.lock().unwrap().actions.push_back(Action::Report(Fact::ConnectionFailed {
        failure: SessionFailure::Timeout,
        retry_in: Duration::from_secs(1),
    }));
    drain(&mut driver);
    let error = starting.timed_out(Duration::from_secs(60)).to_string();
    assert_eq!(error, "not connected after 60s; last failure: the gateway did not answer in time");

    let (script, starting, mut driver) = Rig::starting();
    let reason = StopReason::NoGateway(SessionFailure::WrongIdentity);
    let stopped = Action::Stopped(reason.clone());
    script.lock().unwrap().actions.push_back(stopped);
    let _ = driver.poll(&mut Context::from_waker(Waker::noop()));
    let error = block_on(starting.ready()).unwrap_err();
    assert!(matches!(error, ConnectError::Stopped(r) if r == reason));
}

#[test]
fn a_due_deadline_becomes_a_tick_and_a_core_that_is_always_due_cannot_hold_the_runtime() {
    let mut rig = Rig::ready();
    let later = rig.driver.clock.now() + Duration::from_secs(3600);
    rig.script().deadline = Some(later);
    assert_eq!(rig.poll(), Poll::Pending);
    assert!(!rig.saw(&Event::Tick));
    assert!(rig.driver.deadline() > Some(Instant::now() + Duration::from_secs(3000)));
    rig.script().deadline = Some(CoreInstant::START);
    assert_eq!(rig.poll(), Poll::Pending);
    assert!(rig.saw(&Event::Tick));
}

#[test]
fn a_core_that_is_always_due_does_not_keep_commands_waiting() {
    let mut rig = Rig::ready();
    rig.script().deadline = Some(CoreInstant::START);
    let lane = Lane::default();
    block_on(rig.handle.close_lane(lane)).unwrap();
    assert_eq!(rig.poll(), Poll::Pending);
    assert!(rig.saw(&Event::CloseLane(lane)));
    assert!(rig.saw(&Event::Tick));
}

#[test]
fn what_concerns_the_outside_is_handed_to_the_runtime_in_order() {
    let mut rig = Rig::ready();
    let connection = ConnectionId(3);
    let frame = WsFrame::Text("hello".into());
    rig.script().actions.extend([
        Action::Write { connection, frame: frame.clone() },
        Action::SetTimer(None),
        Action::Disconnect { connection },
    ]);
    assert_eq!(rig.poll(), Poll::Ready(Some(Io::Write { connection, frame })));
    assert_eq!(rig.poll(), Poll::Ready(Some(Io::Disconnect { connection })));
    assert_eq!(rig.poll(), Poll::Pending);
}

#[test]
fn a_failed_message_is_no_error_of_the_receipt() {
    let mut rig = Rig::ready();
    let receipt = rig.complete(|h| async move { h.send(somebody(), "").await });
    let (receipt, outcome) = (receipt.unwrap(), Outcome::Failed(FailReason::LaneClosed));
    rig.act(Action::Outcome { id: receipt.id(), outcome });
    assert_eq!(receipt.try_outcome(), Some(outcome));
}

/// What the machine says to a message.
#[derive(Clone, Copy)]
enum Verdict {
    Accept,
    Full,
    TooLarge,
}

/// A machine that does as it is told.
struct Script {
    actions: VecDeque<Action>,
    events: Vec<Event>,
    verdict: Verdict,
    /// Messages of this lane are refused as not fitting now.
    full_lane: Option<Lane>,
    deadline: Option<CoreInstant>,
    address: Option<Recipient>,
    connectivity: Connectivity,
}

struct Scripted {
    script: Arc<Mutex<Script>>,
    stats: Stats,
}

impl Scripted {
    fn script(&self) -> MutexGuard<'_, Script> {
        self.script.lock().unwrap()
    }
}

impl Machine for Scripted {
    fn handle(&mut self, _: CoreInstant, event: Event) -> Result<(), Refused> {
        let mut script = self.script();
        script.events.push(event.clone());
        let is_full = matches!(&event, Event::Send(m) if Some(m.lane) == script.full_lane);
        let reason = match script.verdict {
            Verdict::Accept if is_full => RefusedReason::Full,
            Verdict::Accept => return Ok(()),
            Verdict::Full => RefusedReason::Full,
            Verdict::TooLarge => RefusedReason::TooLarge { bytes: 5, max: 3 },
        };
        match event {
            Event::Send(message) => Err(Refused { reason, message: Box::new(message) }),
            _ => Ok(()),
        }
    }

    fn poll_action(&mut self) -> Option<Action> {
        self.script().actions.pop_front()
    }

    fn next_deadline(&self) -> Option<Deadline> {
        self.script().deadline.map(|at| Deadline { at, why: Wakeup::Slot })
    }

    fn address(&self) -> Option<Recipient> {
        self.script().address
    }

    fn connectivity(&self) -> Connectivity {
        self.script().connectivity
    }

    fn stats(&self) -> &Stats {
        &self.stats
    }

    fn lane_len(&self, _: Lane) -> usize {
        7
    }

    fn lane_bytes(&self, _: Lane) -> usize {
        7000
    }

    fn progress(&self, _: MessageId) -> Option<Progress> {
        None
    }
}

/// A driver of a scripted machine and a handle to it.
struct Rig {
    script: Arc<Mutex<Script>>,
    handle: Handle,
    driver: Driver<Scripted>,
}

impl Rig {
    fn starting() -> (Arc<Mutex<Script>>, Starting, Driver<Scripted>) {
        let script = Arc::new(Mutex::new(Script {
            actions: VecDeque::new(),
            events: Vec::new(),
            verdict: Verdict::Accept,
            full_lane: None,
            deadline: None,
            address: None,
            connectivity: Connectivity::Offline,
        }));
        let machine = Scripted { script: script.clone(), stats: Stats::default() };
        let (starting, driver) = pair(machine, Clock::start(), 64, &Options::default());
        (script, starting, driver)
    }

    fn ready() -> Self {
        let (script, starting, mut driver) = Self::starting();
        {
            let mut script = script.lock().unwrap();
            script.address = Some(somebody());
            script.connectivity = Connectivity::Ready;
        }
        drain(&mut driver);
        let handle = block_on(starting.ready()).unwrap();
        Self { script, handle, driver }
    }

    fn script(&self) -> MutexGuard<'_, Script> {
        self.script.lock().unwrap()
    }

    fn poll(&mut self) -> Poll<Option<Io>> {
        self.driver.poll(&mut Context::from_waker(Waker::noop()))
    }

    fn drain(&mut self) {
        drain(&mut self.driver);
    }

    fn act(&mut self, action: Action) {
        self.script().actions.push_back(action);
        self.drain();
    }

    /// Runs a call of the application to its end.
    fn complete<T, F: Future<Output = T>>(&mut self, call: impl FnOnce(Handle) -> F) -> T {
        let mut call = pin!(call(self.handle.clone()));
        loop {
            if let Some(result) = block_on(poll_once(call.as_mut())) {
                return result;
            }
            self.drain();
        }
    }

    fn saw(&self, event: &Event) -> bool {
        self.script().events.contains(event)
    }

    /// The texts of all messages the core was asked to send.
    fn sent(&self) -> Vec<Bytes> {
        let text = |event: &Event| match event {
            Event::Send(message) => Some(message.data.clone()),
            _ => None,
        };
        self.script().events.iter().filter_map(text).collect()
    }
}

fn drain(driver: &mut Driver<Scripted>) {
    let polled = driver.poll(&mut Context::from_waker(Waker::noop()));
    assert_eq!(polled, Poll::Pending);
}

fn somebody() -> Recipient {
    let identity = *IdentityKeyPair::from_seed(&[1; 32]).public();
    Recipient { identity, encryption: PrivateKey::from_bytes([2; 32]).public(), gateway: identity }
}

fn delivery() -> Delivery {
    Delivery { data: Bytes::from_static(b"delivered"), origin: DeliveryOrigin::Plain }
}
