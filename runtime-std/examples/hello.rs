//! Says hello to itself through the mixnet and answers anonymously.

use std::sync::Arc;

use nym_proto::client::{Config, DeliveryOrigin, Network, Outcome, Shutdown};
use nym_proto::topology::Topology;
use nym_runtime_std::{Options, connect, generate_identity};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    // The network: the topology file or the directory that `nym-testnet run` writes and prints.
    let argument =
        std::env::args().nth(1).ok_or("give a topology file or the URL of a directory")?;
    let network = if argument.starts_with("http") {
        Network::Directory(vec![argument])
    } else {
        let file = std::fs::read(&argument).map_err(|error| format!("{argument}: {error}"))?;
        let topology =
            Topology::from_file(&file).map_err(|error| format!("{argument}: {error}"))?;
        Network::Fixed(Arc::new(topology))
    };
    let client = connect(Config::new(network), generate_identity()?, Options::default())?;
    println!("my address: {}", client.address());

    // To myself, through three mix nodes, with 10 single-use reply blocks.
    let receipt = client.send_anonymous(client.address(), 10, "hello")?;
    let message = client.recv()?;
    println!("received: {}", String::from_utf8_lossy(&message.data));
    if let DeliveryOrigin::Anonymous(tag) = message.origin {
        client.reply(tag, "hello, whoever you are")?;
        println!("answer: {}", String::from_utf8_lossy(&client.recv()?.data));
    }
    match receipt.outcome()? {
        Outcome::Acknowledged { took, .. } => println!("acknowledged after {took:?}"),
        other => println!("not acknowledged: {other:?}"),
    }
    client.shutdown(Shutdown::Now)?;
    Ok(())
}
