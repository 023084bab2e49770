//! What is between a client and the network goes away: sleep, directory, link, gateway.

use core::time::Duration;

use nym_proto::client::{Config, Degradation, Fact};

use super::Named;
use super::stage::{SOON, Script, Stage};
use crate::sim::model::Violation;
use crate::sim::{ClientIx, DirectoryMode, NodeIx, SimConfig, Ways};

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);

fn one_gateway() -> SimConfig {
    SimConfig { gateways: 1, ..SimConfig::default() }
}

pub(super) const SUSPEND: Named = Named {
    name: "suspend",
    about: "a client sleeps for ten minutes in the middle of an upload and wakes up as if nothing \
            had happened",
    script: Script { network: one_gateway, play: suspend },
};

fn suspend(stage: &mut Stage) -> Result<(), Violation> {
    let interval = Duration::from_millis(50);
    let (alice, bob) = stage.pair(|config| config.traffic.main_interval = interval)?;
    let upload = stage.plain(alice, bob, 100_000);
    stage.run_for(SECOND)?;
    stage.sim().suspend(alice, 10 * MINUTE);
    let letter = stage.plain(bob, alice, 2_000);
    stage.run_for(10 * MINUTE)?;
    if stage.is_spoiled {
        stage.sim().crash(NodeIx::Gateway(0));
    }
    let awake = stage.now();
    stage
        .promise("what was written meanwhile arrives", SOON, |stage| stage.is_delivered(letter))?;
    stage.promise("the upload ends well", SOON, |stage| stage.is_acknowledged(upload))?;
    stage.run_for(10 * SECOND)?;
    // 25 slots a second; no burst for those that were slept through
    let most = (0..10).map(|second| stage.written(alice, awake + second * SECOND, SECOND)).max();
    let most = most.unwrap_or_default();
    stage.check("frames leave at their usual rate", format!("at most {most} a second"), most < 50);
    Ok(())
}

pub(super) const DIRECTORY_AWAY: Named = Named {
    name: "directory-away",
    about: "the directory does not answer for two hours; clients go on, and a new one waits",
    script: Script { network: SimConfig::default, play: directory_away },
};

fn directory_away(stage: &mut Stage) -> Result<(), Violation> {
    let (alice, bob) = stage.pair(|config| {
        config.traffic.main_interval = SECOND;
        config.traffic.loop_interval = Some(10 * SECOND);
    })?;
    let begun = stage.now();
    stage.sim().set_directory(DirectoryMode::Down);
    let newcomer = stage.sim().add_client(|_| {});
    let mut sent = Vec::new();
    for _ in 0..12 {
        sent.push(stage.plain(alice, bob, 500));
        stage.run_for(10 * MINUTE)?;
    }
    let arrived = sent.iter().filter(|id| stage.is_delivered(**id)).count();
    stage.check("messages arrive all the time", format!("{arrived} of 12"), arrived == 12);
    let frames = |n: u32| stage.written(alice, begun + n * HOUR, HOUR);
    let (first, second) = (frames(0), frames(1));
    let is_steady = second * 10 > first * 9 && second * 9 < first * 10;
    stage.check("frames leave as ever", format!("{first}, then {second} an hour"), is_steady);
    let waits = !stage.client(newcomer).is_ready() && stage.client(newcomer).stopped().is_none();
    stage.check("the new client waits", format!("{waits}"), waits);
    if !stage.is_spoiled {
        stage.sim().set_directory(DirectoryMode::Up);
    }
    // the longest pause after a failure
    let time = 100 * SECOND;
    stage.promise("and begins", time, |stage| stage.client(newcomer).is_ready())
}

pub(super) const HALF_OPEN: Named = Named {
    name: "half-open",
    about: "nothing comes back on a connection and nobody says so; the client finds out and \
            replaces it",
    script: Script { network: one_gateway, play: half_open },
};

fn half_open(stage: &mut Stage) -> Result<(), Violation> {
    let (alice, bob) = stage.pair(|_| {})?;
    let connected = stage.now();
    stage.run_for(5 * SECOND)?;
    let usual = stage.written(alice, connected, 5 * SECOND);
    let silent = stage.now();
    stage.sim().silence(alice, Ways::Down);
    let letter = stage.plain(alice, bob, 5_000);
    stage.run_for(5 * SECOND)?;
    let frames = stage.written(alice, silent, 5 * SECOND);
    let is_usual = frames * 5 > usual * 3 && frames * 3 < usual * 5;
    let measured = format!("{usual} before, {frames} after");
    stage.check("frames leave as before", measured, is_usual);
    let is_told = |fact: &Fact| *fact == Fact::Degraded(Degradation::GatewaySilent);
    stage.promise("the client says so", MINUTE, |stage| {
        stage.has_reported(alice, silent, is_told)
    })?;
    stage.promise("it gives the connection up", MINUTE, |stage| !stage.client(alice).is_ready())?;
    if stage.is_spoiled {
        stage.sim().crash(NodeIx::Gateway(0));
    }
    stage.promise("it connects again", SOON, |stage| stage.client(alice).is_ready())?;
    stage.promise("the message ends well", SOON, |stage| stage.is_acknowledged(letter))
}

pub(super) const OWN_GATEWAY_GONE: Named = Named {
    name: "own-gateway-gone",
    about: "the gateway of a client is unlisted and down for ten minutes; the client says so, \
            keeps its address and its messages, and comes back",
    script: Script {
        network: || SimConfig { gateways: 3, ..SimConfig::default() },
        play: own_gateway_gone,
    },
};

fn own_gateway_gone(stage: &mut Stage) -> Result<(), Violation> {
    let interval = Duration::from_millis(200);
    let (alice, bob) = stage.pair(|config| config.traffic.main_interval = interval)?;
    let (begun, address) = (stage.now(), stage.client(alice).address());
    let Some(gateway) = stage.sim().gateway_of(alice) else {
        return Ok(());
    };
    stage.sim().hide(&[gateway]);
    stage.promise("the client says that it is not listed", 6 * MINUTE, |stage| {
        let is_told = |fact: &Fact| *fact == Fact::Degraded(Degradation::GatewayUnlisted);
        stage.has_reported(alice, begun, is_told)
    })?;
    stage.sim().crash(gateway);
    let letter = stage.plain(alice, bob, 1_000);
    stage.run_for(10 * MINUTE)?;
    let waits = stage.message(letter).is_some_and(|sent| sent.outcome.is_none());
    stage.check("a message waits", format!("{waits}"), waits);
    if !stage.is_spoiled {
        stage.sim().restart(gateway, true);
        stage.sim().hide(&[]);
    }
    stage
        .promise("the client connects again", 2 * MINUTE, |stage| stage.client(alice).is_ready())?;
    let is_same = stage.client(alice).address() == address;
    stage.check("under the same address", format!("{is_same}"), is_same);
    stage.promise("the message ends well", SOON, |stage| stage.is_acknowledged(letter))
}

pub(super) const FAIL_OVER: Named = Named {
    name: "fail-over",
    about: "the gateway of a client that may fail over goes down for good; the client registers \
            with another, and somebody it wrote to anonymously can still answer",
    script: Script {
        network: || SimConfig { gateways: 3, ..SimConfig::default() },
        play: fail_over,
    },
};

fn fail_over(stage: &mut Stage) -> Result<(), Violation> {
    let interval = Duration::from_millis(200);
    let slow = |config: &mut Config| config.traffic.main_interval = interval;
    let alice = stage.sim().add_client(|config| {
        slow(config);
        config.fail_over = Some(MINUTE);
    });
    let others: Vec<_> = (0..6).map(|_| stage.sim().add_client(slow)).collect();
    stage.all_ready()?;
    let (begun, address) = (stage.now(), stage.client(alice).address());
    let gateway = stage.sim().gateway_of(alice);
    let is_elsewhere = |bob: &ClientIx| stage.sim().gateway_of(*bob) != gateway;
    let (Some(bob), Some(gateway)) = (others.into_iter().find(is_elsewhere), gateway) else {
        stage.check("a correspondent uses another gateway", "none does".to_owned(), false);
        return Ok(());
    };
    let letter = stage.anonymous(alice, bob, 1_000, 10);
    stage.promise("a message arrives", SOON, |stage| stage.is_acknowledged(letter))?;
    if !stage.is_spoiled {
        stage.sim().crash(gateway);
    }
    stage.promise("the client says that it moved", 10 * MINUTE, |stage| {
        stage.has_reported(alice, begun, |fact| matches!(fact, Fact::FailedOver { .. }))
    })?;
    stage.promise("it is connected", SOON, |stage| stage.client(alice).is_ready())?;
    let has_moved = stage.client(alice).address() != address;
    stage.check("under another address", format!("{has_moved}"), has_moved);
    stage.run_for(2 * MINUTE)?;
    let answers: Vec<_> = (0..3).map(|_| stage.reply(bob, alice, 1_000)).collect();
    stage.promise("answers arrive", 10 * MINUTE, |stage| {
        answers.iter().all(|answer| stage.is_delivered(*answer))
    })?;
    stage.promise("and end well", SOON, |stage| {
        answers.iter().all(|answer| stage.is_acknowledged(*answer))
    })
}
