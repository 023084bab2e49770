//! Connects and does nothing, which still emits cover traffic. For measuring what a client costs.

use std::time::Duration;

use nym_proto::client::{Config, Network, Shutdown};
use nym_runtime_std::{Options, connect, generate_identity};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let directory =
        arguments.next().ok_or("give the URL of a directory and a number of seconds")?;
    let seconds = arguments.next().unwrap_or_else(|| "60".to_owned()).parse()?;
    let config = Config::new(Network::Directory(vec![directory]));
    let client = connect(config, generate_identity()?, Options::default())?;
    std::thread::sleep(Duration::from_secs(seconds));
    println!("{:?}", client.stats());
    client.shutdown(Shutdown::Now)?;
    Ok(())
}
