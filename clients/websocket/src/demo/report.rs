//! The figures of a run.

use std::time::Duration;

use nym_proto::address::Recipient;
use nym_testnet::loopback::NetworkStats;
use serde_json::{Value, json};

use super::conversation::Figures;

/// Everything the demo found out.
pub(crate) struct Report {
    pub(crate) figures: Figures,
    pub(crate) seed: [u8; 32],
    /// Bytes of the file that was to be sent.
    pub(crate) file_size: u64,
    pub(crate) elapsed: Duration,
    pub(crate) network: NetworkStats,
}

impl Report {
    /// Of both clients: real packets, cover packets, acks received, retransmissions.
    pub(crate) fn packets(&self) -> [u64; 4] {
        let (alice, bob) = (&self.figures.alice_stats, &self.figures.bob_stats);
        [
            alice.real_packets + bob.real_packets,
            alice.cover_packets + bob.cover_packets,
            alice.acks_received + bob.acks_received,
            alice.retransmissions + bob.retransmissions,
        ]
    }

    /// Bytes of the file per second.
    pub(crate) fn throughput(&self) -> f64 {
        let seconds = self.figures.file_time.map_or(0.0, |time| time.as_secs_f64());
        if seconds > 0.0 { self.figures.file_bytes as f64 / seconds } else { 0.0 }
    }

    /// Packets the mix nodes dropped on purpose.
    pub(crate) fn dropped(&self) -> u64 {
        self.network.mixes.iter().map(|mix| mix.lost).sum()
    }

    /// What did not arrive as it should have, if anything.
    pub(crate) fn failure(&self) -> Option<String> {
        let figures = &self.figures;
        let checks = [
            (figures.delivered, "the greeting did not arrive"),
            (figures.replied, "the answer did not arrive"),
            (figures.file_intact, "the file arrived damaged"),
            (figures.hash_confirmed, "Bob confirmed another hash than that of the file"),
        ];
        let failed: Vec<&str> =
            checks.iter().filter(|(ok, _)| !ok).map(|(_, text)| *text).collect();
        (!failed.is_empty()).then(|| failed.join("; "))
    }

    pub(crate) fn to_json(&self) -> Value {
        let figures = &self.figures;
        let [real, cover, acks_received, retransmitted] = self.packets();
        json!({
            "delivered": figures.delivered,
            "replied": figures.replied,
            "file_bytes": figures.file_bytes,
            "file_intact": figures.file_intact && figures.hash_confirmed,
            "one_way_ms": millis(figures.one_way),
            "round_trip_ms": millis(figures.round_trip),
            "file_ms": millis(figures.file_time),
            "throughput_bytes_per_second": self.throughput().round(),
            "packets": {
                "real": real,
                "cover": cover,
                "acks_received": acks_received,
                "retransmitted": retransmitted,
                "dropped_on_purpose": self.dropped(),
            },
            "alice": party(figures.alice),
            "bob": party(figures.bob),
            "elapsed_ms": millis(Some(self.elapsed)),
            "seed": hex::encode(self.seed),
        })
    }
}

fn party(address: Option<Recipient>) -> Option<Value> {
    address.map(|a| json!({ "address": a.to_string(), "gateway": a.gateway.to_string() }))
}

/// Milliseconds, to the microsecond.
fn millis(duration: Option<Duration>) -> Option<f64> {
    duration.map(|duration| (duration.as_secs_f64() * 1_000_000.0).round() / 1000.0)
}
