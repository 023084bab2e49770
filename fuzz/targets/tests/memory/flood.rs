//! Floods, in the simulator. Everything that the whole simulation comes to hold is counted, which is
//! more than its client does.

use core::time::Duration;

use nym_proto::client::{Target, Usage};
use nym_testnet::sim::hostile_gateway::{Malice, Mischief};
use nym_testnet::sim::hostile_sender::Attack;
use nym_testnet::sim::{ClientIx, NodeIx, Sim, SimConfig};

use super::{Count, small};

/// A network with one client, which is ready.
fn ready() -> (Sim, ClientIx) {
    let mut sim = Sim::new(SimConfig { gateways: 1, ..SimConfig::default() });
    let client = sim.add_client(|config| config.limits = small());
    assert!(sim.run_until(Duration::from_secs(30), |sim| sim.client(client).is_ready()));
    (sim, client)
}

/// Lets time pass, and looks at how full the client is.
fn watch(sim: &mut Sim, client: ClientIx, time: Duration, most: &mut Usage) {
    sim.run_for(time);
    let usage = sim.client(client).machine().usage();
    assert_eq!(usage.excess(&small()), None);
    most.reassembly_bytes = most.reassembly_bytes.max(usage.reassembly_bytes);
    most.reassembly_finished = most.reassembly_finished.max(usage.reassembly_finished);
    most.reply_keys = most.reply_keys.max(usage.reply_keys);
}

fn assert_peak(count: &Count) {
    let (peak, max) = (count.peak(), small().memory_max());
    println!("{peak} bytes at most, {max} allowed");
    assert!(peak <= max, "{peak} bytes, and {max} are allowed");
}

#[test]
fn a_gateway_that_floods_its_client_does_not_fill_its_memory() {
    let mut count = Count::begin();
    let (mut sim, client) = ready();
    count.restart();

    let kinds = [
        Mischief::Flood,
        Mischief::ForgePush,
        Mischief::ForgeAck,
        Mischief::Replay,
        Mischief::Texts,
    ];
    let malice = Malice { kinds: kinds.into(), chance: 0.3 };
    sim.corrupt(NodeIx::Gateway(0), Some(malice));
    for _ in 0..60 {
        watch(&mut sim, client, Duration::from_secs(1), &mut Usage::default());
    }

    let floods = sim.mischief(NodeIx::Gateway(0)).into_iter().find(|(m, _)| *m == Mischief::Flood);
    assert!(floods.is_some_and(|(_, times)| times > 10), "{floods:?}");
    assert_peak(&count);
}

#[test]
fn a_sender_that_floods_a_client_does_not_fill_its_memory() {
    let mut count = Count::begin();
    let (mut sim, client) = ready();
    let sender = sim.add_hostile_sender(NodeIx::Gateway(0));
    let recipient = sim.hostile_address(sender).unwrap();
    sim.send(client, Target::Anonymous { recipient, surbs: 50 }, vec![1; 100]).unwrap();
    sim.run_for(Duration::from_secs(10));
    count.restart();

    let mut most = Usage::default();
    // not longer, as the nodes remember every packet
    for _ in 0..14 {
        for attack in Attack::ALL {
            for _ in 0..5 {
                sim.attack(sender, client, attack);
            }
        }
        watch(&mut sim, client, Duration::from_secs(1), &mut most);
    }

    // it got as far as it could
    let limits = small();
    assert!(most.reassembly_bytes * 10 > limits.reassembly.bytes_max * 9, "{most:?}");
    assert!(most.reassembly_finished > 500, "{most:?}");
    assert!(most.reply_keys > 50, "{most:?}");
    assert!(sim.attacks(sender).len() > 700, "{}", sim.attacks(sender).len());
    assert_peak(&count);
}
