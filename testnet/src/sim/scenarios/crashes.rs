//! Gateways and clients that crash.

use core::time::Duration;

use nym_proto::client::Fact;
use nym_proto::entropy::{Entropy, Purpose};
use nym_proto::time::Instant;

use super::Named;
use super::stage::{SOON, Script, Stage};
use crate::sim::model::Violation;
use crate::sim::{NodeIx, SimConfig};

const SECOND: Duration = Duration::from_secs(1);

pub(super) const GATEWAY_CRASH: Named = Named {
    name: "gateway-crash-in-upload",
    about: "the gateway crashes in the middle of an upload and is back after half a minute",
    script: Script {
        network: || SimConfig { gateways: 1, ..SimConfig::default() },
        play: gateway_crash,
    },
};

fn gateway_crash(stage: &mut Stage) -> Result<(), Violation> {
    let (alice, bob) = stage.pair(|_| {})?;
    // 315 fragments, of which half have left after some three seconds
    let upload = stage.plain(alice, bob, 500_000);
    stage.run_for(3 * SECOND)?;
    let in_flight = stage.client(alice).machine().usage().in_flight as u32;
    let sent = stage.stats(alice).real_packets;
    let measured = format!("{sent} fragments have left, {in_flight} are in flight");
    stage.check("it happens in the middle", measured, (50..250).contains(&sent) && in_flight > 0);
    stage.sim().crash(NodeIx::Gateway(0));
    stage.run_for(30 * SECOND)?;
    if !stage.is_spoiled {
        stage.sim().restart(NodeIx::Gateway(0), true);
    }
    stage.promise("the upload is delivered", SOON, |stage| stage.is_delivered(upload))?;
    stage.promise("and acknowledged", SOON, |stage| stage.is_acknowledged(upload))?;
    let again = stage.retransmissions(upload);
    // and a few whose acks come late after it
    let most = in_flight + 20;
    let measured = format!("{again} again, {in_flight} were in flight");
    stage.check("only what was in flight is sent again", measured, again <= most);
    Ok(())
}

pub(super) const CLIENT_CRASH: Named = Named {
    name: "client-crash",
    about: "both sides of a conversation crash again and again at any action, come back with what \
            they kept, and it goes on",
    script: Script { network: SimConfig::default, play: client_crash },
};

fn client_crash(stage: &mut Stage) -> Result<(), Violation> {
    const CRASHES: u32 = 10;
    let mut stream = Entropy::new([7; 32]).stream(Purpose::Other(stage.sim().seed() as u32));
    let (alice, bob) = stage.pair(|_| {})?;
    let hello = stage.anonymous(alice, bob, 100, 10);
    stage.wait(SOON, |stage| stage.is_acknowledged(hello))?;
    let mut answered = 0;
    for _ in 0..CRASHES {
        // while a message and an answer are under way
        stage.anonymous(alice, bob, 3_000, 5);
        stage.reply(bob, alice, 3_000);
        let (a, b) = (stream.below(300), stream.below(300));
        stage.sim().crash_client_after(alice, a);
        stage.sim().crash_client_after(bob, b);
        let are_down =
            |stage: &Stage| [alice, bob].into_iter().all(|it| stage.client(it).is_crashed());
        stage.wait(SOON, are_down)?;
        if stage.is_spoiled {
            stage.sim().forget(bob);
        }
        stage.sim().restart_client(alice);
        stage.sim().restart_client(bob);
        stage.all_ready()?;
        let reply = stage.reply(bob, alice, 100);
        let took = stage.wait(SOON, |stage| stage.is_delivered(reply))?;
        answered += u32::from(took.is_some());
    }
    let measured = format!("{answered} of {CRASHES}");
    stage.check("after each crash a reply gets through", measured, answered == CRASHES);
    let is_damaged = |fact: &Fact| matches!(fact, Fact::Restored { skipped: 1.., .. });
    let is_whole =
        [alice, bob].into_iter().all(|it| !stage.has_reported(it, Instant::START, is_damaged));
    stage.check("everything kept is understood", format!("{is_whole}"), is_whole);
    Ok(())
}
