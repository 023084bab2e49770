//! What programs are told when there is no client any more.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use nym_client::server::{Ended, Settings};
use nym_proto::client::{Change, Shutdown, StopReason};
use nym_runtime_smol::{Options, SharedStore, Store};
use serde_json::{Value, json};

use crate::stage::{Program, Stage};

#[test]
fn at_the_end_programs_are_told_and_their_requests_are_done() {
    let mut stage = Stage::new(Settings::default());
    let mut program = stage.program("");
    program.text(&to_itself(&stage, "send").to_string());
    assert_eq!(program.next_text()["type"], "laneQueueLength");
    assert_eq!(stage.stop(), Ended::Stopped);
    assert_is_sent_away(&mut program);
    assert_eq!(stage.client.stats().messages_accepted, 1);
}

/// A disk that is full from some moment on.
#[derive(Clone, Default)]
struct Disk(Arc<AtomicBool>);

impl Store for Disk {
    fn apply(&mut self, _: &[Change]) -> io::Result<()> {
        match self.0.load(Ordering::Acquire) {
            false => Ok(()),
            true => Err(io::Error::other("the disk is full")),
        }
    }
}

#[test]
fn when_the_client_stops_by_itself_programs_are_told_as_well() {
    let disk = Disk::default();
    let store = Some(SharedStore::new(disk.clone()));
    let mut stage =
        Stage::with_options(Settings::default(), Options { store, ..Options::default() });
    let mut program = stage.program("");
    disk.0.store(true, Ordering::Release);
    program.text(&to_itself(&stage, "sendAnonymous").to_string());
    assert_is_sent_away(&mut program);
    drop(program);
    assert_eq!(stage.ended(), Ended::ClientStopped);
    let reason = StopReason::NotKept("the disk is full".to_owned());
    assert_eq!(stage.client.stop_reason(), Some(reason));
}

#[test]
fn a_request_the_client_does_not_answer_any_more_does_not_hold_up_the_end() {
    let mut stage = Stage::new(Settings::default());
    let mut program = stage.program("");
    smol::block_on(stage.client.shutdown(Shutdown::Now)).unwrap();
    // may come too late
    let _ = program.0.send(tungstenite::Message::text(to_itself(&stage, "send").to_string()));
    assert_is_sent_away(&mut program);
    drop(program);
    assert_eq!(stage.ended(), Ended::ClientStopped);
}

#[test]
fn a_program_that_does_not_answer_the_close_frame_does_not_hold_up_the_end() {
    let mut stage = Stage::new(Settings::default());
    let _silent = stage.program("");
    smol::block_on(stage.client.shutdown(Shutdown::Now)).unwrap();
    assert_eq!(stage.ended(), Ended::ClientStopped);
}

fn to_itself(stage: &Stage, kind: &str) -> Value {
    json!({
        "type": kind,
        "recipient": stage.client.address().to_string(),
        "message": "bye",
        "replySurbs": 5,
        "connectionId": 1,
    })
}

/// The program gets what was written before, and then the Close frame of a client that ends.
fn assert_is_sent_away(program: &mut Program) {
    loop {
        match program.0.read().unwrap() {
            tungstenite::Message::Close(Some(frame)) => {
                assert_eq!(u16::from(frame.code), 1001);
                return assert_eq!(frame.reason.as_str(), "the client is shutting down");
            }
            tungstenite::Message::Text(_) => {}
            other => panic!("{other:?}"),
        }
    }
}
