//! The arguments of `demo`.

use clap::Args;

#[derive(Args, Debug)]
pub(crate) struct DemoArgs {
    /// Print one JSON object with the figures and nothing else on the standard output.
    #[arg(long)]
    pub(crate) json: bool,
    /// Size of the file in bytes, at most 32 MiB.
    #[arg(long, value_name = "BYTES", default_value_t = 256 * 1024, value_parser = parse_size,
          allow_negative_numbers = true)]
    pub(crate) size: u64,
    /// Probability, from 0 to 0.3, with which each mix node drops each packet. Everything must
    /// still arrive, which takes the longer the more is lost.
    #[arg(long, value_name = "P", default_value_t = 0.0, value_parser = parse_loss,
          allow_negative_numbers = true)]
    pub(crate) loss: f64,
    /// Send no cover traffic. This gives up unobservability.
    #[arg(long)]
    pub(crate) no_cover: bool,
    /// Seed of all keys and all randomness, 64 hexadecimal digits; drawn if absent.
    #[arg(long, value_name = "HEX", value_parser = parse_seed)]
    pub(crate) seed: Option<[u8; 32]>,
}

/// The largest file the demo sends: what a client takes as one message.
const FILE_MAX: u64 = 32 << 20;
/// A packet and its ack cross six mix nodes: of so many lost, one transmission in nine is acknowledged.
const LOSS_MAX: f64 = 0.3;

fn parse_size(text: &str) -> Result<u64, String> {
    match text.parse() {
        Ok(size) if size <= FILE_MAX => Ok(size),
        _ => Err(format!("a size is a number of bytes from 0 to {FILE_MAX}; try 262144")),
    }
}

fn parse_loss(text: &str) -> Result<f64, String> {
    let loss: f64 = text.parse().map_err(|_| "not a number; try 0.05".to_owned())?;
    if (0.0..=LOSS_MAX).contains(&loss) {
        Ok(loss)
    } else {
        Err(format!("not between 0 and {LOSS_MAX}; try 0.05"))
    }
}

fn parse_seed(text: &str) -> Result<[u8; 32], String> {
    let mut seed = [0; 32];
    match hex::decode_to_slice(text, &mut seed) {
        Ok(()) => Ok(seed),
        Err(hex::FromHexError::InvalidHexCharacter { c, .. }) => {
            Err(format!("a seed has 64 hexadecimal digits, {c:?} is none"))
        }
        Err(_) => {
            let len = text.chars().count();
            Err(format!("a seed has 64 hexadecimal digits, this has {len} characters"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_name_the_bad_value_and_the_remedy() {
        assert!(parse_size("33554433").unwrap_err().contains("33554432"));
        assert!(parse_size("-1").is_err());
        assert_eq!(parse_size("0"), Ok(0));
        assert!(parse_loss("2").unwrap_err().contains("0.05"));
        assert!(parse_loss("-0.1").is_err());
        assert!(parse_loss("NaN").is_err());
        assert!(parse_seed("abcd").unwrap_err().contains("64"));
        assert!(parse_seed(&"g".repeat(64)).unwrap_err().contains("'g'"));
        assert_eq!(parse_seed(&"0f".repeat(32)), Ok([0x0f; 32]));
    }
}
