//! What a person sees while the demo runs, and its summary.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use nym_proto::address::Recipient;
use nym_proto::identity::IdentityKey;
use nym_testnet::loopback::Loopback;

use super::report::Report;

/// Prints for people, or nothing if figures are asked for as JSON.
pub(crate) struct Screen {
    is_silent: bool,
}

/// The bar of the file transfer.
pub(crate) struct Progress(ProgressBar);

impl Progress {
    pub(crate) fn sent(&self, fragments: u64) {
        self.0.set_position(fragments);
    }

    pub(crate) fn finish(self) {
        self.0.finish_and_clear();
    }
}

impl Screen {
    pub(crate) const fn new(is_silent: bool) -> Self {
        Self { is_silent }
    }

    fn line(&self, text: &str) {
        if !self.is_silent {
            println!("{text}");
        }
    }

    pub(crate) fn network(&self, network: &Loopback) {
        let (gateways, mixes) = (network.gateways().len(), network.mixes().len());
        self.line(&format!(
            "A mixnet of {gateways} gateways and {mixes} mix nodes runs inside this process.\n  directory  {}",
            network.directory_url()
        ));
    }

    pub(crate) fn ready(&self, alice: &Recipient, bob: &Recipient, gateways: (IdentityKey, IdentityKey)) {
        self.line(&format!("\nAlice (async runtime)\n  address    {alice}\n  gateway    {}", gateways.0));
        self.line(&format!("Bob (blocking runtime)\n  address    {bob}\n  gateway    {}", gateways.1));
    }

    pub(crate) fn greeting(&self, one_way: Duration, round_trip: Duration) {
        self.line(&format!(
            "\nAlice -> Bob   \"{}\"  after {}",
            super::conversation::GREETING,
            millis(one_way)
        ));
        self.line(&format!("Bob   -> ?     an answer through single-use reply blocks  after {}", millis(round_trip)));
    }

    pub(crate) fn progress(&self, fragments: u64) -> Progress {
        let bar = if self.is_silent { ProgressBar::hidden() } else { ProgressBar::new(fragments) };
        if let Ok(style) = ProgressStyle::with_template("Alice -> Bob   file {bar:40} {pos}/{len} packets, {eta} left") {
            bar.set_style(style);
        }
        Progress(bar)
    }

    pub(crate) fn summary(&self, report: &Report) {
        let figures = &report.figures;
        let [real, cover, acks, retransmitted] = report.packets();
        let verdict = match (figures.file_intact, figures.hash_confirmed) {
            (true, true) => "intact, hash confirmed by a second reply",
            (true, false) => "intact, but the reply names another hash",
            (false, _) => "DAMAGED",
        };
        self.line(&format!("Alice -> Bob   file of {} bytes: {verdict}", figures.file_bytes));
        self.line(&format!("\n  one way            {}", millis(figures.one_way)));
        self.line(&format!("  round trip         {}", millis(figures.round_trip)));
        self.line(&format!(
            "  file               {:.1} s, {:.1} kB/s",
            figures.file_time.as_secs_f64(),
            report.throughput() / 1000.0
        ));
        self.line(&format!("  packets sent       {real} real ({retransmitted} of them again), {cover} cover"));
        self.line(&format!("  acks received      {acks}"));
        self.line(&format!("  dropped on purpose {}", report.dropped()));
        self.line(&format!("  took               {:.1} s", report.elapsed.as_secs_f64()));
        self.line(&format!("  seed               {}", hex::encode(report.seed)));
    }
}

fn millis(duration: Duration) -> String {
    format!("{:.0} ms", duration.as_secs_f64() * 1000.0)
}
