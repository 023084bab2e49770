//! A whole mixnet in virtual time: a message and its reply, with the gateway crashing in between.

use std::time::Duration;

use nym_testnet::sim::{NodeIx, Sim, SimConfig};

fn main() {
    let minute = Duration::from_secs(60);
    let mut sim = Sim::new(SimConfig { seed: 7, gateways: 1, ..SimConfig::default() });
    let alice = sim.add_client(|_| {});
    let bob = sim.add_client(|config| config.traffic.main_interval = Duration::from_millis(50));
    assert!(sim.run_until(minute, |sim| sim.are_ready()));

    let id = sim.send_anonymous(alice, bob, "how are you?").expect("there is room");
    assert!(sim.run_until(minute, |sim| sim.has_received(bob, b"how are you?")));
    println!("{:?} the message has arrived", sim.now());

    sim.crash(NodeIx::Gateway(0));
    sim.run_for(Duration::from_secs(10));
    sim.restart(NodeIx::Gateway(0), true);
    sim.reply(bob, "fine").expect("there is somebody to answer");
    assert!(sim.run_until(minute, |sim| sim.has_received(alice, b"fine")));
    println!("{:?} the reply has arrived, after the gateway was away", sim.now());

    assert!(sim.run_until(minute, |sim| sim.is_acknowledged(alice, id)));
    println!("{:?} the message is acknowledged", sim.now());
    println!("trace hash {:016x}, the same in every run", sim.trace_hash());
}
