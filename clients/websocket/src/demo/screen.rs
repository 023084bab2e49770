//! What a person sees while the demo runs, and its summary.

use std::io::{self, IsTerminal as _, Write as _};
use std::time::Duration;

use nym_proto::address::Recipient;
use nym_testnet::loopback::Loopback;

use super::conversation::{Figures, GREETING};
use super::report::Report;
use crate::commands::print;

/// Prints for people, or nothing if figures are asked for as JSON.
pub(crate) struct Screen {
    is_silent: bool,
}

/// How far the file transfer is, on a line that is written again and again.
pub(crate) struct Progress {
    fragments: u64,
    is_shown: bool,
}

impl Progress {
    pub(crate) fn sent(&self, sent: u64) {
        if self.is_shown {
            let percent = 100 * sent / self.fragments.max(1);
            let _ = write!(io::stderr(), "\rAlice -> Bob   file {percent:3} % sent");
        }
    }

    pub(crate) fn finish(self) {
        if self.is_shown {
            let _ = write!(io::stderr(), "\r{:40}\r", "");
        }
    }
}

impl Screen {
    pub(crate) const fn new(is_silent: bool) -> Self {
        Self { is_silent }
    }

    fn line(&self, text: &str) -> anyhow::Result<()> {
        if self.is_silent { Ok(()) } else { print(text) }
    }

    pub(crate) fn network(&self, network: &Loopback) -> anyhow::Result<()> {
        let (gateways, mixes) = (network.gateways().len(), network.mixes().len());
        self.line(&format!(
            "A mixnet of {gateways} gateways and {mixes} mix nodes runs inside this process.\n  directory  {}",
            network.directory_url()
        ))
    }

    pub(crate) fn ready(&self, alice: &Recipient, bob: &Recipient) -> anyhow::Result<()> {
        for (name, address) in
            [("Alice, on the async runtime", alice), ("Bob, on the blocking runtime", bob)]
        {
            self.line(&format!(
                "\n{name}\n  address    {address}\n  gateway    {}",
                address.gateway
            ))?;
        }
        Ok(())
    }

    pub(crate) fn greeting(&self, figures: &Figures) -> anyhow::Result<()> {
        let (one_way, round_trip) = (millis(figures.one_way), millis(figures.round_trip));
        self.line(&format!("\nAlice -> Bob   \"{GREETING}\"  after {one_way}"))?;
        self.line(&format!(
            "Bob   -> ?     an answer through single-use reply blocks  after {round_trip}"
        ))
    }

    pub(crate) fn progress(&self, fragments: u64) -> Progress {
        Progress { fragments, is_shown: !self.is_silent && io::stderr().is_terminal() }
    }

    pub(crate) fn summary(&self, report: &Report) -> anyhow::Result<()> {
        let figures = &report.figures;
        let [real, cover, acks, retransmitted] = report.packets();
        let verdict = match (figures.file_time, figures.file_intact, figures.hash_confirmed) {
            (None, ..) => "did not arrive",
            (_, true, true) => "intact, its hash confirmed by a second reply",
            (_, true, false) => "intact, but its hash was not confirmed",
            (_, false, _) => "not intact",
        };
        let file = figures.file_time.map_or_else(
            || "-".to_owned(),
            |time| format!("{:.1} s, {:.1} kB/s", time.as_secs_f64(), report.throughput() / 1000.0),
        );
        for line in [
            format!("Alice -> Bob   file of {} bytes: {verdict}\n", report.file_size),
            format!("  one way            {}", millis(figures.one_way)),
            format!("  round trip         {}", millis(figures.round_trip)),
            format!("  file               {file}"),
            format!(
                "  packets sent       {real} real ({retransmitted} of them again), {cover} cover"
            ),
            format!("  acks received      {acks}"),
            format!("  dropped on purpose {}", report.dropped()),
            format!("  took               {:.1} s", report.elapsed.as_secs_f64()),
            format!("  seed               {}", hex::encode(report.seed)),
        ] {
            self.line(&line)?;
        }
        Ok(())
    }
}

fn millis(duration: Option<Duration>) -> String {
    duration.map_or_else(
        || "-".to_owned(),
        |duration| format!("{:.0} ms", duration.as_secs_f64() * 1000.0),
    )
}
