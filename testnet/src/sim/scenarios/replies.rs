//! Conversations that cost SURBs.

use core::time::Duration;

use super::Named;
use super::stage::{SOON, Script, Stage};
use crate::sim::model::Violation;
use crate::sim::{NodeLinks, SimConfig};

/// Keys rotate every second one; the directory is asked every 330 s at the latest.
const EPOCH: Duration = Duration::from_secs(400);
const MINUTE: Duration = Duration::from_secs(60);

pub(super) const THREE_ROTATIONS: Named = Named {
    name: "three-rotations",
    about: "a conversation is idle while keys rotate three times; then a first reply gets through",
    script: Script { network: short_epochs, play: three_rotations },
};

fn short_epochs() -> SimConfig {
    SimConfig { epoch_length: EPOCH, validity_epochs: 2, ..SimConfig::default() }
}

fn three_rotations(stage: &mut Stage) -> Result<(), Violation> {
    let interval = Duration::from_millis(500);
    let (alice, bob) = stage.pair(|config| config.traffic.main_interval = interval)?;
    let hello = stage.anonymous(alice, bob, 100, 10);
    stage.wait(SOON, |stage| stage.is_acknowledged(hello))?;
    let before = stage.stats(bob).surbs_dropped;
    if stage.is_spoiled {
        // nobody is there to give new SURBs, or to read
        stage.sim().suspend(alice, EPOCH * 8);
    }
    stage.run_for(EPOCH * 6 + MINUTE)?;
    let dropped = stage.stats(bob).surbs_dropped - before;
    stage.check("all SURBs of the beginning are dead", format!("{dropped} dropped"), dropped >= 10);
    let reply = stage.reply(bob, alice, 100);
    stage.promise("the reply is delivered", SOON, |stage| stage.is_delivered(reply))?;
    stage.promise("and acknowledged", SOON, |stage| stage.is_acknowledged(reply))?;
    let (sent, owned) = (stage.stats(alice).messages_accepted, 1);
    stage.check("the other side has sent nothing but its hello", format!("{sent}"), sent == owned);
    Ok(())
}

pub(super) const SURB_STARVATION: Named = Named {
    name: "surb-starvation",
    about: "every SURB of a correspondent is lost in an outage; a long reply gets through after it",
    script: Script { network: SimConfig::default, play: surb_starvation },
};

fn surb_starvation(stage: &mut Stage) -> Result<(), Violation> {
    let interval = Duration::from_millis(50);
    let (alice, bob) = stage.pair(|config| config.traffic.main_interval = interval)?;
    let hello = stage.anonymous(alice, bob, 100, 10);
    stage.wait(SOON, |stage| stage.is_acknowledged(hello))?;
    stage.sim().set_node_links(NodeLinks { loss: 1.0, ..NodeLinks::default() });
    let reply = stage.reply(bob, alice, 30_000);
    stage.run_for(3 * MINUTE)?;
    let used = stage.stats(bob).surbs_used;
    stage.check("all SURBs are used up", format!("{used} used"), used >= 10);
    if !stage.is_spoiled {
        stage.sim().set_node_links(NodeLinks::default());
    }
    let time = 4 * MINUTE;
    stage.promise("the reply is delivered", time, |stage| stage.is_delivered(reply))?;
    stage.promise("and acknowledged", MINUTE, |stage| stage.is_acknowledged(reply))?;
    let given = stage.stats(alice).surbs_topped_up;
    stage.check("SURBs are given without being asked for", format!("{given}"), given > 0);
    Ok(())
}
