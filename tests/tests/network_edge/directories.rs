//! Several directories, of which some are of no use.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::thread;
use std::time::Duration;

use tests::Cast;
use tests::stage::{ALICE, Stage};

use crate::setting::{config, works};

over_both_runtimes!(of_several_directories_one_that_works_is_enough);

fn of_several_directories_one_that_works_is_enough(cast: &Cast) {
    let stage = Stage::new(71);
    // connections wait in the queue of the socket and are never taken
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let hangs = format!("http://{}/api/", silent.local_addr().unwrap());
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let is_down = format!("http://{closed}/api/");
    let garbage = garbage();
    let good = stage.network.directory_url();
    let mut options = stage.options(ALICE);
    options.net.fetch_timeout = Duration::from_millis(1500);

    let alice = works(cast, &stage, config(&stage, &[&is_down, &garbage, &hangs, &good]), options);

    let facts = format!("{:?}", alice.facts());
    for part in [is_down.as_str(), hangs.as_str(), "no answer within 1.5s"] {
        assert!(facts.contains(part), "{facts}");
    }
}

/// Answers every request with bytes that mean nothing.
fn garbage() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/api/", listener.local_addr().unwrap());
    thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            let _ = stream.read(&mut [0; 4096]);
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{\"a\":[1,}");
        }
    });
    url
}
