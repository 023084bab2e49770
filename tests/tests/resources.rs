//! A client that is gone leaves nothing behind. Alone in its process, so that it can count.

#![cfg(target_os = "linux")]

use std::fs;

use nym_proto::client::Shutdown;
use tests::stage::{ALICE, Stage, noise};
use tests::wait::{next, until};
use tests::{Cast, Runtime};

#[test]
fn clients_that_are_gone_leave_neither_threads_nor_sockets() {
    let stage = Stage::new(81);
    let mut run = 0..;
    for cast in [Cast::STD, Cast::SMOL] {
        // the first one starts what all clients of the process share
        come_and_go(&stage, cast.alice, run.next(), Leave::Shutdown);
        until("the threads end", || client_threads() == 0);
        for leave in [Leave::Shutdown, Leave::Drop, Leave::DropBusy, Leave::Drop] {
            come_and_go(&stage, cast.alice, run.next(), leave);
        }
        until("the threads end", || client_threads() == 0);
        until("the sockets are closed", || client_sockets(&stage) == 0);
    }
}

#[derive(Clone, Copy)]
enum Leave {
    /// Shut down, then drop.
    Shutdown,
    /// Drop while nothing is to be done.
    Drop,
    /// Drop while a message is under way.
    DropBusy,
}

fn come_and_go(stage: &Stage, runtime: &dyn Runtime, run: Option<u8>, leave: Leave) {
    let options = stage.options(run.unwrap());
    let alice = runtime.connect(stage.config(ALICE), stage.identity(ALICE), options).unwrap();
    alice.send(alice.address(), noise(1, 100)).unwrap();
    next(&*alice);
    assert!(client_sockets(stage) > 0);
    match leave {
        Leave::Shutdown => alice.shutdown(Shutdown::Now).unwrap(),
        Leave::Drop => {}
        Leave::DropBusy => drop(alice.send(alice.address(), noise(2, 5_000_000)).unwrap()),
    }
}

/// Threads of clients and of their helpers.
fn client_threads() -> usize {
    let threads = fs::read_dir("/proc/self/task").unwrap();
    let names = threads.filter_map(|thread| {
        // a thread may end while it is looked at
        fs::read_to_string(thread.ok()?.path().join("comm")).ok()
    });
    names.filter(|name| ["nym-client", "nym-helper"].contains(&name.trim())).count()
}

/// Both ends, as far as they are open, of connections to a gateway's port for clients.
fn client_sockets(stage: &Stage) -> usize {
    let gateways = stage.network.gateways();
    let (_, port) = gateways[usize::from(ALICE)].ws_url.rsplit_once(':').unwrap();
    let port = format!(":{:04X}", port.parse::<u16>().unwrap());
    let table = fs::read_to_string("/proc/self/net/tcp").unwrap();
    let open = table.lines().filter(|line| {
        let columns: Vec<&str> = line.split_whitespace().collect();
        let is_ours = columns.get(1..3).unwrap().iter().any(|end| end.ends_with(&port));
        // anything but TIME_WAIT and LISTEN
        is_ours && !["06", "0A"].contains(&columns[3])
    });
    open.count()
}
