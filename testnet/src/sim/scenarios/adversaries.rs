//! Somebody means harm.

use core::time::Duration;

use nym_proto::client::Target;

use super::Named;
use super::stage::{SOON, Script, Stage};
use crate::sim::hostile_gateway::{Malice, Mischief};
use crate::sim::hostile_sender::Attack;
use crate::sim::model::Violation;
use crate::sim::{NodeIx, SimConfig, Ways};

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const GATEWAY: NodeIx = NodeIx::Gateway(0);

fn one_gateway() -> SimConfig {
    SimConfig { gateways: 1, ..SimConfig::default() }
}

pub(super) const FLOOD: Named = Named {
    name: "flood",
    about: "a hostile sender floods a client that may hold little with everything it can think \
            of; the client stays within its limits and reachable",
    script: Script { network: one_gateway, play: flood },
};

fn flood(stage: &mut Stage) -> Result<(), Violation> {
    const ROUNDS: usize = 20;
    const SETS: usize = 16;
    let is_spoiled = stage.is_spoiled;
    let (alice, bob) = stage.pair(|config| {
        config.limits.reassembly.sets_max = SETS;
        config.limits.reassembly.bytes_max = 500_000;
        config.limits.reassembly.finished_max = 128;
        config.limits.correspondents_max = 8;
        config.limits.surbs_max = 200;
    })?;
    let mallory = stage.sim().add_hostile_sender(GATEWAY);
    if let Some(recipient) = stage.sim().hostile_address(mallory) {
        stage.write_to_stranger(alice, Target::Anonymous { recipient, surbs: 20 });
    }
    stage.run_for(5 * SECOND)?;
    if is_spoiled {
        stage.sim().silence(alice, Ways::Down);
    }
    let mut sent = Vec::new();
    let mut fullest = 0;
    for _ in 0..ROUNDS {
        for attack in Attack::ALL {
            stage.sim().attack(mallory, alice, attack);
        }
        sent.push(stage.plain(bob, alice, 500));
        stage.run_for(SECOND)?;
        fullest = fullest.max(stage.client(alice).machine().usage().reassembly_sets);
    }
    let attacks = stage.sim().attacks(mallory).len();
    stage.check(
        "it is a flood",
        format!("{attacks} attacks"),
        attacks == ROUNDS * Attack::ALL.len(),
    );
    stage.check("the client is full", format!("{fullest} of {SETS} sets"), fullest == SETS);
    stage.run_for(2 * SECOND)?;
    let arrived = sent.iter().filter(|id| stage.is_delivered(**id)).count();
    let measured = format!("{arrived} of {ROUNDS}");
    stage.check("friends get through meanwhile", measured, arrived == ROUNDS);
    let stats = stage.stats(alice);
    let refused = stats.bad_packets + stats.bad_messages + stats.surb_requests_refused;
    stage.check("what is bad is counted", format!("{refused}"), refused > ROUNDS as u64);
    Ok(())
}

pub(super) const HOSTILE_GATEWAY: Named = Named {
    name: "hostile-gateway",
    about: "for two minutes a gateway drops, delays, repeats, cuts, damages and makes up frames; \
            when it behaves again, everything ends well",
    script: Script { network: one_gateway, play: hostile_gateway },
};

fn hostile_gateway(stage: &mut Stage) -> Result<(), Violation> {
    let (alice, bob) = stage.pair(|_| {})?;
    let kinds = Mischief::ALL.to_vec();
    stage.sim().corrupt(GATEWAY, Some(Malice { kinds, chance: 0.1 }));
    let mut sent = Vec::new();
    for _ in 0..24 {
        sent.push(stage.plain(alice, bob, 2_000));
        stage.run_for(5 * SECOND)?;
    }
    let done = stage.sim().mischief(GATEWAY).len();
    let measured = format!("{done} kinds of mischief");
    stage.check("it does all it can", measured, done >= Mischief::ALL.len() - 1);
    let has_lied = stage.stats(alice);
    let seen = has_lied.bad_frames + has_lied.bad_packets + has_lied.acks_unknown;
    stage.check("the client counts what it was told", format!("{seen}"), seen > 0);
    if stage.is_spoiled {
        let kinds = vec![Mischief::Drop];
        stage.sim().corrupt(GATEWAY, Some(Malice { kinds, chance: 1.0 }));
    } else {
        stage.sim().corrupt(GATEWAY, None);
    }
    stage.promise("every message ends well", 3 * MINUTE, |stage| {
        sent.iter().all(|id| stage.is_acknowledged(*id))
    })?;
    let letter = stage.anonymous(bob, alice, 1_000, 10);
    stage.promise("and so does the next one", SOON, |stage| stage.is_delivered(letter))
}
