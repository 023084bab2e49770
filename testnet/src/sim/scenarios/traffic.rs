//! Much to send.

use core::time::Duration;

use nym_proto::client::Lane;

use super::Named;
use super::stage::{SOON, Script, Stage};
use crate::sim::model::Violation;
use crate::sim::{NodeLinks, SimConfig};

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);

pub(super) const LANE_FAIRNESS: Named = Named {
    name: "lane-fairness",
    about: "small messages beside a bulk transfer that fills every slot arrive at once, and the \
            transfer does not stand still",
    script: Script { network: SimConfig::default, play: lane_fairness },
};

fn lane_fairness(stage: &mut Stage) -> Result<(), Violation> {
    const MESSAGES: usize = 30;
    let (alice, bob) = stage.pair(|_| {})?;
    let (bulk, small) = (Lane::Connection(1), Lane::Connection(2));
    let transfer = stage.plain_on(bulk, alice, bob, 4_000_000);
    stage.run_for(5 * SECOND)?;
    let before = stage.stats(alice).real_packets;
    let begun = stage.now();
    let small = if stage.is_spoiled { bulk } else { small };
    let mut sent = Vec::new();
    for _ in 0..MESSAGES {
        sent.push(stage.plain_on(small, alice, bob, 100));
        stage.run_for(SECOND)?;
    }
    stage.run_for(5 * SECOND)?;
    let mut latencies: Vec<_> = sent.iter().filter_map(|id| stage.latency(*id)).collect();
    latencies.sort_unstable();
    let (median, worst) = (latencies.get(MESSAGES / 2), latencies.last());
    let is_prompt = latencies.len() == MESSAGES && worst.is_some_and(|worst| *worst < 2 * SECOND);
    let measured =
        format!("{} of {MESSAGES}, median {median:.2?}, worst {worst:.2?}", latencies.len());
    stage.check("small messages arrive within two seconds", measured, is_prompt);
    let packets = stage.stats(alice).real_packets - before;
    let slots = stage.written(alice, begun, stage.now().since(begun));
    let of_transfer = packets.saturating_sub(MESSAGES as u64);
    let share = of_transfer as f64 / slots as f64;
    // ten of eleven frames are slots of the main stream
    stage.check("the transfer has the other slots", format!("{:.0} %", share * 100.0), share > 0.8);
    let is_unfinished = stage.message(transfer).is_some_and(|sent| sent.outcome.is_none());
    stage.check("it fills them all the time", format!("{is_unfinished}"), is_unfinished);
    Ok(())
}

pub(super) const RETRANSMISSION_STORM: Named = Named {
    name: "retransmission-storm",
    about: "nothing gets through for five minutes with a hundred messages under way; what waits is \
            neither hammered meanwhile nor sent over and over afterwards",
    script: Script { network: SimConfig::default, play: retransmission_storm },
};

fn retransmission_storm(stage: &mut Stage) -> Result<(), Violation> {
    const MESSAGES: u64 = 100;
    let is_spoiled = stage.is_spoiled;
    let (alice, bob) = stage.pair(|config| {
        if is_spoiled {
            // no back-off
            config.acks.wait_max = config.acks.wait_min;
            config.acks.gateway_losses_max = 0;
        }
    })?;
    stage.run_for(5 * SECOND)?;
    stage.sim().set_node_links(NodeLinks { loss: 1.0, ..NodeLinks::default() });
    let sent: Vec<_> = (0..MESSAGES).map(|_| stage.plain(alice, bob, 500)).collect();
    stage.run_for(5 * MINUTE)?;
    let before = stage.stats(alice);
    let during = before.retransmissions;
    let measured = format!("{during} for {MESSAGES} fragments in 5 minutes");
    stage.check("few retransmissions in the outage", measured, during < 12 * MESSAGES);
    stage.sim().set_node_links(NodeLinks::default());
    stage.promise("all messages end well", 3 * MINUTE, |stage| {
        sent.iter().all(|id| stage.is_acknowledged(*id))
    })?;
    stage.run_for(SOON)?;
    let after = stage.stats(alice).retransmissions - during;
    let measured = format!("{after} for {MESSAGES} fragments");
    stage.check("few retransmissions after it", measured, after <= 2 * MESSAGES);
    Ok(())
}
