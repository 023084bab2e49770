//! Documents of a directory that means harm.

use nym_proto::entropy::Stream;
use nym_proto::identity::{IdentityKeyPair, PublicKey};
use nym_proto::topology::directory::NodePage;
use nym_proto::topology::{Node, RewardedSet};

/// Nodes of a list that is too long to be true.
const MANY: u32 = 3000;
/// Levels of a document that nothing but a stack counts.
const DEEP: usize = 50_000;
/// Bytes of a document that is mostly nothing.
const WIDE: usize = 1 << 20;

/// Spoils an answer: the same document, made to do harm to whoever reads it.
pub(super) fn spoil(body: &str, rewarded: &RewardedSet, stream: &mut Stream) -> String {
    match stream.below(5) {
        0 => ["[", "{\"nodes\":", "{\"metadata\":["][stream.index(3)].repeat(DEEP),
        1 => format!("{}{body}", " ".repeat(WIDE)),
        2 => nonsense(body, stream),
        _ => match NodePage::decode(body.as_bytes()) {
            Ok(page) => spoil_list(page, rewarded, stream),
            Err(_) => nonsense(body, stream),
        },
    }
}

/// Numbers that are no numbers, or not these.
fn nonsense(body: &str, stream: &mut Stream) -> String {
    const VALUES: [&str; 8] =
        ["-1", "18446744073709551615", "4294967295", "0", "1e999", "null", "\"NaN\"", "[[]]"];
    let value = VALUES[stream.index(VALUES.len())];
    // performance is a decimal string
    let body = body
        .replace("\"performance\":\"", &format!("\"performance\":\"{}", value.trim_matches('"')));
    let mut out = String::with_capacity(body.len());
    let mut digits = body.split_inclusive(':').peekable();
    while let Some(part) = digits.next() {
        out.push_str(part);
        if let Some(next) = digits.peek_mut()
            && next.starts_with(|c: char| c.is_ascii_digit())
            && stream.chance(0.3)
        {
            out.push_str(value);
            *next = next.trim_start_matches(|c: char| c.is_ascii_digit());
        }
    }
    out
}

fn spoil_list(mut page: NodePage, rewarded: &RewardedSet, stream: &mut Stream) -> String {
    let change: fn(&mut Node, &mut Stream) = match stream.below(9) {
        0 => {
            // all nodes twice, then all under one number
            page.nodes.extend(page.nodes.clone());
            |_, _| {}
        }
        1 => |node, _| node.id = 1,
        2 => {
            let model = page.nodes.first().cloned();
            let many = model.into_iter().flat_map(|node| {
                (0..MANY).map(move |n| Node { id: 1_000_000 + n, ..node.clone() })
            });
            page.nodes.extend(many);
            |_, _| {}
        }
        // clients are sent elsewhere
        3 => |node, stream| {
            for address in node.entry.iter_mut().flat_map(|entry| &mut entry.ip_addresses) {
                *address = [192, 0, 2, stream.below(256) as u8].into();
            }
        },
        // a gateway that is somebody else
        4 => |node, stream| {
            if node.entry.is_some() {
                node.identity = *IdentityKeyPair::generate(stream).public();
            }
        },
        5 => |node, stream| node.sphinx_key = PublicKey::from_bytes([stream.below(2) as u8; 32]),
        // pages without end
        6 => {
            page.total = [u64::MAX, 1 << 40, 100_000][stream.index(3)];
            |_, _| {}
        }
        7 => {
            page.metadata.absolute_epoch_id = [0, u32::MAX][stream.index(2)];
            page.metadata.rotation_id = [0, u32::MAX][stream.index(2)];
            |_, _| {}
        }
        // packets are sent elsewhere
        _ => |node, stream| {
            let address = std::net::SocketAddr::from(([192, 0, 2, stream.below(256) as u8], 1));
            node.mix_host = address.into();
        },
    };
    for node in &mut page.nodes {
        change(node, stream);
    }
    page.size = page.nodes.len() as u64;
    page.encode(rewarded)
}
