//! Events and actions of clients, field by field. Nothing here depends on how Rust prints a value,
//! so that a trace is the same whatever compiled it.

use nym_proto::client::{
    Action, Change, Connectivity, DeliveryOrigin, Event, Fact, Lane, LoopHealth, Outcome, Shutdown,
    Target, WsFrame,
};

use super::{Fields, nanos};

/// What an event says.
pub(in crate::sim) fn event(event: &Event, f: &mut dyn Fields) {
    let mut kind = |kind| f.text("event", kind);
    match event {
        Event::Tick => kind("tick"),
        Event::GatewayConnected { connection, unix_time } => {
            kind("connected");
            f.word("connection", connection.0);
            f.word("unix_nanos", unix_time.as_nanos());
        }
        Event::GatewayFrame { connection, frame } => {
            kind("frame");
            f.word("connection", connection.0);
            self::frame(frame, f);
        }
        Event::GatewayBlocked { connection } => {
            kind("blocked");
            f.word("connection", connection.0);
        }
        Event::GatewayWritable { connection } => {
            kind("writable");
            f.word("connection", connection.0);
        }
        Event::GatewayClosed { connection, reason } => {
            kind("closed");
            f.word("connection", connection.0);
            f.text("reason", reason);
        }
        Event::Fetched { fetch, result, unix_time } => {
            kind("fetched");
            f.word("fetch", fetch.0);
            f.word("unix_nanos", unix_time.as_nanos());
            match result {
                Ok(body) => f.bytes("body", body),
                Err(error) => f.text("error", &error.to_string()),
            }
        }
        Event::Send(message) => {
            kind("send");
            f.word("id", message.id.0);
            target(&message.target, f);
            f.bytes("data", &message.data);
            lane(message.lane, f);
            f.word("attempts_max", message.attempts_max.map_or(u64::MAX, Into::into));
            f.word("expires_after", message.expires_after.map_or(u64::MAX, nanos));
        }
        Event::CloseLane(closed) => {
            kind("close_lane");
            lane(*closed, f);
        }
        Event::SetTier(tier) => {
            kind("set_tier");
            f.text("tier", tier.name());
        }
        Event::Taken(messages) => {
            kind("taken");
            f.word("messages", u64::from(*messages));
        }
        Event::NetworkChanged { unix_time } => {
            kind("network_changed");
            f.word("unix_nanos", unix_time.as_nanos());
        }
        Event::NotKept { reason } => {
            kind("not_kept");
            f.text("reason", reason);
        }
        Event::Shutdown(how) => {
            kind("shutdown");
            match how {
                Shutdown::Now => f.text("how", "now"),
                Shutdown::Drain(time) => f.word("drain", nanos(*time)),
                Shutdown::After(time) => f.word("after", nanos(*time)),
            }
        }
    }
}

/// What an action says.
pub(in crate::sim) fn action(action: &Action, f: &mut dyn Fields) {
    let mut kind = |kind| f.text("action", kind);
    match action {
        Action::Connect { connection, urls } => {
            kind("connect");
            f.word("connection", connection.0);
            f.text("urls", &urls.join(" "));
        }
        Action::Write { connection, frame } => {
            kind("write");
            f.word("connection", connection.0);
            self::frame(frame, f);
        }
        Action::Disconnect { connection } => {
            kind("disconnect");
            f.word("connection", connection.0);
        }
        Action::Fetch { fetch, url } => {
            kind("fetch");
            f.word("fetch", fetch.0);
            f.text("url", url);
        }
        Action::Deliver(delivery) => {
            kind("deliver");
            origin(delivery.origin, f);
            f.bytes("data", &delivery.data);
        }
        Action::Outcome { id, outcome } => {
            kind("outcome");
            f.word("id", id.0);
            self::outcome(*outcome, f);
        }
        Action::Persist(changes) => {
            kind("persist");
            changes.iter().for_each(|change| self::change(change, f));
        }
        Action::Report(fact) => {
            kind("report");
            self::fact(fact, f);
        }
        Action::SetTimer(deadline) => {
            kind("set_timer");
            f.word("deadline", deadline.map_or(u64::MAX, |deadline| deadline.at.as_nanos()));
        }
        Action::Stopped(reason) => {
            kind("stopped");
            f.text("reason", &reason.to_string());
        }
        Action::Writable(told) => {
            kind("writable");
            told.iter().for_each(|told| lane(*told, f));
        }
        _ => kind("unknown"),
    }
}

fn frame(frame: &WsFrame, f: &mut dyn Fields) {
    match frame {
        WsFrame::Text(text) => f.bytes("text", text.as_bytes()),
        WsFrame::Binary(bytes) => f.bytes("binary", bytes),
    }
}

fn target(target: &Target, f: &mut dyn Fields) {
    match target {
        Target::Plain(recipient) => f.text("plain_to", &recipient.to_string()),
        Target::Anonymous { recipient, surbs } => {
            f.text("anonymous_to", &recipient.to_string());
            f.word("surbs", u64::from(*surbs));
        }
        Target::Reply(tag) => f.text("reply_to", &tag.to_string()),
    }
}

fn lane(lane: Lane, f: &mut dyn Fields) {
    match lane {
        Lane::General => f.word("lane", u64::MAX),
        Lane::Connection(number) => f.word("lane", number),
    }
}

fn origin(origin: DeliveryOrigin, f: &mut dyn Fields) {
    match origin {
        DeliveryOrigin::Plain => f.text("origin", "plain"),
        DeliveryOrigin::Anonymous(tag) => f.text("anonymous", &tag.to_string()),
        DeliveryOrigin::Reply(from) => f.text("reply_of", &from.to_string()),
    }
}

fn outcome(outcome: Outcome, f: &mut dyn Fields) {
    match outcome {
        Outcome::Acknowledged { fragments, retransmissions, took } => {
            f.word("acknowledged_fragments", u64::from(fragments));
            f.word("retransmissions", u64::from(retransmissions));
            f.word("took", nanos(took));
        }
        Outcome::Expired { waiting_for } => f.text("expired", &waiting_for.to_string()),
        Outcome::Failed(reason) => f.text("failed", &reason.to_string()),
        _ => f.text("ended", "unknown"),
    }
}

fn change(change: &Change, f: &mut dyn Fields) {
    match change.value() {
        Some(value) => {
            f.bytes("put", change.key());
            f.bytes("value", value);
        }
        None => f.bytes("erase", change.key()),
    }
}

fn connectivity(state: Connectivity) -> &'static str {
    match state {
        Connectivity::Offline => "offline",
        Connectivity::Connecting => "connecting",
        Connectivity::Authenticating => "authenticating",
        Connectivity::Ready => "ready",
        Connectivity::Degraded => "degraded",
        Connectivity::Closed => "closed",
    }
}

fn fact(fact: &Fact, f: &mut dyn Fields) {
    let mut kind = |kind| f.text("fact", kind);
    match fact {
        Fact::Connectivity(state) => f.text("connectivity", connectivity(*state)),
        Fact::Degraded(what) => f.text("degraded", &what.to_string()),
        Fact::Recovered(what) => f.text("recovered", &what.to_string()),
        Fact::LoopHealth(health) => loop_health(health, f),
        Fact::Address(address) => f.text("address", &address.to_string()),
        Fact::Tier(tier) => f.text("tier", tier.name()),
        Fact::FailedOver { after } => f.word("failed_over_after", nanos(*after)),
        Fact::ConnectionFailed { failure, retry_in } => {
            f.text("connection_failed", &failure.to_string());
            f.word("retry_in", nanos(*retry_in));
        }
        Fact::GatewayError(text) => f.text("gateway_error", text),
        Fact::BadFrame => kind("bad_frame"),
        Fact::Restored { entries, expired, skipped } => {
            f.word("restored", *entries as u64);
            f.word("expired", *expired as u64);
            f.word("skipped", *skipped as u64);
        }
        Fact::NoGateway => kind("no_gateway"),
        Fact::Topology { epoch, nodes, refused } => {
            f.word("topology_of", u64::from(*epoch));
            f.word("nodes", *nodes as u64);
            f.word("refused", *refused as u64);
        }
        Fact::DirectoryFailed { reason, retry_in } => {
            f.text("directory_failed", reason);
            f.word("retry_in", nanos(*retry_in));
        }
        Fact::RecipientGatewaysUnreachable { gateways } => {
            f.word("gateways_unreachable", *gateways as u64);
        }
        Fact::DeliveryDropped { bytes } => f.word("delivery_dropped", *bytes as u64),
        Fact::ReassemblyDropped { sets } => f.word("reassembly_dropped", *sets as u64),
        Fact::BadMessage => kind("bad_message"),
        _ => kind("unknown"),
    }
}

fn loop_health(health: &LoopHealth, f: &mut dyn Fields) {
    f.word("loops_since", health.since.as_nanos());
    f.word("duration", nanos(health.duration));
    f.word("sent", u64::from(health.sent));
    f.word("returned", u64::from(health.returned));
    f.word("lost", u64::from(health.lost));
    f.word("duplicates", u64::from(health.duplicates));
    f.word("acks", u64::from(health.acks));
    f.word("strays", u64::from(health.strays));
    f.word("was_interrupted", u64::from(health.was_interrupted));
    if let Some(trip) = health.round_trip {
        [("p50", trip.p50), ("p90", trip.p90), ("p99", trip.p99)]
            .into_iter()
            .for_each(|(name, time)| f.word(name, nanos(time)));
    }
}
