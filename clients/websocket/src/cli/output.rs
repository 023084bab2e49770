//! The form of results.

use clap::{Args, ValueEnum};

/// The form of results.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub(crate) enum Output {
    /// Lines for people.
    Text,
    /// One JSON value.
    Json,
}

#[derive(Args, Debug)]
pub(crate) struct OutputArgs {
    /// The form of the result on the standard output.
    #[arg(short, long, value_enum, default_value_t = Output::Text)]
    output: Output,
    /// The same as `--output json`.
    #[arg(long, conflicts_with = "output")]
    json: bool,
}

impl OutputArgs {
    pub(crate) fn is_json(&self) -> bool {
        self.json || self.output == Output::Json
    }
}
